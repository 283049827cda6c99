"""Numbers handed over as they are: every container, and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mta_models.core.number_columns import entries, integers, numbers
from mta_models.errors import JourneyError


@given(array=hnp.arrays(st.sampled_from(["i1", "u2", "i8", "f4", "f8"]), st.integers(0, 5)))
def test_arrays_of_numbers_are_copied_as_they_are(array: Any) -> None:
    read = numbers(array, "x")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read is not array
    assert not np.shares_memory(read, array) or not len(array)
    np.testing.assert_array_equal(numbers(array.tolist(), "x"), array.astype(np.float64))


@given(values=st.lists(st.integers(0, 9), min_size=1), mask=st.data())
def test_masked_entries_are_refused_and_unmasked_arrays_are_plain(
    values: list[int], mask: st.DataObject
) -> None:
    hidden = mask.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    masked = np.ma.array(values, mask=hidden)
    if not any(hidden):
        read = numbers(masked, "x")
        assert type(read) is np.ndarray
        np.testing.assert_array_equal(read, values)
        return
    for given_ in (masked, list(masked)):
        with pytest.raises(
            JourneyError, match=f"no entry of `x` may be masked; row {hidden.index(True)} is"
        ):
            numbers(given_, "x")
        with pytest.raises(JourneyError, match="may be masked"):
            entries(given_, "keys")


def test_whatever_is_a_number_is_read() -> None:
    every = [1, True, np.bool_(False), 2.5, Decimal("0.5"), Fraction(1, 4), np.float32(3), 2**70]
    expected = [1, 1, 0, 2.5, 0.5, 0.25, 3, 2**70]
    np.testing.assert_array_equal(numbers(every, "x"), expected)
    np.testing.assert_array_equal(numbers(iter(every), "x"), expected)
    np.testing.assert_array_equal(numbers(np.array([True, False]), "x"), [1.0, 0.0])
    assert len(numbers([], "x")) == 0


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "1",
        2j,
        [1],
        [1, 2, 3],
        dt.date(2024, 5, 31),
        dt.timedelta(days=1),
        np.timedelta64(1, "D"),
        np.datetime64("2024-05-31"),
        10**400,
        Decimal("sNaN"),
        {"a": 1},
    ],
)
def test_what_is_no_number_is_refused_with_its_row(entry: Any) -> None:
    for given_ in ([1, entry], [entry], np.array([1, entry, 2], dtype=object)):
        row = 0 if len(given_) == 1 else 1
        with pytest.raises(
            JourneyError, match=f"every entry of `x` must be a number; row {row} has"
        ):
            numbers(given_, "x")


@pytest.mark.parametrize(
    "column", [np.array([1, 2], "m8[D]"), np.array(["2024"], "M8[D]"), np.ones((2, 1))]
)
def test_spans_dates_and_tables_are_no_columns_of_numbers(column: Any) -> None:
    with pytest.raises(JourneyError, match="every entry of `x` must be a number; row 0"):
        numbers(column, "x")


@pytest.mark.parametrize("column", [5, None, "12", b"12", np.array(5), {1.0, 2.0}, {1.0: 2.0}])
def test_a_column_is_a_sequence(column: Any) -> None:
    with pytest.raises(JourneyError, match="`x` must be a sequence with one entry a row; got"):
        numbers(column, "x")


def test_integers_are_whole() -> None:
    np.testing.assert_array_equal(integers([1.0, 2.0], "x"), [1, 2])
    assert integers(np.array([1], "u1"), "x").dtype == np.uint8
    with pytest.raises(JourneyError, match=r"must be a whole number; entry 1 is 0\.5"):
        integers([1, 0.5], "x")
