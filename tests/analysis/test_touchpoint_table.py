"""The long table of touchpoint credit: it joins back, and it reconciles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mta_models as mta
from mta_models.attribution import BASELINE
from mta_models.core.ragged import Floats

LOG = pd.DataFrame(
    [
        ("ann", "2024-03-01 00:00", "Search", 0, 0.0),
        ("ann", "2024-03-02 12:00", "Email", 0, 0.0),
        ("ann", "2024-03-03 00:00", None, 1, 40.0),
        ("bob", "2024-03-04 06:00", None, 1, 10.0),
        ("cid", "2024-03-01 06:00", "Email", 0, 0.0),
        ("ann", "2024-03-05 00:00", "Email", 1, 2.0),
    ],
    columns=["user", "time", "channel", "conversion", "value"],
).astype({"time": "datetime64[us]"})


@pytest.fixture
def journeys() -> mta.Journeys:
    return mta.read_events(
        LOG, user="user", time="time", channel="channel", conversion="conversion", value="value"
    )


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return pl.from_pandas(frame).to_dicts()


def test_a_row_is_a_conversions_touchpoint_and_joins_back(journeys: mta.Journeys) -> None:
    frame = mta.touchpoint_frame(mta.Linear(), journeys)
    touched = frame[frame["channel"] != BASELINE]
    # Every touchpoint of a journey that converted, and none of one that did not.
    assert len(touched) == 3
    source = LOG.loc[touched["key"].astype("int64")]
    assert touched["user"].tolist() == source["user"].tolist() == ["ann"] * 3
    assert touched["channel"].tolist() == source["channel"].tolist()
    assert touched["touched_at"].tolist() == source["time"].dt.tz_localize("UTC").tolist()
    assert touched["position"].tolist() == [0, 1, 0]
    assert touched["credit"].tolist() == [0.5, 0.5, 1.0]
    assert touched["age"].tolist() == pytest.approx([2, 0.5, 0])
    np.testing.assert_allclose(touched["time"] + touched["age"], touched["end"])
    ended = pd.to_datetime(["2024-03-03", "2024-03-03", "2024-03-05"], utc=True)
    assert touched["ended_at"].tolist() == ended.tolist()


def test_a_baseline_is_a_row_without_a_touchpoint(journeys: mta.Journeys) -> None:
    frame = mta.touchpoint_frame(mta.Linear(), journeys, of="value")
    (base,) = plain(frame[frame["channel"] == BASELINE])
    assert base["user"] == "bob"
    assert base["credit"] == 10
    assert base["end"] == pytest.approx(3.25)
    for name in ("position", "key", "age", "time", "touched_at"):
        assert base[name] is None


def test_the_table_keeps_its_columns(journeys: mta.Journeys) -> None:
    always = ["model", "journey", "position", "channel", "credit"]
    log = ["user", "key", "age", "time", "end", "touched_at", "ended_at"]
    assert mta.touchpoint_frame(mta.Linear(), journeys).columns.tolist() == always + log
    paths = mta.Journeys.from_paths([["A"]], [1])
    frame = mta.touchpoint_frame(mta.Linear(), paths)
    assert frame.columns.tolist() == always
    # A position is nullable even where no baseline makes one missing.
    assert frame["position"].dtype == "Int64"
    aged = mta.Journeys.from_arrays("A", [0], [0, 1], [1], age=[2.0], keys=["row a"])
    assert mta.touchpoint_frame(mta.Linear(), aged)[["key", "age"]].values.tolist() == [
        ["row a", 2]
    ]


@pytest.mark.parametrize("of", ["conversions", "value"])
def test_credit_reconciles_by_model_journey_and_channel(journeys: mta.Journeys, of: str) -> None:
    models = [mta.FirstTouch(), mta.LastNonDirect(), mta.TimeDecay("1d"), mta.Linear(unique=True)]
    frame = mta.touchpoint_frame(models, journeys, of=of)
    assert frame["model"].unique().tolist() == [
        "FirstTouch",
        "LastNonDirect",
        "TimeDecay(half_life='1d')",
        "Linear(unique=True)",
    ]
    for model, part in frame.groupby("model"):
        result = next(m for m in models if repr(m).startswith(str(model))).fit_attribute(
            journeys, of=of
        )
        sums = part.groupby("channel")["credit"].sum()
        expected = result.to_frame().set_index("channel")["credit"]
        np.testing.assert_allclose(sums.reindex(expected.index, fill_value=0.0), expected)
        by_journey = part.groupby("journey")["credit"].sum()
        outcome = journeys.outcome(of)
        np.testing.assert_allclose(by_journey, outcome[by_journey.index.to_numpy()])
        assert set(by_journey.index) >= set(np.flatnonzero(outcome))


def test_polars_holds_the_same(journeys: mta.Journeys) -> None:
    models = ["FirstTouch", mta.Linear]
    frame = mta.touchpoint_frame(models, journeys)
    polars = mta.touchpoint_polars(models, journeys)
    assert_frame_equal(pl.from_pandas(frame), polars, check_dtypes=False)
    assert polars["key"].null_count() == 2
    assert polars["touched_at"].dtype == pl.Datetime("us", "UTC")
    assert polars["age"].null_count() == 2


class Half(mta.AttributionModel):
    """Credits half of each conversion to the first touchpoint, and leaves half to the baseline."""

    @property
    def estimand(self) -> str:
        return "incremental"

    def _touchpoint_credit(self, journeys: mta.Journeys, of: str) -> Floats:
        first = mta.FirstTouch().fit(journeys)
        return first.touchpoint_credit(journeys, of=of) / 2

    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        return np.bincount(
            journeys.codes, self._touchpoint_credit(journeys, of), journeys.n_channels
        )

    def _baseline(self, journeys: mta.Journeys, of: str) -> float:
        return float(journeys.outcome(of).sum()) - float(self._credit(journeys, of).sum())


def test_a_baseline_within_journeys_is_a_row_of_each() -> None:
    journeys = mta.Journeys.from_paths([["A", "B"], [], ["B"], ["A"]], [4, 3, 2, 0], [0, 0, 0, 9])
    frame = mta.touchpoint_frame(Half(), journeys)
    base = frame[frame["channel"] == BASELINE]
    assert dict(zip(base["journey"], base["credit"], strict=True)) == {0: 2, 1: 3, 2: 1}
    assert base["credit"].sum() == Half().fit_attribute(journeys).baseline == 6
    assert frame["credit"].sum() == journeys.total


def test_models_that_are_fitted_are_used_and_others_are_left_alone() -> None:
    journeys = mta.Journeys.from_paths([["A", "B"]], [1], channels=["B", "A"])
    wide = mta.Journeys.from_paths([["A", "B"], ["C"]], [1, 1])
    fitted, fresh = mta.FirstTouch().fit(wide), mta.LastTouch()
    frame = mta.touchpoint_frame([fitted, fresh], journeys)
    assert frame["channel"].tolist() == ["A", "B"] * 2
    assert frame["credit"].tolist() == [1, 0, 0, 1]
    assert fitted.channels_ == ("A", "B", "C")
    assert not hasattr(fresh, "channels_")


def test_rows_that_stand_for_many_hold_their_sum() -> None:
    journeys = mta.Journeys.from_paths(
        [["A", "B"], ["A"]], np.array([100, 0], dtype=np.int8), [0, 5]
    )
    frame = mta.touchpoint_frame(mta.Linear(), journeys)
    assert frame["credit"].tolist() == [50, 50]


def test_only_untouched_journeys() -> None:
    journeys = mta.Journeys.from_paths([[], []], [1, 2], channels=["A"])
    assert plain(mta.touchpoint_frame("Linear", journeys)) == [
        {"model": "Linear", "journey": 0, "position": None, "channel": BASELINE, "credit": 1.0},
        {"model": "Linear", "journey": 1, "position": None, "channel": BASELINE, "credit": 2.0},
    ]


def test_what_is_refused(journeys: mta.Journeys) -> None:
    with pytest.raises(mta.ParameterError, match="Linear is there twice"):
        mta.touchpoint_frame([mta.Linear(), mta.Linear()], journeys)
    with pytest.raises(mta.ParameterError, match="got none"):
        mta.touchpoint_frame([], journeys)
    with pytest.raises(mta.MTAError, match="does not split a conversion"):
        mta.touchpoint_frame(NoSplit(), journeys)
    other = mta.FirstTouch().fit(mta.Journeys.from_paths([["Radio"]], [1]))
    with pytest.raises(mta.UnknownChannelError):
        mta.touchpoint_frame(other, journeys)


class NoSplit(Half):
    _touchpoint_credit = mta.AttributionModel._touchpoint_credit
