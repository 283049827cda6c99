"""Imputed exposure: the touchpoints after a conversion, had the ads not stopped for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.data.histories import Histories

# Maximum weight of the prior, in days of observation, where rates hardly differ between users.
_MAX_DAYS = 1e4


def impute_exposure(histories: Histories) -> Histories:
    """Converters with imputed touchpoints after their first conversion.

    Each channel's touchpoints continue at the rate of the user's own past: a Gamma prior of rates,
    fitted to all converters by the method of moments, is updated by the user's touchpoints before
    the conversion. Counts and times are drawn from it, with a fixed seed, so that imputed exposure
    varies as much as real exposure.

    Args:
        histories: of converters, each converting once.
    """
    k, n = histories.n_channels, histories.n_users
    earlier = _earlier(histories)
    cell = histories.owner[earlier] * k + histories.codes[earlier]
    seen = np.bincount(cell, minlength=n * k).reshape(n, k)
    first = histories.until_first
    days = np.maximum(first - histories.start, 0)
    ahead = np.maximum(histories.end - first, 0)
    rng = np.random.default_rng(0)
    shape, per_day = _prior(seen, days)
    drawn = rng.gamma(shape + seen) / (per_day + days[:, None])
    coming = rng.poisson(drawn * ahead[:, None])
    user = np.repeat(np.arange(n * k) // k, coming.ravel())
    code = np.repeat(np.arange(n * k) % k, coming.ravel())
    time = first[user] + ahead[user] * (1 - rng.random(len(user)))
    return _merged(histories, earlier, user, code, time)


def _earlier(histories: Histories) -> Mask:
    """Touchpoints met before their user's first conversion, shape `(n_touchpoints,)`."""
    if histories.met is not None:
        return histories.met <= histories.first_event[histories.owner]
    stop = np.zeros(histories.n_users, dtype=np.int64)
    stop[histories.event_user[::-1]] = histories.event_stop[::-1]
    earlier: Mask = np.arange(len(histories.time)) < stop[histories.owner]
    return earlier


def _delays(histories: Histories) -> Floats:
    """Mean time from when a channel's touchpoints are met until they count, `(n_channels,)`."""
    k = histories.n_channels
    waits = np.bincount(histories.codes, histories.time - histories.met_at, k)
    delays: Floats = waits / np.maximum(np.bincount(histories.codes, minlength=k), 1)
    return delays


def _prior(seen: Numbers, days: Floats) -> tuple[Floats, Floats]:
    """Shape and rate (days) of the Gamma prior of each channel's touchpoints a day, `(k,)`.

    By the method of moments, from counts over unequal times: E[n] = m t, Var[n] = m t + v t².
    """
    total = max(float(days.sum()), 1e-300)
    mean = np.maximum(seen.sum(axis=0) / total, 1e-12)
    excess = (seen - mean * days[:, None]) ** 2 - mean * days[:, None]
    spread = excess.sum(axis=0) / max(float((days**2).sum()), 1e-300)
    per_day = np.clip(mean / np.maximum(spread, mean / _MAX_DAYS), 1.0, _MAX_DAYS)
    return mean * per_day, per_day


def _merged(histories: Histories, earlier: Mask, user: Ints, code: Ints, met: Floats) -> Histories:
    """The histories with the `earlier` touchpoints and new ones, in time order by user.

    New touchpoints count as late after they are met as the channel's other touchpoints do.
    """
    owners = np.concatenate([histories.owner[earlier], user])
    codes = np.concatenate([histories.codes[earlier], code])
    times = np.concatenate([histories.time[earlier], met + _delays(histories)[code]])
    order = np.lexsort((times, owners))
    kept = np.bincount(histories.owner[earlier], minlength=histories.n_users)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=histories.n_users))))
    merged = replace(
        histories,
        offsets=offsets,
        time=times[order],
        codes=codes[order],
        event_stop=(offsets[:-1] + kept)[histories.event_user],
        touchpoint=None,
    )
    if histories.met is None:
        return merged
    stop = merged.seen_by(merged.event_user, merged.event_time)
    return replace(
        merged, event_stop=stop, met=np.concatenate([histories.met[earlier], met])[order]
    )
