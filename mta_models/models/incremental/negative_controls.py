"""Negative controls: future touchpoints cannot cause a conversion, so their effect is bias."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.models.incremental.hazard.likelihood import Rates, maximise_additive

_LN2 = log(2)
# Minimum fraction of conversions whose user is observed for a half-life after them.
_MIN_OBSERVED = 0.5


def future_credit(histories: Histories, risk: Floats, half_life: Floats) -> Floats | None:
    """Conversions that a hazard credits to future touchpoints, by channel, shape `(n_channels,)`.

    A touchpoint cannot cause an earlier conversion. An association of conversions with future
    touchpoints therefore shows that users who meet the channel more also convert more for other
    reasons: a negative control (Lipsitch, Tchetgen Tchetgen & Cohen 2010, Epidemiology
    21:383–388). One additive hazard with effects >= 0 is fitted to past touchpoints and, mirrored
    in time with the same half-lives, to future ones; the credit of the future ones is returned.

    Args:
        histories: with conversions.
        risk: shape `(n_users,)`, until when each user is at risk.
        half_life: days, shape `(n_channels,)`.

    Returns:
        None where the observation of most users ends within a half-life after the conversion.
    """
    after = histories.end[histories.event_user] - histories.event_time
    typical = float(np.median(half_life)) if len(half_life) else 0.0
    followed = histories.event_weight @ (after > typical)
    if not followed > _MIN_OBSERVED * histories.total:
        return None
    back = _mirrored(histories.as_met(), risk)
    density = _LN2 / half_life
    past = histories.adstock(half_life) * density
    # A touchpoint at the exact time of the conversion is not later.
    later = np.nextafter(-histories.event_time, -np.inf)
    last = histories.n_users - 1
    future = back.adstock_at(last - histories.event_user, later, half_life) * density
    rates = Rates(
        np.concatenate([past.T, future.T, np.ones((1, histories.n_events))]),
        histories.event_weight,
        np.concatenate(
            [
                histories.totals(half_life, risk) * density,
                back.totals(half_life) * density,
                [histories.days(risk)],
            ]
        ),
    )
    k = histories.n_channels
    return (maximise_additive(rates, gap=1e-3).theta * rates.cost)[k : 2 * k]


def _mirrored(histories: Histories, risk: Floats) -> Histories:
    """The histories with time reversed, from each user's end of risk; conversions unchanged."""
    sizes = np.diff(histories.offsets)[::-1]
    return replace(
        histories,
        offsets=np.concatenate(([0], np.cumsum(sizes))),
        time=-histories.time[::-1],
        codes=histories.codes[::-1],
        start=-risk[::-1],
        end=-histories.start[::-1],
        weight=histories.weight[::-1],
    )
