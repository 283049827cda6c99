"""From rows in any order to journeys, in a few passes over flat arrays.

The sort takes most of the time: user, time and row are packed into one integer and sorted as
integers. This is several times faster than sorting a table, and no stable sort is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Ints, Mask, Numbers, spread
from mta_models.sources.events.columns import EventLog, gather, narrow
from mta_models.sources.events.options import EventOptions


def sort_rows(user: Numbers, ticks: Ints) -> Numbers:
    """The order of rows by user, then time, then position in the source; shape `(n_rows,)`.

    If the three do not fit into 64 bits, the time is cut to its leading bits, and runs of rows with
    equal leading bits are sorted afterwards. If there are many such rows, they are sorted twice
    instead, by time and then by user.
    """
    n = len(user)
    row_bits, user_bits = _bits(n - 1), _bits(int(user.max(initial=0)))
    time_bits = _bits(int(ticks.max(initial=0)))
    spare = 64 - row_bits - user_bits
    if spare >= min(time_bits, 8):
        cut = max(0, time_bits - spare)
        key = user.astype(np.uint64)
        key <<= np.uint64(time_bits - cut)
        key |= ticks.view(np.uint64) >> np.uint64(cut)
        key <<= np.uint64(row_bits)
        key |= np.arange(n, dtype=np.uint64)
        key.sort()
        low = np.uint64((1 << row_bits) - 1)
        rows = (key & low).astype(narrow(n))
        if not cut:
            return rows
        equal = (key[1:] ^ key[:-1]) <= low
        del key
        if _sort_runs(rows, equal, ticks):
            return rows
    rows = _sort_by(ticks, time_bits)
    return gather(rows, _sort_by(gather(user, rows), user_bits))


def _bits(largest: int) -> int:
    return max(largest.bit_length(), 1)


def _sort_runs(rows: Numbers, equal: Mask, ticks: Ints) -> bool:
    """Sort the runs of `rows` with `equal` leading bits; False if they have too many rows."""
    pairs = np.flatnonzero(equal)
    if len(pairs) > len(rows) // 4:
        return False
    place = np.union1d(pairs, pairs + 1)
    mixed = rows[place]
    # A run starts at a row that is not equal to the one before.
    starts = np.ones(len(place), dtype=bool)
    starts[1:] = ~equal[place[1:] - 1]
    run = np.cumsum(starts)
    rows[place] = mixed[np.lexsort((mixed, ticks[mixed], run))]
    return True


def _sort_by(values: Numbers, bits: int) -> Numbers:
    """A stable argsort of non-negative integers below 2**bits."""
    n = len(values)
    row_bits = _bits(n - 1)
    if bits + row_bits > 64:
        return np.argsort(values, kind="stable").astype(narrow(n))
    key = values.astype(np.uint64)
    key <<= np.uint64(row_bits)
    key |= np.arange(n, dtype=np.uint64)
    key.sort()
    key &= np.uint64((1 << row_bits) - 1)
    return key.astype(narrow(n))


@dataclass
class Sorted:
    """A log in order of user and time, one entry per row, shape `(n_rows,)`.

    Attributes:
        index: the row of the log.
        touched: whether the row is a touchpoint (after sessions are merged, the first of one).
        last: whether the row ends a segment: it is a conversion or the user's last row.
        kind: index into the interaction windows, or None.
    """

    user: Numbers
    ticks: Ints
    code: Numbers
    converts: Mask
    index: Numbers
    touched: Mask
    last: Mask
    kind: Numbers | None = None

    def of_touchpoints(self, values: Numbers) -> Numbers:
        """The values of the rows that are touchpoints; no copy if all rows are touchpoints."""
        return values if self.touched.all() else values[self.touched]


def sort_log(log: EventLog) -> Sorted:
    """The log's rows by user and time; rows of the same time in the log's order."""
    index = sort_rows(log.user, log.ticks)
    user = gather(log.user, index)
    ticks, code, converts = _gather_packed(log, index)
    last = converts.copy()
    last[-1:] = True
    last[:-1] |= user[1:] != user[:-1]
    return Sorted(
        user=user,
        ticks=ticks,
        code=code,
        converts=converts,
        index=index,
        touched=code > 0,
        last=last,
        kind=None if log.kind is None else log.kind[index],
    )


def _gather_packed(log: EventLog, index: Numbers) -> tuple[Ints, Numbers, Mask]:
    """Ticks, codes and conversions in another order; packed, to access memory at random once."""
    code_bits = _bits(len(log.channels))
    if _bits(int(log.ticks.max(initial=0))) + code_bits + 1 > 64:
        return log.ticks[index], log.code[index], log.converts[index]
    packed = log.ticks.astype(np.uint64)
    packed <<= np.uint64(code_bits)
    packed |= log.code
    packed <<= np.uint64(1)
    packed |= log.converts
    packed = gather(packed, index)
    converts = (packed & np.uint64(1)).astype(bool)
    packed = packed >> np.uint64(1)
    code = (packed & np.uint64((1 << code_bits) - 1)).astype(log.code.dtype)
    return (packed >> np.uint64(code_bits)).view(np.int64), code, converts


def starts(user: Numbers) -> Ints:
    """The first index of each user in sorted codes, shape `(n_users,)`."""
    return np.flatnonzero(np.concatenate(([len(user) > 0], user[1:] != user[:-1])))


def count_ties(events: Sorted) -> int:
    """The number of rows at the same time as the row before, of the same user."""
    same = (events.user[1:] == events.user[:-1]) & (events.ticks[1:] == events.ticks[:-1])
    return int(np.count_nonzero(same))


def merge_sessions(events: Sorted, longest: int) -> int:
    """Unmark the later touchpoints of each session, in place; returns their number.

    A touchpoint continues the session of the one before it if both have the same channel (and kind)
    and journey, and at most `longest` ticks lie between them.
    """
    at = np.flatnonzero(events.touched)
    segment: Ints = np.cumsum(events.last)[at] - events.last[at]
    same = (segment[1:] == segment[:-1]) & (events.code[at][1:] == events.code[at][:-1])
    same &= np.diff(events.ticks[at]) <= longest
    if events.kind is not None:
        same &= events.kind[at][1:] == events.kind[at][:-1]
    events.touched[at[1:][same]] = False
    return int(np.count_nonzero(same))


@dataclass(frozen=True)
class Outcomes:
    """The outcome of each journey, in order of user and time, shape `(n_journeys,)`.

    Attributes:
        user: the user's code.
        at: the index of the conversion among the sorted rows; -1 for a null journey.
        end: ticks of the conversion, or of the end of observation.
        n_touched: number of touchpoints, without a lookback.
    """

    user: Numbers
    at: Ints
    end: Ints
    n_touched: Ints


def outcomes(events: Sorted, stop: Ints) -> Outcomes:
    """Cut each user's rows into journeys at the conversions.

    A conversion ends a journey, with or without touchpoints. The rows after a user's last
    conversion are a null journey if they have touchpoints, or if the user has no other journey.

    Args:
        events: the sorted log.
        stop: shape `(n_users,)`, when observation of each user ended.
    """
    n_users = len(stop)
    at = np.flatnonzero(events.last)
    before = np.cumsum(events.touched, dtype=narrow(len(events.touched)))[at]
    before = before.astype(np.int64)
    n_touched: Ints = before - np.concatenate(([0], before[:-1]))
    keep = events.converts[at] | (n_touched > 0)
    at, n_touched = at[keep], n_touched[keep]
    user = events.user[at]
    idle = np.ones(n_users, dtype=bool)
    idle[user] = False
    if idle.any():
        lonely = np.flatnonzero(idle)
        place = np.searchsorted(user, lonely)
        user = np.insert(user, place, lonely)
        at, n_touched = np.insert(at, place, -1), np.insert(n_touched, place, 0)
    converts = at >= 0
    converts[converts] = events.converts[at[converts]]
    at = np.where(converts, at, -1)
    end = np.where(converts, events.ticks[at] if len(events.ticks) else 0, stop[user])
    return Outcomes(user, at, end, n_touched)


def within_reach(
    events: Sorted, results: Outcomes, options: EventOptions, per_day: int
) -> Mask | None:
    """Whether the lookback keeps each touchpoint, shape `(n_touchpoints,)`; None: it keeps all.

    A touchpoint exactly on the edge is kept. Null journeys keep all their touchpoints.
    """
    if not options.cuts:
        return None
    offsets = np.concatenate(([0], np.cumsum(results.n_touched)))
    age = spread(results.end, offsets) - events.ticks[events.touched]
    keep = np.ones(len(age), dtype=bool)
    if options.lookback is not None:
        keep &= age <= round(options.lookback * per_day)
    if events.kind is not None:
        spans = np.array([round(days * per_day) for days in options.windows.values()])
        keep &= age <= spans[events.kind[events.touched]]
    return keep | spread(results.at < 0, offsets)
