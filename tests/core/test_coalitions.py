"""Exact Shapley values of games given in full: against all orders, dividends and the axioms."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta_models.core.coalitions import shapley_of_table, subset_sums

NAMES = ("A", "B", "C", "D")
SETS = [frozenset(s) for k in range(len(NAMES) + 1) for s in combinations(NAMES, k)]

amounts = st.integers(-20, 20).map(float)
games = st.lists(amounts, min_size=16, max_size=16)


def average_over_orders(v: dict[frozenset[str], float]) -> np.ndarray:
    """The definition: each player's gain, averaged over all n! orders of arrival."""
    total = dict.fromkeys(NAMES, 0.0)
    for order in permutations(NAMES):
        for k, name in enumerate(order):
            total[name] += v[frozenset(order[: k + 1])] - v[frozenset(order[:k])]
    return np.array([total[name] for name in NAMES]) / math.factorial(len(NAMES))


@given(games)
@settings(max_examples=60, deadline=None)
def test_table_equals_all_orders_and_dividends(table):
    names = [frozenset(n for i, n in enumerate(NAMES) if s >> i & 1) for s in range(16)]
    v = dict(zip(names, table, strict=True))
    solved = shapley_of_table(np.array(table))
    np.testing.assert_allclose(solved, average_over_orders(v), atol=1e-9)
    # phi_i = sum over S with i of d(S) / |S|, with Harsanyi's dividends.
    dividend = {s: sum((-1) ** (len(s) - len(t)) * v[t] for t in SETS if t <= s) for s in SETS}
    by_dividends = [sum(d / len(s) for s, d in dividend.items() if name in s) for name in NAMES]
    np.testing.assert_allclose(solved, by_dividends, atol=1e-9)


@given(games, games, st.integers(0, 3), st.integers(0, 3), amounts)
@settings(max_examples=60, deadline=None)
def test_axioms(one, other, i, j, gain):
    one, other = np.array(one), np.array(other)
    solved = shapley_of_table(one)
    assert solved.sum() == pytest.approx(one[-1] - one[0], abs=1e-9)  # efficiency
    np.testing.assert_allclose(  # additivity
        shapley_of_table(one + other), solved + shapley_of_table(other), atol=1e-9
    )
    players = np.arange(16)
    # dummy: i brings `gain` to every coalition and nothing else
    dummy = one[players & ~(1 << i)] + gain * (players >> i & 1)
    assert shapley_of_table(dummy)[i] == pytest.approx(gain, abs=1e-9)
    # symmetry: v does not change when i and j change places
    swapped = np.array(
        [s & ~(1 << i | 1 << j) | (s >> i & 1) << j | (s >> j & 1) << i for s in range(16)]
    )
    even = shapley_of_table(one + one[swapped])
    assert even[i] == pytest.approx(even[j], abs=1e-9)


@given(games)
@settings(max_examples=60, deadline=None)
def test_subset_sums(table):
    expected = [sum(table[t] for t in range(16) if t & s == t) for s in range(16)]
    np.testing.assert_allclose(subset_sums(np.array(table)), expected)


def test_games_side_by_side():
    tables = np.random.default_rng(0).normal(size=(5, 32))
    np.testing.assert_allclose(
        shapley_of_table(tables), [shapley_of_table(each) for each in tables], atol=1e-12
    )
