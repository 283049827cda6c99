"""Time-forward validation: scores held to loops, references to arithmetic, refusals."""

from __future__ import annotations

from math import log

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.analysis.forward_validation import CONSTANT, COUNTED

NAMES = ("A", "B")


def read(touches: list[tuple[int, float, str]], buys: list[tuple[int, float]]) -> mta.Journeys:
    """A log of four users observed for twelve days."""
    # The log's first instant is that of its first event.
    rows = [(3, 0.0, "A", 0), *((user, time, channel, 0) for user, time, channel in touches)]
    rows += [(user, time, None, 1) for user, time in buys]
    events = pl.DataFrame(
        rows, schema={"user": int, "time": float, "channel": str, "conversion": int}, orient="row"
    ).sort("time")
    users = pl.DataFrame({"user": range(4), "start": [0.0] * 4, "end": [12.0] * 4})
    columns = {name: name for name in ("user", "time", "channel", "conversion")}
    return mta.read_events(events, observed=users, **columns)


@pytest.fixture(scope="module")
def shop() -> mta.Journeys:
    return mta.worlds.make("randomised", n_users=3_000, strength=1.0).simulate().journeys


FAST = mta.Hazard(half_life="4d", calendar=False)

some_time = st.floats(0.1, 11.9).map(lambda x: round(x, 3))
touching = st.lists(st.tuples(st.integers(0, 3), some_time, st.sampled_from(NAMES)), max_size=12)


# A channel may be met by nobody before the cut.
tiny = pytest.mark.filterwarnings("ignore::mta_models.IdentifiabilityWarning")


@tiny
@given(touching, st.lists(some_time, min_size=4, max_size=4, unique=True))
@settings(max_examples=25, deadline=None)
def test_scores_are_what_loops_over_days_and_users_find(
    touches: list[tuple[int, float, str]], buys: list[float]
) -> None:
    first = dict(enumerate([1.0, *buys[1:]]))  # somebody to learn from, three to predict
    if not any(time > 8 for time in first.values()):
        first[3] = 9.5
    journeys = read(touches, list(first.items()))
    validation = mta.validate_forward([FAST], journeys, train_days=8)
    at_risk = sum(min(time, 8) for time in first.values())
    rate = sum(time < 8 for time in first.values()) / at_risk
    model = FAST.__sklearn_clone__().fit(mta.until(journeys, 8))
    gain, predicted, right, pairs = 0.0, np.zeros(4), 0.0, 0
    for i, day in enumerate((8, 9, 10, 11)):
        rates = {}
        for user, time in first.items():
            if time <= day:
                continue
            stop = min(day + 1.0, time)
            met = [(t, c) for u, t, c in [(3, 0.0, "A"), *touches] if u == user and t <= time]
            expected = (stop - day) * model.baseline_hazard_
            for t, channel in met:
                begin = max(t, day)
                if begin < stop:
                    faded = 2 ** (-(begin - t) / 4) - 2 ** (-(stop - t) / 4)
                    expected += model.beta_[journeys.channels.index(channel)] * faded
            predicted[i] += expected
            gain += rate * (stop - day) - expected
            rates[user] = expected / (stop - day)
            if time <= day + 1:
                gain += log(expected / (rate * (stop - day))) if expected > 0 else -np.inf
        for user in [u for u in rates if first[u] <= day + 1]:
            for other in [u for u in rates if first[u] > day + 1]:
                pairs += 1
                right += float(np.sign(rates[user] - rates[other]) + 1) / 2
    observed = sum(time > 8 for time in first.values())
    score = validation.scores[repr(FAST)]
    np.testing.assert_allclose(validation.by_day[repr(FAST)], predicted, atol=1e-9)
    np.testing.assert_allclose(score.gain, gain / observed, rtol=1e-6, atol=1e-9)
    assert (score.predicted, score.observed) == (pytest.approx(predicted.sum()), observed)
    if pairs:
        assert score.auc == pytest.approx(right / pairs)


def test_the_constant_rate_knows_nothing(shop: mta.Journeys) -> None:
    validation = mta.validate_forward([FAST], shop)
    score = validation.scores[CONSTANT]
    assert score.gain == score.gain_error == 0
    # Those observed for part of a day differ by the rounding of a quotient.
    assert score.auc == pytest.approx(0.5, abs=0.02)
    assert (validation.since, len(validation.observed)) == (59, 31)
    assert score.observed == validation.observed.sum()
    assert score.observed == shop.conversions[np.asarray(shop.end) > 59].sum()


def test_a_right_model_predicts_better_than_references_and_is_calibrated(
    shop: mta.Journeys,
) -> None:
    slower = mta.Hazard(half_life="90d", calendar=False)
    validation = mta.validate_forward([FAST, slower], shop)
    right, slow = (validation.scores[repr(model)] for model in (FAST, slower))
    assert right.gain > max(validation.scores[COUNTED].gain, slow.gain, 0)
    assert right.gain > 3 * right.gain_error
    assert right.auc > 0.6
    assert right.ratio == pytest.approx(1, abs=0.25)


def test_the_better_prediction_may_come_with_the_worse_credit() -> None:
    simulation = mta.worlds.make("intent", n_users=10_000, strength=1.0).simulate()
    comparison = mta.compare(["Hazard", "SelfControlled"], simulation.journeys, validate=True)
    assert comparison.validation is not None
    scores, attributions = comparison.validation.scores, comparison.attributions
    assert scores["Hazard"].gain > scores["SelfControlled"].gain > 0
    wrong = {
        label: mta.metrics.total_variation(each, simulation.truth)
        for label, each in attributions.items()
    }
    assert wrong["SelfControlled"] < wrong["Hazard"] - 0.05


@tiny
def test_users_who_convert_again_stay_at_risk() -> None:
    buys = [(0, 1.0), (0, 9.25), (0, 9.75), (1, 10.5)]
    journeys = read([(0, 0.5, "A"), (1, 10.0, "B")], buys)
    validation = mta.validate_forward([FAST], journeys, train_days=8, horizon=3)
    assert validation.observed.tolist() == [0, 2, 1]
    score = validation.scores[CONSTANT]
    assert score.predicted == pytest.approx(1 / (4 * 8) * 4 * 3)
    assert validation.until == 11


@tiny
def test_touched_and_untouched_are_told_apart_by_the_last_week() -> None:
    # Users 0, 1 and 3 met one touchpoint at the very start: for six days, each in that class.
    touches = [(0, 0.0, "A"), (1, 0.0, "A"), (0, 8.0, "A"), (1, 8.0, "A")]
    buys = [(0, 2.5), (0, 8.5), (2, 3.5), (2, 8.75)]
    score = mta.validate_forward([FAST], read(touches, buys), train_days=6, horizon=3).scores[
        COUNTED
    ]
    pooled = 2 / 24
    met, unmet = (1 + pooled) / (18 + 1), (1 + pooled) / (6 + 1)
    # By the end of day 6 the week reaches back to 0, excluded; users 0 and 1 meet more on day 8.
    in_class = 2 * 2 * met
    assert score.ratio_touched == pytest.approx(in_class)
    assert score.ratio_untouched == pytest.approx((4 * 3 - 4) * unmet)
    assert score.predicted == pytest.approx(in_class + 8 * unmet)


def test_tables_hold_every_score(shop: mta.Journeys) -> None:
    validation = mta.validate_forward([FAST], shop, train_days=60, horizon=5)
    frame, table, days = validation.to_frame(), validation.to_polars(), validation.days()
    assert frame["model"].tolist() == [CONSTANT, COUNTED, repr(FAST)]
    assert list(frame.columns) == table.columns
    assert frame["gain"].tolist() == [each.gain for each in validation.scores.values()]
    assert days["day"].tolist() == [60, 61, 62, 63, 64]
    assert days[CONSTANT].sum() == pytest.approx(frame["predicted"][0])


def test_what_cannot_be_validated_is_refused(shop: mta.Journeys) -> None:
    with pytest.raises(mta.ParameterError, match=r"must be an incremental one.*LastTouch"):
        mta.validate_forward(["LastTouch"], shop)
    plain = mta.Journeys.from_paths([["A"], []], [3, 1], [4, 9])
    with pytest.raises(mta.JourneyError, match="must have a timeline"):
        mta.validate_forward([FAST], plain)
    for train_days in (0, 200):
        with pytest.raises(mta.ParameterError, match="`train_days` must"):
            mta.validate_forward([FAST], shop, train_days=train_days)
    with pytest.raises(mta.ParameterError, match="`horizon` must be"):
        mta.validate_forward([FAST], shop, horizon=0)
    quiet = read([(0, 0.5, "A")], [(0, 1.0)])
    with pytest.raises(mta.JourneyError, match="none falls between day 8 and day 12"):
        mta.validate_forward([FAST], quiet)


def test_a_model_that_refuses_is_named_or_raises(shop: mta.Journeys) -> None:
    journeys = read([(0, 0.5, "A")], [(0, 1.0), (0, 2.0), (1, 9.0)])
    once = mta.Hazard(half_life="4d", repeat=False)
    with pytest.raises(mta.JourneyError, match="convert at most once"):
        mta.validate_forward([once, FAST], journeys)
    validation = mta.validate_forward([once, FAST], journeys, skip_refused=True)
    assert "convert at most once" in validation.refusals["Hazard(half_life='4d', repeat=False)"]
    assert len(validation.scores) == 3


def test_compare_validates_the_incremental_models_among_its_own(shop: mta.Journeys) -> None:
    comparison = mta.compare(["LastTouch", FAST], shop, validate=True)
    assert comparison.validation is not None
    alone = mta.validate_forward([FAST], shop)
    assert comparison.validation.to_frame().equals(alone.to_frame())
    assert mta.compare(["LastTouch", FAST], shop).validation is None
    with pytest.raises(mta.ParameterError, match="must be a model that predicts conversions"):
        mta.compare(["LastTouch"], shop, validate=True)
