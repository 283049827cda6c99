"""From the fitted rate to credit: the split at each conversion, and the game of the horizon."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays
from mta_models.models.incremental.self_controlled.converter_games import (
    Thresholds,
    first_conversion_game,
)
from mta_models.models.incremental.self_controlled.relative_rate import Design, RelativeRate


def conversion_parts(design: Design, rate: RelativeRate) -> Floats:
    """How much of the rate at each conversion is due to each channel, `(n_events, n_channels)`."""
    due = design.per_row(lambda block: block.carried(rate.half_life)) * rate.effect
    baseline = design.per_row(lambda block: rate.baseline(block)[block.at_case])
    parts: Floats = due / (baseline + due.sum(axis=1))[:, None]
    return design.by_conversion(parts)


def horizon_game(design: Design, rate: RelativeRate, repeat: bool) -> HorizonGame:
    """Conversions of the converters over the horizon as a game of channels, solved.

    Args:
        design: the conversions; the sum of their weights is shared out.
        rate: fitted.
        repeat: whether users convert again.
    """
    return _repeat_game(design, rate) if repeat else _first_game(design, rate)


def _first_game(design: Design, rate: RelativeRate) -> HorizonGame:
    """Whether each converter would have converted by the end of observation."""

    def row(block: ControlDays) -> Floats:
        observed, at = block.observed, block.at_case
        baseline = rate.baseline(block) * observed
        days = baseline + rate.caused(block)
        step = days[at]
        alone = baseline.sum(axis=0) - (np.cumsum(days, axis=0)[at] - step)
        part = block.exposure(observed, rate.half_life) * rate.effect
        return np.column_stack([alone, step, part])

    rows = design.per_row(row)
    return first_conversion_game(Thresholds(rows[:, 0], rows[:, 2:], rows[:, 1]), design.weight)


def _repeat_game(design: Design, rate: RelativeRate) -> HorizonGame:
    """Each conversion in proportion to what its user's integrated rate is made of."""

    def row(block: ControlDays) -> Floats:
        baseline = (rate.baseline(block) * block.observed).sum(axis=0)
        part = block.exposure(block.observed, rate.half_life) * rate.effect
        share: Floats = part / (baseline + part.sum(axis=1))[:, None]
        return share

    each = design.weight @ design.per_row(row)
    total = float(design.weight.sum())
    return HorizonGame(each, each.copy(), total - float(each.sum()), total)
