"""Hyperparameters that are not given (half-lives, penalty), chosen by held-out likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.models.incremental.logistic.features import Responses, pairs_of, plain_responses
from mta_models.models.incremental.logistic.learners import PENALTIES, FoldedRows, held_out_loss
from mta_models.models.incremental.logistic.settings import Choice, Settings
from mta_models.models.parameters import given_half_lives

# Half-lives tried, in days; the place where the search begins; and the penalty meanwhile.
HALF_LIVES = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0)
_MIDDLE, _PENALTY = 3, 1e-3
_FOLDS = 3
# A channel's own half-life: minimum number of conversions, and minimum gain in held-out
# log-likelihood over the common half-life.
_MANY, _GAIN = 1000, 2.0
# Channels up to which "auto" means interactions of all pairs.
_FEW = 10


@dataclass(frozen=True, eq=False)
class FoldedSample:
    """A case-base sample sorted by fold, and its columns under any half-lives.

    Attributes:
        histories: whose rows they are.
        sample: cases and base, in their own order.
        order: shape `(n_rows,)`, the row of the sample that each row here is.
        cuts: shape `(n_folds + 1,)`, rows of each fold.
        plain: responses without saturation and interactions.
        rest: shape `(n_rows, n_rest)`, columns that touchpoints do not change.
        carried: adstock of all channels by half-life, shape `(n_rows, n_channels)` each.
    """

    histories: Histories
    sample: CaseBaseSample
    order: Ints
    cuts: Ints
    plain: Responses
    rest: Floats
    carried: dict[float, Floats]

    @classmethod
    def from_sample(
        cls, histories: Histories, sample: CaseBaseSample, fold: Ints, settings: Settings
    ) -> FoldedSample:
        """The sample, its rows in the order of their users' folds, shape `(n_users,)`."""
        plain = plain_responses(histories, settings.covariates, settings.trend)
        fold = fold[sample.user]
        order = np.argsort(fold, kind="stable")
        cuts = np.concatenate(([0], np.cumsum(np.bincount(fold))))
        rest = plain.rest(histories, sample.user[order], sample.time[order])
        return cls(histories, sample, order, cuts, plain, rest, {})

    @property
    def n_folds(self) -> int:
        """Number of folds; 1 where too few users convert to hold any out."""
        return len(self.cuts) - 1

    @property
    def user(self) -> Ints:
        """The user of each row, shape `(n_rows,)`."""
        return self.sample.user[self.order]

    def responses(self, choice: Choice) -> Responses:
        """Responses as chosen."""
        return replace(self.plain, saturation=choice.saturation, pairs=choice.pairs)

    def adstock(self, half_life: float) -> Floats:
        """Adstock of each row, shape `(n_rows, n_channels)`."""
        if half_life not in self.carried:
            self.carried[half_life] = self.sample.adstock(half_life)[self.order]
        return self.carried[half_life]

    def rows(self, choice: Choice) -> FoldedRows:
        """Columns as chosen."""
        half_life = choice.half_life
        adstock = np.empty((len(self.order), len(half_life)))
        for h in np.unique(half_life).tolist():
            own = half_life == h
            adstock[:, own] = self.adstock(h)[:, own]
        columns = np.hstack([self.responses(choice).columns_of(adstock), self.rest])
        converts, weight = self.sample.is_case[self.order], self.sample.balanced[self.order]
        return FoldedRows(columns, converts, weight, self.cuts)


def choose(table: FoldedSample, settings: Settings) -> Choice:
    """Choose hyperparameters that are not given, by held-out likelihood: half-lives, then penalty.

    Half-lives are chosen without interactions, on which they hardly depend.
    """
    channels, half_life = table.histories.channels, settings.half_life
    free = half_life is None
    given = given_half_lives(HALF_LIVES[_MIDDLE] if half_life is None else half_life, channels)
    none = pairs_of(None, channels)
    penalty = _PENALTY if settings.penalty is None else float(settings.penalty)
    search = _Search(table, Choice(given, settings.saturation, none, penalty))
    if free and table.n_folds > 1:
        search.common_half_life()
        if table.sample.n_cases >= _MANY:
            search.own_half_lives()
    search.add_interactions(_pairs(settings.interactions, channels))
    if settings.penalty is None and table.n_folds > 1:
        search.best_penalty()
    return search.choice


def _pairs(interactions: Any, channels: tuple[str, ...]) -> Ints:
    """The pairs named; with `"auto"` all pairs of few channels, shrunk by the penalty."""
    if not (isinstance(interactions, str) and interactions == "auto"):
        return pairs_of(interactions, channels)
    return pairs_of("all" if len(channels) <= _FEW else None, channels)


class _Search:
    """A search by held-out loss; each fit begins at the coefficients of the last."""

    def __init__(self, table: FoldedSample, choice: Choice) -> None:
        self.table, self.choice = table, choice
        self._begin: Floats | None = None

    def loss(self, **changes: Any) -> float:
        """Held-out loss of the choice with changes."""
        choice = replace(self.choice, **changes)
        loss, self._begin = held_out_loss(self.table.rows(choice), choice.penalty, self._begin)
        return loss

    def add_interactions(self, pairs: Ints) -> None:
        """Add interactions."""
        self.choice, self._begin = replace(self.choice, pairs=pairs), None

    def common_half_life(self) -> None:
        """Choose one half-life for all channels."""
        k = self.table.histories.n_channels
        at = climb(
            lambda i: self.loss(half_life=np.full(k, HALF_LIVES[i])), len(HALF_LIVES), _MIDDLE
        )
        self.choice = replace(self.choice, half_life=np.full(k, HALF_LIVES[at]))

    def own_half_lives(self) -> None:
        """Choose each channel's own half-life, channel by channel, where it gains enough."""
        lowest = self.loss()
        touched = np.bincount(self.table.histories.codes, minlength=self.table.histories.n_channels)
        # By volume: in the order of codes the search would depend on the channels' names.
        for channel in np.argsort(-touched, kind="stable").tolist():
            common = self.choice.half_life

            def alone(i: int, channel: int = channel, common: Floats = common) -> Floats:
                here = common.copy()
                here[channel] = HALF_LIVES[i]
                return here

            start = HALF_LIVES.index(common[channel])
            at = climb(lambda i: self.loss(half_life=alone(i)), len(HALF_LIVES), start)
            now = self.loss(half_life=alone(at))
            if now < lowest - _GAIN / len(self.table.order):
                lowest, self.choice = now, replace(self.choice, half_life=alone(at))

    def best_penalty(self) -> None:
        """Choose a penalty of the grid."""
        start = PENALTIES.index(_PENALTY)
        at = climb(lambda i: self.loss(penalty=PENALTIES[i]), len(PENALTIES), start)
        self.choice = replace(self.choice, penalty=PENALTIES[at])


def climb(score: Callable[[int], float], n: int, start: int) -> int:
    """The place of a local minimum of the score, going down from `start`; none is scored twice.

    Args:
        score: of a place, from 0 to n − 1.
        n: places.
        start: where to begin.

    Example:
        >>> climb(lambda i: (i - 3) ** 2, 7, 5)
        3
    """
    seen = {start: score(start)}
    at = start
    while True:
        for beside in (at - 1, at + 1):
            if 0 <= beside < n and beside not in seen:
                seen[beside] = score(beside)
        best = min(
            (place for place in (at - 1, at, at + 1) if place in seen), key=lambda i: seen[i]
        )
        if seen[best] >= seen[at]:
            return at
        at = best


def folds_of(histories: Histories, rng: np.random.Generator) -> Ints:
    """A fold for each user, shape `(n_users,)`: evenly among converters and among the others."""
    converts = np.zeros(histories.n_users, dtype=bool)
    converts[histories.event_user[histories.event_weight > 0]] = True
    fold = np.zeros(histories.n_users, dtype=np.int64)
    if converts.sum() < 2 * _FOLDS:
        return fold
    order = histories.by_content
    for group in (order[converts[order]], order[~converts[order]]):
        fold[rng.permutation(group)] = np.arange(len(group)) % _FOLDS
    return fold
