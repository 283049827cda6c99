"""The Bayesian additive hazard as a PyMC model, and its draws as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.bayesian.half_life_interpolation import (
    half_life_of,
)
from mta_models.models.incremental.bayesian.hazard_data import Evidence
from mta_models.models.incremental.bayesian.lift_likelihood import LIFT_DF, Calibration
from mta_models.models.incremental.bayesian.priors import BIAS_DF, Prior, bias_of, half_life_weights
from mta_models.models.incremental.bayesian.sampling import Diagnostics

_LN2 = log(2)
# Of the mean rate: below this a hazard bends towards 0 instead of crossing it.
FLOOR = 0.01
# How steeply a hazard just after a lone touchpoint is kept from falling below 0.
_WALL = 20.0


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws from the posterior, or from the prior.

    Attributes:
        effect: conversions that a touchpoint causes, shape `(n_draws, n_channels)`.
        bias: conversions that merely go with a touchpoint, of the same shape.
        baseline: conversions per user and day, shape `(n_draws,)`.
        half_life: days, shape `(n_draws, n_channels)`.
    """

    effect: Floats
    bias: Floats
    baseline: Floats
    half_life: Floats

    def __len__(self) -> int:
        return len(self.baseline)

    def thinned(self, most: int) -> Draws:
        """At most `most` of them, evenly."""
        kept = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(int))
        return replace(self, **{name: each[kept] for name, each in vars(self).items()})

    @property
    def mean(self) -> Draws:
        """One draw: the means, of half-lives geometric."""
        middle = {name: each.mean(axis=0, keepdims=True) for name, each in vars(self).items()}
        middle["half_life"] = np.exp(np.log(self.half_life).mean(axis=0, keepdims=True))
        return Draws(**middle)


NAMES = ("baseline", "level", "effect", "bias", "pooled", "spread")
CALIBRATED = (*NAMES, "slope", "doubt")


def build(
    evidence: Evidence, prior: Prior, calibration: Calibration | None, nonnegative: bool
) -> Any:
    """The PyMC model, of whose variables `NAMES`, with tests `CALIBRATED`, are of interest."""
    import pymc as pm  # type: ignore[import-untyped]  # no stubs
    import pytensor.tensor as pt

    active = evidence.active
    k = len(active)
    unit = evidence.per_touchpoint
    with pm.Model() as model:
        portion = pm.Normal("baseline", *prior.baseline, initval=-1.0)
        baseline = pt.exp(portion) * (evidence.total / evidence.days)
        weights, half_life = half_life_weights(
            evidence.basis, evidence.point.half_life, prior, active
        )
        pooled = pm.Normal("pooled", *prior.pooled)
        spread = pm.LogNormal("spread", *prior.spread)
        begin = np.maximum(evidence.point.beta[active] / unit, 0.01)
        bias: Any = np.zeros(k)
        if calibration is not None:
            bias = bias_of(*_bias_scales(evidence, calibration), calibration.slope, prior.bias)
        if nonnegative:
            effect = pm.HalfStudentT("effect", prior.df, sigma=spread, shape=k, initval=begin)
            together = effect + bias
        elif calibration is None:
            effect = together = pm.StudentT(
                "effect", prior.df, mu=pooled, sigma=spread, shape=k, initval=begin
            )
        else:
            # What is observed of a channel is known well, what of it is caused is not: sampled
            # this way round they are nearly independent.
            together = pm.Flat("together", shape=k, initval=begin)
            effect = pm.Deterministic("effect", together - bias)
            t = pm.StudentT.dist(prior.df, mu=pooled, sigma=spread, shape=k)
            pm.Potential("effects", pm.logp(t, effect).sum())
        if calibration is None:
            pm.Deterministic("bias", pt.zeros(k))
        _likelihood(evidence, unit * together, baseline, weights, active)
        fresh = unit * together * _LN2 / half_life / baseline
        pm.Potential("wall", -(pt.softplus(-_WALL * (1 + fresh)) ** 2).sum())
        if calibration is not None:
            exposed = (weights * evidence.exposure.T[active]).sum(axis=1)
            place = np.searchsorted(active, calibration.channel)
            implied = replace(calibration, channel=place).implied(unit * effect * exposed)
            pm.StudentT(
                "lift",
                LIFT_DF,
                mu=implied,
                sigma=calibration.standard_error,
                observed=calibration.lift,
            )
    return model


def _bias_scales(evidence: Evidence, calibration: Calibration) -> tuple[Floats, Floats]:
    """Suspicion and doubt of active channels in units of an effect, each `(n_active,)`."""
    exposed = evidence.exposed(evidence.point.half_life)[evidence.active]
    unit = exposed * evidence.per_touchpoint
    return calibration.suspect[evidence.active] / unit, calibration.doubt[evidence.active] / unit


def _likelihood(evidence: Evidence, beta: Any, baseline: Any, weights: Any, active: Ints) -> None:
    """Σ w log λ − Σ λ, with λ floored; weights are of nodes, `(n_active, n_nodes)`."""
    import pymc as pm
    import pytensor.tensor as pt

    rate = evidence.total / evidence.days
    # One matrix of all channels and nodes, so that a step is one product with a vector.
    table = np.moveaxis(evidence.rate[:, active], 2, 0).transpose(0, 2, 1)
    by_node: Any = (beta[:, None] * weights).ravel()
    table = np.ascontiguousarray(table.reshape(len(evidence.weight), -1)) / rate
    hazard = baseline / rate + by_node @ table.T
    floored = FLOOR * pt.softplus(hazard / FLOOR)
    exposure = evidence.exposure.T[active].ravel()
    pm.Potential(
        "likelihood",
        pt.log(floored) @ evidence.weight - baseline * evidence.days - by_node @ exposure,
    )


def draws_of(found: dict[str, Floats], evidence: Evidence) -> Draws:
    """Draws of all channels in their own units, from PyMC's by name; others than active have 0."""
    active, k = evidence.active, evidence.exposure.shape[1]
    n = len(found["baseline"])
    effect, bias = np.zeros((n, k)), np.zeros((n, k))
    effect[:, active] = found["effect"] * evidence.per_touchpoint
    bias[:, active] = found["bias"] * evidence.per_touchpoint
    half_life = np.tile(evidence.point.half_life, (n, 1))
    if not evidence.basis.is_given:
        half_life[:, active] = half_life_of(found["level"])
    baseline = np.exp(found["baseline"]) * (evidence.total / evidence.days)
    return Draws(effect, bias, baseline, half_life)


def untouched(
    total: float, n_draws: int, rng: np.random.Generator
) -> tuple[dict[str, Floats], Diagnostics]:
    """Draws where there is no channel to learn of: of the mean rate alone, which is Gamma."""
    none = np.zeros((n_draws, 0))
    rate = np.log(rng.gamma(total, size=n_draws) / total)
    found = {"baseline": rate, "effect": none, "bias": none, "level": none}
    return found, Diagnostics(1.0, float(n_draws), 0, n_draws, "")


def prior_draws(
    evidence: Evidence,
    prior: Prior,
    calibration: Calibration | None,
    nonnegative: bool,
    n_draws: int,
    rng: np.random.Generator,
) -> Draws:
    """Draws of what is believed before any conversion is looked at, but for their mean rates."""
    k = len(evidence.active)
    spread = np.exp(rng.normal(*prior.spread, n_draws))
    t = rng.standard_t(prior.df, (n_draws, k)) * spread[:, None]
    effect = np.abs(t) if nonnegative else rng.normal(*prior.pooled, (n_draws, 1)) + t
    bias = np.zeros((n_draws, k))
    if calibration is not None:
        suspect, doubt = _bias_scales(evidence, calibration)
        apart = np.abs(rng.normal(0, prior.bias, (n_draws, 1)))
        bias = rng.normal(*calibration.slope, (n_draws, 1)) * suspect
        bias = bias + apart * doubt * rng.standard_t(BIAS_DF, (n_draws, k))
    mean, common, own = prior.level
    level = rng.normal(mean, common, (n_draws, 1)) + own * rng.standard_normal((n_draws, k))
    found = {
        "baseline": rng.normal(*prior.baseline, n_draws),
        "effect": effect,
        "bias": bias,
        "level": 1 / (1 + np.exp(-level)),
    }
    return draws_of(found, evidence)
