"""What an estimator of `Incremental` is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.data.lift_tests import LiftTest

# Name of the reading in which entrances cause the purchases they were met before.
ENTRANCES_CAUSE = "entrances cause"
# Name of the reading in which channels that look like entrances are.
IS_ENTRANCE = "what looks like an entrance is one"
# Gain in log-likelihood from which an entrance has an effect of its own.
OWN_EFFECT = 8.0


@dataclass(frozen=True, eq=False)
class Settings:
    """What the user of `Incremental` said, by channel.

    Attributes:
        entrances: shape `(n_channels,)`, channels through which people come who have decided.
        guessed: whether `entrances` were guessed from names.
        bought: shape `(n_channels,)`, channels declared to be bought or pushed.
        lift_tests: randomised tests of channels.
        n_draws: number of draws for intervals; 0 for none.
    """

    entrances: Mask
    guessed: bool
    bought: Mask
    lift_tests: tuple[LiftTest, ...] = ()
    n_draws: int = 200


@dataclass(frozen=True, eq=False)
class Reading:
    """The answer under one reading of what the log cannot tell.

    Attributes:
        name: in a few words.
        sentence: what is taken to be true, and where the answer comes from.
        credit: shape `(n_channels,)`, conversions.
        baseline: conversions.
    """

    name: str
    sentence: str
    credit: Floats
    baseline: float


@dataclass(frozen=True, eq=False)
class Findings:
    """What a log shows of each channel that limits what can be said of its effect.

    Shapes are `(n_channels,)` unless said otherwise; amounts are conversions.

    Attributes:
        met: touchpoints.
        before: conversions that the channel was met before.
        near: conversions that it was met before within half a day.
        closed: how many purchases it may close, if its name says that it may close some: those of
            `near` beyond what chance would bring.
        looks: whether it is no entrance and yet is met within the hour before purchases and hardly
            on the days before.
        steady: whether all its touchpoints come at one time since the start of observation.
        slow: whether purchases follow it after days rather than at once.
        own_effect: of entrances: gain in log-likelihood of an effect of their own.
        more: whether a purchase brings about more touchpoints of it.
        fewer: whether a purchase stops some.
        brought: part of its touchpoints that other channels brought about.
        harm: z of an effect below 0; 0 where the effect is above 0, and for entrances.
        intent: whether the fit has intent that moves.
        needs: whether it has needs that raise visits and purchases together.
        between: whether users were compared with each other and not with themselves.
    """

    met: Floats
    before: Floats
    near: Floats
    closed: Floats
    looks: Mask
    steady: Mask
    slow: Mask
    own_effect: Floats
    more: Mask
    fewer: Mask
    brought: Floats
    harm: Floats
    intent: bool
    needs: bool
    between: bool


@dataclass(frozen=True, eq=False)
class Estimate:
    """How many of the conversions of some histories each channel caused, with draws.

    Amounts are in conversions. Credit and baseline add up to the histories' total, and so does
    each draw.

    Attributes:
        credit: shape `(n_channels,)`.
        baseline: caused by no channel.
        removal: shape `(n_channels,)`, conversions lost without each channel alone.
        draws: shape `(n_draws, n_channels)`, with all uncertainty that `holds` names.
        baseline_draws: shape `(n_draws,)`.
        holds: the uncertainty that `draws` cover, in words.
        parts: shape `(n_events, n_channels)`, how much of each conversion is due to each channel;
            a row sums to at most 1 where effects are not negative.
        half_life: shape `(n_channels,)`, days, by which credit is divided among touchpoints.
        readings: the answers under other readings; the first is the answer itself.
        notes: what the estimator found out about the log, one sentence each.
        sampling_draws: as `draws`, with chance in who was observed only; None: `draws` hold only
            that.
        sampling_baseline_draws: shape `(n_draws,)`, or None.
        found: what limits the answer; None where no channel was met before any conversion.
    """

    credit: Floats
    baseline: float
    removal: Floats
    draws: Floats
    baseline_draws: Floats
    holds: str
    parts: Floats
    half_life: Floats
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = field(default=())
    sampling_draws: Floats | None = None
    sampling_baseline_draws: Floats | None = None
    found: Findings | None = None


def nothing_credited(n_events: int, n_channels: int, total: float, n_draws: int) -> Estimate:
    """The estimate where no channel was met before any conversion: all is baseline."""
    zeros = np.zeros(n_channels)
    return Estimate(
        credit=zeros,
        baseline=total,
        removal=zeros,
        draws=np.zeros((n_draws, n_channels)),
        baseline_draws=np.full(n_draws, total),
        holds="nothing: no channel was met before a conversion",
        parts=np.zeros((n_events, n_channels)),
        half_life=np.full(n_channels, 7.0),
    )
