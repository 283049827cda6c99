"""The engine of all worlds: users in blocks, day by day, all interventions at the same time.

Arrays carry a leading axis of interventions and a last axis of users: `(m, C, n)` for what differs
by channel, `(m, n)` for what does not. Noise and traits lack the leading axis and broadcast over
it, so every intervention meets the same noise, and a result does not depend on how many are run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.worlds.state import Noise, State

if TYPE_CHECKING:
    from mta_models.worlds.mechanism import Mechanism


def begin(world: Mechanism, n_rows: int, n: int, noise: Noise) -> State:
    """A block of n users before the first day."""
    now = State(
        people=world.traits(noise, n),
        adstock=np.zeros((n_rows, len(world.channels), n), dtype=np.float32),
        converted=np.zeros((n_rows, n), dtype=bool),
        survival=np.ones((n_rows, n)),
        noise=noise,
    )
    world.begin(now)
    return now


def touch(world: Mechanism, now: State, doses: Numbers, frozen: Mask) -> Mask:
    """Who meets which channel today, shape `(m, C, n)`; it is added to the world's state.

    Args:
        world: gives the chances.
        now: today; its adstock is still yesterday's.
        doses: shape `(m, C)`, by which each chance is multiplied: 0 switches a channel off.
        frozen: shape `(m,)`, the interventions whose chances are those of the first.
    """
    chance = world.exposure(now)
    if chance.ndim == 3 and frozen.any():
        chance = np.where(frozen[:, None, None], chance[:1], chance)
    noise = now.uniform("exposure", len(world.channels), now.n)
    touched: Mask = noise < chance * doses[:, :, None]
    world.remember(now, touched)
    return touched


def expect(world: Mechanism, doses: Numbers, frozen: Mask, n: int, noise: Noise) -> Floats:
    """Expected conversions of each unit (user or account), shape `(m, n_units)`.

    Exposures and traits are sampled, conversions are not: their probabilities are added up.
    """
    doses = doses.astype(np.float32)
    now = begin(world, len(doses), n, noise)
    total = np.zeros((len(doses), n // world.group))
    for day in range(world.days):
        now.day = day
        world.move(now)
        touch(world, now, doses, frozen)
        total += world.expected_today(now)
    return total
