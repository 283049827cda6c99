"""Intent that changes over time within a user, and when it becomes part of the fit.

Effects act forwards only, while a period of high intent raises exposure before and after it. So the
baseline may rise with touchpoints on both sides: m = 1 + Σ_cq δ_cq (past + future touchpoints of c,
faded with half-life q), δ ≥ 0. The part of the rate that past and future touchpoints predict
equally is then in the baseline and not credited. With an infinite q the same columns stand for
frailty: a baseline that is higher for users with many touchpoints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    fit_effects_and_intent,
    fit_half_lives,
    fit_time_factors,
    joint_terms,
)

# Half-lives, days, of the touchpoints that stand for moving intent, and of those for frailty.
MOVING, _FRAILTY = (3.0, 8.0), (np.inf,)
# Gain in log-likelihood that a correction needs: a minimum, and an amount per channel, since every
# parameter gains by noise; and the fraction of it that is enough after the lead test rejected.
_GAIN, _GAIN_PER_CHANNEL, _GAIN_REJECTED = 15.0, 2.5, 2 / 3
_ROUNDS = 3
# Standard errors within which a gain is close to the one required, so that a draw may decide
# otherwise.
_CLOSE = 2.0


@dataclass(frozen=True, eq=False)
class MovingIntent:
    """The correction for intent that changes over time within a user.

    Attributes:
        kept: whether the correction is part of the fit.
        gain: in log-likelihood, over the fit without the correction.
        effect: δ, shape `(2, n_channels)`: how much a touchpoint of a channel, past or future,
            raises its user's baseline, with half-lives of 3 and of 8 days.
    """

    kept: bool
    gain: float
    effect: Floats


@dataclass(frozen=True, eq=False)
class Gate:
    """What decides whether moving intent is kept, where other users might have decided otherwise.

    Attributes:
        plain: the fit without moving intent.
        tried: the same factors of time and half-lives, with moving intent.
        moving: the fit with moving intent.
        required: the gain that moving intent needs.
    """

    plain: RelativeRate
    tried: RelativeRate
    moving: RelativeRate
    required: float

    def gains(self, design: Design) -> Floats:
        """The gain in log-likelihood of each conversion, shape `(n_events,)`."""
        terms, spans = joint_terms(design, self.tried), len(self.plain.spans)
        intent = np.zeros_like(self.tried.intent)
        intent[len(intent) - spans :] = self.plain.intent
        before, after = (
            terms.values(np.concatenate([effect, delta.ravel()]))
            for effect, delta in (
                (self.plain.effect, intent),
                (self.tried.effect, self.tried.intent),
            )
        )
        return design.by_conversion(after - before)


@dataclass(frozen=True)
class Search:
    """Which parts of the rate are fitted, and when moving intent is kept.

    Attributes:
        half_lives: whether half-lives are chosen.
        calendar: whether weeks have a factor.
        always: whether moving intent is kept even without a gain.
        rejected: whether the lead test rejected.
    """

    half_lives: bool
    calendar: bool
    always: bool
    rejected: bool


def no_moving_intent(n_channels: int) -> MovingIntent:
    """A `MovingIntent` that is not kept, with zeros."""
    return MovingIntent(False, 0.0, np.zeros((len(MOVING), n_channels)))


def fit_frailty_columns(
    design: Design, rate: RelativeRate, value: float, calendar: bool
) -> tuple[RelativeRate, float, bool]:
    """Add the columns that stand for frailty, if they gain enough.

    Returns:
        The rate, its log-likelihood, and whether the columns are part of it.
    """
    tried, reached = fit_effects_and_intent(design, rate, np.array(_FRAILTY))
    if reached - value <= required_gain(design.n_channels):
        return rate, value, False
    tried = fit_time_factors(design, tried, calendar)
    return *fit_effects_and_intent(design, tried, tried.spans), True


def fit_moving_intent(
    design: Design, rate: RelativeRate, value: float, search: Search
) -> tuple[RelativeRate, float, MovingIntent, Gate | None]:
    """Add moving intent, if it gains enough.

    Returns:
        The rate, its log-likelihood, the correction, and what decided; None where the gain differs
        from the one required by more than two standard errors (as in Vuong 1989).
    """
    spans = np.array((*MOVING, *rate.spans))
    tried, reached = fit_effects_and_intent(design, rate, spans)
    gain = reached - value
    required = required_gain(design.n_channels) * (_GAIN_REJECTED if search.rejected else 1)
    gate = Gate(rate, tried, rate, required)
    weight = design.by_conversion(design.weight) * design.copies
    spread = float(np.sqrt(weight @ gate.gains(design) ** 2))
    close = not search.always and abs(gain - required) < _CLOSE * spread
    kept = search.always or gain > required
    correction = MovingIntent(kept, gain, tried.intent[: len(MOVING)])
    if not kept and not close:
        return rate, value, correction, None
    moving, reached = _fit_rest(design, tried, search)
    gate = replace(gate, moving=moving)
    if not kept:
        return rate, value, correction, gate
    correction = replace(correction, effect=moving.intent[: len(MOVING)])
    return moving, reached, correction, gate if close else None


def _fit_rest(design: Design, tried: RelativeRate, search: Search) -> tuple[RelativeRate, float]:
    """The rest of the rate, fitted again with moving intent in it, and the log-likelihood."""
    spans, reached = tried.spans, 0.0
    for _ in range(_ROUNDS):
        tried = fit_time_factors(design, tried, search.calendar)
        tried, reached = fit_effects_and_intent(design, tried, spans)
    if search.half_lives:
        tried, reached = fit_effects_and_intent(design, fit_half_lives(design, tried), spans)
    return tried, reached


def required_gain(n_channels: int) -> float:
    """The gain in log-likelihood that a correction needs to become part of a fit."""
    return max(_GAIN, _GAIN_PER_CHANNEL * n_channels)
