"""Prior distributions of the Bayesian models: as parameters, in PyMC, and as draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import exp, log
from typing import Any

import numpy as np

from mta_models.core.checks import check_number, is_number, shown
from mta_models.core.logistic_regression import chances
from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError
from mta_models.models.incremental.bayesian.half_life_interpolation import (
    LONGEST,
    SHORTEST,
    half_life_at,
    position_of,
)
from mta_models.models.incremental.bayesian.tabulated import TabulatedLikelihood

# S.d. of the logarithm of the spread of effects, and of the slope of biases on their means.
_SPREAD_LOG_SD = 0.3
_SLOPE_SD = 0.5
# Minimum bias scale, as a fraction of its maximum: without any signal of future touchpoints.
_MIN_BIAS_SCALE = 0.35


@dataclass(frozen=True, repr=False)
class Prior:
    """Priors of `BayesianHazard` and `BayesianLogistic`.

    The unit of an effect in `BayesianHazard` is the number of conversions per touchpoint at which
    touchpoints would explain every conversion: an effect of 1 means that they do. In
    `BayesianLogistic` an effect is the change of the log hazard per unit of saturated adstock.

    Attributes:
        effect_mean: prior mean of the effect that channels have in common. None: 0.3 in
            `BayesianHazard`, 0 in `BayesianLogistic`. Not used with `nonnegative`.
        effect_scale: s.d. of the common effect around `effect_mean`, and the scale of
            `effect_spread`; > 0. A small value pulls effects to `effect_mean`.
        effect_spread: prior median of the scale by which channels' effects differ from the common
            effect, in units of `effect_scale`; > 0. A small value pools channels.
        effect_df: degrees of freedom of Student's t for these differences; > 0. With a small value
            a channel with much data can be far from the others even if the scales are small; 100
            is nearly normal.
        baseline_median: prior median of the hazard without touchpoints, relative to the mean
            hazard; > 0. None: 0.5 in `BayesianHazard`, 0.37 in `BayesianLogistic`.
        baseline_scale: s.d. of its logarithm; > 0.
        half_life_median: prior median of half-lives, days, between 0.5 and 32 (default 4.9). The
            prior is logit-normal in the logarithm of the half-life between these limits, and not
            used where `half_life` is given.
        half_life_scale: s.d. of the common half-life, on the logit scale; > 0.
        half_life_spread: s.d. of channels' half-lives around the common one, on the logit scale;
            > 0.
        bias_scale: scale of the half-normal prior of how far biases differ from their means, as a
            fraction of the mean of a channel's observed credit and its credit if all touchpoints
            were equally effective (less where future touchpoints carry little signal); > 0. Used
            with lift tests only.
        bias_df: degrees of freedom of Student's t for these differences; > 0. With a small value a
            test that contradicts the others changes mostly the bias of its own channel.

    Raises:
        ParameterError: a field has a wrong type or is out of range.

    Example:
        >>> from mta_models import BayesianHazard, Prior
        >>> BayesianHazard(prior=Prior(effect_mean=0, effect_scale=0.1))
        BayesianHazard(prior=Prior(effect_mean=0, effect_scale=0.1))
    """

    effect_mean: float | None = None
    effect_scale: float = 1.0
    effect_spread: float = 0.6
    effect_df: float = 4.0
    baseline_median: float | None = None
    baseline_scale: float = 1.5
    half_life_median: float = half_life_at(1 / (1 + exp(-0.2)))  # 4.9 days
    half_life_scale: float = 0.8
    half_life_spread: float = 0.5
    bias_scale: float = 0.4
    bias_df: float = 3.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "effect_mean":
                if value is not None and not is_number(value):
                    raise ParameterError(
                        f"`prior.{name}` must be a finite number or None; got {shown(value)}"
                    )
            elif name != "baseline_median" or value is not None:
                check_number(value, f"prior.{name}", above=True)
        if not SHORTEST < self.half_life_median < LONGEST:
            raise ParameterError(
                f"`prior.half_life_median` must be between {SHORTEST} and {LONGEST:.0f} days; got "
                f"{self.half_life_median!r}. Give longer or shorter half-lives with `half_life`"
            )

    def __repr__(self) -> str:
        """With the fields that are not the defaults."""
        given = ((each, getattr(self, each.name)) for each in fields(self))
        texts = [f"{each.name}={value!r}" for each, value in given if value != each.default]
        return f"{type(self).__name__}({', '.join(texts)})"


def prior_from(
    prior: Prior | Mapping[str, float] | None, effect_mean: float, baseline_median: float
) -> Prior:
    """A model's parameter `prior` as a `Prior` whose fields are all set.

    Args:
        prior: a `Prior`, a mapping of its fields to numbers, or None for the defaults.
        effect_mean: the model's own default.
        baseline_median: the model's own default.

    Raises:
        ParameterError: `prior` is none of these, or a field has a wrong type or is out of range.

    Example:
        >>> prior_from({"effect_scale": 2}, 0.3, 0.5)
        Prior(effect_mean=0.3, effect_scale=2, baseline_median=0.5)
    """
    if isinstance(prior, Mapping):
        names = [each.name for each in fields(Prior)]
        unknown = [name for name in prior if name not in names]
        if unknown:
            raise ParameterError(
                f"`prior` has the fields {', '.join(names)}; got {shown(unknown[0])}. Use those"
            )
        prior = Prior(**prior)
    prior = Prior() if prior is None else prior
    if not isinstance(prior, Prior):
        raise ParameterError(
            "`prior` must be a Prior, a mapping of its fields to numbers, or None; got "
            f"{shown(prior)}. For example Prior(effect_scale=2)"
        )
    return replace(
        prior,
        effect_mean=effect_mean if prior.effect_mean is None else prior.effect_mean,
        baseline_median=(
            baseline_median if prior.baseline_median is None else prior.baseline_median
        ),
    )


@dataclass(frozen=True, eq=False)
class BiasPrior:
    """The prior, before any lift test, of the bias in channels' observed effects.

    A channel's bias is slope · mean + spread · scale · t, in conversions, with `slope` and
    `spread` common to all channels and t of Student's t.

    Attributes:
        mean: shape `(n_channels,)`, conversions.
        scale: shape `(n_channels,)`, conversions.
        slope: mean and s.d. of the common slope.
    """

    mean: Floats
    scale: Floats
    slope: tuple[float, float]

    @classmethod
    def from_credit(cls, credited: Floats, equal: Floats, future: Floats | None) -> BiasPrior:
        """From the observed credit of touchpoints, and of future ones, which cannot be causes.

        `scale` averages the channel's observed credit and its credit if all touchpoints were
        equally effective, shrunk when future touchpoints carry little signal.

        Args:
            credited: observed credit, in conversions, shape `(n_channels,)`.
            equal: conversions credited if all touchpoints were equally effective.
            future: conversions credited to future touchpoints; None: they are not observed.
        """
        scale = (np.maximum(credited, 0) + equal) / 2
        if future is None:
            return cls(equal, scale, (0.0, _SLOPE_SD))
        signal = float(future.sum() / max(credited.sum(), 1e-300))
        return cls(future, scale * min(_MIN_BIAS_SCALE + signal, 1.0), (1.0, _SLOPE_SD))

    def in_effect_units(self, likelihood: TabulatedLikelihood) -> tuple[Floats, Floats]:
        """Mean and scale of active channels in units of an effect, each `(n_active,)`."""
        active = likelihood.active
        unit = likelihood.conversions_per_effect[active] * likelihood.effect_unit
        return self.mean[active] / unit, self.scale[active] / unit


# Variables kept of each draw, and those that lift tests add.
VARIABLES = (
    "baseline",
    "half_life_position",
    "effect",
    "bias",
    "common_effect",
    "effect_spread",
)
BIAS_VARIABLES = ("bias_slope", "bias_spread")


@dataclass(frozen=True, eq=False)
class Terms:
    """Variables of a PyMC model that have priors, for its likelihood to combine.

    Attributes:
        baseline: logarithm of the hazard without touchpoints relative to the mean hazard, a scalar.
        weights: weights of the half-life nodes, shape `(n_active, n_nodes)`.
        half_life: days, shape `(n_active,)`.
        effect: what touchpoints cause, in units of an effect, shape `(n_active,)`.
        observed: effect plus bias, of the same shape and unit.
    """

    baseline: Any
    weights: Any
    half_life: Any
    effect: Any
    observed: Any


def add_priors(
    likelihood: TabulatedLikelihood,
    prior: Prior,
    bias: BiasPrior | None,
    nonnegative: bool,
    start: Floats,
) -> Terms:
    """Add all variables to the PyMC model in whose context this is called.

    Args:
        likelihood: of the model.
        prior: as `prior_from` returns it.
        bias: None without lift tests; then biases are 0.
        nonnegative: whether effects must be >= 0.
        start: where the sampler starts observed effects, in units of an effect, `(n_active,)`.
    """
    import pymc as pm  # type: ignore[import-untyped]  # no stubs
    import pytensor.tensor as pt

    k = len(likelihood.active)
    centre, scale = _baseline(prior)
    near = min(max(-1.0, centre - 2 * scale), centre + 2 * scale)
    baseline = pm.Normal("baseline", centre, scale, initval=near)
    weights, half_life = _add_half_lives(likelihood, prior)
    common = pm.Normal("common_effect", *_common(prior))
    spread = pm.LogNormal("effect_spread", *_spread(prior))
    biases: Any = np.zeros(k)
    if bias is None:
        pm.Deterministic("bias", pt.zeros(k))
    else:
        biases = _add_bias(*bias.in_effect_units(likelihood), bias.slope, prior)
    if nonnegative:
        effect = pm.HalfStudentT("effect", prior.effect_df, sigma=spread, shape=k, initval=start)
        return Terms(baseline, weights, half_life, effect, effect + biases)
    if bias is None:
        effect = pm.StudentT(
            "effect", prior.effect_df, mu=common, sigma=spread, shape=k, initval=start
        )
        return Terms(baseline, weights, half_life, effect, effect)
    # The data determine the observed effect (effect plus bias) well, and its causal part badly.
    # Sampled as variables, the observed effect and the bias are nearly independent.
    observed = pm.Flat("observed_effect", shape=k, initval=start)
    effect = pm.Deterministic("effect", observed - biases)
    t = pm.StudentT.dist(prior.effect_df, mu=common, sigma=spread, shape=k)
    pm.Potential("effect_prior", pm.logp(t, effect).sum())
    return Terms(baseline, weights, half_life, effect, observed)


def _add_half_lives(likelihood: TabulatedLikelihood, prior: Prior) -> tuple[Any, Any]:
    """Weights of the nodes, shape `(n_active, n_nodes)`, and half-lives in days."""
    import pymc as pm
    import pytensor.tensor as pt

    basis, active = likelihood.basis, likelihood.active
    k = len(active)
    if basis.is_given:
        pm.Deterministic("half_life_position", pt.zeros(k))
        return np.ones((k, 1)), likelihood.half_life[active]
    common = pm.Normal("common_half_life", *_half_life(prior))
    own = pm.Normal("own_half_life", shape=k)
    position = pm.Deterministic(
        "half_life_position", pm.math.sigmoid(common + prior.half_life_spread * own)
    )
    return basis.weights_at(position), half_life_at(position)


def _add_bias(mean: Floats, scale: Floats, slope: tuple[float, float], prior: Prior) -> Any:
    """Biases of active channels, in the unit of `mean` and `scale`."""
    import pymc as pm

    common = pm.Normal("bias_slope", *slope)
    spread = pm.HalfNormal("bias_spread", prior.bias_scale)
    own = pm.StudentT("own_bias", prior.bias_df, shape=len(mean))
    return pm.Deterministic("bias", common * mean + spread * scale * own)


def sample_prior(
    likelihood: TabulatedLikelihood,
    prior: Prior,
    bias: BiasPrior | None,
    nonnegative: bool,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Draws from the prior of the first four of `VARIABLES`, each of shape `(n_draws, ...)`.

    The arguments are those of `add_priors`.
    """
    k = len(likelihood.active)
    spread = np.exp(rng.normal(*_spread(prior), n_draws))
    effect = rng.standard_t(prior.effect_df, (n_draws, k)) * spread[:, None]
    common = 0.0 if nonnegative else rng.normal(*_common(prior), (n_draws, 1))
    effect = np.abs(effect) if nonnegative else common + effect
    biases = np.zeros((n_draws, k))
    if bias is not None:
        mean, scale = bias.in_effect_units(likelihood)
        bias_spread = np.abs(rng.normal(0, prior.bias_scale, (n_draws, 1)))
        biases = rng.normal(*bias.slope, (n_draws, 1)) * mean
        biases = biases + bias_spread * scale * rng.standard_t(prior.bias_df, (n_draws, k))
    logit = rng.normal(*_half_life(prior), (n_draws, 1))
    logit = logit + prior.half_life_spread * rng.standard_normal((n_draws, k))
    return {
        "baseline": rng.normal(*_baseline(prior), n_draws),
        "effect": effect,
        "bias": biases,
        "half_life_position": chances(logit),
    }


def _common(prior: Prior) -> tuple[float, float]:
    """Mean and s.d. of the common effect, in units of an effect."""
    assert prior.effect_mean is not None  # `prior_from` leaves no None
    return prior.effect_mean, prior.effect_scale


def _spread(prior: Prior) -> tuple[float, float]:
    """Mean and s.d. of the logarithm of the spread of effects, in units of an effect."""
    return log(prior.effect_spread) + log(prior.effect_scale), _SPREAD_LOG_SD


def _half_life(prior: Prior) -> tuple[float, float]:
    """Mean and s.d. of the common half-life, on the logit scale."""
    position = float(position_of(np.array(prior.half_life_median)))
    # Rounded, so that the default's mean is 0.2 to the last digit.
    return round(log(position / (1 - position)), 12), prior.half_life_scale


def _baseline(prior: Prior) -> tuple[float, float]:
    """Mean and s.d. of the logarithm of the baseline relative to the mean hazard."""
    assert prior.baseline_median is not None  # `prior_from` leaves no None
    return log(prior.baseline_median), prior.baseline_scale
