"""What a posterior of additive hazards needs of the data, for half-lives not yet known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from mta_models.core.ragged import Floats, Ints, owner
from mta_models.data.histories import Histories
from mta_models.models.incremental.bayesian.binning import bins, means
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.hazard.likelihood import RatesByHalfLife
from mta_models.models.incremental.horizon_games import (
    HorizonGame,
    first_conversions,
    repeat_conversions,
)

_LN2 = log(2)
# Conversions up to which each has a row of its own, and rows where there are more.
MOST_CONVERSIONS = 50_000
_ROWS = 1 << 14
# Groups of users for which a horizon is played out.
_GROUPS = 1 << 12


@dataclass(frozen=True, eq=False)
class PointFit:
    """The additive hazard of the largest likelihood, around which things are worked out.

    Attributes:
        beta: conversions per touchpoint, shape `(n_channels,)`, >= 0.
        baseline: conversions per user and day, >= 0.
        half_life: days, shape `(n_channels,)`.
    """

    beta: Floats
    baseline: float
    half_life: Floats


@dataclass(frozen=True, eq=False)
class Evidence:
    """The likelihood Σ_i w_i log λ_i − Σ λ of an additive hazard at any half-lives.

    Attributes:
        basis: nodes at which everything is tabulated.
        rate: shape `(n_nodes, n_channels, n_rows)`, kernels at the conversions per day.
        weight: shape `(n_rows,)`, conversions of each row.
        exposure: shape `(n_nodes, n_channels)`, the conversions if every touchpoint brought one.
        days: time at risk of all users together.
        point: the largest likelihood.
        binning_error: log-likelihood per conversion at `point` lost by taking rows together.
    """

    basis: HalfLifeBasis
    rate: Floats
    weight: Floats
    exposure: Floats
    days: float
    point: PointFit
    binning_error: float = 0.0

    @classmethod
    def of(
        cls, histories: Histories, risk: Floats, basis: HalfLifeBasis, point: PointFit
    ) -> Evidence:
        """From histories of users at risk until `risk`, shape `(n_users,)`."""
        table = RatesByHalfLife(histories, risk, basis.nodes)
        whole = cls(basis, table.at_event, table.weight, table.exposure, table.days, point)
        return whole.binned(_ROWS) if len(table.weight) > MOST_CONVERSIONS else whole

    @property
    def total(self) -> float:
        """Conversions."""
        return float(self.weight.sum())

    @cached_property
    def active(self) -> Ints:
        """Places of the channels that anybody was at risk after, shape `(n_active,)`."""
        return np.flatnonzero((self.exposure > 0).all(axis=0))

    @property
    def per_touchpoint(self) -> float:
        """What a touchpoint would bring if touchpoints brought all conversions."""
        return self.total / max(float(self.exposed(self.point.half_life).sum()), 1e-300)

    def exposed(self, half_life: Floats) -> Floats:
        """Exposure at half-lives, shape `(..., n_channels)`, of the same shape."""
        found: Floats = np.einsum("...cg,gc->...c", self.basis.weights(half_life), self.exposure)
        return found

    def rates(self, half_life: Floats) -> Floats:
        """Kernels at the conversions, shape `(n_channels, n_rows)`, at half-lives per channel."""
        found: Floats = np.einsum("cg,gcn->cn", self.basis.weights(half_life), self.rate)
        return found

    def binned(self, most: int) -> Evidence:
        """With rows that are nearly alike taken together, at most `most` of them."""
        point = self.point
        part = self.rates(point.half_life) * point.beta[:, None]
        hazard = part.sum(axis=0) + point.baseline
        group = bins((part / hazard).T, most)
        rate = means(group, self.weight, np.moveaxis(self.rate, 2, 0))
        weight = np.bincount(group, self.weight).astype(np.float64)
        found = Evidence(
            self.basis, np.moveaxis(rate, 0, 2), weight, self.exposure, self.days, point
        )
        binned = point.beta @ found.rates(point.half_life) + point.baseline
        lost = (weight @ np.log(binned) - self.weight @ np.log(hazard)) / self.total
        return Evidence(
            self.basis, found.rate, weight, self.exposure, self.days, point, float(lost)
        )


@dataclass(frozen=True, eq=False)
class Crowd:
    """Users over the whole time they were observed, those alike taken together.

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
    def of(
        cls,
        histories: Histories,
        basis: HalfLifeBasis,
        point: PointFit,
        repeat: bool,
        most: int = _GROUPS,
    ) -> Crowd:
        """The users of histories in at most `most` groups of like integrated hazards."""
        n, k = histories.n_users, histories.n_channels
        cuts, codes = histories.cells
        user = owner(cuts)
        days = histories.end - histories.start

        def exposed(half_life: Floats) -> Floats:
            density = _LN2 / half_life[histories.codes]
            return histories.by_cell(histories.exposure(half_life) * density)

        # Channels without an effect at the point matter too, in draws in which they have one.
        least = 0.2 * histories.total / max(len(histories.time), 1)
        dense = np.zeros((n, k + 1), dtype=np.float32)
        dense[user, codes] = exposed(point.half_life) * np.maximum(point.beta, least)[codes]
        dense[:, k] = point.baseline * days
        group = bins(dense, most)
        weight = np.bincount(group, histories.weight).astype(np.float64)
        cell, mass = group[user] * k + codes, histories.weight[user]
        sums = np.stack(
            [
                np.bincount(cell, exposed(nodes) * mass, len(weight) * k).reshape(len(weight), k)
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

    def exposed(self, half_life: Floats) -> Floats:
        """Exposure at half-lives per channel, shape `(n_groups, n_channels)`."""
        found: Floats = np.einsum("ugc,cg->uc", self.exposure, self.basis.weights(half_life))
        return found

    def level(self, baseline: float, by_exposure: Floats, half_life: Floats) -> Floats:
        """Integrated hazards of baseline and what goes with exposure, `(n_groups,)`, >= 0."""
        found: Floats = baseline * self.days + self.exposed(half_life) @ by_exposure
        return np.maximum(found, 0)

    def game(self, effect: Floats, level: Floats, half_life: Floats) -> HorizonGame:
        """Conversions over the horizon as a game of channels.

        Args:
            effect: conversions that a touchpoint causes, shape `(n_channels,)`.
            level: what users' integrated hazards are without any channel, shape `(n_groups,)`.
            half_life: days, shape `(n_channels,)`.
        """
        n, k = len(self.weight), len(effect)
        play = repeat_conversions if self.repeat else first_conversions
        amounts = self.exposed(half_life) * effect
        cells = np.arange(n + 1) * k, np.tile(np.arange(k), n)
        return play(cells, amounts.ravel(), level, self.weight, k)
