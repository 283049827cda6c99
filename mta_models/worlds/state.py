"""Noise by key, and the state of one block of users on one day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers

# Users simulated together: enough to amortise making generators, few enough for the cache when 70
# interventions run at the same time. Noise is keyed by block: another size changes every world.
BLOCK = 2048

SIMULATED, TRUTH, TESTED = range(3)  # streams: users of the log, of the truth, of lift tests


@dataclass(frozen=True)
class Noise:
    """All exogenous randomness of one block of users, addressed by mechanism and day.

    Attributes:
        key: stream, seed and block; equal keys give equal noise.
    """

    key: tuple[int, ...]

    def on(self, mechanism: str, day: int = -1) -> np.random.Generator:
        """The generator of one mechanism on one day; day -1 is for traits."""
        return np.random.default_rng([*self.key, crc32(mechanism.encode()), day + 1])


@dataclass
class State:
    """One block of n users on one day, under m interventions at once.

    Attributes:
        people: traits by name, each of shape `(n,)`.
        adstock: shape `(m, C, n)`: touchpoints, each halved with every half-life that passed.
        converted: shape `(m, n)`: who has converted. In expectations it stays False, unless a
            world (`shop`) draws conversions there too; `survival` is used instead.
        survival: shape `(m, n)`, the chance of not having converted yet; in expectations only.
        memory: arrays that a world's own mechanism keeps from day to day, by name.
        noise: this block's.
        day: from 0.
    """

    people: dict[str, Numbers]
    adstock: Numbers
    converted: Mask
    survival: Floats
    noise: Noise
    memory: dict[str, Numbers] = field(default_factory=dict)
    day: int = 0

    @property
    def n(self) -> int:
        """Users of the block."""
        return int(self.adstock.shape[2])

    def uniform(self, mechanism: str, *shape: int) -> Numbers:
        """Today's uniform noise of a mechanism, in single precision."""
        return self.noise.on(mechanism, self.day).random(shape, dtype=np.float32)


def blocks(stream: int, seed: int, n_users: int) -> Iterator[tuple[int, int, Noise]]:
    """The first user, the number of users and the noise of each block."""
    for index, first in enumerate(range(0, n_users, BLOCK)):
        yield first, min(BLOCK, n_users - first), Noise((stream, seed, index))
