"""Half-lives between the points of a grid: what depends smoothly on one, as a polynomial in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats

# Days. Shorter ones are the day of the touchpoint, longer ones a change of the baseline.
SHORTEST, LONGEST = 0.5, 32.0
# Of a touchpoint's carry-over at most 0.4% is lost between seven nodes from half a day to 32.
_NODES = 7


@dataclass(frozen=True, eq=False)
class HalfLifeBasis:
    """Polynomials through Chebyshev nodes on a logarithmic scale of half-lives.

    A quantity worked out at the nodes, f_g, is Σ_g w_g(h) f_g at any half-life in between. A basis
    of one node is a half-life that is given, and its weight is 1.

    Attributes:
        nodes: days, shape `(n_nodes, n_channels)`, rising.

    Example:
        >>> basis = HalfLifeBasis.over(1)
        >>> kept = np.exp2(-3 / basis.nodes[:, 0])
        >>> round(float(basis.weights(np.array([4.0]))[0] @ kept), 3), round(2 ** (-3 / 4), 3)
        (0.595, 0.595)
    """

    nodes: Floats

    @classmethod
    def over(cls, n_channels: int) -> HalfLifeBasis:
        """The one for half-lives to be learnt."""
        if n_channels == 0:
            return cls.at(np.ones(0))
        place = -np.cos((2 * np.arange(_NODES) + 1) * np.pi / (2 * _NODES))
        nodes = SHORTEST * (LONGEST / SHORTEST) ** ((place + 1) / 2)
        return cls(np.repeat(nodes[:, None], n_channels, axis=1))

    @classmethod
    def at(cls, half_life: Floats) -> HalfLifeBasis:
        """The one for half-lives given, shape `(n_channels,)`."""
        return cls(half_life[None].copy())

    @property
    def is_given(self) -> bool:
        """Whether there is nothing to learn."""
        return len(self.nodes) == 1

    @cached_property
    def coefficients(self) -> Floats:
        """Of each node's polynomial in powers of the place (-1 to 1), `(n_nodes, n_nodes)`."""
        size = len(self.nodes)
        place = 2 * _level(self.nodes[:, 0]) - 1
        inverse: Floats = np.linalg.inv(np.vander(place, size, increasing=True)).astype(np.float64)
        return inverse

    def weights(self, half_life: Floats) -> Floats:
        """Of each node at half-lives, shape `(..., n_nodes)`, each row adding up to 1.

        Args:
            half_life: days, from `SHORTEST` to `LONGEST`; any shape.
        """
        if self.is_given:
            return np.ones((*np.shape(half_life), 1))
        weights: Floats = self.powers_to_weights(_level(np.asarray(half_life)))
        return weights

    def powers_to_weights(self, level: Any) -> Any:
        """Weights from levels, 0 at the shortest half-life and 1 at the longest.

        Of arrays and of symbols of PyMC alike: only sums and products are used.
        """
        place = (2 * level - 1)[..., None]
        exponents = np.arange(len(self.nodes))
        return (place**exponents) @ self.coefficients


def half_life_of(level: Any) -> Any:
    """Days at a level from 0, the shortest, to 1, the longest; of arrays and symbols alike."""
    return SHORTEST * (LONGEST / SHORTEST) ** level


def _level(half_life: Floats) -> Floats:
    level: Floats = np.log(half_life / SHORTEST) / np.log(LONGEST / SHORTEST)
    return level
