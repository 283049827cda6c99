"""The relative rate of converting on each control day, and the fits of its parts.

    λ_i(s) = f(week of s) · d(group of i, days observed until s) · (m_i(s) + Σ_c β_c a_c(s))

f is the calendar factor. d is depletion: among users who convert once, those with high intent
convert first and leave the risk set, and users who meet more touchpoints may have more of it, so d
is fitted per group of users with similar volumes of touchpoints. m is intent that moves
(`moving_intent`), 1 where it does not. Each user's frailty is a common factor and cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.half_lives import GRID, profile
from mta_models.models.incremental.self_controlled.conditional_likelihood import (
    Terms,
    maximise_conditional,
)
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays

# Days observed at which the next value of d begins; one value a week after the last of them.
_AGES = (1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 22, 28)
# Pseudo-conversions that shrink each step of f and d, and number of steps.
_INERTIA, _STEPS = 20.0, 3
# Conversions below which all channels share a half-life: fewer do not separate them.
MIN_FOR_OWN_HALF_LIVES = 1000
# Maximum of conversions × channels² in the search for half-lives; beyond it every n-th is used.
_MAX_SEARCHED = 2_000_000


@dataclass(frozen=True, eq=False)
class Design:
    """All conversions with their control days, and the weight of each.

    Attributes:
        blocks: the conversions in their order, block by block.
        group: shape `(n_rows,)`, the group of each conversion's user by volume of touchpoints.
        weight: shape `(n_rows,)`, conversions that each row stands for.
        copies: how often each conversion is there, with exposure imputed anew; copy by copy.
    """

    blocks: list[ControlDays]
    group: Ints
    weight: Floats
    copies: int = 1

    @classmethod
    def stacked(cls, copies: Sequence[Design]) -> Design:
        """Several designs of the same conversions as one, in which each weighs its fraction."""
        if len(copies) == 1:
            return copies[0]
        return cls(
            blocks=[
                replace(block, event=block.event + place * copy.n_rows)
                for place, copy in enumerate(copies)
                for block in copy.blocks
            ],
            group=np.concatenate([copy.group for copy in copies]),
            weight=np.concatenate([copy.weight for copy in copies]) / len(copies),
            copies=len(copies),
        )

    def copy(self, place: int, weight: Floats) -> Design:
        """One of the stacked designs, with weights for its conversions."""
        n = self.n_rows // self.copies
        mine = [block for block in self.blocks if block.event[0] // n == place]
        return Design(
            blocks=[replace(block, event=block.event - place * n) for block in mine],
            group=self.group[place * n : (place + 1) * n],
            weight=weight,
        )

    def by_conversion(self, rows: Floats) -> Floats:
        """Rows of an array, `(n_rows, …)`, averaged over copies, `(n_conversions, …)`."""
        if self.copies == 1:
            return rows
        mean: Floats = rows.reshape(self.copies, -1, *rows.shape[1:]).mean(axis=0)
        return mean

    @property
    def n_channels(self) -> int:
        """Channels declared."""
        return self.blocks[0].n_channels

    @property
    def n_rows(self) -> int:
        """Conversions, times copies."""
        return len(self.weight)

    def per_row(self, of_block: Callable[[ControlDays], Floats]) -> Floats:
        """Results of a function for the rows of each block, in order, shape `(n_rows, …)`."""
        return np.concatenate([of_block(block) for block in self.blocks])


@dataclass(frozen=True, eq=False)
class RelativeRate:
    """The parameters of λ.

    Attributes:
        half_life: shape `(n_channels,)`, days.
        effect: β, shape `(n_channels,)`.
        calendar: f, shape `(n_weeks,)`, from the log's start.
        depletion: d, shape `(n_groups, n_ages)`.
        spans: shape `(n_spans,)`, half-lives of the touchpoints that stand for intent; infinite
            for intent that does not move (frailty).
        intent: δ, shape `(n_spans, n_channels)`.
    """

    half_life: Floats
    effect: Floats
    calendar: Floats
    depletion: Floats
    spans: Floats
    intent: Floats

    @property
    def moves(self) -> bool:
        """Whether m differs from 1."""
        return bool(self.intent.any())

    def weights(self, design: Design, block: ControlDays) -> Floats:
        """The product f d on the case and its control days, 0 elsewhere, `(n_days, n_rows)`."""
        weights = block.compared * self.calendar[np.minimum(block.week, len(self.calendar) - 1)]
        if self.depletion.size > 1:
            group = design.group[block.event]
            weights *= self.depletion[group].T[_age(block.n_days, self.depletion.shape[1])]
        return weights

    def baseline(self, block: ControlDays) -> Floats:
        """Intent m, which no touchpoint causes, shape `(n_days, n_rows)`."""
        baseline = np.ones(block.compared.shape)
        for span, effect in zip(self.spans.tolist(), self.intent, strict=True):
            if effect.any():
                baseline += block.adstock(effect, np.full(block.n_channels, span))
                baseline += block.as_met.adstock_ahead(effect, span)
        return baseline

    def caused(self, block: ControlDays) -> Floats:
        """Σ_c β_c a_c, what touchpoints cause, shape `(n_days, n_rows)`."""
        return block.adstock(self.effect, self.half_life)

    def rate(self, block: ControlDays) -> Floats:
        """The sum of both, shape `(n_days, n_rows)`."""
        return self.baseline(block) + self.caused(block)


def _age(n_days: int, n_ages: int) -> Ints:
    """Which value of d each day of observation has, shape `(n_days,)`.

    Days beyond the last value, of users observed for longer than those of the fit, have the last.
    """
    return np.minimum(np.searchsorted(_ages(n_days), np.arange(n_days), side="right"), n_ages - 1)


def _ages(n_days: int) -> Ints:
    """Days observed at which each value of d after the first begins."""
    return np.concatenate([_AGES, np.arange(_AGES[-1] + 7, n_days, 7)])


def constant_rate(design: Design, n_groups: int) -> RelativeRate:
    """A rate with f, d and m at 1 and no effects; d stays 1 if `n_groups` is 0."""
    weeks = 1 + max(int(block.week.max(initial=0)) for block in design.blocks)
    days = max(block.n_days for block in design.blocks)
    n = design.n_channels
    return RelativeRate(
        half_life=np.full(n, GRID[2]),
        effect=np.zeros(n),
        calendar=np.ones(weeks),
        depletion=np.ones((n_groups, len(_ages(days)) + 1) if n_groups else (1, 1)),
        spans=np.zeros(0),
        intent=np.zeros((0, n)),
    )


# The conditional likelihood as a function of some of the parameters.


def channel_terms(design: Design, rate: RelativeRate) -> Terms:
    """The likelihood as a function of β, given the rest."""
    return Terms(
        carried=design.per_row(lambda block: block.carried(rate.half_life)),
        exposure=design.per_row(
            lambda block: block.exposure(rate.weights(design, block), rate.half_life)
        ),
        **_constants(design, rate),
        weight=design.weight,
    )


def _constants(design: Design, rate: RelativeRate) -> dict[str, Floats]:
    """The terms of the likelihood that do not depend on β."""
    if not rate.moves:
        sums = design.per_row(lambda block: rate.weights(design, block).sum(axis=0))
        return {"case": np.ones(design.n_rows), "control": sums}
    pairs = []
    for block in design.blocks:
        baseline = rate.baseline(block)
        control = (rate.weights(design, block) * baseline).sum(axis=0)
        pairs.append((baseline[block.at_case], control))
    case, control = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return {"case": case, "control": control}


def intent_terms(design: Design, rate: RelativeRate) -> tuple[Floats, Floats]:
    """The columns that stand for intent: at the case, and summed over control days.

    Both have the shape `(n_rows, n_spans · n_channels)`: past and future touchpoints of each
    channel, faded by the same half-life on both sides. A touchpoint is future until it was met; it
    is past from when it counts, as for effects: between the two it stands for nothing, because what
    brings about a touchpoint shortly before a conversion need not be intent that moves in days.
    """
    spans = [(span, np.full(design.n_channels, span)) for span in rate.spans.tolist()]

    def of_block(block: ControlDays) -> Floats:
        weights, met = rate.weights(design, block), block.as_met
        carried = [block.carried(half) + met.ahead(span) for span, half in spans]
        exposure = [
            block.exposure(weights, half) + met.exposure_ahead(weights, span)
            for span, half in spans
        ]
        return np.hstack(carried + exposure)

    columns = design.per_row(of_block)
    return columns[:, : columns.shape[1] // 2], columns[:, columns.shape[1] // 2 :]


def joint_terms(design: Design, rate: RelativeRate) -> Terms:
    """The likelihood as a function of β and then δ, given the rest; of β alone without spans."""
    terms = channel_terms(design, replace(rate, intent=np.zeros_like(rate.intent)))
    if not len(rate.spans):
        return terms
    carried, exposure = intent_terms(design, rate)
    return replace(
        terms,
        carried=np.hstack([terms.carried, carried]),
        exposure=np.hstack([terms.exposure, exposure]),
    )


def grid_terms(design: Design, rate: RelativeRate) -> Terms:
    """The likelihood as a function of β at every half-life of the grid, given f, d and m.

    Columns go half-life by half-life, and channel by channel within each half-life:
    `(n_rows, 7 · n_channels)`.
    """
    halves = [np.full(design.n_channels, half_life) for half_life in GRID.tolist()]

    def of_block(block: ControlDays) -> Floats:
        weights = rate.weights(design, block)
        carried = [block.carried(half) for half in halves]
        return np.hstack(carried + [block.exposure(weights, half) for half in halves])

    columns = design.per_row(of_block)
    k = columns.shape[1] // 2
    return Terms(columns[:, :k], columns[:, k:], **_constants(design, rate), weight=design.weight)


# Fits: each returns a rate in which some of the parameters have changed.


def fit_effects(design: Design, rate: RelativeRate) -> tuple[RelativeRate, float]:
    """The rate with the β of maximum likelihood, given the rest, and the log-likelihood."""
    effect, value = maximise_conditional(channel_terms(design, rate), rate.effect)
    fitted = replace(rate, effect=effect)
    return fitted, value + log_weights(design, fitted)


def fit_effects_and_intent(
    design: Design, rate: RelativeRate, spans: Floats
) -> tuple[RelativeRate, float]:
    """The rate with the β and δ of maximum likelihood, fitted together, and the log-likelihood.

    Args:
        design: the conversions.
        rate: where to start; its own δ is the start where the spans are the same.
        spans: half-lives of the touchpoints that are to stand for intent; infinite for frailty.
    """
    intent = np.zeros((len(spans), design.n_channels))
    if np.array_equal(spans, rate.spans):
        intent = rate.intent
    rate = replace(rate, spans=spans, intent=intent)
    fitted, value = fit_joint_terms(joint_terms(design, rate), rate)
    return fitted, value + log_weights(design, fitted)


def fit_joint_terms(terms: Terms, rate: RelativeRate) -> tuple[RelativeRate, float]:
    """The rate with the β and δ that maximise `joint_terms`, and the value of these terms."""
    start = np.concatenate([rate.effect, rate.intent.ravel()])
    both, value = maximise_conditional(terms, start)
    n = len(rate.effect)
    return replace(rate, effect=both[:n], intent=both[n:].reshape(rate.intent.shape)), value


def log_weights(design: Design, rate: RelativeRate) -> float:
    """The sum of log weights at the cases: the part of log L that is not in `Terms`."""

    def at_case(block: ControlDays) -> Floats:
        return rate.weights(design, block)[block.at_case]

    return float(design.weight @ np.log(design.per_row(at_case)))


def fit_time_factors(design: Design, rate: RelativeRate, calendar: bool) -> RelativeRate:
    """The rate with f and d moved towards maximum likelihood, given the rest.

    Each value is multiplied by (conversions + 20) / (expected conversions + 20), three times: a
    multiplicative step uphill, shrunk so that it does not follow noise.

    Args:
        design: the conversions.
        rate: where to start.
        calendar: whether f is fitted too, and not only d.
    """
    n_ages = rate.depletion.shape[1]
    f, d = rate.calendar.copy(), rate.depletion.copy()
    cells = [
        (b.week, *np.broadcast_arrays(_age(b.n_days, n_ages)[:, None], design.group[b.event]))
        for b in design.blocks
    ]
    rates = [rate.rate(block) * block.compared for block in design.blocks]

    def expected() -> tuple[Floats, Floats]:
        weeks, ages = np.zeros_like(f), np.zeros_like(d)
        for block, each, (week, age, group) in zip(design.blocks, rates, cells, strict=True):
            chance = each * f[week]
            if d.size > 1:
                chance *= d[group, age]
            chance *= design.weight[block.event] / chance.sum(axis=0)
            weeks += np.bincount(week.ravel(), chance.ravel(), f.size)
            if d.size > 1:
                ages += _tabulated(group, age, chance, d.shape)
        return weeks, ages

    seen_weeks, seen_ages = np.zeros_like(f), np.zeros_like(d)
    for block, (week, age, group) in zip(design.blocks, cells, strict=True):
        at, weight = block.at_case, design.weight[block.event]
        seen_weeks += np.bincount(week[at], weight, f.size)
        if d.size > 1:
            seen_ages += _tabulated(group[at], age[at], weight, d.shape)
    for _ in range(_STEPS):
        weeks, ages = expected()
        if calendar:
            f *= (seen_weeks + _INERTIA) / (weeks + _INERTIA)
        if d.size > 1:
            if calendar:
                _, ages = expected()
            d *= (seen_ages + _INERTIA) / (ages + _INERTIA)
    return replace(rate, calendar=f, depletion=d)


def _tabulated(group: Ints, age: Ints, amount: Floats, shape: tuple[int, ...]) -> Floats:
    """Amounts summed by group and age, in the given shape `(n_groups, n_ages)`."""
    cell = group * shape[1] + age
    total = np.bincount(cell.ravel(), amount.ravel(), shape[0] * shape[1])
    return total.astype(np.float64).reshape(shape)


def fit_half_lives(design: Design, rate: RelativeRate) -> RelativeRate:
    """The rate with half-lives by profile likelihood, given f, d and m.

    All channels share one below 1,000 conversions.
    """
    n = design.n_channels
    if not n:
        return rate
    stride = max(1, -(-design.n_rows * n * n // _MAX_SEARCHED))
    terms = grid_terms(design, rate).rows(slice(None, None, stride))
    each = np.arange(n)

    def log_likelihood(choice: Ints) -> float:
        return maximise_conditional(terms.columns(choice * n + each), rate.effect)[1] * stride

    if terms.weight.sum() * stride < MIN_FOR_OWN_HALF_LIVES:
        scores = [log_likelihood(np.full(n, place)) for place in range(len(GRID))]
        return replace(rate, half_life=np.full(n, GRID[int(np.argmax(scores))]))
    volume = terms.weight @ terms.exposure[:, 2 * n : 3 * n]
    return replace(rate, half_life=GRID[profile(log_likelihood, n, np.argsort(-volume))])
