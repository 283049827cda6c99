"""Truth: plans against slow definitions, identities of the worlds, arithmetic of the small ones."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.worlds import World, engine, interventions, names, state
from mta_models.worlds.mechanisms.micro import Micro
from mta_models.worlds.truth import Truth
from mta_models.worlds.world import World as RealWorld

MICRO = ("micro_synergy", "micro_intent", "micro_upstream")
# Thirty channels take long; their truth is computed the same way as that of the others.
LIVED = tuple(
    name for name in names() if name not in (*MICRO, "rare") and not name.startswith("visits_")
)
USERS = 1024


@cache
def known(name: str, strength: float = 0.5) -> Truth:
    """The truth of 100,000 users, from few."""
    world = mta.worlds.make(name, n_users=100_000, strength=strength)
    return world.truth(users=USERS)


def of(name: str, channel: str, what: str = "removal", strength: float = 0.5) -> float:
    found = known(name, strength)
    return float(getattr(found, what)[found.channels.index(channel)])


# Plans: which interventions, and how the truth is read off them.


def games(n: int) -> st.SearchStrategy[dict[tuple[float, ...], float]]:
    """Any worth for each coalition of n channels, by its doses."""
    coalitions = list(itertools.product((0.0, 1.0), repeat=n))
    worth = st.lists(st.integers(-9, 9).map(float), min_size=2**n, max_size=2**n)
    return worth.map(lambda values: dict(zip(coalitions, values, strict=True)))


def worths(plan: interventions.Plan, game: dict[tuple[float, ...], float]) -> Any:
    """The worth of each row; rows at part of a dose, which no game knows, are worth nothing."""
    return np.array([game.get(tuple(row), 0.0) for row in plan.doses.tolist()])


def slow_shapley(n: int, game: dict[tuple[float, ...], float]) -> Any:
    """What each channel adds, on average over all orders in which they may join."""
    added = np.zeros(n)
    orders = list(itertools.permutations(range(n)))
    for order in orders:
        on = [0.0] * n
        for channel in order:
            before, on[channel] = game[tuple(on)], 1.0
            added[channel] += (game[tuple(on)] - before) / len(orders)
    return added


@given(st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), games(n))), st.booleans())
def test_the_exact_plan_is_the_definition(
    drawn: tuple[int, dict[tuple[float, ...], float]], reactive: bool
) -> None:
    n, game = drawn
    plan = interventions.exact_plan(n, reactive)
    read = plan.weights @ worths(plan, game)
    full, empty = game[(1.0,) * n], game[(0.0,) * n]
    assert plan.doses[0].tolist() == [1.0] * n
    np.testing.assert_allclose(read[:2], (full, empty))
    without = [game[tuple(float(c != k) for c in range(n))] for k in range(n)]
    np.testing.assert_allclose(read[2 : 2 + n], full - np.array(without))
    np.testing.assert_allclose(read[2 + n : 2 + 2 * n], slow_shapley(n, game), atol=1e-9)
    np.testing.assert_allclose(read[2 + 2 * n : 2 + 3 * n], full)  # less is worth 0 here
    np.testing.assert_allclose(read[2 + 3 * n :], full - np.array(without))
    assert plan.frozen.sum() == n * reactive


@given(st.integers(2, 4).flatmap(lambda n: st.tuples(st.just(n), games(n))), st.integers(0, 99))
def test_a_sampled_plan_is_one_order_and_its_reverse(
    drawn: tuple[int, dict[tuple[float, ...], float]], seed: int
) -> None:
    n, game = drawn
    plan = interventions.sampled_plan(n, True, np.random.default_rng(seed))
    read = plan.weights @ worths(plan, game)
    order = np.random.default_rng(seed).permutation(n).tolist()
    added = np.zeros(n)
    for each in (order, order[::-1]):
        on = [0.0] * n
        for channel in each:
            before, on[channel] = game[tuple(on)], 1.0
            added[channel] += (game[tuple(on)] - before) / 2
    exact = interventions.exact_plan(n, True)
    other = exact.weights @ worths(exact, game)
    np.testing.assert_allclose(read[2 + n : 2 + 2 * n], added)
    keep = np.r_[0 : 2 + n, 2 + 2 * n : len(read)]
    np.testing.assert_allclose(read[keep], other[keep])


def test_sampling_agrees_with_counting_within_its_error() -> None:
    class Short(RealWorld):
        """Few days, large effects: channels that get into each other's way."""

        days = 8

        def tune(self) -> None:
            super().tune()
            self.rates, self.effects = self.rates * 10, self.effects * 10

    exact, sampled = (
        interventions._exact(Short(), 8 * state.BLOCK),
        interventions._sampled(Short(), 8 * state.BLOCK),
    )
    for name in ("removal", "shapley", "marginal", "direct"):
        error = np.hypot(exact.standard_error[name], sampled.standard_error[name])
        gap = np.abs(getattr(exact, name) - getattr(sampled, name))
        assert (gap <= 4 * error + 1e-9).all(), name
    assert (sampled.standard_error["shapley"][:5] > 0).all()


# Worlds worked out by hand: numbers of the design, per 1,000 users.


@pytest.mark.parametrize(
    ("name", "total", "baseline", "removal", "shapley", "direct"),
    [
        ("micro_synergy", 47, 20, (23, 12), (19, 8), (23, 12)),
        ("micro_intent", 40, 40, (0,), (0,), (0,)),
        ("micro_upstream", 50, 10, (20, 40), (10, 30), (0, 40)),
    ],
)
def test_small_worlds_give_their_arithmetic(
    name: str, total: float, baseline: float, removal: Any, shapley: Any, direct: Any
) -> None:
    found = mta.worlds.make(name, n_users=1_000).truth()
    assert (found.total, found.baseline) == pytest.approx((total, baseline))
    for what, numbers in (("removal", removal), ("shapley", shapley), ("direct", direct)):
        np.testing.assert_allclose(getattr(found, what), numbers, atol=1e-12)
    np.testing.assert_allclose(found.marginal, np.array(removal) / 10, atol=1e-12)  # linear in each
    assert not any(np.any(error) for error in found.standard_error.values())


def test_what_models_say_of_small_worlds() -> None:
    def credit(name: str, model: mta.AttributionModel) -> list[float]:
        world = mta.worlds.make(name, n_users=1_000)
        assert isinstance(world, Micro)
        result = model.fit_attribute(world.expected_journeys())
        return [float(each) for each in world.truth().credit_of(result)]

    assert credit("micro_synergy", mta.LastTouch()) == pytest.approx([15, 26])
    assert credit("micro_synergy", mta.Shapley("conversions")) == pytest.approx([25, 16])
    assert credit("micro_synergy", mta.Markov()) == pytest.approx([21.259259, 19.740741])
    assert credit("micro_intent", mta.LastTouch()) == pytest.approx([27.8])
    # By hand: A alone .5 × .4 × .01; every B .4 × .11.
    assert credit("micro_upstream", mta.LastTouch()) == pytest.approx([2, 44])


@pytest.mark.parametrize("name", MICRO)
def test_the_arithmetic_of_small_worlds_is_what_living_in_them_gives(name: str) -> None:
    world = mta.worlds.make(name)
    plan = interventions.exact_plan(len(world.channels), reactive=True)
    assert isinstance(world, Micro)
    lived = engine.expect(world, plan.doses, plan.frozen, 40_000, state.Noise((9,))).mean(axis=1)
    np.testing.assert_allclose(lived, world.exact(plan.doses, plan.frozen), atol=0.001)


# Identities of every world.


@pytest.mark.parametrize("name", LIVED)
def test_channels_and_baseline_make_the_total(name: str) -> None:
    found = known(name)
    assert found.shapley.sum() + found.baseline == pytest.approx(found.total, rel=1e-12)
    assert found.incremental > 0
    idle = found.channels.index("Coupon Site" if name == "shop" else "Affiliate")
    for what in ("removal", "shapley", "marginal", "direct"):
        # It causes nothing in any world, and all other noise stays as it is.
        assert abs(getattr(found, what)[idle]) < 1e-9, what
        assert found.standard_error[what][idle] < 1e-9, what
    assert found.standard_error["total"] > 0


@pytest.mark.parametrize("name", [n for n in LIVED if not mta.worlds.make(n).reactive])
def test_a_world_that_says_it_does_not_react_does_not(name: str) -> None:
    world = mta.worlds.make(name)
    doses = np.vstack([np.ones(6), *[1 - np.eye(6)] * 2])
    frozen = np.arange(13) >= 7
    values = engine.expect(world, doses, frozen, 256, state.Noise((1, 2)))
    np.testing.assert_array_equal(values[1:7], values[7:])


def test_where_conversions_add_up_removal_is_shapley() -> None:
    found = known("repeat")
    np.testing.assert_allclose(found.removal, found.shapley, rtol=1e-6, atol=1e-6)
    assert found.removal.sum() == pytest.approx(found.total - found.baseline, rel=1e-6)
    # A tenth of exposures is not a tenth of everybody's, so only on average.
    error = found.standard_error["marginal"] + 1e-9
    assert (np.abs(found.marginal - found.removal / 10) < 4 * error).all()


@pytest.mark.parametrize("name", ["randomised", "substitution", "organic", "saturation", "season"])
def test_where_nobody_converts_twice_removals_sum_to_less(name: str) -> None:
    found = known(name)
    assert found.removal.sum() < 0.99 * found.incremental
    assert (found.removal <= found.shapley + 1e-9).all()


def test_each_world_does_what_it_is_about() -> None:
    assert known("synergy").removal.sum() > 1.1 * known("synergy").incremental
    assert known("substitution").removal.sum() < 0.95 * known("randomised").removal.sum()
    assert of("harmful_channel", "Email") < -100
    assert known("organic").baseline / known("organic").total == pytest.approx(0.9, abs=0.02)
    assert of("walled_garden", "Social", strength=1.0) > 1.8 * of("randomised", "Social")
    assert of("saturation", "Display", "marginal") < 0.09 * of("saturation", "Display")
    assert known("randomised").total <= 15_000
    assert known("delay").total < 0.93 * known("randomised").total  # the rest falls behind the end


def test_what_a_channel_causes_vanishes_with_it() -> None:
    found = known("upstream", 1.0)
    search, display = (found.channels.index(each) for each in ("Search", "Display"))
    assert found.removal[display] > 500
    assert found.direct[display] == 0  # by itself it sells nothing
    # All searching comes from Display, so without Display there is no search left to remove.
    assert found.removal[display] == pytest.approx(found.removal[search], rel=1e-9)
    assert found.shapley[display] == pytest.approx(found.shapley[search], rel=1e-6)
    chased = known("retargeting")
    assert (chased.removal - chased.direct)[chased.channels.index("Search")] > 20


# Display or e-mail sell nothing, Social is not logged, people buy again, accounts buy, or the world
# has channels of its own.
NEVER_THE_FIRST = (
    *("upstream", "everything", "harmful_channel", "walled_garden", "repeat", "b2b", "shop"),
)


@pytest.mark.parametrize("name", [n for n in LIVED if n not in NEVER_THE_FIRST])
def test_at_strength_0_a_world_is_the_first(name: str) -> None:
    usual, found = known("randomised", 0.0), known(name, 0.0)
    np.testing.assert_allclose(found.removal, usual.removal, rtol=1e-4, atol=0.1)
    assert found.total == pytest.approx(usual.total, rel=1e-5)


# The value itself.


def test_it_scales_with_users_and_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one = mta.worlds.make("randomised", n_users=1_000).truth(users=USERS)
    monkeypatch.setattr(engine, "expect", None)  # any further computing would fail
    two = mta.worlds.make("randomised", n_users=2_000, seed=5).truth(users=USERS)
    assert two.total == pytest.approx(2 * one.total)
    np.testing.assert_allclose(two.marginal, 2 * one.marginal)
    np.testing.assert_allclose(two.standard_error["shapley"], 2 * one.standard_error["shapley"])


def test_it_travels_between_processes_and_to_tables() -> None:
    found = known("randomised")
    again = pickle.loads(pickle.dumps(found))
    assert again.to_document() == found.to_document()
    assert not again.removal.flags.writeable
    assert again.to_polars().to_dicts()[0]["removal"] == found.to_frame()["removal"][0]
    np.testing.assert_allclose(found.share.sum(), 1)
    with pytest.raises(TypeError):
        found.standard_error["total"] = 0  # type: ignore[index]


def test_credit_is_aligned_by_name() -> None:
    journeys = mta.Journeys.from_paths([["Social"], ["Email", "Display"]], conversions=[2, 1])
    credit = known("randomised").credit_of(mta.LastTouch().fit_attribute(journeys))
    assert credit.tolist() == [0, 2, 1, 0, 0, 0]
    stranger = mta.LastTouch().fit_attribute(mta.Journeys.from_paths([["TV"]], conversions=[1]))
    with pytest.raises(mta.UnknownChannelError, match="'TV'"):
        known("randomised").credit_of(stranger)


def test_shapley_values_that_do_not_add_up_are_refused() -> None:
    zero = np.zeros(1)
    with pytest.raises(mta.InvariantError, match="Shapley"):
        Truth(("A",), 2.0, 1.0, zero, zero, zero, zero, standard_error={})


def test_other_allocations_have_the_same_noise() -> None:
    world = mta.worlds.make("randomised", n_users=100_000)
    doses = [np.ones(6), np.zeros(6), 1 - np.eye(6)[0], 1 + np.eye(6)[0]]
    usual, nothing, without, double = world.expected(doses, users=USERS)
    found = known("randomised")
    assert (usual, nothing) == pytest.approx((found.total, found.baseline))
    assert usual - without == pytest.approx(found.removal[0])
    assert double > usual
    for wrong, what in (([[1.0]], "shape"), ([[-1.0] * 6], ">= 0"), ([[np.nan] * 6], "finite")):
        with pytest.raises(mta.ParameterError, match=what):
            world.expected(wrong)
    small = mta.worlds.make("micro_upstream", n_users=1_000)
    np.testing.assert_allclose(small.expected([[1, 1], [0, 1], [2, 1]]), [50, 30, 70])


def test_memory_is_bounded_by_the_block() -> None:
    world = mta.worlds.make("randomised")

    def peak(users: int) -> int:
        tracemalloc.start()
        world.expected(np.ones((20, 6)), users=users)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    one, three = peak(state.BLOCK), peak(3 * state.BLOCK)
    assert three < 1.2 * one
    assert one < 20 * 6 * state.BLOCK * 4 * 6  # a few arrays of a day, not ninety of them


@pytest.mark.slow
def test_thirty_channels() -> None:
    found = mta.worlds.make("rare", n_users=100_000).truth(users=2 * state.BLOCK)
    assert found.total == pytest.approx(100, rel=0.1)
    idle = np.resize([False, True, False, False, True], 30)
    assert (found.removal[idle] == 0).all()
    assert (found.removal[~idle] > 0).all()
    np.testing.assert_allclose(found.shapley, found.removal, rtol=0.01, atol=1e-4)


def test_a_world_of_ones_own() -> None:
    class Lazy(RealWorld):
        """Only Search exists."""

        name, channels, days = "lazy", ("Search",), 10

        def tune(self) -> None:
            self.rates, self.effects = np.array([0.1]), np.array([0.1])
            self.costs, self.half_lives, self.base_rate = np.ones(1), np.ones(1), 0.01

    world = Lazy(n_users=1_000)
    assert isinstance(world, World)
    found = world.truth(users=USERS)
    assert found.removal == pytest.approx(found.incremental)
    assert world.simulate().journeys.channels == ("Search",)
