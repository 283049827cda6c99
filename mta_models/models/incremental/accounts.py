"""Conversions of some histories, or their value, split over channels and a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journey_arrays import JourneyArrays
from mta_models.data.kernels import Kernel
from mta_models.errors import JourneyError
from mta_models.models.incremental.horizon_games import HorizonGame, scaled_to


@dataclass(frozen=True, eq=False)
class Account:
    """The outcomes of some histories, split.

    Attributes:
        credit: shape `(n_channels,)`.
        baseline: what no channel is credited with.
        removal: shape `(n_channels,)`, conversions lost without each channel alone; None where the
            split is not over the horizon.
    """

    credit: Floats
    baseline: float
    removal: Floats | None = None


def account_of(
    histories: Histories,
    outcome: Floats,
    of: str,
    parts: Callable[[], Floats],
    game: Callable[[], HorizonGame] | None,
) -> Account:
    """Split the conversions of some histories, or their value.

    Args:
        histories: whose conversions.
        outcome: shape `(n_journeys,)`, of the journeys they came from.
        of: `"conversions"` or `"value"`.
        parts: gives the split of the hazard at each conversion, `(n_events, n_channels)`. Called
            only where it is needed.
        game: gives the game of the horizon; None: split by `parts` alone.
    """
    total = float(outcome.sum())
    if histories.total == 0:
        return Account(np.zeros(histories.n_channels), total)
    amounts = outcome[histories.event_row] if of == "value" else histories.event_weight
    if game is None:
        credit = amounts @ parts()
        return Account(credit, total - float(credit.sum()))
    solved = game()
    credit, baseline = solved.scaled(histories.total)
    removal = solved.removal * (histories.total / solved.everyone if solved.everyone else 0.0)
    if of == "value":
        credit, baseline = in_value(credit, baseline, parts(), histories, amounts)
    return Account(credit, baseline, removal)


def placed_in_journeys(each: Floats, histories: Histories, n: int) -> Floats:
    """Amounts of the histories' touchpoints, in the order of the journeys' ones, shape `(n,)`."""
    where = histories.touchpoint
    if where is None:
        return each
    there = where >= 0
    return np.bincount(where[there], each[there], n).astype(np.float64)


def split_by_age(parts: Floats, amounts: Floats, histories: Histories, kernel: Kernel) -> Floats:
    """Parts of conversions divided among earlier touchpoints, `(n_touchpoints,)` of the histories.

    Args:
        parts: shape `(n_events, n_channels)`, of each conversion.
        amounts: shape `(n_events,)`, of each conversion.
        histories: of these conversions.
        kernel: a channel's touchpoints have parts in proportion to their weights at their ages.
    """
    adstock = histories.adstock(kernel)
    rate = np.divide(parts, adstock, out=np.zeros_like(parts), where=adstock > 0)
    rate *= amounts[:, None]
    event, touchpoint, age = histories.pairs
    code = histories.codes[touchpoint]
    each = rate[event, code] * kernel.weight(age, code)
    return np.bincount(touchpoint, each, len(histories.time)).astype(np.float64)


def shared_over_touchpoints(
    credit: Floats, placed: Floats, exposure: Callable[[], Floats], journeys: JourneyArrays
) -> Floats:
    """Amounts of touchpoints, scaled so that each channel's add up to its credit.

    Args:
        credit: shape `(n_channels,)`.
        placed: shape `(n_touchpoints,)`, amounts of the journeys' touchpoints.
        exposure: gives other amounts, `(n_touchpoints,)`, for channels whose amounts sum to 0.
        journeys: whose touchpoints.

    Raises:
        JourneyError: a credited channel has no touchpoint in the journeys.
    """
    codes = journeys.codes
    given = np.bincount(codes, placed, len(credit))
    bare = (given == 0) & (credit != 0)
    if bare.any():
        # No conversion followed a touchpoint of these channels: place them by exposure.
        placed = np.where(bare[codes], exposure(), placed)
        given = np.bincount(codes, placed, len(credit))
    lost = np.flatnonzero((given == 0) & (credit != 0))
    if len(lost):
        raise JourneyError(
            "every credited channel must have a touchpoint in the journeys to place it on; "
            f"{journeys.channels[lost[0]]} has none within the lookback. Read the events "
            "without a lookback"
        )
    scale = np.divide(credit, given, out=np.zeros(len(credit)), where=given != 0)
    share: Floats = placed * scale[codes]
    return share


def in_value(
    credit: Floats, baseline: float, parts: Floats, histories: Histories, value: Floats
) -> tuple[Floats, float]:
    """Credit and baseline in conversions turned into value.

    A channel's conversions are worth the mean value of the conversions that it has a part in,
    weighted by these parts; the mean of all where it has a part in none. Scaled to the total value.

    Args:
        credit: shape `(n_channels,)`, conversions.
        baseline: conversions.
        parts: shape `(n_events, n_channels)`, of each conversion.
        histories: of these conversions.
        value: shape `(n_events,)`.
    """
    worths, rest = worths_of(parts, histories, value)
    return scaled_to(float(value.sum()), credit * worths, baseline * rest)


def worths_of(parts: Floats, histories: Histories, value: Floats) -> tuple[Floats, float]:
    """The value of a conversion of each channel, `(n_channels,)`, and of one of the baseline.

    Arguments are those of `in_value`, which says what it is.
    """
    mean = float(value.sum() / histories.total)

    def worth(share: Floats) -> float:
        conversions = float(share @ histories.event_weight)
        return float(share @ value) / conversions if conversions else mean

    return np.array([worth(share) for share in parts.T]), worth(1 - parts.sum(axis=1))
