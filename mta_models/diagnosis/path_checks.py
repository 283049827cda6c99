"""Checks of outcomes and of the channels present; see `diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, first_occurrence, keep, lengths, segment_sum
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import Finding

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Thresholds of findings. Belsley, Kuh & Welsch (1980), Regression Diagnostics, take a condition
# number of 30 for serious; for variance inflation, 10 is the customary bound.
_CONDITION, _INFLATION = 30.0, 10.0
_THIN = 30  # conversions: a credit of 30 has a 95% interval of about a third either side
_MOSTLY = 0.5
_COUNTABLE = 16  # maximum of channels whose coalitions are counted one by one


class PathContext:
    """Quantities that these checks share, each computed once and on unique paths."""

    def __init__(self, journeys: Journeys) -> None:
        self.journeys = journeys

    @cached_property
    def paths(self) -> Journeys:
        """Unique paths with their users."""
        return self.journeys.compress()

    @cached_property
    def users(self) -> Floats:
        """Users of each path, shape `(n_paths,)`."""
        return self.paths.conversions + self.paths.nulls

    @cached_property
    def presence(self) -> csr_array[Any]:
        """1 if a path has a channel, else 0, shape `(n_paths, n_channels)`."""
        from scipy import sparse

        codes, offsets = self.paths.codes, self.paths.offsets
        once = first_occurrence(codes, offsets, self.paths.n_channels)
        ones = np.ones(int(once.sum()))
        shape = (self.paths.n_journeys, self.paths.n_channels)
        return sparse.csr_array((ones, codes[once], keep(once, offsets)), shape=shape)

    @cached_property
    def together(self) -> Floats:
        """Users who met both channels, shape `(n_channels, n_channels)`."""
        weighted = self.presence.multiply(self.users[:, None])
        return np.asarray((weighted.T @ self.presence).toarray(), dtype=np.float64)

    @property
    def met(self) -> Floats:
        """Users who met each channel, shape `(n_channels,)`."""
        return np.diag(self.together)

    @property
    def n_users(self) -> float:
        """Number of users, converting or not."""
        return float(self.users.sum())

    def names(self, which: Mask | Ints) -> tuple[str, ...]:
        """The names of channels, by mask or by code."""
        return tuple(np.array(self.journeys.channels, dtype=object)[which].tolist())


def no_conversions(seen: PathContext) -> Iterator[Finding]:
    """Nobody converts."""
    if seen.journeys.total == 0:
        yield Finding(
            "no_conversions",
            "problem",
            f"none of the {seen.n_users:,.10g} users converts",
            "there is nothing to credit, and every model refuses",
            "check the conversion column and the value that means a conversion",
        )


def no_nulls(seen: PathContext) -> Iterator[Finding]:
    """Everybody converts."""
    if seen.n_users and not seen.journeys.nulls.any():
        yield Finding(
            "no_nulls",
            "problem",
            f"all {seen.n_users:,.10g} users convert: there is no journey without a conversion",
            "no channel can be shown to convert better than another; Markov and Shapley credit "
            "presence alone, and no incremental effect can be estimated",
            "read the users who did not convert too",
        )


def no_times(seen: PathContext) -> Iterator[Finding]:
    """Touchpoints in order, without times."""
    if seen.journeys.age is None and seen.journeys.timeline is None:
        yield Finding(
            "no_times",
            "note",
            "touchpoints have an order but no times",
            "time decay and every model of when users convert are impossible; a longer exposure "
            "cannot be distinguished from a stronger one",
            "read an event log with read_events, if there is one",
        )


def never_varies(seen: PathContext) -> Iterator[Finding]:
    """Channels in every journey, and channels in none."""
    always = (seen.met == seen.n_users) & (seen.met > 0)
    if always.any():
        yield Finding(
            "never_varies",
            "problem",
            f"every journey holds {phrase(seen.names(always))}",
            "no user shows what happens without it: its credit is a convention of the model",
            "read the users who were not exposed too, or leave the channel out of the comparison",
            seen.names(always),
        )
    never = seen.met == 0
    if never.any() and seen.n_users:
        yield Finding(
            "never_varies",
            "note",
            f"no journey holds {phrase(seen.names(never))}",
            "it is declared but in no journey, so its credit is 0 because data are missing",
            "check its spelling in the source, or leave it out",
            seen.names(never),
        )


def always_together(seen: PathContext) -> Iterator[Finding]:
    """Channels met by exactly the same users."""
    met, together = seen.met, seen.together
    same = np.isclose(together, met[:, None]) & np.isclose(together, met) & (met > 0)
    first, second = np.nonzero(np.triu(same, k=1))
    if len(first):
        names = seen.journeys.channels
        pairs = [f"{names[i]} with {names[j]}" for i, j in zip(first, second, strict=True)]
        yield Finding(
            "always_together",
            "problem",
            f"met by exactly the same users: {phrase(pairs)}",
            "the split of credit between the two is decided by the model's convention, not by data",
            "merge them into one channel, or find a time or region where one of them ran alone",
            seen.names(np.union1d(first, second)),
        )


def collinear(seen: PathContext) -> Iterator[Finding]:
    """Channels whose presence can be predicted from the other channels."""
    n, met = seen.n_users, seen.met
    varies = np.flatnonzero((met > 0) & (met < n))
    # Of channels that are always together one is enough: they have a finding of their own.
    same = np.isclose(seen.together, met[:, None]) & np.isclose(seen.together, met)
    varies = varies[np.argmax(same, axis=1)[varies] == varies]
    if len(varies) < 2:
        return
    share = met[varies] / n
    covariance = seen.together[np.ix_(varies, varies)] / n - np.outer(share, share)
    yield from inflated(
        covariance,
        seen.names(varies),
        name="collinear",
        what="the channels that users met",
        means="which users met these channels can nearly be predicted from the other channels, so "
        "effects that are separated by comparing users are unstable",
    )


def inflated(
    covariance: Floats, names: Sequence[str], *, name: str, what: str, means: str
) -> Iterator[Finding]:
    """A finding if variables can hardly be separated.

    Args:
        covariance: shape `(n, n)`.
        names: names of the n channels.
        name: name of the finding.
        what: the variables, in words.
        means: the consequence for results.
    """
    spread_ = np.sqrt(np.diag(covariance))
    roots, vectors = np.linalg.eigh(covariance / np.outer(spread_, spread_))
    roots = np.maximum(roots, 1e-14)  # a root of 0 may be rounded to below 0
    condition = float(np.sqrt(roots[-1] / roots[0]))
    inflation = (vectors**2 / roots).sum(axis=1)
    if condition > _CONDITION or inflation.max() > _INFLATION:
        wrong = {
            each: times
            for each, times in zip(names, inflation.tolist(), strict=True)
            if times > _INFLATION
        }
        words = [
            f"{each} (at least 1,000 times)" if times > 1e3 else f"{each} ({times:.1f} times)"
            for each, times in wrong.items()
        ]
        least = "over 1,000" if condition > 1e3 else f"{condition:.1f}"
        yield Finding(
            name,
            "caution",
            f"the condition number of {what} is {least}; variance is inflated for "
            f"{phrase(words) or 'no single channel'}",
            means,
            "merge channels that move together, or expect wide intervals for them",
            tuple(wrong),
        )


def unseen_coalitions(seen: PathContext) -> Iterator[Finding]:
    """Channels never met alone, and coalitions of channels without a user."""
    presence, met = seen.presence, seen.met > 0
    distinct = np.diff(presence.indptr)
    counted = seen.users > 0
    alone = np.zeros(len(met), dtype=bool)
    alone[presence.indices[presence.indptr[:-1][(distinct == 1) & counted]]] = True
    lonely = np.flatnonzero(met & ~alone)
    if not len(lonely):
        return
    many = f"at least {len(lonely)}"
    if len(lonely) <= _COUNTABLE:
        bit = np.zeros(len(met), dtype=np.int64)
        bit[lonely] = 1 << np.arange(len(lonely))
        inside = (segment_sum(bit[presence.indices] > 0, presence.indptr) == distinct) & counted
        sets = segment_sum(bit[presence.indices], presence.indptr)[inside & (distinct > 0)]
        many = f"{_coalitions_without(sets, len(lonely)):,}"
    yield Finding(
        "unseen_coalitions",
        "caution",
        f"no user met only {phrase(seen.names(lonely), 'or only')}; inside {many} of the "
        f"{2.0 ** met.sum() - 1:,.10g} coalitions of channels there is no user with a touchpoint",
        "the conversion rate of such a coalition is unknown: the Shapley value of conversion rates "
        "needs an assumption about it",
        'use Shapley("conversions"), which needs no such coalition, or merge rare channels',
        seen.names(lonely),
    )


def _coalitions_without(sets: Ints, n: int) -> int:
    """Number of non-empty subsets of n channels that contain none of `sets` (bit masks)."""
    holds = np.zeros(1 << n, dtype=bool)
    holds[sets] = True
    for i in range(n):
        pairs = holds.reshape(-1, 2, 1 << i)
        pairs[:, 1] |= pairs[:, 0]
    return int((~holds).sum()) - 1


def untouched(seen: PathContext) -> Iterator[Finding]:
    """Journeys without a touchpoint: none, only converting ones, or most conversions."""
    empty = lengths(seen.paths.offsets) == 0
    users, converted = seen.users[empty].sum(), seen.paths.conversions[empty].sum()
    total = seen.journeys.total
    if not seen.n_users:
        return
    if not users:
        yield Finding(
            "untouched",
            "caution",
            "every user has a touchpoint",
            "conversions without marketing are not in the data: rules, Markov and Shapley credit "
            "channels with all conversions, and no baseline can be estimated without times",
            "read users without a touchpoint too, converting or not",
        )
    elif converted == users and total:
        yield Finding(
            "untouched",
            "caution",
            f"all {users:,.10g} journeys without a touchpoint end in a conversion",
            "either every user who does not convert met a channel, or users who neither met a "
            "channel nor converted were not read; then a baseline estimated from such journeys is "
            "too high",
            "if there are users who neither met a channel nor converted, read them too",
        )
    elif total and converted / total > _MOSTLY:
        yield Finding(
            "untouched",
            "caution",
            f"{converted / total:.0%} of the {total:,.10g} conversions have no touchpoint",
            "every rule credits most conversions to the baseline; touchpoints may be missing from "
            "the data",
            "check tracking, consent and identity, and that the lookback is long enough",
        )


def thin_channels(seen: PathContext) -> Iterator[Finding]:
    """Channels in the journeys of few conversions."""
    reached = seen.presence.T @ seen.paths.conversions
    thin = (seen.met > 0) & (reached < _THIN)
    if thin.any() and seen.journeys.total:
        counts = zip(seen.names(thin), reached[thin].tolist(), strict=True)
        yield Finding(
            "thin_channels",
            "caution",
            f"in journeys of fewer than {_THIN} conversions: "
            f"{phrase([f'{name} ({count:,.10g})' for name, count in counts])}",
            "sampling alone changes such a small credit by more than a third",
            "read their intervals (bootstrap), read a longer period, or merge small channels",
            seen.names(thin),
        )


def phrase(words: Sequence[str], joint: str = "and", most: int = 5) -> str:
    """The words as a phrase, shortened to the first `most`."""
    if len(words) > most:
        return f"{', '.join(words[:most])} {joint} {len(words) - most} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


CHECKS: tuple[Callable[[PathContext], Iterable[Finding]], ...] = (
    no_conversions,
    no_nulls,
    no_times,
    never_varies,
    always_together,
    collinear,
    unseen_coalitions,
    untouched,
    thin_channels,
)
