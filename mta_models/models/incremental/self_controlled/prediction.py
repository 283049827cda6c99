"""Expected conversions of any user: the user's mean frailty times the user's integrated rate."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.frailty import Frailty
from mta_models.models.incremental.self_controlled.relative_rate import RelativeRate


def expected_conversions(
    rate: RelativeRate, frailty: Frailty, histories: Histories, since: float, until: float
) -> Floats:
    """Conversions expected of each user between two days, shape `(n_users,)`.

    A user's frailty is estimated by its mean given the user's conversions before `since`.
    """
    mean = frailty.mean_given(*count_and_integral(rate, histories, since))
    end = np.clip(histories.end, since, until)
    begin = np.clip(histories.start, since, end)
    ahead = _integral(rate, histories, end) - _integral(rate, histories, begin)
    expected: Floats = mean * np.maximum(ahead, 0)
    return expected


def count_and_integral(
    rate: RelativeRate, histories: Histories, until: float
) -> tuple[Floats, Floats]:
    """Each user's conversions before a day, and the integral of the rate while at risk until then.

    Both of shape `(n_users,)`.
    """
    earlier = histories.event_time < until
    weight = histories.event_weight[earlier]
    count = np.bincount(histories.event_user[earlier], weight, histories.n_users)
    stop = np.minimum(histories.risk_end(), until)
    each: Floats = count / np.maximum(histories.weight, 1e-300)
    return each, _integral(rate, histories, stop)


def _integral(rate: RelativeRate, histories: Histories, stop: Floats) -> Floats:
    """∫ of the relative rate from each user's start to `stop`, shape `(n_users,)`.

    Only past touchpoints are used; for moving intent they stand for future ones too.
    """
    stop = np.maximum(stop, histories.start)
    total = stop - histories.start
    kernels = [(rate.half_life, rate.effect)]
    kernels += [
        (np.full(histories.n_channels, span), 2 * effect)
        for span, effect in zip(rate.spans, rate.intent, strict=True)
        if np.isfinite(span)
    ]
    for half_life, effect in kernels:
        each = histories.exposure(half_life, stop) * effect[histories.codes]
        total = total + np.bincount(histories.owner, each, histories.n_users)
    return total
