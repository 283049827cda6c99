"""Lift tests in the within-user posterior: identities, recovery, spans, doses and populations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.incremental.one_answer.entrances import WINDOW, treat
from mta_models.models.incremental.one_answer.lift_answer import (
    FittedLog,
    LiftAnswer,
    meet_lift_tests,
    met_near,
    shown_to_accompany,
    variance_explained,
)
from mta_models.models.incremental.one_answer.lift_posterior import (
    log_likelihood,
    observed_effects,
)
from mta_models.models.incremental.one_answer.removal import Effects
from mta_models.models.incremental.self_controlled.relative_rate import channel_terms

CHANNELS = ("Search", "Social", "Display", "Retargeting", "Email", "Affiliate")


def _log(world: str, n_users: int = 6_000, seed: int = 1) -> tuple[FittedLog, mta.Journeys]:
    journeys = mta.worlds.make(world, n_users=n_users, seed=seed).simulate().journeys
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    return FittedLog.from_model(model, journeys.histories), journeys


@pytest.fixture(scope="module")
def intent() -> tuple[FittedLog, mta.Journeys]:
    return _log("intent")


def _meet(log: FittedLog, channels: tuple[str, ...], *tests: mta.LiftTest) -> LiftAnswer:
    return meet_lift_tests(log, channels, tests, np.random.default_rng(0), n_draws=150)


def test_without_tests_the_answer_is_near_self_controlled(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    alone = model.attribute(journeys)
    answer = _meet(log, journeys.channels)
    spread = answer.draws.std(axis=0)
    assert (np.abs(answer.credit - alone.credit) < spread).all()
    assert abs(answer.baseline - alone.baseline) < answer.baseline_draws.std()


def test_credit_and_baseline_add_up_in_every_draw(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    answer = _meet(log, journeys.channels, mta.LiftTest("Social", 40, 10))
    np.testing.assert_allclose(
        answer.draws.sum(axis=1) + answer.baseline_draws, log.histories.total
    )
    assert answer.credit.sum() + answer.baseline == pytest.approx(log.histories.total)
    assert answer.effects.accepted > 0.3


@pytest.mark.parametrize("lift", [200.0, 5.0, 0.0, -30.0])
def test_an_exact_test_is_met_by_the_removal_and_not_by_the_credit(
    lift: float, intent: tuple[FittedLog, mta.Journeys]
) -> None:
    log, journeys = intent
    answer = _meet(log, journeys.channels, mta.LiftTest("Search", lift, 0.5))
    assert answer.implied[:, 0] == pytest.approx(lift, abs=4)
    code = journeys.channels.index("Search")
    # Each draw weighs conversions by chance, so its removal is near the implied lift.
    assert answer.removal[code] == pytest.approx(lift, rel=0.05, abs=6)
    if lift > 100:  # what Search brings, others would have brought in part
        assert answer.credit[code] > lift + 5


def test_a_test_that_agrees_narrows_its_channel(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    before = _meet(log, journeys.channels)
    code = journeys.channels.index("Search")
    agreed = float(before.removal[code])
    after = _meet(log, journeys.channels, mta.LiftTest("Search", agreed, 0.05 * agreed))
    assert after.draws[:, code].std() < 0.5 * before.draws[:, code].std()


def test_a_biased_channel_moves_the_others_towards_the_same_bias(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    lifts = dict(zip(journeys.channels, _meet(log, journeys.channels).removal, strict=True))
    tested = ("Search", "Social", "Email")
    halves = [mta.LiftTest(each, 0.5 * lifts[each], 0.05 * lifts[each]) for each in tested]
    rights = [mta.LiftTest(each, lifts[each], 0.05 * lifts[each]) for each in tested]
    code = journeys.channels.index("Retargeting")
    low, right = (_meet(log, journeys.channels, *each) for each in (halves, rights))
    assert low.credit[code] < 0.95 * right.credit[code]
    assert low.effects.slope[:, 1].mean() > right.effects.slope[:, 1].mean() + 0.03
    assert low.effects.spread.mean() > right.effects.spread.mean()


def test_one_test_finds_the_channel_without_effect() -> None:
    simulation = mta.worlds.make("null_channel", n_users=12_000, seed=3).simulate()
    journeys, truth = simulation.journeys, simulation.truth
    model = mta.SelfControlled(half_life="4d", intent=False).fit(journeys)
    log = FittedLog.from_model(model, journeys.histories)
    true = truth.shapley[[truth.channels.index(each) for each in journeys.channels]]

    def missed(answer: LiftAnswer) -> float:
        share = answer.credit / answer.credit.sum()
        return float(np.abs(share - true / true.sum()).sum() / 2)

    before = _meet(log, journeys.channels)
    error = 0.02 * truth.total
    test = mta.LiftTest("Affiliate", 0.0, error)
    after = _meet(log, journeys.channels, test)
    assert missed(before) > 0.4
    assert missed(after) < 0.25
    lower, upper = np.quantile(after.draws, (0.05, 0.95), axis=0)
    code = journeys.channels.index("Affiliate")
    assert lower[code] < 0 < upper[code]
    shown = shown_to_accompany(after, journeys.channels, (test,))
    assert np.flatnonzero(shown).tolist() == [code]
    assert not shown_to_accompany(before, journeys.channels, ()).any()
    # Treated as an entrance, it leaves the baseline right too.
    entrances = np.array([each == "Affiliate" for each in journeys.channels])
    treated = treat(journeys.histories, entrances)
    model = mta.SelfControlled(half_life="4d").fit_histories(treated)
    near = met_near(journeys.histories, entrances, WINDOW)
    again = _meet(FittedLog.from_model(model, treated, near), journeys.channels, test)
    assert missed(again) < 0.15
    assert abs(again.baseline - truth.baseline) < 0.12 * truth.total
    assert abs(again.baseline - truth.baseline) < abs(after.baseline - truth.baseline)


def test_a_test_of_half_the_dose_says_half_as_much(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    code = journeys.channels.index("Search")
    removals = log.removals()
    model = Effects(log.rate.effect, log.rate.effect, np.zeros(6))
    answers = []
    for dose in (0.0, 0.5, 2.0):
        lift = removals.lost(model, (1 - dose) * np.eye(6)[code])
        test = mta.LiftTest("Search", lift, 0.03 * abs(lift), dose=dose)
        answers.append(_meet(log, journeys.channels, test))
    whole, half, double = answers
    caused = [each.effects.caused[:, code].mean() for each in (whole, half, double)]
    assert caused[1:] == pytest.approx([caused[0]] * 2, rel=0.2)


def test_a_test_of_part_of_the_log_meets_that_part(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    code = journeys.channels.index("Search")
    span = mta.LiftTest("Search", 40, 2, start=30, end=60)
    answer = _meet(log, journeys.channels, span)
    assert answer.implied[:, 0] == pytest.approx(40, abs=8)
    assert answer.removal[code] > 1.5 * 40


def test_people_scale_the_lift(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    histories, code = journeys.histories, journeys.channels.index("Search")
    exposed = float(len(np.unique(histories.owner[histories.codes == code])))
    same = [
        mta.LiftTest("Search", 80, 4),
        mta.LiftTest("Search", 8, 0.4, people=histories.n_users / 10),
        mta.LiftTest("Search", 20, 1, people=exposed / 4, on="exposed"),
        mta.LiftTest("Search", 80, 4, journeys=journeys),
    ]
    answers = [
        meet_lift_tests(
            log,
            journeys.channels,
            (each,),
            np.random.default_rng(0),
            n_draws=50,
            fit_of=lambda histories: FittedLog(histories, log.design, log.rate),
        )
        for each in same
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer.credit, answers[0].credit, rtol=1e-6)


def test_what_a_channel_brings_vanishes_in_its_test(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    first, second = (journeys.channels.index(each) for each in ("Display", "Retargeting"))
    brought = np.zeros((6, 6))
    brought[first, second] = 0.5
    rng = np.random.default_rng(0)
    tests = (mta.LiftTest("Display", 60, 1),)
    answer = meet_lift_tests(log, journeys.channels, tests, rng, n_draws=100, brought=brought)
    lost = answer.removal
    assert lost[first] + 0.5 * lost[second] == pytest.approx(60, rel=0.15)


def test_the_test_of_an_entrance_says_whether_it_closes_purchases() -> None:
    log, journeys = _log("intent")
    code = journeys.channels.index("Affiliate")
    near = np.zeros((log.histories.n_events, 6))
    near[::4, code] = 1.0  # a quarter of the conversions
    entered = FittedLog(log.histories, log.design, log.rate, near)
    quarter = log.histories.total / 4
    closes = _meet(entered, journeys.channels, mta.LiftTest("Affiliate", 0.5 * quarter, 8))
    assert closes.effects.closing[:, code].mean() == pytest.approx(0.5, abs=0.08)
    assert closes.implied[:, 0].mean() == pytest.approx(0.5 * quarter, abs=8)
    shared = closes.credit[code]
    assert 0.3 * quarter < shared < 0.5 * quarter  # with the channels that brought the decision
    not_ = _meet(entered, journeys.channels, mta.LiftTest("Affiliate", 0, 8))
    assert not_.effects.closing[:, code].mean() < 0.1
    untested = _meet(entered, journeys.channels)
    assert not untested.effects.closing.any()


def test_the_test_of_one_entrance_says_something_of_the_others() -> None:
    log, journeys = _log("intent")
    first, second = (journeys.channels.index(each) for each in ("Search", "Social"))
    near = np.zeros((log.histories.n_events, 6))
    near[0, [first, second]] = 1.0  # both are entrances
    entered = FittedLog(log.histories, log.design, log.rate, near)
    tested = mta.LiftTest("Search", 0, 5)
    alone = _meet(entered, journeys.channels)
    after = _meet(entered, journeys.channels, tested)
    as_others = _meet(log, journeys.channels, tested)
    assert after.credit[second] < 0.6 * alone.credit[second]
    assert after.credit[second] < 0.8 * as_others.credit[second]
    assert after.effects.slope[:, 0].mean() > 0.4


def test_the_variance_explained_is_that_of_a_regression(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    answer = _meet(log, journeys.channels)
    exact = variance_explained(answer, np.full(6, 1e-9))
    noisy = variance_explained(answer, np.full(6, 1e9))
    assert ((exact > 0) & (exact <= 1)).all()
    np.testing.assert_allclose(noisy, 0, atol=1e-6)
    # One channel that varies alone is known by its own test.
    alone = np.zeros((2, 6))
    alone[:, 3] = [-10, 10]
    known = variance_explained(
        replace(answer, draws=alone, removal_draws=0.8 * alone), np.full(6, 1e-9)
    )
    np.testing.assert_allclose(known, [0, 0, 0, 1, 0, 0], atol=1e-9)


def test_a_channel_without_an_effect_of_its_own_gets_one_only_by_its_test(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    code = journeys.channels.index("Social")
    without = replace(log, free=np.arange(6) != code)
    untested = _meet(without, journeys.channels)
    assert untested.credit[code] == pytest.approx(0, abs=0.5)
    tested = _meet(without, journeys.channels, mta.LiftTest("Social", 60, 5))
    assert tested.implied[:, 0].mean() == pytest.approx(60, abs=5)
    assert tested.credit[code] > 50


def test_met_near_finds_what_was_met_shortly_before() -> None:
    journeys = mta.worlds.make("visits_entrances", n_users=1_000).simulate().journeys
    histories = journeys.histories
    entrances = np.array([each == "Direct" for each in journeys.channels])
    near = met_near(histories, entrances, 0.5)
    direct = journeys.channels.index("Direct")
    assert not near[:, ~entrances].any()
    for event in range(0, histories.n_events, 7):
        first = histories.offsets[histories.event_user[event]]
        before = slice(first, histories.event_stop[event])
        age = histories.event_time[event] - histories.time[before]
        expected = ((age <= 0.5) & (histories.codes[before] == direct)).any()
        assert near[event, direct] == expected


def test_observed_effects_may_be_negative(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, _ = intent
    terms = channel_terms(log.design, log.rate)
    scale = np.full(6, 100.0)
    theta, precision = observed_effects(terms, log.rate.effect, scale)
    best = log_likelihood(terms, theta, scale)
    assert best >= log_likelihood(terms, log.rate.effect, scale)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    for direction in root.T:
        assert log_likelihood(terms, theta + direction, scale) < best
        assert log_likelihood(terms, theta - direction, scale) < best


def test_the_order_of_channels_and_users_does_not_matter(
    intent: tuple[FittedLog, mta.Journeys],
) -> None:
    log, journeys = intent
    test = mta.LiftTest("Search", 60, 5)
    expected = _meet(log, journeys.channels, test).credit
    turned = tuple(reversed(journeys.channels))
    histories = journeys.recode(turned).histories
    model = mta.SelfControlled(half_life="4d").fit_histories(histories)
    other = _meet(FittedLog.from_model(model, histories), turned, test)
    np.testing.assert_allclose(other.credit[::-1], expected, rtol=0.02, atol=0.5)
    users = journeys.histories.take(np.arange(journeys.histories.n_users)[::-1])
    model = mta.SelfControlled(half_life="4d").fit_histories(users)
    other = _meet(FittedLog.from_model(model, users), journeys.channels, test)
    np.testing.assert_allclose(other.credit, expected, rtol=0.02, atol=0.5)


def test_refusals(intent: tuple[FittedLog, mta.Journeys]) -> None:
    log, journeys = intent
    with pytest.raises(mta.UnknownChannelError, match="'Pigeon' has none here"):
        _meet(log, journeys.channels, mta.LiftTest("Pigeon", 1, 1))
    with pytest.raises(mta.ParameterError, match="must be of the journeys fitted"):
        _meet(log, journeys.channels, mta.LiftTest("Search", 1, 1, journeys))
    nobody = mta.LiftTest("Search", 1, 1, start=400, people=5, on="exposed")
    with pytest.raises(mta.ParameterError, match="nobody of the log did"):
        _meet(log, journeys.channels, nobody)


def test_incremental_meets_its_tests() -> None:
    world = mta.worlds.make("visits_closing_coupon", n_users=8_000, seed=1)
    journeys, truth = world.simulate().journeys, world.truth(users=8_192)
    code = truth.channels.index("Coupon Site")
    lift = truth.removal[code]
    tests = [mta.LiftTest("Coupon Site", lift, 0.1 * lift)]
    alone = mta.Incremental().fit_attribute(journeys)
    model = mta.Incremental(tests).fit(journeys)
    result = model.attribute(journeys)
    place = journeys.channels.index("Coupon Site")
    assert alone.credit[place] < 0.3 * truth.shapley[code]
    assert result.credit[place] == pytest.approx(truth.shapley[code], rel=0.4)
    assert model.removal_[place] == pytest.approx(lift, rel=0.2)
    lower, upper = result.interval(0.9)[place]
    assert lower < truth.shapley[code] < upper
    assert "the bias of channels that they reveal" in result.interval_holds
    assert result.draws is not None
    np.testing.assert_allclose(result.draws.sum(axis=1) + result.baseline_draws, result.total)
    value = model.attribute(journeys, of="value")
    assert value.credit.sum() + value.baseline == pytest.approx(value.total)
    half = [
        mta.LiftTest("Coupon Site", lift / 2, 0.1 * lift, end=45.0),
        mta.LiftTest("Coupon Site", lift / 2, 0.1 * lift, start=45.0),
    ]
    both = mta.Incremental(half).fit_attribute(journeys)
    assert both.credit[place] == pytest.approx(result.credit[place], rel=0.25)


def test_incremental_takes_what_a_test_shows_to_accompany_as_an_entrance() -> None:
    world = mta.worlds.make("null_channel", n_users=12_000, seed=3)
    journeys, truth = world.simulate().journeys, world.truth()
    tests = [mta.LiftTest("Affiliate", 0.0, 0.02 * truth.total)]
    alone = mta.Incremental(entrances=[]).fit_attribute(journeys)
    result = mta.Incremental(tests, entrances=[]).fit_attribute(journeys)
    assert mta.metrics.total_variation(alone, truth) > 0.5
    assert mta.metrics.total_variation(result, truth) < 0.15
    assert abs(result.baseline - truth.baseline) < 0.1 * truth.total
    assert any("Affiliate is an effect" in each for each in result.checks)


def test_lift_tests_need_days_after_conversions() -> None:
    journeys = mta.Journeys.from_arrays(
        ["Email"], [0], [0, 1, 1], [40, 40], [100, 100], age=[1.0], at_risk=[10.0, 10.0]
    )
    with pytest.raises(mta.JourneyError, match="users who were observed after a conversion"):
        mta.Incremental([mta.LiftTest("Email", 1, 1)]).fit(journeys)
