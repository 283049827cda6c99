"""Control days: each conversion's moment and the same time of day on its user's other days.

A conversion at T is compared with the moments T ± 1, 2, … days while its user was observed, the
same clock time on every day, so that the case differs from its controls in the day alone. Given
the time of day, the chance that the conversion fell on this day and not on another is
λ(T) / Σ_s λ(s) exactly: nothing is rounded to a grid.

Grids have the shape `(n_days, n_rows)`, days first, so that a recursion over days runs through
memory in order; rows of fewer days end early, and what lies beyond weighs 0. Channels never get a
dimension of a grid: sums over days of what channels carried are taken per touchpoint, from one
filtered grid per half-life (`exposure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers, chunks, position, spread
from mta_models.data.histories import Histories

# Moments (rows × days) of conversions looked at together: 32 MB a grid.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class ControlDays:
    """The moments of some conversions, one row each, and the touchpoints around them.

    Attributes:
        n_channels: of the journeys.
        event: shape `(n_rows,)`, the conversion among those of the histories.
        case: shape `(n_rows,)`, the moment at which it fell, counted from the first.
        size: shape `(n_rows,)`, moments of its user.
        first: shape `(n_rows,)`, time of the first moment, days.
        weighs: shape `(n_days, n_rows)`, 1 for the case and its controls, 0 for other moments.
        row: shape `(n_pairs,)`, for each pair of a conversion and a touchpoint of its user.
        code: shape `(n_pairs,)`, the touchpoint's channel.
        slot: shape `(n_pairs,)`, the first moment that counts it; 0 if it came before them all,
            `size` of its row if it came after the last.
        delay: shape `(n_pairs,)`, days from the touchpoint to that moment.
    """

    n_channels: int
    event: Ints
    case: Ints
    size: Ints
    first: Floats
    weighs: Floats
    row: Ints
    code: Numbers
    slot: Ints
    delay: Floats

    @property
    def n_rows(self) -> int:
        """Conversions."""
        return len(self.case)

    @property
    def n_days(self) -> int:
        """Moments of the row that has most."""
        return len(self.weighs)

    @property
    def at_case(self) -> tuple[Ints, Ints]:
        """Index of each row's case into a grid."""
        return self.case, np.arange(self.n_rows)

    @cached_property
    def lived(self) -> Floats:
        """1 for each moment at which the user was observed, shape `(n_days, n_rows)`."""
        return (np.arange(self.n_days)[:, None] < self.size).astype(np.float64)

    @cached_property
    def week(self) -> Ints:
        """The week of each moment, from the log's start, shape `(n_days, n_rows)`."""
        found: Ints = np.floor((self.first + np.arange(self.n_days)[:, None]) / 7).astype(np.int64)
        return np.maximum(found, 0)

    @cached_property
    def _inside(self) -> Ints:
        return np.flatnonzero(self.slot < self.size[self.row])

    @cached_property
    def _entered(self) -> Ints:
        """Pairs that some moment lies before and has ahead of it."""
        return np.flatnonzero((self.slot > 0) & (self.delay <= 1))

    # What moments carried.

    def carried(self, half_life: Floats) -> Floats:
        """Adstock at the case, Σ 2^(−age / h) over earlier touchpoints, `(n_rows, n_channels)`."""
        age = self.case[self.row] - self.slot + self.delay
        part = np.flatnonzero(self.slot <= self.case[self.row])
        return self._by_channel(part, np.exp2(-age[part] / half_life[self.code[part]]))

    def exposure(self, weights: Floats, half_life: Floats) -> Floats:
        """Σ_s weight(s) a_c(s), shape `(n_rows, n_channels)`.

        The sum over moments comes first, then that over touchpoints: what a touchpoint adds to all
        moments from its slot on is a filter of the weights run backwards.

        Args:
            weights: shape `(n_days, n_rows)`.
            half_life: shape `(n_channels,)`, days.
        """
        part = self._inside
        found = np.zeros(len(part))
        mine = half_life[self.code[part]]
        for each in np.unique(half_life):
            at = np.flatnonzero(mine == each)
            if len(at):
                ahead = backward(weights, each)
                pair = part[at]
                found[at] = ahead[self.slot[pair], self.row[pair]]
        return self._by_channel(part, found * np.exp2(-self.delay[part] / mine))

    def adstock(self, effect: Floats, half_life: Floats) -> Floats:
        """Σ_c effect_c a_c(s) at every moment, shape `(n_days, n_rows)`."""
        total = np.zeros_like(self.weighs)
        part = self._inside
        mine, code = half_life[self.code[part]], self.code[part]
        for each in np.unique(half_life[effect != 0]):
            at = np.flatnonzero(mine == each)
            pair = part[at]
            amount = effect[code[at]] * np.exp2(-self.delay[pair] / each)
            total += forward(self._grid(self.slot[pair], self.row[pair], amount), each)
        return total

    # What moments have ahead of them.

    def ahead(self, half_life: float) -> Floats:
        """Σ 2^(−wait / h) over touchpoints after the case, shape `(n_rows, n_channels)`."""
        wait = self.slot - self.delay - self.case[self.row]
        part = np.flatnonzero(self.slot > self.case[self.row])
        return self._by_channel(part, np.exp2(-np.maximum(wait[part], 0) / half_life))

    def exposure_ahead(self, weights: Floats, half_life: float) -> Floats:
        """Σ_s weight(s) Σ 2^(−wait / h) over touchpoints after s, shape `(n_rows, n_channels)`."""
        part = self._entered
        behind = forward(weights.copy(), half_life)[self.slot[part] - 1, self.row[part]]
        return self._by_channel(part, behind * np.exp2(-(1 - self.delay[part]) / half_life))

    def adstock_ahead(self, effect: Floats, half_life: float) -> Floats:
        """Σ_c effect_c Σ 2^(−wait / h) over touchpoints after each moment, `(n_days, n_rows)`."""
        part = self._entered
        amount = effect[self.code[part]] * np.exp2(-(1 - self.delay[part]) / half_life)
        return backward(self._grid(self.slot[part] - 1, self.row[part], amount), half_life)

    def soon(self, days: int) -> Floats:
        """Touchpoints in the `days` days after the case, shape `(n_rows, n_channels)`."""
        wait = self.slot - self.case[self.row]
        part = np.flatnonzero((wait > 0) & (wait <= days))
        return self._by_channel(part, np.ones(len(part)))

    def exposure_soon(self, weights: Floats, days: int) -> Floats:
        """Σ_s weight(s) · touchpoints in the `days` days after s, `(n_rows, n_channels)`."""
        until = np.concatenate([np.zeros((1, self.n_rows)), np.cumsum(weights, axis=0)])
        part = self._entered
        slot, row = self.slot[part], self.row[part]
        return self._by_channel(part, until[slot, row] - until[np.maximum(slot - days, 0), row])

    def _by_channel(self, part: Ints, amount: Floats) -> Floats:
        cell = self.row[part] * self.n_channels + self.code[part]
        size = self.n_rows * self.n_channels
        shape = self.n_rows, self.n_channels
        return np.bincount(cell, amount, size).astype(np.float64).reshape(shape)

    def _grid(self, slot: Ints, row: Ints, amount: Floats) -> Floats:
        size = self.weighs.size
        found = np.bincount(slot * self.n_rows + row, amount, size).astype(np.float64, copy=False)
        return found.reshape(self.weighs.shape)


def forward(grid: Floats, half_life: float) -> Floats:
    """Each day's own and what is left of the days before, in place, shape `(n_days, n_rows)`."""
    kept = 2 ** (-1 / half_life)
    for day in range(1, len(grid)):
        grid[day] += kept * grid[day - 1]
    return grid


def backward(grid: Floats, half_life: float) -> Floats:
    """Each day's own and what is left of the days after, a new array, `(n_days, n_rows)`."""
    kept, found = 2 ** (-1 / half_life), grid.copy()
    for day in range(len(grid) - 2, -1, -1):
        found[day] += kept * found[day + 1]
    return found


def control_days(
    histories: Histories, burn_in: float = 0.0, window: float | None = None
) -> list[ControlDays]:
    """The moments of all conversions, in blocks that fit in memory together.

    Args:
        histories: of converters; others are not looked at.
        burn_in: days from each user's start that are no controls.
        window: days; controls are of the same window of the calendar, cut from the log's start
            (windows cut around each conversion would be biased, for then which day was the case
            shows in which days are controls). None: all days observed.
    """
    user = histories.event_user
    start, end, time = histories.start[user], histories.end[user], histories.event_time
    before = np.floor(np.maximum(time - start, 0)).astype(np.int64)
    after = np.floor(np.maximum(end - time, 0)).astype(np.int64)
    size = before + 1 + after
    touched = (histories.offsets[1:] - histories.offsets[:-1])[user]
    cost = np.maximum(int(size.max(initial=1)), touched)
    blocks = []
    for part in chunks(cost, _AT_ONCE):
        event = np.arange(len(user))[part]
        case, days = before[part], np.arange(int(size[part].max()))[:, None]
        first = time[part] - case
        weighs = days < size[part]
        weighs &= (first + days >= start[part] + burn_in) | (days == case)
        if window is not None:
            weighs &= (first + days) // window == time[part] // window
        row, code, slot, delay = _pairs(histories, event, case, size[part])
        blocks.append(
            ControlDays(
                n_channels=histories.n_channels,
                event=event,
                case=case,
                size=size[part],
                first=first,
                weighs=weighs.astype(np.float64),
                row=row,
                code=code,
                slot=slot,
                delay=delay,
            )
        )
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
    # At the very moment of the conversion the order of the source decides, as everywhere.
    earlier = touched < spread(histories.event_stop[event], cuts)
    whole = np.where(earlier, np.minimum(whole, 0), np.maximum(whole, 1))
    delay, slot = whole - since, whole + spread(case, cuts)
    delay = np.where(slot < 0, delay - slot, delay)
    slot = np.maximum(slot, 0)
    kept = np.flatnonzero(slot <= spread(size, cuts))
    row = spread(np.arange(len(event)), cuts)[kept]
    return row, histories.codes[touched][kept].astype(np.int64), slot[kept], delay[kept]
