"""The Bayesian log-linear hazard's likelihood in PyMC, and its draws as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.bayesian.draws import ChannelDraws, all_channels
from mta_models.models.incremental.bayesian.lift_likelihood import LiftCalibration, add_lifts
from mta_models.models.incremental.bayesian.logistic_data import LogFit, LogisticLikelihood
from mta_models.models.incremental.bayesian.priors import Prior, add_priors

# Limits of the start value of an effect.
_MIN_START, _MAX_START = 0.01, 3.0


@dataclass(frozen=True, eq=False)
class LogisticDraws(ChannelDraws):
    """Draws of a log-linear hazard; effects and biases are on the log hazard.

    Attributes:
        intercept: shape `(n_draws,)`, logarithm of conversions per user and day.
    """

    intercept: Floats

    @property
    def fits(self) -> list[LogFit]:
        """One hazard per draw."""
        return [
            LogFit(effect, bias, float(intercept), half_life)
            for effect, bias, intercept, half_life in zip(
                self.effect, self.bias, self.intercept, self.half_life, strict=True
            )
        ]


def build(
    likelihood: LogisticLikelihood,
    prior: Prior,
    calibration: LiftCalibration | None,
    nonnegative: bool,
) -> Any:
    """The PyMC model; the arguments are those of the additive hazard's."""
    import pymc as pm  # type: ignore[import-untyped]  # no stubs

    active = likelihood.active
    start = np.clip(likelihood.point.coef[active], _MIN_START, _MAX_START)
    bias = None if calibration is None else calibration.bias
    with pm.Model() as model:
        terms = add_priors(likelihood, prior, bias, nonnegative, start)
        # The mean hazard corresponds to the sample's odds of a case.
        intercept = terms.baseline + _log_odds(likelihood)
        by_node = (terms.observed[:, None] * terms.weights).ravel()
        _add_likelihood(likelihood, by_node, intercept)
        if calibration is not None:
            credit = terms.effect * likelihood.conversions_per_effect[active]
            add_lifts(calibration, active, credit)
    return model


def _log_odds(likelihood: LogisticLikelihood) -> float:
    """The logarithm of cases per sampled point of person-time."""
    return float(np.log(likelihood.total / likelihood.weight[likelihood.n_cases :].sum()))


def _add_likelihood(likelihood: LogisticLikelihood, by_node: Any, intercept: Any) -> None:
    """Cases among sampled person-time; `by_node` holds effects of active channels and nodes."""
    import pymc as pm
    import pytensor.tensor as pt

    n = len(likelihood.weight)
    table = np.moveaxis(likelihood.response[:, likelihood.active], 2, 0).transpose(0, 2, 1)
    table = np.ascontiguousarray(table.reshape(n, -1))
    sign = np.where(np.arange(n) < likelihood.n_cases, -1.0, 1.0)
    odds = intercept + by_node @ table.T
    pm.Potential("likelihood", -(pt.softplus(sign * odds) @ likelihood.weight))


def logistic_draws(sampled: dict[str, Floats], likelihood: LogisticLikelihood) -> LogisticDraws:
    """Draws of all channels, from PyMC's by name."""
    intercept = sampled["baseline"] + _log_odds(likelihood) + np.log(likelihood.scale)
    return LogisticDraws(*all_channels(sampled, likelihood), intercept)
