"""A number column is the same numbers, or a refusal that names it, whoever reads it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
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

Reader = Callable[[Any], Any]


def with_columns(source: Any, **constant: Any) -> Any:
    """The table, whatever it is of, with columns of one value each."""
    if isinstance(source, pl.DataFrame):
        return source.with_columns(**{k: pl.lit(v) for k, v in constant.items()})
    if isinstance(source, pd.DataFrame):
        return source.assign(**constant)
    for name, value in constant.items():
        source = source.append_column(name, pa.array([value] * len(source)))
    return source


def by_paths(table: Any) -> Any:
    return mta.read_paths(with_columns(table, path="A", n=1), conversions="n", value="x").value


def by_wide(table: Any) -> Any:
    wide = with_columns(table, T_1="A", end="won")
    return mta.read_wide(wide, outcome="end", converted="won", null="lost", value="x").value


NAMES = {"user": "u", "time": "t", "channel": "c", "conversion": "b"}


def by_events(table: Any) -> Any:
    return mta.read_events(with_columns(table, u="u", t=0.0, c="A", b=1), **NAMES, value="x").value


def by_costs(table: Any) -> Any:
    """The cost of each row alone, as far as the report tells."""
    costs = []
    for row in range(len(table)):
        one = table[row : row + 1] if not isinstance(table, pa.Table) else table.slice(row, 1)
        log = with_columns(one, u="u", t=0.0, c="A", b=1)
        costs.append(mta.read_events(log, **NAMES, cost="x").report.cost["A"])  # type: ignore[union-attr]  # read_events reports
    return costs


READERS = [by_paths, by_wide, by_events, by_costs]


def by_arrays(column: Any) -> Any:
    n = len(column)
    return mta.Journeys.from_arrays(["A"], [0] * n, range(n + 1), [1] * n, value=column).value


def by_path_lists(column: Any) -> Any:
    n = len(column)
    return mta.Journeys.from_paths([["A"]] * n, [1] * n, value=column).value


def columns_of(series: pl.Series) -> dict[str, Any]:
    """The column in what people have: alone, to hand over, and as a table."""
    return {"polars": series, "pandas": series.to_pandas(), "arrow": series.to_arrow()}


def table_of(column: Any) -> Any:
    if isinstance(column, pl.Series):
        return column.to_frame("x")
    if isinstance(column, pd.Series):
        return column.to_frame("x")
    return pa.table({"x": column})


WHOLE = [pl.Int8, pl.UInt8, pl.Int16, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.Decimal(9, 2)]


@given(
    values=st.lists(st.integers(0, 127), min_size=1, max_size=4),
    dtype=st.sampled_from(WHOLE),
    data=st.data(),
)
def test_all_readers_find_the_same_numbers(
    values: list[int], dtype: Any, data: st.DataObject
) -> None:
    column = columns_of(pl.Series("x", values).cast(dtype))[data.draw(st.sampled_from(KINDS))]
    for read in READERS:
        np.testing.assert_array_equal(read(table_of(column)), values)
    for read in (by_arrays, by_path_lists):
        np.testing.assert_array_equal(read(column), values)


KINDS = ["polars", "pandas", "arrow"]


@given(values=st.lists(st.floats(0, 1e12), min_size=1, max_size=3))
def test_texts_are_the_numbers_they_spell(values: list[float]) -> None:
    texts = pl.Series("x", [f" {value!r} " for value in values])
    for read in READERS:
        np.testing.assert_array_equal(read(texts.to_frame()), values)
        np.testing.assert_array_equal(read(texts.cast(pl.Categorical).to_frame()), values)


DAY = dt.date(2024, 5, 31)
NO_NUMBERS = {
    "date": pl.Series("x", [DAY] * 2),
    "datetime": pl.Series("x", [dt.datetime(2024, 5, 31)] * 2),
    "zoned": pl.Series("x", [dt.datetime(2024, 5, 31, tzinfo=dt.UTC)] * 2),
    "span": pl.Series("x", [dt.timedelta(days=1)] * 2),
    "time": pl.Series("x", [dt.time(8)] * 2),
    "list": pl.Series("x", [[1], [2]]),
    "struct": pl.Series("x", [{"a": 1}, {"a": 2}]),
    "bytes": pl.Series("x", [b"1", b"2"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(name: str, kind: str) -> None:
    column = columns_of(NO_NUMBERS[name])[kind]
    for read in READERS:
        with pytest.raises(mta.JourneyError, match="column 'x'"):
            read(table_of(column))
    for hand_over in (by_arrays, by_path_lists):
        with pytest.raises(mta.JourneyError, match="every entry of `value` must be a number; row"):
            hand_over(column)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pl.Series("x", [2**100, 3], dtype=pl.Int128), [2.0**100, 3]),
        (pl.Series("x", [True, False]), [1, 0]),
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
        (pd.Series([True, False], dtype="boolean"), [1, 0]),
        (pd.Series([1, 2.5], dtype=object), [1, 2.5]),
        (pd.Series([Decimal("1"), Decimal("2.5")]), [1, 2.5]),
        (pd.Series([1, 2], dtype="category"), [1, 2]),
        (pa.array([Decimal("1.5"), Decimal("2.0")]), [1.5, 2]),
        (pa.array([1, 2]).dictionary_encode(), [1, 2]),
    ],
)
def test_rarer_numbers_are_numbers(column: Any, expected: list[float]) -> None:
    for read in READERS:
        np.testing.assert_array_equal(read(table_of(column)), expected)
    for hand_over in (by_arrays, by_path_lists):
        np.testing.assert_array_equal(hand_over(column), expected)


MIXED = {
    "complex": pd.Series([1, 2j]),
    "period": pd.Series(pd.period_range("2024-01", periods=2, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 2)),
    "spans": pd.Series([np.timedelta64(1, "D")] * 2, dtype=object),
    "text": pd.Series([1, "a"], dtype=object),
}


@pytest.mark.parametrize("name", MIXED)
def test_objects_that_are_no_numbers_are_refused_by_name(name: str) -> None:
    for read in READERS[:3]:
        with pytest.raises(mta.JourneyError, match="column 'x'"):
            read(table_of(MIXED[name]))
    with pytest.raises(mta.JourneyError, match="`value` must be a number; row"):
        by_arrays(MIXED[name])


def test_arrow_types_that_polars_lacks_are_refused() -> None:
    odd = pa.table({"x": pa.array([pa.MonthDayNano([1, 2, 3])] * 2)})
    for read in READERS[:3]:
        with pytest.raises(mta.JourneyError, match="Arrow table"):
            read(odd)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_values_are_missing_alike(missing: Any) -> None:
    """0 where nothing converts; where something does, read_events notes what others refuse."""
    column = pl.Series("x", [2.0, missing], dtype=pl.Float64, strict=False)
    paths = pl.DataFrame({"path": ["A", "A"], "n": [1, 0], "x": column})
    assert mta.read_paths(paths, conversions="n", value="x").total_value == 2
    with pytest.raises(mta.JourneyError, match="column 'x' must be a finite number; row 1 has n"):
        mta.read_paths(paths.with_columns(n=1), conversions="n", value="x")
    log = paths.with_columns(u="path", t=pl.lit(0), c=pl.lit("A"), b="n")
    assert mta.read_events(log, **NAMES, value="x").total_value == 2
    both = mta.read_events(log.with_columns(b=1), **NAMES, value="x")
    assert both.report is not None
    assert both.report.noted["conversions without a value"] == 1


def test_blank_texts_are_missing_and_words_are_not(tmp_path: Path) -> None:
    log = pl.DataFrame({"u": "a", "t": [0, 1], "c": ["A", None], "b": [0, 1], "x": ["", "7"]})
    log.write_csv(tmp_path / "log.csv")
    for source in (log, str(tmp_path / "log.csv")):
        assert mta.read_events(source, **NAMES, value="x").total_value == 7
    with pytest.raises(mta.JourneyError, match="'x' must be a finite number, or missing; row 0"):
        mta.read_events(log.with_columns(x=pl.lit("7,50")), **NAMES, cost="x")


@pytest.mark.parametrize("role", ["conversion", "cost", "value"])
def test_a_date_is_no_amount_in_an_event_log(role: str) -> None:
    log = pl.DataFrame({"u": ["a"], "t": [0], "c": ["A"], "b": [1], "x": [DAY]})
    with pytest.raises(mta.JourneyError, match=r"column 'x'.* it holds Date. Convert it"):
        mta.read_events(log, **{**NAMES, role: "x"})


def test_a_date_is_no_amount_in_a_database() -> None:
    ibis = pytest.importorskip("ibis")
    log = pa.table({"u": ["a"], "t": [0.0], "c": ["A"], "b": [1], "x": [DAY]})
    for role in ("conversion", "cost", "value"):
        with pytest.raises(mta.JourneyError, match=r"column 'x'.* it holds date.* in the database"):
            mta.read_events(ibis.memtable(log), **{**NAMES, role: "x"})
