"""Which distinct channels a journey has, and sums by channel."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import (
    Floats,
    Ints,
    Numbers,
    first_occurrence,
    normalised,
    segment_sum,
    spread,
)
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, warn


def by_channel(journeys: Journeys, codes: Numbers, amounts: Floats) -> Floats:
    """Amounts summed by channel, shape `(n_channels,)`."""
    # `bincount` makes this cast itself, but refuses it for uint64.
    credit: Numbers = np.bincount(codes.astype(np.intp, copy=False), amounts, journeys.n_channels)
    # Without a single touchpoint `bincount` forgets that the amounts are floats.
    return credit.astype(np.float64, copy=False)


def split_over_channels(
    journeys: Journeys, outcome: Floats, weight: Floats | None = None
) -> Floats:
    """Each row's outcome split over its distinct channels, booked at their first occurrence.

    Args:
        journeys: with or without touchpoints; rows without one are left out.
        outcome: shape `(n_journeys,)`.
        weight: shape `(n_channels,)`, >= 0: the split is in proportion to it, and equal where it is
            0 for every channel of a row; None: always equal.

    Returns:
        Shape `(n_touchpoints,)`: a channel's part at its first touchpoint of the row, 0 at others.
    """
    codes, offsets = journeys.codes, journeys.offsets
    part = first_occurrence(codes, offsets, journeys.n_channels).astype(np.float64)
    if weight is not None:
        weighted = part * weight[codes]
        part = np.where(spread(segment_sum(weighted, offsets) > 0, offsets), weighted, part)
    part = normalised(part, offsets)
    part *= spread(outcome, offsets)
    return part


def tally(index: Ints, amounts: Floats, n: int) -> Floats:
    """The sum of the amounts at each index, shape `(n,)`."""
    # Given nothing to sum, `bincount` forgets that the amounts are floats.
    return np.bincount(index, amounts, n).astype(np.float64, copy=False)


def by_first_appearance(journeys: Journeys) -> Ints:
    """Codes of the channels met, in the order in which the journeys first show them.

    An order that names have no say in: renaming channels cannot change what is drawn at random.
    """
    n = journeys.n_touchpoints
    first = np.full(journeys.n_channels, n)
    first[journeys.codes[::-1]] = np.arange(n)[::-1]
    met = np.flatnonzero(first < n)
    return met[np.argsort(first[met])]


def users_of(journeys: Journeys) -> Floats:
    """Users each row stands for, shape `(n_journeys,)`."""
    users: Floats = journeys.outcome("conversions") + journeys.nulls
    return users


def warn_without_nulls(journeys: Journeys) -> None:
    """Say so where no user failed to convert: then every conversion rate is 1."""
    if not journeys.nulls.any():
        warn(
            "conversion rates are compared, and these journeys hold no user without a conversion: "
            "every rate is 1, so the credit reflects only which channels occur together. Give the "
            "null journeys (`nulls`)",
            IdentifiabilityWarning,
        )


def warn_untouched_convert(journeys: Journeys) -> None:
    """Say so where only buyers are known among the untouched: the set of no channel is overrated.

    An event log has no row of a person who neither met a channel nor bought.
    """
    bare = journeys.lengths == 0
    if journeys.nulls.any() and journeys.conversions[bare].any() and not journeys.nulls[bare].any():
        warn(
            "every user without a touchpoint converts here, so no channel at all seems to be worth "
            "as many conversions as there are users, and channels seem to do harm. Read the "
            "untouched who did not convert too: a table of all users for `observed` of "
            "read_events, or their row of nulls",
            IdentifiabilityWarning,
        )
