"""Transitions of an order-n chain over recent channels, counted in users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mta_models.core.ragged import Floats, Ints, Numbers, last, owner, predecessor, spread
from mta_models.data.journeys import Journeys
from mta_models.models.distinct_channels import users_of

# Cells of a table over (recent channels, next channel) up to which it is faster than sorting.
_TABLE = 1 << 24
# Touchpoints counted at once, so that temporary arrays stay small for a log of any length.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Counts:
    """Transitions counted in users. State 0 is the start.

    Attributes:
        recent: shape `(n_states, order)`, each state's channel codes, newest first, -1 where the
            path is shorter; row 0 is all -1. The order is that of `order_in_use`.
        source: shape `(n_transitions,)`, the state before.
        target: shape `(n_transitions,)`, the state after.
        users: shape `(n_transitions,)`, users who made the transition.
        conversions: shape `(n_states,)`, users who converted from the state.
        nulls: shape `(n_states,)`, users who ended without converting.
        value: shape `(n_states,)`, value of the conversions, or None.
    """

    recent: Numbers
    source: Ints
    target: Ints
    users: Floats
    conversions: Floats
    nulls: Floats
    value: Floats | None


def count_transitions(journeys: Journeys, order: int) -> Counts:
    """Transitions of the order-`order` chain, in one pass over the touchpoints.

    A context (the last `order` channels) is a number in base K + 1; the digit 0 means "none yet".
    Where a table of all contexts is small enough they are counted chunk by chunk with `bincount`;
    else they are sorted and numbered.
    """
    order = order_in_use(journeys, order)
    if (journeys.n_channels + 1) ** order * journeys.n_channels <= _TABLE:
        return _count_tabled(journeys, order)
    return without_unseen(Steps(journeys, order).count(journeys))


def order_in_use(journeys: Journeys, order: int) -> int:
    """The order, but at most the touchpoints of the longest journey plus one.

    From there on every context is the whole path so far, and a higher order changes nothing. (One
    order lower, smoothing still adds transitions between contexts of full length.)
    """
    return min(order, int(journeys.lengths.max(initial=0)) + 1)


def _count_tabled(journeys: Journeys, order: int) -> Counts:
    base = journeys.n_channels + 1
    users = users_of(journeys)
    pair_users = np.zeros(base**order * journeys.n_channels)
    exits = np.zeros((3, base**order))
    for rows in _chunks(journeys.offsets):
        offsets = journeys.offsets[rows.start : rows.stop + 1]
        codes = journeys.codes[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        context = digit = codes.astype(np.int64) + 1
        for _ in range(order - 1):
            context = predecessor(context, offsets) * base + digit
        pair = predecessor(context, offsets) * journeys.n_channels + codes
        pair_users += np.bincount(pair, spread(users[rows], offsets), len(pair_users))
        for total, outcome in zip(exits, _outcomes(journeys), strict=False):
            total += np.bincount(last(context, offsets), outcome[rows], len(total))
    pair = np.flatnonzero(pair_users)
    before, code = pair // journeys.n_channels, pair % journeys.n_channels
    entered = (before * base + code + 1) % base**order
    met = np.unique(np.concatenate([[0], before, entered, np.flatnonzero(exits[:2].any(axis=0))]))
    return Counts(
        recent=met[:, None] // base ** np.arange(order) % base - 1,
        source=np.searchsorted(met, before),
        target=np.searchsorted(met, entered),
        users=pair_users[pair],
        conversions=exits[0, met],
        nulls=exits[1, met],
        value=None if journeys.value is None else exits[2, met],
    )


class Steps:
    """The steps of some journeys, numbered once, so that any weights can be counted quickly.

    Contexts are sorted and numbered, for any order and any number of channels; a table over all
    possible contexts (`_count_tabled`) is faster where it is small enough.
    """

    def __init__(self, journeys: Journeys, order: int) -> None:
        codes, offsets = journeys.codes.astype(np.int64), journeys.offsets
        order = order_in_use(journeys, order)
        context = codes + 1
        for _ in range(order - 1):
            longer = predecessor(context, offsets) * (journeys.n_channels + 1) + codes + 1
            context = np.unique(longer, return_inverse=True)[1].reshape(-1) + 1
        pair = predecessor(context, offsets) * journeys.n_channels + codes
        pair, example, which = np.unique(pair, return_index=True, return_inverse=True)
        met = np.unique(np.concatenate([[0], context]))
        # A product with this matrix counts all steps in a third of the time of `bincount`.
        steps = (np.ones(len(codes)), (which.reshape(-1), owner(offsets)))
        self.steps = sparse.csr_array(steps, shape=(len(pair), journeys.n_journeys))
        self.source = np.searchsorted(met, pair // journeys.n_channels)
        self.target = np.searchsorted(met, context[example])
        self.exit = np.searchsorted(met, last(context, offsets))
        self.recent = _recent(context, met, codes, offsets, order)

    def count(self, journeys: Journeys) -> Counts:
        """Counts with the outcomes of `journeys`, which must have the same paths."""
        conversions, nulls, *value = (
            np.bincount(self.exit, outcome, len(self.recent)).astype(np.float64, copy=False)
            for outcome in _outcomes(journeys)
        )
        return Counts(
            recent=self.recent,
            source=self.source,
            target=self.target,
            users=self.steps @ users_of(journeys),
            conversions=conversions,
            nulls=nulls,
            value=value[0] if value else None,
        )


def _recent(context: Ints, met: Ints, codes: Ints, offsets: Ints, order: int) -> Ints:
    """Channels of the contexts `met`, newest first, -1 for none, shape `(n_met, order)`."""
    if not len(codes):
        return np.full((1, order), -1)
    # The channels of a context are read off any one touchpoint that ends it.
    example = np.zeros(int(met[-1]) + 1, dtype=np.int64)
    example[context] = np.arange(len(context))
    start = np.repeat(offsets[:-1], np.diff(offsets))[example[met]]
    at = example[met][:, None] - np.arange(order)
    recent = np.where(at >= start[:, None], codes[np.maximum(at, 0)], -1)
    recent[0] = -1
    return recent


def without_unseen(counts: Counts) -> Counts:
    """The counts without transitions and contexts of 0 users."""
    made = counts.users > 0
    source, target = counts.source[made], counts.target[made]
    ended = np.flatnonzero(counts.conversions + counts.nulls)
    met = np.unique(np.concatenate([[0], source, target, ended]))
    return Counts(
        recent=counts.recent[met],
        source=np.searchsorted(met, source),
        target=np.searchsorted(met, target),
        users=counts.users[made],
        conversions=counts.conversions[met],
        nulls=counts.nulls[met],
        value=None if counts.value is None else counts.value[met],
    )


def _outcomes(journeys: Journeys) -> list[Numbers]:
    """Conversions, nulls and, if there are any, values, each of shape `(n_journeys,)`."""
    value = [] if journeys.value is None else [journeys.value]
    return [journeys.conversions, journeys.nulls, *value]


def _chunks(offsets: Ints) -> Iterator[slice]:
    """Slices of whole journeys with about `_CHUNK` touchpoints each."""
    start, n = 0, len(offsets) - 1
    while start < n:
        stop = int(np.searchsorted(offsets, offsets[start] + _CHUNK, side="right")) - 1
        # Journeys may have no touchpoints, so the number of journeys is bounded too.
        stop = min(max(stop, start + 1), start + _CHUNK, n)
        yield slice(start, stop)
        start = stop
