"""The truth of a world of visits, by intervening on channels for the same users."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.worlds.interventions import LESS
from mta_models.worlds.state import TRUTH, blocks
from mta_models.worlds.truth import PER_CHANNEL, Truth
from mta_models.worlds.visits.engine import live
from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.parameters import (
    DAYS,
    Parameters,
    draw_parameters,
    with_effects,
)

_PILOT, _PILOT_USERS = 7, 6144


@lru_cache(maxsize=64)
def parameters_of(name: str, mechanisms: Mechanisms, draw: int) -> Parameters:
    """The parameters of a draw, effects included; found by two runs without effects."""
    p, volumes = draw_parameters(name, mechanisms, draw)
    wanted = volumes.purchases * (1 - volumes.incremental)
    base = wanted / DAYS
    for _ in range(2):
        p = replace(p, base=base)
        purchases, reach = _pilot(p)
        base *= wanted / max(purchases, 1e-9)
    return with_effects(replace(p, base=base), volumes, reach)


def _pilot(p: Parameters) -> tuple[float, Floats]:
    doses, frozen = np.ones((1, len(p.channels), 1)), np.zeros(1, dtype=bool)
    lives = [live(p, doses, frozen, n, noise) for _, n, noise in blocks(_PILOT, 0, _PILOT_USERS)]
    purchases = float(np.mean([life.purchases.mean() for life in lives]))
    return purchases, np.mean([life.reach for life in lives], axis=0)


def plan(c: int, n: int, rng: np.random.Generator) -> tuple[Floats, Mask, Ints]:
    """Interventions for n users, each with a random order of the channels and its reverse.

    Returns:
        Doses, shape `(5 C, C, n)`: all channels on; then without those of rank C − 1, C − 2, …
        until none is left (rows 0 to C); the inner steps of the reverse order (to row 2 C − 1);
        each channel off; a tenth of each channel off; each channel off while the chances of the
        others are those of the first row. Then which rows these last are, shape `(5 C,)`, and
        each user's rank of each channel, shape `(C, n)`.
    """
    rank = np.argsort(rng.random((c, n)), axis=0)
    joined = (rank[None] < np.arange(c, -1, -1)[:, None, None]).astype(np.float32)
    one = np.eye(c, dtype=np.float32)[:, :, None]
    off, less = (np.broadcast_to(1 - part * one, (c, c, n)) for part in (1.0, 1 - LESS))
    doses = np.concatenate([joined, 1 - joined[1:-1], off, less, off])
    return doses, np.arange(5 * c) >= 4 * c, rank


def truth_per_user(p: Parameters, users: int) -> Truth:
    """Per user, by one random order of channels and its reverse for each user."""
    c = len(p.channels)
    count, total, square = 0, 0.0, 0.0
    for index, (_, n, noise) in enumerate(blocks(TRUTH, 0, users)):
        doses, frozen, rank = plan(c, n, np.random.default_rng([TRUTH, index]))
        bought = live(p, doses, frozen, n, noise).purchases
        each = read(bought, rank)
        count += n
        total, square = total + each.sum(axis=1), square + (each**2).sum(axis=1)
    mean = np.asarray(total / count)
    error = np.sqrt(np.maximum(square / count - mean**2, 0) / count)
    arrays = {name: mean[2 + c * i : 2 + c * (i + 1)] for i, name in enumerate(PER_CHANNEL)}
    errors = {name: error[2 + c * i : 2 + c * (i + 1)] for i, name in enumerate(PER_CHANNEL)}
    errors |= {"total": error[0], "baseline": error[1]}
    return Truth(p.names, float(mean[0]), float(mean[1]), **arrays, standard_error=errors)


def read(bought: Floats, rank: Ints) -> Floats:
    """Total, baseline and the four of `PER_CHANNEL` for each user, shape `(2 + 4 C, n)`.

    Args:
        bought: purchases under the interventions of `plan`, shape `(5 C, n)`.
        rank: shape `(C, n)`.
    """
    c, n = rank.shape
    users = np.arange(n)
    # In the order the channel of rank r joins between rows C − r and C − r − 1.
    forward = bought[c - rank - 1, users] - bought[c - rank, users]
    # Rows of the reverse order: nobody has left, then those of rank 0, 1, … are off.
    reverse = np.concatenate([bought[c : 2 * c], bought[:1]])
    backward = reverse[c - rank, users] - reverse[c - rank - 1, users]
    removal, marginal, direct = (bought[0] - bought[i * c : (i + 1) * c] for i in (2, 3, 4))
    shapley = (forward + backward) / 2
    return np.concatenate([bought[:1], bought[c : c + 1], removal, shapley, marginal, direct])


def expected(p: Parameters, doses: Floats, users: int) -> Floats:
    """Purchases per user under each row of doses, shape `(m,)`, on the users of the truth."""
    frozen = np.zeros(len(doses), dtype=bool)
    total = np.zeros(len(doses))
    for _, n, noise in blocks(TRUTH, 0, users):
        total += live(p, doses[:, :, None], frozen, n, noise).purchases.sum(axis=1)
    return total / users
