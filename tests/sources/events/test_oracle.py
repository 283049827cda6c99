"""Both engines of `read_events` against the slow oracle, on small logs full of awkward rows."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mta_models as mta
from tests.sources.events.oracle import DAY, Told, tell

# Ibis 12 calls a method that duckdb 2 deprecates: theirs to change, and harmless.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

EPOCH = dt.datetime(2024, 1, 1)
NAMES = {"user": "who", "time": "at", "channel": "where", "conversion": "bought", "value": "paid"}


@st.composite
def logs(draw: st.DrawFn, users: int = 3, most: int = 14) -> list[dict[str, Any]]:
    """Rows close together in time, so that ties and edges are common."""
    step = draw(st.sampled_from([1, 3600, DAY]))
    row = st.fixed_dictionaries(
        {
            "user": st.sampled_from(["ann", "bob", "eve", "joe", "zoë"][:users]),
            "time": st.integers(0, 12).map(lambda t: t * step),
            "channel": st.sampled_from([None, "A", "B", "null"]),
            "conversion": st.sampled_from([0, 0, 1]),
            "value": st.sampled_from([None, 0.0, 1.1, 2.25, -3.3]),
            "id": st.sampled_from([None, "x", "y", "z", "w"]),
            "kind": st.sampled_from(["click", "view"]),
            "place": st.integers(0, 3),
        }
    )
    rows = draw(st.lists(row, min_size=1, max_size=most))
    return [r | {"value": r["value"] if r["conversion"] else None} for r in rows]


@st.composite
def rules(draw: st.DrawFn, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Options of the oracle, with lookbacks and sessions that fall on edges."""
    times = sorted({r["time"] for r in rows})
    gaps = sorted({b - a for a in times for b in times if b > a}) or [DAY]
    gap = st.none() | st.sampled_from(gaps)
    low, high = times[0], times[-1]
    pair = st.tuples(st.integers(low - 1, high), st.integers(0, high - low + 1)).map(
        lambda p: (p[0], p[0] + p[1])
    )
    table = st.dictionaries(st.sampled_from(["ann", "bob", "new"]), pair, min_size=1)
    windows = st.none() | st.fixed_dictionaries(
        {"click": st.sampled_from(gaps), "view": st.sampled_from(gaps)}
    )
    return {
        "lookback": draw(gap),
        "session": draw(gap),
        "windows": draw(windows),
        "observed": draw(st.none() | st.just("first_event") | pair | table),
        "by_id": draw(st.booleans()),
        "by_place": draw(st.booleans()),
    }


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "who": [r["user"] for r in rows],
            "at": [EPOCH + dt.timedelta(seconds=r["time"]) for r in rows],
            "where": pl.Series([r["channel"] for r in rows], dtype=pl.String),
            "bought": [r["conversion"] for r in rows],
            "paid": pl.Series([r["value"] for r in rows], dtype=pl.Float64),
            "id": pl.Series([r["id"] for r in rows], dtype=pl.String),
            "kind": [r["kind"] for r in rows],
            "place": [r["place"] for r in rows],
        }
    )


def read(source: Any, rule: dict[str, Any], **more: Any) -> mta.Journeys:
    """`read_events` under the oracle's options."""

    def moment(second: int) -> dt.datetime:
        return EPOCH + dt.timedelta(seconds=second)

    observed = rule["observed"]
    if isinstance(observed, tuple):
        observed = (moment(observed[0]), moment(observed[1]))
    elif isinstance(observed, dict):
        observed = pl.DataFrame(
            {
                "user": list(observed),
                "start": [moment(a) for a, _ in observed.values()],
                "end": [moment(b) for _, b in observed.values()],
            }
        )
    spans = {
        name: None if rule[name] is None else dt.timedelta(seconds=rule[name])
        for name in ("lookback", "session")
    }
    kinds = rule["windows"] and {k: dt.timedelta(seconds=s) for k, s in rule["windows"].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        return mta.read_events(
            source,
            **NAMES,
            **spans,
            observed=observed,
            interaction=("kind", kinds) if kinds else None,
            event_id="id" if rule["by_id"] else None,
            order="place" if rule["by_place"] else None,
            **more,
        )


def check_against(
    journeys: mta.Journeys, told: Told, rows: list[dict[str, Any]], *, keys: bool = True
) -> None:
    """Every array of the journeys, its timeline and its report are what the oracle tells."""
    first = min(r["time"] for r in rows)
    line = journeys.timeline
    assert line is not None
    assert set(line.user_ids.tolist()) == set(told.journeys)
    assert np.all(np.diff(journeys.users) >= 0)

    def seconds(days: Any) -> list[int]:
        exact = np.asarray(days) * DAY
        np.testing.assert_allclose(exact, np.round(exact), atol=1e-6)
        return np.round(exact).astype(int).tolist()

    def touches(of: Any, a: int, b: int) -> list[tuple[int, ...]]:
        names = [journeys.channels[c] for c in of.codes[a:b]]
        times = [t + first for t in seconds(of.time[a:b])]
        return list(zip(times, names, *([of.keys[a:b].tolist()] if keys else []), strict=True))

    def expected(path: list[tuple[int, str, int]]) -> list[tuple[Any, ...]]:
        return [tuple(each if keys else each[:2]) for each in path]

    for code, user in enumerate(line.user_ids.tolist()):
        a, b = line.offsets[code : code + 2]
        assert touches(line, a, b) == expected(told.timeline[user])
        assert seconds([line.start[code], line.end[code]]) == [
            bound - first for bound in told.bounds[user]
        ]
        mine = np.flatnonzero(journeys.users == code)
        found = [
            {
                "path": touches(journeys, *journeys.offsets[i : i + 2]),
                "conversion": int(journeys.conversions[i]),
                "value": float(journeys.value[i]),
                "end": seconds(journeys.end[i]) + first,
                "at_risk": seconds(journeys.at_risk[i]),
            }
            for i in mine
        ]
        assert found == [j | {"path": expected(j["path"])} for j in told.journeys[user]]
    assert np.array_equal(journeys.nulls, 1 - journeys.conversions)
    report = journeys.report
    assert report is not None
    assert dict(report.set_aside) == pytest.approx(told.set_aside)
    assert report.read["rows"] == len(rows)
    assert report.read["conversions"] == sum(r["conversion"] for r in rows)
    assert report.read["value"] == pytest.approx(sum(r["value"] or 0 for r in rows))
    assert report.kept["value"] == pytest.approx(journeys.total_value)
    assert report.noted.get("rows tied in time with the row before", 0) == told.ties


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_arrays_tell_what_the_oracle_tells(data: st.DataObject) -> None:
    rows = data.draw(logs())
    rule = data.draw(rules(rows))
    check_against(read(frame(rows), rule), tell(rows, **rule), rows)


@pytest.fixture(scope="module")
def database() -> Any:
    return pytest.importorskip("ibis").duckdb.connect()


def stored(database: Any, log: pl.DataFrame) -> Any:
    database.con.register("given", log.to_arrow())
    database.con.execute("create or replace table log as select * from given")
    return database.table("log")


# Each example costs a database a second; the rows are the arrays' own, tested by the hundred above.
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_database_tells_what_the_oracle_tells(database: Any, data: st.DataObject) -> None:
    rows = data.draw(logs(users=5, most=40))
    rule = data.draw(rules(rows))
    table = stored(database, frame(rows))
    whole = read(table, rule)
    check_against(whole, tell(rows, **rule, database=True), rows, keys=False)
    assert (whole.keys is not None) == rule["by_id"]

    paths = read(table, rule, compress=True)
    assert paths.users is None
    assert sorted(map(_outcome, paths.to_frame().to_dict("records"))) == sorted(
        map(_outcome, whole.compress().to_frame().to_dict("records"))
    )
    for side in ("read", "kept", "set_aside", "noted"):
        assert getattr(paths.report, side) == pytest.approx(getattr(whole.report, side))


def _outcome(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["path"], row["conversions"], row["nulls"], round(row["value"], 9)
