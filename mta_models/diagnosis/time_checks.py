"""Checks of the times of touchpoints, before any model is fitted; see `diagnose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.exposure_ratios import FEW, exposure_around, exposure_before
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.path_checks import inflated, phrase
from mta_models.diagnosis.rates import WEEK, RateRatios, rate_ratios, sample_of
from mta_models.errors import JourneyError
from mta_models.models.incremental.one_answer.entrances import guessed_entrances

_RISE = 2.0  # times the exposure of the week before, with 99% confidence
_AROUND = 1.25  # times the exposure two to four weeks away
_ALPHA = 0.01  # error rate over all channels and both sides
_ALONE = 0.2  # maximum fraction of exposed conversions without a comparable unexposed time


class TimeContext:
    """Quantities that these checks share, each computed once."""

    def __init__(self, journeys: Journeys) -> None:
        self.journeys = journeys

    @cached_property
    def sample(self) -> CaseBaseSample:
        """The case-base sample of conversions and times at risk."""
        return sample_of(self.journeys)

    @property
    def histories(self) -> Histories:
        """Whole timelines."""
        return self.sample.histories

    @cached_property
    def recent(self) -> Floats:
        """1 if a channel was met in the week before, else 0, shape `(n_rows, n_channels)`."""
        return (self.sample.met(-WEEK, 0) > 0).astype(np.float64)

    @cached_property
    def ahead(self) -> tuple[CaseBaseSample, Floats, RateRatios]:
        """Rows whose week after was observed, the channels met in that week, and rate ratios.

        The ratios are adjusted for earlier touchpoints: their number in the week before, and the
        adstock with half-lives of 3 and 21 days.
        """
        sample = self.sample
        sample = sample.keep(sample.time + WEEK <= self.histories.end[sample.user])
        if sample.n_cases < FEW:
            raise JourneyError(
                f"fewer than {FEW} conversions were followed by a week in which their users were "
                "observed"
            )
        later = (sample.met(0, WEEK) > 0).astype(np.float64)
        before = [sample.met(-WEEK, 0), sample.adstock(3.0), sample.adstock(21.0)]
        return sample, later, rate_ratios(sample, later, np.log1p(np.hstack(before)))

    @property
    def z(self) -> float:
        """The critical value that in 99% of logs no channel exceeds by chance, on either side."""
        from scipy.special import ndtri

        return float(-ndtri(_ALPHA / 2 / max(self.journeys.n_channels, 1)))

    def names(self, which: Mask) -> tuple[str, ...]:
        """The names of channels."""
        return tuple(np.array(self.journeys.channels, dtype=object)[which].tolist())

    def times(self, which: Mask, ratio: Floats) -> str:
        """Channels with their ratios, in words."""
        named = zip(self.names(which), ratio[which].tolist(), strict=True)
        return phrase([f"{name} ({_times(times)})" for name, times in named])


def _times(ratio: float) -> str:
    if ratio >= 100:
        return "over 100 times"
    return f"{ratio:.1f} times" if ratio >= 0.1 else f"{ratio:.2f} times"


def rising_exposure(seen: TimeContext) -> Iterator[Finding]:
    """Channels met more often on the last day before conversions than in the week before it."""
    near, far, near_days, far_days = exposure_before(seen.journeys)
    # Half a touchpoint is added to both, so that a channel not met before has a ratio too.
    ratio = (near + 0.5) / (far + 0.5) * far_days / near_days
    error = np.sqrt(1 / (near + 0.5) + 1 / (far + 0.5))
    rising = np.log(ratio) - 2.576 * error > np.log(_RISE)
    if rising.any():
        yield Finding(
            "rising_exposure",
            "caution",
            "met more often on the last day before a conversion than in the week before: "
            f"{seen.times(rising, ratio)}",
            "either it works at once, or it follows users who are about to buy (retargeting, brand "
            "search, coupon sites): credit for presence cannot distinguish the two, and overstates "
            "the second",
            "compare users with themselves at other times, or hold the channel out",
            seen.names(rising),
        )


def raised_around(seen: TimeContext) -> Iterator[Finding]:
    """Channels met more often after conversions than by the same users weeks away."""
    ratio, error = exposure_around(seen.sample, (0.0, WEEK))
    raised = np.log(ratio) - np.maximum(seen.z * error, np.log(_AROUND)) > 0
    if raised.any():
        before, _ = exposure_around(seen.sample, (-WEEK, 0.0))
        yield Finding(
            "raised_around",
            "caution",
            "met more often in the week after a conversion than by the same users two to four "
            f"weeks away from it: {seen.times(raised, ratio)}; in the week before, "
            f"{seen.times(raised, before)}",
            "touchpoints after a conversion did not cause it: users are met when they want to buy "
            "(intent that moves), buying itself brings touchpoints, or an identity exists for only "
            "a part of the time for which it counts as observed. This biases even comparisons of "
            "users with themselves",
            "use a model that corrects for moving intent (SelfControlled), or hold the channel out",
            seen.names(raised),
        )


def negative_control(seen: TimeContext) -> Iterator[Finding]:
    """Conversions predicted by touchpoints that came after them."""
    _, _, ratios = seen.ahead
    lower, _ = ratios.bounds(seen.z)
    wrong = lower > 1
    if wrong.any():
        yield Finding(
            "negative_control",
            "caution",
            "conversions are more frequent among users who will meet the channel in the week "
            f"after, given all they met before: {seen.times(wrong, np.exp(ratios.log))}",
            "touchpoints that come later cannot cause a conversion: exposure is correlated with "
            "intent (targeting) or with being logged (split identities), and models that compare "
            "users credit this correlation to the channel",
            "compare users with themselves (SelfControlled), or hold the channel out",
            seen.names(wrong),
        )


def exposure_stops(seen: TimeContext) -> Iterator[Finding]:
    """Touchpoints that fail to appear after conversions."""
    _, _, ratios = seen.ahead
    _, upper = ratios.bounds(seen.z)
    stops = (upper < 1) & ~guessed_entrances(seen.journeys.channels)
    if stops.any():
        yield Finding(
            "exposure_stops",
            "caution",
            "met less often in the week after a conversion, given all that was met before: "
            f"{seen.times(stops, np.exp(ratios.log))}",
            "buyers no longer meet it, or are no longer logged: models that compare users with "
            "themselves take its absence after a conversion for an effect",
            "end observation at the conversion if logging stops there; else use Incremental, which "
            "puts back touchpoints that stop, or models that use only touchpoints before "
            "conversions",
            seen.names(stops),
        )


def collinear_in_time(seen: TimeContext) -> Iterator[Finding]:
    """Channels whose adstock can be predicted from that of the others."""
    base = seen.sample.keep(~seen.sample.is_case)
    carried = base.adstock(WEEK)
    varies = carried.std(axis=0) > 0
    if varies.sum() > 1:
        yield from inflated(
            np.cov(carried[:, varies].T),
            seen.names(varies),
            name="collinear_in_time",
            what="the adstock of users",
            means="these channels are met at the same times by the same users, so that their "
            "effects on the rate of converting can hardly be separated",
        )


def no_support(seen: TimeContext) -> Iterator[Finding]:
    """Channels with few conversions shortly after meeting them, or few without."""
    case, recent = seen.sample.is_case, seen.recent
    exposed, total = recent[case].sum(axis=0), float(case.sum())
    met = recent.any(axis=0)
    few = met & (np.minimum(exposed, total - exposed) < FEW)
    alone = met & ~few & (_without_counterpart(seen) > _ALONE)
    if few.any() or alone.any():
        words = [
            f"{name} ({count:,.10g} of {total:,.10g} conversions had met it within a week)"
            for name, count in zip(seen.names(few), exposed[few].tolist(), strict=True)
        ]
        words += [f"{name} (no user was unexposed in the same week)" for name in seen.names(alone)]
        yield Finding(
            "no_support",
            "caution",
            f"hardly any conversions with the channel, or hardly any without: {phrase(words)}",
            "an effect is a comparison of times with and without the channel, and one side is "
            "missing",
            "read a longer period, merge channels, or pause it for some users for a while",
            seen.names(few | alone),
        )


def _without_counterpart(seen: TimeContext) -> Floats:
    """The fraction of exposed conversions without a comparable unexposed time, `(n_channels,)`.

    Comparable: in the same calendar week, and with the same number of other channels met in the
    week before: 0, 1, or 2 and more.
    """
    case, recent, week = seen.sample.is_case, seen.recent, seen.sample.period(WEEK)
    others = np.minimum(recent.sum(axis=1, keepdims=True) - recent, 2).astype(np.int64)
    stratum = week[:, None] * 3 + others
    n = int(stratum.max()) + 1
    part = np.zeros(recent.shape[1])
    for c in range(len(part)):
        unexposed = np.bincount(stratum[~case & (recent[:, c] == 0), c], minlength=n)
        exposed = stratum[case & (recent[:, c] > 0), c]
        part[c] = np.mean(unexposed[exposed] == 0) if len(exposed) else 0.0
    return part


def on_and_off(seen: TimeContext) -> Iterator[Finding]:
    """Channels that no user met in whole calendar weeks."""
    h, k = seen.histories, seen.journeys.n_channels
    weeks = int(h.end.max() // WEEK)
    if weeks < 2:
        return
    week = (h.time // WEEK).astype(np.int64)
    inside = (week >= 0) & (week < weeks)
    counts = np.bincount(week[inside] * k + h.codes[inside], minlength=weeks * k).reshape(weeks, k)
    # With 20 a week on average, an empty week is not by chance.
    off = (counts == 0).any(axis=0) & (counts.sum(axis=0) >= 20 * weeks)
    if off.any():
        empty = (counts == 0).sum(axis=0)
        words = [
            f"{name} ({n} of {weeks} weeks)"
            for name, n in zip(seen.names(off), empty[off].tolist(), strict=True)
        ]
        yield Finding(
            "on_and_off",
            "note",
            f"met by no user for whole weeks: {phrase(words)}",
            "its effect is estimated from the weeks without it, and other differences of these "
            "weeks are credited to it",
            "ask why it was paused; if not for reasons of demand, that is a natural experiment",
            seen.names(off),
        )


TIME_CHECKS: tuple[Callable[[TimeContext], Iterable[Finding]], ...] = (
    rising_exposure,
    raised_around,
    negative_control,
    exposure_stops,
    collinear_in_time,
    no_support,
    on_and_off,
)
