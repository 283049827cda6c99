"""Shapley values against all orders of arrival, published games and the axioms."""

from __future__ import annotations

import math
import pickle
import warnings
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.orders import random_orders
from mta_models.models.base import clone
from mta_models.models.distinct_channels import by_first_appearance
from mta_models.models.shapley import games as one_game
from mta_models.models.shapley import journey_games, rate_games
from mta_models.models.shapley.rate_games import SampledRateGame, TabledRateGame

NAMES = ("A", "B", "C", "D")
SETS = [frozenset(s) for k in range(len(NAMES) + 1) for s in combinations(NAMES, k)]

rows = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), max_size=6), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=8,
).filter(lambda table: any(c for _, c, _ in table))


def journeys_of(table, value=None) -> mta.Journeys:
    paths, conversions, nulls = zip(*table, strict=True)
    return mta.Journeys.from_paths(paths, conversions, nulls, value, channels=NAMES)


def average_over_orders(v, names=NAMES) -> np.ndarray:
    """The definition: each player's gain, averaged over all n! orders of arrival."""
    total = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        for k, name in enumerate(order):
            total[name] += v(frozenset(order[: k + 1])) - v(frozenset(order[:k]))
    return np.array([total[name] for name in names]) / math.factorial(len(names))


def inside(table, coalition) -> list:
    return [row for row in table if set(row[0]) <= coalition]


def rate_of(table):
    users = sum(c + n for _, c, n in table)

    def v(coalition) -> float:
        within = inside(table, coalition)
        seen = sum(c + n for _, c, n in within)
        return users * sum(c for _, c, _ in within) / seen if seen else 0.0

    return v


def quiet_fit(model, journeys):
    """Fit without the warning of sets without users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        return model.fit(journeys)


def of_function(v, names, total) -> mta.Attribution:
    journeys = mta.Journeys.from_paths([list(names)], [total], channels=names)
    return mta.Shapley(v).fit_attribute(journeys)


# Published games.


def test_glove_game():
    # One right glove (3), two left gloves (1, 2); a pair is worth 1. Values 1/6, 1/6, 4/6:
    # https://en.wikipedia.org/wiki/Shapley_value, "Glove game".
    result = of_function(lambda s: float("3" in s and len(s) > 1), ("1", "2", "3"), 1)
    np.testing.assert_allclose(result.credit, [1 / 6, 1 / 6, 4 / 6], atol=1e-12)
    assert result.baseline == 0
    assert result.estimand == "shapley"


def test_airport_game():
    # Runways that cost 8, 11, 13, 18; values 2, 3, 4, 9: Littlechild & Owen (1973), Management
    # Science 20(3), with the numbers of https://en.wikipedia.org/wiki/Airport_problem.
    cost = dict(zip(NAMES, (8, 11, 13, 18), strict=True))
    result = of_function(lambda s: max((cost[name] for name in s), default=0), NAMES, 18)
    np.testing.assert_allclose(result.credit, [2, 3, 4, 9], atol=1e-12)


def test_airport_game_sampled_lies_within_its_standard_errors():
    cost = dict(zip(NAMES, (8, 11, 13, 18), strict=True))
    journeys = mta.Journeys.from_paths([list(NAMES)], [18])
    model = mta.Shapley(
        lambda s: max((cost[name] for name in s), default=0), n_permutations=2000, random_state=4
    )
    result = model.fit_attribute(journeys)
    assert (model.standard_error_ > 0).all()
    assert (np.abs(result.credit - [2, 3, 4, 9]) < 4 * model.standard_error_).all()
    # An antithetic pair has at most the variance of one order: s.d. of a gain here is below 6.
    assert (model.standard_error_ < 6 / np.sqrt(1000)).all()
    assert result.credit.sum() == pytest.approx(18, abs=1e-9)


def test_two_channels_with_synergy():
    # Per 1,000 users: A ~ .5 and B ~ .4 independent, P = .02 + .03 A + .01 B + .04 AB. By hand:
    # v(none), v(A), v(B), v(AB) = 20, 35, 24, 47, so phi_A = (15 + 23) / 2, phi_B = (4 + 12) / 2.
    paths = [[], ["A"], ["B"], ["A", "B"]]
    users, chance = np.array([300, 300, 200, 200]), np.array([0.02, 0.05, 0.03, 0.10])
    journeys = mta.Journeys.from_paths(paths, users * chance, users * (1 - chance))
    worth = {"": 20.0, "A": 35.0, "B": 24.0, "AB": 47.0}
    own = mta.Shapley(lambda s: worth["".join(sorted(s))]).fit_attribute(journeys)
    np.testing.assert_allclose([*own.credit, own.baseline], [19, 8, 20], atol=1e-9)
    # "conversions" credits all 41 conversions of touched journeys, though only 27 are caused.
    split = mta.Shapley().fit_attribute(journeys)
    np.testing.assert_allclose([*split.credit, split.baseline], [25, 16, 6], atol=1e-9)

    class Mechanism:
        def predict_proba(self, journeys):
            a, b = (
                np.array([name in set(path.split(" > ")) for path in journeys.to_frame()["path"]])
                for name in journeys.channels
            )
            return 0.02 + 0.03 * a + 0.01 * b + 0.04 * (a & b)

    model = mta.Shapley("model", model=Mechanism()).fit(journeys)
    knowing = model.attribute(journeys)
    np.testing.assert_allclose([*knowing.credit, knowing.baseline], [19, 8, 20], atol=1e-9)


# "conversions".


@given(rows)
@settings(max_examples=60, deadline=None)
def test_closed_form_equals_all_orders(table):
    journeys = journeys_of(table)
    model = mta.Shapley().fit(journeys)
    result = model.attribute(journeys)
    expected = average_over_orders(lambda s: float(sum(c for _, c, _ in inside(table, s))))
    np.testing.assert_allclose(result.credit, expected, atol=1e-9)
    assert result.estimand == "rule"
    assert result.baseline == sum(c for path, c, _ in table if not path)
    linear = mta.Linear(unique=True).fit(journeys)
    np.testing.assert_allclose(result.credit, linear.attribute(journeys).credit, atol=1e-9)
    np.testing.assert_allclose(
        model.touchpoint_credit(journeys), linear.touchpoint_credit(journeys), atol=1e-9
    )
    np.testing.assert_array_equal(model.standard_error_, 0)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_ordered_value_is_the_same_credit_by_position(table):
    journeys = journeys_of(table)
    model = mta.Shapley().fit(journeys)
    expected = np.zeros((6, 4))
    for path, conversions, _ in table:
        for name in set(path):
            expected[path.index(name), NAMES.index(name)] += conversions / len(set(path))
    found = model.by_position_
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-9)
    np.testing.assert_array_equal(expected[len(found) :], 0)
    np.testing.assert_allclose(found.sum(axis=0), model.attribute(journeys).credit, atol=1e-9)


def test_value_and_touchpoints_add_up():
    journeys = journeys_of(
        [(["A", "B", "A"], 2, 0), ([], 1, 4), (["C"], 1, 1)], value=[30.0, 5.0, -2.0]
    )
    model = mta.Shapley().fit(journeys)
    result = model.attribute(journeys, of="value")
    np.testing.assert_allclose(result.credit, [15, 15, -2, 0])
    assert result.baseline == 5
    np.testing.assert_allclose(model.touchpoint_credit(journeys, of="value"), [15, 15, 0, -2])


def test_five_hundred_channels_in_closed_form():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 500, 6000)
    names = [f"channel {i}" for i in range(500)]
    journeys = mta.Journeys.from_arrays(names, codes, np.arange(0, 6001, 6), np.ones(1000))
    assert mta.Shapley().fit_attribute(journeys).credit.sum() == pytest.approx(1000)


# "rate".


@given(rows)
@settings(max_examples=60, deadline=None)
def test_rate_equals_all_orders(table):
    journeys = journeys_of(table)
    model = quiet_fit(mta.Shapley("rate"), journeys)
    result = model.attribute(journeys)
    v = rate_of(table)
    np.testing.assert_allclose(result.credit, average_over_orders(v), atol=1e-9)
    assert result.baseline == pytest.approx(v(frozenset()))
    met = {name for path, _, _ in table for name in path}
    unseen = sum(not sum(c + n for _, c, n in inside(table, s)) for s in SETS if s <= met)
    assert model.unseen_coalitions_ == unseen


def test_the_baseline_of_rates_is_a_rate_of_all_users():
    # One of two untouched users converts, as do 10 of 100 others. The baseline of "rate" is half
    # of all 102 users, far above the one untouched conversion and above all 11: credit is < 0.
    journeys = mta.Journeys.from_paths([[], ["A"]], [1, 10], [1, 90])
    rate, rule = mta.Shapley("rate").fit_attribute(journeys), mta.Shapley().fit_attribute(journeys)
    assert rule.baseline == 1
    assert rate.baseline == pytest.approx(51)
    assert rate.credit[0] == pytest.approx(11 - 51)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_sampled_rates_are_the_same_game(table):
    journeys = journeys_of(table)
    users = journeys.conversions + journeys.nulls
    players = by_first_appearance(journeys)
    n = len(players)
    # With every order in the sample nothing is random.
    orders = np.array(list(permutations(range(n))), dtype=np.int64)
    both = [
        rate.solve(journeys.outcome("conversions"), users)
        for rate in (
            TabledRateGame.from_journeys(journeys, players),
            SampledRateGame.from_journeys(journeys, players, np.concatenate([orders, orders])),
        )
    ]
    np.testing.assert_allclose(both[1].shapley, both[0].shapley, atol=1e-9)
    assert both[1].nobody == pytest.approx(both[0].nobody)
    assert both[1].everyone == pytest.approx(both[0].everyone)


def many_channels(n_channels, n_journeys=2000, seed=0, untouched=True) -> mta.Journeys:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0 if untouched else 1, 5, n_journeys)
    codes = rng.integers(0, n_channels, sizes.sum())
    users = rng.integers(1, 20, n_journeys)
    conversions = rng.binomial(users, 0.1 + 0.05 * sizes)
    return mta.Journeys.from_arrays(
        [f"channel {i:02}" for i in range(n_channels)],
        codes,
        np.concatenate(([0], np.cumsum(sizes))),
        conversions,
        users - conversions,
    )


def test_twenty_channels_exactly_and_sampled():
    journeys = many_channels(20)
    exact = mta.Shapley("rate").fit(journeys)
    sampled = mta.Shapley("rate", n_permutations=400, random_state=7).fit(journeys)
    one, other = exact.attribute(journeys), sampled.attribute(journeys)
    assert one.credit.sum() + one.baseline == pytest.approx(journeys.total, rel=1e-12)
    assert one.baseline == pytest.approx(other.baseline)
    off = (other.credit - one.credit) / sampled.standard_error_
    assert np.abs(off).max() < 4
    # If the errors were much too large, all scores would be near 0.
    assert 0.5 < np.sqrt(np.mean(off**2)) < 1.6
    again = mta.Shapley("rate", n_permutations=400, random_state=7).fit_attribute(journeys)
    np.testing.assert_array_equal(again.credit, other.credit)


def test_more_channels_are_sampled_only_when_asked():
    journeys = many_channels(21)
    with pytest.raises(mta.ParameterError, match=r"at most 20 channels.*have 21.*n_permutations"):
        mta.Shapley("rate").fit(journeys)
    model = mta.Shapley("rate", n_permutations=10, random_state=0).fit(journeys)
    assert model.attribute(journeys).credit.sum() == pytest.approx(
        journeys.total - model.attribute(journeys).baseline
    )
    with pytest.raises(mta.ParameterError, match="at most 20 channels"):
        mta.Shapley(len).fit(journeys)


def test_one_order_at_a_time_changes_nothing(monkeypatch):
    journeys = many_channels(6, 200)
    models = [mta.Shapley("rate", n_permutations=20, random_state=1) for _ in range(2)]
    first = models[0].fit_attribute(journeys)
    monkeypatch.setattr(rate_games, "_CHUNK", 1)
    np.testing.assert_allclose(models[1].fit_attribute(journeys).credit, first.credit, atol=1e-9)
    np.testing.assert_allclose(models[0].standard_error_, models[1].standard_error_, atol=1e-9)


def test_a_coalition_without_users_is_named():
    journeys = journeys_of([([], 1, 9), (["A"], 2, 8), (["A", "B"], 5, 5)])
    assert mta.Shapley("rate").fit(journeys).unseen_coalitions_ == 0
    journeys = journeys_of([(["A"], 2, 8), (["A", "B"], 5, 5)])
    with pytest.warns(mta.IdentifiabilityWarning, match=r"2 of the 4.*\{no channel\}, \{B\}"):
        model = mta.Shapley("rate").fit(journeys)
    assert model.unseen_coalitions_ == 2
    # v(A) = 20 · .2 = 4, v(AB) = 20 · 7/20 = 7, the rest 0
    np.testing.assert_allclose(model.attribute(journeys).credit, [5.5, 1.5, 0, 0])
    with pytest.warns(mta.IdentifiabilityWarning, match=r"\{no channel\}, \{B\}"):
        mta.Shapley("rate", n_permutations=40, random_state=0).fit(journeys)


def test_rate_without_nulls_warns():
    journeys = journeys_of([([], 1, 0), (["A"], 2, 0)])
    with pytest.warns(mta.IdentifiabilityWarning, match="should be users without a conversion"):
        result = mta.Shapley("rate").fit_attribute(journeys)
    np.testing.assert_allclose([*result.credit, result.baseline], [0, 0, 0, 0, 3])


def test_rate_of_value():
    table = [([], 1, 9), (["A"], 2, 8), (["B"], 1, 4), (["A", "B"], 5, 5)]
    journeys = journeys_of(table, value=[10.0, 30.0, 5.0, 200.0])
    result = mta.Shapley("rate").fit_attribute(journeys, of="value")
    value = dict(zip(("", "A", "B", "AB"), (10.0, 30.0, 5.0, 200.0), strict=True))
    users = {"": 10, "A": 10, "B": 5, "AB": 10}

    def v(coalition) -> float:
        within = [key for key in users if set(key) <= coalition]
        return 35 * sum(value[k] for k in within) / sum(users[k] for k in within)

    np.testing.assert_allclose(result.credit, average_over_orders(v), atol=1e-9)
    assert result.total == 245
    with pytest.raises(mta.JourneyError, match="fitted on journeys with values"):
        mta.Shapley("rate").fit(journeys_of(table)).attribute(journeys, of="value")


def test_shares_learnt_are_applied_to_other_journeys():
    learnt = journeys_of([([], 1, 9), (["A"], 2, 8), (["B"], 1, 4), (["A", "B"], 5, 5)])
    model = mta.Shapley("rate").fit(learnt)
    one, other = model.attribute(learnt), model.attribute(journeys_of([(["B", "A"], 18, 1)]))
    np.testing.assert_allclose(other.credit, 2 * one.credit)
    assert other.baseline == pytest.approx(2 * one.baseline)
    nothing = journeys_of([([], 1, 9), (["A"], 2, 8)], value=[5.0, -5.0])
    model = mta.Shapley("rate").fit(nothing)
    assert model.attribute(nothing, of="value").total == 0
    with pytest.raises(mta.MTAError, match="sum to 0"):
        model.attribute(journeys_of([(["A"], 1, 0)], value=[3.0]), of="value")


# Traps that existing tools fall into.


@pytest.mark.parametrize(
    "model",
    [
        mta.Shapley(),
        mta.Shapley("rate"),
        mta.Shapley("rate", n_permutations=10, random_state=3),
        mta.Shapley("model", model=mta.Markov()),
        mta.Shapley("model", model=mta.Markov(), n_permutations=10, random_state=3),
    ],
    ids=repr,
)
def test_renaming_channels_changes_no_credit(model):
    table = [([], 1, 9), (["A", "C"], 2, 8), (["B"], 1, 4), (["C", "B", "A"], 5, 5), (["D"], 1, 1)]
    renamed = {"A": "Z, or B", "B": "A", "C": "BA", "D": "AB"}
    paths, conversions, nulls = zip(*table, strict=True)
    before = clone(model).fit_attribute(mta.Journeys.from_paths(paths, conversions, nulls))
    new_paths = [[renamed[name] for name in path] for path in paths]
    after = clone(model).fit_attribute(mta.Journeys.from_paths(new_paths, conversions, nulls))
    moved = dict(zip(after.channels, after.credit, strict=True))
    np.testing.assert_allclose(
        [moved[renamed[name]] for name in before.channels], before.credit, atol=1e-9
    )


def test_fifteen_channels_and_a_journey_through_all():
    names = [f"c{i}" for i in range(15)]
    paths = [[], names, *([name] for name in names)]
    journeys = mta.Journeys.from_paths(paths, [1] * 17, [9] * 17, channels=names)
    result = mta.Shapley("rate").fit_attribute(journeys)
    # All channels and all sets have the same rate, .1.
    np.testing.assert_allclose(result.credit, 0, atol=1e-9)
    assert result.baseline == pytest.approx(17)
    assert mta.Shapley().fit_attribute(journeys).credit == pytest.approx(np.full(15, 16 / 15))


def test_credit_never_exceeds_the_conversions(ten_thousand_paths):
    journeys = mta.read_paths(
        ten_thousand_paths,
        conversions="total_conversions",
        nulls="total_null",
        value="total_conversion_value",
    )
    for model in (mta.Shapley(), quiet_fit(mta.Shapley("rate"), journeys)):
        if model.characteristic_function == "conversions":
            model.fit(journeys)
        for of, total in (("conversions", journeys.total), ("value", journeys.total_value)):
            result = model.attribute(journeys, of=of)
            assert result.credit.sum() + result.baseline == pytest.approx(total, rel=1e-12)


def test_a_channel_nobody_met_gets_nothing():
    journeys = journeys_of([([], 1, 9), (["A"], 2, 8)])
    for model in (mta.Shapley("rate"), mta.Shapley("rate", n_permutations=4)):
        result = model.fit_attribute(journeys)
        np.testing.assert_array_equal(result.credit[1:], 0)


def test_journeys_without_any_touchpoint():
    journeys = journeys_of([([], 3, 9)])
    for model in (mta.Shapley(), mta.Shapley("rate"), mta.Shapley("rate", n_permutations=4)):
        result = model.fit_attribute(journeys)
        np.testing.assert_array_equal([*result.credit, result.baseline], [0, 0, 0, 0, 3])


# "model".


class Interacting:
    """P̂ from which channels and how many touchpoints are left.

    Of third degree: antithetic pairs leave no error in a game of pairs.
    """

    def predict_proba(self, journeys):
        weight = np.array([0.03, 0.05, 0.02, 0.01, *([0.001] * 20)])
        total = np.zeros(journeys.n_journeys)
        np.add.at(total, np.repeat(np.arange(journeys.n_journeys), journeys.lengths), 1)
        effect = np.zeros(journeys.n_journeys)
        each = np.repeat(np.arange(journeys.n_journeys), journeys.lengths)
        np.add.at(effect, each, weight[journeys.codes])
        return 0.05 + effect * (1 + total / 10) ** 2


def by_hand(journeys, names) -> tuple[np.ndarray, float, float]:
    frame = journeys.to_frame()
    users = (frame["conversions"] + frame["nulls"]).to_numpy()
    paths = [path.split(" > ") if path else [] for path in frame["path"]]

    def v(coalition) -> float:
        kept = [[name for name in path if name in coalition] for path in paths]
        n = np.zeros(len(kept))
        return float(
            users @ Interacting().predict_proba(mta.Journeys.from_paths(kept, n, channels=names))
        )

    return average_over_orders(v, names), v(frozenset()), v(frozenset(names))


@given(rows)
@settings(max_examples=30, deadline=None)
def test_predictions_equal_all_orders(table):
    journeys = journeys_of(table)
    shapley, nobody, everyone = by_hand(journeys, NAMES)
    scale = journeys.total / everyone
    model = mta.Shapley("model", model=Interacting()).fit(journeys)
    result = model.attribute(journeys)
    np.testing.assert_allclose(result.credit, shapley * scale, atol=1e-9)
    assert result.baseline == pytest.approx(nobody * scale)
    np.testing.assert_allclose(model.by_position_.sum(axis=0), result.credit, atol=1e-9)


def test_wide_journeys_are_sampled_only_when_asked(monkeypatch):
    journeys = journeys_of([(["A", "B", "A", "D"], 2, 8), (["C", "B"], 1, 1), ([], 1, 5)])
    exact = mta.Shapley("model", model=Interacting()).fit(journeys)
    monkeypatch.setattr(journey_games, "MAX_PLAYERS", 2)
    with pytest.raises(mta.ParameterError, match=r"exact for journeys of at most 10.*1 have more"):
        mta.Shapley("model", model=Interacting()).fit(journeys)
    sampled = mta.Shapley("model", Interacting(), n_permutations=400, random_state=2).fit(journeys)
    one, other = exact.attribute(journeys), sampled.attribute(journeys)
    assert one.baseline == pytest.approx(other.baseline)
    touched = sampled.standard_error_ > 1e-12
    np.testing.assert_array_equal(touched, [True, True, False, True])
    off = np.abs(other.credit - one.credit)
    assert (off[touched] < 4 * sampled.standard_error_[touched]).all()
    assert off[~touched] == pytest.approx(0, abs=1e-9)
    monkeypatch.setattr(journey_games, "_CHUNK", 1)
    again = mta.Shapley("model", Interacting(), n_permutations=400, random_state=2)
    np.testing.assert_allclose(again.fit_attribute(journeys).credit, other.credit, atol=1e-9)


def test_times_reach_a_model_that_needs_them():
    journeys = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0], [0, 2, 3], [1, 0], [0, 1], age=[5.0, 1.0, 3.0]
    )

    class Recent:
        def predict_proba(self, journeys):
            recent = np.zeros(journeys.n_journeys)
            each = np.repeat(np.arange(journeys.n_journeys), journeys.lengths)
            np.add.at(recent, each, 0.1 / journeys.age)
            return 0.1 + recent

    model = mta.Shapley("model", Recent()).fit(journeys)
    # Additive in touchpoints: A .1/5 + .1/3, B .1/1, nobody .2; scaled to the one conversion.
    parts = np.array([0.1 / 5 + 0.1 / 3, 0.1, 0.2])
    result = model.attribute(journeys)
    np.testing.assert_allclose([*result.credit, result.baseline], parts / parts.sum())


def test_markov_restricted_to_a_coalition():
    # c1>c2>c3 converts once, c1 null once, c2>c3 null once: all conversions go through all three,
    # so only the whole coalition is worth something, 1, and each gets a third.
    journeys = mta.Journeys.from_paths(
        [["c1", "c2", "c3"], ["c1"], ["c2", "c3"]], [1, 0, 0], [0, 1, 1]
    )
    for model in (mta.Markov(), mta.Markov().fit(journeys)):
        result = mta.Shapley("model", model=model).fit_attribute(journeys)
        # The chain also walks start > c2 > c3 > conversion: v(c2, c3) = 3 · 1/3 · 1 · 1/2.
        expected = average_over_orders(
            lambda s: 1.0 if len(s) == 3 else 0.5 if s == {"c2", "c3"} else 0.0, ("c1", "c2", "c3")
        )
        np.testing.assert_allclose(result.credit, expected, atol=1e-9)
        assert result.baseline == pytest.approx(0)
    sampled = mta.Shapley("model", mta.Markov(), n_permutations=600, random_state=0).fit(journeys)
    off = sampled.attribute(journeys).credit - expected
    assert (np.abs(off) < 4 * sampled.standard_error_).all()


def test_a_fitted_model_must_know_the_channels():
    journeys = mta.Journeys.from_paths([["A", "B"], ["B"]], [1, 1], [1, 4])
    other = mta.Journeys.from_paths([["B"], ["C"]], [1, 1], [1, 4])
    with pytest.raises(mta.ParameterError, match="fitted on the channels of these journeys"):
        mta.Shapley("model", model=mta.Markov().fit(other)).fit(journeys)
    turned = mta.Journeys.from_paths([["A", "B"], ["B"]], [1, 1], [1, 4], channels=("B", "A"))
    same = [
        mta.Shapley("model", model=mta.Markov().fit(each)).fit_attribute(journeys).credit
        for each in (journeys, turned)
    ]
    np.testing.assert_allclose(same[0], same[1], atol=1e-12)


# What is refused.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"characteristic_function": "sum"}, "must be one of 'conversions', 'rate', 'model'"),
        ({"characteristic_function": None}, "must be one of"),
        ({"characteristic_function": "model"}, "go together"),
        ({"model": mta.Markov()}, "go together"),
        ({"characteristic_function": "model", "model": mta.LastTouch()}, "has neither"),
        ({"n_permutations": 5}, "must be even.*got 5"),
        ({"n_permutations": 2}, "`n_permutations` must be a whole number from 4"),
        ({"n_permutations": True}, "`n_permutations` must be a whole number from 4"),
        ({"n_permutations": 4.0}, "`n_permutations` must be a whole number from 4"),
    ],
)
def test_refused_parameters(parameters, message):
    with pytest.raises(mta.ParameterError, match=message):
        mta.Shapley(**parameters).fit(journeys_of([(["A"], 1, 1)]))


def test_refused_functions_and_models():
    journeys = journeys_of([(["A"], 2, 1)])
    with pytest.raises(mta.ParameterError, match=r"must be the total to credit, 2.*gives 4"):
        mta.Shapley(len).fit_attribute(journeys)
    for worth in (float("nan"), None, "1"):
        with pytest.raises(mta.ParameterError, match=r"finite number.*for \[\] it gives"):
            mta.Shapley(lambda s, worth=worth: worth).fit(journeys)

    class Flat:
        def __init__(self, answer):
            self.predict_proba = answer

    with pytest.raises(mta.ParameterError, match="one finite probability"):
        mta.Shapley("model", Flat(lambda j: np.zeros((j.n_journeys, 2)))).fit(journeys)
    with pytest.raises(mta.ParameterError, match="must predict more than 0"):
        mta.Shapley("model", Flat(lambda j: np.zeros(j.n_journeys))).fit(journeys)
    valued = journeys_of([(["A"], 2, 1)], value=[3.0])
    with pytest.raises(mta.MTAError, match="credits conversions"):
        mta.Shapley("model", mta.Markov()).fit_attribute(valued, of="value")
    with pytest.raises(mta.MTAError, match="does not split"):
        mta.Shapley("rate").fit(journeys_of([([], 1, 1), (["A"], 1, 1)])).touchpoint_credit(
            journeys
        )


# Conventions.


def test_pickle_clone_and_bootstrap():
    journeys = journeys_of([([], 9, 91), (["A"], 20, 80), (["B"], 10, 40), (["A", "B"], 50, 50)])
    model = mta.Shapley("rate", random_state=1).fit(journeys)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        copied.attribute(journeys).credit, model.attribute(journeys).credit
    )
    assert (
        repr(clone(model))
        == repr(model)
        == "Shapley(characteristic_function='rate', random_state=1)"
    )
    quick = mta.bootstrap(model, journeys, n_draws=20, random_state=0)
    again = mta.bootstrap(_Refitting("rate"), journeys, n_draws=20, random_state=0)
    np.testing.assert_allclose(quick.draws, again.draws, atol=1e-9)
    for each in (mta.Shapley(), mta.Shapley("model", mta.Markov())):
        drawn = mta.bootstrap(each, journeys, n_draws=5, random_state=0)
        assert drawn.draws.shape == (5, 4)


class _Refitting(mta.Shapley):
    """Shapley that refits for every draw of a bootstrap."""

    def prepare(self, journeys, of):
        return super(mta.Shapley, self).prepare(journeys, of)


def test_orders_do_not_depend_on_names():
    journeys = mta.Journeys.from_paths(
        [["Z", "A"], ["M", "Z"]], [1, 1], channels=("A", "M", "Q", "Z")
    )
    assert [journeys.channels[i] for i in by_first_appearance(journeys)] == ["Z", "A", "M"]
    orders = random_orders(5, (20,), np.random.default_rng(0))
    assert orders.shape == (20, 5)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(5), (20, 1)))


def test_blocks_of_coalitions_change_nothing(monkeypatch):
    worth = {s: float(sum(map(ord, s)) ** 3 % 97) if len(s) < 4 else 5.0 for s in SETS}
    journeys = mta.Journeys.from_paths([list(NAMES)], [5])
    whole = mta.Shapley(worth.__getitem__).fit_attribute(journeys).credit
    monkeypatch.setattr(one_game, "_CHUNK", 1)
    np.testing.assert_allclose(mta.Shapley(worth.__getitem__).fit_attribute(journeys).credit, whole)


def test_untouched_users_who_all_convert_are_warned_of():
    # Of users without a touchpoint only two converters are known: their rate is 1, so v(no
    # channel) is all 12 users.
    journeys = mta.Journeys.from_paths([[], ["A"]], [2, 1], [0, 9])
    with pytest.warns(mta.IdentifiabilityWarning, match="every user without a touchpoint converts"):
        given = mta.Shapley("rate").fit_attribute(journeys)
    np.testing.assert_allclose((given.baseline, given.credit[0]), (12, -9))
