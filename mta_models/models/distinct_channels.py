"""Distinct channels of journeys, sums by channel, and warnings of models that use them."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import (
    Floats,
    Ints,
    Numbers,
    first_occurrence,
    keep,
    normalised,
    segment_sum,
    spread,
)
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, warn


def by_channel(journeys: Journeys, codes: Numbers, amounts: Floats) -> Floats:
    """Amounts summed by channel, shape `(n_channels,)`."""
    # `bincount` casts codes itself, but not uint64.
    credit: Numbers = np.bincount(codes.astype(np.intp, copy=False), amounts, journeys.n_channels)
    # Without touchpoints `bincount` gives integers.
    return credit.astype(np.float64, copy=False)


def split_over_channels(
    journeys: Journeys, outcome: Floats, weight: Floats | None = None
) -> Floats:
    """Each row's outcome split over its distinct channels.

    Args:
        journeys: rows without a touchpoint are left out.
        outcome: shape `(n_journeys,)`.
        weight: shape `(n_channels,)`, >= 0: the split is in proportion to weights, and equal where
            all channels of a row have weight 0; None: always equal.

    Returns:
        Shape `(n_touchpoints,)`: a channel's part at its first touchpoint in the row, 0 at others.
    """
    codes, offsets = journeys.codes, journeys.offsets
    part = first_occurrence(codes, offsets, journeys.n_channels).astype(np.float64)
    if weight is not None:
        weighted = part * weight[codes]
        part = np.where(spread(segment_sum(weighted, offsets) > 0, offsets), weighted, part)
    part = normalised(part, offsets)
    part *= spread(outcome, offsets)
    return part


def by_first_appearance(journeys: Journeys) -> Ints:
    """Codes of the channels that occur, in the order of their first touchpoints.

    This order does not depend on names: renaming channels does not change what is sampled.
    """
    n = journeys.n_touchpoints
    first = np.full(journeys.n_channels, n)
    first[journeys.codes[::-1]] = np.arange(n)[::-1]
    met = np.flatnonzero(first < n)
    return met[np.argsort(first[met])]


def all_by_first_appearance(journeys: Journeys) -> Ints:
    """Codes of all channels: `by_first_appearance`, then those that do not occur."""
    met = by_first_appearance(journeys)
    return np.concatenate((met, np.setdiff1d(np.arange(journeys.n_channels), met)))


def distinct_codes(journeys: Journeys) -> tuple[Ints, Ints]:
    """The distinct channels of each journey, in the order of their first touchpoints.

    Returns:
        Codes, end to end, and offsets, shape `(n_journeys + 1,)`.
    """
    first = first_occurrence(journeys.codes, journeys.offsets, journeys.n_channels)
    return journeys.codes[first].astype(np.int64), keep(first, journeys.offsets)


def participation_of(journeys: Journeys, outcome: Floats) -> Floats:
    """The outcomes of journeys that each channel was part of, shape `(n_channels,)`.

    Args:
        journeys: the journeys.
        outcome: shape `(n_journeys,)`.
    """
    codes, offsets = distinct_codes(journeys)
    return by_channel(journeys, codes, spread(outcome, offsets))


def users_of(journeys: Journeys) -> Floats:
    """Users that each row stands for, shape `(n_journeys,)`."""
    users: Floats = journeys.outcome("conversions") + journeys.nulls
    return users


def warn_without_nulls(journeys: Journeys) -> None:
    """Warn where all users converted: every conversion rate is then 1."""
    if not journeys.nulls.any():
        warn(
            "to compare conversion rates there should be users without a conversion; these "
            "journeys hold none: every rate is 1, so the credit reflects only which channels occur "
            "together. Give the null journeys (`nulls`)",
            IdentifiabilityWarning,
        )


def warn_untouched_convert(journeys: Journeys) -> None:
    """Warn where all users without a touchpoint convert: v(no channel) is then too high.

    An event log has no row for a person who neither met a channel nor converted.
    """
    untouched = journeys.lengths == 0
    converts, nulls = journeys.conversions[untouched].any(), journeys.nulls[untouched].any()
    if journeys.nulls.any() and converts and not nulls:
        warn(
            "every user without a touchpoint converts here, so with no channel at all every user "
            "would convert, and channels seem to do harm. Read the users without a touchpoint who "
            "did not convert too: give a table of all users as `observed` of read_events, or their "
            "row of nulls",
            IdentifiabilityWarning,
        )
