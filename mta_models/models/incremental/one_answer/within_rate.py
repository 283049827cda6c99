"""The relative rate of `Incremental`: that of `SelfControlled`, with more that is not credited.

    λ_i(s) = f(week of s) · d(group, days observed) · ρ(since) · ρ(until) ·
             (m_i(s) + Σ_k δ_k B_ik(s) + Σ_c β_c a_c(s))

B are the columns of `background`, ρ the distances of `spacing`; where users buy again d is 1, and
elsewhere ρ is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.half_lives import GRID, profile
from mta_models.models.incremental.one_answer.background import Column
from mta_models.models.incremental.one_answer.spacing import (
    N_DISTANCES,
    SpacedDays,
    spacing_counts,
)
from mta_models.models.incremental.self_controlled.conditional_likelihood import (
    Terms,
    maximise_conditional,
)
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays
from mta_models.models.incremental.self_controlled.relative_rate import (
    MIN_FOR_OWN_HALF_LIVES,
    Design,
    RelativeRate,
    channel_terms,
    constant_rate,
    fit_time_factors,
    grid_terms,
    intent_terms,
    log_weights,
)

# Pseudo-conversions that shrink each step of f and ρ, and number of steps.
_INERTIA, _STEPS = 20.0, 3
# Maximum of conversions × channels² in the search for half-lives; of more, some are used.
_MAX_SEARCHED = 2_000_000


@dataclass(frozen=True, eq=False)
class AnswerRate(RelativeRate):
    """The parameters of λ.

    Attributes:
        columns: B.
        amount: δ, shape `(n_columns,)`, >= 0.
        spacing: ρ, shape `(n_distances,)`, or None where users buy once.
    """

    columns: tuple[Column, ...] = ()
    amount: Floats = field(default_factory=lambda: np.zeros(0))
    spacing: Floats | None = None

    @property
    def moves(self) -> bool:
        """Whether the part that is not credited differs from 1."""
        return super().moves or bool(self.amount.any())

    def weights(self, design: Design, block: ControlDays) -> Floats:
        """The product f d ρ ρ on the case and its control days, `(n_days, n_rows)`."""
        weights = super().weights(design, block)
        if self.spacing is not None and isinstance(block, SpacedDays):
            weights *= self.spacing[block.since] * self.spacing[block.until]
        return weights

    def baseline(self, block: ControlDays) -> Floats:
        """All that no channel is credited with, shape `(n_days, n_rows)`."""
        baseline = super().baseline(block)
        for column, amount in zip(self.columns, self.amount, strict=True):
            if amount > 0:
                baseline = baseline + amount * _grid(block, column)
        return baseline


def start_rate(
    design: Design, columns: tuple[Column, ...], n_groups: int, repeat: bool
) -> AnswerRate:
    """A rate without effects."""
    constant = constant_rate(design, 0 if repeat else n_groups)
    return AnswerRate(
        half_life=constant.half_life,
        effect=constant.effect,
        calendar=constant.calendar,
        depletion=constant.depletion,
        spans=constant.spans,
        intent=constant.intent,
        columns=columns,
        amount=np.zeros(len(columns)),
        spacing=np.ones(N_DISTANCES) if repeat else None,
    )


def _grid(block: ControlDays, column: Column) -> Floats:
    return block.adstock(column.weight, np.full(block.n_channels, column.half_life))


@dataclass(frozen=True, eq=False)
class Free:
    """Which parameters may differ from 0.

    Attributes:
        effect: shape `(n_channels,)`, 1 for channels that may have an effect, else 0.
        intent: shape `(n_channels,)`, 1 for channels whose touchpoints may stand for moving intent.
    """

    effect: Floats
    intent: Floats


def joint_columns(design: Design, rate: AnswerRate, free: Free) -> Terms:
    """The likelihood as a function of β, then δ of the columns, then of moving intent."""
    bare = replace(rate, intent=np.zeros_like(rate.intent), amount=np.zeros(len(rate.columns)))
    terms = channel_terms(design, bare)
    carried, exposure = [terms.carried * free.effect], [terms.exposure * free.effect]
    if rate.columns:
        at_case, summed = _column_terms(design, rate)
        carried.append(at_case)
        exposure.append(summed)
    if len(rate.spans):
        at_case, summed = intent_terms(design, rate)
        allowed = np.concatenate(
            [free.intent if np.isfinite(span) else np.ones_like(free.intent) for span in rate.spans]
        )
        carried.append(at_case * allowed)
        exposure.append(summed * allowed)
    return replace(terms, carried=np.hstack(carried), exposure=np.hstack(exposure))


def _column_terms(design: Design, rate: AnswerRate) -> tuple[Floats, Floats]:
    def of_block(block: ControlDays) -> Floats:
        weights, case, summed = rate.weights(design, block), [], []
        for column in rate.columns:
            grid = _grid(block, column)
            case.append(grid[block.at_case])
            summed.append((grid * weights).sum(axis=0))
        return np.stack([*case, *summed], axis=1)

    both = design.per_row(of_block)
    k = len(rate.columns)
    return both[:, :k], both[:, k:]


def parameters_of(rate: AnswerRate) -> Floats:
    """β, δ of the columns and of moving intent, in the order of `joint_columns`."""
    return np.concatenate([rate.effect, rate.amount, rate.intent.ravel()])


def with_parameters(rate: AnswerRate, values: Floats) -> AnswerRate:
    """The rate with other values of `parameters_of`."""
    n, k = len(rate.effect), len(rate.columns)
    return replace(
        rate,
        effect=values[:n],
        amount=values[n : n + k],
        intent=values[n + k :].reshape(rate.intent.shape),
    )


def fit_rate(design: Design, rate: AnswerRate, free: Free) -> tuple[AnswerRate, float]:
    """The rate with β and δ of maximum likelihood, given the rest, and the log-likelihood."""
    start = parameters_of(rate)
    start[: len(rate.effect)] *= free.effect
    values, value = maximise_conditional(joint_columns(design, rate, free), start)
    fitted = with_parameters(rate, values)
    return fitted, value + log_weights(design, fitted)


def fit_time(design: Design, rate: AnswerRate) -> AnswerRate:
    """The rate with f, and d or ρ, moved towards maximum likelihood."""
    if rate.spacing is None:
        moved = fit_time_factors(design, rate, calendar=True)
        return replace(rate, calendar=moved.calendar, depletion=moved.depletion)
    return _fit_spacing(design, rate, rate.spacing)


def _fit_spacing(design: Design, rate: AnswerRate, spacing: Floats) -> AnswerRate:
    """Move f and ρ in turn, each value times (conversions + 20) / (expected conversions + 20).

    A conversion counts for both of its distances, so ρ moves by the root of that.
    """
    calendar, spacing = rate.calendar.copy(), spacing.copy()
    blocks = [block for block in design.blocks if isinstance(block, SpacedDays)]
    rates = [rate.rate(block) * block.compared for block in blocks]

    def chances() -> list[Floats]:
        all_ = []
        for block, each in zip(blocks, rates, strict=True):
            chance = each * calendar[block.week] * spacing[block.since] * spacing[block.until]
            all_.append(chance * (design.weight[block.event] / chance.sum(axis=0)))
        return all_

    def weeks(amounts: list[Floats]) -> Floats:
        total = np.zeros(len(calendar))
        for block, each in zip(blocks, amounts, strict=True):
            total += np.bincount(block.week.ravel(), each.ravel(), len(calendar))
        return total

    def distances(amounts: list[Floats]) -> Floats:
        total = np.zeros(len(spacing))
        for block, each in zip(blocks, amounts, strict=True):
            total += spacing_counts(block, each)
        return total

    cases = []
    for block in blocks:
        case = np.zeros(block.compared.shape)
        case[block.at_case] = design.weight[block.event]
        cases.append(case)
    seen_weeks, seen_distances = weeks(cases), distances(cases)
    for _ in range(_STEPS):
        calendar *= (seen_weeks + _INERTIA) / (weeks(chances()) + _INERTIA)
        spacing *= np.sqrt((seen_distances + _INERTIA) / (distances(chances()) + _INERTIA))
        spacing /= spacing[-1]
    return replace(rate, calendar=calendar, spacing=spacing)


def some_rows(design: Design, most: int | None = None) -> Ints:
    """Conversions that stand for all, in their order: all, or every n-th if there are too many.

    They are counted off by time, so that the choice does not depend on the order of users.

    Args:
        design: the conversions.
        most: maximum; None: as many as the search for half-lives needs.
    """
    searched = _MAX_SEARCHED // max(design.n_channels, 1) ** 2
    most = max(1, searched if most is None else min(most, searched))
    step = -(-design.n_rows // most)
    if step <= 1:
        return np.arange(design.n_rows)

    def keys(block: ControlDays) -> Floats:
        met = np.bincount(block.row, block.slot + block.delay, block.n_rows)
        return np.stack([met, block.size, block.case, block.first + block.case], axis=1)

    return np.sort(np.lexsort(design.per_row(keys).T)[::step])


def at_rows(terms: Terms, rows: Ints) -> Terms:
    """Some of the rows, which weigh as much as all together."""
    some = terms.rows(rows)
    scale = terms.weight.sum() / max(float(some.weight.sum()), 1e-300)
    return replace(some, weight=some.weight * scale)


def half_life_terms(design: Design, rate: AnswerRate, free: Free, rows: Ints) -> Terms:
    """The likelihood of β at every half-life of the grid, as `grid_terms`, for free channels.

    Args:
        design: the conversions.
        rate: of which everything but effects and half-lives is taken.
        free: which channels may have an effect.
        rows: those of `some_rows`, which stand for all.
    """
    terms = at_rows(grid_terms(design, rate), rows)
    allowed = np.tile(free.effect, len(GRID))
    return replace(terms, carried=terms.carried * allowed, exposure=terms.exposure * allowed)


def fit_half_lives(design: Design, rate: AnswerRate, free: Free) -> AnswerRate:
    """The rate with half-lives by profile likelihood, given the rest.

    All channels share one below 1,000 conversions.
    """
    terms, n = half_life_terms(design, rate, free, some_rows(design)), len(rate.effect)
    each = np.arange(n)

    def log_likelihood(choice: Ints) -> float:
        return maximise_conditional(terms.columns(choice * n + each), rate.effect)[1]

    if terms.weight.sum() < MIN_FOR_OWN_HALF_LIVES:
        scores = [log_likelihood(np.full(n, place)) for place in range(len(GRID))]
        return replace(rate, half_life=np.full(n, GRID[int(np.argmax(scores))]))
    volume = terms.weight @ terms.exposure[:, 2 * n : 3 * n]
    return replace(rate, half_life=GRID[profile(log_likelihood, n, np.argsort(-volume))])
