"""The posterior of effects and of their biases, given buyers' own days and lift tests.

Unknown are θ, the observed effects, β, their causal parts, what the biases b = θ − β have in
common (κ, τ), and how far tested entrances close purchases (φ):

    log p = log L(θ) + Σ_j log t7((L_j − ρ_j R_j(θ, β, φ)) / s_j)
            + Σ_c log t3((b_c − κ e_c) / (τ d_c)) + log t3(κ) + log N(log τ) + log p(β) + log p(φ)

L is the conditional likelihood and R_j the removal that the model implies for test j; L_j ± s_j was
measured. e is the direction in which effects may be off together, d how far each may be off; there
is a κ for each group of channels, as for entrances and others.

Student's t is a normal with a Gamma precision. Given κ, τ and the precisions, (θ, β) is normal but
for L and R, which are nearly so: Metropolis–Hastings proposes from the normal with the curvature of
log L and the slopes of R at a centre. κ, the precisions, τ and φ are drawn from their conditional
distributions (Gibbs; the last two on a grid).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.models.incremental.one_answer.removal import Effects, Removals
from mta_models.models.incremental.self_controlled.conditional_likelihood import Terms

# Degrees of freedom of Student's t around a lift, and around a bias and a κ.
LIFT_DF, BIAS_DF = 7.0, 3.0
# S.d. of the logarithm of τ.
_SPREAD_LOG_SD = 0.7
# S.d. of a negative observed effect, in units of the user's own baseline.
_NEGATIVE = 0.25
_NEWTON_STEPS = 100
# Conversions above which log L is taken to be quadratic around its maximum.
_MAX_EXACT = 50_000
# How much of its distance from the mean a proposal keeps: far moves and near ones in turn.
_STAY = (0.0, 0.8, 0.95, 0.0)
_THIN = 4  # steps for each draw kept
_CENTRES = 8  # times that the normal approximation is moved while warming up
_TAUS = np.exp(np.linspace(np.log(0.01), np.log(5.0), 160))
# φ, and its prior: half at 0, half uniform.
_PHIS = np.linspace(0, 1, 101)
_PHI_PRIOR = np.log(np.where(_PHIS == 0, 0.5, 0.5 / (len(_PHIS) - 1)))


# Scale of the part by which the effects of entrances, and those of the other channels, are off
# together, and how far each is off by itself, in the unit of biases' scale. Chosen on logs for
# development: draw 0 of the worlds of visits, and four older worlds, seed 1.
_ENTRANCES_SLOPE, _SLOPE, _SPREAD = 0.5, 0.1, 0.12
# Conversions with a channel's carry-over below which they say nothing of it, and the carry-over.
_FEW, _CARRIED = 3.0, 0.01
_NONE = 1e-3  # s.d. of the effect of such a channel
# Largest effect to start from, and largest s.d. of effects. Where a channel is met before every
# conversion and never else, the likelihood has no maximum.
LARGEST_EFFECT = 1_000.0
# Part of its credit if touchpoints were equally effective that the scale of a bias has at least.
_EQUAL = 0.3
_LEAST_SCALE = 1e-3  # smallest scale of a bias, as a part of all conversions


@dataclass(frozen=True, eq=False)
class MeasuredLift:
    """A lift test, and what the removal that the model implies is made of.

    Attributes:
        removals: of the conversions of the people tested.
        removed: the part of each channel's exposure that was off, shape `(n_channels,)`.
        lift: as measured, conversions.
        standard_error: of it.
        ratio: ρ, people tested to people in `removals`.
    """

    removals: Removals
    removed: Floats
    lift: float
    standard_error: float
    ratio: float

    def columns(self, channels: Ints) -> MeasuredLift:
        """The same with the channels in another order."""
        removals, removed = self.removals.columns(channels), self.removed[channels]
        return replace(self, removals=removals, removed=removed)

    def implied(self, effects: Effects) -> float:
        """The lift that the model implies."""
        return self.ratio * self.removals.lost(effects, self.removed)

    def slopes(self, effects: Effects) -> tuple[float, Floats]:
        """The implied lift, and its gradient by θ and then β, shape `(2 · n_channels,)`."""
        value, by_observed, by_caused = self.removals.slopes(effects, self.removed)
        return self.ratio * value, self.ratio * np.concatenate([by_observed, by_caused])


@dataclass(frozen=True, eq=False)
class BiasScale:
    """Priors of effects and biases, in units of an effect.

    Attributes:
        common: e, shape `(n_groups, n_channels)`, for groups of channels that are each off
            together; 0 for the channels of other groups.
        own: d, shape `(n_channels,)`, > 0.
        effect: s.d. of θ and of β around 0, shape `(n_channels,)`, > 0.
        slope: scale of each group's κ around 0, shape `(n_groups,)`.
        spread: median of τ, whose logarithm is normal.
    """

    common: Floats
    own: Floats
    effect: Floats
    slope: Floats
    spread: float

    def columns(self, channels: Ints) -> BiasScale:
        """The same with the channels in another order."""
        common, own, effect = self.common[:, channels], self.own[channels], self.effect[channels]
        return replace(self, common=common, own=own, effect=effect)


def conversions_per_effect(terms: Terms, effect: Floats) -> Floats:
    """Conversions that an effect of 1 is part of, at the moment they come, `(n_channels,)`."""
    each: Floats = terms.weight / (terms.case + terms.carried @ effect)
    return each @ terms.carried


def bias_scale_of(
    terms: Terms,
    per_effect: Floats,
    effect: Floats,
    bias_scale: Floats | None,
    kinds: tuple[Mask, Mask],
) -> BiasScale:
    """Priors in units of an effect, from those in conversions.

    Args:
        terms: the conditional likelihood of θ.
        per_effect: shape `(n_channels,)`.
        effect: fitted.
        bias_scale: as in `meet_lift_tests`.
        kinds: which channels are entrances, and which may have an effect.
    """
    total, (entrances, free) = float(terms.weight.sum()), kinds
    met = free & (terms.weight @ (terms.carried > _CARRIED) >= _FEW)
    unit = np.where(met, per_effect, 1.0)
    credit = np.where(met, effect * unit, 0.0)
    if bias_scale is None:
        equal = credit.sum() * unit / max(float(unit[met].sum()), 1e-300)
        bias_scale = credit + _EQUAL * equal
    return BiasScale(
        common=np.array([entrances, ~entrances]) * (credit / unit),
        own=np.where(met, np.maximum(bias_scale, _LEAST_SCALE * total) / unit, _NONE),
        effect=np.where(met, np.minimum(total / unit, LARGEST_EFFECT), _NONE),
        slope=np.array([_ENTRANCES_SLOPE, _SLOPE]),
        spread=_SPREAD,
    )


@dataclass(frozen=True, eq=False)
class PosteriorDraws:
    """Draws of the posterior.

    Attributes:
        observed: θ, shape `(n_draws, n_channels)`.
        caused: β, shape `(n_draws, n_channels)`.
        closing: φ, shape `(n_draws, n_channels)`; 0 for channels that are no tested entrances.
        slope: κ, shape `(n_draws, n_groups)`.
        spread: τ, shape `(n_draws,)`.
        accepted: part of the proposals for (θ, β) accepted.
    """

    observed: Floats
    caused: Floats
    closing: Floats
    slope: Floats
    spread: Floats
    accepted: float

    def columns(self, channels: Ints) -> PosteriorDraws:
        """The same with the channels in another order."""
        return replace(
            self,
            observed=self.observed[:, channels],
            caused=self.caused[:, channels],
            closing=self.closing[:, channels],
        )

    def effects(self) -> list[Effects]:
        """One for each draw."""
        rows = zip(self.observed, self.caused, self.closing, strict=True)
        return [Effects(*row) for row in rows]


def log_likelihood(terms: Terms, observed: Floats, scale: Floats) -> float:
    """The sum of log L and the log-prior of θ; −∞ where a rate would not be positive.

    Args:
        terms: the conditional likelihood of θ.
        observed: θ, shape `(n_channels,)`.
        scale: its s.d. around 0, shape `(n_channels,)`; that of negative effects is at most 0.25.
    """
    case = terms.case + terms.carried @ observed
    control = terms.control + terms.exposure @ observed
    if min(case.min(initial=1), control.min(initial=1)) <= 0:
        return -np.inf
    prior = float(_pull(observed, scale) @ observed**2) / 2
    return float(terms.weight @ (np.log(case) - np.log(control))) - prior


def observed_effects(terms: Terms, start: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """The θ of maximum posterior, without lift tests, and its precision.

    Args:
        terms: the conditional likelihood of θ.
        start: >= 0, shape `(n_channels,)`.
        scale: as in `log_likelihood`.

    Returns:
        Shapes `(n_channels,)` and `(n_channels, n_channels)`.
    """
    theta, value = start.astype(np.float64), log_likelihood(terms, start, scale)
    for _ in range(_NEWTON_STEPS):
        gradient, curvature = _penalised(terms, theta, scale)
        step, before = np.linalg.solve(curvature, gradient), value
        for _ in range(40):
            tried = log_likelihood(terms, theta + step, scale)
            if tried >= value:
                theta, value = theta + step, tried
                break
            step = step / 2
        if value - before <= 1e-9 * terms.weight.sum():
            break
    return theta, _penalised(terms, theta, scale)[1]


def _pull(theta: Floats, scale: Floats) -> Floats:
    """The precision of the prior of θ, shape `(n_channels,)`."""
    pull: Floats = 1 / np.where(theta < 0, np.minimum(scale, _NEGATIVE), scale) ** 2
    return pull


def _penalised(terms: Terms, theta: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Gradient of `log_likelihood`, and minus its Hessian, made positive definite."""
    gradient, hessian = terms.slopes(theta)
    pull = _pull(theta, scale)
    gradient = gradient - pull * theta
    values, vectors = np.linalg.eigh(np.diag(pull) - hessian)
    floor = max(1e-8 * float(np.abs(values).max(initial=0)), 1e-9)
    return gradient, (vectors * np.maximum(np.abs(values), floor)) @ vectors.T


@dataclass(frozen=True, eq=False)
class _Common:
    """What is drawn beside (θ, β) and φ: κ, τ, and the precisions of κ, lifts and biases."""

    slope: Floats
    slopes: Floats
    spread: float
    lifts: Floats
    biases: Floats


class PosteriorSampler:
    """Draws from the posterior by Gibbs steps, with Metropolis–Hastings for (θ, β).

    Args:
        terms: the conditional likelihood of θ.
        start: an estimate of θ, >= 0, shape `(n_channels,)`.
        tests: of channels among these.
        prior: of effects and biases.
    """

    def __init__(
        self,
        terms: Terms,
        start: Floats,
        tests: tuple[MeasuredLift, ...],
        prior: BiasScale,
    ) -> None:
        self._terms, self._tests, self._prior = terms, tests, prior
        self._theta, self._precision = observed_effects(terms, start, prior.effect)
        self._exact = len(terms.weight) <= _MAX_EXACT
        self._lift = np.array([each.lift for each in tests])
        self._error = np.array([each.standard_error for each in tests])
        k = len(start)
        closes = np.zeros(k, dtype=bool)
        for test in tests:
            closes |= (test.removed > 0) & (test.removals.near > 0).any(axis=0)
        self._closing = np.flatnonzero(closes).tolist()

    def draw(self, n_draws: int, rng: np.random.Generator) -> PosteriorDraws:
        """Draws, after as many steps that are thrown away as are used."""
        k = len(self._theta)
        phi = np.zeros(k)
        common = _Common(
            np.zeros(len(self._prior.slope)),
            np.ones(len(self._prior.slope)),
            self._prior.spread,
            np.ones(len(self._tests)),
            np.ones(k),
        )
        x = np.concatenate([self._theta, np.maximum(self._theta, 0)])
        for _ in range(10):
            x = self._normal(self._linear(x, phi), common)[0]
        warm, kept, accepted = n_draws * _THIN, [], 0
        lines = self._linear(x, phi)
        for step in range(2 * warm):
            if step < warm and step % max(warm // _CENTRES, 1) == 0:
                centre = x
                lines = self._linear(centre, phi)
            if self._closing:
                phi = self._draw_closing(x, phi, common, rng)
                lines = self._linear(centre, phi)
            moved = self._move(x, phi, lines, common, _STAY[step % len(_STAY)], rng)
            accepted += moved is not None and step >= warm
            x = x if moved is None else moved
            common = self._draw_common(x, phi, common, rng)
            if step >= warm and step % _THIN == 0:
                kept.append((x, phi, common))
        draws = np.array([each[0] for each in kept])
        return PosteriorDraws(
            observed=draws[:, :k],
            caused=draws[:, k:],
            closing=np.array([each[1] for each in kept]),
            slope=np.array([each[2].slope for each in kept]),
            spread=np.array([each[2].spread for each in kept]),
            accepted=accepted / warm,
        )

    # Gibbs steps.

    def _draw_common(
        self, x: Floats, phi: Floats, common: _Common, rng: np.random.Generator
    ) -> _Common:
        """κ, τ and the precisions, each given the rest."""
        k, prior = len(phi), self._prior
        r = (self._lift - self._implied(x, phi)) / self._error
        lifts = rng.gamma((LIFT_DF + 1) / 2, 2 / (LIFT_DF + r**2))
        bias = x[:k] - x[k:]
        own = (bias - common.slope @ prior.common) / (common.spread * prior.own)
        biases = rng.gamma((BIAS_DF + 1) / 2, 2 / (BIAS_DF + own**2))
        weight = biases / (common.spread * prior.own) ** 2
        # No channel is in two groups, so that their κ are independent.
        slopes = rng.gamma((BIAS_DF + 1) / 2, 2 / (BIAS_DF + (common.slope / prior.slope) ** 2))
        precision = slopes / prior.slope**2 + prior.common**2 @ weight
        mean = prior.common @ (weight * bias) / precision
        slope = mean + rng.standard_normal(len(mean)) / np.sqrt(precision)
        squares = float(biases @ ((bias - slope @ prior.common) / prior.own) ** 2)
        log = -k * np.log(_TAUS) - squares / (2 * _TAUS**2)
        log -= (np.log(_TAUS / prior.spread) / _SPREAD_LOG_SD) ** 2 / 2
        return _Common(slope, slopes, _drawn(_TAUS, log, rng), lifts, biases)

    def _draw_closing(
        self, x: Floats, phi: Floats, common: _Common, rng: np.random.Generator
    ) -> Floats:
        """φ of each tested entrance, given the rest: implied lifts are linear in each."""
        for channel in self._closing:
            phi = phi.copy()
            ends = []
            for end in (0.0, 1.0):
                phi[channel] = end
                ends.append(self._implied(x, phi))
            implied = ends[0] + (ends[1] - ends[0]) * _PHIS[:, None]
            squares = ((self._lift - implied) / self._error) ** 2 @ common.lifts
            phi[channel] = _drawn(_PHIS, _PHI_PRIOR - squares / 2, rng)
        return phi

    def _move(
        self,
        x: Floats,
        phi: Floats,
        lines: tuple[Floats, Floats],
        common: _Common,
        stay: float,
        rng: np.random.Generator,
    ) -> Floats | None:
        """The next (θ, β), or None where the proposal is refused."""
        mean, root = self._normal(lines, common)
        noise = root @ rng.standard_normal(len(x))
        new = mean + stay * (x - mean) + np.sqrt(1 - stay**2) * noise
        gain = self._excess(new, phi, lines, common) - self._excess(x, phi, lines, common)
        return new if np.log(rng.random()) < gain else None

    def _excess(
        self, x: Floats, phi: Floats, lines: tuple[Floats, Floats], common: _Common
    ) -> float:
        """The log-posterior minus that of the normal approximation."""
        k = len(phi)
        off = x[:k] - self._theta
        exact = (self._lift - self._implied(x, phi)) / self._error
        near = (self._lift - lines[0] - lines[1] @ x) / self._error
        difference = 0.0
        if self._exact:
            reached = log_likelihood(self._terms, x[:k], self._prior.effect)
            difference = reached + float(off @ self._precision @ off) / 2
        return difference - float(common.lifts @ (exact**2 - near**2)) / 2

    # The model and its normal approximation.

    def _implied(self, x: Floats, phi: Floats) -> Floats:
        """The lifts that the model implies, shape `(n_tests,)`."""
        effects = _effects(x, phi)
        return np.array([test.implied(effects) for test in self._tests])

    def _linear(self, x: Floats, phi: Floats) -> tuple[Floats, Floats]:
        """Constants and slopes of the implied lifts, `(n_tests,)` and `(n_tests, 2k)`."""
        effects = _effects(x, phi)
        pairs = [test.slopes(effects) for test in self._tests]
        slope = np.array([each for _, each in pairs]).reshape(len(pairs), len(x))
        return np.array([value for value, _ in pairs]) - slope @ x, slope

    def _normal(self, lines: tuple[Floats, Floats], common: _Common) -> tuple[Floats, Floats]:
        """Mean of (θ, β), shape `(2k,)`, and a root of its covariance, `(2k, 2k)`."""
        k, prior = len(self._theta), self._prior
        constant, slope = lines
        bias = common.biases / (common.spread * prior.own) ** 2
        shift = bias * (common.slope @ prior.common)
        precision = np.zeros((2 * k, 2 * k))
        precision[:k, :k] = self._precision + np.diag(bias)
        precision[k:, k:] = np.diag(bias + 1 / prior.effect**2)
        precision[:k, k:] = precision[k:, :k] = -np.diag(bias)
        right = np.concatenate([self._precision @ self._theta + shift, -shift])
        weight = common.lifts / self._error**2
        precision += (slope.T * weight) @ slope
        right += slope.T @ (weight * (self._lift - constant))
        root = np.linalg.inv(np.linalg.cholesky(precision).T)
        return root @ (root.T @ right), root


def _effects(x: Floats, phi: Floats) -> Effects:
    return Effects(x[: len(phi)], x[len(phi) :], phi)


def _drawn(grid: Floats, log: Floats, rng: np.random.Generator) -> float:
    """One of the values of a grid, with unnormalised log-probabilities of the same shape."""
    chance = np.exp(log - log.max())
    return float(rng.choice(grid, p=chance / chance.sum()))
