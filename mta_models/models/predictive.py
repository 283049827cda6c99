"""Conversions week by week: what draws of a hazard say there would be, beside what there was."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from mta_models.histories import Histories
from mta_models.models.hazard_posterior import Draws
from mta_models.ragged import Floats

if TYPE_CHECKING:
    import pandas as pd

_LN2 = log(2)
_WEEK = 7.0


def by_week(
    histories: Histories, risk: Floats, draws: Draws, rng: np.random.Generator, prob: float = 0.9
) -> pd.DataFrame:
    """Conversions observed and replicated, given when users were at risk and what they met.

    Each draw has its own effects, biases and baseline, and Poisson numbers from their rates;
    carry-over is that of half-lives in the middle of the draws. A rate below 0 counts as 0.

    Args:
        histories: with conversions.
        risk: shape `(n_users,)`, until when each user is at risk.
        draws: from the posterior or the prior.
        rng: of the Poisson numbers.
        prob: probability between `lower` and `upper`.

    Returns:
        One row per week of observation with `week` (when it begins, days since the log's start),
        `observed`, and of the replicates `mean`, `lower` and `upper`.
    """
    import pandas as pd

    weeks = np.arange(histories.start.min(), histories.end.max(), _WEEK)
    half_life = draws.mean.half_life[0]
    per_day = _LN2 / half_life
    expected = np.empty((len(draws), len(weeks)))
    for place, since in enumerate(weeks.tolist()):
        begin = np.maximum(histories.start, since)
        stop = np.minimum(risk, since + _WEEK)
        each = histories.exposure(half_life, stop, begin) * histories.weight[histories.owner]
        exposed = np.bincount(histories.codes, each, histories.n_channels) * per_day
        days = float(histories.weight @ np.maximum(stop - begin, 0))
        expected[:, place] = draws.baseline * days + (draws.effect + draws.bias) @ exposed
    replicated = rng.poisson(np.maximum(expected, 0))
    edges = np.append(weeks, weeks[-1] + _WEEK)
    tails = np.quantile(replicated, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return pd.DataFrame(
        {
            "week": weeks,
            "observed": np.histogram(histories.event_time, edges, weights=histories.event_weight)[
                0
            ],
            "mean": replicated.mean(axis=0),
            "lower": tails[0],
            "upper": tails[1],
        }
    )
