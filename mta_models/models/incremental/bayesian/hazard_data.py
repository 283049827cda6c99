"""The additive hazard's likelihood and its users over the horizon, tabulated over half-lives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import log

import numpy as np

from mta_models.core.ragged import Floats, Ints, owner
from mta_models.data.histories import Histories
from mta_models.data.kernels import HalfLifeGrid
from mta_models.models.incremental.bayesian.binning import bin_means, bin_rows
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.hazard.likelihood import RatesByKernel
from mta_models.models.incremental.horizon_games import (
    HorizonGame,
    first_conversions,
    repeat_conversions,
)

_LN2 = log(2)
# Conversions above which similar ones are binned, and the maximum number of rows then.
MAX_CONVERSIONS = 50_000
_MAX_ROWS = 1 << 14
# Maximum groups of users over the horizon.
_MAX_GROUPS = 1 << 12


@dataclass(frozen=True, eq=False)
class PointFit:
    """The additive hazard of maximum likelihood, around which lifts and biases are computed.

    Attributes:
        beta: conversions per touchpoint, shape `(n_channels,)`, >= 0.
        baseline: conversions per user and day, >= 0.
        half_life: days, shape `(n_channels,)`.
    """

    beta: Floats
    baseline: float
    half_life: Floats


@dataclass(frozen=True, eq=False)
class HazardLikelihood:
    """The likelihood Σ_i w_i log λ_i − Σ λ of an additive hazard at any half-lives.

    A `TabulatedLikelihood`. An effect of 1 is one conversion per touchpoint; priors are in units of
    what a touchpoint would bring if touchpoints explained every conversion.

    Attributes:
        basis: nodes at which everything is tabulated.
        rate: shape `(n_nodes, n_channels, n_rows)`, kernels at the conversions per day.
        weight: shape `(n_rows,)`, conversions of each row.
        exposure: shape `(n_nodes, n_channels)`, the conversions if every touchpoint brought one.
        days: time at risk of all users together.
        point: the fit of maximum likelihood.
        binning_error: log-likelihood per conversion at `point` lost by binning rows.
    """

    basis: HalfLifeBasis
    rate: Floats
    weight: Floats
    exposure: Floats
    days: float
    point: PointFit
    binning_error: float = 0.0

    @classmethod
    def from_histories(
        cls, histories: Histories, risk: Floats, basis: HalfLifeBasis, point: PointFit
    ) -> HazardLikelihood:
        """From histories of users at risk until `risk`, shape `(n_users,)`."""
        table = RatesByKernel(histories, risk, HalfLifeGrid(basis.nodes))
        whole = cls(basis, table.at_event, table.weight, table.exposure, table.days, point)
        return whole.binned(_MAX_ROWS) if len(table.weight) > MAX_CONVERSIONS else whole

    @property
    def total(self) -> float:
        """Conversions."""
        return float(self.weight.sum())

    @cached_property
    def active(self) -> Ints:
        """Codes of the channels after which any user was at risk, shape `(n_active,)`."""
        return np.flatnonzero((self.exposure > 0).all(axis=0))

    @property
    def half_life(self) -> Floats:
        """Half-lives of the point fit, shape `(n_channels,)`, days."""
        return self.point.half_life

    @property
    def point_effect(self) -> Floats:
        """Conversions per touchpoint of the point fit, shape `(n_channels,)`."""
        return self.point.beta

    @property
    def effect_unit(self) -> float:
        """Conversions per touchpoint if touchpoints explained every conversion."""
        return self.total / max(float(self.conversions_per_effect.sum()), 1e-300)

    @property
    def conversions_per_effect(self) -> Floats:
        """Conversions if every touchpoint brought one, at the point fit's half-lives."""
        return self.exposure_at(self.point.half_life)

    def credit(self, effect: Floats, half_life: Floats) -> Floats:
        """Conversions that effects cause, shape `(n_channels,)`."""
        return effect * self.exposure_at(half_life)

    def exposure_at(self, half_life: Floats) -> Floats:
        """Exposure at half-lives, shape `(..., n_channels)`, of the same shape."""
        weights = self.basis.weights(half_life)
        exposure: Floats = np.einsum("...cg,gc->...c", weights, self.exposure)
        return exposure

    def rates(self, half_life: Floats) -> Floats:
        """Kernels at the conversions, shape `(n_channels, n_rows)`, at half-lives per channel."""
        rates: Floats = np.einsum("cg,gcn->cn", self.basis.weights(half_life), self.rate)
        return rates

    def binned(self, max_rows: int) -> HazardLikelihood:
        """With similar rows binned, at most `max_rows` of them."""
        point = self.point
        part = self.rates(point.half_life) * point.beta[:, None]
        hazard = part.sum(axis=0) + point.baseline
        group = bin_rows((part / hazard).T, max_rows)
        rate = bin_means(group, self.weight, np.moveaxis(self.rate, 2, 0))
        weight = np.bincount(group, self.weight).astype(np.float64)
        binned = replace(self, rate=np.moveaxis(rate, 0, 2), weight=weight)
        mean_hazard = point.beta @ binned.rates(point.half_life) + point.baseline
        lost = (weight @ np.log(mean_hazard) - self.weight @ np.log(hazard)) / self.total
        return replace(binned, binning_error=float(lost))


@dataclass(frozen=True, eq=False)
class HazardHorizonUsers:
    """Users over all their observation, similar ones grouped.

    Attributes:
        basis: nodes of half-lives.
        exposure: shape `(n_groups, n_nodes, n_channels)`, the integrated hazard of a member of a
            group if every touchpoint brought one conversion.
        days: shape `(n_groups,)`, of observation.
        weight: shape `(n_groups,)`, users.
        repeat: whether users can convert again.
        total: conversions of these users.
    """

    basis: HalfLifeBasis
    exposure: Floats
    days: Floats
    weight: Floats
    repeat: bool
    total: float

    @classmethod
    def from_histories(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        point: PointFit,
        repeat: bool,
        max_groups: int = _MAX_GROUPS,
    ) -> HazardHorizonUsers:
        """The users of histories in at most `max_groups` groups of similar integrated hazards."""
        n, k = histories.n_users, histories.n_channels
        cuts, codes = histories.cells
        user = owner(cuts)
        days = histories.end - histories.start

        def exposure_at(half_life: Floats) -> Floats:
            density = _LN2 / half_life[histories.codes]
            return histories.by_cell(histories.exposure(half_life) * density)

        # A channel without effect in the point fit has an effect in some draws, so it must count
        # for grouping too.
        min_effect = 0.2 * histories.total / max(len(histories.time), 1)
        dense = np.zeros((n, k + 1), dtype=np.float32)
        dense[user, codes] = (
            exposure_at(point.half_life) * np.maximum(point.beta, min_effect)[codes]
        )
        dense[:, k] = point.baseline * days
        group = bin_rows(dense, max_groups)
        weight = np.bincount(group, histories.weight).astype(np.float64)
        cell, mass = group[user] * k + codes, histories.weight[user]
        size = len(weight), k
        sums = np.stack(
            [
                np.bincount(cell, exposure_at(nodes) * mass, size[0] * k).reshape(size)
                for nodes in basis.nodes
            ],
            axis=1,
        )
        share = np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0)
        return cls(
            basis,
            (sums * share[:, None, None]).astype(np.float64),
            np.bincount(group, histories.weight * days).astype(np.float64) * share,
            weight,
            repeat,
            histories.total,
        )

    def exposure_at(self, half_life: Floats) -> Floats:
        """Exposure at half-lives per channel, shape `(n_groups, n_channels)`."""
        weights = self.basis.weights(half_life)
        exposure: Floats = np.einsum("ugc,cg->uc", self.exposure, weights)
        return exposure

    def game(self, effect: Floats, bias: Floats, baseline: float, half_life: Floats) -> HorizonGame:
        """Conversions over the horizon as a game of channels; baseline and bias are always there.

        Args:
            effect: conversions that a touchpoint causes, shape `(n_channels,)`.
            bias: conversions associated with a touchpoint but not caused by it, same shape.
            baseline: conversions per user and day.
            half_life: days, shape `(n_channels,)`.
        """
        n, k = len(self.weight), len(effect)
        play = repeat_conversions if self.repeat else first_conversions
        exposure = self.exposure_at(half_life)
        without = np.maximum(baseline * self.days + exposure @ bias, 0)
        cells = np.arange(n + 1) * k, np.tile(np.arange(k), n)
        return play(cells, (exposure * effect).ravel(), without, self.weight, k)

    def lift(self, point: PointFit, code: int, effect: float) -> float:
        """Conversions lost by switching off a channel that causes `effect` per touchpoint.

        Whatever the channel causes, users' observed hazards are those of the point fit:
        E[Y] − E[Y | do(off)] = Σ_u w_u e^(−Λ_u) (e^(x_u) − 1), with x the part of Λ that the
        channel causes. Scaled so that all expected conversions add up to those observed.
        """
        exposure = self.exposure_at(point.half_life)
        caused = exposure[:, code] * effect
        hazard = exposure @ point.beta + point.baseline * self.days
        if self.repeat:
            everyone, lost = self.weight @ hazard, self.weight @ caused
        else:
            everyone = self.weight @ -np.expm1(-hazard)
            lost = (self.weight * np.exp(-hazard)) @ np.expm1(caused)
        return float(lost * self.total / everyone)
