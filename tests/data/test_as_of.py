"""Journeys cut in time against the reading of a log that was cut before."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.ragged import lengths
from tests.sources.events.test_oracle import EPOCH, frame, logs, read, rules

COLUMNS = {"user": "who", "time": "at", "channel": "where", "conversion": "bought"}


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
    """A log, how to read it, and a second on, between or after its events."""
    rows = draw(logs(users=5, most=24))
    rule = draw(rules(rows)) | {"lookback": None, "windows": None, "by_id": False}
    low, high = min(r["time"] for r in rows), max(r["time"] for r in rows)
    after = draw(st.sampled_from(sorted({r["time"] for r in rows})))
    return rows, rule, min(max(after + draw(st.integers(-1, 1)), low + 1), high + 5)


def assert_same(ours: mta.Journeys, read_anew: mta.Journeys) -> None:
    """The same journeys; channels by name, since a log cut early may not have met them all."""

    def names(journeys: mta.Journeys, codes: np.ndarray) -> list[str]:
        return [journeys.channels[code] for code in codes]

    assert names(ours, ours.codes) == names(read_anew, read_anew.codes)
    for name in ("offsets", "conversions", "nulls", "value", "time", "users", "end", "at_risk"):
        mine, theirs = getattr(ours, name), getattr(read_anew, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert mine.dtype == theirs.dtype, name
    mine, theirs = ours.timeline, read_anew.timeline
    assert mine is not None
    assert theirs is not None
    assert names(ours, mine.codes) == names(read_anew, theirs.codes)
    for name in ("offsets", "time", "start", "end", "user_ids"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
    assert mine.origin == theirs.origin


@settings(max_examples=120)
@given(case=cuts())
def test_is_what_is_read_from_the_log_cut_before(
    case: tuple[list[dict[str, Any]], dict[str, Any], int],
) -> None:
    rows, rule, second = case
    log = frame(rows)
    whole = read(log, rule)
    timeline, low = whole.timeline, min(r["time"] for r in rows)
    assert timeline is not None
    day = (second - low) * 1_000_000 / 86_400_000_000
    begun = np.flatnonzero(timeline.start < day)
    assume(len(begun))

    def moment(days: float) -> dt.datetime:
        seconds = low + round(float(days) * 86_400)
        return EPOCH + dt.timedelta(seconds=seconds)

    early = log["at"] < EPOCH + dt.timedelta(seconds=second)
    observed = pl.DataFrame(
        {
            "user": timeline.user_ids[begun].tolist(),
            "start": [moment(t) for t in timeline.start[begun]],
            "end": [moment(min(t, day)) for t in timeline.end[begun]],
        }
    )
    options = {"session": rule["session"] and dt.timedelta(seconds=rule["session"])}
    options["order"] = "place" if rule["by_place"] else None
    anew = mta.read_events(log.filter(early), **COLUMNS, value="paid", observed=observed, **options)
    ours = mta.until(whole, day)
    assert_same(ours, anew)
    # Rows of the source stay those of the whole log.
    expected = np.flatnonzero(early.to_numpy())[anew.keys]
    np.testing.assert_array_equal(ours.keys, expected)
    np.testing.assert_array_equal(ours.timeline.keys, expected)
    assert ours.channels == whole.channels


@settings(max_examples=50)
@given(case=cuts(), earlier=st.integers(1, 13))
def test_two_cuts_are_the_earlier_one(
    case: tuple[list[dict[str, Any]], dict[str, Any], int], earlier: int
) -> None:
    rows, rule, second = case
    whole = read(frame(rows), rule)
    day = (second - min(r["time"] for r in rows)) / 86_400
    first = day * earlier / 13
    assume((whole.timeline.start < first).any())
    assert_same(mta.until(mta.until(whole, day), first), mta.until(whole, first))
    assert_same(mta.until(mta.until(whole, first), day), mta.until(whole, first))


@settings(max_examples=50)
@given(case=cuts())
def test_later_than_everything_changes_nothing(
    case: tuple[list[dict[str, Any]], dict[str, Any], int],
) -> None:
    rows, rule, _ = case
    whole = read(frame(rows), rule)
    for day in (np.inf, float(max(whole.timeline.end.max(), whole.timeline.start.max())) + 1e-6):
        assert_same(mta.until(whole, day), whole)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Numbered users, so that their identifiers are a range; one converts twice."""
    return pl.DataFrame(
        {
            "who": [1, 1, 1, 1, 1, 2, 2, 3],
            "at": [0.0, 2.0, 2.0, 4.0, 6.0, 1.0, 5.0, 5.5],
            "where": ["A", "B", None, "A", None, "B", None, "C"],
            "bought": [0, 0, 1, 0, 1, 0, 1, 0],
            "paid": [0.0, 0, 10, 0, 20, 0, 30, 0],
        }
    )


@pytest.fixture(scope="module")
def journeys(log: pl.DataFrame) -> mta.Journeys:
    return mta.read_events(log, **COLUMNS, value="paid")


def test_a_log_by_hand(journeys: mta.Journeys) -> None:
    cut = mta.until(journeys, 5)
    columns = ["users", "path", "conversions", "value", "end", "at_risk"]
    assert cut.to_frame()[columns].values.tolist() == [
        [0, "A > B", 1, 10.0, 2.0, 2.0],
        [0, "A", 0, 0.0, 5.0, 3.0],
        [1, "B", 0, 0.0, 5.0, 5.0],  # its conversion is on the day itself
        [2, "", 0, 0.0, 5.0, 5.0],  # observed, and nothing done yet
    ]
    # At the instant of a tie, both its touchpoint and its conversion are still to come.
    assert mta.until(journeys, 2).to_frame()["path"].tolist() == ["A", "B", ""]
    # A user who converted and did nothing more has no further journey.
    assert mta.until(journeys, 3).to_frame()["path"].tolist() == ["A > B", "B", ""]


def test_users_not_yet_observed_are_left_out(log: pl.DataFrame) -> None:
    bounds = pl.DataFrame({"user": [3, 1, 2], "start": [3.0, 0.0, 1.0], "end": [6.0, 2.0, 6.0]})
    whole = mta.read_events(log, **COLUMNS, observed=bounds)
    cut = mta.until(whole, 3)
    assert cut.timeline.user_ids.tolist() == [1, 2]
    assert cut.timeline.end.tolist() == [2.0, 3.0]
    assert cut.to_frame()[["users", "path"]].values.tolist() == [[0, "A > B"], [1, "B"]]
    assert mta.until(whole, 0.5).timeline.user_ids.tolist() == [1]
    with pytest.raises(mta.JourneyError, match="observed before day 0; the first observation"):
        mta.until(whole, 0)


def test_memory_is_shared_by_journeys_and_timeline(journeys: mta.Journeys) -> None:
    cut = mta.until(journeys, 5)
    assert np.shares_memory(cut.time, cut.timeline.time)
    assert np.shares_memory(cut.codes, cut.timeline.codes)


def test_nothing_of_the_later_days_is_left(journeys: mta.Journeys) -> None:
    cut = mta.until(journeys, 5)
    for times in (cut.time, cut.end[cut.conversions > 0], cut.timeline.time):
        assert (times < 5).all()
    assert cut.report is None
    assert (np.bincount(cut.users, minlength=cut.timeline.n_users) > 0).all()
    assert (lengths(cut.timeline.offsets) == np.bincount(cut.users, cut.lengths)).all()


def test_what_cannot_be_cut_is_refused(log: pl.DataFrame, journeys: mta.Journeys) -> None:
    lookback = mta.read_events(log, **COLUMNS, lookback="1d")
    with pytest.raises(mta.JourneyError, match=r"they have 2, their timeline 5\. Read the log"):
        mta.until(lookback, 5)
    for other in (
        journeys.compress(),
        journeys.transform("exposure"),
        mta.Journeys.from_paths([["A"]], [1]),
    ):
        with pytest.raises(mta.JourneyError, match="must have a timeline, users and ends"):
            mta.until(other, 5)
    twice = journeys.reweighted(journeys.conversions * 2, journeys.nulls, journeys.value)
    with pytest.raises(mta.JourneyError, match="row 0 has 2 conversions and 0 nulls"):
        mta.until(twice, 5)
    staged = replace(journeys, milestones={"lead": np.full(journeys.n_journeys, -1)})
    with pytest.raises(mta.JourneyError, match="must have no milestones"):
        mta.until(staged, 5)
    for day in (np.nan, True, "2024-01-05", None):
        with pytest.raises(mta.ParameterError, match="`day` must be a number of days"):
            mta.until(journeys, day)  # type: ignore[arg-type]


def test_a_lookback_that_cuts_nothing_is_none(log: pl.DataFrame, journeys: mta.Journeys) -> None:
    assert_same(
        mta.until(mta.read_events(log, **COLUMNS, value="paid", lookback="30d"), 5),
        mta.until(journeys, 5),
    )


def test_time_models_fit_what_is_left(journeys: mta.Journeys) -> None:
    cut = mta.until(journeys, 5)
    assert mta.TimeDecay().fit_attribute(cut).total == 1
    np.testing.assert_allclose(cut.age, [2.0, 0.0, 1.0, 4.0])
