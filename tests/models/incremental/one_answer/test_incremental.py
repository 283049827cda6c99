"""Incremental: the contract on event logs, what it takes and refuses, and its parts."""

from __future__ import annotations

import copy
import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mta_models as mta
from mta_models.errors import collected_warnings
from mta_models.models.base import AttributionModel, clone
from tests.contract.test_edge_cases import events
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
    "Incremental": mta.Incremental(),
    "Incremental declared": mta.Incremental(
        entrances=("Search", "Direct"), bought=["Email"], random_state=3
    ),
}
pytestmark = pytest.mark.filterwarnings("error")


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
def fitted(journeys: mta.Journeys) -> mta.Incremental:
    return mta.Incremental().fit(journeys)


# The answer.


def test_it_has_intervals_readings_and_a_verdict(
    journeys: mta.Journeys, fitted: mta.Incremental
) -> None:
    for of in ("conversions", "value"):
        result = fitted.attribute(journeys, of=of)
        assert result.draws is not None
        np.testing.assert_allclose(
            result.draws.sum(axis=1) + result.baseline_draws, result.total, rtol=1e-9
        )
        bounds = result.interval(0.99)
        assert (bounds[:, 0] <= result.credit + 1e-9).all()
        assert (bounds[:, 1] >= result.credit - 1e-9).all()
        assert result.interval_holds in " ".join(str(result).split())
    assert fitted.entrances_ == ("Direct",)
    first, *others = fitted.readings_
    np.testing.assert_array_equal(first.credit, fitted.attribute(journeys).credit)
    for reading in (first, *others):
        assert reading.credit.sum() + reading.baseline == pytest.approx(journeys.total)
        assert reading.name
        assert reading.sentence
    assert [each.channel for each in fitted.verdict_] == list(CHANNELS)
    for each, credit in zip(fitted.verdict_, first.credit, strict=True):
        assert each.status in ("identified", "bounded", "not identified")
        assert each.credit == credit
        assert each.lower <= each.upper
        assert each.assumption.endswith(".")
    assert fitted.removal_.shape == (4,)


def test_checks_say_what_was_guessed(journeys: mta.Journeys, fitted: mta.Incremental) -> None:
    guessed = fitted.attribute(journeys).checks[0]
    assert guessed.startswith("Entrances, guessed from names: Direct.")
    declared = mta.Incremental(entrances=["Social"]).fit_attribute(journeys).checks[0]
    assert declared.startswith("Entrances, as declared: Social.")
    bought = mta.Incremental(bought=["Direct"]).fit(journeys)
    assert bought.entrances_ == ()
    assert bought.attribute(journeys).checks[0].startswith("No channel is taken as an entrance.")


def test_it_finds_what_works_and_gives_entrances_nothing() -> None:
    world = mta.worlds.make("visits_entrances", n_users=8_000, seed=1)
    journeys = world.simulate().journeys
    result = mta.Incremental().fit_attribute(journeys)
    credit = dict(zip(result.channels, result.credit, strict=True))
    entrances = ("Direct", "Brand Search", "Organic Search", "Coupon Site")
    assert sum(credit[each] for each in entrances) < 0.1 * result.credit.sum()
    last = mta.LastTouch().fit_attribute(journeys)
    counted = dict(zip(last.channels, last.credit, strict=True))
    assert sum(counted[each] for each in entrances) > 0.3 * last.credit.sum()


def test_a_seed_decides_the_draws_and_nothing_else(journeys: mta.Journeys) -> None:
    first, other = (mta.Incremental(random_state=i).fit_attribute(journeys) for i in (0, 1))
    np.testing.assert_array_equal(first.credit, other.credit)
    assert first.draws is not None
    assert not np.array_equal(first.draws, other.draws)


def test_names_do_not_matter_where_entrances_are_declared() -> None:
    names = ("zz", "(null)", "start", "1")
    declared = read(log()).recode(CHANNELS)
    expected = mta.Incremental(entrances=["Direct"]).fit_attribute(declared)
    renamed = read(log(channels=names)).recode(names)
    actual = mta.Incremental(entrances=["start"]).fit_attribute(renamed)
    np.testing.assert_allclose(actual.credit, expected.credit, rtol=1e-7, atol=1e-6)


def test_permuted_channels_permute_credit(journeys: mta.Journeys, fitted: mta.Incremental) -> None:
    order = [2, 0, 3, 1]
    permuted = journeys.recode(tuple(CHANNELS[i] for i in order))
    expected = fitted.attribute(journeys)
    actual = mta.Incremental().fit_attribute(permuted)
    np.testing.assert_allclose(actual.credit, expected.credit[order], rtol=1e-7, atol=1e-6)
    again = fitted.attribute(permuted)
    np.testing.assert_array_equal(again.credit, expected.credit)


# What it needs.


def test_below_thirty_conversions_it_refuses(journeys: mta.Journeys) -> None:
    few = np.where(np.cumsum(journeys.conversions) <= 29, journeys.conversions, 0)
    with pytest.raises(mta.JourneyError, match=r"at least 30 conversions .* got 29"):
        mta.Incremental().fit(journeys.reweighted(few, journeys.nulls + journeys.conversions - few))
    enough = np.where(np.cumsum(journeys.conversions) <= 30, journeys.conversions, 0)
    other = journeys.reweighted(enough, journeys.nulls + journeys.conversions - enough)
    assert mta.Incremental().fit_attribute(other).total == 30


def test_without_times_it_refuses(journeys: mta.Journeys) -> None:
    with pytest.raises(mta.JourneyError, match="Incremental needs the age of each touchpoint"):
        mta.Incremental().fit(journeys.compress())


def test_it_answers_without_anything_observed_after_conversions() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 4, 200)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    rows = mta.Journeys.from_arrays(
        ["Email", "Direct"],
        rng.integers(0, 2, offsets[-1]),
        offsets,
        (np.arange(200) % 3 == 0).astype(float),
        (np.arange(200) % 3 > 0).astype(float),
        age=np.concatenate([-np.sort(-rng.uniform(0, 20, size)) for size in sizes]),
        at_risk=np.full(200, 30.0),
    )
    result = mta.Incremental().fit_attribute(rows)
    assert result.total == 67
    assert mta.Incremental().fit(rows).touchpoint_credit(rows).sum() == pytest.approx(
        result.credit.sum()
    )


def test_it_answers_without_touchpoints() -> None:
    untouched = read(log().filter(pl.col("conversion") == 1))
    for journeys in (untouched, untouched.recode(CHANNELS)):
        result = mta.Incremental().fit_attribute(journeys)
        assert result.baseline == untouched.total > 30
        assert not result.interval().any()


def at_the_edge() -> dict[str, mta.Journeys]:
    """Logs of at least thirty conversions from which little or nothing can be learnt."""
    rng = np.random.default_rng(0)
    n = 60
    met = [(u, float(d), "AB"[rng.integers(2)]) for u in range(n) for d in rng.uniform(0, 28, 3)]
    bought = [(int(u), float(rng.uniform(5, 29)), 3.0) for u in rng.integers(0, n, 44)]
    third = [(u, 5.0, 1.0) for u in range(39)]
    cancelling = [(u, d, 5.0 * (-1) ** i) for i, (u, d, _) in enumerate(bought)]
    rows = {"age": [2.0, 1.0, 3.0], "at_risk": [9.0, 9.0, 9.0]}
    return {
        "values all 0": events(met, [(u, d, 0.0) for u, d, _ in bought], n),
        "values that cancel": events(met, cancelling, n),
        "a channel never met": events(met, bought, n).recode(("A", "B", "C")),
        "one user": events(
            [(0, float(i), "A") for i in range(40)], [(0, i + 0.5, 1.0) for i in range(35)], 1, 60
        ),
        "everybody at the end": events(met, [(u, 30.0, 1.0) for u in range(n)], n),
        "all at once": events([(u, 5.0, "A") for u in range(n)], third, n),
        "after conversions only": events([(u, 20.0, "A") for u in range(n)], third, n),
        "an entrance right before": events([(u, 4.9, "Direct") for u in range(n)], third, n),
        "one day": events(
            [(u, 0.1 * (u % 9), "AB"[u % 2]) for u in range(n)],
            [(u, 0.95, 1.0) for u in range(39)],
            n,
            1.0,
        ),
        "rows": mta.Journeys.from_arrays(
            "AB", [0, 1, 0], [0, 2, 3, 3], [20, 10, 10], [3, 4, 9], [5.0, -9.0, 0.0], **rows
        ),
        "rows of small and great counts": mta.Journeys.from_arrays(
            "AB", [0, 1, 0], [0, 2, 3, 3], [40.5, 1e-9, 0.25], [3e6, 4, 9], [1.0, 2, 0], **rows
        ),
    }


@pytest.mark.parametrize("name", at_the_edge())
def test_it_answers_at_the_edge(name: str) -> None:
    journeys = at_the_edge()[name]
    for entrances in ("auto", journeys.channels[:1]):
        with collected_warnings() as notices:
            model = mta.Incremental(entrances=entrances).fit(journeys)
        expected = ("come at one time", "as entrances are")
        assert all(any(words in each.message for words in expected) for each in notices)
        for of in ("conversions", "value"):
            result = model.attribute(journeys, of=of)
            assert np.isfinite(result.interval()).all()
            assert np.isfinite(model.touchpoint_credit(journeys, of=of)).all()
            if "all 0" in name and of == "value":
                assert not result.credit.any()
        assert len(model.verdict_) == journeys.n_channels


def test_users_observed_for_no_time_are_refused() -> None:
    at_once = [(u, 0.0, 1.0) for u in range(40)]
    instant = events([(u, 0.0, "A") for u in range(60)], at_once, 60, 0.0)
    with pytest.raises(mta.JourneyError, match="must have been observed for some time"):
        mta.Incremental().fit(instant)


def test_other_journeys_are_refused(journeys: mta.Journeys, fitted: mta.Incremental) -> None:
    others = read(log(seed=6)).recode(CHANNELS)
    for ask in (fitted.attribute, fitted.touchpoint_credit, fitted.by_period):
        with pytest.raises(mta.JourneyError, match="journeys it was fitted on"):
            ask(others)
    shorter = read(log(), lookback="9d").recode(CHANNELS)
    np.testing.assert_array_equal(
        fitted.attribute(shorter).credit, fitted.attribute(journeys).credit
    )


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"entrances": ["Pigeon"]}, "`entrances` must name channels .* got 'Pigeon'"),
        ({"bought": ["Pigeon"]}, "`bought` must name channels .* got 'Pigeon'"),
        ({"entrances": "Direct"}, '`entrances` must be a list of channel names, or "auto"'),
        ({"entrances": [1]}, "`entrances` must be a list of channel names"),
        ({"bought": "Direct"}, "`bought` must be a list of channel names"),
        ({"entrances": ["Direct"], "bought": ["Direct"]}, "both in `entrances` and in `bought`"),
        ({"random_state": -1}, "`random_state` must be"),
        ({"lift_tests": [1]}, "`lift_tests` must be a list of LiftTest"),
    ],
)
def test_parameters_are_refused_by_name(
    journeys: mta.Journeys, parameters: dict[str, object], words: str
) -> None:
    with pytest.raises(mta.MTAError, match=words):
        mta.Incremental(**parameters).fit(journeys)  # type: ignore[arg-type]


# Touchpoints, refits.


def test_touchpoints_add_up_to_their_channel(fitted: mta.Incremental) -> None:
    for lookback in (None, "9d"):
        each = read(log(), lookback=lookback).recode(CHANNELS)
        for of in ("conversions", "value"):
            credit = fitted.touchpoint_credit(each, of=of)
            by_channel = np.bincount(each.codes, credit, 4)
            np.testing.assert_allclose(by_channel, fitted.attribute(each, of=of).credit, atol=1e-9)


def test_a_frame_of_touchpoints(journeys: mta.Journeys) -> None:
    frame = mta.touchpoint_frame(mta.Incremental(), journeys)
    assert frame["credit"].sum() == pytest.approx(journeys.total)


def test_equal_values_are_conversions_in_money(
    journeys: mta.Journeys, fitted: mta.Incremental
) -> None:
    priced = journeys._with(value=7.0 * journeys.conversions)
    expected, actual = fitted.attribute(journeys), fitted.attribute(priced, of="value")
    np.testing.assert_allclose(actual.credit, 7 * expected.credit)
    np.testing.assert_allclose(actual.draws, 7 * expected.draws)
    assert actual.baseline == pytest.approx(7 * expected.baseline)


def test_can_be_bootstrapped(journeys: mta.Journeys) -> None:
    model = mta.Incremental()
    result = mta.bootstrap(model, journeys, n_draws=4, random_state=0)
    np.testing.assert_array_equal(result.credit, clone(model).fit_attribute(journeys).credit)
    assert result.draws is not None
    assert result.draws.shape == (4, 4)
    assert np.ptp(result.draws, axis=0).any()


def test_a_refit_to_the_same_outcomes_is_the_fit(
    journeys: mta.Journeys, fitted: mta.Incremental
) -> None:
    for of in ("conversions", "value"):
        again = journeys.reweighted(
            journeys.conversions * 1.0, journeys.nulls * 1.0, journeys.outcome("value")
        )
        credit, baseline = fitted.prepare(journeys, of)(again)
        once = fitted.attribute(journeys, of=of)
        np.testing.assert_allclose(credit, once.credit)
        assert baseline == pytest.approx(once.baseline)


# Periods and segments.


def adds_up(breakdown: object, whole: mta.Attribution) -> None:
    parts = list(breakdown.attributions.values())  # type: ignore[attr-defined]
    np.testing.assert_allclose(sum(each.credit for each in parts), whole.credit, atol=1e-9)
    np.testing.assert_allclose(sum(each.draws for each in parts), whole.draws, atol=1e-9)
    assert sum(each.baseline for each in parts) == pytest.approx(whole.baseline)
    assert sum(each.total for each in parts) == pytest.approx(whole.total)


@pytest.mark.parametrize("of", ["conversions", "value"])
def test_periods_add_up(journeys: mta.Journeys, fitted: mta.Incremental, of: str) -> None:
    whole = fitted.attribute(journeys, of=of)
    weeks = fitted.by_period(journeys, every="1w", of=of)
    adds_up(weeks, whole)
    assert list(weeks.attributions) == ["0", "7", "14", "21", "28", "35"]
    converted = journeys.conversions > 0
    first = journeys.outcome(of)[converted & (np.asarray(journeys.end) < 7)].sum()
    assert weeks.attributions["0"].total == pytest.approx(first)
    frame = weeks.to_frame(prob=0.8)
    assert list(frame.columns) == ["period", "channel", "credit", "share", "lower", "upper"]
    assert len(frame) == 6 * 5
    assert "divided between periods" in frame.attrs["interval_holds"]
    assert weeks.to_polars()["credit"].sum() == pytest.approx(whole.total)
    assert "Credit in" in str(weeks)
    assert repr(weeks) == f"Breakdown(6 groups, by='period', of={of!r})"


def test_months_of_a_calendar() -> None:
    since = dt.datetime(2024, 1, 20)
    dated = (
        log()
        .with_columns(pl.lit(since) + pl.duration(seconds=(pl.col("time") * 86_400).cast(pl.Int64)))
        .rename({"literal": "at"})
    )
    columns = {"user": "user", "time": "at", "channel": "channel", "conversion": "conversion"}
    journeys = mta.read_events(dated, **columns)
    model = mta.Incremental().fit(journeys)
    months = model.by_period(journeys)
    assert list(months.attributions) == ["2024-01-01", "2024-02-01"]
    january = dated.filter((pl.col("conversion") == 1) & (pl.col("at") < dt.datetime(2024, 2, 1)))
    assert months.attributions["2024-01-01"].total == len(january)
    for every in ("month", "0d", "1h", 7, None):
        with pytest.raises(mta.ParameterError, match="`every` must be a number of days"):
            model.by_period(journeys, every=every)  # type: ignore[arg-type]


def test_months_need_a_calendar(journeys: mta.Journeys, fitted: mta.Incremental) -> None:
    with pytest.raises(mta.ParameterError, match="times are plain numbers; got '1mo'"):
        fitted.by_period(journeys)


def test_segments_add_up(journeys: mta.Journeys, fitted: mta.Incremental) -> None:
    whole = fitted.attribute(journeys)
    users = np.arange(600)
    named = {int(user): "odd" if user % 2 else "even" for user in users}
    forms = (
        named,
        pd.DataFrame({"user": users, "kind": [named[int(user)] for user in users]}),
        pl.DataFrame({"kind": [named[int(user)] for user in users], "user": users}),
    )
    for segments in forms:
        both = fitted.by_segment(journeys, segments)
        adds_up(both, whole)
        assert list(both.attributions) == ["even", "odd"]
        histories = journeys.histories
        odd = histories.event_weight[histories.user_ids[histories.event_user] % 2 == 1].sum()
        assert both.attributions["odd"].total == odd
    with pytest.raises(mta.JourneyError, match="every user who converted must have a segment"):
        fitted.by_segment(journeys, {})
    with pytest.raises(mta.ParameterError, match="`segments` must be a mapping of users"):
        fitted.by_segment(journeys, [1, 2])
    with pytest.raises(mta.ParameterError, match="one row for each user"):
        fitted.by_segment(journeys, pd.DataFrame({"user": [1, 1], "kind": ["a", "b"]}))
