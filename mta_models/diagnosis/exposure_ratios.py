"""Ratios of exposure around conversions to exposure at other times of the same users."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, lengths
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.rates import WEEK
from mta_models.errors import JourneyError

FEW = 30  # conversions: with fewer a ratio is not estimated


def exposure_before(journeys: Journeys) -> tuple[Floats, Floats, float, float]:
    """Touchpoints by channel on the last day before conversions and in the seven days before it.

    Also the days for which these users were observed in each of the two periods. It reads the
    timeline, so a short lookback hides no touchpoint; a touchpoint before an earlier conversion
    counts for that conversion only.

    Returns:
        Touchpoints on the last day and in the seven days before it, each of shape `(n_channels,)`,
        and the user-days of both.
    """
    timeline, users, end = journeys.timeline, journeys.users, journeys.end
    if timeline is None or users is None or end is None or journeys.at_risk is None:
        raise JourneyError("it needs the timeline of an event log")
    converts = np.flatnonzero(journeys.conversions)
    converts = converts[np.lexsort((end[converts], users[converts]))]
    at_risk = journeys.at_risk[converts]
    near_days = float(np.minimum(at_risk, 1).sum())
    far_days = float((np.clip(at_risk, 1, 8) - 1).sum())
    if not near_days or not far_days:
        raise JourneyError("no user was observed for more than a day before converting")
    # One sorted key for (user, time): times are shifted to lie within [0, span).
    span = max(float(end.max()), float(timeline.time.max(initial=0.0))) + 1
    owner = np.repeat(np.arange(timeline.n_users), lengths(timeline.offsets))
    keys = users[converts] * span + end[converts]
    following = np.searchsorted(keys, owner * span + timeline.time)
    at = np.flatnonzero(following < len(keys))
    row = converts[following[at]]
    same = users[row] == owner[at]
    at, row = at[same], row[same]
    age, codes = end[row] - timeline.time[at], timeline.codes[at]
    near, far = (
        np.bincount(codes[part], minlength=journeys.n_channels).astype(np.float64)
        for part in (age < 1, (age >= 1) & (age < 8))
    )
    return near, far, near_days, far_days


def exposure_around(sample: CaseBaseSample, window: tuple[float, float]) -> tuple[Floats, Floats]:
    """Ratio of exposure in a window around conversions to exposure two to four weeks away.

    Both are relative to the usual exposure on the calendar day, user by user, so that no user
    counts more on one side than on the other. Users are left out unless they were observed for the
    whole window and for at least a week of the times two to four weeks away.

    Returns:
        Ratios and the standard errors of their logarithms, each of shape `(n_channels,)`.
    """
    cases = sample.keep(sample.is_case)
    user, time, h = cases.user, cases.time, cases.histories
    begin, stop = h.start[user], h.end[user]
    away = ((-4 * WEEK, -2 * WEEK), (2 * WEEK, 4 * WEEK))
    days = sum(
        np.clip(np.minimum(stop - time, b) - np.maximum(begin - time, a), 0, None) for a, b in away
    )
    whole = (time + window[0] >= begin) & (time + window[1] <= stop) & (days >= WEEK)
    if whole.sum() < FEW:
        raise JourneyError(
            f"fewer than {FEW} converting users were observed for weeks around their conversion"
        )
    cases = cases.keep(whole)
    met, due = cases.met(*window), _usual(cases, *window)
    far_met, far_due = (
        sum(each(cases, *window) for window in away) for each in (CaseBaseSample.met, _usual)
    )
    usual = far_met * np.divide(due, far_due, out=np.zeros_like(due), where=far_due > 0)
    # At least half a touchpoint, because a sum may be 0.
    here, there = np.maximum(met.sum(axis=0), 0.5), np.maximum(usual.sum(axis=0), 0.5)
    error = np.sqrt(((met / here - usual / there) ** 2).sum(axis=0))
    return here / there, np.maximum(error, np.sqrt(1 / here + 1 / there) * (here < 1))


def _usual(sample: CaseBaseSample, since: float, until: float) -> Floats:
    """Mean number of touchpoints of each channel per user on the same calendar days."""
    h = sample.histories
    n_days = int(np.ceil(h.end.max()))
    middle = np.arange(n_days) + 0.5
    observed = np.searchsorted(np.sort(h.start), middle) - np.searchsorted(np.sort(h.end), middle)
    cell = np.clip(h.time, 0, n_days - 1).astype(np.int64) * h.n_channels + h.codes
    counts = np.bincount(cell, minlength=n_days * h.n_channels).reshape(n_days, -1)
    summed = np.cumsum(counts / np.maximum(observed, 1)[:, None], axis=0)
    days = np.arange(n_days + 1)
    low = np.maximum(sample.time + since, h.start[sample.user])
    high = np.maximum(np.minimum(sample.time + until, h.end[sample.user]), low)
    return np.column_stack(
        [
            np.interp(high, days, curve) - np.interp(low, days, curve)
            for curve in np.vstack([np.zeros(h.n_channels), summed]).T
        ]
    )
