"""Ragged arithmetic against loops over lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_models import InvariantError
from mta_models.core import ragged

segments = st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=7)
dtypes = st.sampled_from(["u1", "i2", "i8", "u8", "f8"])


def flat(rows: list[list[Any]], dtype: str = "i8") -> tuple[Any, Any]:
    items = np.array([item for row in rows for item in row], dtype=dtype)
    return items, np.cumsum([0, *map(len, rows)])


@given(rows=segments, dtype=dtypes)
def test_where_items_lie(rows: list[list[int]], dtype: str) -> None:
    values, offsets = flat(rows, dtype)
    sums = ragged.segment_sum(values, offsets)
    assert ragged.lengths(offsets).tolist() == [len(row) for row in rows]
    assert ragged.owner(offsets).tolist() == [i for i, row in enumerate(rows) for _ in row]
    assert ragged.position(offsets).tolist() == [i for row in rows for i in range(len(row))]
    assert sums.tolist() == [sum(row) for row in rows]
    assert ragged.spread(sums, offsets).tolist() == [sum(row) for row in rows for _ in row]


def test_sums_do_not_overflow_the_type_of_their_items() -> None:
    items, offsets = np.full(300, 1, dtype=bool), np.array([0, 300])
    assert ragged.segment_sum(items, offsets).tolist() == [300]
    assert ragged.segment_sum(np.full(300, 100, dtype=np.int8), offsets).tolist() == [30_000]


@given(rows=segments)
def test_neighbours(rows: list[list[int]]) -> None:
    values, offsets = flat(rows)
    before = [item for row in rows for item in [0, *row][: len(row)]]
    assert ragged.predecessor(values, offsets).tolist() == before
    assert ragged.last(values, offsets).tolist() == [[0, *row][-1] for row in rows]


@given(rows=segments)
def test_keep(rows: list[list[int]]) -> None:
    values, offsets = flat(rows)
    expected = [sum(item % 2 for item in row) for row in rows]
    assert np.diff(ragged.keep(values % 2 == 1, offsets)).tolist() == expected


@pytest.mark.parametrize("table", [1, 7, 1 << 21])
@given(rows=segments, dtype=st.sampled_from(["u1", "i8", "u8"]))
def test_first_occurrence(table: int, rows: list[list[int]], dtype: str) -> None:
    codes, offsets = flat(rows, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "_TABLE", table)  # small: journeys are worked off in pieces
        first = ragged.first_occurrence(codes, offsets, 5)
    assert first.tolist() == [item not in row[:i] for row in rows for i, item in enumerate(row)]


def groups(rows: list[list[int]]) -> tuple[list[int], list[int]]:
    met: dict[tuple[int, ...], int] = {}
    group = [met.setdefault(tuple(row), len(met)) for row in rows]
    return group, [group.index(i) for i in range(len(met))]


@given(rows=segments, dtype=st.sampled_from(["u1", "i8"]))
def test_equal_segments_are_grouped_by_first_appearance(rows: list[list[int]], dtype: str) -> None:
    codes, offsets = flat(rows, dtype)
    group, leader = ragged.group_equal(codes, offsets)
    assert (group.tolist(), leader.tolist()) == groups(rows)


class Colliding:
    """Hash factors that are all 1, so that segments of equal sums collide, for some seeds."""

    honest = np.random.default_rng

    def __init__(self, seed: int, until: int) -> None:
        self.weak, self.seed = seed < until, seed

    def integers(self, low: int, high: int, size: int, dtype: Any) -> Any:
        if self.weak:
            return np.ones(size, dtype=dtype)
        return Colliding.honest(self.seed).integers(low, high, size=size, dtype=dtype)


@pytest.mark.parametrize("rows", [[[0, 1], [1, 0], [0, 1]], [[1], [0, 0], [1]]])
def test_collisions_are_found_and_hashed_anew(
    rows: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, offsets = flat(rows)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Colliding(seed, until=3))
    group, leader = ragged.group_equal(codes, offsets)
    assert (group.tolist(), leader.tolist()) == groups(rows)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Colliding(seed, until=99))
    with pytest.raises(InvariantError, match="collided"):
        ragged.group_equal(codes, offsets)
