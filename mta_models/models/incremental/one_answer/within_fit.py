"""The fit of `Incremental`: treated histories in, the fitted rate and what was found out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories
from mta_models.models.incremental.half_lives import GRID
from mta_models.models.incremental.one_answer.background import (
    Column,
    background_of,
    near_conversions,
    without_conversion,
)
from mta_models.models.incremental.one_answer.entrances import WINDOW, treat, until_next_event
from mta_models.models.incremental.one_answer.passing_on import brought_about
from mta_models.models.incremental.one_answer.results import OWN_EFFECT
from mta_models.models.incremental.one_answer.spacing import spaced
from mta_models.models.incremental.one_answer.undoing import Changes, changes_of, undone
from mta_models.models.incremental.one_answer.within_rate import (
    AnswerRate,
    Free,
    fit_half_lives,
    fit_rate,
    fit_time,
    start_rate,
)
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.moving_intent import MOVING, required_gain
from mta_models.models.incremental.self_controlled.relative_rate import Design
from mta_models.models.incremental.self_controlled.volume_groups import (
    group_edges,
    n_groups,
    volume,
)

# Half-lives at which an effect of an entrance's own is looked for.
_TRIED = (1.0, 3.0, 8.0)
# Touchpoints of an entrance away from purchases, below which no effect is looked for.
_FEWEST = 20
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class WithinFit:
    """A fit, with what was found out about the log on the way.

    Attributes:
        treated: the histories without entrances' touchpoints shortly before conversions.
        design: their conversions with control days.
        rate: fitted.
        free: which channels may have an effect.
        value: the conditional log-likelihood.
        near: shape `(n_channels,)`, touchpoints within half a day before a conversion.
        changes: what purchases change of later touchpoints.
        brought: shape `(n_channels, n_channels)`, of `brought_about`.
        intent_gain: gain in log-likelihood of moving intent.
        intent_kept: whether it is part of the fit.
        own_effect: shape `(n_channels,)`, gain of an entrance's own effect, 0 where not tried.
    """

    treated: Histories
    design: Design
    rate: AnswerRate
    free: Free
    value: float
    near: Floats
    changes: Changes
    brought: Floats
    intent_gain: float
    intent_kept: bool
    own_effect: Floats

    @property
    def repeat(self) -> bool:
        """Whether users convert again."""
        return self.treated.repeats


@dataclass(frozen=True, eq=False)
class Prepared:
    """What does not depend on the weights of users: found once, for refits too."""

    treated: Histories
    near: Floats
    changes: Changes
    columns: tuple[Column, ...]
    brought: Floats


def prepare_log(histories: Histories, entrances: Mask) -> Prepared:
    """Treat a log, and measure what accompanies purchases and what follows them."""
    others = without_conversion(histories)
    near = near_conversions(histories, until_next_event(histories), WINDOW)
    brought = brought_about(others)
    return Prepared(
        treated=treat(histories, entrances),
        near=near,
        changes=changes_of(histories),
        columns=background_of(others, entrances, near, brought),
        # A visit through an entrance takes no credit of what follows it.
        brought=np.where(entrances[:, None], 0.0, brought),
    )


def fit_within(log: Prepared, entrances: Mask) -> WithinFit:
    """Fit the rate to a treated log.

    Args:
        log: prepared.
        entrances: shape `(n_channels,)`.
    """
    design = design_of(log)
    repeat, k = log.treated.repeats, design.n_channels
    free = Free(
        np.where(entrances, 0.0, 1.0) if log.columns else np.ones(k),
        # Channels that a purchase changes show it on one side only.
        np.where(log.changes.more | log.changes.fewer, 0.0, 1.0),
    )
    rate = start_rate(design, log.columns, n_groups(log.treated), repeat)
    rate, value = _fit_in_turn(design, rate, free, half_lives=True)
    rate, value, gain, kept = _with_intent(design, rate, value, free)
    rate, value, free, own = _with_entrances(design, rate, value, free, log)
    return WithinFit(
        treated=log.treated,
        design=design,
        rate=rate,
        free=free,
        value=value,
        near=log.near,
        changes=log.changes,
        brought=log.brought,
        intent_gain=gain,
        intent_kept=kept,
        own_effect=own,
    )


def design_of(log: Prepared) -> Design:
    """The conversions with control days, on which exposure is as if nobody had bought."""
    converters = log.treated.take(np.unique(log.treated.event_user))
    blocks = [undone(block, log.changes) for block in control_days(converters)]
    if log.treated.repeats:
        blocks = [spaced(block, converters) for block in blocks]
    edges = group_edges(log.treated)
    group = np.searchsorted(edges, volume(converters)[converters.event_user], side="right")
    return Design(blocks, group, log.treated.event_weight)


def _fit_in_turn(
    design: Design, rate: AnswerRate, free: Free, half_lives: bool
) -> tuple[AnswerRate, float]:
    """Effects and factors of time in turn, then half-lives, then both again."""
    rate = replace(rate, effect=np.where(rate.effect > 0, rate.effect, 0.05) * free.effect)
    rate, value = fit_rate(design, rate, free)
    for _ in range(_ROUNDS):
        rate, value = fit_rate(design, fit_time(design, rate), free)
    if half_lives:
        rate = fit_half_lives(design, rate, free)
        rate, _ = fit_rate(design, rate, free)
        rate, value = fit_rate(design, fit_time(design, rate), free)
    return rate, value


def _with_intent(
    design: Design, rate: AnswerRate, value: float, free: Free
) -> tuple[AnswerRate, float, float, bool]:
    """Frailty that shows in touchpoints and intent that moves, each where it gains enough."""
    k = design.n_channels
    required = required_gain(k)

    def tried(spans: tuple[float, ...]) -> tuple[AnswerRate, float]:
        wider = replace(rate, spans=np.array(spans), intent=np.zeros((len(spans), k)))
        return fit_rate(design, wider, free)

    with_frailty, reached = tried((np.inf,))
    if reached - value > required:
        rate, value = fit_rate(design, fit_time(design, with_frailty), free)
    moving, reached = tried((*MOVING, *rate.spans.tolist()))
    gain = reached - value
    if gain <= required:
        return rate, value, gain, False
    for _ in range(_ROUNDS):
        moving, reached = fit_rate(design, fit_time(design, moving), free)
    moving = fit_half_lives(design, moving, free)
    return *fit_rate(design, moving, free), gain, True


def _with_entrances(
    design: Design, rate: AnswerRate, value: float, free: Free, log: Prepared
) -> tuple[AnswerRate, float, Free, Floats]:
    """Effects of single entrances that visits on the way do not explain, the clearest first."""
    k = design.n_channels
    met = np.bincount(log.treated.codes, minlength=k)
    waiting = [int(c) for c in np.flatnonzero((free.effect == 0) & (met > _FEWEST))]
    own, added = np.zeros(k), False
    while waiting:
        best_gain, best, best_rate = -np.inf, -1, rate
        for channel in waiting:
            one = np.arange(k) == channel
            allowed = replace(free, effect=np.where(one, 1.0, free.effect))
            for half_life in _TRIED:
                tried, reached = fit_rate(
                    design,
                    replace(
                        rate,
                        half_life=np.where(one, half_life, rate.half_life),
                        effect=np.where(one, 0.05, rate.effect),
                    ),
                    allowed,
                )
                own[channel] = max(own[channel], reached - value)
                if reached - value > best_gain:
                    best_gain, best, best_rate = reached - value, channel, tried
        if best_gain < OWN_EFFECT:
            break
        free = replace(free, effect=np.where(np.arange(k) == best, 1.0, free.effect))
        waiting.remove(best)
        rate, value, added = best_rate, value + best_gain, True
    if added:
        rate = fit_half_lives(design, rate, free)
        rate, value = fit_rate(design, rate, free)
    return rate, value, free, own


def places_on_grid(rate: AnswerRate) -> Ints:
    """The place on the grid of each channel's half-life, shape `(n_channels,)`."""
    places: Ints = np.argmin(np.abs(np.log(rate.half_life[:, None] / GRID)), axis=1)
    return places
