"""The verdict: effects that no check found biased, and the experiment worth most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.exposure_ratios import exposure_around
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.model_checks import ModelContext
from mta_models.diagnosis.path_checks import phrase
from mta_models.diagnosis.time_checks import TimeContext
from mta_models.diagnosis.worth_of_tests import MOVED, value_of_tests

# Findings after which a channel's effect is not identified by these journeys.
NOT_IDENTIFIED = (
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
# With fewer conversions, a check without a finding means little.
_PLENTY = 1_000
_NO_TIMES = (
    "Without the timelines of users no channel's effect is identified by these journeys: credit "
    "shows who was present. Read an event log, or run a randomised holdout of a channel."
)


def not_identified(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """By channel, the names of the findings because of which its effect is not identified."""
    names: dict[str, list[str]] = {}
    for each in findings:
        for channel in each.channels if each.name in NOT_IDENTIFIED else ():
            names.setdefault(channel, []).append(each.name)
    return names


def bias_scales(times: TimeContext, fits: ModelContext, findings: Iterable[Finding]) -> Floats:
    """Scale of the bias of each channel's credit, in conversions, shape `(n_channels,)`.

    It is a standard deviation: the largest of those that the findings on the channel imply, and 0
    without a finding.

    - `negative_control`: the fraction 1 − 1 / ratio of the conversions that a touchpoint of the
      channel follows within a week.
    - `raised_around`: the same fraction of the conversions with a touchpoint of the channel in the
      week before, with the ratio of the exposure after conversions to the exposure weeks away.
    - `placebo`: the credit that stays when touchpoints are moved.
    - any other finding because of which the effect is not identified: all credit of the channel.
    """
    credit, total = fits.test.credit, fits.histories.total
    scale = total / max(float(times.sample.n_cases), 1.0)
    names = {channel: code for code, channel in enumerate(fits.journeys.channels)}
    bias = np.zeros(len(credit))
    for each in findings:
        if each.name not in NOT_IDENTIFIED or not each.channels:
            continue
        codes = np.array([names[channel] for channel in each.channels])
        if each.name == "negative_control":
            sample, later, ratios = times.ahead
            share = later[sample.is_case].mean(axis=0) * (1 - np.exp(-ratios.log))
            size = share * total
        elif each.name == "raised_around":
            exposed = times.recent[times.sample.is_case].sum(axis=0) * scale
            size = exposed * (1 - 1 / exposure_around(times.sample, (0.0, 7.0))[0])
        elif each.name == "placebo":
            size = np.zeros(len(credit))
            for code, moved in fits.placebo_credit.items():
                size[code] = np.median(moved)
        else:
            size = credit
        bias[codes] = np.maximum(bias[codes], size[codes])
    return np.clip(bias, 0, total)


def worth_of_tests(
    times: TimeContext, fits: ModelContext, findings: Iterable[Finding]
) -> dict[str, float]:
    """By channel, highest first, the expected value of knowing its effect, in conversions.

    Effects per touchpoint have the means of the fitted hazard, and as covariance the inverse
    information of its likelihood plus the variances from `bias_scales`. The decision is that of
    `value_of_tests`. Channels without a touchpoint are left out.
    """
    h = fits.histories
    volume = np.bincount(h.codes, h.weight[h.owner], h.n_channels).astype(np.float64)
    met = np.flatnonzero(volume)
    # A touchpoint's effect is β; its credit is the part of β within the time at risk.
    half_life, cost = fits.model.half_life_, fits.test.rates.cost[:-1]
    met = met[cost[met] > 0]
    per_credit = half_life[met] / (np.log(2) * cost[met])
    covariance = fits.covariance + np.diag(bias_scales(times, fits, findings) ** 2)
    worth = value_of_tests(
        fits.test.credit[met] * per_credit,
        covariance[np.ix_(met, met)] * np.outer(per_credit, per_credit),
        volume[met],
    )
    order = np.argsort(-worth, kind="stable")
    return {h.channels[met[i]]: float(worth[i]) for i in order}


def verdict(journeys: Journeys, findings: Iterable[Finding], worth: Mapping[str, float]) -> str:
    """A few sentences: the effects that these journeys identify, and what to test next."""
    if not journeys.total:
        return "Nobody converts: no effect can be estimated from these journeys."
    if journeys.timeline is None:
        return _NO_TIMES
    wrong = not_identified(findings)
    present = np.unique(journeys.timeline.codes)
    met = [journeys.channels[code] for code in present.tolist()]
    fine = [channel for channel in met if channel not in wrong]
    words = [f"{channel} ({', '.join(wrong[channel])})" for channel in met if channel in wrong]
    text = f"As far as these checks see, the journeys identify the effect of {phrase(fine, most=8)}"
    if not fine:
        text = "These journeys alone identify no channel's effect"
    text += f"; not of {phrase(words, 'or', most=8)}." if words and fine else "."
    if words and not fine:
        text += f" Reasons: {phrase(words, most=8)}."
    if journeys.total < _PLENTY:
        text += f" With {journeys.total:,.10g} conversions, only large effects are detectable."
    best = next(iter(worth), None)
    if best is None:
        return text
    if worth[best] < 0.5:
        return f"{text} No lift test of one channel would change much of where the budget goes."
    return (
        f"{text} The lift test with the highest expected value is one of {best}: under the "
        f"uncertainty that these findings imply, knowing its effect before {MOVED:.0%} of the "
        f"touchpoints are moved is worth {worth[best]:,.0f} conversions on average. That compares "
        "tests; it is no forecast of a gain."
    )
