"""Control days: each conversion, and the same time of day on its user's other days.

A conversion at T is compared with the times T ± 1, 2, … days at which its user was observed. These
are the same time of day, so that the case differs from its controls only in the day. Given
the time of day, the probability that the conversion fell on this day and not on another is
λ(T) / Σ_s λ(s) exactly: nothing is rounded to a grid. Below, the "days" of a conversion are these
times, the case included.

Grids have the shape `(n_days, n_rows)`, days first, so that a recursion over days reads memory in
order; rows with fewer days end early, and weights beyond their end are 0. A grid has no dimension
of channels: sums of adstock over days are taken per touchpoint, from one filtered grid per
half-life (`exposure`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers, chunks, position, spread
from mta_models.data.histories import Histories

# Cells of a grid (days × rows) computed together: 32 MB a grid.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class ControlDays:
    """The days of some conversions, one row per conversion, and their users' touchpoints.

    Attributes:
        n_channels: of the journeys.
        event: shape `(n_rows,)`, the conversion among those of the histories.
        case: shape `(n_rows,)`, the day of the conversion, counted from the row's first day.
        size: shape `(n_rows,)`, number of days of the row.
        first: shape `(n_rows,)`, time of the row's first day.
        compared: shape `(n_days, n_rows)`, 1 for the case and its control days, else 0.
        row: shape `(n_pairs,)`, for each pair of a conversion and a touchpoint of its user.
        code: shape `(n_pairs,)`, the touchpoint's channel.
        slot: shape `(n_pairs,)`, the first day that has the touchpoint in its past; 0 if it came
            before all days, `size` of its row if it came after the last.
        delay: shape `(n_pairs,)`, days from the touchpoint to `slot`; from 0 to 1 where `slot > 0`.
        apart: the same days with touchpoints placed when they were met, where they count from
            later on; None: they count from when they were met.
        scale: shape `(n_pairs,)`, how many touchpoints each pair stands for, where a purchase
            changed later exposure; None: one.
    """

    n_channels: int
    event: Ints
    case: Ints
    size: Ints
    first: Floats
    compared: Floats
    row: Ints
    code: Numbers
    slot: Ints
    delay: Floats
    apart: ControlDays | None = None
    scale: Floats | None = None

    @property
    def as_met(self) -> ControlDays:
        """The same days with each touchpoint placed when it was met, to tell past from future."""
        return self if self.apart is None else self.apart

    @property
    def n_rows(self) -> int:
        """Conversions."""
        return len(self.case)

    @property
    def n_days(self) -> int:
        """Days of the longest row."""
        return len(self.compared)

    @property
    def at_case(self) -> tuple[Ints, Ints]:
        """Index of each row's case into a grid."""
        return self.case, np.arange(self.n_rows)

    @cached_property
    def observed(self) -> Floats:
        """1 for each day on which the user was observed, shape `(n_days, n_rows)`."""
        return (np.arange(self.n_days)[:, None] < self.size).astype(np.float64)

    @cached_property
    def week(self) -> Ints:
        """The week of each day, from the log's start, shape `(n_days, n_rows)`."""
        week: Ints = np.floor((self.first + np.arange(self.n_days)[:, None]) / 7).astype(np.int64)
        return np.maximum(week, 0)

    def met_after(self, time: float) -> ControlDays:
        """The same days with the touchpoints met after a time only; days from the log's start."""
        if time == -np.inf:
            return self
        kept = np.flatnonzero(self.first[self.row] + self.slot - self.delay > time)
        return replace(
            self,
            row=self.row[kept],
            code=self.code[kept],
            slot=self.slot[kept],
            delay=self.delay[kept],
            scale=None if self.scale is None else self.scale[kept],
        )

    @cached_property
    def _past(self) -> Ints:
        """Pairs whose touchpoint is in the past of at least one day."""
        return np.flatnonzero(self.slot < self.size[self.row])

    @cached_property
    def _between(self) -> Ints:
        """Pairs whose touchpoint is in the future of at least one day."""
        return np.flatnonzero(self.slot > 0)

    # Past touchpoints.

    def carried(self, half_life: Floats) -> Floats:
        """Adstock at the case, Σ 2^(−age / h) over earlier touchpoints, `(n_rows, n_channels)`."""
        age = self.case[self.row] - self.slot + self.delay
        part = np.flatnonzero(self.slot <= self.case[self.row])
        return self._by_channel(part, np.exp2(-age[part] / half_life[self.code[part]]))

    def exposure(self, weights: Floats, half_life: Floats) -> Floats:
        """Σ_s weight(s) a_c(s), shape `(n_rows, n_channels)`.

        The sum over days comes first, then that over touchpoints: what a touchpoint adds to all
        days from its slot on is a filter of the weights, run backwards.

        Args:
            weights: shape `(n_days, n_rows)`.
            half_life: shape `(n_channels,)`, days.
        """
        part = self._past
        sums = np.zeros(len(part))
        mine = half_life[self.code[part]]
        for each in np.unique(half_life):
            at = np.flatnonzero(mine == each)
            if len(at):
                ahead = backward(weights, each)
                pair = part[at]
                sums[at] = ahead[self.slot[pair], self.row[pair]]
        return self._by_channel(part, sums * np.exp2(-self.delay[part] / mine))

    def adstock(self, effect: Floats, half_life: Floats) -> Floats:
        """Σ_c effect_c a_c(s) on every day, shape `(n_days, n_rows)`."""
        total = np.zeros_like(self.compared)
        part = self._past
        mine, code = half_life[self.code[part]], self.code[part]
        for each in np.unique(half_life[effect != 0]):
            at = np.flatnonzero((mine == each) & (effect[code] != 0))
            pair = part[at]
            amount = self._scaled(pair, effect[code[at]] * np.exp2(-self.delay[pair] / each))
            total += forward(self._grid(self.slot[pair], self.row[pair], amount), each)
        return total

    # Future touchpoints.

    def ahead(self, half_life: float) -> Floats:
        """Σ 2^(−wait / h) over touchpoints after the case, shape `(n_rows, n_channels)`."""
        wait = self.slot - self.delay - self.case[self.row]
        part = np.flatnonzero(self.slot > self.case[self.row])
        return self._by_channel(part, np.exp2(-np.maximum(wait[part], 0) / half_life))

    def exposure_ahead(self, weights: Floats, half_life: float) -> Floats:
        """Σ_s weight(s) Σ 2^(−wait / h) over touchpoints after s, shape `(n_rows, n_channels)`."""
        part = self._between
        behind = forward(weights.copy(), half_life)[self.slot[part] - 1, self.row[part]]
        return self._by_channel(part, behind * np.exp2(-(1 - self.delay[part]) / half_life))

    def adstock_ahead(self, effect: Floats, half_life: float) -> Floats:
        """Σ_c effect_c Σ 2^(−wait / h) over touchpoints after each day, `(n_days, n_rows)`."""
        part = self._between
        amount = effect[self.code[part]] * np.exp2(-(1 - self.delay[part]) / half_life)
        amount = self._scaled(part, amount)
        return backward(self._grid(self.slot[part] - 1, self.row[part], amount), half_life)

    def soon(self, days: int) -> Floats:
        """Touchpoints in the `days` days after the case, shape `(n_rows, n_channels)`."""
        wait = self.slot - self.case[self.row]
        part = np.flatnonzero((wait > 0) & (wait <= days))
        return self._by_channel(part, np.ones(len(part)))

    def exposure_soon(self, weights: Floats, days: int) -> Floats:
        """Σ_s weight(s) · touchpoints in the `days` days after s, `(n_rows, n_channels)`."""
        until = np.concatenate([np.zeros((1, self.n_rows)), np.cumsum(weights, axis=0)])
        part = self._between
        slot, row = self.slot[part], self.row[part]
        return self._by_channel(part, until[slot, row] - until[np.maximum(slot - days, 0), row])

    def _scaled(self, part: Ints, amount: Floats) -> Floats:
        """Amounts of some pairs, times how many touchpoints each stands for."""
        return amount if self.scale is None else amount * self.scale[part]

    def _by_channel(self, part: Ints, amount: Floats) -> Floats:
        amount = self._scaled(part, amount)
        cell = self.row[part] * self.n_channels + self.code[part]
        size = self.n_rows * self.n_channels
        shape = self.n_rows, self.n_channels
        return np.bincount(cell, amount, size).astype(np.float64).reshape(shape)

    def _grid(self, slot: Ints, row: Ints, amount: Floats) -> Floats:
        size = self.compared.size
        grid = np.bincount(slot * self.n_rows + row, amount, size).astype(np.float64, copy=False)
        return grid.reshape(self.compared.shape)


def forward(grid: Floats, half_life: float) -> Floats:
    """Exponential filter over days, in place: each value and the faded sum of those before it."""
    kept = 2 ** (-1 / half_life)
    for day in range(1, len(grid)):
        grid[day] += kept * grid[day - 1]
    return grid


def backward(grid: Floats, half_life: float) -> Floats:
    """The same from the last day to the first, as a new array of shape `(n_days, n_rows)`."""
    kept, filtered = 2 ** (-1 / half_life), grid.copy()
    for day in range(len(grid) - 2, -1, -1):
        filtered[day] += kept * filtered[day + 1]
    return filtered


def control_days(
    histories: Histories, burn_in: float = 0.0, window: float | None = None
) -> list[ControlDays]:
    """The days of all conversions, in blocks whose grids fit in memory.

    Args:
        histories: of converters; users without a conversion are not used.
        burn_in: length of a span after each user's start whose days are no control days.
        window: days; control days are in the same calendar window as the case, in windows counted
            from the log's start. (Windows around each conversion would be biased: the set of
            control days would then show which day was the case.) None: all days observed.
    """
    user = histories.event_user
    start, end, time = histories.start[user], histories.end[user], histories.event_time
    before = np.floor(np.maximum(time - start, 0)).astype(np.int64)
    after = np.floor(np.maximum(end - time, 0)).astype(np.int64)
    size = before + 1 + after
    touched = (histories.offsets[1:] - histories.offsets[:-1])[user]
    cost = np.maximum(int(size.max(initial=1)), touched)
    blocks, met = [], histories.as_met()
    for part in chunks(cost, _AT_ONCE):
        event = np.arange(len(user))[part]
        case, days = before[part], np.arange(int(size[part].max()))[:, None]
        first = time[part] - case
        compared = days < size[part]
        compared &= (first + days >= start[part] + burn_in) | (days == case)
        if window is not None:
            compared &= (first + days) // window == time[part] // window
        row, code, slot, delay = _pairs(histories, event, case, size[part])
        block = ControlDays(
            n_channels=histories.n_channels,
            event=event,
            case=case,
            size=size[part],
            first=first,
            compared=compared.astype(np.float64),
            row=row,
            code=code,
            slot=slot,
            delay=delay,
        )
        if histories.met is not None:
            row, code, slot, delay = _pairs(met, event, case, size[part])
            apart = replace(block, row=row, code=code, slot=slot, delay=delay)
            block = replace(block, apart=apart)
        blocks.append(block)
    return blocks


def _pairs(
    histories: Histories, event: Ints, case: Ints, size: Ints
) -> tuple[Ints, Numbers, Ints, Floats]:
    """Row, channel, slot and delay of every touchpoint of the users of some conversions."""
    user = histories.event_user[event]
    low = histories.offsets[:-1][user].astype(np.int64)
    count = histories.offsets[1:][user].astype(np.int64) - low
    cuts = np.concatenate(([0], np.cumsum(count)))
    touched = position(cuts) + spread(low, cuts)
    since = histories.time[touched] - spread(histories.event_time[event], cuts)
    whole = np.ceil(since).astype(np.int64)
    # Of touchpoints at the exact time of the conversion, the order of the source says which came
    # before it, as everywhere.
    earlier = touched < spread(histories.event_stop[event], cuts)
    whole = np.where(earlier, np.minimum(whole, 0), np.maximum(whole, 1))
    delay, slot = whole - since, whole + spread(case, cuts)
    delay = np.where(slot < 0, delay - slot, delay)
    slot = np.maximum(slot, 0)
    kept = np.flatnonzero(slot <= spread(size, cuts))
    row = spread(np.arange(len(event)), cuts)[kept]
    return row, histories.codes[touched][kept].astype(np.int64), slot[kept], delay[kept]
