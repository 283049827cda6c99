"""Which effects journeys can tell, and which experiment would help most; see `diagnose`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.model_checks import SeenByHazard
from mta_models.diagnosis.path_checks import phrase
from mta_models.diagnosis.time_checks import SeenInTime, exposure_around
from mta_models.diagnosis.worth_of_tests import MOVED, value_of_tests

# Findings after which a channel's effect cannot be read off these journeys.
DOUBTS = (
    "never_varies",
    "always_together",
    "collinear_in_time",
    "no_support",
    "thin_channels",
    "rising_exposure",
    "raised_around",
    "negative_control",
    "placebo",
)
# Conversions: below it a silent check says little.
_PLENTY = 1_000
_NO_TIMES = (
    "Without the timelines of users no channel's effect can be told from these journeys: credit "
    "says who was there. Read an event log, or hold a channel out by chance."
)


def doubts(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """By channel, the findings that leave its effect untold."""
    found: dict[str, list[str]] = {}
    for each in findings:
        for channel in each.channels if each.name in DOUBTS else ():
            found.setdefault(channel, []).append(each.name)
    return found


def biases(by_time: SeenInTime, by_hazard: SeenByHazard, findings: Iterable[Finding]) -> Floats:
    """How many conversions may be wrongly credited to each channel, shape `(n_channels,)`.

    A standard deviation, the largest of what findings on the channel show:

    - `negative_control`: conversions that touchpoints met later "explain", (1 − 1 / ratio) of
      those followed by one within a week.
    - `raised_around`: as much of those that met the channel within a week before, with the ratio
      of the exposure after conversions to that weeks away.
    - `placebo`: the credit that stays when touchpoints are moved.
    - any other that leaves the effect untold: all its credit.

    0 without a finding.
    """
    credit = by_hazard.test.credit
    scale = by_hazard.histories.total / max(float(by_time.sample.n_cases), 1.0)
    names = {channel: code for code, channel in enumerate(by_hazard.journeys.channels)}
    bias = np.zeros(len(credit))
    for each in findings:
        if each.name not in DOUBTS or not each.channels:
            continue
        codes = np.array([names[channel] for channel in each.channels])
        if each.name == "negative_control":
            sample, later, ratios = by_time.foretold
            share = later[sample.is_case].mean(axis=0) * (1 - np.exp(-ratios.log))
            size = share * by_hazard.histories.total
        elif each.name == "raised_around":
            exposed = by_time.lately[by_time.sample.is_case].sum(axis=0) * scale
            size = exposed * (1 - 1 / exposure_around(by_time, (0.0, 7.0))[0])
        elif each.name == "placebo":
            size = np.zeros(len(credit))
            for code, moved in by_hazard.stays.items():
                size[code] = np.median(moved)
        else:
            size = credit
        bias[codes] = np.maximum(bias[codes], size[codes])
    return np.clip(bias, 0, by_hazard.histories.total)


def worth_of_tests(
    by_time: SeenInTime, by_hazard: SeenByHazard, findings: Iterable[Finding]
) -> dict[str, float]:
    """By channel that was met, what knowing its effect is worth in conversions, most first.

    Beliefs about effects per touchpoint are those of the hazard fitted, by the information of its
    likelihood, with the biases that the findings show as variance beside it; the decision is that
    of `value_of_tests`.
    """
    h = by_hazard.histories
    volume = np.bincount(h.codes, h.weight[h.owner], h.n_channels).astype(np.float64)
    met = np.flatnonzero(volume)
    # A touchpoint's effect is β; credit is what of it fell within the time at risk.
    half_life, cost = by_hazard.model.half_life_, by_hazard.test.rates.cost[:-1]
    met = met[cost[met] > 0]
    per_credit = half_life[met] / (np.log(2) * cost[met])
    covariance = by_hazard.covariance + np.diag(biases(by_time, by_hazard, findings) ** 2)
    worth = value_of_tests(
        by_hazard.test.credit[met] * per_credit,
        covariance[np.ix_(met, met)] * np.outer(per_credit, per_credit),
        volume[met],
    )
    order = np.argsort(-worth, kind="stable")
    return {h.channels[met[i]]: float(worth[i]) for i in order}


def verdict(journeys: Journeys, findings: Iterable[Finding], worth: Mapping[str, float]) -> str:
    """What can be told from these journeys and what should be tested next, in a few sentences."""
    if not journeys.total:
        return "Nobody converts: there is no effect to be told from these journeys."
    if journeys.timeline is None:
        return _NO_TIMES
    wrong = doubts(findings)
    present = np.unique(journeys.timeline.codes)
    met = [journeys.channels[code] for code in present.tolist()]
    told = [channel for channel in met if channel not in wrong]
    words = [f"{channel} ({', '.join(wrong[channel])})" for channel in met if channel in wrong]
    said = f"As far as these checks see, the journeys can tell the effect of {phrase(told, most=8)}"
    if not told:
        said = "These journeys can tell no channel's effect by themselves"
    said += f"; not of {phrase(words, 'or', most=8)}." if words and told else "."
    if words and not told:
        said += f" In doubt: {phrase(words, most=8)}."
    if journeys.total < _PLENTY:
        said += f" With {journeys.total:,.10g} conversions, only what is strong shows."
    best = next(iter(worth), None)
    if best is None:
        return said
    if worth[best] < 0.5:
        return f"{said} No lift test of one channel would do much for where the budget should go."
    return (
        f"{said} The experiment that would help most is a lift test of {best}: with its effect "
        f"known, moving {MOVED:.0%} of the touchpoints where they do most is expected to bring "
        f"{worth[best]:,.0f} conversions more than without."
    )
