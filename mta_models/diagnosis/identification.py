"""The verdict: which effects the answer of `Incremental` identifies, and what to test next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.model_checks import ModelContext
from mta_models.diagnosis.path_checks import phrase
from mta_models.diagnosis.worth_of_tests import MOVED, value_of_tests
from mta_models.errors import MTAError
from mta_models.models.incremental.one_answer.verdict import ChannelVerdict

# With fewer conversions, only large effects show.
_PLENTY = 1_000
# Part of the users who go without a channel in the test that is priced.
_HELD_OUT = 0.1
_WORTH = 0.5  # conversions below which a test is worth nothing
_NO_TIMES = (
    "Without the timelines of users no channel's effect is identified by these journeys: credit "
    "shows who was present. Read an event log, or run a randomised holdout of a channel."
)


def verdicts(fits: ModelContext, findings: Iterable[Finding]) -> tuple[ChannelVerdict, ...]:
    """The verdict of `Incremental` on each channel that was met.

    A channel whose touchpoints ahead predict conversions even after the correction for moving
    intent (a failed `lead_test`) is bounded at best.
    """
    model = fits.answer
    failed = {
        channel
        for each in findings
        if each.name == "lead_test" and each.severity == "caution"
        for channel in each.channels
    } - set(model.entrances_)
    met = np.bincount(fits.journeys.histories.codes, minlength=fits.journeys.n_channels) > 0
    found = []
    for each, here in zip(model.verdict_, met.tolist(), strict=True):
        if each.status == "identified" and each.channel in failed:
            words = f"What fails the lead test of {each.channel} is no bias of its credit."
            each = replace(each, status="bounded", assumption=words)
        if here:
            found.append(each)
    return tuple(found)


def worth_of_tests(fits: ModelContext) -> dict[str, float]:
    """By channel, highest first, the expected value of knowing its effect, in conversions.

    Effects are those of the draws of `Incremental`, per touchpoint or, where the log has costs, per
    unit of money. The decision is that of `value_of_tests`, between channels on which one can
    spend: those without cost in a log with costs, and entrances that close no sales, are left out.
    """
    channels, volume, _ = _spending(fits)
    if len(channels) < 2:
        return {}
    draws = fits.answer.attribute(fits.journeys).draws
    assert draws is not None
    worth = value_of_tests(draws[:, channels] / volume, volume)
    order = np.argsort(-worth, kind="stable")
    return {fits.journeys.channels[channels[i]]: float(worth[i]) for i in order}


def _spending(fits: ModelContext) -> tuple[Ints, Floats, bool]:
    """The codes of channels on which one can spend, their touchpoints or costs, and which it is."""
    journeys, model = fits.journeys, fits.answer
    report = journeys.report
    cost = np.array([report.cost.get(each, 0.0) if report else 0.0 for each in journeys.channels])
    open_ = np.array(
        [
            each.channel not in model.entrances_ or each.status != "identified"
            for each in model.verdict_
        ]
    )
    if ((cost > 0) & open_).sum() >= 2:
        codes = np.flatnonzero((cost > 0) & open_)
        return codes, cost[codes], True
    histories = journeys.histories
    met = np.bincount(
        histories.codes, histories.weight[histories.owner], journeys.n_channels
    ).astype(np.float64)
    codes = np.flatnonzero((met > 0) & open_)
    return codes, met[codes], False


def verdict(
    journeys: Journeys,
    fits: ModelContext,
    findings: Iterable[Finding],
    worth: Mapping[str, float],
) -> str:
    """A few sentences: the effects that these journeys identify, and what to test next."""
    if not journeys.total:
        return "Nobody converts: no effect can be estimated from these journeys."
    if journeys.timeline is None:
        return _NO_TIMES
    try:
        found = verdicts(fits, findings)
    except MTAError as refusal:
        return f"No channel's effect can be estimated from these journeys: {refusal}."
    text = " ".join([*_statuses(found), *_assumptions(found)])
    if journeys.total < _PLENTY:
        text += f" With {journeys.total:,.10g} conversions, only large effects are detectable."
    return f"{text} {_next_test(fits, worth)}" if worth else text


def _statuses(found: Iterable[ChannelVerdict]) -> list[str]:
    """The channels of each status; those that are bounded with their bounds."""
    sorted_: dict[str, list[str]] = {"identified": [], "bounded": [], "not identified": []}
    for each in found:
        bounds = f" ({each.lower:,.0f} to {each.upper:,.0f} conversions)"
        named = each.channel if each.status == "identified" else each.channel + bounds
        sorted_[each.status].append(named)
    said = []
    if sorted_["identified"]:
        named = phrase(sorted_["identified"], most=8)
        said.append(f"As `Incremental` reads them, these journeys identify the effect of {named}.")
    else:
        said.append("These journeys alone identify no channel's effect.")
    if sorted_["bounded"]:
        said.append(f"They bound that of {phrase(sorted_['bounded'], most=8)}.")
    if sorted_["not identified"]:
        named = phrase(sorted_["not identified"], "or", most=8)
        said.append(f"They do not identify that of {named}.")
    return said


def _assumptions(found: Iterable[ChannelVerdict]) -> list[str]:
    """What carries the numbers that are not identified, one sentence each, the widest first."""
    rest = [each for each in found if each.status != "identified"]
    if not rest:
        return []
    rest.sort(key=lambda each: each.lower - each.upper)
    named: dict[str, list[str]] = {}
    for each in rest:
        named.setdefault(each.assumption.replace(each.channel, "{}"), []).append(each.channel)
    words = [said.replace("{}", phrase(names, most=8)) for said, names in named.items()]
    return ["Their numbers hold if this is true:", *words]


def _next_test(fits: ModelContext, worth: Mapping[str, float]) -> str:
    """The test with the highest expected value, and what it costs."""
    best = next(iter(worth))
    if worth[best] < _WORTH:
        widest = max(fits.answer.verdict_, key=lambda each: each.upper - each.lower)
        return (
            "No lift test of one channel would change much of where the budget goes; one of "
            f"{widest.channel}, whose interval is the widest, would narrow credit most."
        )
    code = fits.journeys.channels.index(best)
    codes, volume, priced = _spending(fits)
    of = "cost is" if priced else "touchpoints are"
    lost = _HELD_OUT * float(fits.answer.removal_[code])
    saved = ""
    if priced:
        cost = float(volume[np.flatnonzero(codes == code)[0]])
        saved = f" and saves {_HELD_OUT * cost:,.10g} of its cost"
    return (
        f"The lift test with the highest expected value is one of {best}: knowing its effect "
        f"before {MOVED:.0%} of the {of} moved is worth {worth[best]:,.1f} conversions on "
        f"average. A test in which {_HELD_OUT:.0%} of the users go without it for as long as this "
        f"log loses about {max(lost, 0):,.1f} conversions{saved}."
    )
