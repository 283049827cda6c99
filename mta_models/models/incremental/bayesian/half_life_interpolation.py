"""Interpolation over half-lives: a quantity tabulated at nodes, as a polynomial between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats

# Days. A shorter half-life acts on the day of the touchpoint only; a longer one looks like a
# change of the baseline.
SHORTEST, LONGEST = 0.5, 32.0
# With seven nodes from half a day to 32 days, interpolation is off by at most 0.4% of a
# touchpoint's carry-over.
_N_NODES = 7


@dataclass(frozen=True, eq=False)
class HalfLifeBasis:
    """Polynomials through Chebyshev nodes on a logarithmic scale of half-lives.

    A quantity computed at the nodes, f_g, is Σ_g w_g(h) f_g at any half-life h in between. Where
    half-lives are given, each channel's is its only node, with weight 1.

    Attributes:
        nodes: days, shape `(n_nodes, n_channels)`, rising.

    Example:
        >>> basis = HalfLifeBasis.from_range(1)
        >>> kept = np.exp2(-3 / basis.nodes[:, 0])
        >>> round(float(basis.weights(np.array([4.0]))[0] @ kept), 3), round(2 ** (-3 / 4), 3)
        (0.595, 0.595)
    """

    nodes: Floats

    @classmethod
    def from_range(cls, n_channels: int) -> HalfLifeBasis:
        """Nodes from `SHORTEST` to `LONGEST`, for half-lives that are learnt."""
        if n_channels == 0:
            return cls.from_given(np.ones(0))
        position = -np.cos((2 * np.arange(_N_NODES) + 1) * np.pi / (2 * _N_NODES))
        nodes = SHORTEST * (LONGEST / SHORTEST) ** ((position + 1) / 2)
        return cls(np.repeat(nodes[:, None], n_channels, axis=1))

    @classmethod
    def from_given(cls, half_life: Floats) -> HalfLifeBasis:
        """One node per channel, for half-lives that are given: days, shape `(n_channels,)`."""
        return cls(half_life[None].copy())

    @property
    def is_given(self) -> bool:
        """Whether half-lives are given, not learnt."""
        return len(self.nodes) == 1

    @cached_property
    def coefficients(self) -> Floats:
        """Each node's polynomial in powers of 2 · position − 1, shape `(n_nodes, n_nodes)`."""
        size = len(self.nodes)
        centred = 2 * position_of(self.nodes[:, 0]) - 1
        powers = np.vander(centred, size, increasing=True)
        inverse: Floats = np.linalg.inv(powers).astype(np.float64)
        return inverse

    def weights(self, half_life: Floats) -> Floats:
        """Weight of each node at half-lives, shape `(..., n_nodes)`; each row adds up to 1.

        Args:
            half_life: days, from `SHORTEST` to `LONGEST`; any shape.
        """
        if self.is_given:
            return np.ones((*np.shape(half_life), 1))
        weights: Floats = self.weights_at(position_of(np.asarray(half_life)))
        return weights

    def weights_at(self, position: Any) -> Any:
        """Weight of each node at positions from 0 (shortest) to 1 (longest), `(..., n_nodes)`.

        `position` may be an array or a PyMC variable: only sums and products are used.
        """
        centred = (2 * position - 1)[..., None]
        exponents = np.arange(len(self.nodes))
        return (centred**exponents) @ self.coefficients


def half_life_at(position: Any) -> Any:
    """Days at a position from 0 (`SHORTEST`) to 1 (`LONGEST`), an array or a PyMC variable."""
    return SHORTEST * (LONGEST / SHORTEST) ** position


def position_of(half_life: Floats) -> Floats:
    """The inverse of `half_life_at`: the logarithm of a half-life, scaled from 0 to 1."""
    position: Floats = np.log(half_life / SHORTEST) / np.log(LONGEST / SHORTEST)
    return position
