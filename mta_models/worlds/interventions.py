"""The truth of a world: interventions on its channels, and how it is read off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.coalitions import shapley_of_table
from mta_models.core.orders import coalitions_along, gains_along, mean_gains, random_orders
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.worlds import engine, state
from mta_models.worlds.truth import PER_CHANNEL, Truth

if TYPE_CHECKING:
    from mta_models.worlds.mechanism import Mechanism

EXACT = 8  # channels up to which every coalition is run
LESS = 0.9  # the dose of `marginal`


@dataclass(frozen=True)
class Plan:
    """Interventions to run, and how the truth is read off their expectations.

    Attributes:
        doses: shape `(m, C)`; the first row is the world as it is.
        frozen: shape `(m,)`, as in `engine.touch`.
        weights: shape `(2 + 4 C, m)`: total, baseline and the four of `PER_CHANNEL`, each a
            weighted sum of the expectations.
    """

    doses: Floats
    frozen: Mask
    weights: Floats

    def read(self, channels: tuple[str, ...], value: Floats, error: Floats) -> Truth:
        """The truth with these values and standard errors, both of shape `(2 + 4 C,)`."""
        n = len(channels)
        parts = [slice(2 + n * i, 2 + n * (i + 1)) for i in range(len(PER_CHANNEL))]
        arrays = {name: value[part] for name, part in zip(PER_CHANNEL, parts, strict=True)}
        errors = {name: error[part] for name, part in zip(PER_CHANNEL, parts, strict=True)}
        total, baseline = float(value[0]), float(value[1])
        errors |= {"total": error[0], "baseline": error[1]}
        return Truth(channels, total, baseline, **arrays, standard_error=errors)


def exact_plan(n: int, reactive: bool) -> Plan:
    """Every coalition of n channels, all on first."""
    on = (np.arange(2**n)[::-1, None] >> np.arange(n) & 1).astype(float)
    # Shapley values are linear in the values of coalitions: solved for one coalition at a time.
    shapley = shapley_of_table(np.eye(2**n)).T[:, ::-1]
    # Channel c off alone is the coalition 2^c below the top.
    without = np.array([2**c for c in range(n)])
    return _with_single_channels(on, shapley, without, reactive)


def sampled_plan(n: int, reactive: bool, rng: np.random.Generator) -> Plan:
    """A random order of n channels and its reverse, joined one by one; all on first."""
    order = random_orders(n, (), rng)
    # From all channels to none; the reverse order passes through the complements.
    joined = coalitions_along(order)[::-1].astype(float)
    doses = np.vstack([joined, 1 - joined[1:-1], 1 - np.eye(n)])

    def gains(each: Ints) -> Floats:
        """Of every channel, as sums of the values of rows, shape `(n, n_rows)`."""
        row = (doses == coalitions_along(each)[:, None]).all(axis=2).argmax(axis=1)
        orders = np.broadcast_to(each, (len(doses), n))
        return gains_along(orders, np.eye(len(doses))[:, row]).T

    shapley = mean_gains([order], gains)
    return _with_single_channels(doses, shapley, np.arange(2 * n, 3 * n), reactive, empty=n)


def _with_single_channels(
    doses: Floats, shapley: Floats, without: Any, reactive: bool, empty: int = -1
) -> Plan:
    """Add the interventions on one channel at a time, and the weights of all."""
    n, start = doses.shape[1], len(doses)
    empty = empty % start
    rows = [doses, 1 - (1 - LESS) * np.eye(n), *([1 - np.eye(n)] if reactive else [])]
    every = np.vstack(rows)
    frozen = np.arange(len(every)) >= start + n

    def lost(at: Any) -> Floats:
        weight = np.zeros((n, len(every)))
        weight[:, 0] = 1
        weight[np.arange(n), at] -= 1
        return weight

    ends = np.zeros((2, len(every)))
    ends[0, 0] = ends[1, empty] = 1
    padded = np.hstack([shapley, np.zeros((n, len(every) - start))])
    less = start + np.arange(n)
    alone = less + n if reactive else without
    return Plan(every, frozen, np.vstack([ends, lost(without), padded, lost(less), lost(alone)]))


_truths: dict[tuple[Any, ...], Truth] = {}


def truth_of(world: Mechanism, users: int) -> Truth:
    """The truth per unit, computed once for each world, strength and number of users."""
    key = (*world.key(), users)
    if key not in _truths:
        compute = _exact if len(world.channels) <= EXACT else _sampled
        _truths[key] = compute(world, world.whole(users))
    return _truths[key]


def _exact(world: Mechanism, users: int) -> Truth:
    """All coalitions on the same users; the error is that of a mean over users."""
    plan = exact_plan(len(world.channels), world.reactive)
    count, total, square = 0, 0.0, 0.0
    for _, n, noise in state.blocks(state.TRUTH, 0, users):
        part = plan.weights @ engine.expect(world, plan.doses, plan.frozen, n, noise)
        count += part.shape[1]
        total, square = total + part.sum(axis=1), square + (part**2).sum(axis=1)
    mean = np.asarray(total / count)
    variance = np.maximum(square / count - mean**2, 0)
    return plan.read(world.channels, mean, np.sqrt(variance / count))


def _sampled(world: Mechanism, users: int) -> Truth:
    """One random order and its reverse per block; the error is that of a mean over blocks."""
    n_channels, parts = len(world.channels), []
    for index, (_, n, noise) in enumerate(state.blocks(state.TRUTH, 0, users)):
        rng = np.random.default_rng([state.TRUTH, index])
        plan = sampled_plan(n_channels, world.reactive, rng)
        values = engine.expect(world, plan.doses, plan.frozen, n, noise)
        parts.append(plan.weights @ values.mean(axis=1))
    each = np.array(parts)
    error = each.std(axis=0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else each[0] * np.nan
    return plan.read(world.channels, each.mean(axis=0), error)


def expected(world: Mechanism, doses: Floats, users: int) -> Floats:
    """Expected conversions per unit under each row of doses, on the users of the truth."""
    total, count = np.zeros(len(doses)), 0
    frozen = np.zeros(len(doses), dtype=bool)
    for _, n, noise in state.blocks(state.TRUTH, 0, world.whole(users)):
        part = engine.expect(world, doses, frozen, n, noise)
        total, count = total + part.sum(axis=1), count + part.shape[1]
    return total / count
