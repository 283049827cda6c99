"""Prior distributions of the Bayesian models."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.bayesian.half_life_interpolation import (
    HalfLifeBasis,
    half_life_of,
)

# Of Student's t, by which biases are apart: where a test is far from what all else says, its
# channel is an exception, and the others are left where they are.
BIAS_DF = 3.0


@dataclass(frozen=True)
class Prior:
    """What is believed before the data, in units of the data's mean rates.

    An effect is told in conversions per touchpoint, as a part of what a touchpoint would bring if
    touchpoints brought all conversions.

    Attributes:
        baseline: mean and s.d. of the logarithm of the baseline's part of all conversions.
        pooled: mean and s.d. of what channels' effects have in common.
        spread: mean and s.d. of the logarithm of how far effects are apart.
        df: of Student's t, by which effects are apart.
        level: mean, s.d. in common and s.d. of each channel of the half-life, on a logistic scale
            from the shortest to the longest.
        bias: scale of the half-normal prior of how far biases are from what is expected.
    """

    baseline: tuple[float, float] = (log(0.5), 1.5)
    pooled: tuple[float, float] = (0.3, 1.0)
    spread: tuple[float, float] = (log(0.6), 0.3)
    df: float = 4.0
    level: tuple[float, float, float] = (0.2, 0.8, 0.5)
    bias: float = 0.4


def half_life_weights(
    basis: HalfLifeBasis, given: Floats, prior: Prior, active: Ints
) -> tuple[Any, Any]:
    """Weights of the nodes, shape `(n_active, n_nodes)`, and half-lives in days."""
    import pymc as pm  # type: ignore[import-untyped]  # no stubs
    import pytensor.tensor as pt

    k = len(active)
    if basis.is_given:
        pm.Deterministic("level", pt.zeros(k))
        return np.ones((k, 1)), given[active]
    mean, common, own = prior.level
    shared = pm.Normal("shared_level", mean, common)
    level = pm.Deterministic(
        "level", pm.math.sigmoid(shared + own * pm.Normal("own_level", shape=k))
    )
    return basis.powers_to_weights(level), half_life_of(level)


def bias_of(suspect: Floats, doubt: Floats, prior: tuple[float, float], scale: float) -> Any:
    """Of each active channel's effect, in the unit of `suspect` and `doubt`."""
    import pymc as pm

    slope = pm.Normal("slope", *prior)
    apart = pm.HalfNormal("doubt", scale)
    own = pm.StudentT("own_bias", BIAS_DF, shape=len(suspect))
    return pm.Deterministic("bias", slope * suspect + apart * doubt * own)
