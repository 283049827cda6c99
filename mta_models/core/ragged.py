"""Arithmetic on ragged arrays: segments of unequal length laid end to end.

`offsets` has the shape `(n + 1,)`; segment i holds the positions `offsets[i]:offsets[i + 1]`.
No function here loops over segments in Python or knows what a channel is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mta_models.errors import InvariantError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
# Counts and codes keep the narrow type of their source; arithmetic casts to float64.
Numbers = NDArray[Any]


def lengths(offsets: Ints) -> Ints:
    """The number of items in each segment, shape `(n,)`; int64 even where offsets are narrow."""
    count: Ints = np.subtract(offsets[1:], offsets[:-1], dtype=np.int64)
    return count


def owner(offsets: Numbers) -> Ints:
    """For each item the index of its segment, shape `(n_items,)`."""
    return np.repeat(np.arange(len(offsets) - 1), lengths(offsets))


def position(offsets: Numbers) -> Ints:
    """For each item its position in its segment, from 0, shape `(n_items,)`."""
    place: Ints = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths(offsets))
    return place


def spread(values: Numbers, offsets: Numbers) -> Numbers:
    """One value per segment, shape `(n,)`, repeated for each of its items, shape `(n_items,)`."""
    return np.repeat(values, lengths(offsets))


def segment_sum(values: Numbers, offsets: Numbers) -> Numbers:
    """The sum over each segment, shape `(n,)`; an empty segment sums to 0."""
    wide = values.dtype if values.dtype.kind in "uf" else np.dtype(np.int64)
    total: Numbers = np.zeros(len(offsets) - 1, dtype=wide)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        # `reduceat` gives an empty segment the first item of the next: leave empty ones out.
        total[filled] = np.add.reduceat(values, offsets[:-1][filled], dtype=total.dtype)
    return total


def predecessor(values: Ints, offsets: Ints) -> Ints:
    """For each item the one before it in its segment, 0 for the first, shape `(n_items,)`."""
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    starts = offsets[:-1]
    before[starts[starts < len(values)]] = 0
    return before


def last(values: Ints, offsets: Ints) -> Ints:
    """The last item of each segment, 0 where there is none, shape `(n,)`."""
    items = np.zeros(len(offsets) - 1, dtype=values.dtype)
    filled = np.flatnonzero(np.diff(offsets))
    items[filled] = values[offsets[1:][filled] - 1]
    return items


def keep(mask: Mask, offsets: Numbers) -> Ints:
    """The offsets, shape `(n + 1,)`, that remain when only the items under `mask` are kept."""
    kept = np.zeros(len(offsets), dtype=np.int64)
    np.cumsum(segment_sum(mask, offsets), out=kept[1:])
    return kept


# Entries of the table that `first_occurrence` scatters into: small enough to stay in cache.
_TABLE = 1 << 21


def first_occurrence(codes: Numbers, offsets: Numbers, n_codes: int) -> Mask:
    """True where an item is the first of its code in its segment, shape `(n_items,)`.

    Writes every item's index into a (segment, code) table from the last item to the first; the
    index that is left in a cell is the first. Linear in items: no sort, no hashing.
    """
    first = np.zeros(len(codes), dtype=bool)
    n, step = len(offsets) - 1, max(1, _TABLE // max(n_codes, 1))
    table = np.empty(min(n, step) * n_codes, dtype=np.int64)
    for start in range(0, n, step):
        part = offsets[start : start + step + 1]
        # An unsigned 64-bit code added to a signed index would make a float.
        here = codes[part[0] : part[-1]].astype(np.int64, copy=False)
        cell = owner(part - part[0]) * n_codes + here
        index = np.arange(len(cell))
        table[cell[::-1]] = index[::-1]
        first[part[0] : part[-1]] = table[cell] == index
    return first


def group_equal(codes: Numbers, offsets: Numbers) -> tuple[Ints, Ints]:
    """Group segments with the same codes in the same order.

    Returns `group`, shape `(n,)`, the group of each segment, and `leader`, shape `(n_groups,)`, the
    first segment of each; groups are numbered by first appearance. Segments are hashed (a random
    linear form of their codes), sorted by hash, then compared item by item with their leader: a
    collision is detected, and all are hashed again with other factors.
    """
    n, place = len(offsets) - 1, position(offsets)
    longest = int(lengths(offsets).max(initial=0))
    for seed in range(16):
        factor = np.random.default_rng(seed).integers(1, 2**64, size=longest, dtype=np.uint64)
        digest = segment_sum((codes.astype(np.uint64) + np.uint64(1)) * factor[place], offsets)
        _, index, inverse = np.unique(digest, return_index=True, return_inverse=True)
        by_appearance = np.argsort(index, kind="stable")
        rank = np.empty_like(by_appearance)
        rank[by_appearance] = np.arange(len(rank))
        group, leader = rank[inverse.reshape(n)], index[by_appearance]
        same_length = np.array_equal(lengths(offsets), lengths(offsets)[leader][group])
        if same_length and np.array_equal(
            codes, codes[spread(offsets[leader][group], offsets) + place]
        ):
            return group, leader
    raise InvariantError("sixteen independent 64-bit hashes collided: report these journeys to us")


def sums_at(index: Ints, amounts: Floats, n: int) -> Floats:
    """The sum of the amounts at each index from 0 to n − 1, shape `(n,)`."""
    # Without amounts `bincount` gives integers.
    return np.bincount(index, amounts, n).astype(np.float64, copy=False)


def chunks(cost: Ints, at_once: int = 1 << 22) -> Iterator[slice]:
    """Slices of consecutive items with a cost of about `at_once`, each of at least one item."""
    ends = np.cumsum(cost)
    start = 0
    while start < len(cost):
        budget = at_once + (ends[start - 1] if start else 0)
        stop = max(int(np.searchsorted(ends, budget, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def per_item(sizes: Ints) -> Floats:
    """1 / size, and 0 where the size is 0."""
    return np.divide(1.0, sizes, out=np.zeros(len(sizes)), where=sizes > 0)


def normalised(weights: Floats, offsets: Ints) -> Floats:
    """The weights scaled, in place, to sum to 1 over every segment that has an item."""
    total: Floats = segment_sum(weights, offsets)
    weights /= spread(total, offsets)
    return weights
