"""Shapley values from sampled orders of arrival, against all orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta_models.core.coalitions import shapley_of_table
from mta_models.core.orders import (
    coalitions_along,
    gains_along,
    mean_and_error,
    mean_gains,
    pair_gains,
    random_orders,
    with_reverses,
)


def random_game(n: int, seed: int) -> np.ndarray:
    """Values of all coalitions, shape `(2^n,)`."""
    return np.random.default_rng(seed).normal(size=1 << n)


def values_along(table: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Values as players arrive, shape `(..., n + 1)`."""
    return table[coalitions_along(orders) @ (1 << np.arange(orders.shape[-1]))]


sizes, seeds = st.integers(1, 5), st.integers(0, 2**32 - 1)


@given(sizes, seeds)
def test_all_orders_give_the_exact_value(n: int, seed: int) -> None:
    table = random_game(n, seed)

    def gains(order: np.ndarray) -> np.ndarray:
        return gains_along(order, values_along(table, order))

    every = np.array(list(permutations(range(n))))
    exact = shapley_of_table(table)
    np.testing.assert_allclose(gains(every).mean(axis=0), exact, atol=1e-12)
    # The reverse of all orders is all orders.
    np.testing.assert_allclose(mean_gains(every, gains), exact, atol=1e-12)
    pairs = np.array(list(pair_gains(every, gains)))
    np.testing.assert_allclose(pairs.mean(axis=0), exact, atol=1e-12)


@given(sizes, seeds)
def test_gains_add_up_along_each_order_and_its_reverse(n: int, seed: int) -> None:
    table, rng = random_game(n, seed), np.random.default_rng(seed)
    orders = random_orders(n, (3,), rng)
    for each in with_reverses(orders):
        gains = gains_along(each, values_along(table, each))
        assert gains.sum() == pytest.approx(table[-1] - table[0], abs=1e-12)
        # The definition, by a loop.
        inside = 0
        for player in each.tolist():
            joined = inside | 1 << player
            assert gains[player] == pytest.approx(table[joined] - table[inside], abs=1e-12)
            inside = joined


@given(sizes, seeds, st.integers(1, 4))
def test_many_games_at_once_are_each_by_itself(n: int, seed: int, n_games: int) -> None:
    rng = np.random.default_rng(seed)
    tables, orders = rng.normal(size=(n_games, 1 << n)), random_orders(n, (2, n_games), rng)

    def gains(order: np.ndarray) -> np.ndarray:
        values = [values_along(*each) for each in zip(tables, order, strict=True)]
        return gains_along(order, np.array(values))

    def alone(game: int) -> np.ndarray:
        table = tables[game]
        return mean_gains(
            orders[:, game], lambda order: gains_along(order, values_along(table, order))
        )

    together = mean_gains(orders, gains)
    np.testing.assert_allclose(together, [alone(game) for game in range(n_games)], atol=1e-12)
    np.testing.assert_allclose(together.sum(axis=1), tables[:, -1] - tables[:, 0], atol=1e-12)


@given(sizes, seeds)
def test_coalitions_of_the_reverse_are_the_complements(n: int, seed: int) -> None:
    order = random_orders(n, (), np.random.default_rng(seed))
    inside, other = (coalitions_along(each) for each in with_reverses([order]))
    np.testing.assert_array_equal(inside.sum(axis=1), np.arange(n + 1))
    np.testing.assert_array_equal(other, ~inside[::-1])


@given(st.integers(2, 6), seeds)
@settings(max_examples=20)
def test_an_antithetic_pair_is_exact_for_games_of_pairs(n: int, seed: int) -> None:
    """Where only pairs of players matter, who arrives first is all that an order decides.

    Each pair's synergy goes to its second player: once to either over an order and its reverse.
    """
    rng = np.random.default_rng(seed)
    synergy, own = np.triu(rng.normal(size=(n, n)), 1), rng.normal(size=n)

    def gains(order: np.ndarray) -> np.ndarray:
        inside = coalitions_along(order).astype(float)
        values = inside @ own + np.einsum("ki,ij,kj->k", inside, synergy, inside)
        return gains_along(order, values)

    exact = own + (synergy.sum(axis=0) + synergy.sum(axis=1)) / 2
    order = random_orders(n, (), rng)
    np.testing.assert_allclose(mean_gains([order], gains), exact, atol=1e-12)
    (pair,) = pair_gains([order], gains)
    np.testing.assert_allclose(pair, exact, atol=1e-12)


def test_sampled_values_lie_within_their_errors() -> None:
    table = random_game(6, 0)
    orders = random_orders(6, (2000,), np.random.default_rng(1))

    def gains(order: np.ndarray) -> np.ndarray:
        return gains_along(order, values_along(table, order))

    mean, error = mean_and_error(np.array(list(pair_gains(orders, gains))))
    off = (mean - shapley_of_table(table)) / error
    assert np.abs(off).max() < 4
    assert np.abs(off).max() > 0.1
    np.testing.assert_allclose(mean, mean_gains(orders, gains))


def test_orders_are_independent_even_and_repeatable() -> None:
    orders = random_orders(4, (50, 200), np.random.default_rng(0))
    assert orders.shape == (50, 200, 4)
    np.testing.assert_array_equal(np.sort(orders, axis=-1), np.broadcast_to(range(4), orders.shape))
    # Each player comes at each place in a quarter of 10,000 orders; s.d. of the count is 43.
    for place in range(4):
        counts = np.bincount(orders[..., place].ravel(), minlength=4)
        assert np.abs(counts - 2500).max() < 4 * 43
    again = random_orders(4, (50, 200), np.random.default_rng(0))
    np.testing.assert_array_equal(orders, again)
