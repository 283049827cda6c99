"""The verdict on each channel: whether the log identifies its effect, and by what assumption.

The rules were made on seeds below 100 and draws 0 and 1 of the worlds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.models.incremental.one_answer.results import (
    ENTRANCES_CAUSE,
    IS_ENTRANCE,
    OWN_EFFECT,
    Estimate,
    Findings,
    Settings,
)

Status = Literal["identified", "bounded", "not identified"]

# Credit, and purchases that a channel may close, that matter: part of all conversions.
_MATTERS = 0.02
# Conversions of a log that are few, and conversions after a channel that are too few.
_FEW, _FEWEST = 1_000.0, 30.0
# z of harm; part of a channel's touchpoints that others brought
# about; width of an interval over the credit.
_HARM, _BROUGHT, _WIDE = -3.0, 0.2, 1.5


@dataclass(frozen=True)
class ChannelVerdict:
    """What the log says about one channel, in conversions.

    Attributes:
        channel: its name.
        status: `"identified"`: the log gives the effect, under the assumption; `"bounded"`: it
            gives bounds, and the credit within them rests on more than the log; `"not identified"`:
            it does not even give bounds.
        assumption: what carries the number, in one sentence.
        credit: of the answer.
        lower: bound of the 90% interval.
        upper: bound of the 90% interval.
        other_reading: the credit if the assumption is false, or None where there is no other
            reading.
    """

    channel: str
    status: Status
    assumption: str
    credit: float
    lower: float
    upper: float
    other_reading: float | None = None


@dataclass(frozen=True, eq=False)
class _Rule:
    """Channels to which it applies, and what it says of them, with `{}` for the name."""

    applies: Mask
    status: Status
    assumption: str
    other: Floats | None = None


def verdict_of(
    channels: tuple[str, ...], met: Mask, estimate: Estimate, settings: Settings
) -> tuple[ChannelVerdict, ...]:
    """The verdict on each channel, in their order: that of the first rule that applies.

    Args:
        channels: names.
        met: shape `(n_channels,)`, whether any user met the channel.
        estimate: the answer; its second reading, if there is one, is that entrances cause.
        settings: which channels are entrances, and tested.
    """
    lower, upper = _bounds(estimate)
    tested = {each.channel for each in settings.lift_tests}
    given = np.fromiter((each in tested for each in channels), dtype=bool, count=len(channels))
    rules = [
        _Rule(given, "identified", "The people of the lift test of {} are like all others."),
        *_rules(met, estimate, settings, lower, upper),
    ]
    verdicts = []
    for code, channel in enumerate(channels):
        rule = next(each for each in rules if each.applies[code])
        verdicts.append(
            ChannelVerdict(
                channel,
                rule.status,
                rule.assumption.replace("{}", channel),
                float(estimate.credit[code]),
                float(lower[code]),
                float(upper[code]),
                None if rule.other is None else float(rule.other[code]),
            )
        )
    return tuple(verdicts)


def _bounds(estimate: Estimate) -> tuple[Floats, Floats]:
    if not len(estimate.draws):
        return estimate.credit, estimate.credit
    lower, upper = np.quantile(estimate.draws, (0.05, 0.95), axis=0)
    return lower, upper


def _rules(
    met: Mask, estimate: Estimate, settings: Settings, lower: Floats, upper: Floats
) -> list[_Rule]:
    """All rules, in order; the last applies to every channel."""
    everyone = np.ones(len(met), dtype=bool)
    unmet = _Rule(~met, "not identified", "Nobody met {}.")
    usual = _Rule(
        everyone,
        "identified",
        "What else makes people buy shows equally in touchpoints of {} before and after a day.",
    )
    found = estimate.found
    if found is None:
        nobody = "No channel was met before any conversion."
        return [unmet, _Rule(everyone, "identified", nobody)]
    total = float(estimate.credit.sum()) + estimate.baseline
    readings = {each.name: each.credit for each in estimate.readings}
    causes, is_entrance = readings.get(ENTRANCES_CAUSE), readings.get(IS_ENTRANCE)
    matters = estimate.credit > _MATTERS * total
    few = found.before < _FEWEST
    return [
        unmet,
        _Rule(
            found.steady,
            "not identified",
            "All touchpoints of {} come at one time since the start of observation, so that its "
            "effect looks like any other reason to buy soon, or late.",
        ),
        _Rule(
            found.looks,
            "bounded",
            "{} makes people buy at once; it comes right before purchases, as entrances do.",
            is_entrance,
        ),
        *_entrance_rules(settings.entrances, found, _MATTERS * total, causes),
        _Rule(
            everyone & found.between,
            "not identified",
            "Users who meet {} more would not buy more without it.",
        ),
        _Rule(
            few & (upper > _MATTERS / 2 * total),
            "bounded",
            f"Fewer than {_FEWEST:g} conversions came after " + "{}, and they are typical.",
        ),
        *_effect_rules(found, matters & ~settings.entrances),
        _Rule(
            matters & (total < _FEW),
            "bounded",
            "The few conversions of this log are typical of those after {}.",
        ),
        _Rule(
            matters & (upper - lower > _WIDE * estimate.credit),
            "bounded",
            "{} works on few people or little, and those who bought after it are typical.",
        ),
        usual,
    ]


def _entrance_rules(
    entrances: Mask, found: Findings, matters: float, causes: Floats | None
) -> list[_Rule]:
    """Rules of channels through which people come who have decided."""
    zeros = np.zeros(len(entrances))
    return [
        _Rule(
            found.closed > matters,
            "bounded",
            "Who came through {} within 12 hours before a purchase had decided to buy; no log "
            "shows who would not have bought without it.",
            causes,
        ),
        _Rule(
            entrances & (found.own_effect >= OWN_EFFECT),
            "bounded",
            "Earlier visits through {} make people buy, and do not only come before they buy.",
            zeros,
        ),
        _Rule(
            entrances,
            "identified",
            "People who came through {} within 12 hours before a purchase had decided to buy.",
            causes,
        ),
    ]


def _effect_rules(found: Findings, credited: Mask) -> list[_Rule]:
    """Rules of channels that are bought or pushed: what disturbs a comparison with other days."""
    everyone = np.ones(len(credited), dtype=bool)
    return [
        _Rule(
            found.more,
            "bounded",
            "A purchase brings about more touchpoints of {}, as many as were found and taken out.",
        ),
        _Rule(
            found.harm < _HARM,
            "bounded",
            "{} may harm: people buy less after it, which credit, never below 0, cannot show.",
        ),
        _Rule(
            found.fewer & credited,
            "bounded",
            "A purchase stops touchpoints of {}, as many as were found and put back.",
        ),
        _Rule(
            (found.brought > _BROUGHT) & credited,
            "bounded",
            "Other channels bring about many touchpoints of {}, and have half of their effect.",
        ),
        _Rule(
            everyone & (found.intent | found.needs) & credited,
            "bounded",
            "Needs that come and go raise touchpoints of {} and purchases together, as far as "
            "other touchpoints show them.",
        ),
        _Rule(
            found.slow & credited,
            "bounded",
            "Decisions take days after {}, but none takes longer than its effect was followed.",
        ),
    ]
