"""Journeys: what they refuse, what never changes, what equals a loop over lists."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.ledger import Ledger

rows = st.lists(
    st.tuples(st.lists(st.sampled_from("ABC"), max_size=3), *[st.integers(0, 200)] * 3), max_size=9
)


def arrays(**changes: Any) -> mta.Journeys:
    """Journeys A > B, converted twice, and an untouched one; with some arrays changed."""
    given: dict[str, Any] = {"channels": ["A", "B"], "codes": [0, 1], "offsets": [0, 2, 2]}
    return mta.Journeys.from_arrays(**given | {"conversions": [2, 1]} | changes)


def test_the_parts_of_journeys() -> None:
    journeys = arrays(nulls=[3, 4], value=[9.5, -1])
    assert (journeys.n_journeys, journeys.n_touchpoints, journeys.n_channels) == (2, 2, 2)
    assert (journeys.total, journeys.total_value) == (3.0, 8.5)
    assert journeys.lengths.tolist() == [2, 0]
    assert repr(journeys) == (
        "Journeys(2 journeys, 2 touchpoints, 2 channels, 3 conversions, 7 nulls)"
    )
    assert journeys.age is None
    assert arrays(age=[3, 1]).age is not None


def test_no_journeys_are_legal() -> None:
    none = mta.Journeys.from_paths([], [])
    assert (none.n_journeys, none.total, none.channels) == (0, 0.0, ())
    assert none.compress().n_journeys == none.transform("first", "frequency").n_journeys == 0
    assert len(none.to_frame()) == 0


def test_counts_keep_their_type_and_outcomes_are_floats() -> None:
    narrow = arrays(conversions=np.array([200, 100], dtype=np.uint8))
    assert narrow.conversions.dtype == np.uint8
    assert narrow.total == 300.0
    assert narrow.outcome("conversions").dtype == np.float64
    assert arrays(conversions=[True, False]).total == 1.0
    assert arrays(conversions=np.array([2, 1.5], dtype=object)).total == 3.5


@given(rows=rows)
def test_from_paths_is_its_lists(rows: list[Any]) -> None:
    paths, conversions, nulls, _ = zip(*rows, strict=True) if rows else ((), (), (), ())
    journeys = mta.Journeys.from_paths(paths, conversions, nulls)
    assert journeys.channels == tuple(sorted({name for path in paths for name in path}))
    touched = [journeys.channels[code] for code in journeys.codes]
    assert touched == [name for path in paths for name in path]
    assert journeys.lengths.tolist() == [len(path) for path in paths]
    assert journeys.total == sum(conversions)
    shown = journeys.to_polars()
    assert shown["path"].to_list() == [" > ".join(path) for path in paths]
    assert shown.to_dict(as_series=False) == journeys.to_frame().to_dict("list")


@given(rows=rows)
def test_compress_is_a_dictionary(rows: list[Any]) -> None:
    merged: dict[tuple[str, ...], list[float]] = {}
    for path, *amounts in rows:
        amounts[2] *= amounts[0] > 0
        total = merged.setdefault(tuple(path), [0, 0, 0])
        merged[tuple(path)] = [a + b for a, b in zip(total, amounts, strict=True)]
    paths, conversions, nulls, value = zip(*rows, strict=True) if rows else ((), (), (), ())
    value = [v * (n > 0) for v, n in zip(value, conversions, strict=True)]
    # One byte a count: sums must not wrap round.
    narrow = [np.array(counts, dtype=np.uint8) for counts in (conversions, nulls)]
    journeys = mta.Journeys.from_paths(paths, *narrow, value=value, channels="CBA")
    got = journeys.compress().to_polars()
    assert got["path"].to_list() == [" > ".join(path) for path in merged]
    assert got.select("conversions", "nulls", "value").rows() == [
        tuple(map(float, amounts)) for amounts in merged.values()
    ]
    again = journeys.compress().compress()
    assert again.to_polars().equals(got)


def test_compress_leaves_out_what_belongs_to_one_user() -> None:
    journeys = arrays(age=[2, 1], at_risk=[2, 3], keys=["x", "y"], milestones={"lead": [0, -1]})
    merged = journeys.compress()
    for name in ("age", "at_risk", "keys", "users", "end", "time", "milestones", "timeline"):
        assert getattr(merged, name) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": ["A", "A"]}, "'A' is there twice"),
        ({"channels": ["A", " "]}, "non-blank text; got ' '"),
        ({"channels": ["A", 1]}, "non-blank text; got 1"),
        ({"channels": []}, "the 0 channels; row 0 has 0"),
        ({"codes": [0, 2]}, "index into the 2 channels; row 0 has 2"),
        ({"codes": [0, -1]}, "row 0 has -1"),
        ({"codes": [0, 0.5]}, "whole number; entry 1 is 0.5"),
        ({"codes": [0, np.inf]}, "whole number; entry 1 is inf"),
        ({"codes": ["A", "B"]}, "`codes` must be a number; row 0 has 'A'"),
        ({"codes": [[0, 1]]}, "`codes` must be a number"),
        ({"offsets": []}, "`offsets` must have one entry more"),
        ({"offsets": [1, 2, 2]}, "start at 0"),
        ({"offsets": [0, 1, 1]}, "end at the number of touchpoints, 2"),
        ({"offsets": [0, 3, 2]}, "`offsets` must never decrease; they do after row 1"),
        ({"conversions": [1]}, r"`conversions` must have the shape \(2,\); got \(1,\)"),
        ({"conversions": [1, -2]}, "`conversions` must be >= 0; row 1 has -2"),
        ({"conversions": [1, np.nan]}, "`conversions` must be a finite number; row 1 has nan"),
        ({"conversions": [1, np.inf]}, "row 1 has inf"),
        ({"conversions": [1, None]}, "`conversions` must be a number; row 1 has None"),
        ({"conversions": [1, "2"]}, "`conversions` must be a number; row 0 has|row 1 has '2'"),
        ({"conversions": [1, 2j]}, "must be a number; row 1 has 2j"),
        ({"conversions": np.array(["2024-01-01"] * 2, "M8[D]")}, "must be a number; row 0"),
        ({"conversions": [[1], [2]]}, "must be a number; row 0"),
        ({"nulls": [0, -1]}, "`nulls` must be >= 0; row 1"),
        ({"nulls": [0]}, "`nulls` must have the shape"),
        ({"value": [1, np.nan]}, "`value` must be a finite number; row 1"),
        ({"value": [1, 1], "conversions": [1, 0]}, "must have value 0; row 1 has 1"),
        ({"age": [1]}, "`age` must have the shape"),
        ({"age": [1, -1]}, "days >= 0; row 0 has -1"),
        ({"age": [np.inf, 1]}, "days >= 0; row 0 has inf"),
        ({"age": [np.nan, 1]}, "days >= 0; row 0 has nan"),
        ({"age": [1, 2]}, "ages never rise within a journey; row 0 has 2 at entry 1"),
        ({"at_risk": [1, -1]}, "`at_risk` must be >= 0; row 1"),
        ({"keys": [1]}, "`keys` must have the shape"),
        ({"milestones": {"lead": [2, -1]}}, "'lead' of row 0 is 2 of 2"),
        ({"milestones": {"lead": [0, 0]}}, "'lead' of row 1 is 0 of 0"),
        ({"milestones": {"lead": [-2, -1]}}, "'lead' of row 0 is -2"),
        ({"milestones": {"lead": [0]}}, "must have the shape"),
    ],
)
def test_bad_arrays_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(mta.JourneyError, match=message):
        arrays(**changes)


def test_ages_may_rise_from_one_journey_to_the_next() -> None:
    journeys = arrays(codes=[0, 1, 1], offsets=[0, 1, 3], age=[1, 5, 5])
    assert journeys.age is not None
    assert journeys.age.tolist() == [1, 5, 5]


@pytest.mark.parametrize(
    ("paths", "channels", "message"),
    [
        ([["A"], "A > B"], None, "row 1 is the text 'A > B'"),
        ([["A"], ["B", ""]], None, "non-blank text; row 1 has ''"),
        ([["A"], [None]], None, "row 1 has None"),
        ([[], ["A", "X"]], ["A"], "among `channels`; row 1 has 'X'"),
    ],
)
def test_bad_paths_are_refused(paths: Any, channels: Any, message: str) -> None:
    with pytest.raises(mta.JourneyError, match=message):
        mta.Journeys.from_paths(paths, [1, 1], channels=channels)


def full() -> mta.Journeys:
    return arrays(
        nulls=[0, 1],
        value=[1, 2],
        age=[2, 1],
        at_risk=[3, 3],
        keys=["x", "y"],
        milestones={"lead": [1, -1]},
    )


@pytest.mark.parametrize(
    "journeys",
    [
        full(),
        pickle.loads(pickle.dumps(full())),
        copy.deepcopy(full()),
        full().transform("first"),
        full().transform(("trim", 1)),
        full().compress(),
        full().recode(("B", "X", "A")),
        full().reweighted(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([3.0, 0.0])),
    ],
    ids=[
        *("made", "unpickled", "copied", "transformed", "trimmed", "compressed", "recoded"),
        "reweighted",
    ],
)
def test_nothing_can_be_written_to(journeys: mta.Journeys) -> None:
    held = [getattr(journeys, each.name) for each in dataclasses.fields(journeys)]
    held += [journeys.age, *(journeys.milestones or {}).values()]
    found = [array for array in held if isinstance(array, np.ndarray)]
    assert len(found) >= 5
    for array in found:
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        journeys.channels = ()  # type: ignore[misc]


def test_arrays_given_are_copied() -> None:
    codes, counts, ages = np.array([0, 1]), np.array([2.0, 1.0]), np.array([2.0, 1.0])
    journeys = arrays(codes=codes, conversions=counts, value=counts, age=ages)
    codes[:], counts[:], ages[:] = 1, 7.0, 7.0
    assert journeys.codes.tolist() == [0, 1]
    assert journeys.total == 3.0
    assert journeys.total_value == 3.0
    assert journeys.age is not None
    assert journeys.age.tolist() == [2, 1]


def test_pickle_keeps_everything() -> None:
    before = full()
    after = pickle.loads(pickle.dumps(before))
    for each in dataclasses.fields(before):
        one, other = getattr(before, each.name), getattr(after, each.name)
        if isinstance(one, np.ndarray):
            assert np.array_equal(one, other)
        elif each.name != "milestones":
            assert one == other
    assert after.milestones["lead"].tolist() == [1, -1]


def test_recode() -> None:
    journeys = mta.Journeys.from_paths([["A", "C"], ["C"]], [1, 1], channels=["A", "B", "C"])
    assert journeys.recode(journeys.channels) is journeys
    wider = journeys.recode(("C", "D", "A"))
    assert wider.to_polars()["path"].to_list() == ["A > C", "C"]
    assert wider.codes.tolist() == [2, 0, 0]
    with pytest.raises(mta.UnknownChannelError, match="row 0 has 'C'") as caught:
        journeys.recode(("A", "B"))
    assert isinstance(caught.value, KeyError)


def test_reweighted_shares_the_paths() -> None:
    journeys = full()
    other = journeys.reweighted(np.array([5.0, 0.0]), np.array([0.0, 9.0]))
    assert other.codes is journeys.codes
    assert (other.total, other.nulls.sum(), other.value) == (5.0, 9.0, None)


def test_outcome() -> None:
    with pytest.raises(mta.JourneyError, match="these journeys have none"):
        arrays().outcome("value")
    with pytest.raises(mta.JourneyError, match="these journeys have none"):
        _ = arrays().total_value
    with pytest.raises(mta.ParameterError, match="got 'revenue'"):
        arrays().outcome("revenue")


def test_a_frame_shows_what_is_carried_and_refuses_what_cannot_be_read_back() -> None:
    assert list(full().to_frame().columns) == [
        *("path", "conversions", "nulls", "value", "at_risk", "lead")
    ]
    clash = mta.Journeys.from_paths([["A > B"]], [1])
    with pytest.raises(mta.JourneyError, match="the channel 'A > B' contains it"):
        clash.to_frame()
    assert clash.to_frame(separator="|")["path"].tolist() == ["A > B"]


def test_ledger_shows_every_digit() -> None:
    ledger = Ledger(
        read={"rows": 12_345_678, "value": 1_234_567.89},
        kept={"rows": 12_345_670},
        set_aside={"outside observation": 8},
        noted={"ties": 2},
    )
    assert str(ledger).splitlines() == [
        "read      rows 12,345,678, value 1,234,567.89",
        "kept      rows 12,345,670",
        "set aside outside observation 8",
        "noted     ties 2",
    ]
    assert str(Ledger(read={"rows": 1}, kept={"rows": 1})).count("\n") == 1
    frame = ledger.to_frame()
    assert frame["side"].tolist() == ["read", "read", "kept", "set aside", "noted"]
    assert frame["amount"].sum() == pytest.approx(12_345_678 + 1_234_567.89 + 12_345_670 + 10)
