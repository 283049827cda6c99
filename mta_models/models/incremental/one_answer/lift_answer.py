"""What lift tests make of a fit: draws of credit and baseline that meet the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import ParameterError, UnknownChannelError
from mta_models.models.incremental.one_answer.lift_posterior import (
    LARGEST_EFFECT,
    MeasuredLift,
    PosteriorDraws,
    PosteriorSampler,
    bias_scale_of,
    conversions_per_effect,
)
from mta_models.models.incremental.one_answer.removal import Effects, Removals
from mta_models.models.incremental.self_controlled.conditional_likelihood import Terms
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
)
from mta_models.models.incremental.self_controlled.self_controlled import SelfControlled

# Part of its observed effect below which a channel is shown to accompany, and how surely.
_LITTLE, _SURE = 1 / 3, 0.95
_MAX_ROWS = 20_000  # conversions whose game is solved for each draw; of more, every n-th


@dataclass(frozen=True, eq=False)
class FittedLog:
    """A log and a within-user fit to it.

    Attributes:
        histories: as fitted (entrances treated, exposure imputed).
        design: their conversions, in the histories' order.
        rate: fitted.
        near: shape `(n_events, n_channels)`, 1 where an entrance was met shortly before the
            conversion and is not in `histories`; None: there are no entrances.
        free: shape `(n_channels,)`, the channels that the fit gave an effect of their own; those
            tested may have one too. None: all.
    """

    histories: Histories
    design: Design
    rate: RelativeRate
    near: Floats | None = None
    free: Mask | None = None

    @classmethod
    def from_model(
        cls, model: SelfControlled, histories: Histories, near: Floats | None = None
    ) -> FittedLog:
        """A fitted model and the histories it was fitted on, or others treated the same way."""
        return cls(histories, model._fitted_design(histories), model.rate_, near)

    @property
    def entrances(self) -> Mask:
        """The channels that are entrances and were met near a conversion, `(n_channels,)`."""
        if self.near is None:
            return np.zeros(self.histories.n_channels, dtype=bool)
        return np.asarray(self.near.any(axis=0))

    def removals(self, span: tuple[float, float] = (-np.inf, np.inf)) -> Removals:
        """What decides which conversions of a span of time are lost without a channel."""
        repeat = self.histories.repeats
        return Removals.from_fit(self.design, self.rate, repeat, self.near, span)


def met_near(histories: Histories, entrances: Mask, window: float) -> Floats:
    """Which entrances were met at most `window` days before each conversion.

    Args:
        histories: before entrances were treated.
        entrances: shape `(n_channels,)`.
        window: days.

    Returns:
        Shape `(n_events, n_channels)`, 1 or 0.
    """
    event, touchpoint, age = histories.pairs
    code = histories.codes[touchpoint]
    there = entrances[code] & (age <= window)
    near = np.zeros((histories.n_events, histories.n_channels))
    near[event[there], code[there]] = 1.0
    return near


@dataclass(frozen=True, eq=False)
class LiftAnswer:
    """What the channels of a log caused, given lift tests.

    All amounts are in conversions of the log. Credit and baseline add up to its total, and so do
    those of each draw.

    Attributes:
        credit: shape `(n_channels,)`, Shapley values of the game of removals at the median effects.
        baseline: biases included.
        removal: shape `(n_channels,)`, conversions lost without each channel alone.
        draws: of credit, shape `(n_draws, n_channels)`.
        baseline_draws: shape `(n_draws,)`.
        removal_draws: shape `(n_draws, n_channels)`.
        effects: θ, β and the rest, of each draw.
        implied: shape `(n_draws, n_tests)`, the lifts that the model implies, of the people tested.
        parts: shape `(n_conversions, n_channels)`, how much of the rate at each conversion each
            channel causes, at the median effects.
    """

    credit: Floats
    baseline: float
    removal: Floats
    draws: Floats
    baseline_draws: Floats
    removal_draws: Floats
    effects: PosteriorDraws
    implied: Floats
    parts: Floats


def meet_lift_tests(
    log: FittedLog,
    channels: tuple[str, ...],
    tests: tuple[LiftTest, ...],
    rng: np.random.Generator,
    *,
    n_draws: int = 200,
    bias_scale: Floats | None = None,
    brought: Floats | None = None,
    fit_of: Callable[[Histories], FittedLog] | None = None,
) -> LiftAnswer:
    """Credit and baseline of a log, given lift tests, which meet the model's removals.

    What the log shows of a channel (its observed effect) is what it causes plus a bias, which
    belongs to the baseline. A test says what the channel causes; the biases of the channels tested
    say how large those of the others may be (`lift_posterior` has the model). Without tests biases
    are 0 in the mean, and only widen the draws.

    Assumptions: biases are of similar size, relative to `bias_scale`; they act like touchpoints
    do, and fade with the channel's half-life. Half-lives, calendar and moving intent are the fit's.

    Args:
        log: fitted.
        channels: names, in the log's order.
        tests: any number. Lifts may be 0 or negative.
        rng: of the draws.
        n_draws: kept.
        bias_scale: shape `(n_channels,)`, conversions: how large a bias to expect of each channel;
            larger where its reading is uncertain. None: its credit and half of its part of all
            credit if touchpoints were equally effective, together.
        brought: shape `(n_channels, n_channels)`, the part of each (second) channel's touchpoints
            that would vanish without each (first) channel, and do so in its test; None: none.
        fit_of: turns the histories of a test's own `journeys` into a log treated as this one.
            None: such tests are refused.

    Raises:
        UnknownChannelError: a tested channel has no touchpoint here.
        ParameterError: a test's span or people do not fit the log, or `fit_of` is None and a test
            has its own journeys.
    """
    terms = channel_terms(log.design, log.rate)
    start = np.minimum(log.rate.effect, LARGEST_EFFECT)
    per_effect = conversions_per_effect(terms, start)
    tested = tuple(_measured(test, log, channels, brought, fit_of) for test in tests)
    free = np.ones(len(channels), dtype=bool) if log.free is None else log.free.copy()
    for each in tested:
        free |= each.removed != 0
    prior = bias_scale_of(terms, per_effect, start, bias_scale, (log.entrances, free))
    # So that draws do not depend on the order of channels.
    order = np.argsort(-per_effect, kind="stable")
    sampler = PosteriorSampler(
        terms.columns(order),
        start[order],
        tuple(each.columns(order) for each in tested),
        prior.columns(order),
    )
    draws = sampler.draw(n_draws, rng)
    removals = log.removals().columns(order)
    median = Effects(
        *(np.median(each, axis=0) for each in (draws.observed, draws.caused, draws.closing))
    )
    point = removals.game(median)
    credit, removal = _games(removals, draws, median, rng)
    back = np.argsort(order)
    draws = draws.columns(back)
    implied = [[test.implied(each) for test in tested] for each in draws.effects()]
    return LiftAnswer(
        credit=point.shapley[back],
        baseline=point.nobody,
        removal=point.removal[back],
        draws=credit[:, back],
        baseline_draws=removals.total - credit.sum(axis=1),
        removal_draws=removal[:, back],
        effects=draws,
        implied=np.array(implied).reshape(n_draws, len(tested)),
        parts=_parts(log, terms, median.columns(back)),
    )


def _measured(
    test: LiftTest,
    log: FittedLog,
    channels: tuple[str, ...],
    brought: Floats | None,
    fit_of: Callable[[Histories], FittedLog] | None,
) -> MeasuredLift:
    """A test with the removals of the people tested."""
    if test.channel not in channels:
        raise UnknownChannelError(
            f"`lift_tests` must be of channels with touchpoints; {test.channel!r} has none here. "
            f"The channels are {', '.join(channels)}"
        )
    code = channels.index(test.channel)
    if test.journeys is not None:
        if fit_of is None:
            raise ParameterError(
                f"the lift test of {test.channel} must be of the journeys fitted; it has its own. "
                "Leave out `journeys`"
            )
        log = fit_of(test.journeys.recode(channels).histories)
    span = (
        -np.inf if test.start is None else test.start,
        np.inf if test.end is None else test.end,
    )
    removed = np.zeros(len(channels))
    removed[code] = 1.0
    if brought is not None:
        removed = np.maximum(removed, brought[code])
    removed *= 1 - test.dose
    removals = log.removals(span).met(removed != 0)
    ratio = 1.0 if test.people is None else test.people / _people(log.histories, code, test, span)
    return MeasuredLift(removals, removed, test.lift, test.standard_error, ratio)


def _people(histories: Histories, code: int, test: LiftTest, span: tuple[float, float]) -> float:
    """People of the log that the people tested stand for."""
    if test.on == "all":
        return float(histories.weight.sum())
    inside = (histories.codes == code) & (histories.time > span[0]) & (histories.time <= span[1])
    exposed = np.unique(histories.owner[inside])
    if not len(exposed):
        raise ParameterError(
            f"the lift test of {test.channel} must be of people who met it; nobody of the log did "
            "in its span. Check `start` and `end`"
        )
    return float(histories.weight[exposed].sum())


def _games(
    removals: Removals, draws: PosteriorDraws, centre: Effects, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Credit and removal of each draw, both `(n_draws, n_channels)`.

    Each draw's game is sampled along the same orders of arrival, and corrected by how much these
    miss at the centre of the draws. Conversions get random weights (Rubin 1981, Annals of
    Statistics 9(1):130–134, the Bayesian bootstrap), since who converted is chance too.
    """
    # Draws do not depend on the order of users either: rows are put in an order of their own.
    keys = removals.room.constant, removals.room.slope.sum(axis=1), removals.out.sum(axis=1)
    rows, total = np.lexsort(keys), removals.total
    some = removals.take(rows[:: -(-len(rows) // _MAX_ROWS)])
    orders = some.orders(rng)
    missed = removals.game(centre).shapley
    missed -= some.sampled_game(centre, orders).shapley * (total / some.total)
    missed[centre.caused <= 0] = 0.0
    credit, removal = [], []
    for effects in draws.effects():
        weight = some.weight * rng.standard_exponential(len(some.weight))
        drawn = some.reweighted(weight * (total / weight.sum()))
        game = drawn.sampled_game(effects, orders)
        credit.append(game.shapley + missed)
        removal.append(game.removal)
    return np.array(credit), np.array(removal)


def _parts(log: FittedLog, terms: Terms, effects: Effects) -> Floats:
    """How much of each conversion each channel causes, `(n_conversions, n_channels)`."""
    rate = np.maximum(terms.case + terms.carried @ effects.observed, 1e-300)
    parts = log.design.by_conversion(terms.carried * effects.caused / rate[:, None])
    if log.near is not None:
        # Of what no channel causes, entrances that close purchases have their part.
        rest = np.maximum(1 - parts.sum(axis=1), 0.0)[:, None]
        parts = parts + rest * log.near * effects.closing / np.maximum(
            (log.near * effects.closing).sum(axis=1, keepdims=True), 1.0
        )
    return parts


def variance_explained(answer: LiftAnswer, standard_error: Floats) -> Floats:
    """How much of the draws' variance a test of each channel would take away, `(n_channels,)`.

    The part of the variance of all credits, in sum, that a linear regression on the test's outcome
    explains. Draws beyond the 2nd and 98th percentile are moved to it.

    Args:
        answer: with or without tests.
        standard_error: of a test of each channel, conversions, shape `(n_channels,)`.
    """
    credit, removal = (
        np.clip(each, *np.quantile(each, (0.02, 0.98), axis=0))
        for each in (answer.draws, answer.removal_draws)
    )
    credit, removal = credit - credit.mean(axis=0), removal - removal.mean(axis=0)
    shared = removal.T @ credit / len(credit)
    known = ((shared**2).sum(axis=1)) / (removal.var(axis=0) + standard_error**2)
    explained: Floats = known / max(float(credit.var(axis=0).sum()), 1e-300)
    return explained


def shown_to_accompany(
    answer: LiftAnswer, channels: tuple[str, ...], tests: tuple[LiftTest, ...]
) -> Mask:
    """The channels whose tests show that most of what the log shows of them is no effect.

    A channel that accompanies purchases multiplies what others cause, while a bias adds to it: then
    not even the credit of the others is right. Such a channel is an entrance; treat it as one, fit
    again and meet the tests again.

    Returns:
        Shape `(n_channels,)`: tested channels that cause less than a third of their observed effect
        in 95% of the draws, and whose observed effect is above 0 in 95%.
    """
    caused, observed = answer.effects.caused, answer.effects.observed
    little = (caused < _LITTLE * observed).mean(axis=0) >= _SURE
    seen = (observed > 0).mean(axis=0) >= _SURE
    tested = np.isin(channels, [each.channel for each in tests])
    shown: Mask = tested & little & seen
    return shown
