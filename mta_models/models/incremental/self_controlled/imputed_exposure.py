"""Imputed exposure: the touchpoints after a conversion, had the ads not stopped for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.after_purchase import (
    Calendar,
    counts,
    latest_purchase,
    purchase_changes,
)

# Maximum weight of the prior, in days of observation, where rates hardly differ between users.
_MAX_DAYS = 1e4
# A channel stops where the touchpoints of the first 14 days after a purchase are fewer than this
# fraction of what they were long before it, with a z below the first of these, or the second where
# another channel stops; and it stays stopped over the later spans with such a fraction.
_FIRST, _FRACTION, _Z = 14.0, 0.9, (-4.0, -2.0)
_LATER = (14.0, 21.0, 28.0, np.inf)
# Days before the first conversion that do not show a user's usual rate, since what is met on them
# led to the conversion. With 0 the baseline of `suppression` was 10% of all conversions too high
# (seeds 20-29), with 14 2%, with 21 1%, but then the fewer touchpoints cost accuracy of shares.
_NEAR = 14.0
# Buyers below which purchases are not compared: z would not be normal.
_FEW = 100


@dataclass(frozen=True, eq=False)
class Stops:
    """Which channels' ads stop for buyers.

    Attributes:
        days: shape `(n_channels,)`, for how long after a purchase; 0: they do not stop, infinite:
            to the end.
        ratio: shape `(n_channels,)`, touchpoints of the first 14 days after a purchase over those
            of the same users long before it; nan where nothing could be compared.
        calendar: of each channel's touchpoints.
        near: days before the first conversion that do not show a user's usual rate.
    """

    days: Floats
    ratio: Floats
    calendar: Calendar
    near: float

    @property
    def any(self) -> bool:
        """Whether any channel stops."""
        return bool(self.days.any())


def find_stops(histories: Histories, lead_test_stops: bool) -> Stops:
    """The channels whose touchpoints stop after conversions, and for how long.

    Args:
        histories: of all users.
        lead_test_stops: whether by the lead test touchpoints stop; it decides for all channels
            where fewer than 100 buyers were observed long enough before and after to be compared.
    """
    k = histories.n_channels
    calendar = Calendar.of_others(histories.as_met(), ~np.isfinite(histories.first_event))
    first = purchase_changes(histories, (0.0, _FIRST))
    ratio = first.ratio[:, 0]
    if first.users < _FEW:
        return Stops(np.full(k, np.inf if lead_test_stops else 0.0), ratio, calendar, 0.0)
    later = purchase_changes(histories, _LATER)
    fewer, z = ratio < _FRACTION, first.z[:, 0]
    limit = _Z[1] if (fewer & (z < _Z[0])).any() else _Z[0]
    days = np.where(fewer & (z < limit), _FIRST, 0.0)
    for begin, end, fraction in zip(_LATER[:-1], _LATER[1:], later.ratio.T, strict=True):
        days = np.where((days == begin) & (fraction < _FRACTION), end, days)
    return Stops(days, ratio, calendar, _NEAR)


def impute_exposure(histories: Histories, stops: Stops, draw: int = 0) -> Histories:
    """Histories in which the touchpoints of channels that stopped are imputed.

    They go on after each conversion at the rate of the user's own past: a Gamma prior of rates,
    fitted to all converters by the method of moments, is updated by what the user met until 14
    days before the first conversion (what was met later led to the conversion, and is more than
    usual). Rates follow the channel's calendar. Counts and times are drawn, so that imputed
    exposure varies as much as real exposure.

    Args:
        histories: of converters.
        stops: which channels, and for how long after a conversion.
        draw: number of the imputation; the same number gives the same touchpoints.
    """
    h, own = histories, histories.owner
    past = np.maximum(h.first_event - stops.near, h.start)
    seen = counts(h, (h.met_at <= past[own]) & (h.met_at >= h.start[own]))
    days = stops.calendar.between(h.start, past)
    rng = np.random.default_rng(draw)
    # Drawn in an order that does not depend on the order of users or channels, nor on names.
    users = np.lexsort((h.end, h.start, h.first_event))
    drawn = []
    for channel in np.argsort(seen.sum(axis=0), kind="stable").tolist():
        if stops.days[channel]:
            rate = np.empty(h.n_users)
            shape, per_day = _prior(seen[:, channel], days[:, channel])
            posterior = shape + seen[users, channel], per_day + days[users, channel]
            rate[users] = rng.gamma(posterior[0]) / posterior[1]
            drawn.append(_coming(h, stops, channel, rate, rng))
    user, code, met = (np.concatenate(each) for each in zip(*drawn, strict=True))
    latest = latest_purchase(h)
    lost = (latest >= 0) & (h.met_at - h.event_time[latest] <= stops.days[h.codes])
    return _merged(h, ~lost, user, code, met)


def _coming(
    histories: Histories, stops: Stops, channel: int, rate: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    """Touchpoints drawn after each conversion: user, channel and time of each."""
    h, user = histories, histories.event_user
    end = np.minimum(h.end[user], h.event_time + stops.days[channel])
    again = user[1:] == user[:-1]
    end[:-1][again] = np.minimum(end[:-1], h.event_time[1:])[again]
    order = np.lexsort((h.end[user], h.start[user], h.event_time, h.first_event[user]))
    user, end, begin = user[order], end[order], h.event_time[order]
    amount = stops.calendar.between(begin, end)[:, channel]
    number = rng.poisson(rate[user] * amount)
    event = np.repeat(np.arange(len(user)), number)
    reached = stops.calendar.until(begin)[event, channel]
    reached = reached + amount[event] * (1 - rng.random(len(event)))
    met = np.clip(stops.calendar.when(reached, channel), begin[event], end[event])
    return user[event], np.full(len(event), channel), met


def _delays(histories: Histories) -> Floats:
    """Mean time from when a channel's touchpoints are met until they count, `(n_channels,)`."""
    k = histories.n_channels
    waits = np.bincount(histories.codes, histories.time - histories.met_at, k)
    delays: Floats = waits / np.maximum(np.bincount(histories.codes, minlength=k), 1)
    return delays


def _prior(seen: Floats, days: Floats) -> tuple[float, float]:
    """Shape and rate (days) of the Gamma prior of a channel's touchpoints a day.

    By the method of moments, from counts over unequal times: E[n] = m t, Var[n] = m t + v t².
    """
    mean = max(float(seen.sum()) / max(float(days.sum()), 1e-300), 1e-12)
    excess = float(((seen - mean * days) ** 2 - mean * days).sum())
    spread = excess / max(float((days**2).sum()), 1e-300)
    per_day = float(np.clip(mean / max(spread, mean / _MAX_DAYS), 1.0, _MAX_DAYS))
    return mean * per_day, per_day


def _merged(histories: Histories, kept: Mask, user: Ints, code: Ints, met: Floats) -> Histories:
    """The histories with the touchpoints `kept` and new ones, in time order by user.

    New touchpoints count as late after they are met as the channel's other touchpoints do. At the
    exact time of a conversion, new touchpoints come after it.
    """
    h = histories
    owners = np.concatenate([h.owner[kept], user])
    codes = np.concatenate([h.codes[kept], code])
    times = np.concatenate([h.time[kept], met + _delays(h)[code]])
    new = np.arange(len(owners)) >= len(owners) - len(user)
    order = np.lexsort((new, times, owners))
    offsets = _cumulated(np.bincount(owners, minlength=h.n_users))
    merged = replace(
        h,
        offsets=offsets,
        time=times[order],
        codes=codes[order],
        touchpoint=None,
        met=None if h.met is None else np.concatenate([h.met[kept], met])[order],
    )
    # Before a conversion: the touchpoints kept that came before it, and new ones.
    n_kept, n_new = _cumulated(kept), _cumulated(new[order])
    low, first = h.offsets[:-1][h.event_user], offsets[:-1][h.event_user]
    seen = merged.seen_by(h.event_user, np.nextafter(h.event_time, -np.inf))
    stop = first + n_kept[h.event_stop] - n_kept[low] + n_new[seen] - n_new[first]
    return replace(merged, event_stop=stop)


def _cumulated(amounts: Ints | Mask) -> Ints:
    return np.concatenate(([0], np.cumsum(amounts)))
