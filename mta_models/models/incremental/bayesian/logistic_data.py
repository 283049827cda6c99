"""What a posterior of log-linear hazards needs of the data, for half-lives not yet known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.logistic_regression import fit_logistic
from mta_models.core.orders import gains_along, mean_gains, random_orders
from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.models.incremental.bayesian.binning import bins, means
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.horizon_games import HorizonGame

# Rows of conversions and of moments at risk, where there are more those alike taken together.
_CASES, _BASE = 1 << 14, 1 << 12
# Users sampled for a horizon, moments of each, and orders of arrival, each with its reverse.
_USERS, _PIECES, _PAIRS = 1500, 12, 3
# Of users sampled, how many evenly and not by how likely they are to convert.
_EVENLY = 0.2
# Penalty that keeps effects finite of channels that separate conversions from the base.
_RIDGE = 1e-2


@dataclass(frozen=True, eq=False)
class LogFit:
    """A hazard exp(intercept + Σ coef · response), as a fit or as a draw.

    Attributes:
        coef: of what channels cause, shape `(n_channels,)`.
        bias: of what goes with them besides, of the same shape.
        intercept: of the logarithm of conversions per user and day.
        half_life: days, shape `(n_channels,)`.
    """

    coef: Floats
    bias: Floats
    intercept: float
    half_life: Floats


def responses(adstock: Floats, saturation: str | None) -> Floats:
    """What adstock does to the log hazard per unit of effect: a, or log(1 + a)."""
    return np.log1p(adstock) if saturation == "log" else adstock


@dataclass(frozen=True, eq=False)
class LogisticEvidence:
    """The likelihood of conversions among sampled moments at risk, at any half-lives.

    Attributes:
        basis: nodes at which responses are tabulated.
        response: shape `(n_nodes, n_channels, n_rows)`, at conversions first.
        weight: shape `(n_rows,)`, conversions, or moments, that each row stands for.
        n_cases: rows that are conversions.
        scale: conversions per user and day at which odds are even.
        half_life: days, shape `(n_channels,)`, around which things are worked out.
        binning_error: of log-odds, root mean square, lost by taking moments together.
    """

    basis: HalfLifeBasis
    response: Floats
    weight: Floats
    n_cases: int
    scale: float
    half_life: Floats
    binning_error: float

    @classmethod
    def of(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        half_life: Floats,
        saturation: str | None,
        rng: np.random.Generator,
    ) -> LogisticEvidence:
        """From a case-base sample, similar rows of its base binned."""
        sample = CaseBaseSample.from_histories(histories, rng)
        n, weight = sample.n_cases, sample.weight.copy()
        weight[n:] *= sample.scale

        def at(half_life: Floats) -> Floats:
            return responses(sample.adstock(half_life), saturation)

        middle = at(half_life)
        group = np.append(bins(middle[:n], _CASES), 0)[:n]
        n_cases = int(group.max(initial=-1)) + 1
        group = np.append(group, bins(middle[n:], _BASE) + n_cases)
        tabulated = np.stack([means(group, weight, at(nodes)).T for nodes in basis.nodes])
        binned = means(group, weight, middle)[group]
        found = cls(
            basis,
            tabulated,
            np.bincount(group, weight).astype(np.float64),
            n_cases,
            sample.scale,
            half_life,
            0.0,
        )
        off = (middle - binned) @ found.likeliest().coef
        error = float(np.sqrt(weight @ off**2 / weight.sum()))
        return cls(basis, tabulated, found.weight, n_cases, sample.scale, half_life, error)

    @property
    def total(self) -> float:
        """Conversions."""
        return float(self.weight[: self.n_cases].sum())

    @property
    def active(self) -> Ints:
        """Channels that anybody carried at a conversion and at a moment of risk."""
        seen = self.response > 0
        both = seen[..., : self.n_cases].any(axis=2) & seen[..., self.n_cases :].any(axis=2)
        return np.flatnonzero(both.all(axis=0))

    @property
    def carried(self) -> Floats:
        """Responses of all conversions together, shape `(n_channels,)`, at `half_life`.

        What an effect of 1 is credited with, where effects are small.
        """
        n = self.n_cases
        return self.at(self.half_life)[:, :n] @ self.weight[:n]

    def at(self, half_life: Floats) -> Floats:
        """Responses at half-lives per channel, shape `(n_channels, n_rows)`."""
        found: Floats = np.einsum("cg,gcn->cn", self.basis.weights(half_life), self.response)
        return found

    def likeliest(self) -> LogFit:
        """The largest likelihood at `half_life`, by Newton's method, with a weak ridge."""
        k = self.response.shape[1]
        columns = np.vstack([np.ones(len(self.weight)), self.at(self.half_life)]).T
        case = np.arange(len(self.weight)) < self.n_cases
        theta = fit_logistic(columns, case, self.weight, _RIDGE).coef
        return LogFit(theta[1:], np.zeros(k), float(theta[0] + np.log(self.scale)), self.half_life)


@dataclass(frozen=True, eq=False)
class Paths:
    """Sampled users at moments spread over all their observation.

    Attributes:
        basis: nodes of half-lives.
        response: shape `(n_nodes, n_users, n_pieces, n_channels)`.
        days: shape `(n_users,)`, that a moment stands for.
        weight: shape `(n_users,)`, users that each stands for.
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
    def of(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        saturation: str | None,
        hazard: Floats,
        repeat: bool,
    ) -> Paths:
        """Users sampled by how likely they are to convert, about, and in part evenly.

        Args:
            histories: whose users they are.
            basis: nodes of half-lives.
            saturation: as `responses`.
            hazard: shape `(n_users,)`, a rough integrated hazard.
            repeat: whether users can convert again.
        """
        rng = np.random.default_rng(0)
        likely = histories.weight * (hazard if repeat else -np.expm1(-hazard))
        chance = (1 - _EVENLY) * likely / likely.sum()
        chance += _EVENLY * histories.weight / histories.weight.sum()
        ends = np.cumsum(chance)
        at = (np.arange(_USERS) + rng.random()) / _USERS * ends[-1]
        user = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
        time, days = points_within(histories.start[user], histories.end[user], _PIECES, rng)
        who, k = np.repeat(user, _PIECES), histories.n_channels
        response = np.stack(
            [
                responses(histories.adstock_at(who, time.ravel(), nodes), saturation)
                for nodes in basis.nodes
            ]
        ).reshape(len(basis.nodes), _USERS, _PIECES, k)
        weight = histories.weight[user] / (chance[user] * _USERS)
        return cls(basis, response, days, weight, repeat, histories.total, orders(_USERS, k))

    def at(self, half_life: Floats) -> Floats:
        """Responses at half-lives per channel, shape `(n_users, n_pieces, n_channels)`."""
        weights = self.basis.weights(half_life)
        found: Floats = np.einsum("gupc,cg->upc", self.response, weights)
        return found

    def _conversions(self, hazard: Floats) -> Floats:
        """Of each user, `(n_users, ...)`, from hazards, shape `(n_users, n_pieces, ...)`."""
        level: Floats = hazard.sum(axis=1) * self.days.reshape(-1, *[1] * (hazard.ndim - 2))
        return level if self.repeat else -np.expm1(-level)

    def game(self, fit: LogFit) -> HorizonGame:
        """Conversions as a game of channels; the bias is there with none of them."""
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
        """What switching a channel off costs if it has an effect, hazards being those of a fit."""
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
