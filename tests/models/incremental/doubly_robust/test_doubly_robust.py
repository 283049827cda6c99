"""DoublyRobust: the contract on an event log, its sums against loops, and worlds."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.models.base import AttributionModel
from mta_models.models.incremental.doubly_robust.aipw import Window, _columns, _sample, followed
from tests.contract.test_every_model import (  # noqa: F401 (pytest runs them here on the fixtures of this file)
    test_asks_to_be_fitted_first,
    test_clones_as_scikit_learn_does,
    test_credit_and_baseline_add_up,
    test_fit_returns_itself_and_leaves_parameters_alone,
    test_leaves_the_journeys_alone,
    test_parameters,
    test_refuses_a_channel_it_was_not_fitted_on,
    test_refuses_another_outcome,
    test_refuses_value_where_there_is_none,
    test_refuses_what_is_not_journeys_or_has_no_conversion,
    test_repr_makes_the_model_again,
    test_same_result_every_time,
    test_says_what_it_estimates,
    test_survives_pickle,
)
from tests.contract.test_models_on_timelines import CHANNELS, log, read

CASES = {
    "DoublyRobust": mta.DoublyRobust(window="7d"),
    "DoublyRobust past": mta.DoublyRobust(window="7d", lag=0, history="past", n_folds=3),
}


@pytest.fixture(params=list(CASES))
def label(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(label: str) -> AttributionModel:
    return copy.deepcopy(CASES[label])


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return read(log()).recode(CHANNELS)


@pytest.fixture(scope="module")
def many() -> mta.Journeys:
    return read(log(6_000, seed=1), 6_000).recode(CHANNELS)


@pytest.mark.parametrize("whole", [True, False])
def test_rows_against_loops(journeys: mta.Journeys, whole: bool) -> None:
    histories, window = journeys.histories, Window(0.5, 7.0, whole)
    at = np.flatnonzero(followed(histories, window.lag))[::37]
    user, time = histories.owner[at], histories.time[at]
    found = _sample(histories, user, time, np.ones(len(at)), None, window)
    days = float((histories.end - histories.start).sum())
    for row, (u, t) in enumerate(zip(user, time, strict=True)):
        own = np.arange(histories.offsets[u], histories.offsets[u + 1])
        when = histories.event_time[histories.event_user == u]
        assert found.converts[row] == ((when > t + 0.5) & (when <= t + 7.5)).any()
        for c in range(4):
            met = histories.time[own][histories.codes[own] == c]
            past = met[met < t]
            if whole:
                expected = [np.log(len(met) + 0.5), float(len(met) > 0)]
                actual = found.columns[row, [c, 4 + c]]
                first = 8
            else:
                usual = (histories.codes == c).sum() / days * (t - histories.start[u])
                expected = [np.log((len(past) + 1) / (usual + 1))]
                actual = found.columns[row, [c]]
                first = 4
            np.testing.assert_allclose(actual, expected, atol=1e-9)
            recent = [np.log1p((2.0 ** ((past - t) / h)).sum()) for h in (2, 8)]
            np.testing.assert_allclose(found.columns[row, [first + c, first + 4 + c]], recent)


def test_the_past_does_not_know_the_future(journeys: mta.Journeys) -> None:
    """Touchpoints after a time change none of its columns."""
    histories, window = journeys.histories, Window(0.0, 7.0, False)
    user = np.flatnonzero(np.diff(histories.offsets) > 2)
    time = histories.time[histories.offsets[user] + 1]
    columns = _columns(histories, user, time, window)
    moved = histories.time.copy()
    # Touchpoints after the second of each of these users.
    since = np.full(histories.n_users, np.inf)
    since[user] = time
    later = moved > since[histories.owner]
    assert later.any()
    moved[later] += 0.25
    other = copy.copy(histories)
    object.__setattr__(other, "time", moved)
    np.testing.assert_allclose(_columns(other, user, time, window), columns)


def test_without_confounding_it_is_a_difference_of_means(many: mta.Journeys) -> None:
    """With randomised exposure the crude difference is right too; both within their errors."""
    model = mta.DoublyRobust(window="7d", lag=0, history="past").fit(many)
    histories, window = many.histories, Window(0.0, 7.0, False)
    at = followed(histories, 0.0)
    rng = np.random.default_rng(0)
    user = rng.integers(0, histories.n_users, 60_000)
    time = rng.random(60_000) * 40
    keep = time < histories.until_first[user]
    base = _sample(histories, user[keep], time[keep], np.ones(keep.sum()), None, window)
    for c in range(4):
        met = np.flatnonzero(at & (histories.codes == c))
        rows = _sample(
            histories, histories.owner[met], histories.time[met], np.ones(len(met)), None, window
        )
        crude = rows.converts.mean() - base.converts.mean()
        assert abs(model.effect_[c] - crude) < 3 * model.standard_error_[c]


@pytest.mark.parametrize("history", ["whole", "past"])
def test_finds_what_works(many: mta.Journeys, history: str) -> None:
    result = mta.DoublyRobust(window="7d", history=history).fit_attribute(many)
    assert set(np.argsort(-result.credit)[:2].tolist()) == {0, 1}
    assert abs(result.share[2]) < 0.12
    assert 0 < result.baseline < result.total


def test_a_touchpoint_just_before_a_conversion_proves_nothing() -> None:
    """Every buyer meets a coupon an hour before converting: with a lag its effect is 0."""
    events = log(3_000, seed=2)
    fetched = events.filter(pl.col("conversion") == 1).with_columns(
        pl.col("time") - 1 / 24,
        channel=pl.lit("Coupon"),
        conversion=pl.lit(0, dtype=pl.Int8),
        value=pl.lit(0.0),
    )
    by_chance = pl.DataFrame({"user": np.arange(3_000)}).with_columns(
        time=pl.Series(np.random.default_rng(0).random(3_000) * 39),
        channel=pl.lit("Coupon"),
        conversion=pl.lit(0, dtype=pl.Int8),
        value=pl.lit(0.0),
    )
    order = ["user", "time", "channel", "conversion", "value"]
    events = pl.concat([each.select(order) for each in (events, fetched, by_chance)]).sort("time")
    journeys = read(events, 3_000)
    coupon = journeys.channels.index("Coupon")
    with_lag = mta.DoublyRobust(window="7d", history="past").fit(journeys)
    without = mta.DoublyRobust(window="7d", lag=0, history="past").fit(journeys)
    assert abs(with_lag.effect_[coupon]) < 3 * with_lag.standard_error_[coupon]
    assert without.effect_[coupon] > 10 * without.standard_error_[coupon]


def test_covariates_that_explain_targeting_take_its_credit_away() -> None:
    simulation = mta.worlds.make("intent", n_users=4_000, strength=0.5).simulate()
    journeys = simulation.journeys
    known = simulation.observed.select("user", "engagement")
    plain = mta.DoublyRobust(history="past").fit_attribute(journeys)
    adjusted = mta.DoublyRobust(history="past", covariates=known).fit_attribute(journeys)
    assert adjusted.credit.sum() < plain.credit.sum()


def test_any_classifier(journeys: mta.Journeys) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    result = mta.DoublyRobust(learner=trees, window="7d").fit_attribute(journeys)
    assert np.isfinite(result.credit).all()
    with pytest.raises(mta.ParameterError, match="predict_proba"):
        mta.DoublyRobust(learner=object()).fit(journeys)


def test_draws_are_those_of_the_standard_errors(journeys: mta.Journeys) -> None:
    model = mta.DoublyRobust(window="7d").fit(journeys)
    result = model.attribute(journeys)
    assert result.draws is not None
    scale = result.credit / model.effect_
    np.testing.assert_allclose(result.draws.std(0), model.standard_error_ * scale, rtol=0.15)


def test_a_channel_never_met_gets_nothing(journeys: mta.Journeys) -> None:
    more = journeys.recode(("Pigeon", *CHANNELS))
    with pytest.warns(mta.IdentifiabilityWarning, match="Pigeon"):
        result = mta.DoublyRobust(window="7d").fit_attribute(more)
    assert result.credit[0] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_folds": 1}, "n_folds"),
        ({"history": "future"}, "history"),
        ({"lag": -1}, "lag"),
        ({"window": 0}, "window"),
        ({"covariates": [1]}, "covariates"),
    ],
)
def test_refuses_parameters(journeys: mta.Journeys, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(mta.ParameterError, match=words):
        mta.DoublyRobust(**wrong).fit(journeys)  # type: ignore[arg-type]


def test_refuses_rows_that_end_with_their_conversion() -> None:
    rows = mta.Journeys.from_arrays(["A"], [0], [0, 1], [1], [1], age=[1.0], at_risk=[9.0])
    with pytest.raises(mta.JourneyError, match="times but no timeline"):
        mta.DoublyRobust().fit(rows)


def test_needs_times(model: AttributionModel, journeys: mta.Journeys) -> None:
    timeless = replace(journeys, time=None, timeline=None)
    with pytest.raises(mta.JourneyError, match="times"):
        model.fit(timeless)


def test_refuses_a_lag_longer_than_any_life(journeys: mta.Journeys) -> None:
    with pytest.raises(mta.JourneyError, match="shorter `lag`"):
        mta.DoublyRobust(lag="90d").fit(journeys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "most"), [("randomised", 0.09), ("intent", 0.09), ("null_channel", 0.09)]
)
def test_recovers_worlds(world: str, most: float) -> None:
    made = mta.worlds.make(world, n_users=20_000, seed=1)
    result = mta.DoublyRobust().fit_attribute(made.simulate().journeys)
    assert mta.metrics.total_variation(result, made.truth()) < most


# Touchpoints after a conversion that are its consequences.


def test_whole_histories_are_refused_where_exposure_follows_conversions() -> None:
    """The package's log: e-mail goes to those who bought before.

    Users with e-mail are then buyers, and the estimate for e-mail was −263 (standard error 23) of
    1,191 conversions. A history of the past does not know who will buy.
    """
    names = {name: name for name in ("user", "time", "channel", "conversion", "value")}
    journeys = mta.read_events(mta.example_events(), **names, lookback="30d")
    with pytest.raises(mta.JourneyError, match=r"users met Email .* Use history=\"past\""):
        mta.DoublyRobust().fit(journeys)
    past = mta.DoublyRobust(history="past").fit_attribute(journeys)
    assert past.credit[journeys.channels.index("Email")] > -0.1 * journeys.total


def test_whole_histories_are_refused_where_exposure_stops_with_conversions() -> None:
    stopped = mta.worlds.make("suppression", n_users=10_000, seed=0).simulate().journeys
    with pytest.raises(mta.JourneyError, match="must not change with conversions"):
        mta.DoublyRobust().fit(stopped)
    mta.DoublyRobust(history="past").fit(stopped)


@pytest.mark.parametrize("world", ["randomised", "intent", "null_channel"])
def test_whole_histories_are_read_where_conversions_change_nothing(world: str) -> None:
    journeys = mta.worlds.make(world, n_users=10_000, seed=1).simulate().journeys
    assert mta.DoublyRobust().fit(journeys).effect_.shape == (6,)
