"""Conversions within a horizon as a game, against every coalition of it."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta_models.models.incremental.horizon_games import (
    HorizonGame,
    first_conversions,
    repeat_conversions,
)

amount = st.one_of(st.just(0.0), st.floats(-0.4, 3.0))
# Users: integrated hazard without channels, weight, and what each of six channels adds (or not).
users = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.floats(0, 3),
        st.dictionaries(st.integers(0, 5), amount, max_size=6),
    ),
    min_size=1,
    max_size=5,
)


def arrays(given_users: list[tuple[float, float, dict[int, float]]]) -> tuple[object, ...]:
    met = [sorted(cells.items()) for _, _, cells in given_users]
    offsets = np.concatenate(([0], np.cumsum([len(cells) for cells in met])))
    codes = np.array([code for cells in met for code, _ in cells], dtype=np.int64)
    amounts = np.array([x for cells in met for _, x in cells], dtype=float)
    baseline, weight = (np.array([user[i] for user in given_users]) for i in (0, 1))
    return (offsets, codes), amounts, baseline, weight, 6


def by_enumeration(given_users: list[tuple[float, float, dict[int, float]]], repeat: bool) -> tuple:
    def value(kept: tuple[int, ...]) -> float:
        total = 0.0
        for baseline, weight, cells in given_users:
            integrated = baseline + sum(cells.get(channel, 0.0) for channel in kept)
            total += weight * (integrated if repeat else 1 - np.exp(-integrated))
        return total

    everyone = tuple(range(6))
    shapley = np.zeros(6)
    for channel in everyone:
        others = [other for other in everyone if other != channel]
        for size in range(6):
            chance = factorial(size) * factorial(5 - size) / factorial(6)
            for kept in combinations(others, size):
                shapley[channel] += chance * (value((*kept, channel)) - value(kept))
    removal = [
        value(everyone) - value(tuple(each for each in everyone if each != channel))
        for channel in everyone
    ]
    return shapley, np.array(removal), value(()), value(everyone)


def check(game: HorizonGame, expected: tuple) -> None:
    for actual, wanted in zip(
        (game.shapley, game.removal, game.nobody, game.everyone), expected, strict=True
    ):
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(game.shapley.sum(), game.everyone - game.nobody, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(users)
def test_first_conversions_against_every_coalition(
    given_users: list[tuple[float, float, dict[int, float]]],
) -> None:
    check(first_conversions(*arrays(given_users)), by_enumeration(given_users, repeat=False))


@pytest.mark.parametrize("n", range(1, 7))
def test_every_number_of_channels_has_nodes_enough(n: int) -> None:
    """One user, so that the nodes are those of its own channels and of nobody else's."""
    amounts = np.random.default_rng(n).uniform(-0.3, 2.5, n).tolist()
    alone = [(0.3, 1.0, dict(enumerate(amounts)))]
    check(first_conversions(*arrays(alone)), by_enumeration(alone, repeat=False))


@settings(max_examples=20, deadline=None)
@given(users)
def test_repeat_conversions_against_every_coalition(
    given_users: list[tuple[float, float, dict[int, float]]],
) -> None:
    check(repeat_conversions(*arrays(given_users)), by_enumeration(given_users, repeat=True))


def test_many_channels_in_one_user_stay_exact() -> None:
    # Equal channels share what they add to a user: (1 − e^(−n x)) / n each.
    n, x = 40, 0.03
    game = first_conversions(
        (np.array([0, n]), np.arange(n)), np.full(n, x), np.zeros(1), np.ones(1), n
    )
    np.testing.assert_allclose(game.shapley, -np.expm1(-n * x) / n, rtol=1e-12)


def test_users_in_parts_are_users_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from mta_models.models.incremental import horizon_games as survival

    rng = np.random.default_rng(0)
    met = rng.random((50, 4)) < 0.5
    cells = np.concatenate(([0], np.cumsum(met.sum(axis=1)))), np.nonzero(met)[1]
    rest = (rng.random(met.sum()), rng.random(50), rng.random(50), 4)
    whole = first_conversions(cells, *rest)
    monkeypatch.setattr(survival, "_AT_ONCE", 7)
    parts = first_conversions(cells, *rest)
    np.testing.assert_allclose(parts.shapley, whole.shapley, rtol=1e-12)
    np.testing.assert_allclose(parts.removal, whole.removal, rtol=1e-12)


def test_scaled_adds_up_and_nothing_expected_is_all_baseline() -> None:
    game = HorizonGame(np.array([1.0, 2.0]), np.array([1.0, 2.0]), nobody=3.0, everyone=6.0)
    credit, baseline = game.scaled(12.0)
    np.testing.assert_allclose(credit, [2, 4])
    assert baseline == 6.0
    empty = HorizonGame(np.zeros(2), np.zeros(2), nobody=0.0, everyone=0.0)
    assert empty.scaled(5.0)[1] == 5.0
