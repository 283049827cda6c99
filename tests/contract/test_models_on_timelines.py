"""The contract of models of when users convert. A new one is a line in `CASES`.

The tests that hold for all models are run here too, on an event log instead of rows.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.models.base import AttributionModel, clone
from mta_models.models.incremental.base import TimedModel
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

CHANNELS = ("Search", "Email", "Direct", "Social")

CASES: dict[str, TimedModel] = {
    "Hazard": mta.Hazard(),
    "Logistic": mta.Logistic(),
    "Logistic backward": mta.Logistic(half_life=3, counterfactual="backward", rows="days"),
    "Logistic removal": mta.Logistic(half_life=3, penalty=0.01, split="removal"),
    "Hazard lag": mta.Hazard(half_life="3d", lag="12h"),
    "Hazard moment": mta.Hazard(half_life="3d", counterfactual="moment"),
    "SelfControlled": mta.SelfControlled(),
    "SelfControlled moment": mta.SelfControlled(half_life="3d", counterfactual="moment"),
}
# Sampled from a posterior: a fit takes many seconds, and their own files hold them to this.
SAMPLED = {"BayesianHazard", "BayesianLogistic"}
# Relative tolerance of results found by a search, by label; of the others: 1e-7.
ROUGH: dict[str, float] = {}


@pytest.fixture(params=list(CASES))
def label(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(label: str) -> AttributionModel:
    return copy.deepcopy(CASES[label])


def log(n_users: int = 600, channels: tuple[str, ...] = CHANNELS, seed: int = 5) -> pl.DataFrame:
    """Forty days of users who convert at most once, more often after Search and Email."""
    rng, days = np.random.default_rng(seed), 40
    met = rng.random((n_users, 4, days)) < np.array([0.05, 0.08, 0.03, 0.06])[:, None]
    adstock, rows, done = np.zeros((n_users, 4)), [], np.zeros(n_users, dtype=bool)
    for day in range(days):
        adstock = adstock * 2 ** (-1 / 3) + met[:, :, day]
        user, code = np.nonzero(met[:, :, day])
        rows.append((user, day + 0.8 * rng.random(len(user)), code))
        hazard = 0.004 + adstock @ np.array([0.03, 0.015, 0.0, 0.005])
        buys = np.flatnonzero((rng.random(n_users) < hazard) & ~done)
        done[buys] = True
        rows.append((buys, day + 0.9 + 0.1 * rng.random(len(buys)), np.full(len(buys), -1)))
    user, time, code = (np.concatenate(each) for each in zip(*rows, strict=True))
    names = pl.Series([*channels, None], dtype=pl.String)
    return pl.DataFrame(
        {
            "user": user,
            "time": time,
            "channel": names.gather(np.where(code < 0, 4, code)),
            "conversion": (code < 0).astype(np.int8),
            "value": np.where(code < 0, np.round(10 + 90 * rng.random(len(code)), 2), 0.0),
        }
    ).sort("time")


def read(events: pl.DataFrame, n_users: int = 600, lookback: str | None = None) -> mta.Journeys:
    observed = pl.DataFrame({"user": range(n_users)}).with_columns(
        start=pl.lit(0.0), end=pl.lit(40.0)
    )
    return mta.read_events(
        events,
        user="user",
        time="time",
        channel="channel",
        conversion="conversion",
        value="value",
        observed=observed,
        lookback=lookback,
    )


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return read(log()).recode(CHANNELS)


def close(label: str, actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, rtol=ROUGH.get(label, 1e-7), atol=1e-6)


def test_every_timed_model_is_held_to_the_contract() -> None:
    timed = {each for each in mta.ALL_MODELS if issubclass(each, TimedModel)}
    named = {each for each in timed if each.__name__ in SAMPLED}
    assert {type(each) for each in CASES.values()} == timed - named
    assert {each.__name__ for each in named} == SAMPLED & set(dir(mta))


def test_needs_times(model: AttributionModel, journeys: mta.Journeys) -> None:
    timeless = replace(journeys, time=None, timeline=None)
    with pytest.raises(mta.JourneyError, match="times"):
        model.fit(timeless)


def test_permuted_channels_permute_credit(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    order = [2, 0, 3, 1]
    permuted = journeys.recode(tuple(CHANNELS[i] for i in order))
    expected = clone(model).fit_attribute(journeys)
    actual = clone(model).fit_attribute(permuted)
    close(label, actual.credit, expected.credit[order])
    other = model.fit(journeys).attribute(permuted)
    assert other.channels == CHANNELS
    close(label, other.credit, expected.credit)


def test_names_of_channels_do_not_matter(label: str, model: AttributionModel) -> None:
    names = ("zz", "(null)", "start", "1")
    expected = clone(model).fit_attribute(read(log()).recode(CHANNELS))
    actual = clone(model).fit_attribute(read(log(channels=names)).recode(names))
    close(label, actual.credit, expected.credit)


def test_a_channel_never_met_gets_nothing(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    with_more = journeys.recode(("Pigeon", *CHANNELS))
    text = "no user was at risk after a touchpoint of Pigeon, so its effect cannot be learnt"
    with pytest.warns(mta.IdentifiabilityWarning, match=f"^{type(model).__name__}: {text}"):
        result = clone(model).fit_attribute(with_more)
    assert result.credit[0] == 0
    close(label, result.credit[1:], clone(model).fit_attribute(journeys).credit)


def test_conversions_that_no_channel_touched_are_baseline(model: AttributionModel) -> None:
    events = log().filter(pl.col("conversion") == 1)
    untouched = read(events)
    result = model.fit_attribute(untouched)
    assert result.channels == ()
    assert result.baseline == untouched.total > 0


def test_touchpoints_add_up_to_their_channel(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    for each in (journeys, read(log(), lookback="9d").recode(CHANNELS)):
        for of in ("conversions", "value"):
            credit = model.touchpoint_credit(each, of=of)
            assert credit.shape == (each.n_touchpoints,)
            by_channel = np.bincount(each.codes, credit, 4)
            close(label, by_channel, model.attribute(each, of=of).credit)
    frame = mta.touchpoint_frame(model, journeys)
    assert frame["credit"].sum() == pytest.approx(journeys.total)


def test_equal_values_are_conversions_in_money(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    priced = journeys._with(value=7.0 * journeys.conversions)
    expected = model.attribute(journeys)
    actual = model.attribute(priced, of="value")
    close(label, actual.credit, 7 * expected.credit)
    close(label, actual.baseline, 7 * expected.baseline)


def test_histories_can_be_fitted(label: str, model: TimedModel, journeys: mta.Journeys) -> None:
    """As journeys are, a lag included; some users are enough, and one must convert."""
    histories = journeys.histories
    fitted = clone(model).fit_histories(histories)
    assert fitted.channels_ == CHANNELS
    expected = clone(model).fit(journeys)
    close(label, fitted.attribute(journeys).credit, expected.attribute(journeys).credit)
    converters = np.unique(histories.event_user)
    others = np.setdiff1d(np.arange(histories.n_users), converters)
    with pytest.raises(mta.JourneyError, match="must be a conversion to learn from"):
        clone(model).fit_histories(histories.take(others))
    with pytest.raises(mta.ParameterError, match="counterfactual"):
        clone(model).set_params(counterfactual="sideways").fit_histories(histories)
    with pytest.raises(mta.JourneyError, match="must be given Histories; got Journeys"):
        clone(model).fit_histories(journeys)  # type: ignore[arg-type]


def test_refits_leave_the_model_alone(model: TimedModel, journeys: mta.Journeys) -> None:
    fitted = clone(model).fit(journeys)
    before = pickle.dumps(fitted)
    refit = fitted.prepare(journeys, "conversions")
    other = journeys.reweighted(journeys.conversions * 2.0, journeys.nulls * 1.0)
    first, again = refit(other), refit(other)
    assert pickle.dumps(fitted) == before
    np.testing.assert_array_equal(first[0], again[0])


def test_reweighting_is_having_users_twice(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    """A refit of the bootstrap against a log in which every user is there three times."""
    refit = clone(model).fit(journeys).prepare(journeys, "conversions")
    credit, baseline = refit(journeys.reweighted(journeys.conversions * 3, journeys.nulls * 3))
    once = clone(model).fit_attribute(journeys)
    # Three times as many conversions say more of each week, so factors are shrunk less.
    shrunk = 0.02 if label.startswith("Hazard") else 0.0
    rtol = max(ROUGH.get(label, 0), 1e-3, shrunk)
    np.testing.assert_allclose(credit, 3 * once.credit, rtol=rtol, atol=0.2)
    np.testing.assert_allclose(baseline, 3 * once.baseline, rtol=rtol, atol=0.2)


def test_can_be_bootstrapped(model: AttributionModel, journeys: mta.Journeys) -> None:
    result = mta.bootstrap(model, journeys, n_draws=4, random_state=0)
    np.testing.assert_array_equal(result.credit, clone(model).fit_attribute(journeys).credit)
    assert result.draws is not None
    assert result.draws.shape == (4, 4)
    assert np.ptp(result.draws, axis=0).any()
    assert (result.draws.sum(axis=1) + result.baseline_draws > 0).all()


def test_finds_what_works(model: AttributionModel, journeys: mta.Journeys) -> None:
    """Search and Email have effects, Direct has none, and there is a baseline."""
    result = model.fit_attribute(read(log(6_000, seed=1), 6_000).recode(CHANNELS))
    assert set(np.argsort(-result.credit)[:2].tolist()) == {0, 1}
    assert abs(result.share[2]) < 0.12
    assert 0 < result.baseline < result.total


def test_expects_what_comes(model: AttributionModel) -> None:
    """In a log without drift the expected number, and halves of a span add up to it."""
    assert isinstance(model, TimedModel)
    everyone = read(log(6_000, seed=1), 6_000)
    model.fit(everyone)
    whole = model.expected_conversions(everyone, 0.0, 10.0)
    halves = [model.expected_conversions(everyone, *each) for each in ((0.0, 5.0), (5.0, 10.0))]
    assert whole.shape == (6_000,)
    assert (whole >= 0).all()
    np.testing.assert_allclose(sum(halves).sum(), whole.sum(), rtol=0.1)
    early = float(everyone.conversions[np.asarray(everyone.end) < 10].sum())
    assert whole.sum() == pytest.approx(early, rel=0.25)
    with pytest.raises(mta.ParameterError, match="must not come before"):
        model.expected_conversions(everyone, 3.0, 2.0)


def test_refuses_an_unknown_counterfactual(model: AttributionModel, journeys: mta.Journeys) -> None:
    with pytest.raises(mta.ParameterError, match="`counterfactual` must be one of"):
        model.set_params(counterfactual="sideways").fit(journeys)
