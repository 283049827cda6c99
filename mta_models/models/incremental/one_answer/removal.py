"""Removals: the conversions lost without some exposure, with gradients, and the game of channels.

A conversion at T has the relative rate λ_N = m + Σ_c θ_c a_c. Of the observed effect θ_c only β_c
is caused; the bias θ_c − β_c belongs to the baseline. With q taken from the integral of λ_N over
the horizon H, the same user converts by H (`converter_games`) with probability

    kept = clip((Λ_N(H) − q − Λ_N(T⁻)) / λ_N(T), 0, 1) = clip((room − q) / step, 0, 1),

where room is the integral of λ_N from the conversion to H. Room and step are linear in θ, and
q = Σ_c out_c β_c is linear in β: a few arrays with a row per conversion replace the grids of days.
Where users convert again, room and step are both the integral over the whole span, so that each
conversion is split in proportion to what the integral is made of.

Where q < 0 the removal adds conversions, of users who have not converted. It is taken to add what a
removal of −q would take away, which is right to first order in q and needs no frailty.

An entrance may also close purchases that were decided otherwise: without it a part φ_c of the
purchases that it was met before would not have happened. Then

    v_i(S) = kept_i(S) · Π_{c ∉ S} (1 − φ_c near_ic).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.orders import gains_along, random_orders
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays
from mta_models.models.incremental.self_controlled.converter_games import (
    Thresholds,
    first_conversion_game,
)
from mta_models.models.incremental.self_controlled.relative_rate import Design, RelativeRate

_LEAST = 1e-6  # of a rate relative to the user's baseline
_PAIRS = 32  # sampled orders of arrival, each with its reverse, where an entrance closes purchases


@dataclass(frozen=True, eq=False)
class Linear:
    """A number for each conversion that is linear in θ: constant_i + Σ_c slope_ic θ_c.

    Attributes:
        constant: shape `(n_rows,)`.
        slope: shape `(n_rows, n_channels)`.
    """

    constant: Floats
    slope: Floats

    def at(self, observed: Floats) -> Floats:
        """The numbers at a θ of shape `(n_channels,)`, shape `(n_rows,)`."""
        values: Floats = self.constant + self.slope @ observed
        return values

    def take(self, rows: Ints) -> Linear:
        """Some of the rows."""
        return Linear(self.constant[rows], self.slope[rows])

    def columns(self, channels: Ints) -> Linear:
        """The same with the channels in another order."""
        return Linear(self.constant, self.slope[:, channels])


@dataclass(frozen=True, eq=False)
class Effects:
    """What channels do.

    Attributes:
        observed: θ, shape `(n_channels,)`, what a fresh touchpoint of a channel adds to the rate,
            in units of its user's baseline.
        caused: β, shape `(n_channels,)`, the causal part of θ.
        closing: φ, shape `(n_channels,)`, from 0 to 1.
    """

    observed: Floats
    caused: Floats
    closing: Floats

    def columns(self, channels: Ints) -> Effects:
        """The same with the channels in another order."""
        return Effects(self.observed[channels], self.caused[channels], self.closing[channels])


@dataclass(frozen=True, eq=False)
class Removals:
    """What decides which conversions are lost without a channel, one row per conversion.

    Attributes:
        weight: shape `(n_rows,)`, conversions that each row stands for.
        room: the integral of λ_N from the conversion to the horizon.
        step: λ_N at the conversion.
        out: shape `(n_rows, n_channels)`, the integral over the span of each channel's adstock, of
            touchpoints met in the span.
        near: shape `(n_rows, n_channels)`, 1 if the channel, an entrance, was met shortly before
            the conversion, else 0.
    """

    weight: Floats
    room: Linear
    step: Linear
    out: Floats
    near: Floats

    @classmethod
    def from_fit(
        cls,
        design: Design,
        rate: RelativeRate,
        repeat: bool,
        near: Floats | None = None,
        span: tuple[float, float] = (-np.inf, np.inf),
    ) -> Removals:
        """Of a fit's conversions in a span of time.

        Args:
            design: the conversions.
            rate: fitted; its half-lives and its baseline are used, its effects are not.
            repeat: whether users convert again.
            near: of all conversions of the design; None: no channel is an entrance.
            span: start and end in days from the log's start; the end is the horizon. Of touchpoints
                before the start the carry-over stays.
        """
        half_life, (since, until) = rate.half_life, span

        def of_block(block: ControlDays) -> Floats:
            day = np.arange(block.n_days)[:, None]
            time = block.first + day
            inside = block.observed * ((time > since) & (time <= until))
            ahead = inside if repeat else inside * (day >= block.case)
            baseline = rate.baseline(block)
            room = (baseline * ahead).sum(axis=0), block.exposure(ahead, half_life)
            step = room if repeat else (baseline[block.at_case], block.carried(half_life))
            out = block.met_after(since).exposure(inside, half_life)
            tested = inside[block.at_case]
            return np.column_stack([tested, room[0], step[0], room[1], step[1], out])

        rows = design.per_row(of_block)
        tested = np.flatnonzero((rows[:, 0] > 0) & (design.weight > 0))
        _, room, step = rows[tested, :3].T
        ahead, at_case, out = np.split(rows[tested, 3:], 3, axis=1)
        return cls(
            design.weight[tested],
            Linear(room, ahead),
            Linear(step, at_case),
            out,
            # Every imputed copy of a conversion has the conversion's entrances.
            np.zeros_like(out) if near is None else near[tested % len(near)],
        )

    @property
    def total(self) -> float:
        """Conversions."""
        return float(self.weight.sum())

    def take(self, rows: Ints) -> Removals:
        """Some of the rows."""
        room, step = self.room.take(rows), self.step.take(rows)
        return Removals(self.weight[rows], room, step, self.out[rows], self.near[rows])

    def columns(self, channels: Ints) -> Removals:
        """The same with the channels in another order."""
        room, step = self.room.columns(channels), self.step.columns(channels)
        return Removals(self.weight, room, step, self.out[:, channels], self.near[:, channels])

    def reweighted(self, weight: Floats) -> Removals:
        """The same rows with other weights, shape `(n_rows,)`."""
        return replace(self, weight=weight)

    def met(self, channels: Mask) -> Removals:
        """The conversions that would be touched by removing some channels, `(n_channels,)`."""
        there = (self.out[:, channels] > 0) | (self.near[:, channels] > 0)
        return self.take(np.flatnonzero(there.any(axis=1)))

    # Removal.

    def lost(self, effects: Effects, removed: Floats) -> float:
        """Conversions lost when parts of the channels' exposure are taken away.

        Args:
            effects: of the channels.
            removed: the part of each channel's exposure that is taken away, `(n_channels,)`; below
                0 where some is added.
        """
        open_ = self._open(effects, removed)
        lost = self._lost(effects, self.out @ (removed * effects.caused))
        return float((self.weight * open_) @ lost + self.weight @ (1 - open_))

    def slopes(self, effects: Effects, removed: Floats) -> tuple[float, Floats, Floats]:
        """`lost`, and its gradients by θ and by β, each of shape `(n_channels,)`.

        Exact wherever `lost` is differentiable: it is piecewise smooth.
        """
        q = self.out @ (removed * effects.caused)
        lost, step = self._lost(effects, q), self._step(effects)
        open_ = self._open(effects, removed)
        weight = self.weight * open_
        inside = (np.abs(lost) > 0) & (np.abs(lost) < 1)
        by_q = np.where(inside, weight / step, 0.0)
        sign = np.sign(q)
        by_observed = (by_q * (sign - lost)) @ self.step.slope - (by_q * sign) @ self.room.slope
        value = float(weight @ lost + self.weight @ (1 - open_))
        return value, by_observed, removed * (by_q @ self.out)

    def each_lost(self, effects: Effects) -> Floats:
        """Conversions lost without each channel alone, shape `(n_channels,)`."""
        open_ = 1 - self.near * effects.closing
        lost = self._lost(effects, self.out * effects.caused)
        each: Floats = self.weight @ (1 - (1 - lost) * open_)
        return each

    def _open(self, effects: Effects, removed: Floats) -> Floats:
        """The part of each conversion that does not need an entrance removed, `(n_rows,)`."""
        closing = np.clip(effects.closing * removed, 0, 1)
        used = closing > 0
        open_: Floats = np.prod(1 - self.near[:, used] * closing[used], axis=1)
        return open_

    def _lost(self, effects: Effects, q: Floats) -> Floats:
        """1 − kept, in the shape of q; below 0 where q is.

        Args:
            effects: of the channels.
            q: shape `(n_rows,)`, or `(n_rows, n)` for n removals.
        """
        step, room = self._step(effects), self.room.at(effects.observed)
        if q.ndim == 2:
            step, room = step[:, None], room[:, None]
        kept = np.clip((room - np.abs(q)) / step, 0, 1)
        lost: Floats = np.sign(q) * (1 - kept)
        return lost

    def _step(self, effects: Effects) -> Floats:
        """λ_N at the conversion, `(n_rows,)`; above 0 also where negative effects meet."""
        return np.maximum(self.step.at(effects.observed), _LEAST)

    # The game of channels.

    def game(self, effects: Effects) -> HorizonGame:
        """Conversions over the horizon as a game of channels, solved.

        A channel with a negative effect has as its credit the (negative) removal, which is its
        Shapley value to first order in its effect; the others share out what is caused while it
        is on.
        """
        closed = (self.near * effects.closing > 0).any(axis=1)
        rest = self.take(np.flatnonzero(~closed))
        shapley = first_conversion_game(rest._thresholds(effects), rest.weight).shapley
        if closed.any():
            some, rng = self.take(np.flatnonzero(closed)), np.random.default_rng(0)
            pairs = [some._gains(effects, some.orders(rng)) for _ in range(_PAIRS)]
            shapley = shapley + sum(pairs) / _PAIRS
        return self._solved(effects, shapley)

    def sampled_game(self, effects: Effects, orders: Ints) -> HorizonGame:
        """`game` along one order of arrival for each row, and its reverse.

        Args:
            effects: of the channels.
            orders: shape `(n_rows, n_channels)`, see `orders`.
        """
        return self._solved(effects, self._gains(effects, orders))

    def orders(self, rng: np.random.Generator) -> Ints:
        """A random order of arrival for each row, shape `(n_rows, n_channels)`."""
        return random_orders(self.out.shape[1], (len(self.weight),), rng)

    def _solved(self, effects: Effects, shapley: Floats) -> HorizonGame:
        removal = self.each_lost(effects)
        shapley = np.where(effects.caused < 0, removal, shapley)
        return HorizonGame(shapley, removal, self.total - float(shapley.sum()), self.total)

    def _thresholds(self, effects: Effects) -> Thresholds:
        """Of channels with positive effects; the others are always on."""
        part = self.out * np.maximum(effects.caused, 0)
        room = self.room.at(effects.observed)
        return Thresholds(room - part.sum(axis=1), part, self._step(effects))

    def _gains(self, effects: Effects, orders: Ints) -> Floats:
        """The mean gain of each channel along orders and their reverses, `(n_channels,)`."""
        thresholds = self._thresholds(effects)
        scaled = thresholds.part / thresholds.step[:, None]
        alone = (thresholds.alone / thresholds.step)[:, None]
        shut = 1 - self.near * effects.closing
        gains = np.zeros(len(effects.caused))
        for order in (orders, orders[:, ::-1]):
            arriving = np.take_along_axis(scaled, order, axis=1)
            reached = np.concatenate([alone, alone + np.cumsum(arriving, axis=1)], axis=1)
            value = np.clip(reached, 0, 1)
            if effects.closing.any():
                missing = np.take_along_axis(shut, order, axis=1)[:, ::-1]
                value[:, :-1] *= np.cumprod(missing, axis=1)[:, ::-1]
            gains += self.weight @ gains_along(order, value) / 2
        return gains
