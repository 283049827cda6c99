"""Which converters would have converted anyway: a game of channels in which frailty cancels.

A user of frailty z converts for the first time at T, when z·Λ_N(T) reaches a threshold E ~ Exp(1).
Λ_S(t) is the integral until t of the relative hazard with the touchpoints of the channels S alone.
With the same threshold the same user converts by the horizon H under S iff

    Λ_S(H) ≥ Λ_N(T),

whatever z is. T is known to a day, over which Λ_N rises from Λ_N(T⁻) to Λ_N(T⁻) + λ_N(T). Within
the day every value of Λ_N is equally likely, so the probability that i converts under S is

    v_i(S) = clip((Λ_S,i(H) − Λ_N,i(T⁻)) / λ_N,i(T), 0, 1).

If no effect is negative, nobody converts under S who did not convert under all channels, so v,
summed over converters, is exact in expectation. Λ_S = Λ_∅ + Σ_{c ∈ S} part_c: a clipped sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.coalitions import MAX_PLAYERS, shapley_of_table
from mta_models.core.orders import gains_along, mean_gains, random_orders
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.models.incremental.horizon_games import HorizonGame

# Coalitions (rows × 2^d, or rows × orders × d) computed together.
_AT_ONCE = 1 << 22
_PAIRS = 64  # sampled orders of arrival, each with its reverse, for converters of more channels


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The integrals that decide who converts, one row per conversion.

    Attributes:
        alone: Λ_∅(H) − Λ_N(T⁻), shape `(n_rows,)`.
        part: what each channel adds to Λ(H), shape `(n_rows, n_channels)`, >= 0.
        step: λ_N(T), shape `(n_rows,)`, > 0.
    """

    alone: Floats
    part: Floats
    step: Floats

    def take(self, rows: Ints) -> Thresholds:
        """Some of the rows."""
        return Thresholds(self.alone[rows], self.part[rows], self.step[rows])


def first_conversion_game(thresholds: Thresholds, weight: Floats) -> HorizonGame:
    """The game v(S) = Σ_i w_i clip((alone_i + Σ_{c ∈ S} part_ic) / step_i, 0, 1), solved.

    Exact for converters of up to `MAX_PLAYERS` channels; for others averaged over sampled orders
    of arrival and their reverses, with a fixed seed. The gains along every order add up to the
    value of all channels, so their mean does too.

    Args:
        thresholds: of the converters.
        weight: shape `(n_rows,)`, conversions that each row stands for.

    Example:
        One converter, who converts with either of two channels and not without both:

        >>> row = Thresholds(np.array([-1.0]), np.array([[2.0, 2.0]]), np.ones(1))
        >>> first_conversion_game(row, np.ones(1)).shapley
        array([0.5, 0.5])
    """
    alone, part, step = thresholds.alone, thresholds.part, thresholds.step
    everyone = _clip((alone + part.sum(axis=1)) / step)
    nobody = _clip(alone / step)
    without = _clip((alone[:, None] + part.sum(axis=1)[:, None] - part) / step[:, None])
    removal = weight @ (everyone[:, None] - without)
    # Only converters who would not have converted without channels have credit to share.
    open_ = np.flatnonzero((everyone > nobody) & (weight > 0))
    shapley = np.zeros(part.shape[1])
    met = part[open_] > 0
    distinct = met.sum(axis=1)
    for size in np.unique(distinct).tolist():
        rows = open_[distinct == size]
        solve = _exact if size <= MAX_PLAYERS else _sampled
        budget = 1 << size if size <= MAX_PLAYERS else 2 * size
        each = max(1, _AT_ONCE // budget)
        for start in range(0, len(rows), each):
            some = rows[start : start + each]
            shapley += _by_channel(solve, thresholds.take(some), weight[some], size)
    return HorizonGame(shapley, removal, float(weight @ nobody), float(weight @ everyone))


def _by_channel(
    solve: Callable[[Floats, Floats], Floats], thresholds: Thresholds, weight: Floats, size: int
) -> Floats:
    """The values of rows with `size` channels each, by channel, shape `(n_channels,)`."""
    met: Mask = thresholds.part > 0
    code = np.nonzero(met)[1].reshape(-1, size)
    scaled = np.take_along_axis(thresholds.part, code, axis=1) / thresholds.step[:, None]
    value = solve(thresholds.alone / thresholds.step, scaled)
    amount = (value * weight[:, None]).ravel()
    return np.bincount(code.ravel(), amount, thresholds.part.shape[1]).astype(np.float64)


def _exact(alone: Floats, part: Floats) -> Floats:
    """Shapley values of each row's game, shape `(n_rows, d)`, from all 2^d coalitions."""
    table = alone[:, None]
    for channel in part.T:
        table = np.concatenate([table, table + channel[:, None]], axis=1)
    return shapley_of_table(_clip(table))


def _sampled(alone: Floats, part: Floats) -> Floats:
    """Shapley values of each row's game, shape `(n_rows, d)`, from orders and their reverses."""
    rng = np.random.default_rng(0)
    n, size = part.shape

    def gains(order: Ints) -> Floats:
        arriving = np.take_along_axis(part, order, axis=1)
        reached = alone[:, None] + np.cumsum(arriving, axis=1)
        return gains_along(order, _clip(np.concatenate([alone[:, None], reached], axis=1)))

    return mean_gains((random_orders(size, (n,), rng) for _ in range(_PAIRS)), gains)


def _clip(values: Floats) -> Floats:
    return np.clip(values, 0, 1)
