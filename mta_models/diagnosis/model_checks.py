"""Checks that fit models; see `diagnose`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.path_checks import PathContext, phrase
from mta_models.diagnosis.placebo import PlaceboTest, thinned
from mta_models.errors import JourneyError, collected_warnings
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.one_answer.entrances import guessed_entrances, treat
from mta_models.models.incremental.one_answer.incremental import Incremental
from mta_models.models.incremental.self_controlled.leads import NAMED_Z, REJECTION_LEVEL
from mta_models.models.incremental.self_controlled.self_controlled import SelfControlled

_ORDER_GAP = 0.1  # share of credit that moves between order 1 and order 3
_CONVERTING, _OTHERS = 10_000, 40_000  # maximum of users; larger logs are sampled
_PLACEBOS, _CHANNELS = 19, 8  # placebos per channel; channels tested, those with most credit
_CREDITED = 0.02  # of conversions: channels with less credit are not tested
_STAYS = 0.5  # maximum fraction of credit that may stay with times moved


class ModelContext:
    """Incremental models of the journeys and quantities from them, each computed once."""

    def __init__(
        self, journeys: Journeys, random_state: int | np.random.Generator | None = 0
    ) -> None:
        self.journeys = journeys
        self.random_state = random_state

    @cached_property
    def answer(self) -> Incremental:
        """The default model, fitted on all users."""
        with collected_warnings():
            return Incremental(random_state=self.random_state).fit(self.journeys)

    @cached_property
    def histories(self) -> Histories:
        """Whole timelines of the users, or of a weighted sample if there are many."""
        if self.journeys.timeline is None:
            raise JourneyError("it needs the timeline of an event log")
        everyone = self.journeys.histories
        if not everyone.n_events:
            raise JourneyError("it needs a conversion")
        return thinned(everyone, np.random.default_rng(0), _CONVERTING, _OTHERS)

    @cached_property
    def model(self) -> Hazard:
        """A `Hazard` fitted on `histories`."""
        with collected_warnings():
            return Hazard().fit_histories(self.histories)

    @cached_property
    def self_controlled(self) -> SelfControlled:
        """A `SelfControlled` fitted on `histories`, entrances to decided purchases left out."""
        entrances = guessed_entrances(self.histories.channels)
        with collected_warnings():
            return SelfControlled().fit_histories(treat(self.histories, entrances))

    @cached_property
    def test(self) -> PlaceboTest:
        """The placebo test of `model`: its credit with the original times and with moved times."""
        return PlaceboTest(self.model, self.histories)

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of credit in conversions, `(n_channels, n_channels)`, from the information.

        A weak prior keeps variances finite where channels cannot be separated: the standard
        deviation of a channel's credit is at most the number of all conversions.
        """
        rates, theta = self.test.rates, self.test.theta
        scale = np.where(rates.cost > 0, rates.cost, np.inf)
        information = rates.information(theta) / scale[:, None] / scale
        information += np.eye(len(scale)) / rates.total**2
        inverse: Floats = np.linalg.inv(information).astype(np.float64)
        return inverse[:-1, :-1]

    @cached_property
    def placebo_credit(self) -> Mapping[int, Floats]:
        """By code of each tested channel, its credit with times moved, shape `(n_placebos,)`."""
        credit = self.test.credit
        error = np.sqrt(np.diag(self.covariance))
        worth = (credit > _CREDITED * self.histories.total) & (credit > 2 * error)
        most = np.argsort(-np.where(worth, credit, -1), kind="stable")[
            : min(_CHANNELS, worth.sum())
        ]
        rng = np.random.default_rng(0)
        return {c: self.test.moved(c, _PLACEBOS, rng) for c in most.tolist()}


def order_matters(seen: PathContext) -> Iterator[Finding]:
    """Credit that changes with the order of the chain."""
    from mta_models.models.markov.markov import Markov

    with collected_warnings():
        one, three = (Markov(order=k).fit_attribute(seen.paths).share for k in (1, 3))
    gap = float(np.abs(one - three).sum() / 2)
    if gap > _ORDER_GAP:
        most = int(np.argmax(np.abs(one - three)))
        yield Finding(
            "order_matters",
            "caution",
            f"{gap:.0%} of Markov credit moves between orders 1 and 3, most for "
            f"{seen.journeys.channels[most]} ({one[most]:.0%} and {three[most]:.0%})",
            "the next step depends on more than the last touchpoint, and order 1 knows only that",
            "choose the order by held-out likelihood: Markov.select_order(journeys)",
            seen.names(np.array([most])),
        )


def placebo(seen: ModelContext) -> Iterator[Finding]:
    """Credit that stays when touchpoints are moved to other times of the same users."""
    credit, total = seen.test.credit, seen.histories.total
    words, wrong = [], []
    for channel, moved in seen.placebo_credit.items():
        p = (1 + np.count_nonzero(moved >= credit[channel])) / (1 + len(moved))
        stays = float(np.median(moved)) / credit[channel]
        if stays > _STAYS or p > 1 / (1 + len(moved)):
            wrong.append(channel)
            name, share = seen.journeys.channels[channel], credit[channel] / total
            part = f"{stays:.0%}" if stays < 1 else "all"
            words.append(f"{name} ({part} of its {share:.0%} of conversions, p = {p:.2g})")
    if wrong:
        yield Finding(
            "placebo",
            "caution",
            "moved to other times of the same users, touchpoints keep most of the credit that "
            f"Hazard gives them: {phrase(words)}",
            "credit comes from which users meet the channel, and hardly from when: users who "
            "convert meet it more often all the time (ads aimed at users who would buy anyway), or "
            "both follow the calendar",
            "compare users with themselves (SelfControlled), or hold the channel out",
            tuple(seen.journeys.channels[channel] for channel in sorted(wrong)),
        )


def lead_test(seen: ModelContext) -> Iterator[Finding]:
    """Later touchpoints that predict when the same users convert, before and after correction."""
    test = seen.self_controlled.lead_test_
    first = test.before or test
    if first.p_value >= REJECTION_LEVEL:
        return
    most = np.abs(first.z) > NAMED_Z
    words = [
        f"{channel} (z = {z:.1f})"
        for channel, z in zip(seen.journeys.channels, first.z.tolist(), strict=True)
        if abs(z) > NAMED_Z
    ]
    passed = test.p_value >= REJECTION_LEVEL
    yield Finding(
        "lead_test",
        "note" if passed else "caution",
        f"the same users are met more, or less, in the week after a conversion than after other "
        f"days, given what they met before: {phrase(words) or 'no single channel'}; SelfControlled "
        f"{'corrects for it and then passes' if passed else 'cannot correct for it: it fails'} its "
        f"lead test (p = {test.p_value:.2g})",
        "comparing users with themselves is biased without a correction; "
        + ("after it, the test finds no bias" if passed else "and remains biased after it"),
        "prefer the credit of SelfControlled to that of models that compare users"
        if passed
        else "hold the channels out, and read the verdict of Incremental, which undoes touchpoints "
        "that stop or follow because of a purchase",
        tuple(np.array(seen.journeys.channels, dtype=object)[most].tolist()),
    )
