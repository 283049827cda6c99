"""Histories from journeys: one per user of a timeline, or up to two per row of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Ints, position, spread
from mta_models.data.histories import Histories
from mta_models.data.journey_arrays import JourneyArrays
from mta_models.errors import InvariantError, JourneyError


def histories_from(journeys: JourneyArrays) -> Histories:
    """The histories of journeys.

    Raises:
        JourneyError: the journeys have neither a timeline nor ages and times at risk.
    """
    if journeys.timeline is not None:
        return _from_timeline(journeys)
    return _from_rows(journeys)


def _from_timeline(journeys: JourneyArrays) -> Histories:
    timeline, users, end = journeys.timeline, journeys.users, journeys.end
    if timeline is None or users is None or end is None:
        raise JourneyError(
            "journeys with a timeline must have `users` and `end`; these do not. Make them with "
            "read_events"
        )
    _, row = np.unique(users, return_index=True)
    user_row = np.zeros(timeline.n_users, dtype=np.int64)
    user_row[users[row]] = row
    events = np.flatnonzero(journeys.conversions)
    histories = Histories(
        channels=journeys.channels,
        offsets=timeline.offsets,
        time=timeline.time,
        codes=timeline.codes,
        start=timeline.start,
        end=timeline.end,
        weight=(journeys.outcome("conversions") + journeys.nulls)[user_row],
        event_user=users[events].astype(np.int64),
        event_time=end[events],
        event_weight=journeys.outcome("conversions")[events],
        event_row=events,
        event_stop=np.zeros(len(events), dtype=np.int64),
        user_row=user_row,
        timeline=timeline,
    )
    if journeys.n_touchpoints == len(timeline.time):
        # The rows of a user, end to end, are the timeline, in the source's order at equal times.
        stop, place = journeys.offsets[1:][events], None
    else:
        there = _places_in_timeline(journeys, histories)
        place = np.full(len(timeline.time), -1)
        place[there] = np.arange(journeys.n_touchpoints)
        # If the lookback left a row empty, no touchpoint fell at its end.
        stop = histories.seen_by(users[events].astype(np.int64), np.nextafter(end[events], -np.inf))
        filled = journeys.lengths[events] > 0
        stop[filled] = there[journeys.offsets[1:][events[filled]] - 1] + 1
    return replace(histories, event_stop=stop.astype(np.int64), touchpoint=place)


def _places_in_timeline(journeys: JourneyArrays, histories: Histories) -> Ints:
    """The index in the timeline of each touchpoint that the lookback kept, `(n_touchpoints,)`.

    Touchpoints of a user at the same instant keep their order. If a lookback cut some of them, it
    cut the later ones, because their journey ended later.
    """
    assert journeys.users is not None  # checked by the caller
    assert journeys.time is not None
    user = spread(journeys.users, journeys.offsets).astype(np.int64)
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (journeys.time[1:] != journeys.time[:-1])
    index = np.arange(len(user))
    rank = index - np.maximum.accumulate(np.where(new, index, 0))
    there: Ints = histories.seen_by(user, np.nextafter(journeys.time, -np.inf)) + rank
    if not np.array_equal(histories.codes[there], journeys.codes):
        raise InvariantError(
            "the journeys' touchpoints are not among their timeline's. This is a bug: please "
            "report it"
        )
    return there


def _from_rows(journeys: JourneyArrays) -> Histories:
    age, at_risk = journeys.age, journeys.at_risk
    if age is None and journeys.n_touchpoints == 0:
        age = np.zeros(0)
    if age is None or at_risk is None:
        lacking = "no times" if age is None else "no times at risk"
        raise JourneyError(
            "a model of when users convert must know the age of each touchpoint and how long each "
            f"journey was observed; these journeys have {lacking}. Read an event "
            "log with read_events, or give age= and at_risk= to from_arrays"
        )
    conversions, nulls = journeys.outcome("conversions"), journeys.nulls.astype(np.float64)
    # First the users of each row who converted, then those who did not.
    row = np.concatenate([np.flatnonzero(conversions), np.flatnonzero(nulls)])
    n_events = int(np.count_nonzero(conversions))
    size = journeys.lengths[row]
    offsets = np.concatenate(([0], np.cumsum(size)))
    touched = position(offsets) + spread(journeys.offsets[row], offsets)
    return Histories(
        channels=journeys.channels,
        offsets=offsets,
        time=-age[touched],
        codes=journeys.codes[touched],
        start=-at_risk[row],
        end=np.zeros(len(row)),
        weight=np.concatenate([conversions[row[:n_events]], nulls[row[n_events:]]]),
        event_user=np.arange(n_events),
        event_time=np.zeros(n_events),
        event_weight=conversions[row[:n_events]],
        event_row=row[:n_events],
        event_stop=offsets[1 : n_events + 1],
        user_row=row,
        touchpoint=touched,
    )
