"""Shapley values of a model's predictions: each journey is a game among its own channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.coalitions import MAX_PLAYERS, shapley_of_table
from mta_models.core.orders import mean_and_error, pair_gains
from mta_models.core.ragged import (
    Floats,
    Ints,
    Mask,
    Numbers,
    chunks,
    first_occurrence,
    keep,
    owner,
    position,
    segment_sum,
    spread,
)
from mta_models.data.journeys import Journeys
from mta_models.errors import ParameterError
from mta_models.models.distinct_channels import by_channel

# Maximum of touchpoints in journeys predicted at once, including touchpoints left out of them.
_CHUNK = 1 << 22

Predict = Callable[[Journeys], Floats]


@dataclass(frozen=True, eq=False)
class Split:
    """Shapley values of each journey's own game v(S) = P̂(conversion | only S's touchpoints kept).

    Attributes:
        credit: shape `(n_touchpoints,)`, for one user: each channel's Shapley value, at its first
            touchpoint.
        nobody: shape `(n_journeys,)`, the prediction without touchpoints.
        everyone: shape `(n_journeys,)`, the prediction with all touchpoints.
        standard_error: shape `(n_channels,)`, of sampling, for the sums over all users.
    """

    credit: Floats
    nobody: Floats
    everyone: Floats
    standard_error: Floats


def split_predictions(
    predict: Predict, journeys: Journeys, users: Floats, orders: Ints | None
) -> Split:
    """Shapley values journey by journey, exact up to `MAX_PLAYERS` distinct channels.

    Args:
        predict: from journeys to the probability of converting, shape `(n_journeys,)`.
        journeys: the journeys.
        users: shape `(n_journeys,)`, users that each row stands for.
        orders: for journeys of more channels: sampled orders of arrival of all channels, shape
            `(n_pairs, n_channels)`. A random order of all channels puts a journey's own in random
            order.
    """
    game = _Restriction.from_journeys(predict, journeys)
    split = Split(
        credit=np.zeros(journeys.n_touchpoints),
        nobody=np.zeros(journeys.n_journeys),
        everyone=np.zeros(journeys.n_journeys),
        standard_error=np.zeros(journeys.n_channels),
    )
    for size in np.unique(game.distinct[game.distinct <= MAX_PLAYERS]).tolist():
        rows = np.flatnonzero(game.distinct == size)
        table = game.all_coalitions(rows, size)
        split.credit[game.firsts_of(rows)] = shapley_of_table(table).ravel()
        split.nobody[rows], split.everyone[rows] = table[:, 0], table[:, -1]
    wide = np.flatnonzero(game.distinct > MAX_PLAYERS)
    if len(wide):
        assert orders is not None  # the caller refuses wide journeys without orders
        _sample(game, wide, users, orders, split)
    return split


def n_wide(journeys: Journeys) -> int:
    """The number of journeys with more distinct channels than are split exactly."""
    first = first_occurrence(journeys.codes, journeys.offsets, journeys.n_channels)
    return int((segment_sum(first, journeys.offsets) > MAX_PLAYERS).sum())


def _sample(game: _Restriction, rows: Ints, users: Floats, orders: Ints, split: Split) -> None:
    """Write the values of `rows`, estimated along orders and their reverses, into `split`."""
    journeys, firsts = game.journeys, game.firsts_of(rows)
    weight = users[owner(journeys.offsets)[firsts]]
    sums = np.zeros((len(orders), journeys.n_channels))

    def gains(order: Ints) -> Floats:
        gain, split.nobody[rows], split.everyone[rows] = game.along(rows, order)
        return gain

    for pair, gain in enumerate(pair_gains(orders, gains)):
        split.credit[firsts] += gain / len(orders)
        sums[pair] = by_channel(journeys, journeys.codes[firsts], gain * weight)
    split.standard_error[:] = mean_and_error(sums)[1]


@dataclass(frozen=True, eq=False)
class _Restriction:
    """Predictions of journeys with some of their channels left out.

    Attributes:
        predict: as in `split_predictions`.
        journeys: with all touchpoints.
        first: shape `(n_touchpoints,)`, whether a touchpoint is its channel's first in its row.
        label: shape `(n_touchpoints,)`, the number of its channel within the row, from 0 in the
            order of first touchpoints.
        distinct: shape `(n_journeys,)`, number of distinct channels.
    """

    predict: Predict
    journeys: Journeys
    first: Mask
    label: Ints
    distinct: Ints

    @classmethod
    def from_journeys(cls, predict: Predict, journeys: Journeys) -> _Restriction:
        """Number the channels of each row."""
        codes, offsets = journeys.codes, journeys.offsets
        first = first_occurrence(codes, offsets, journeys.n_channels)
        cell = owner(offsets) * journeys.n_channels + codes.astype(np.int64, copy=False)
        by_cell = np.argsort(cell[first])
        which = by_cell[np.searchsorted(cell[first], cell, sorter=by_cell)]
        label = which - spread(keep(first, offsets)[:-1], offsets)
        return cls(predict, journeys, first, label, segment_sum(first, offsets))

    def firsts_of(self, rows: Ints) -> Ints:
        """Indices of the first touchpoints of each channel in `rows`, in the order of journeys."""
        chosen = np.zeros(self.journeys.n_journeys, dtype=bool)
        chosen[rows] = True
        return np.flatnonzero(self.first & spread(chosen, self.journeys.offsets))

    def all_coalitions(self, rows: Ints, size: int) -> Floats:
        """Predictions for every subset of the channels of `rows`, shape `(n_rows, 2^size)`."""

        def kept(copy: Ints, touchpoint: Ints) -> Mask:
            return (copy >> self.label[touchpoint]) & 1 > 0

        return self._predicted(rows, np.full(len(rows), 1 << size), kept).reshape(len(rows), -1)

    def along(self, rows: Ints, order: Ints) -> tuple[Floats, Floats, Floats]:
        """Gain of each channel of `rows` as it arrives, by first touchpoint; v(none), v(all)."""
        firsts = self.firsts_of(rows)
        row = owner(self.journeys.offsets)[firsts]
        arrival = np.argsort(order)[self.journeys.codes[firsts]]
        copies = self.distinct[rows] + 1
        starts = np.cumsum(copies) - copies
        by_arrival = np.lexsort((arrival, row))
        rank = np.empty(len(firsts), dtype=np.int64)
        own = np.concatenate(([0], np.cumsum(self.distinct[rows])))
        rank[by_arrival] = position(own)
        # `rank` is by row and label: where the ranks of each row begin.
        place = np.zeros(self.journeys.n_journeys, dtype=np.int64)
        place[rows] = own[:-1]
        owners = owner(self.journeys.offsets)

        def kept(copy: Ints, touchpoint: Ints) -> Mask:
            inside: Mask = rank[place[owners[touchpoint]] + self.label[touchpoint]] < copy
            return inside

        value = self._predicted(rows, copies, kept)
        at = spread(starts, own) + rank
        return value[at + 1] - value[at], value[starts], value[starts + copies - 1]

    def _predicted(self, rows: Ints, copies: Ints, kept: Callable[[Ints, Ints], Mask]) -> Floats:
        """Predictions for copies of rows that differ in the touchpoints kept.

        Args:
            rows: indices of journeys.
            copies: shape `(n_rows,)`, number of copies of each row.
            kept: a function of copy numbers and touchpoint indices, of equal shape: whether that
                copy keeps that touchpoint.
        """
        cost = copies * np.maximum(self.journeys.lengths[rows], 1)
        return np.concatenate(
            [
                self._predicted_at_once(rows[part], copies[part], kept)
                for part in chunks(cost, _CHUNK)
            ]
        )

    def _predicted_at_once(
        self, rows: Ints, copies: Ints, kept: Callable[[Ints, Ints], Mask]
    ) -> Floats:
        journeys = self.journeys
        copy = position(np.concatenate(([0], np.cumsum(copies))))
        row = np.repeat(rows, copies)
        offsets = np.concatenate(([0], np.cumsum(journeys.lengths[row])))
        touchpoint = position(offsets) + spread(journeys.offsets[row], offsets)
        mask = kept(spread(copy, offsets), touchpoint)
        touchpoint = touchpoint[mask]

        def pick(array: Floats | None, index: Numbers) -> Floats | None:
            return None if array is None else array[index]

        return _checked(
            self.predict,
            Journeys(
                channels=journeys.channels,
                codes=journeys.codes[touchpoint],
                offsets=keep(mask, offsets),
                conversions=np.zeros(len(row)),
                nulls=np.ones(len(row)),
                given_age=pick(journeys.age, touchpoint),
                given_at_risk=pick(journeys.at_risk, row),
            ),
        )


def _checked(predict: Predict, journeys: Journeys) -> Floats:
    predicted = np.asarray(predict(journeys), dtype=np.float64)
    if predicted.shape != (journeys.n_journeys,) or not np.isfinite(predicted).all():
        raise ParameterError(
            "predict_proba must return one finite probability of converting per journey, "
            f"shape ({journeys.n_journeys},); got shape {predicted.shape}. "
            "Return only the column of the conversion"
        )
    return predicted
