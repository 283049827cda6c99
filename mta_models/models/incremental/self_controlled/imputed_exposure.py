"""Touchpoints that would have come, had the conversion not stopped them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.data.histories import Histories

# Days of observation that a prior weighs where rates hardly differ between users.
_MOST = 1e4


def unsuppressed(histories: Histories) -> Histories:
    """Converters with what came after their first conversion replaced by what would have.

    Each channel's touchpoints go on at the rate of the user's own past: a Gamma prior of rates,
    fitted by moments to all converters, updated by the user's touchpoints before the conversion;
    counts and times are drawn from it (the same each time), so that the imputed exposure varies
    as the real one does.

    Args:
        histories: of converters, each converting once.
    """
    k, n = histories.n_channels, histories.n_users
    stop = np.zeros(n, dtype=np.int64)
    stop[histories.event_user[::-1]] = histories.event_stop[::-1]
    earlier = np.arange(len(histories.time)) < stop[histories.owner]
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


def _prior(seen: Numbers, days: Floats) -> tuple[Floats, Floats]:
    """Shape and rate (days) of the Gamma prior of each channel's touchpoints a day, `(k,)`.

    By moments of counts over unequal times: E[n] = m t and Var[n] = m t + v t².
    """
    total = max(float(days.sum()), 1e-300)
    mean = np.maximum(seen.sum(axis=0) / total, 1e-12)
    excess = (seen - mean * days[:, None]) ** 2 - mean * days[:, None]
    spread = excess.sum(axis=0) / max(float((days**2).sum()), 1e-300)
    per_day = np.clip(mean / np.maximum(spread, mean / _MOST), 1.0, _MOST)
    return mean * per_day, per_day


def _merged(histories: Histories, earlier: Mask, user: Ints, code: Ints, time: Floats) -> Histories:
    """The histories with touchpoints under `earlier` and new ones, in time order by user."""
    owners = np.concatenate([histories.owner[earlier], user])
    times = np.concatenate([histories.time[earlier], time])
    codes = np.concatenate([histories.codes[earlier], code])
    order = np.lexsort((times, owners))
    kept = np.bincount(histories.owner[earlier], minlength=histories.n_users)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=histories.n_users))))
    return replace(
        histories,
        offsets=offsets,
        time=times[order],
        codes=codes[order],
        event_stop=(offsets[:-1] + kept)[histories.event_user],
        touchpoint=None,
    )
