"""Dates far from all others, as of a clock that was set to 1970."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories

# Part of touchpoints and conversions that may be far from the others; days they are away at least.
_FEW, _FAR = 0.001, 365.0


def without_stray_dates(histories: Histories) -> tuple[Histories, tuple[str, ...]]:
    """The histories with far dates moved to the edges of the others, and a note that says so.

    A date is far if between it and the others nothing happens for more than a year, and for longer
    than the others last, and if at most one touchpoint or conversion in a thousand is beyond that.
    Taken as it stands, one such date makes each user observed for decades without an ad. Bounds of
    observation so far from all touchpoints and conversions are moved too: nothing was recorded.
    """
    time = np.sort(np.concatenate([histories.met_at, histories.event_time]))
    begin, until = _usual(time), -_usual(-time[::-1])
    far = int(((time < begin) | (time > until)).sum())
    first, last = max(begin, time[0]), min(until, time[-1])
    away = max(last - first, _FAR)
    begin = first if histories.start.min() < first - away else begin
    until = last if histories.end.max() > last + away else until
    if begin == -np.inf and until == np.inf:
        return histories, ()
    what = f"{far} of {len(time)} touchpoints and conversions" if far else "Bounds of observation"

    def moved(times: Floats) -> Floats:
        return np.clip(times, begin, until)

    return replace(
        histories,
        time=moved(histories.time),
        event_time=moved(histories.event_time),
        start=moved(histories.start),
        end=moved(histories.end),
        met=None if histories.met is None else moved(histories.met),
    ), (
        f"{what} have dates more than a year from all others, and count as if they had come at "
        "the first or last date of the others. Correct the dates, or leave them out.",
    )


def _usual(time: Floats) -> float:
    """The first time that is not far before the others, −∞ if none is; times in order."""
    few = int(_FEW * len(time)) + 1
    if len(time) <= 2 * few:
        return -np.inf
    lasting = time[-1 - few] - time[few]
    wide = np.flatnonzero(np.diff(time[: few + 1]) > max(lasting, _FAR))
    return float(time[wide[-1] + 1]) if len(wide) else -np.inf
