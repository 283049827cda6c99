"""Attribution: the credit of each channel, and the baseline, which no channel gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.arrays import read_only
from mta_models.core.checks import as_list, check_one_of, is_number, shown
from mta_models.core.ragged import Floats
from mta_models.core.tables import Block, Printed, Table, TopRows, amounts, percent
from mta_models.errors import InvariantError, MTAError, ParameterError, UnknownChannelError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# The meaning of each estimand.
ESTIMANDS = {
    "rule": "divides the observed conversions among the channels that were there; it claims no "
    "effect",
    "removal_effect": "the part of a fitted chain's conversions that pass through the channel",
    "shapley": "the channel's average contribution over all coalitions of channels",
    "incremental": "estimates the conversions that would not have happened without the channel, if "
    "the model's assumptions hold",
}
# The uncertainty that an interval covers, unless a model or its lift tests say more.
SAMPLING_ONLY = "sampling only: chance in who was observed, not bias"
_DRAWS = ("draws", "baseline_draws")
_SAMPLING_DRAWS = ("sampling_draws", "sampling_baseline_draws")
_NOT_INCREMENTAL = (
    "None of this says how many conversions would be lost without a channel: that takes an "
    "incremental model or an experiment."
)
BASELINE = "(baseline)"
# A larger relative difference of two sums is more than rounding.
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Printed):
    """The credit of each channel, the baseline, and their total.

    `credit.sum() + baseline == total` is checked, to float tolerance, when an attribution is made.
    `fit_attribute` of a model and `bootstrap` make one; `print` shows its table.

    Attributes:
        channels: names, shape `(n_channels,)`.
        credit: shape `(n_channels,)`, in conversions or in value, as `of` says.
        baseline: credited to no channel, in the same unit.
        total: all conversions or value to be credited.
        estimand: what the credit estimates: `"rule"`, `"removal_effect"`, `"shapley"` or
            `"incremental"`, with a qualifier after a colon where one is needed.
        model: repr of the model that made it.
        of: `"conversions"` or `"value"`.
        draws: shape `(n_draws, n_channels)`, from a bootstrap or a posterior, or None.
        baseline_draws: shape `(n_draws,)`, or None.
        interval_holds: the uncertainty that the draws cover, in words; for a bootstrap "sampling
            only".
        checks: results of tests of the fit, one sentence each.
        sampling_draws: shape `(n_draws, n_channels)`, draws that cover sampling only, where `draws`
            cover more; else None.
        sampling_baseline_draws: shape `(n_draws,)`, or None.

    Raises:
        InvariantError: credit and baseline do not sum to the total, or a shape is wrong.

    Example:
        >>> from mta_models import Journeys, LastTouch
        >>> journeys = Journeys.from_paths([["Search", "Email"], []], conversions=[4, 1])
        >>> LastTouch().fit_attribute(journeys).to_frame()
              channel  credit  share
        0       Email     4.0    1.0
        1      Search     0.0    0.0
        2  (baseline)     1.0    NaN
    """

    channels: tuple[str, ...]
    credit: Floats
    baseline: float
    total: float
    estimand: str
    model: str
    of: str = "conversions"
    draws: Floats | None = None
    baseline_draws: Floats | None = None
    interval_holds: str = SAMPLING_ONLY
    checks: tuple[str, ...] = ()
    sampling_draws: Floats | None = None
    sampling_baseline_draws: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.channels)
        if self.credit.shape != (n,):
            raise InvariantError(f"credit must have the shape ({n},); got {self.credit.shape}")
        if self.estimand.partition(":")[0] not in ESTIMANDS:
            raise InvariantError(
                f"estimand must be one of {', '.join(ESTIMANDS)}; got {self.estimand!r}"
            )
        check_adds_up(self.credit, self.baseline, self.total, self.model)
        self._check_draws(n)
        for name in ("credit", *_DRAWS, *_SAMPLING_DRAWS):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def share(self) -> Floats:
        """Each channel's part of all credit, shape `(n_channels,)`, without the baseline.

        Sums to 1; NaN where all credit is 0.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            share: Floats = self.credit / self.credit.sum()
            return share

    def interval(self, prob: float = 0.95, holds: str | None = None) -> Floats:
        """Central interval of each channel's credit over the draws, shape `(n_channels, 2)`.

        Args:
            prob: probability inside, between 0 and 1.
            holds: the uncertainty that the interval covers. `"sampling"`: chance in who was
                observed. `"all"`: also what the model knows of its bias, which `interval_holds`
                names; refused where it knows nothing of it. None: all that the draws cover.

        Raises:
            MTAError: there are no draws, or none that cover what `holds` asks for.
            ParameterError: `prob` is not between 0 and 1, or `holds` is no such word.
        """
        return np.quantile(self._drawn(holds)[0], _tails(prob), axis=0).T

    def baseline_interval(self, prob: float = 0.95, holds: str | None = None) -> Floats:
        """Central interval of the baseline over the draws, shape `(2,)`; see `interval`."""
        return np.quantile(self._drawn(holds)[1], _tails(prob))

    def probability_more(self, a: str, b: str | float = 0.0, *, holds: str | None = None) -> float:
        """The probability that channel `a` has more credit than `b`, from the joint draws.

        Channels that compete for the same conversions have draws that depend on each other, so two
        intervals that overlap do not answer this. Draws in which both are equal count half.

        Args:
            a: a channel.
            b: another channel, or an amount in the unit of credit.
            holds: as in `interval`. With `"sampling"` the probability does not allow for bias.

        Raises:
            MTAError: as `interval`.
            UnknownChannelError: one of the channels is none of these.

        Example:
            >>> import mta_models as mta
            >>> paths = [["Search"], ["Email"]]
            >>> journeys = mta.Journeys.from_paths(paths, conversions=[30, 20], nulls=[99, 99])
            >>> result = mta.bootstrap(mta.Linear(), journeys, n_draws=500, random_state=0)
            >>> round(result.probability_more("Search", "Email"), 1)
            0.9
        """
        draws, _ = self._drawn(holds)
        other = float(b) if is_number(b) else draws[:, self._code(b)]
        more = draws[:, self._code(a)] - other
        return float((more > 0).mean() + (more == 0).mean() / 2)

    def grouped(self, groups: Mapping[str, Iterable[str]]) -> Attribution:
        """The credit of groups of channels; a group's is the sum of its channels', draw by draw.

        Args:
            groups: the channels of each group, by its name. Channels in no group stay by
                themselves, after the groups.

        Returns:
            An attribution whose channels are the groups and the channels in none.

        Raises:
            ParameterError: it is no mapping, a group is empty, a channel is in two groups, or two
                rows would have the same name.
            UnknownChannelError: a channel is none of these.

        Example:
            >>> from mta_models import Journeys, Linear
            >>> journeys = Journeys.from_paths([["Search", "Email"], ["Display"]], [4, 1])
            >>> Linear().fit_attribute(journeys).grouped({"Ads": ["Search", "Display"]}).to_frame()
                  channel  credit  share
            0         Ads     3.0    0.6
            1       Email     2.0    0.4
            2  (baseline)     0.0    NaN
        """
        member = self._membership(groups)
        alone = [self.channels[row] for row in np.flatnonzero(member[:, len(groups) :].any(axis=1))]
        names = [*groups, *alone]
        if len(set(names)) < len(names):
            raise ParameterError(
                "a group must not have the name of a channel outside it; got the groups "
                f"{', '.join(groups)}. Rename it"
            )

        def summed(draws: Floats | None) -> Floats | None:
            return None if draws is None else draws @ member

        return replace(
            self,
            channels=tuple(names),
            credit=self.credit @ member,
            draws=summed(self.draws),
            sampling_draws=summed(self.sampling_draws),
        )

    def to_frame(self, *, prob: float = 0.95, holds: str | None = None) -> pd.DataFrame:
        """One row per channel and a last one for the baseline: `channel`, `credit`, `share`.

        With draws also `lower` and `upper`, the bounds of the `prob` interval; see `interval` for
        `holds`, and `frame.attrs["interval_holds"]` for what it covers, in words. The `credit`
        column sums to `total`; the baseline's share is missing, since only channels have shares.
        """
        import pandas as pd

        frame = pd.DataFrame(self._columns(prob, holds))
        if self.draws is not None:
            frame.attrs["interval_holds"] = self.covered_by(holds)
        return frame

    def to_polars(self, *, prob: float = 0.95, holds: str | None = None) -> pl.DataFrame:
        """As `to_frame`, as a polars table, which has no place for what the interval covers."""
        import polars as pl

        return pl.DataFrame(self._columns(prob, holds), nan_to_null=True)

    def covered_by(self, holds: str | None = None) -> str:
        """The uncertainty that `interval(holds=holds)` covers, in words.

        Raises:
            MTAError, ParameterError: as `interval`.
        """
        self._drawn(holds)
        return SAMPLING_ONLY if holds == "sampling" else self.interval_holds

    def blocks(self, *, top: int = 25) -> list[Block]:
        """The blocks that `print` shows: the table, a note on intervals, checks, and the estimand.

        Args:
            top: number of channels with a row of their own: those with the most credit.
        """
        return [*self.tables(top=top), *meanings([self.estimand])]

    def tables(self, *, top: int = 25) -> list[Block]:
        """`blocks` without the sentence on the estimand."""
        rows = TopRows(self.channels, self.credit, top)
        amount = amounts(self.total)
        credit = np.append(rows.sums(self.credit), (self.baseline, self.total))
        share = [percent(each) for each in rows.sums(self.share)]
        columns = {"Credit": [amount(each) for each in credit], "Share": [*share, "", ""]}
        notes = []
        if self.draws is not None:
            bounds = np.vstack([self.interval()[rows.shown], self.baseline_interval()])
            cells = [f"{amount(lower)} to {amount(upper)}" for lower, upper in bounds]
            # The bounds of a sum are not the sum of bounds: the row of the others has none.
            cells[-1:-1] = [""] * rows.has_others
            columns["95% interval"] = [*cells, ""]
            notes.append(f"Intervals: {self.interval_holds}.")
        names = [*rows.names, BASELINE, "total"]
        title = f"Credit in {self.of}, by {self.model.removesuffix('()')}"
        return [Table(title, names, columns, n_last=2), *notes, *self.checks]

    def __repr__(self) -> str:
        amount = amounts(self.total)
        return (
            f"Attribution({self.model}, {len(self.channels)} channels, of={self.of!r}, "
            f"credit {amount(self.credit.sum())} + baseline {amount(self.baseline)} "
            f"= {amount(self.total)})"
        )

    def _columns(self, prob: float, holds: str | None) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "channel": [*self.channels, BASELINE],
            "credit": np.append(self.credit, self.baseline),
            "share": np.append(self.share, np.nan),
        }
        if self.draws is not None:
            channels, baseline = self.interval(prob, holds), self.baseline_interval(prob, holds)
            bounds = np.vstack([channels, baseline])
            columns |= {"lower": bounds[:, 0], "upper": bounds[:, 1]}
        return columns

    def _drawn(self, holds: str | None) -> tuple[Floats, Floats]:
        """Draws of credit and of the baseline that cover what is asked for."""
        check_one_of(holds, "holds", ("sampling", "all", None))
        if self.draws is None or self.baseline_draws is None:
            raise MTAError(
                f"an interval needs draws, and this result of {self.model} has none. "
                "Get them with bootstrap(model, journeys), or use Incremental, which has its own"
            )
        sampling_only = self.interval_holds.startswith(SAMPLING_ONLY)
        if holds == "all" and sampling_only:
            raise MTAError(
                'with holds="all" the draws must cover bias too; those of '
                f"{self.model} cover {SAMPLING_ONLY}. Leave `holds` out, or use Incremental, whose "
                "draws cover more"
            )
        if holds != "sampling" or sampling_only:
            return self.draws, self.baseline_draws
        if self.sampling_draws is None or self.sampling_baseline_draws is None:
            raise MTAError(
                'with holds="sampling" there must be draws that cover sampling alone; those of '
                f"{self.model} cover {self.interval_holds}. Leave `holds` out, or get such draws "
                "with bootstrap(model, journeys)"
            )
        return self.sampling_draws, self.sampling_baseline_draws

    def _code(self, channel: object) -> int:
        if channel not in self.channels:
            raise UnknownChannelError(
                f"a channel must be one of {', '.join(self.channels)}; got {shown(channel)}"
            )
        return self.channels.index(str(channel))

    def _membership(self, groups: Mapping[str, Iterable[str]]) -> Floats:
        """1 where a channel is in a row of `grouped`, shape `(n_channels, n_rows)`."""
        if not isinstance(groups, Mapping):
            raise ParameterError(
                f"`groups` must be a mapping of names to lists of channels; got {shown(groups)}"
            )
        rows = [as_list(each, "groups", "channels of each group") for each in groups.values()]
        for name, row in zip(groups, rows, strict=True):
            if not row:
                raise ParameterError(
                    f"a group must have a channel; {name!r} has none. Leave it out"
                )
        codes = [[self._code(channel) for channel in row] for row in rows]
        listed = [code for row in codes for code in row]
        twice = next((code for code in listed if listed.count(code) > 1), None)
        if twice is not None:
            raise ParameterError(
                f"a channel must be in one group; {self.channels[twice]!r} is in `groups` twice"
            )
        codes += [[code] for code in range(len(self.channels)) if code not in listed]
        member = np.zeros((len(self.channels), len(codes)))
        for column, row in enumerate(codes):
            member[row, column] = 1.0
        return member

    def _check_draws(self, n: int) -> None:
        for pair in (_DRAWS, _SAMPLING_DRAWS):
            draws, baselines = (getattr(self, name) for name in pair)
            if (draws is None) != (baselines is None):
                raise InvariantError(f"{pair[0]} and {pair[1]} must come together")
            if draws is None:
                continue
            if draws.ndim != 2 or draws.shape != (len(baselines), n):
                raise InvariantError(
                    f"{pair[0]} must have the shape ({len(baselines)}, {n}); got {draws.shape}"
                )
            if not (np.isfinite(draws).all() and np.isfinite(baselines).all()):
                raise InvariantError(f"{pair[0]} must be finite")
        if self.draws is None and self.sampling_draws is not None:
            raise InvariantError("sampling_draws must come with draws")


def meanings(estimands: Iterable[str]) -> list[str]:
    """One sentence on each kind of estimand, and a last one if none is incremental."""
    kinds = dict.fromkeys(estimand.partition(":")[0] for estimand in estimands)
    sentences = [f"{kind}: {ESTIMANDS[kind]}." for kind in kinds]
    return sentences if "incremental" in kinds else [*sentences, _NOT_INCREMENTAL]


def check_adds_up(credit: Floats, baseline: float, total: float, model: str) -> None:
    """Raise `InvariantError` unless credit and baseline sum to the total, to float tolerance."""
    gap = float(credit.sum() + baseline - total)
    scale = max(abs(total), np.abs(credit).sum(), abs(baseline), 1e-300)
    if not (np.isfinite(gap) and abs(gap) <= _TOLERANCE * scale):
        raise InvariantError(
            f"credit + baseline must equal the total {total!r}; {model} is off by {gap!r}. This is "
            "a bug: please report it"
        )


def _tails(prob: float) -> tuple[float, float]:
    if not (is_number(prob) and 0 < prob < 1):
        raise ParameterError(f"`prob` must be a number between 0 and 1; got {shown(prob)}")
    return (1 - prob) / 2, (1 + prob) / 2
