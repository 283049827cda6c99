"""The Bayesian additive hazard's likelihood in PyMC, and its draws as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.bayesian.draws import ChannelDraws, all_channels
from mta_models.models.incremental.bayesian.hazard_data import HazardLikelihood
from mta_models.models.incremental.bayesian.lift_likelihood import LiftCalibration, add_lifts
from mta_models.models.incremental.bayesian.priors import Prior, add_priors

_LN2 = log(2)
# Below this fraction of the mean rate a hazard bends towards 0 instead of crossing it.
FLOOR = 0.01
# How steep the penalty is that keeps the hazard just after a single touchpoint above 0.
_STEEPNESS = 20.0
# Minimum start value of an effect: at 0 the sampler could start where the gradient vanishes.
_MIN_START = 0.01


@dataclass(frozen=True, eq=False)
class HazardDraws(ChannelDraws):
    """Draws of an additive hazard; effects and biases are in conversions per touchpoint.

    Attributes:
        baseline: conversions per user and day, shape `(n_draws,)`.
    """

    baseline: Floats


def build(
    likelihood: HazardLikelihood,
    prior: Prior,
    calibration: LiftCalibration | None,
    nonnegative: bool,
) -> Any:
    """The PyMC model.

    Args:
        likelihood: of the histories.
        prior: as `prior_from` returns it.
        calibration: lift tests; None: none, and no bias.
        nonnegative: whether effects must be >= 0.
    """
    import pymc as pm  # type: ignore[import-untyped]  # no stubs
    import pytensor.tensor as pt

    active, unit = likelihood.active, likelihood.effect_unit
    start = np.maximum(likelihood.point.beta[active] / unit, _MIN_START)
    bias = None if calibration is None else calibration.bias
    with pm.Model() as model:
        terms = add_priors(likelihood, prior, bias, nonnegative, start)
        baseline = pt.exp(terms.baseline) * (likelihood.total / likelihood.days)
        beta = unit * terms.observed
        _add_likelihood(likelihood, beta, baseline, terms.weights)
        after_one = beta * _LN2 / terms.half_life / baseline
        pm.Potential("above_zero", -(pt.softplus(-_STEEPNESS * (1 + after_one)) ** 2).sum())
        if calibration is not None:
            exposure = (terms.weights * likelihood.exposure.T[active]).sum(axis=1)
            add_lifts(calibration, active, unit * terms.effect * exposure)
    return model


def _add_likelihood(likelihood: HazardLikelihood, beta: Any, baseline: Any, weights: Any) -> None:
    """Σ w log λ − Σ λ, with λ floored; weights are of nodes, `(n_active, n_nodes)`."""
    import pymc as pm
    import pytensor.tensor as pt

    rate, active = likelihood.total / likelihood.days, likelihood.active
    # One matrix of all channels and nodes, so that a step is one product with a vector.
    table = np.moveaxis(likelihood.rate[:, active], 2, 0).transpose(0, 2, 1)
    by_node: Any = (beta[:, None] * weights).ravel()
    table = np.ascontiguousarray(table.reshape(len(likelihood.weight), -1)) / rate
    hazard = baseline / rate + by_node @ table.T
    floored = FLOOR * pt.softplus(hazard / FLOOR)
    exposure = likelihood.exposure.T[active].ravel()
    pm.Potential(
        "likelihood",
        pt.log(floored) @ likelihood.weight - baseline * likelihood.days - by_node @ exposure,
    )


def hazard_draws(sampled: dict[str, Floats], likelihood: HazardLikelihood) -> HazardDraws:
    """Draws of all channels in their own units, from PyMC's by name."""
    baseline = np.exp(sampled["baseline"]) * (likelihood.total / likelihood.days)
    return HazardDraws(*all_channels(sampled, likelihood), baseline)
