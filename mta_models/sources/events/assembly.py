"""Sorted events and their outcomes as `Journeys`: the last step of every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mta_models.core import ragged
from mta_models.core.arrays import read_only
from mta_models.core.ragged import Ints, Mask, Numbers
from mta_models.data.journeys import Journeys
from mta_models.data.timeline import Timeline
from mta_models.sources.events.columns import EventLog
from mta_models.sources.events.observation import Observation
from mta_models.sources.events.sorting import Outcomes, Sorted, starts


def assemble(
    log: EventLog,
    events: Sorted,
    results: Outcomes,
    observation: Observation,
    within: Mask | None,
    keys: Numbers | None,
) -> Journeys:
    """Journeys with their timeline; both share their arrays if the lookback cut nothing.

    Args:
        log: the log, for users, channels and values.
        events: the rows of the log in order.
        results: the journeys' outcomes.
        observation: bounds per user.
        within: shape `(n_touchpoints,)`, whether the lookback keeps each; None: it keeps all.
        keys: shape `(n_touchpoints,)`, source rows, or None.
    """
    clock, of_touchpoints = log.clock, events.of_touchpoints
    time: Numbers = read_only(clock.days(of_touchpoints(events.ticks)))
    codes: Numbers = read_only(of_touchpoints(events.code) - events.code.dtype.type(1))
    keys = None if keys is None else read_only(keys)
    offsets = np.concatenate(([0], np.cumsum(results.n_touched)))
    timeline = Timeline(
        # A user's touchpoints are those of the user's journeys, end to end.
        offsets=read_only(_narrow(np.append(offsets[starts(results.user)], offsets[-1]))),
        time=time,
        codes=codes,
        keys=keys,
        start=_days(observation.start, clock.per_day),
        end=_days(observation.stop, clock.per_day),
        ids=_compact(log.user_ids),
        origin=clock.origin_text,
    )
    if within is not None and not within.all():
        offsets = ragged.keep(within, offsets)
        time, codes = time[within], codes[within]
        keys = None if keys is None else keys[within]
    converts = results.at >= 0
    value = None
    if log.value is not None:
        value = np.zeros(len(results.at))
        value[converts] = log.value[events.index[results.at[converts]]]
    return Journeys(
        channels=log.channels,
        codes=codes,
        offsets=_narrow(offsets),
        conversions=converts.astype(np.int8),
        nulls=(~converts).astype(np.int8),
        value=value,
        time=time,
        keys=keys,
        users=results.user.astype(np.int32 if len(log.user_ids) < 2**31 else np.int64),
        end=clock.days(results.end),
        timeline=timeline,
    )


def _days(ticks: Ints, per_day: int) -> Any:
    """Ticks as days; a number that was broadcast to all users stays broadcast."""
    if len(ticks) and ticks.strides == (0,):
        return np.broadcast_to(ticks[0] / per_day, len(ticks))
    return read_only(ticks / per_day)


def _narrow(offsets: Ints) -> Any:
    """Offsets in 32 bits where they fit: at five touchpoints a user, a tenth of all memory."""
    return offsets.astype(np.int32) if offsets[-1] < 2**31 else offsets


def _compact(ids: pl.Series) -> Any:
    """User identifiers; numbers without a gap become a range, which takes no memory."""
    if ids.dtype.is_integer() and len(ids):
        low, high = int(ids[0]), int(ids[-1])
        if high - low == len(ids) - 1 and ids.is_sorted():
            return range(low, high + 1)
    return ids
