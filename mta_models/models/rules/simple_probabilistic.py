"""The simple probabilistic model: conversion rates of channels and of pairs of channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, spread, sums_at
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, warn
from mta_models.models.base import AttributionModel, Resampling
from mta_models.models.distinct_channels import (
    by_channel,
    distinct_codes,
    split_over_channels,
    users_of,
    warn_without_nulls,
)


class SimpleProbabilistic(AttributionModel):
    """Second-order probabilistic model: conversion rates of channels, plus the effects of pairs.

    C(i) = P(y|i) + 1 / (2 (K − 1)) Σ_{j ≠ i} [P(y|i, j) − P(y|i) − P(y|j)], where P(y|i) is the
    conversion rate of users who met channel i and P(y|i, j) that of users who met both, with or
    without other channels, and K is the number of channels met. A conversion is split over its
    journey's distinct channels in proportion to max(C, 0), equally where no C is above 0.

    Estimand: `"rule"`: observed conversions are split with weights learnt from rates; the baseline
    is the conversions of journeys without a touchpoint.

    Assumptions: users who met a channel differ from others only in having met it; interactions are
    between pairs only. A pair that no user met has no rate and contributes nothing; an
    `IdentifiabilityWarning` and `unseen_pairs_` report it.
    Blind spots: order, repeats, times; intent; conversions that would have happened anyway.

    Attributes:
        score_: shape `(n_channels,)`, C per channel; NaN for a channel that no user met.

    Source: Shao & Li (2011), "Data-driven multi-touch attribution models", KDD, 258–264.

    Example:
        >>> from mta_models import Journeys, SimpleProbabilistic
        >>> paths = [["A"], ["B"], ["A", "B"]]
        >>> journeys = Journeys.from_paths(paths, [10, 20, 50], nulls=[90, 80, 50])
        >>> model = SimpleProbabilistic().fit(journeys)
        >>> model.score_.round(3)
        array([0.225, 0.275])
        >>> model.attribute(journeys).credit
        array([32.5, 47.5])
    """

    estimand = "rule"
    resampling: Resampling = "sets"
    score_: Floats
    _rates: _Rates

    @property
    def unseen_pairs_(self) -> list[tuple[str, str]]:
        """Pairs of channels that users met, but no user met both of; in the order of channels."""
        return [(self.channels_[i], self.channels_[j]) for i, j in self._rates.unseen()]

    def _fit(self, journeys: Journeys) -> None:
        self._rates = rates = _rates(journeys)
        gain = rates.both - rates.alone[rates.one] - rates.alone[rates.other]
        others = int(rates.met.sum()) - 1
        self.score_ = rates.alone + sums_at(rates.one, gain, len(rates.alone)) / (
            2 * max(others, 1)
        )
        warn_without_nulls(journeys)
        n_pairs = others * (others + 1) // 2
        unseen = n_pairs - len(rates.one) // 2  # every pair met is there twice: (i, j), (j, i)
        if unseen > 0:
            i, j = next(rates.unseen())
            warn(
                "every pair of channels should have been met by a user; "
                f"{unseen:,} of {n_pairs:,} pairs were not (the first: {journeys.channels[i]} and "
                f"{journeys.channels[j]}) and contribute nothing to the score. See unseen_pairs_; "
                "merge rare channels if this matters",
                IdentifiabilityWarning,
            )

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return by_channel(journeys, journeys.codes, self._touchpoint_credit(journeys, of))

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """Each channel's part of a row, at its first touchpoint in the row; adds up to credit."""
        weight = np.fmax(self.score_, 0)  # 0 for a channel that nobody met in the fit (NaN)
        return split_over_channels(journeys, journeys.outcome(of), weight)


@dataclass(frozen=True, eq=False)
class _Rates:
    """Conversion rates of users who met a channel, or two, with or without others.

    Attributes:
        met: shape `(n_channels,)`, whether any user met the channel.
        alone: shape `(n_channels,)`, P(y|i); NaN where nobody did.
        one: shape `(n_pairs,)`, channel i of each ordered pair that some user met both of.
        other: shape `(n_pairs,)`, channel j of each.
        both: shape `(n_pairs,)`, P(y|i, j).
    """

    met: Mask
    alone: Floats
    one: Ints
    other: Ints
    both: Floats

    def unseen(self) -> Iterator[tuple[int, int]]:
        """Pairs of channels that users met, but no user met both of; in the order of channels."""
        seen = set(zip(self.one.tolist(), self.other.tolist(), strict=True))
        return (
            pair for pair in combinations(np.flatnonzero(self.met).tolist(), 2) if pair not in seen
        )


def _rates(journeys: Journeys) -> _Rates:
    """Rates from two sparse products: co-occurrence weighted by users and by conversions."""
    from scipy import sparse

    n = journeys.n_channels
    codes, offsets = distinct_codes(journeys)
    conversions = journeys.outcome("conversions")
    shape = (journeys.n_journeys, n)
    incidence = sparse.csr_array((np.ones(len(codes)), codes, offsets), shape=shape)

    def together(weight: Floats) -> tuple[Ints, Floats]:
        """Pairs i·n + j with weight, ascending, and the weight of the rows that have both."""
        weighted = sparse.csr_array((spread(weight, offsets), codes, offsets), shape=shape)
        pairs = (incidence.T @ weighted).tocoo()
        cell = pairs.row.astype(np.int64) * n + pairs.col
        order = np.argsort(cell)
        order = order[pairs.data[order] > 0]
        return cell[order], pairs.data[order]

    cell, users = together(users_of(journeys))
    converting, converted = together(conversions)
    rate = np.zeros(len(cell))
    # Converters are users, so every pair with conversions is among the pairs met.
    rate[np.searchsorted(cell, converting)] = converted
    rate /= users
    one, other = cell // max(n, 1), cell % max(n, 1)
    itself = one == other
    alone = np.full(n, np.nan)
    alone[one[itself]] = rate[itself]
    return _Rates(~np.isnan(alone), alone, one[~itself], other[~itself], rate[~itself])
