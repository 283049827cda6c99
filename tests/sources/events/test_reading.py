"""`read_events`: real logs, kinds of source and time, sessions and costs, and every refusal."""

from __future__ import annotations

import datetime as dt
import sys
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.sources.events import columns as event_columns
from mta_models.sources.events import sorting
from mta_models.sources.events.times import Clock, read_times

COLUMNS = {"user": "who", "time": "at", "channel": "where", "conversion": "bought"}


def log(**changes: Any) -> pl.DataFrame:
    """Ann clicks twice and buys; Bob clicks."""
    columns: dict[str, Any] = {
        "who": ["ann", "ann", "ann", "bob"],
        "at": [dt.datetime(2024, 5, day, 12) for day in (1, 3, 4, 5)],
        "where": ["Search", "Email", None, "Search"],
        "bought": [0, 0, 1, 0],
        "paid": [0.0, None, 19.99, 0.0],
    }
    return pl.DataFrame(columns | changes)


def read(source: Any, **options: Any) -> mta.Journeys:
    return mta.read_events(source, **(COLUMNS | options))


def same(a: mta.Journeys, b: mta.Journeys) -> bool:
    return a.to_frame().equals(b.to_frame()) and np.array_equal(a.time, b.time)


# Real logs


def test_sessions_of_google_analytics(reference_data: Path) -> None:
    """16 sessions of four users; the paths are read off the file by eye."""
    columns = {"user": "user_pseudo_id", "time": "event_time", "channel": "source_medium"}
    source = reference_data / "sessions_ga" / "test_dataset.csv"
    journeys = mta.read_events(
        source, **columns, conversion="is_conversion_purchase", lookback="30d"
    )
    assert journeys.to_frame()["path"].tolist() == [
        "direct > google_ads > direct",
        "seo > direct",
        "direct > crm > direct",
        "seo > direct > direct",
        "direct > direct > seo > direct",
    ]
    assert journeys.conversions.tolist() == [1, 0, 1, 1, 1]
    assert journeys.report.set_aside == {"touchpoints: older than the lookback": 1}


def test_several_purchases_on_one_row(reference_data: Path) -> None:
    columns = {"user": "user_pseudo_id", "time": "event_time", "channel": "source_medium"}
    source = reference_data / "sessions_ga" / "test_dataset_multiple_conversions.csv"
    with pytest.raises(mta.JourneyError, match=r"row 18 has '2'.*one row per conversion"):
        mta.read_events(source, **columns, conversion="n_purchases")
    journeys = mta.read_events(
        source, **columns, conversion="is_conversion_purchase", value="n_purchases"
    )
    assert (journeys.total, journeys.total_value) == (5, 6)


def test_web_events_of_snowplow(reference_data: Path) -> None:
    """6 orders worth 500.92, as the data's own description says."""
    events = pl.read_csv(
        reference_data / "snowplow_web_events" / "events.csv", infer_schema=False
    ).with_columns(ordered=pl.col("tr_total").is_not_null())
    journeys = mta.read_events(
        events,
        user="domain_userid",
        time="derived_tstamp",
        channel="mkt_medium",
        conversion="ordered",
        value="tr_total",
        event_id="event_id",
    )
    assert (journeys.total, journeys.total_value) == (6, 500.92)
    assert journeys.report.read == journeys.report.kept
    assert journeys.timeline.origin == "2022-06-03T05:44:32+00:00"
    # The order of 66.50 is a row without a medium, in the second of a touchpoint above it.
    assert journeys.report.noted["rows tied in time with the row before"] == 1
    assert journeys.report.noted["conversions without a touchpoint"] == 0


# Sources


def test_every_source_gives_the_same_journeys(tmp_path: Path) -> None:
    frame = log()
    expected = read(frame, value="paid")
    frame.write_parquet(tmp_path / "log.parquet")
    frame.write_csv(tmp_path / "log.csv")
    for part in (0, 1):
        frame[2 * part : 2 * part + 2].write_parquet(tmp_path / f"part{part}.parquet")
    quoted = frame.with_columns(pl.col("where").fill_null(""))
    quoted.write_csv(tmp_path / "quoted.csv", quote_style="always")
    sources = [
        frame.lazy(),
        frame.to_pandas(),
        frame.to_arrow(),
        frame.with_columns(pl.col("who", "where").cast(pl.Categorical)),
        frame.with_columns(pl.col("bought").cast(pl.Boolean)),
        frame.with_columns(pl.col("bought").cast(pl.Float64)),
        tmp_path / "log.parquet",
        str(tmp_path / "part*.parquet"),
        tmp_path / "log.csv",
        tmp_path / "quoted.csv",
    ]
    for source in sources:
        assert same(read(source, value="paid"), expected)
    assert expected.to_frame()["path"].tolist() == ["Search > Email", "Search"]
    assert expected.total_value == 19.99
    assert expected.keys.tolist() == [0, 1, 3]
    assert expected.report.read == {"rows": 4, "touchpoints": 3, "conversions": 1, "value": 19.99}


def test_integer_users_are_coded_in_ascending_order() -> None:
    for ids in ([7, 7, 7, -5], [2**40, 2**40, 2**40, 3], [200, 200, 200, 100]):
        journeys = read(log(who=ids))
        assert journeys.timeline.user_ids.tolist() == sorted(set(ids))
        assert journeys.users.tolist() == [0, 1]
        assert journeys.conversions.tolist() == [0, 1]
    narrow = log().with_columns(who=pl.Series([-128, -128, -128, 127], dtype=pl.Int8))
    assert read(narrow).timeline.user_ids.tolist() == [-128, 127]
    huge = log().with_columns(who=pl.Series([2**64 - 1] * 3 + [2**64 - 2], dtype=pl.UInt64))
    assert read(huge).timeline.user_ids.tolist() == [2**64 - 2, 2**64 - 1]


def test_users_whose_hashes_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hashes cut to two bits nearly all collide, and the codes are still exact."""
    group = event_columns._group_hashes
    few = np.uint64(3 << 62)
    monkeypatch.setattr(event_columns, "_group_hashes", lambda h: group(h & few))
    names = [f"user {i % 37}" for i in range(500)]
    codes, ids = event_columns.read_users(pl.Series(names))
    assert ids.to_list() == names[:37]
    assert [ids[int(code)] for code in codes] == names


def test_touchpoints_are_shared_with_the_timeline_unless_cut() -> None:
    whole, cut = read(log()), read(log(), lookback="1d")
    assert np.shares_memory(whole.time, whole.timeline.time)
    assert cut.timeline.time.tolist() == whole.time.tolist()
    assert cut.to_frame()["path"].tolist() == ["Email", "Search"]
    # One number for all users takes no memory.
    assert whole.timeline.start.strides == (0,)
    assert (whole.codes.itemsize, whole.keys.itemsize) == (1, 4)


# Times


@pytest.mark.parametrize(
    "times",
    [
        ["2024-05-01", "2024-05-03", "2024-05-04", "2024-05-05"],
        ["2024-05-01 00:00", "2024-05-03T00:00:00", "2024-05-04 00:00:00.000", "2024-05-05"],
        [
            f"2024-05-{each}"
            for each in ("01T02:00+02:00", "03T00:00Z", "03 19:00-05", "05 05:30+0530")
        ],
        [dt.date(2024, 5, day) for day in (1, 3, 4, 5)],
        [0, 2, 3, 4],
        ["10.5", "12.5", "13.5", "14.5"],
        pl.Series([day * 86_400_000_000_000 for day in (0, 2, 3, 4)]).cast(pl.Datetime("ns")),
        pl.Series([day * 86_400_000 for day in (0, 2, 3, 4)]).cast(pl.Datetime("ms")),
    ],
)
def test_every_way_to_write_a_time(times: Any) -> None:
    journeys = read(log(at=times))
    assert journeys.time.tolist() == [0, 2, 4]
    assert journeys.at_risk.tolist() == [3, 4]


def test_nanoseconds_are_kept_where_there_are_any() -> None:
    ticks = pl.Series([1, 0, 2, 5]).cast(pl.Datetime("ns"))
    journeys = read(log(at=ticks))
    assert journeys.to_frame()["path"][0] == "Email > Search"
    assert journeys.timeline.origin == "1970-01-01T00:00:00"
    assert Clock("naive", 86_400_000_000_000, 1_500).origin_text == "1970-01-01T00:00:00.0000015"


def test_pandas_times_with_a_zone_become_utc() -> None:
    frame = log().to_pandas()
    frame["at"] = frame["at"].dt.tz_localize("America/New_York")
    assert read(frame).timeline.origin == "2024-05-01T16:00:00+00:00"


def test_times_with_and_without_a_zone_cannot_be_mixed() -> None:
    mixed = ["2024-05-01T12:00:00Z", "2024-05-02 12:00:00", "2024-05-03", "2024-05-04"]
    with pytest.raises(mta.JourneyError, match=r"row 0 has one.*row 1 has none"):
        read(log(at=mixed))
    objects = pl.Series(
        [dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 1, tzinfo=dt.UTC)], dtype=pl.Object
    )
    with pytest.raises(mta.JourneyError, match=r"row 1 has one.*row 0 has none"):
        read_times(objects, "'at'")


def test_an_edge_is_exact_where_floats_are_not() -> None:
    """32.2 − 2.2 > 30 in floating point; the touchpoint is on the edge all the same."""
    assert 32.2 - 2.2 > 30
    journeys = read(log(at=[2.2, 10.0, 32.2, 40.0]), lookback="30d")
    assert journeys.to_frame()["path"][0] == "Search > Email"


# Rules not on the oracle's list


def test_costs_are_kept_in_total_whatever_the_lookback_cuts() -> None:
    journeys = read(log(spent=[1.1, 2.2, 0.4, None]), cost="spent", lookback="1d")
    report = journeys.report
    assert dict(report.cost) == {"Email": 2.2, "Search": 1.1}
    assert report.read["cost"] == 3.7
    assert report.set_aside["cost: on rows without a channel"] == 0.4
    assert report.noted["touchpoints without a cost"] == 1
    assert "cost" in report.to_frame()["side"].tolist()


def test_refunds_are_kept_and_shown() -> None:
    journeys = read(log(paid=[None, None, -5.0, None]), value="paid")
    assert journeys.total_value == -5
    assert journeys.report.noted["refunds"] == 1
    assert journeys.report.noted["value of refunds"] == -5


def test_cents_add_up_exactly() -> None:
    """Ten times 0.1 is not 1 when added one by one; the report rounds once."""
    n = 10
    frame = pl.DataFrame(
        {"who": range(n), "at": range(n), "where": ["A"] * n, "bought": [1] * n, "paid": [0.1] * n}
    )
    assert reduce(add, [0.1] * n) != 1
    assert read(frame, value="paid").report.kept["value"] == 1


def test_whole_number_channels_are_their_digits() -> None:
    journeys = read(log(where=[10, 9, None, 10]))
    assert journeys.channels == ("10", "9")


def test_a_log_without_touchpoints_is_all_baseline() -> None:
    journeys = read(log(where=[None] * 4))
    assert (journeys.n_touchpoints, journeys.total, journeys.n_journeys) == (0, 1, 2)


def test_compressing_keeps_the_account() -> None:
    journeys = read(log(), compress=True)
    assert journeys.users is None
    assert journeys.report.kept["touchpoints"] == 3


def test_first_event_warns_of_what_it_conditions_on() -> None:
    with pytest.warns(mta.IdentifiabilityWarning, match="first_event"):
        journeys = read(log(), observed="first_event")
    assert journeys.timeline.start.tolist() == [0, 4]
    assert journeys.at_risk.tolist() == [3, 0]


def test_an_observed_table_brings_in_the_unexposed() -> None:
    bounds = pl.DataFrame(
        {"user": ["eve", "ann"], "start": ["2024-05-01"] * 2, "end": ["2024-05-11"] * 2}
    )
    journeys = read(log(), observed=bounds)
    assert journeys.timeline.user_ids.tolist() == ["eve", "ann"]
    assert journeys.to_frame()["path"].tolist() == ["", "Search > Email"]
    assert journeys.at_risk.tolist() == [10, 3.5]
    assert journeys.report.set_aside["rows: user not observed"] == 1
    assert journeys.report.noted["users without an event"] == 1


def test_either_bound_may_be_left_to_the_log() -> None:
    journeys = read(log(), observed=(None, dt.datetime(2024, 5, 4, 12)))
    assert journeys.report.set_aside == {
        "rows: after observation": 1,
        "touchpoints: after observation": 1,
    }
    assert read(log(), observed=("2024-06-01", "2024-06-02")).n_touchpoints == 0


# The sort


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**45)), min_size=1, max_size=60),
    st.integers(0, 40),
)
def test_rows_are_sorted_whether_the_bits_fit_or_not(
    rows: list[tuple[int, int]], coarse: int
) -> None:
    """Users spread over many bits cut the time's; coarse times tie. Python's sort is the oracle."""
    user = np.array([u << 40 for u, _ in rows], dtype=np.uint64)
    ticks = np.array([t >> coarse << coarse for _, t in rows])
    expected = sorted(range(len(rows)), key=lambda i: (user[i], ticks[i], i))
    assert sorting.sort_rows(user, ticks).tolist() == expected
    # With few users everything fits.
    assert sorting.sort_rows(user >> np.uint64(40), ticks).tolist() == expected
    # With that number of bits nothing does.
    assert sorting.sort_rows(user << np.uint64(20), ticks).tolist() == expected


# Refusals


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"who": ["ann", None, "ann", "bob"]}, {}, "have a user; row 1"),
        ({"who": [1.5, 2, 3, 4]}, {}, "texts or whole numbers; the column is Float64"),
        ({"at": [None, 1, 2, 3]}, {}, "row 0 has none"),
        ({"at": ["2024-05-01", "soon", "2024-05-01", "2024-05-01"]}, {}, "row 1 has 'soon'"),
        ({"at": [1.7e9] * 4}, {}, "row 0 has 1700000000.*from_epoch"),
        ({"at": [1.0, float("nan"), 2, 3]}, {}, "row 1 has nan"),
        ({"at": [True] * 4}, {}, "the column is Boolean"),
        ({"where": ["Search", " ", None, "Email"]}, {}, "row 1 has ' '"),
        ({"where": [1.5, 2, 3, 4]}, {}, "channels must be texts"),
        ({"bought": [0, 1, 2, 0]}, {}, "row 2 has 2"),
        ({"bought": [0, None, 1, 0]}, {}, "row 1 has nothing"),
        ({"bought": ["0", "yes", "1", "0"]}, {}, "row 1 has 'yes'"),
        ({"paid": [3.0, 0, 1, 0]}, {"value": "paid"}, "does not convert.*row 0 has 3.0"),
        (
            {"paid": [0.0, 0.0, float("inf"), 0.0]},
            {"value": "paid"},
            "finite.*row 2 has inf",
        ),
        ({"paid": ["", "", "12,50", ""]}, {"value": "paid"}, "row 2 has '12,50'"),
        ({"kind": ["click", "tap", "?", "click"]}, {}, "row 1 has 'tap'"),
        ({"rank": [1, 2, None, 4]}, {"order": "rank"}, "row 2 has none"),
        ({}, {"user": "wh"}, "Did you mean 'who'"),
    ],
)
def test_what_breaks_a_rule_is_refused(
    changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    if "kind" in changes:
        options = {"interaction": ("kind", {"click": "7d"})}
    with pytest.raises(mta.JourneyError, match=message):
        read(log(**changes), **options)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(mta.JourneyError, match="no rows"):
        read(log()[:0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lookback": "30 moons"}, "lookback"),
        ({"lookback": "0d"}, "lookback"),
        ({"session": dt.timedelta(minutes=-1)}, "session"),
        ({"user": 3}, "`user` must be the name of a column; got 3"),
        ({"interaction": "kind"}, "`interaction` must be"),
        ({"interaction": ("kind", {})}, "must have one kind or more"),
        ({"observed": "last_event"}, "`observed` must be"),
        ({"observed": ("2024-05-05", "2024-05-01")}, "start before it ends"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        read(log(), **options)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"user": ["ann", "ann"], "start": [1, 1], "end": [2, 2]}, "row 1 repeats"),
        ({"user": ["ann", "bob"], "start": [1, 3], "end": [2, 2]}, "row 1 of `observed`"),
        ({"user": [1, 2], "start": [1, 1], "end": [2, 2]}, "users must be of one type"),
        ({"user": ["ann"], "start": ["2024-01-01"], "end": [2]}, "of the log's type"),
        ({"user": ["ann"], "start": [1]}, "must be a column 'end'"),
        ({"user": [], "start": [], "end": []}, "at least one user"),
    ],
)
def test_an_observed_table_is_checked(table: dict[str, Any], message: str) -> None:
    with pytest.raises(mta.JourneyError, match=message):
        read(log(at=[1, 2, 3, 4]), observed=pl.DataFrame(table))


def test_pandas_objects_of_mixed_zones_are_refused() -> None:
    frame = log().to_pandas().astype({"at": object})
    frame.loc[0, "at"] = pd.Timestamp("2024-05-01", tz="UTC")
    with pytest.raises(mta.JourneyError, match=r"row 0 has one.*row 1 has none"):
        read(frame)


def test_ibis_tables_need_ibis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ibis", None)
    table = type("Table", (), {"__module__": "ibis.expr.types"})()
    with pytest.raises(mta.MissingExtraError, match=r"mta_models\[ibis\]"):
        read(table)


def test_arrow_is_read_without_pandas() -> None:
    table = pa.table({name: pa.array(log()[name].to_list()) for name in log().columns})
    assert same(read(table), read(log()))
