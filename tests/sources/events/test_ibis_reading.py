"""`read_events` on a database: what the oracle's logs do not reach, and the refusals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

import mta_models as mta

# Ibis 12 calls a method that duckdb 2 deprecates: theirs to change, and harmless.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

COLUMNS = {"user": "who", "time": "at", "channel": "where", "conversion": "bought"}


@pytest.fixture(scope="module")
def database() -> Any:
    return pytest.importorskip("ibis").duckdb.connect()


def stored(database: Any, **changes: Any) -> Any:
    """A table of the log in which Ann clicks twice and buys, and Bob clicks."""
    columns: dict[str, Any] = {
        "who": ["ann", "ann", "ann", "bob"],
        "at": [dt.datetime(2024, 5, day, 12) for day in (1, 3, 4, 5)],
        "where": ["Search", "Email", None, "Search"],
        "bought": [0, 0, 1, 0],
        "paid": [0.0, None, 19.99, 0.0],
        "spent": [1.1, 2.2, 0.4, None],
    }
    database.con.register("given", pl.DataFrame(columns | changes).to_arrow())
    database.con.execute("create or replace table log as select * from given")
    return database.table("log")


def read(table: Any, **options: Any) -> mta.Journeys:
    return mta.read_events(table, **(COLUMNS | options))


@pytest.mark.parametrize(
    "times",
    [
        [2.2, 10.0, 32.2, 40.0],
        [dt.date(2024, 5, 1) + dt.timedelta(days) for days in (0, 8, 30, 38)],
        [
            dt.datetime(2024, 5, 1, tzinfo=dt.UTC) + dt.timedelta(days, microseconds=7 * (days > 0))
            for days in (0, 8, 30, 38)
        ],
    ],
    ids=["numbers", "dates", "with a zone"],
)
def test_every_kind_of_time_has_exact_edges(database: Any, times: list[Any]) -> None:
    """32.2 − 2.2 > 30 in floating point; the third log is 7 microseconds past its edge."""
    table = stored(database, at=times)
    local = mta.read_events(table.to_polars(), **COLUMNS, lookback="30d")
    journeys = read(table, lookback="30d")
    past = isinstance(times[0], dt.datetime)
    assert journeys.to_frame()["path"][0] == ("Email" if past else "Search > Email")
    assert np.array_equal(journeys.time, local.time)
    assert np.array_equal(journeys.at_risk, local.at_risk)
    assert journeys.timeline.origin == local.timeline.origin
    exact = read(table, lookback=dt.timedelta(30, microseconds=7))
    assert exact.n_touchpoints == 3


def test_the_account_is_that_of_a_frame(database: Any) -> None:
    table = stored(database, paid=[None, None, -5.0, float("nan")])
    options: dict[str, Any] = {"value": "paid", "cost": "spent", "lookback": "1d"}
    for compress in (False, True):
        report = read(table, **options, compress=compress).report
        local = mta.read_events(table.to_polars(), **COLUMNS, **options).report
        for side in ("read", "kept", "set_aside", "noted", "cost"):
            assert getattr(report, side) == pytest.approx(getattr(local, side)), side


def test_an_observed_table_may_be_in_the_database_too(database: Any) -> None:
    bounds = pl.DataFrame({"user": ["eve", "ann"], "start": [0, 0], "end": [12, 12]})
    table = stored(database, at=[1, 3, 4, 5])
    database.con.register("bounds", bounds.to_arrow())
    for observed in (bounds, database.table("bounds")):
        journeys = read(table, observed=observed)
        assert journeys.timeline.user_ids.tolist() == ["eve", "ann"]
        assert journeys.to_frame()["path"].tolist() == ["", "Search > Email"]
        assert journeys.at_risk.tolist() == [12, 4]
    with pytest.raises(mta.JourneyError, match="users must be of one type"):
        read(table, observed=bounds.with_columns(user=pl.Series([1, 2])))


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"who": ["ann", None, "ann", "bob"]}, {}, "have a user; 1 row.* 2024-05-03"),
        ({"who": [1.5, 2, 3, 4]}, {}, "texts or whole numbers"),
        ({"at": [None, 1, 2, 3]}, {}, "must have a time"),
        ({"at": ["a", "b", "c", "d"]}, {}, "Cast it in the database"),
        ({"where": ["Search", " ", None, "Email"]}, {}, "non-blank"),
        ({"where": ["Search", "a\x1fb", None, "Email"]}, {}, r"U\+001F"),
        ({"where": [1.5, 2, 3, 4]}, {}, "channels must be texts"),
        ({"bought": [0, 1, 2, 0]}, {}, "0 or 1.* 2024-05-04"),
        ({"bought": [0, None, 1, 0]}, {}, "0 or 1.* 2024-05-03"),
        ({"bought": ["0", "0", "1", "0"]}, {}, "0 or 1.*holds string"),
        ({"paid": [3.0, 0.0, 1.0, 0.0]}, {"value": "paid"}, "does not convert"),
        ({"paid": [0.0, 0.0, float("inf"), 0.0]}, {"value": "paid"}, "value must be a finite"),
        ({"spent": [0.0, 0.0, float("inf"), 0.0]}, {"cost": "spent"}, "cost must be a finite"),
        ({"kind": ["click", "tap", "?", "click"]}, {}, "that `interaction` names; 1 row"),
        ({"rank": [1, 2, None, 4]}, {"order": "rank"}, "rank in `order`"),
        ({}, {"user": "wh"}, "Did you mean 'who'"),
    ],
)
def test_what_breaks_a_rule_is_refused(
    database: Any, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    if "kind" in changes:
        options = {"interaction": ("kind", {"click": "7d"})}
    with pytest.raises(mta.JourneyError, match=message):
        read(stored(database, **changes), **options)


def test_an_empty_table_is_refused(database: Any) -> None:
    with pytest.raises(mta.JourneyError, match="no rows"):
        read(stored(database).limit(0))


def test_observed_is_checked(database: Any) -> None:
    table = stored(database)
    with pytest.raises(mta.ParameterError, match="`observed` must be"):
        read(table, observed="last_event")
    with pytest.raises(mta.JourneyError, match="of the log's type"):
        read(table, observed=(1, 2))
    with pytest.raises(mta.ParameterError, match="start before it ends"):
        read(table, observed=("2024-06-01", "2024-05-01"))
    with pytest.raises(mta.ParameterError, match="start before it ends"):
        read(table, observed=("2024-06-01", "2024-05-01"), compress=True)


def test_flags_and_whole_numbers_are_understood(database: Any) -> None:
    table = stored(
        database, bought=[False, False, True, False], who=[4, 4, 4, 3], where=[10, 9, None, 10]
    )
    journeys = read(table)
    assert journeys.channels == ("10", "9")
    assert journeys.timeline.user_ids.tolist() == [3, 4]
    assert journeys.conversions.tolist() == [0, 1]
