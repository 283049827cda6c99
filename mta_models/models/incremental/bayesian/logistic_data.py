"""The log-linear hazard's likelihood and its users over the horizon, tabulated over half-lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mta_models.core.logistic_regression import fit_logistic
from mta_models.core.orders import gains_along, mean_gains, random_orders
from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.models.incremental.bayesian.binning import bin_means, bin_rows
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.horizon_games import HorizonGame

# Maximum rows of cases and of person-time; similar rows are binned above this.
_MAX_CASES, _MAX_BASE = 1 << 14, 1 << 12
# For a horizon: users sampled, times per user, and pairs of an order of arrival and its reverse.
_N_USERS, _N_TIMES, _PAIRS = 1500, 12, 3
# Fraction of users sampled uniformly and not by their probability of converting.
_UNIFORM = 0.2
# Penalty that keeps an effect finite where a channel separates conversions from person-time.
_RIDGE = 1e-2


@dataclass(frozen=True, eq=False)
class LogFit:
    """A hazard exp(intercept + Σ (coef + bias) · response), as a fit or as a draw.

    Attributes:
        coef: effects of channels, shape `(n_channels,)`.
        bias: associations with touchpoints that these do not cause, shape `(n_channels,)`.
        intercept: logarithm of conversions per user and day.
        half_life: days, shape `(n_channels,)`.
    """

    coef: Floats
    bias: Floats
    intercept: float
    half_life: Floats


def responses(adstock: Floats, saturation: str | None) -> Floats:
    """The change of the log hazard per unit of effect: adstock a, or log(1 + a)."""
    return np.log1p(adstock) if saturation == "log" else adstock


@dataclass(frozen=True, eq=False)
class LogisticLikelihood:
    """The likelihood of conversions against sampled person-time, at any half-lives.

    A `TabulatedLikelihood`. An effect of 1 changes the log hazard by 1 per unit of response.

    Attributes:
        basis: nodes at which responses are tabulated.
        response: shape `(n_nodes, n_channels, n_rows)`, cases first.
        weight: shape `(n_rows,)`, conversions, or points of person-time, of each row.
        n_cases: rows that are conversions.
        scale: conversions per user and day at which the odds of a case are 1.
        half_life: days, shape `(n_channels,)`, of the point fit.
        binning_error: root mean square of the log-odds lost by binning rows.
    """

    basis: HalfLifeBasis
    response: Floats
    weight: Floats
    n_cases: int
    scale: float
    half_life: Floats
    binning_error: float = 0.0

    @classmethod
    def from_histories(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        half_life: Floats,
        saturation: str | None,
        rng: np.random.Generator,
    ) -> LogisticLikelihood:
        """From a case-base sample, its similar rows binned."""
        sample = CaseBaseSample.from_histories(histories, rng)
        n, weight = sample.n_cases, sample.weight.copy()
        weight[n:] *= sample.scale

        def at(half_life: Floats) -> Floats:
            return responses(sample.adstock(half_life), saturation)

        exact = at(half_life)
        group = np.append(bin_rows(exact[:n], _MAX_CASES), 0)[:n]
        n_cases = int(group.max(initial=-1)) + 1
        group = np.append(group, bin_rows(exact[n:], _MAX_BASE) + n_cases)
        likelihood = cls(
            basis,
            np.stack([bin_means(group, weight, at(nodes)).T for nodes in basis.nodes]),
            np.bincount(group, weight).astype(np.float64),
            n_cases,
            sample.scale,
            half_life,
        )
        lost = (exact - bin_means(group, weight, exact)[group]) @ likelihood.point.coef
        error = float(np.sqrt(weight @ lost**2 / weight.sum()))
        return replace(likelihood, binning_error=error)

    @property
    def total(self) -> float:
        """Conversions."""
        return float(self.weight[: self.n_cases].sum())

    @cached_property
    def active(self) -> Ints:
        """Codes of the channels met before a conversion and before sampled person-time."""
        met = self.response > 0
        both = met[..., : self.n_cases].any(axis=2) & met[..., self.n_cases :].any(axis=2)
        return np.flatnonzero(both.all(axis=0))

    @cached_property
    def point(self) -> LogFit:
        """The fit of maximum likelihood at `half_life`, with a weak ridge."""
        k = self.response.shape[1]
        columns = np.vstack([np.ones(len(self.weight)), self.at(self.half_life)]).T
        case = np.arange(len(self.weight)) < self.n_cases
        theta = fit_logistic(columns, case, self.weight, _RIDGE).coef
        return LogFit(theta[1:], np.zeros(k), float(theta[0] + np.log(self.scale)), self.half_life)

    @property
    def point_effect(self) -> Floats:
        """Effects of the point fit on the log hazard, shape `(n_channels,)`."""
        return self.point.coef

    @property
    def effect_unit(self) -> float:
        """1: priors are on the log hazard itself."""
        return 1.0

    @property
    def conversions_per_effect(self) -> Floats:
        """Responses summed over all conversions, shape `(n_channels,)`, at `half_life`.

        Where effects are small, this is the credit of an effect of 1.
        """
        n = self.n_cases
        return self.at(self.half_life)[:, :n] @ self.weight[:n]

    def credit(self, effect: Floats, half_life: Floats) -> Floats:
        """Conversions that effects cause where they are small, at the point fit's half-lives."""
        return effect * self.conversions_per_effect

    def at(self, half_life: Floats) -> Floats:
        """Responses at half-lives per channel, shape `(n_channels, n_rows)`."""
        weights = self.basis.weights(half_life)
        response: Floats = np.einsum("cg,gcn->cn", weights, self.response)
        return response


@dataclass(frozen=True, eq=False)
class LogisticHorizonUsers:
    """Sampled users at times spread over all their observation.

    Attributes:
        basis: nodes of half-lives.
        response: shape `(n_nodes, n_users, n_times, n_channels)`.
        days: shape `(n_users,)`, that each time stands for.
        weight: shape `(n_users,)`, users that each sampled one stands for.
        repeat: whether users can convert again.
        total: conversions of all users.
        order: shape `(n_pairs, n_users, n_channels)`, in which channels arrive; reversed too.
    """

    basis: HalfLifeBasis
    response: Floats
    days: Floats
    weight: Floats
    repeat: bool
    total: float
    order: Ints

    @classmethod
    def from_histories(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        saturation: str | None,
        hazard: Floats,
        repeat: bool,
    ) -> LogisticHorizonUsers:
        """Users sampled by their approximate probability of converting, a part of them uniformly.

        Args:
            histories: of all users.
            basis: nodes of half-lives.
            saturation: as `responses`.
            hazard: shape `(n_users,)`, an approximate integrated hazard.
            repeat: whether users can convert again.
        """
        rng = np.random.default_rng(0)
        expected = histories.weight * (hazard if repeat else -np.expm1(-hazard))
        chance = (1 - _UNIFORM) * expected / expected.sum()
        chance += _UNIFORM * histories.weight / histories.weight.sum()
        ends = np.cumsum(chance)
        at = (np.arange(_N_USERS) + rng.random()) / _N_USERS * ends[-1]
        user = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
        time, days = points_within(histories.start[user], histories.end[user], _N_TIMES, rng)
        who, k = np.repeat(user, _N_TIMES), histories.n_channels
        response = np.stack(
            [
                responses(histories.adstock_at(who, time.ravel(), nodes), saturation)
                for nodes in basis.nodes
            ]
        ).reshape(len(basis.nodes), _N_USERS, _N_TIMES, k)
        weight = histories.weight[user] / (chance[user] * _N_USERS)
        return cls(basis, response, days, weight, repeat, histories.total, orders(_N_USERS, k))

    def at(self, half_life: Floats) -> Floats:
        """Responses at half-lives per channel, shape `(n_users, n_times, n_channels)`."""
        weights = self.basis.weights(half_life)
        response: Floats = np.einsum("gupc,cg->upc", self.response, weights)
        return response

    def _conversions(self, hazard: Floats) -> Floats:
        """Conversions per user, `(n_users, ...)`, from hazards, shape `(n_users, n_times, ...)`."""
        per_day = self.days.reshape(-1, *[1] * (hazard.ndim - 2))
        integrated: Floats = hazard.sum(axis=1) * per_day
        return integrated if self.repeat else -np.expm1(-integrated)

    def game(self, fit: LogFit) -> HorizonGame:
        """Conversions over the horizon as a game of channels; the bias is always there."""
        response = self.at(fit.half_life)
        base, effect = np.exp(fit.intercept + response @ fit.bias), response * fit.coef
        values = arrivals(base, effect, self.order, self._conversions)
        everyone = self._conversions(base * np.exp(effect.sum(axis=2)))
        rest = np.exp(effect.sum(axis=2)[..., None] - effect) * base[..., None]
        removal = self.weight @ (everyone[:, None] - self._conversions(rest))
        return HorizonGame(
            self.weight @ values,
            removal,
            float(self.weight @ self._conversions(base)),
            float(self.weight @ everyone),
        )

    def lift(self, fit: LogFit, code: int, effect: float) -> float:
        """Conversions lost by switching off a channel that has an effect on the log hazard.

        Whatever its effect, users' observed hazards are those of the fit.
        """
        response = self.at(fit.half_life)
        hazard = np.exp(fit.intercept + response @ (fit.coef + fit.bias))
        everyone = float(self.weight @ self._conversions(hazard))
        without = hazard * np.exp(-effect * response[..., code])
        lost = everyone - float(self.weight @ self._conversions(without))
        return lost * self.total / everyone


def orders(n: int, k: int) -> Ints:
    """Random orders of k channels for n rows, shape `(_PAIRS, n, k)`, always the same."""
    return random_orders(k, (_PAIRS, n), np.random.default_rng(0))


def arrivals(
    base: Floats, effect: Floats, order: Ints, value: Callable[[Floats], Floats]
) -> Floats:
    """Shapley values of rows along orders of arrival and their reverses, `(n_rows, n_channels)`.

    Args:
        base: shape `(n_rows, n_pieces)`, hazards without any channel.
        effect: shape `(n_rows, n_pieces, n_channels)`, on the log hazard.
        order: shape `(n_pairs, n_rows, n_channels)`.
        value: of hazards, shape `(n_rows, n_pieces, ...)`, to amounts, `(n_rows, ...)`.
    """

    def gains(each: Ints) -> Floats:
        arriving = np.cumsum(np.take_along_axis(effect, each[:, None], axis=2), axis=2)
        hazard = np.concatenate([base[..., None], base[..., None] * np.exp(arriving)], axis=2)
        return gains_along(each, value(hazard))

    return mean_gains(order, gains)
