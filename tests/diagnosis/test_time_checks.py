"""What `diagnose` reads from times: each check fires in the world made for it and nowhere else."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.diagnosis.exposure_ratios import exposure_around
from mta_models.diagnosis.findings import Diagnosis
from mta_models.diagnosis.identification import verdict, verdicts, worth_of_tests
from mta_models.diagnosis.model_checks import ModelContext
from mta_models.diagnosis.placebo import PlaceboTest, only, shifted, thinned
from mta_models.diagnosis.rates import rate_ratios, sample_of
from mta_models.diagnosis.time_checks import TimeContext
from mta_models.diagnosis.worth_of_tests import value_of_tests

TARGETED = {"Affiliate", "Email", "Retargeting", "Search", "Social"}


@cache
def journeys_of(world: str, n_users: int = 8_000) -> mta.Journeys:
    return mta.worlds.make(world, n_users=n_users, strength=1.0, seed=1).simulate().journeys


@cache
def diagnosis_of(world: str) -> Diagnosis:
    return mta.diagnose(journeys_of(world))


def found(world: str, name: str) -> set[str]:
    return {c for each in diagnosis_of(world).findings if each.name == name for c in each.channels}


# Worlds.


def test_nothing_is_found_where_exposure_is_randomised() -> None:
    diagnosis = diagnosis_of("randomised")
    assert not diagnosis.names
    assert not diagnosis.skipped


def test_where_exposure_is_randomised_all_effects_are_identified() -> None:
    fits = ModelContext(journeys_of("randomised", 12_000))
    assert {each.status for each in verdicts(fits, [])} == {"identified"}
    said = verdict(fits.journeys, fits, [], {})
    assert said == (
        "As `Incremental` reads them, these journeys identify the effect of Affiliate, Display, "
        "Email, Retargeting, Search and Social."
    )


def test_stable_intent_is_found_by_the_future_and_by_the_placebo() -> None:
    later = found("intent", "negative_control")
    assert later <= TARGETED  # everybody is shown Display equally often
    assert later
    assert {"Affiliate"} <= found("intent", "placebo") <= TARGETED
    # It does not move.
    assert not set(diagnosis_of("intent").names) & {"raised_around", "lead_test"}


def test_intent_that_moves_is_seen_after_conversions_too() -> None:
    assert found("bursts", "raised_around") == TARGETED


def test_retargeting_is_found_and_nothing_else_is() -> None:
    for check in ("raised_around", "negative_control", "lead_test"):
        assert found("retargeting", check) == {"Retargeting"}
    (lead,) = [each for each in diagnosis_of("retargeting").findings if each.name == "lead_test"]
    assert lead.severity == "note"  # SelfControlled's correction passes its own test
    assert "corrects for it and then passes" in lead.found


def test_a_channel_without_effect_that_comes_last_rises_and_has_no_comparison() -> None:
    assert found("null_channel", "rising_exposure") == {"Affiliate"}
    assert found("null_channel", "no_support") == {"Affiliate"}
    assert next(iter(diagnosis_of("null_channel").experiments)) == "Affiliate"


def test_ads_that_stop_after_a_conversion_are_found() -> None:
    # Affiliate is an entrance by its name, and visits end with the decision anyway.
    stopped = TARGETED - {"Affiliate"} | {"Display"}
    assert found("suppression", "exposure_stops") == stopped
    assert not found("suppression", "negative_control")
    said = diagnosis_of("suppression").verdict
    assert "They bound that of Display (" in said
    assert "A purchase stops touchpoints of " in said


def test_harm_is_said() -> None:
    said = mta.diagnose(journeys_of("harmful_channel", 20_000)).verdict
    assert "Email may harm: people buy less after it" in said


def test_a_failed_lead_test_bounds_what_is_bought_and_no_entrance() -> None:
    fits = ModelContext(journeys_of("randomised", 12_000))
    failed = mta.Finding("lead_test", "caution", "", "", "", ("Email", "Affiliate"))
    bounded = [each for each in verdicts(fits, [failed]) if each.status == "bounded"]
    assert [each.channel for each in bounded] == ["Email"]
    assert "lead test of Email" in bounded[0].assumption
    passed = mta.Finding("lead_test", "note", "", "", "", ("Email",))
    assert {each.status for each in verdicts(fits, [passed])} == {"identified"}


def test_visits_raise_no_alarm_of_their_own() -> None:
    diagnosis = diagnosis_of("visits_entrances")
    assert not set(diagnosis.names) & {"exposure_stops", "lead_test", "negative_control"}
    assert "no log shows who would not have bought without it" in diagnosis.verdict


def test_a_lead_test_that_no_correction_passes_is_graver() -> None:
    from types import SimpleNamespace

    from mta_models.diagnosis.model_checks import lead_test
    from mta_models.models.incremental.self_controlled.leads import LeadTest

    seen = ModelContext(journeys_of("randomised", 500))
    first = LeadTest(np.array([5.0, 0, 0, -4, 0, 0]), 1.0, 41.0, 1e-7, 7)
    last = LeadTest(np.array([4.0, 0, 0, 0, 0, 0]), 1.0, 20.0, 0.0003, 7, before=first)
    vars(seen)["self_controlled"] = SimpleNamespace(lead_test_=last)
    (each,) = lead_test(seen)
    assert (each.severity, each.channels) == ("caution", ("Affiliate", "Retargeting"))
    assert "Affiliate (z = 5.0) and Retargeting (z = -4.0)" in each.found
    assert "cannot correct for it" in each.found


def test_a_season_alone_raises_no_alarm() -> None:
    assert not set(diagnosis_of("season").names) & {"raised_around", "negative_control"}


@pytest.mark.slow
def test_twenty_thousand_users_take_seconds() -> None:
    from time import perf_counter

    journeys = journeys_of("randomised", 20_000)
    start = perf_counter()
    mta.diagnose(journeys)
    assert perf_counter() - start < 20 * 3  # 20 quiet; other work may run beside


# Logs by hand.


def read(
    touches: list[tuple[int, float, str]], buys: list[tuple[int, float]], n: int, days: float = 28
) -> mta.Journeys:
    rows = [(n, 0.0, None, 0), (n, days, None, 0)]  # the log's first and last instant
    rows += [(user, time, channel, 0) for user, time, channel in touches]
    rows += [(user, time, None, 1) for user, time in buys]
    schema = {"user": int, "time": float, "channel": str, "conversion": int}
    events = pl.DataFrame(rows, schema=schema, orient="row").sort("time")
    users = pl.DataFrame({"user": range(n + 1), "start": [0.0] * (n + 1), "end": [days] * (n + 1)})
    return mta.read_events(events, observed=users, **{name: name for name in schema})


def test_channels_that_rest_for_weeks_and_channels_always_together() -> None:
    rng = np.random.default_rng(0)
    touches = [(u, t, "A") for u in range(100) for t in rng.uniform(0, 28, 3)]
    touches += [(u, t, "Resting") for u in range(100) for t in rng.uniform(7, 28, 3)]
    touches += [(u, t + 0.01, "Shadow") for u, t, c in touches if c == "A" and t < 27]
    journeys = read(touches, [(u, 27.5) for u in range(0, 100, 2)], 100)
    diagnosis = mta.diagnose(journeys)
    by_name = {each.name: each for each in diagnosis.findings}
    assert by_name["on_and_off"].channels == ("Resting",)
    assert "Resting (1 of 4 weeks)" in by_name["on_and_off"].found
    assert by_name["collinear_in_time"].channels == ("A", "Shadow")


def test_what_is_observed_too_shortly_is_not_checked() -> None:
    touches = [(u, 1.0, "A") for u in range(40)]
    diagnosis = mta.diagnose(read(touches, [(u, 4.0) for u in range(39)], 40, days=6))
    assert "followed by a week" in diagnosis.skipped["negative_control"]
    assert "weeks around" in diagnosis.skipped["raised_around"]
    nobody = mta.diagnose(read(touches, [], 40))
    assert nobody.verdict.startswith("Nobody converts")
    assert "it needs a conversion" in nobody.skipped["placebo"]
    few = mta.diagnose(read(touches, [(u, 4.0) for u in range(20)], 40, days=6))
    assert few.verdict.startswith("No channel's effect can be estimated from these journeys: there")
    assert "at least 30 conversions" in few.verdict
    assert not few.experiments


moment = st.integers(0, 280).map(lambda tenth: tenth / 10)
events = st.lists(st.tuples(st.integers(0, 3), moment, st.sampled_from("AB")), max_size=20)


@given(events, st.lists(moment.filter(lambda t: t > 0), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_exposure_of_a_sample_is_counted_as_by_hand(
    touches: list[tuple[int, float, str]], buys: list[float]
) -> None:
    journeys = read([(0, 1.0, "A"), (1, 1.0, "B"), *touches], list(enumerate(buys)), 4)
    touches = [(0, 1.0, "A"), (1, 1.0, "B"), *touches]
    sample = sample_of(journeys, n_base=40)
    assert (sample.n_cases, len(sample.user)) == (4, 44)
    first = dict(enumerate(buys))
    assert all(
        0 <= time <= first.get(user, 28)
        for user, time in zip(sample.user.tolist(), sample.time.tolist(), strict=True)
    )
    for since, until in ((-7.0, 0.0), (0.0, 7.0)):
        met = sample.met(since, until)
        for i in range(0, 44, 5):
            user, now = sample.user[i], sample.time[i]
            for code, channel in enumerate(journeys.channels):
                times = [t for u, t, c in touches if u == user and c == channel]
                assert met[i, code] == sum(now + since < t <= now + until for t in times)


def test_a_rate_ratio_of_one_exposure_is_the_ratio_of_odds() -> None:
    # 30 of 100 cases and 1,000 of 10,000 rows of the base exposed: (30 / 70) / (1,000 / 9,000).
    journeys = journeys_of("randomised")
    exposed = np.concatenate([np.arange(100) < 30, np.arange(10_000) < 1_000]).astype(float)
    user = np.arange(10_100) % 8_000
    sample = CaseBaseSample(
        journeys.histories, user, np.full(10_100, 3.0), np.ones(10_100), np.arange(100)
    )
    ratios = rate_ratios(sample, np.column_stack([exposed, np.ones(10_100)]), np.zeros((10_100, 0)))
    odds = 30 / 70 * 9
    assert np.exp(ratios.log) == pytest.approx([odds, 1], rel=0.01)  # the ridge's one observation
    woolf = np.sqrt(1 / 30 + 1 / 70 + 1 / 1_000 + 1 / 9_000)
    assert ratios.error == pytest.approx([woolf, np.inf], rel=0.02)


def test_exposure_around_conversions_is_relative_to_the_same_user_and_the_day() -> None:
    # Users differ tenfold in exposure and the calendar doubles it: neither raises the ratio.
    rng = np.random.default_rng(3)
    touches, buys = [], []
    for user in range(400):
        often = 0.1 if user % 2 else 1.0
        times = rng.uniform(0, 84, rng.poisson(84 * often))
        touches += [(user, t, "A") for t in times]
        touches += [(user, t, "A") for t in rng.uniform(42, 84, rng.poisson(42 * often))]
        buys.append((user, float(rng.uniform(7, 40 if often == 1 else 77))))
    seen = TimeContext(read(touches, buys, 400, days=84))
    ratio, error = exposure_around(seen.sample, (0.0, 7.0))
    assert abs(np.log(ratio[0])) < 3 * error[0] < 0.2


# Placebo touchpoints.


def cyclic_gaps(times: np.ndarray, length: float) -> list[float]:
    times = np.sort(times)
    return sorted(np.diff(np.append(times, times[0] + length)).round(6).tolist())


@given(events, st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_moved_touchpoints_keep_their_user_their_number_and_their_distances(
    touches: list[tuple[int, float, str]], seed: int
) -> None:
    journeys = read([(0, 1.0, "A"), (0, 3.0, "B"), *touches], [(0, 20.0), (1, 9.0)], 4)
    histories = journeys.histories
    alone = only(histories, 0)
    moved = shifted(alone, np.random.default_rng(seed))
    assert np.array_equal(moved.offsets, alone.offsets)
    for user in range(histories.n_users):
        before, after = (h.time[h.owner == user] for h in (alone, moved))
        here = histories.codes[histories.owner == user] == 0
        assert np.array_equal(before, histories.time[histories.owner == user][here])
        assert (np.diff(after) >= 0).all()
        assert ((after >= 0) & (after <= 28)).all()
        if len(before):
            assert cyclic_gaps(after, 28) == pytest.approx(cyclic_gaps(before, 28), abs=2e-5)
    for event, user in enumerate(moved.event_user):
        earlier = moved.time[moved.owner == user] <= moved.event_time[event]
        assert moved.event_stop[event] - moved.offsets[user] == earlier.sum()


def test_the_placebo_starts_from_the_credit_of_the_moment() -> None:
    journeys = journeys_of("randomised")
    model = mta.Hazard(half_life="4d", counterfactual="moment").fit(journeys)
    test = PlaceboTest(model, journeys.histories)
    assert test.credit == pytest.approx(model.attribute(journeys).credit, rel=1e-4, abs=1e-3)


def test_a_thinned_log_stands_for_all_of_it() -> None:
    histories = journeys_of("randomised").histories
    few = thinned(histories, np.random.default_rng(0), 200, 1_000)
    assert isinstance(few, Histories)
    assert few.n_users == 1_200
    assert few.weight.sum() == pytest.approx(8_000)
    assert few.total == pytest.approx(histories.total)
    assert thinned(histories, np.random.default_rng(0), 9_000, 9_000) is histories


def test_the_covariance_of_credit_is_near_that_of_the_bootstrap() -> None:
    journeys = journeys_of("randomised")
    seen = ModelContext(journeys)
    half_life = dict(zip(journeys.channels, seen.model.half_life_.tolist(), strict=True))
    model = mta.Hazard(half_life=half_life, counterfactual="moment")
    draws = mta.bootstrap(model, journeys, n_draws=60, random_state=0).draws
    assert draws is not None
    # A channel at its bound of 0 has half a distribution there; the others compare.
    inside = seen.test.credit > 2 * np.sqrt(np.diag(seen.covariance))
    assert inside.sum() >= 4
    ratio = np.sqrt(np.diag(seen.covariance))[inside] / draws.std(axis=0)[inside]
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


# Formulas.


def test_what_a_test_of_one_of_two_equal_channels_is_worth() -> None:
    # |β_1 − β_2| of a tenth of 50 touchpoints: E|N(0, σ²)| = σ √(2 / π), whichever is tested.
    sd, n = 0.02, np.array([50.0, 50.0])
    away = np.random.default_rng(0).normal(0, sd, (20_000, 2))
    away -= away.mean(axis=0)
    worth = value_of_tests(0.1 + away, n)
    assert worth == pytest.approx(np.full(2, 0.1 * 50 * sd * np.sqrt(2 / np.pi)), rel=0.03)
    known = value_of_tests(0.1 + away * [1, 0], n)
    assert known == pytest.approx([worth[0], 0], rel=0.02)
    settled = value_of_tests(np.array([0.1, 0.9]) + away, n)
    assert settled == pytest.approx([0, 0], abs=1e-9)
    tied = value_of_tests(0.1 + away[:, [0, 0]], n)
    assert tied == pytest.approx([0, 0], abs=1e-12)  # what changes both equally decides nothing


@given(
    # Hundredths: linprog's tolerance is 1e-7.
    st.lists(
        st.tuples(st.integers(-100, 100).map(lambda i: i / 100), st.floats(0.1, 50)),
        min_size=2,
        max_size=6,
    ),
    st.floats(0.01, 1),
)
@settings(max_examples=40, deadline=None)
def test_the_decision_is_the_best_of_all_moves(
    channels: list[tuple[float, float]], moved: float
) -> None:
    from scipy.optimize import linprog

    from mta_models.diagnosis.worth_of_tests import _gain

    effect, volume = (np.array(each) for each in zip(*channels, strict=True))
    best = linprog(
        -effect,
        A_eq=np.ones((1, len(effect))),
        b_eq=[0],
        bounds=[(-moved * n, moved * n) for n in volume],
    )
    assert moved * _gain(effect[None], volume)[0] == pytest.approx(-best.fun, abs=1e-7)


def test_the_test_is_priced() -> None:
    journeys = journeys_of("randomised", 12_000)
    fits = ModelContext(journeys)
    worth = worth_of_tests(fits)
    assert list(worth.values()) == sorted(worth.values(), reverse=True)
    # An entrance by its name, and one that closes nothing.
    assert set(worth) == set(journeys.channels) - {"Affiliate"}
    best = next(iter(worth))
    said = verdict(journeys, fits, [], {**worth, best: 12.4})
    assert f"is one of {best}: knowing its effect before 10% of the cost is moved is" in said
    assert "worth 12.4 conversions on average" in said
    assert journeys.report is not None
    assert f"saves {0.1 * journeys.report.cost[best]:,.10g} of its cost." in said
    lost = 0.1 * fits.answer.removal_[journeys.channels.index(best)]
    assert f"loses about {lost:,.1f} conversions and" in said
    assert "would change much" in verdict(journeys, fits, [], {best: 0.1})


def test_without_costs_touchpoints_are_moved() -> None:
    rng = np.random.default_rng(0)
    touches = [(u, t, "AB"[u % 2]) for u in range(300) for t in rng.uniform(0, 60, 6)]
    journeys = read(touches, [(u, rng.uniform(1, 59)) for u in range(0, 300, 3)], 300, days=60)
    said = verdict(journeys, ModelContext(journeys), [], {"A": 3.0})
    assert "before 10% of the touchpoints are moved is worth 3.0" in said
    assert "of its cost" not in said
