"""Removals and their gradients against a loop over users and coalitions, and the models' games."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.ragged import Floats
from mta_models.models.incremental.one_answer.removal import Effects, Linear, Removals
from mta_models.models.incremental.self_controlled.credit import horizon_game

K = 3
K_INTENT = 6


def _removals(seed: int, n: int = 6, near: bool = False) -> Removals:
    """Rows whose integral after the conversion is part of that over the whole span."""
    rng = np.random.default_rng(seed)
    out = rng.exponential(2, (n, K)) * (rng.random((n, K)) < 0.7)
    at_case = rng.exponential(0.5, (n, K)) * (out > 0)
    after = at_case + rng.random((n, K)) * out
    met = (rng.random((n, K)) < 0.4) * near
    return Removals(
        rng.uniform(0.5, 2, n),
        Linear(rng.uniform(1, 4, n), after),
        Linear(np.ones(n), at_case),
        out,
        met.astype(np.float64),
    )


def _effects(seed: int, low: float = 0.0) -> Effects:
    rng = np.random.default_rng(seed + 1_000)
    observed, caused = rng.uniform(0, 2, K), rng.uniform(low, 2, K)
    return Effects(observed, caused, rng.random(K))


def _value(removals: Removals, effects: Effects, on: Floats) -> float:
    """v(S) by a loop over rows and channels; effects are not negative."""
    total = 0.0
    for i in range(len(removals.weight)):
        room, step, closed = removals.room.constant[i], removals.step.constant[i], 1.0
        for c in range(K):
            room += removals.room.slope[i, c] * effects.observed[c]
            step += removals.step.slope[i, c] * effects.observed[c]
        for c in range(K):
            room -= (1 - on[c]) * removals.out[i, c] * effects.caused[c]
            closed *= 1 - (1 - on[c]) * removals.near[i, c] * effects.closing[c]
        total += removals.weight[i] * min(max(room / step, 0.0), 1.0) * closed
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_removal_is_the_value_of_all_minus_that_without(seed: int, near: bool) -> None:
    removals, effects = _removals(seed, near=near), _effects(seed)
    removed = np.random.default_rng(seed).random(K)
    expected = removals.total - _value(removals, effects, 1 - removed)
    assert removals.lost(effects, removed) == pytest.approx(expected)
    each = [removals.total - _value(removals, effects, 1 - one) for one in np.eye(K)]
    np.testing.assert_allclose(removals.each_lost(effects), each)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_gradients_are_those_of_differences(seed: int, near: bool) -> None:
    removals, effects = _removals(seed, near=near), _effects(seed, low=-1.0)
    removed = np.random.default_rng(seed).uniform(-0.5, 1, K)
    value, by_observed, by_caused = removals.slopes(effects, removed)
    assert value == pytest.approx(removals.lost(effects, removed))
    h = 1e-6
    for c in range(K):
        for name, slope in (("observed", by_observed), ("caused", by_caused)):
            ends = []
            for step in (-h, h):
                moved = {key: each.copy() for key, each in vars(effects).items()}
                moved[name][c] += step
                ends.append(removals.lost(Effects(**moved), removed))
            # At a kink of a clipped row the two one-sided slopes differ: a step then sees both.
            difference, jump = (ends[1] - ends[0]) / (2 * h), ends[0] + ends[1] - 2 * value
            assert slope[c] == pytest.approx(difference, rel=1e-4, abs=1e-4 + abs(jump) / h)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_the_game_is_that_of_all_orders_of_arrival(seed: int) -> None:
    removals, effects = _removals(seed), _effects(seed)
    gains = np.zeros(K)
    orders = list(permutations(range(K)))
    for order in orders:
        on = np.zeros(K)
        before = _value(removals, effects, on)
        for c in order:
            on[c] = 1.0
            reached = _value(removals, effects, on)
            gains[c] += (reached - before) / len(orders)
            before = reached
    game = removals.game(effects)
    np.testing.assert_allclose(game.shapley, gains, atol=1e-12)
    assert game.nobody == pytest.approx(_value(removals, effects, np.zeros(K)))
    sampled = removals.sampled_game(effects, removals.orders(np.random.default_rng(seed)))
    assert sampled.shapley.sum() == pytest.approx(gains.sum())


def test_sampled_games_are_the_game_in_the_mean_also_where_entrances_close() -> None:
    removals, effects = _removals(3, n=40, near=True), _effects(3)
    rng = np.random.default_rng(0)
    mean = np.mean(
        [removals.sampled_game(effects, removals.orders(rng)).shapley for _ in range(2_000)], axis=0
    )
    game = removals.game(effects)
    np.testing.assert_allclose(game.shapley, mean, atol=0.02 * removals.total)
    assert game.nobody == pytest.approx(_value(removals, effects, np.zeros(K)))


@pytest.mark.parametrize("near", [False, True])
def test_a_channel_that_harms_mirrors_one_that_helps(near: bool) -> None:
    removals, effects = _removals(5, near=near), _effects(5)
    open_ = Effects(effects.observed, effects.caused, np.zeros(K))
    harms = Effects(effects.observed, effects.caused * [-1, 1, 1], np.zeros(K))
    first = np.eye(K)[0]
    assert removals.lost(harms, first) == pytest.approx(-removals.lost(open_, first))
    assert removals.lost(harms, -first) == pytest.approx(removals.lost(open_, first))
    game = removals.game(harms)
    assert game.shapley[0] == pytest.approx(-removals.lost(open_, first))
    assert game.shapley.sum() + game.nobody == pytest.approx(removals.total)


@pytest.mark.parametrize(("world", "repeat"), [("intent", False), ("repeat", True)])
def test_without_bias_the_game_is_that_of_self_controlled(world: str, repeat: bool) -> None:
    journeys = mta.worlds.make(world, n_users=3_000, seed=2).simulate().journeys
    model = mta.SelfControlled(half_life="4d", intent=False).fit(journeys)
    design = model._fitted_design(journeys.histories)
    expected = horizon_game(design, model.rate_, repeat)
    removals = Removals.from_fit(design, model.rate_, repeat)
    game = removals.game(Effects(model.beta_, model.beta_, np.zeros(len(model.beta_))))
    np.testing.assert_allclose(game.shapley, expected.shapley, atol=1e-6)
    np.testing.assert_allclose(game.removal, expected.removal, atol=1e-6)
    assert game.nobody == pytest.approx(expected.nobody)


@pytest.mark.parametrize("span", [(-np.inf, np.inf), (30.0, 60.0)])
def test_integrals_are_sums_over_the_days_of_the_span(span: tuple[float, float]) -> None:
    histories = mta.worlds.make("intent", n_users=2_000, seed=2).simulate().journeys.histories
    model = mta.SelfControlled(half_life="4d", intent=False).fit_histories(histories)
    design = model._fitted_design(histories)
    removals = Removals.from_fit(design, model.rate_, repeat=False, span=span)
    since, until = span
    tested = np.flatnonzero((histories.event_time > since) & (histories.event_time <= until))
    assert removals.total == len(tested)
    for row, event in list(enumerate(tested.tolist()))[:40]:
        user, time = histories.event_user[event], float(histories.event_time[event])
        mine = histories.owner == user
        room, step, out = np.zeros(K_INTENT), np.zeros(K_INTENT), np.zeros(K_INTENT)
        days = 0
        for day in range(-100, 101):
            at = time + day
            if not histories.start[user] <= at <= histories.end[user] or not since < at <= until:
                continue
            days += day >= 0
            for met, code in zip(histories.time[mine], histories.codes[mine], strict=True):
                if met >= at:
                    continue
                faded = 2 ** (-(at - met) / 4)
                room[code] += faded * (day >= 0)
                step[code] += faded * (day == 0)
                out[code] += faded * (met > since)
        assert removals.room.constant[row] == days
        np.testing.assert_allclose(removals.room.slope[row], room, atol=1e-9)
        np.testing.assert_allclose(removals.step.slope[row], step, atol=1e-9)
        np.testing.assert_allclose(removals.out[row], out, atol=1e-9)
