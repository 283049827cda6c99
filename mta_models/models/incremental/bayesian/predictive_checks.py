"""Conversions week by week: observed, and as draws of a hazard replicate them."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.models.incremental.bayesian.hazard_model import HazardDraws

if TYPE_CHECKING:
    import pandas as pd

_LN2 = log(2)
_WEEK = 7.0


def week_starts(histories: Histories) -> Floats:
    """When each week of observation begins, shape `(n_weeks,)`, days since the log's start."""
    return np.arange(histories.start.min(), histories.end.max(), _WEEK)


def week_index(histories: Histories, time: Floats) -> Ints:
    """The week in which each time, in days, falls."""
    week: Ints = ((time - histories.start.min()) // _WEEK).astype(np.int64)
    return week


def hazard_by_week(histories: Histories, risk: Floats, draws: HazardDraws) -> Floats:
    """Conversions that draws of an additive hazard expect, shape `(n_draws, n_weeks)`.

    Carry-over is computed at the mean half-lives of all draws.

    Args:
        histories: times at risk and touchpoints are taken as given.
        risk: shape `(n_users,)`, until when each user is at risk.
        draws: from the posterior or the prior.
    """
    weeks, half_life = week_starts(histories), draws.mean.half_life[0]
    per_day = _LN2 / half_life
    expected = np.empty((len(draws), len(weeks)))
    for week, since in enumerate(weeks.tolist()):
        begin = np.maximum(histories.start, since)
        stop = np.minimum(risk, since + _WEEK)
        each = histories.exposure(half_life, stop, begin) * histories.weight[histories.owner]
        exposure = np.bincount(histories.codes, each, histories.n_channels) * per_day
        days = float(histories.weight @ np.maximum(stop - begin, 0))
        expected[:, week] = draws.baseline * days + (draws.effect + draws.bias) @ exposure
    return expected


def replicate_weeks(
    histories: Histories, expected: Floats, rng: np.random.Generator, prob: float
) -> pd.DataFrame:
    """Conversions observed and replicated: Poisson numbers around what each draw expects.

    Args:
        histories: with conversions.
        expected: shape `(n_draws, n_weeks)`; less than 0 counts as 0.
        rng: of the Poisson numbers.
        prob: probability between `lower` and `upper`.

    Returns:
        One row per week of observation with `week` (when it begins, days since the log's start),
        `observed`, and of the replicates `mean`, `lower` and `upper`.
    """
    import pandas as pd

    weeks = week_starts(histories)
    week = np.minimum(week_index(histories, histories.event_time), len(weeks) - 1)
    # numpy refuses larger means; only a prior far too wide has them.
    drawn = rng.poisson(np.clip(expected, 0, 1e15))
    lower, upper = np.quantile(drawn, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return pd.DataFrame(
        {
            "week": weeks,
            "observed": np.bincount(week, histories.event_weight, len(weeks)),
            "mean": drawn.mean(axis=0),
            "lower": lower,
            "upper": upper,
        }
    )
