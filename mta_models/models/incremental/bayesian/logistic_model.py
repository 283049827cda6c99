"""The Bayesian log-linear hazard as a PyMC model, and its draws as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.bayesian.half_life_interpolation import half_life_of
from mta_models.models.incremental.bayesian.lift_likelihood import LIFT_DF, Calibration
from mta_models.models.incremental.bayesian.logistic_data import LogFit, LogisticEvidence
from mta_models.models.incremental.bayesian.priors import BIAS_DF, Prior, bias_of, half_life_weights

# Of effects on the log hazard, and of the log hazard with none, around its mean. Half-lives and
# biases have the priors of the additive hazard.
PRIOR = Prior(baseline=(-1.0, 1.5), pooled=(0.0, 1.0), spread=(log(0.6), 0.3))


@dataclass(frozen=True, eq=False)
class LogDraws:
    """Draws of the logarithm of a hazard.

    Attributes:
        effect: what channels cause, shape `(n_draws, n_channels)`.
        bias: what goes with them besides, of the same shape.
        intercept: shape `(n_draws,)`, of conversions per user and day.
        half_life: days, shape `(n_draws, n_channels)`.
    """

    effect: Floats
    bias: Floats
    intercept: Floats
    half_life: Floats

    def thinned(self, most: int) -> LogDraws:
        """At most `most` of them, evenly."""
        n = len(self.intercept)
        kept = np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
        return replace(self, **{name: each[kept] for name, each in vars(self).items()})

    @property
    def fits(self) -> list[LogFit]:
        """One by one."""
        return [
            LogFit(effect, bias, float(intercept), half_life)
            for effect, bias, intercept, half_life in zip(
                self.effect, self.bias, self.intercept, self.half_life, strict=True
            )
        ]

    @property
    def mean(self) -> LogFit:
        """The means, of half-lives geometric."""
        return LogFit(
            self.effect.mean(axis=0),
            self.bias.mean(axis=0),
            float(self.intercept.mean()),
            np.exp(np.log(self.half_life).mean(axis=0)),
        )


def build(evidence: LogisticEvidence, calibration: Calibration | None, nonnegative: bool) -> Any:
    """The PyMC model, with variables by the names of that of the additive hazard."""
    import pymc as pm  # type: ignore[import-untyped]  # no stubs
    import pytensor.tensor as pt

    active = evidence.active
    k = len(active)
    begin = np.clip(evidence.likeliest().coef[active], 0.01, 3.0)
    with pm.Model() as model:
        # At even odds there are as many cases as moments: the intercept is told from their ratio.
        intercept = pm.Normal("baseline", *PRIOR.baseline) + _ratio(evidence)
        weights, _ = half_life_weights(evidence.basis, evidence.half_life, PRIOR, active)
        pooled = pm.Normal("pooled", *PRIOR.pooled)
        spread = pm.LogNormal("spread", *PRIOR.spread)
        bias: Any = np.zeros(k)
        carried = evidence.carried[active]
        if calibration is not None:
            scales = calibration.suspect[active] / carried, calibration.doubt[active] / carried
            bias = bias_of(*scales, calibration.slope, PRIOR.bias)
        if nonnegative:
            effect = pm.HalfStudentT("effect", PRIOR.df, sigma=spread, shape=k, initval=begin)
            together = effect + bias
        elif calibration is None:
            effect = together = pm.StudentT(
                "effect", PRIOR.df, mu=pooled, sigma=spread, shape=k, initval=begin
            )
        else:
            together = pm.Flat("together", shape=k, initval=begin)
            effect = pm.Deterministic("effect", together - bias)
            t = pm.StudentT.dist(PRIOR.df, mu=pooled, sigma=spread, shape=k)
            pm.Potential("effects", pm.logp(t, effect).sum())
        if calibration is None:
            pm.Deterministic("bias", pt.zeros(k))
        _likelihood(evidence, (together[:, None] * weights).ravel(), intercept)
        if calibration is not None:
            place = np.searchsorted(active, calibration.channel)
            implied = replace(calibration, channel=place).implied(effect * carried)
            pm.StudentT(
                "lift",
                LIFT_DF,
                mu=implied,
                sigma=calibration.standard_error,
                observed=calibration.lift,
            )
    return model


def _ratio(evidence: LogisticEvidence) -> float:
    """The logarithm of conversions for each sampled moment at risk."""
    return float(np.log(evidence.total / evidence.weight[evidence.n_cases :].sum()))


def _likelihood(evidence: LogisticEvidence, by_node: Any, intercept: Any) -> None:
    """Cases among sampled moments; `by_node` is of active channels and nodes."""
    import pymc as pm
    import pytensor.tensor as pt

    n = len(evidence.weight)
    table = np.moveaxis(evidence.response[:, evidence.active], 2, 0).transpose(0, 2, 1)
    table = np.ascontiguousarray(table.reshape(n, -1))
    sign = np.where(np.arange(n) < evidence.n_cases, -1.0, 1.0)
    odds = intercept + by_node @ table.T
    pm.Potential("likelihood", -(pt.softplus(sign * odds) @ evidence.weight))


def draws_of(found: dict[str, Floats], evidence: LogisticEvidence) -> LogDraws:
    """Draws of all channels from PyMC's by name; others than active have no effect."""
    active, k = evidence.active, len(evidence.half_life)
    n = len(found["baseline"])
    effect, bias = np.zeros((n, k)), np.zeros((n, k))
    effect[:, active], bias[:, active] = found["effect"], found["bias"]
    half_life = np.tile(evidence.half_life, (n, 1))
    if not evidence.basis.is_given:
        half_life[:, active] = half_life_of(found["level"])
    intercept = found["baseline"] + _ratio(evidence) + np.log(evidence.scale)
    return LogDraws(effect, bias, intercept, half_life)


def prior_draws(
    evidence: LogisticEvidence,
    calibration: Calibration | None,
    nonnegative: bool,
    n_draws: int,
    rng: np.random.Generator,
) -> LogDraws:
    """Draws of what is believed before any conversion is looked at, but for their mean rate."""
    active = evidence.active
    k = len(active)
    t = rng.standard_t(PRIOR.df, (n_draws, k)) * np.exp(rng.normal(*PRIOR.spread, (n_draws, 1)))
    bias = np.zeros((n_draws, k))
    if calibration is not None:
        carried = evidence.carried[active]
        bias = rng.normal(*calibration.slope, (n_draws, 1)) * calibration.suspect[active] / carried
        apart = np.abs(rng.normal(0, PRIOR.bias, (n_draws, 1)))
        own = rng.standard_t(BIAS_DF, (n_draws, k))
        bias = bias + apart * own * calibration.doubt[active] / carried
    mean, common, own_spread = PRIOR.level
    level = rng.normal(mean, common, (n_draws, 1))
    level = level + own_spread * rng.standard_normal((n_draws, k))
    found = {
        "baseline": rng.normal(*PRIOR.baseline, n_draws),
        "effect": np.abs(t) if nonnegative else rng.normal(*PRIOR.pooled, (n_draws, 1)) + t,
        "bias": bias,
        "level": 1 / (1 + np.exp(-level)),
    }
    return draws_of(found, evidence)
