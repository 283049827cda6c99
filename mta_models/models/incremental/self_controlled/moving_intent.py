"""Intent that comes and goes within a user, and the gate that lets it into the fit.

Effects act forwards only; a burst of wanting to buy raises exposure before and after its moment. So
the baseline is let rise with touchpoints of both sides, m = 1 + Σ_cq δ_cq (past + future ones of c,
faded with half-life q), δ ≥ 0, and what both sides tell alike is not credited. With q infinite the
same columns are a user's own level: a baseline that is higher for users of many touchpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    with_effects_and_intent,
    with_half_lives,
    with_time,
)

# Half-lives, days, of what stands for moving intent; and of what stands for a user's level.
MOVING, _LEVEL = (3.0, 8.0), (np.inf,)
# p of the lead test below which moving intent is let in for less.
ALARM = 0.01
# Log-likelihood that intent must gain, at least and per channel (noise gains with every parameter),
# and the part of it that will do after an alarm.
_GAIN, _GAIN_PER_CHANNEL, _GAIN_ALARMED = 15.0, 2.5, 2 / 3
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class MovingIntent:
    """What the correction for intent that moves within a user came to.

    Attributes:
        kept: whether it is part of the fit.
        gain: in log-likelihood, over the fit without it.
        effect: δ, shape `(2, n_channels)`: by how much a touchpoint of a channel, past or future,
            marks its user's baseline as raised, with half-lives of 3 and of 8 days.
    """

    kept: bool
    gain: float
    effect: Floats


@dataclass(frozen=True)
class Search:
    """What is free, and how readily intent is let in.

    Attributes:
        half_lives: whether they are chosen.
        calendar: whether weeks have a factor.
        always: whether moving intent is kept whatever it gains.
        alarmed: whether the lead test rejected.
    """

    half_lives: bool
    calendar: bool
    always: bool
    alarmed: bool


def no_moving_intent(n_channels: int) -> MovingIntent:
    """Intent that does not move."""
    return MovingIntent(False, 0.0, np.zeros((len(MOVING), n_channels)))


def with_levels(
    design: Design, rate: RelativeRate, value: float, calendar: bool
) -> tuple[RelativeRate, float, bool]:
    """The rate with levels, if they gain enough; its log-likelihood; whether they did."""
    tried, found = with_effects_and_intent(design, rate, np.array(_LEVEL))
    if found - value <= _needed(design.n_channels):
        return rate, value, False
    tried = with_time(design, tried, calendar)
    return *with_effects_and_intent(design, tried, tried.spans), True


def with_moving_intent(
    design: Design, rate: RelativeRate, value: float, search: Search
) -> tuple[RelativeRate, float, MovingIntent]:
    """The rate with moving intent, if it gains enough; its log-likelihood; what it came to."""
    spans = np.array((*MOVING, *rate.spans))
    tried, found = with_effects_and_intent(design, rate, spans)
    gain = found - value
    needed = _needed(design.n_channels) * (_GAIN_ALARMED if search.alarmed else 1)
    if not search.always and gain <= needed:
        return rate, value, MovingIntent(False, gain, tried.intent[: len(MOVING)])
    for _ in range(_ROUNDS):
        tried = with_time(design, tried, search.calendar)
        tried, found = with_effects_and_intent(design, tried, spans)
    if search.half_lives:
        tried, found = with_effects_and_intent(design, with_half_lives(design, tried), spans)
    return tried, found, MovingIntent(True, gain, tried.intent[: len(MOVING)])


def _needed(n_channels: int) -> float:
    return max(_GAIN, _GAIN_PER_CHANNEL * n_channels)
