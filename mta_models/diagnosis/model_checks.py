"""Checks that fit models; see `diagnose`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np

from mta_models.analysis.resampling import bootstrap
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import Finding
from mta_models.diagnosis.path_checks import PathContext, phrase
from mta_models.diagnosis.placebo import PlaceboTest, thinned
from mta_models.errors import JourneyError, collected_warnings
from mta_models.models.base import AttributionModel
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.self_controlled.leads import NAMED_Z, REJECTION_LEVEL
from mta_models.models.incremental.self_controlled.self_controlled import SelfControlled
from mta_models.models.names import label_of

_ORDER_GAP = 0.1  # share of credit that moves between order 1 and order 3
_CONVERTING, _OTHERS = 10_000, 40_000  # maximum of users; larger logs are sampled
_PLACEBOS, _CHANNELS = 19, 8  # placebos per channel; channels tested, those with most credit
_CREDITED = 0.02  # of conversions: channels with less credit are not tested
_STAYS = 0.5  # maximum fraction of credit that may stay with times moved


class ModelContext:
    """Incremental models of the journeys and quantities from them, each computed once."""

    def __init__(self, journeys: Journeys) -> None:
        self.journeys = journeys

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
        """A `SelfControlled` fitted on `histories`."""
        with collected_warnings():
            return SelfControlled().fit_histories(self.histories)

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
        else "hold the channels out: no model here corrects for this",
        tuple(np.array(seen.journeys.channels, dtype=object)[most].tolist()),
    )


Shares = tuple[str, Floats, Floats]


def models_disagree(shares: Iterable[Shares], channels: tuple[str, ...]) -> Iterator[Finding]:
    """Models whose intervals of a channel's share of credit do not overlap.

    Args:
        shares: for each model its label, its shares, shape `(n_channels,)`, and draws of them,
            shape `(n_draws, n_channels)`.
        channels: names.
    """
    labels, points, drawn = zip(*shares, strict=True)
    lower, upper = (
        np.array([np.quantile(each, q, axis=0) for each in drawn]) for q in (0.025, 0.975)
    )
    disjoint = np.max(lower, axis=0) > np.min(upper, axis=0)
    if disjoint.any():
        share = np.array(points)
        most = int(np.argmax(np.where(disjoint, np.ptp(share, axis=0), -1)))
        high, low = int(np.argmax(share[:, most])), int(np.argmin(share[:, most]))
        names = tuple(np.array(channels, dtype=object)[disjoint].tolist())
        yield Finding(
            "models_disagree",
            "note",
            f"95% intervals of {', '.join(labels)} do not overlap for {phrase(names)}; widest for "
            f"{channels[most]}: {share[low, most]:.0%} by {labels[low]}, "
            f"{share[high, most]:.0%} by {labels[high]}",
            "the choice of model changes these credits by more than sampling does; the models "
            "answer different questions, and more data will not make them agree",
            "decide what the credit should measure (the estimand) before choosing a model",
            names,
        )


def drawn_shares(
    model: AttributionModel,
    journeys: Journeys,
    n_draws: int,
    random_state: int | np.random.Generator | None,
) -> Shares:
    """The label of a model, its shares of credit, and bootstrap draws of them."""
    with collected_warnings():
        result = bootstrap(model, journeys, n_draws=n_draws, random_state=random_state)
    assert result.draws is not None
    return label_of(model), result.share, _share(result.draws)


def hazard_shares(seen: ModelContext, n_draws: int) -> Shares:
    """Label, shares and draws of the fitted hazard; draws are by the information matrix."""
    rng, credit = np.random.default_rng(0), seen.test.credit
    drawn = rng.multivariate_normal(credit, seen.covariance, n_draws, method="eigh")
    return "Hazard", _share(credit[None])[0], _share(np.maximum(drawn, 0))


def _share(credit: Floats) -> Floats:
    given = credit.sum(axis=1, keepdims=True)
    share: Floats = np.divide(credit, given, out=np.zeros_like(credit), where=given > 0)
    return share
