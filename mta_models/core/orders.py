"""Shapley values from sampled orders of arrival, for every game in the package.

A game gives every set of players (a coalition) a value. A player's Shapley value is what it adds to
those who arrived before it, averaged over all orders of arrival. Orders are sampled in antithetic
pairs: each is followed by its reverse. A player late in one is early in the other, which removes
much of the noise (Mitchell, Cooper, Frank & Holmes 2021, "Sampling permutations for Shapley
value estimation", arXiv 2104.12199). Along every order the gains add up to the value of all
players minus the value of none, and so does every estimate.

An order is an array of player numbers, first to arrive first, on the last axis; leading axes hold
orders of the same game, or one order for each of many games. For results that do not change when
players are renamed, number players by something other than their name (channels, for instance, by
first appearance).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask

# Gains of players along an order of arrival.
Gains = Callable[[Ints], Floats]


def random_orders(n_players: int, shape: tuple[int, ...], rng: np.random.Generator) -> Ints:
    """Independent random orders of n players, shape `(*shape, n_players)`."""
    orders: Ints = rng.permuted(np.tile(np.arange(n_players), (*shape, 1)), axis=-1)
    return orders


def coalitions_along(orders: Ints) -> Mask:
    """Players present after 0, 1, … n arrivals, shape `(..., n_players + 1, n_players)`.

    Args:
        orders: shape `(..., n_players)`.

    Example:
        >>> coalitions_along(np.array([1, 0])).astype(int)
        array([[0, 0],
               [0, 1],
               [1, 1]])
    """
    arrival = np.argsort(orders, axis=-1)
    inside: Mask = arrival[..., None, :] < np.arange(orders.shape[-1] + 1)[:, None]
    return inside


def gains_along(orders: Ints, values: Floats) -> Floats:
    """The gain of each player when it arrives, shape `(..., n_players)`, by player number.

    Args:
        orders: shape `(..., n_players)`.
        values: shape `(..., n_players + 1)`: entry k is the value of the first k arrivals.

    Example:
        Player 1 comes first and brings 3; player 0 adds 1:

        >>> gains_along(np.array([1, 0]), np.array([0.0, 3.0, 4.0]))
        array([1., 3.])
    """
    gains = np.empty(orders.shape)
    np.put_along_axis(gains, orders, np.diff(values, axis=-1), axis=-1)
    return gains


def with_reverses(orders: Iterable[Ints]) -> Iterator[Ints]:
    """Each order (or array of orders), and then its reverse."""
    for order in orders:
        yield order
        yield order[..., ::-1]


def pair_gains(orders: Iterable[Ints], gains: Gains) -> Iterator[Floats]:
    """For each order the mean gains along it and along its reverse: one independent draw.

    Args:
        orders: from `random_orders`, without their reverses.
        gains: computes from an order the gain of each player, an array of the same shape every
            time.
    """
    for order in orders:
        yield (gains(order) + gains(order[..., ::-1])) / 2


def mean_gains(orders: Iterable[Ints], gains: Gains) -> Floats:
    """The mean gains along orders and their reverses: estimates of Shapley values.

    Args:
        orders: as for `pair_gains`, at least one.
        gains: as for `pair_gains`.
    """
    each = with_reverses(orders)
    total, n = gains(next(each)), 1
    for order in each:
        total, n = total + gains(order), n + 1
    mean: Floats = total / n
    return mean


def mean_and_error(draws: Floats) -> tuple[Floats, Floats]:
    """Mean and its standard error over independent draws, shape `(n_draws, ...)`."""
    return draws.mean(axis=0), draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
