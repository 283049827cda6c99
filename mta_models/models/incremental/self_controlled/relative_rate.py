"""The relative rate of converting on each control day, and its fit.

    λ_i(s) = f(week of s) · d(group of i, days observed until s) · (m_i(s) + Σ_c β_c a_c(s))

f is calendar time; d is how those at risk thin out, in groups of equal volume of touchpoints: of
users who convert once, the keenest leave first, and who meets more touchpoints may be keener; m is
intent that moves (`moving_intent`), 1 where it does not. A user's own level multiplies all of it
and is nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.half_lives import GRID, profile
from mta_models.models.incremental.self_controlled.conditional_likelihood import (
    Terms,
    maximise_conditional,
)
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays

# Days observed at which the next value of d begins; weeks from the last one on.
_AGES = (1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 22, 28)
# Conversions that one value of f or d is pulled towards the last by, and rounds of pulling.
_INERTIA, _ROUNDS = 20.0, 3
# A common half-life for fewer conversions; others need as many to be told apart.
FEW = 1000
# Conversions × channels² looked at in the search for half-lives.
_SEARCHED = 2_000_000


@dataclass(frozen=True, eq=False)
class Design:
    """All conversions with their control days, and what they count for.

    Attributes:
        blocks: one after the other, in the conversions' order.
        group: shape `(n_rows,)`, the group of each conversion's user by volume of touchpoints.
        weight: shape `(n_rows,)`, conversions that each stands for.
    """

    blocks: list[ControlDays]
    group: Ints
    weight: Floats

    @property
    def n_channels(self) -> int:
        """Channels declared."""
        return self.blocks[0].n_channels

    @property
    def n_rows(self) -> int:
        """Conversions."""
        return len(self.weight)

    def per_row(self, of_block: Callable[[ControlDays], Floats]) -> Floats:
        """What a function says of the rows of each block, shape `(n_rows, …)`."""
        return np.concatenate([of_block(block) for block in self.blocks])


@dataclass(frozen=True, eq=False)
class RelativeRate:
    """The parameters of λ.

    Attributes:
        half_life: shape `(n_channels,)`, days.
        effect: β, shape `(n_channels,)`.
        calendar: f, shape `(n_weeks,)`, from the log's start.
        depletion: d, shape `(n_groups, n_ages)`.
        spans: shape `(n_spans,)`, half-lives of moving intent; infinite for a user's own level.
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
        """Whether intent moves."""
        return bool(self.intent.any())

    def weights(self, design: Design, block: ControlDays) -> Floats:
        """F · d on the days that are compared, 0 on others, shape `(n_days, n_rows)`."""
        weights = block.weighs * self.calendar[np.minimum(block.week, len(self.calendar) - 1)]
        if self.depletion.size > 1:
            group = design.group[block.event]
            weights *= self.depletion[group].T[_age(block.n_days, self.depletion.shape[1])]
        return weights

    def alone(self, block: ControlDays) -> Floats:
        """m, what no touchpoint causes, shape `(n_days, n_rows)`."""
        found = np.ones(block.weighs.shape)
        for span, effect in zip(self.spans.tolist(), self.intent, strict=True):
            if effect.any():
                found += block.adstock(effect, np.full(block.n_channels, span))
                found += block.adstock_ahead(effect, span)
        return found

    def rate(self, block: ControlDays) -> Floats:
        """M + Σ_c β_c a_c, shape `(n_days, n_rows)`."""
        return self.alone(block) + self.caused(block)

    def caused(self, block: ControlDays) -> Floats:
        """Σ_c β_c a_c, shape `(n_days, n_rows)`."""
        return block.adstock(self.effect, self.half_life)


def _age(n_days: int, n_ages: int) -> Ints:
    """Which value of d each day of observation has, shape `(n_days,)`."""
    return np.minimum(np.searchsorted(_ages(n_days), np.arange(n_days), side="right"), n_ages - 1)


def _ages(n_days: int) -> Ints:
    return np.concatenate([_AGES, np.arange(_AGES[-1] + 7, max(n_days, _AGES[-1] + 8), 7)])


def plain_rate(design: Design, n_groups: int) -> RelativeRate:
    """A rate with f, d and m at 1 and no effects; without groups d stays 1."""
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
    """What the likelihood holds that no β multiplies."""
    if not rate.moves:
        sums = design.per_row(lambda block: rate.weights(design, block).sum(axis=0))
        return {"case": np.ones(design.n_rows), "control": sums}
    pairs = []
    for block in design.blocks:
        alone = rate.alone(block)
        pairs.append((alone[block.at_case], (rate.weights(design, block) * alone).sum(axis=0)))
    case, control = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return {"case": case, "control": control}


def intent_terms(design: Design, rate: RelativeRate) -> tuple[Floats, Floats]:
    """What stands for moving intent at the case, and its sum over control days.

    Both of shape `(n_rows, n_spans · n_channels)`: past and future touchpoints of each channel,
    faded alike to both sides.
    """
    spans = [(span, np.full(design.n_channels, span)) for span in rate.spans.tolist()]

    def of_block(block: ControlDays) -> Floats:
        weights = rate.weights(design, block)
        carried = [block.carried(half) + block.ahead(span) for span, half in spans]
        exposure = [
            block.exposure(weights, half) + block.exposure_ahead(weights, span)
            for span, half in spans
        ]
        return np.hstack(carried + exposure)

    found = design.per_row(of_block)
    return found[:, : found.shape[1] // 2], found[:, found.shape[1] // 2 :]


def with_effects(design: Design, rate: RelativeRate) -> tuple[RelativeRate, float]:
    """The rate with the β of greatest likelihood, and the log-likelihood."""
    effect, value = maximise_conditional(channel_terms(design, rate), rate.effect)
    found = replace(rate, effect=effect)
    return found, value + _of_weights(design, found)


def with_effects_and_intent(
    design: Design, rate: RelativeRate, spans: Floats
) -> tuple[RelativeRate, float]:
    """The rate with β and δ of greatest likelihood, found together, and the log-likelihood.

    Args:
        design: the conversions.
        rate: where to start; its own δ is the start where the spans are the same.
        spans: half-lives of what is to stand for intent; infinite for a user's level.
    """
    intent = np.zeros((len(spans), design.n_channels))
    if np.array_equal(spans, rate.spans):
        intent = rate.intent
    rate = replace(rate, spans=spans, intent=intent)
    found, value = refitted(joint_terms(design, rate), rate)
    return found, value + _of_weights(design, found)


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


def refitted(terms: Terms, rate: RelativeRate) -> tuple[RelativeRate, float]:
    """The rate with the β and δ that maximise `joint_terms`, and their part of log L."""
    both, value = maximise_conditional(terms, np.concatenate([rate.effect, rate.intent.ravel()]))
    n = len(rate.effect)
    return replace(rate, effect=both[:n], intent=both[n:].reshape(rate.intent.shape)), value


def _of_weights(design: Design, rate: RelativeRate) -> float:
    """Σ log(f d) at the cases: the part of the log-likelihood that `Terms` does not see."""

    def at_case(block: ControlDays) -> Floats:
        return rate.weights(design, block)[block.at_case]

    return float(design.weight @ np.log(design.per_row(at_case)))


def with_time(design: Design, rate: RelativeRate, calendar: bool) -> RelativeRate:
    """The rate with f and d moved towards those of greatest likelihood.

    Each value becomes itself times (conversions + 20) / (expected conversions + 20), a few times:
    a multiplicative step uphill that inertia keeps from following noise.
    """
    n_ages = rate.depletion.shape[1]
    f, d = rate.calendar.copy(), rate.depletion.copy()
    cells = [
        (b.week, *np.broadcast_arrays(_age(b.n_days, n_ages)[:, None], design.group[b.event]))
        for b in design.blocks
    ]
    rates = [rate.rate(block) * block.weighs for block in design.blocks]

    def expected() -> tuple[Floats, Floats]:
        weeks, ages = np.zeros_like(f), np.zeros_like(d)
        for block, each, (week, age, group) in zip(design.blocks, rates, cells, strict=True):
            chance = each * f[week]
            if d.size > 1:
                chance *= d[group, age]
            chance *= design.weight[block.event] / chance.sum(axis=0)
            weeks += np.bincount(week.ravel(), chance.ravel(), f.size)
            if d.size > 1:
                ages += _tabled(group, age, chance, d.shape)
        return weeks, ages

    seen_weeks, seen_ages = np.zeros_like(f), np.zeros_like(d)
    for block, (week, age, group) in zip(design.blocks, cells, strict=True):
        at, weight = block.at_case, design.weight[block.event]
        seen_weeks += np.bincount(week[at], weight, f.size)
        if d.size > 1:
            seen_ages += _tabled(group[at], age[at], weight, d.shape)
    for _ in range(_ROUNDS):
        weeks, ages = expected()
        if calendar:
            f *= (seen_weeks + _INERTIA) / (weeks + _INERTIA)
        if d.size > 1:
            if calendar:
                _, ages = expected()
            d *= (seen_ages + _INERTIA) / (ages + _INERTIA)
    return replace(rate, calendar=f, depletion=d)


def _tabled(group: Ints, age: Ints, amount: Floats, shape: tuple[int, ...]) -> Floats:
    cell = group * shape[1] + age
    total = np.bincount(cell.ravel(), amount.ravel(), shape[0] * shape[1])
    return total.astype(np.float64).reshape(shape)


def grid_terms(design: Design, rate: RelativeRate) -> Terms:
    """The likelihood as a function of β at every half-life of the grid, given f, d and m.

    Columns are half-life by half-life, and channel by channel within: `(n_rows, 7 · n_channels)`.
    """
    halves = [np.full(design.n_channels, half_life) for half_life in GRID.tolist()]

    def of_block(block: ControlDays) -> Floats:
        weights = rate.weights(design, block)
        carried = [block.carried(half) for half in halves]
        return np.hstack(carried + [block.exposure(weights, half) for half in halves])

    found = design.per_row(of_block)
    k = found.shape[1] // 2
    return Terms(found[:, :k], found[:, k:], **_constants(design, rate), weight=design.weight)


def with_half_lives(design: Design, rate: RelativeRate) -> RelativeRate:
    """The rate with half-lives by profile likelihood, given f, d and m."""
    n = design.n_channels
    if not n:
        return rate
    stride = max(1, -(-design.n_rows * n * n // _SEARCHED))
    terms = grid_terms(design, rate).rows(slice(None, None, stride))
    each = np.arange(n)

    def log_likelihood(choice: Ints) -> float:
        return maximise_conditional(terms.columns(choice * n + each), rate.effect)[1] * stride

    if terms.weight.sum() * stride < FEW:
        scores = [log_likelihood(np.full(n, place)) for place in range(len(GRID))]
        return replace(rate, half_life=np.full(n, GRID[int(np.argmax(scores))]))
    volume = terms.weight @ terms.exposure[:, 2 * n : 3 * n]
    return replace(rate, half_life=GRID[profile(log_likelihood, n, np.argsort(-volume))])
