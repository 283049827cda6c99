"""Journeys as they were known on an earlier day, to score models by the days after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mta_models.core.arrays import read_only
from mta_models.core.checks import is_number, shown
from mta_models.core.ragged import Ints, Mask, Numbers, keep, segment_sum, spread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.data.timeline import Timeline
from mta_models.errors import JourneyError, ParameterError


def until(journeys: Journeys, day: float) -> Journeys:
    """The journeys as they were known just before `day`.

    The result is that of `read_events` on the events before `day`, with each user's observation
    ending at `day` at the latest: touchpoints and conversions at `day` or later are dropped, and
    journeys are formed again. A journey that ended in a conversion before `day` does not change.
    Touchpoints after a user's last conversion form a null journey, and so does a user without any
    other journey; it ends on `day`, or with the user's observation if that ended earlier. Users
    whose observation begins at `day` or later are left out; observed users without an event stay.

    Choices that the reading made over the whole log are not made again: which of several events
    with the same id was kept, and which users were observed. `report` is None, because no log was
    read.

    Args:
        journeys: from an event log, read without a lookback. A lookback before a later conversion
            would have dropped touchpoints that were known on `day`.
        day: days since the log's first instant, `timeline.origin`.

    Returns:
        Journeys over the same channels, with or without touchpoints, and with their own timeline.
        User codes and `timeline.ids` cover the users who are left, in their old order.

    Raises:
        ParameterError: `day` is not a number.
        JourneyError: the journeys have no timeline, a lookback or a transform cut their
            touchpoints, a row stands for several outcomes, or no user was observed before `day`.

    Example:
        >>> import polars as pl
        >>> from mta_models import read_events, until
        >>> log = pl.DataFrame({
        ...     "who": ["a", "a", "a", "b"],
        ...     "when": [0, 2, 5, 3],
        ...     "channel": ["Search", "Email", None, "Search"],
        ...     "bought": [0, 0, 1, 0],
        ... })
        >>> journeys = read_events(
        ...     log, user="who", time="when", channel="channel", conversion="bought"
        ... )
        >>> until(journeys, 3).to_frame()[["path", "conversions", "nulls", "end", "at_risk"]]
                     path  conversions  nulls  end  at_risk
        0  Search > Email            0      1  3.0      3.0
        1                            0      1  3.0      3.0
    """
    require_journeys(journeys, "until")
    if not is_number(day) and not (isinstance(day, float) and np.isinf(day)):
        raise ParameterError(
            f"`day` must be a number of days since the log's start; got {shown(day)}"
        )
    timeline, users, end = _uncut(journeys)
    begun = timeline.start < day
    if not begun.any():
        raise JourneyError(
            f"a user must have been observed before day {day:g}; the first observation starts on "
            f"day {timeline.start.min(initial=np.inf):g}. Give a later day"
        )
    early = (timeline.time < day) & spread(begun, timeline.offsets)
    n_touched = segment_sum(early, journeys.offsets)
    converted = (journeys.conversions > 0) & (end < day) & begun[users]
    kept = _kept_rows(users, converted, n_touched) & begun[users]
    stays, value = converted[kept], journeys.value
    short = _cut_timeline(timeline, begun, early, day)
    code = np.cumsum(begun, dtype=users.dtype) - users.dtype.type(1)
    offsets = np.concatenate(([0], np.cumsum(n_touched[kept])))
    return Journeys(
        channels=journeys.channels,
        codes=short.codes,
        offsets=offsets.astype(journeys.offsets.dtype),
        conversions=stays.astype(journeys.conversions.dtype),
        nulls=(~stays).astype(journeys.nulls.dtype),
        value=None if value is None else np.where(stays, value[kept], 0.0),
        time=short.time,
        keys=short.keys,
        users=code[users[kept]],
        end=np.where(stays, end[kept], np.minimum(timeline.end, day)[users[kept]]),
        timeline=short,
    )


def _kept_rows(users: Numbers, converted: Mask, n_touched: Ints) -> Mask:
    """Whether each row is kept, shape `(n_journeys,)`.

    A user's first row without a conversion before the day is the journey under way; later rows had
    not begun. As in `read_events`, it is kept if it has a touchpoint or is the user's only row.
    """
    first = np.ones(len(users), dtype=bool)
    first[1:] = users[1:] != users[:-1]
    under_way = ~converted & first
    under_way[1:] |= ~converted[1:] & converted[:-1] & ~first[1:]
    kept: Mask = converted | (under_way & (first | (n_touched > 0)))
    return kept


def _cut_timeline(timeline: Timeline, begun: Mask, early: Mask, day: float) -> Timeline:
    """The timeline of the users under `begun`, with the touchpoints under `early`."""
    counts = np.diff(keep(early, timeline.offsets))[begun]
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(timeline.offsets.dtype)
    keys = timeline.keys
    return replace(
        timeline,
        offsets=read_only(offsets),
        time=read_only(timeline.time[early]),
        codes=read_only(timeline.codes[early]),
        keys=None if keys is None else read_only(keys[early]),
        start=read_only(timeline.start[begun]),
        end=read_only(np.minimum(timeline.end, day)[begun]),
        ids=timeline.ids if begun.all() else _picked(timeline.ids, begun),
    )


def _picked(ids: Any, mask: Mask) -> Any:
    """User identifiers under a mask, in the type of the source."""
    if hasattr(ids, "filter"):
        return ids.filter(mask)
    return np.asarray(ids)[mask]


def _uncut(journeys: Journeys) -> tuple[Timeline, Numbers, Numbers]:
    """The timeline, users and ends of journeys that hold all of their timeline's touchpoints."""
    timeline, users, end = journeys.timeline, journeys.users, journeys.end
    if timeline is None or users is None or end is None:
        raise JourneyError(
            "journeys cut in time must have a timeline, users and ends; these do not. Read an "
            "event log with read_events, and neither compress nor transform the journeys first"
        )
    one = journeys.conversions.astype(np.int64) + journeys.nulls == 1
    if not one.all():
        row = int(np.argmin(one))
        raise JourneyError(
            "every row must stand for one outcome of one user; row "
            f"{row} has {journeys.conversions[row]} conversions and {journeys.nulls[row]} nulls. "
            "Cut before giving weights"
        )
    if journeys.time is None or not np.array_equal(journeys.time, timeline.time):
        raise JourneyError(
            "journeys cut in time must have all touchpoints of their timeline; they have "
            f"{journeys.n_touchpoints}, their timeline {len(timeline.time)}. Read the log without "
            "a lookback and without interaction windows"
        )
    if journeys.milestones:
        raise JourneyError(
            "journeys cut in time must have no milestones, since these do not say when a stage was "
            f"reached; got {', '.join(journeys.milestones)}. Leave the stages out when reading"
        )
    return timeline, users, end
