"""Within-user attribution: each converter compared with itself on other days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, JourneyError, ParameterError, warn
from mta_models.models.base import Refitter
from mta_models.models.incremental.base import TimedModel, account_of
from mta_models.models.incremental.half_lives import HalfLife, check_half_life, given_half_lives
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.self_controlled.bootstrap_refit import BootstrapRefit
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.credit import conversion_parts, horizon_game
from mta_models.models.incremental.self_controlled.frailty import Levels, learn_levels
from mta_models.models.incremental.self_controlled.imputed_exposure import unsuppressed
from mta_models.models.incremental.self_controlled.leads import LeadTest, lead_test
from mta_models.models.incremental.self_controlled.moving_intent import (
    ALARM,
    MovingIntent,
    Search,
    no_moving_intent,
    with_levels,
    with_moving_intent,
)
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
    plain_rate,
    with_effects,
    with_half_lives,
    with_time,
)

# z of the lead test, of all touchpoints together and of one channel's, below which ads are taken
# to stop after conversions; and p below which what is left is warned of.
_STOPPED, _ONE_STOPPED, _LEFT = -4.0, -6.0, 0.001
# Conversions per group whose thinning out is followed by itself, and groups at most.
_PER_GROUP, _GROUPS = 400.0, 12
_TOO_FEW = 200
_ROUNDS = 3


class SelfControlled(TimedModel):
    """Each converter compared with itself on other days, so that stable intent cancels.

    λ_u(t) = z_u f(t) (m_u(t) + Σ_c β_c a_c(t)) with β ≥ 0 and adstock a_c(t) = Σ 2^(−age / h_c).
    Given that u converted, and at which time of day, the chance that it was on this day of all
    days observed is free of z_u: who would buy anyway, and is shown more for it, is no trouble.
    What there is besides: a calendar factor f by week; how the keenest leave first, in groups of
    equal volume of touchpoints; m, intent that comes and goes within a user, kept where the data
    ask for it; a test that touchpoints after a conversion do not tell of it. The derivation is in
    `docs/self_controlled.md`.

    Estimand: `incremental`, see `TimedModel`. Over the horizon: of the conversions observed, those
    that would have come by the end of observation with only some channels' touchpoints, in which
    z cancels too (exact in expectation for users who convert once; for users who convert again
    and again, in proportion).

    Assumptions:
        - Exposure after a conversion is what it would have been without it (tested: where ads stop
          for buyers, `suppression_` is True and exposure is imputed, with a warning).
        - What moves a user's intent shows in touchpoints before and after alike.
        - Effects add up, are alike in proportion to a user's level, fade at a constant rate and
          are never negative.
        - Observation ends when it ends, whether or not the user converted.

    Blind spots: a channel that no converter met at unequal times; effects that never fade; what
    users who never convert might do. It needs some thousands of conversions.

    Source: Farrington 1995, Biometrics 51:228–235, the self-controlled case series; Maclure 1991,
    American Journal of Epidemiology 133(2):144–153, the case-crossover design; Lumley & Levy 2000,
    Environmetrics 11(6):689–704, windows cut from the calendar. Their use in attribution, the
    moving intent and the horizon without levels are ours.

    Args:
        half_life: a span of time ("7d", a timedelta, days), or one per channel by name. None:
            those of the best likelihood among 1 to 21 days.
        burn_in: a span after each user's start that serves as no control, for logs that begin
            amid exposure that they do not show: several half-lives. None: no such span.
        window: `"observed"`: all days of a user are controls of its conversions; or a span:
            those of the same window of the calendar, windows of that length.
        counterfactual: `"horizon"` or `"moment"`.
        intent: whether intent moves within a user: True, False, or `"auto"`: where that gains 15
            in log-likelihood (2.5 a channel, if that is more), or 10 and the lead test asks for it.
        calendar: whether there is a factor f for each week.
        lag: a span of time from a touchpoint until it counts, see `Hazard`.

    Attributes:
        beta_: shape `(n_channels,)`, what a fresh touchpoint adds to the rate, in units of the
            user's own baseline, >= 0.
        half_life_: shape `(n_channels,)`, days.
        calendar_: f, shape `(n_weeks,)`, weeks from the log's start, mean 1.
        moving_intent_: a `MovingIntent`.
        levels_: whether touchpoints were found to mark users of a higher baseline (only where
            intent raises the baseline and not the effects); never credited.
        lead_test_: a `LeadTest` of the fit, with the one before any correction as `before`.
        suppression_: whether exposure was found to stop after conversions, and was imputed.
        log_likelihood_: conditional, at the fit.
        user_levels_: how z differs between users, for `expected_conversions` alone.
        rate_: all of the fit, a `RelativeRate`.

    Example:
        >>> import mta_models as mta
        >>> journeys = mta.worlds.make("randomised", n_users=4_000, seed=1).simulate().journeys
        >>> model = mta.SelfControlled(half_life="4d").fit(journeys)
        >>> model.moving_intent_.kept, model.suppression_
        (False, False)
    """

    moving_intent_: MovingIntent
    lead_test_: LeadTest
    levels_: bool
    suppression_: bool
    rate_: RelativeRate

    def __init__(
        self,
        half_life: HalfLife | None = None,
        burn_in: str | timedelta | float | None = None,
        window: str | timedelta | float = "observed",
        counterfactual: str = "horizon",
        intent: str | bool = "auto",
        calendar: bool = True,
        lag: str | timedelta | float | None = None,
    ) -> None:
        self.half_life = half_life
        self.burn_in = burn_in
        self.window = window
        self.counterfactual = counterfactual
        self.intent = intent
        self.calendar = calendar
        self.lag = lag

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_half_life(self.half_life)
        if self.burn_in is not None:
            as_days(self.burn_in, "burn_in")
        if self.window != "observed":
            as_days(self.window, "window")
        if self.intent not in ("auto", True, False):
            raise ParameterError(f'intent must be True, False or "auto"; got {self.intent!r}')
        if not isinstance(self.calendar, bool):
            raise ParameterError(f"calendar must be True or False; got {self.calendar!r}")

    # Fitting.

    def _learn(self, histories: Histories) -> None:
        self._check_observed(histories)
        edges = _group_edges(histories)
        design = self._design(histories, edges, imputed=False)
        rate, value = self._fitted(design, histories)
        before = lead_test(design, rate)
        imputed = _stops(before) and not histories.repeats
        if imputed:
            edges = _group_edges(_converters(histories, imputed))
            design = self._design(histories, edges, imputed)
            rate, value = self._fitted(design, histories)
        self._edges, self.suppression_ = edges, imputed
        rate, value = self._with_intent(design, rate, value, before)
        self._store(rate, value)
        self.lead_test_ = replace(lead_test(design, rate), before=before)
        self.user_levels_ = self._learn_levels(histories)
        self._warn(histories, design)

    def _fitted(self, design: Design, histories: Histories) -> tuple[RelativeRate, float]:
        """Steps 1 and 2: effects, half-lives, time."""
        rate = plain_rate(design, 0 if histories.repeats else _n_groups(histories))
        chosen = self.half_life is None
        if self.half_life is not None:
            rate = replace(rate, half_life=given_half_lives(self.half_life, histories.channels))
        rate, value = with_effects(design, rate)
        for _ in range(_ROUNDS):
            rate, value = with_effects(design, with_time(design, rate, self.calendar))
        if chosen:
            rate, _ = with_effects(design, with_half_lives(design, rate))
            rate, value = with_effects(design, with_time(design, rate, self.calendar))
        return rate, value

    def _with_intent(
        self, design: Design, rate: RelativeRate, value: float, before: LeadTest
    ) -> tuple[RelativeRate, float]:
        """Steps 6 and 3: levels that show in touchpoints, intent that moves."""
        self.levels_, self.moving_intent_ = False, no_moving_intent(design.n_channels)
        if self.intent is False:
            return rate, value
        alarmed = not self.suppression_ and before.p_value < ALARM
        rate, value, self.levels_ = with_levels(design, rate, value, self.calendar)
        search = Search(self.half_life is None, self.calendar, self.intent is True, alarmed)
        rate, value, self.moving_intent_ = with_moving_intent(design, rate, value, search)
        return rate, value

    def _store(self, rate: RelativeRate, value: float) -> None:
        self.rate_ = rate
        self.half_life_, self.beta_ = rate.half_life, rate.effect
        self.calendar_ = rate.calendar / rate.calendar.mean()
        self.log_likelihood_ = value

    # What it is fitted to.

    def _check_observed(self, histories: Histories) -> None:
        user, time = histories.event_user, histories.event_time
        later = histories.end[user] - time >= 1
        if not later.any():
            raise JourneyError(
                "a user is compared with itself on other days, those after its conversion too, and "
                "in these journeys observation ends with the conversion. Read an event log with "
                "read_events, with `observed` bounds where it has them"
            )

    def _design(self, histories: Histories, edges: Floats, imputed: bool) -> Design:
        """The conversions with their control days.

        Args:
            histories: whose conversions.
            edges: volumes of touchpoints that separate groups of users.
            imputed: whether exposure after conversions is imputed.
        """
        converters = _converters(histories, imputed)
        volume = _volume(converters)[converters.event_user]
        return Design(
            blocks=control_days(
                converters,
                0.0 if self.burn_in is None else as_days(self.burn_in, "burn_in"),
                None if self.window == "observed" else as_days(self.window, "window"),
            ),
            group=np.searchsorted(edges, volume, side="right"),
            weight=histories.event_weight,
        )

    def _fitted_design(self, histories: Histories) -> Design:
        """The conversions of any users, seen as those of the fit were."""
        return self._design(histories, self._edges, self.suppression_)

    def _warn(self, histories: Histories, design: Design) -> None:
        """Say what these journeys cannot tell."""

        def say(what: str) -> None:
            warn(what, IdentifiabilityWarning)

        if histories.total < _TOO_FEW:
            say(
                f"{histories.total:g} conversions are few to compare users with themselves: some "
                "thousands are wanted. Look at the intervals of `bootstrap`"
            )
        terms = channel_terms(design, self.rate_)
        usual = terms.exposure / terms.control[:, None] * terms.case[:, None]
        still = np.abs(terms.carried - usual).max(axis=0, initial=0.0) < 1e-9
        still &= ~self._without_risk(histories)  # the base warns of these
        if still.any():
            names = ", ".join(np.array(histories.channels, dtype=object)[still])
            say(
                f"no converter met {names} on some days more than on others, so within users "
                "there is nothing to learn an effect from; it is credited nothing"
            )
        before = self.lead_test_.before or self.lead_test_
        if self.suppression_:
            say(
                f"touchpoints stop after conversions (lead test z {before.z_together:.0f}), so "
                "that the days after a conversion are no fair control. They were imputed from each "
                "user's own past, which mends the credit in part. A lift test would tell more"
            )
        elif self.lead_test_.p_value < _LEFT:
            say(
                "touchpoints after a moment still tell whether users convert at it (lead test p "
                f"{self.lead_test_.p_value:.1g}), though they cannot have caused it: something "
                "that moves within users drives both. Expect credit to be too high where z is"
            )

    # Credit.

    def _parts(self, histories: Histories) -> Floats:
        return conversion_parts(self._fitted_design(histories), self.rate_)

    def _game(self, histories: Histories) -> HorizonGame:
        return horizon_game(self._fitted_design(histories), self.rate_, histories.repeats)

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`; `BootstrapRefit` says what is fitted to each draw."""
        histories = self._histories(journeys)
        prepared = BootstrapRefit.from_fit(
            self._fitted_design(histories), self.rate_, free=self.half_life is None
        )

        def refit(weighted: Journeys) -> tuple[Floats, float]:
            drawn = histories.reweighted(weighted)
            design, rate = prepared.refit(drawn.event_weight)
            account = account_of(
                drawn,
                weighted.outcome(of),
                of,
                lambda: conversion_parts(design, rate),
                (lambda: horizon_game(design, rate, drawn.repeats))
                if self.counterfactual == "horizon"
                else None,
            )
            return account.credit, account.baseline

        return refit

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        count, risk = self._past(histories, since)
        level = self.user_levels_.given(count, risk)
        end = np.clip(histories.end, since, until)
        begin = np.clip(histories.start, since, end)
        ahead = self._integral(histories, end) - self._integral(histories, begin)
        expected: Floats = level * np.maximum(ahead, 0)
        return expected

    def _past(self, histories: Histories, since: float) -> tuple[Floats, Floats]:
        """Conversions of each user before a day, and the relative rate at risk of them."""
        earlier = histories.event_time < since
        weight = histories.event_weight[earlier]
        count = np.bincount(histories.event_user[earlier], weight, histories.n_users)
        at_risk = np.minimum(histories.risk_end(), since)
        each: Floats = count / np.maximum(histories.weight, 1e-300)
        return each, self._integral(histories, at_risk)

    def _learn_levels(self, histories: Histories) -> Levels:
        return learn_levels(*self._past(histories, np.inf), histories.weight)

    def _integral(self, histories: Histories, stop: Floats) -> Floats:
        """∫ of the relative rate from each user's start, by touchpoints so far, `(n_users,)`.

        Intent that moves is told by the past alone, which stands for the future too.
        """
        stop = np.maximum(stop, histories.start)
        total = stop - histories.start
        rate = self.rate_
        kernels = [(rate.half_life, rate.effect)]
        kernels += [
            (np.full(histories.n_channels, span), 2 * effect)
            for span, effect in zip(rate.spans, rate.intent, strict=True)
            if np.isfinite(span)
        ]
        for half_life, effect in kernels:
            each = histories.exposure(half_life, stop) * effect[histories.codes]
            total = total + np.bincount(histories.owner, each, histories.n_users)
        return total


def _stops(test: LeadTest) -> bool:
    """Whether fewer touchpoints follow conversions than chance would have it."""
    return test.z_together < _STOPPED or bool(test.z.min(initial=0.0) < _ONE_STOPPED)


def _converters(histories: Histories, imputed: bool) -> Histories:
    """The users who converted; with `imputed`, with imputed exposure after their conversions."""
    converters = histories.take(np.unique(histories.event_user))
    return unsuppressed(converters) if imputed else converters


def _volume(histories: Histories) -> Floats:
    """Touchpoints a day of each user, shape `(n_users,)`."""
    days = np.maximum(histories.end - histories.start, 1e-9)
    found: Floats = np.diff(histories.offsets) / days
    return found


def _group_edges(histories: Histories) -> Floats:
    """Volumes of touchpoints that part converters into groups of about as many."""
    n = _n_groups(histories)
    volume = _volume(histories)[histories.event_user]
    return np.quantile(volume, np.arange(1, n) / n)


def _n_groups(histories: Histories) -> int:
    """How many groups of users by volume of touchpoints there are conversions for."""
    return int(np.clip(histories.total / _PER_GROUP, 1, _GROUPS))
