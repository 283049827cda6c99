"""Within-user attribution: each converter compared with itself on other days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from mta_models.core.checks import check_flag, check_one_of
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, JourneyError, warn
from mta_models.models.base import Refitter
from mta_models.models.incremental.accounts import account_of
from mta_models.models.incremental.base import TimedModel
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.self_controlled.bootstrap_refit import BootstrapRefit
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.credit import conversion_parts, horizon_game
from mta_models.models.incremental.self_controlled.frailty import Frailty, fit_frailty
from mta_models.models.incremental.self_controlled.imputed_exposure import (
    Stops,
    find_stops,
    impute_exposure,
)
from mta_models.models.incremental.self_controlled.leads import (
    NAMED_Z,
    LeadTest,
    run_lead_test,
)
from mta_models.models.incremental.self_controlled.moving_intent import (
    Gate,
    MovingIntent,
    Search,
    fit_frailty_columns,
    fit_moving_intent,
    no_moving_intent,
)
from mta_models.models.incremental.self_controlled.prediction import (
    count_and_integral,
    expected_conversions,
)
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
    constant_rate,
    fit_effects,
    fit_half_lives,
    fit_time_factors,
)
from mta_models.models.incremental.self_controlled.volume_groups import (
    group_edges,
    n_groups,
    volume,
)
from mta_models.models.parameters import HalfLife, check_half_life, given_half_lives

# z of the lead test, of all touchpoints together and of one channel's, below which ads are taken
# to stop after conversions.
_STOPPED, _ONE_STOPPED = -4.0, -6.0
# Imputations where ads stop, and rows (conversions times imputations) beyond which they are fewer.
_IMPUTATIONS, _MAX_ROWS = 5, 40_000
# Conversions below which a warning says that they are few.
_FEW = 200
_ROUNDS = 3


class SelfControlled(TimedModel):
    """Each converter compared with itself on other days, so that stable intent cancels.

    λ_u(t) = z_u f(t) (m_u(t) + Σ_c β_c a_c(t)) with β ≥ 0 and adstock a_c(t) = Σ 2^(−age / h_c).
    Given that u converted, and at which time of day, the probability that the conversion was on
    this day and not on another day of observation does not depend on z_u, the user's frailty. So
    users who would buy anyway, and see more ads for that reason, do not bias the effects. f is a
    calendar factor by week. Depletion (users of high intent convert first) is modelled in groups of
    users with similar volumes of touchpoints. m is intent that changes over time within a user,
    fitted where the data require it. A lead test checks that touchpoints after a conversion do not
    predict it. The derivation is in `docs/self_controlled.md`.

    Estimand: `incremental`, with the counterfactuals of `Hazard`. The horizon's game here: which of
    the conversions observed would have come by the end of observation with the touchpoints of some
    channels only. z cancels there too: exactly in expectation for users who convert once; for users
    who convert again, each conversion is split in proportion.

    Assumptions:
        - Exposure after a conversion is what it would have been without it. (Tested: where ads stop
          for buyers, `suppression_` is True and exposure is imputed, with a warning.)
        - Changes of a user's intent show equally in the touchpoints before and after them. The lead
          test cannot see causes that raise intent and later exposure but not earlier exposure, nor
          needs that raise exposure before a purchase and end with it.
        - Effects add up, are proportional to frailty, fade at a constant rate and are never
          negative.
        - The end of a user's observation does not depend on the conversion.

    It cannot see: the effect of a channel whose exposure varies within no converter; effects that
    never fade; effects on users who never convert. It needs some thousands of conversions to be
    accurate, and warns below 200, where credit is mostly chance.

    Source: Farrington 1995, Biometrics 51:228–235, the self-controlled case series; Maclure 1991,
    American Journal of Epidemiology 133(2):144–153, the case-crossover design; Lumley & Levy 2000,
    Environmetrics 11(6):689–704, calendar windows. Their use in attribution, moving intent and the
    horizon in which frailty cancels are ours.

    Tuned on: logs of 20,000 to 50,000 users of the worlds of one thing at a time, seeds 0 to 4: the
    gains that moving intent and the groups of depletion must reach, and the number of conversions
    from which channels have half-lives of their own. When exposure counts as stopped, and what is
    imputed then: logs of 15,000 users, seeds 0 to 3 and 20 to 29.

    Args:
        half_life: a span of time ("7d", a timedelta, days), or one per channel by name. None:
            those of maximum likelihood among 1 to 21 days.
        burn_in: a span after each user's start without control days: several half-lives, for logs
            that do not show the exposure before their start. None: no such span.
        window: `"observed"`: all days of a user are control days of the user's conversions. Or a
            span of time: only days in the same calendar window are, for windows of that length.
        counterfactual: `"horizon"` or `"moment"`, see `Hazard`.
        intent: whether m is fitted: True, False, or `"auto"`: if it gains 15 in log-likelihood (2.5
            a channel, if that is more), or two thirds of that after the lead test rejected.
        calendar: whether there is a factor f for each week.
        lag: a span of time from a touchpoint until its effect begins; `Hazard` says what that
            assumes. The lead test and moving intent tell past from future touchpoints by when they
            were met, whatever the lag.

    Attributes:
        beta_: shape `(n_channels,)`, what a fresh touchpoint adds to the rate, in units of the
            user's own baseline, >= 0.
        half_life_: shape `(n_channels,)`, days.
        calendar_: f, shape `(n_weeks,)`, weeks from the log's start, mean 1.
        moving_intent_: a `MovingIntent`.
        baseline_frailty_: whether users with many touchpoints were found to have a higher baseline
            but not larger effects; this part of the baseline is never credited.
        lead_test_: a `LeadTest` of the fit; its `before` is the test before any correction.
        stops_: a `Stops`: for which channels exposure was found to stop after conversions, for how
            many days and to what fraction.
        suppression_: whether it was for any; then it was imputed, several times over.
        log_likelihood_: conditional, at the fit.
        frailty_: the distribution of z between users, used by `expected_conversions` only.
        rate_: all fitted parameters, a `RelativeRate`.
        removal_: as `Hazard`.

    Example:
        >>> import mta_models as mta
        >>> journeys = mta.worlds.make("randomised", n_users=4_000, seed=1).simulate().journeys
        >>> model = mta.SelfControlled(half_life="4d").fit(journeys)
        >>> model.moving_intent_.kept, model.suppression_
        (False, False)
    """

    moving_intent_: MovingIntent
    lead_test_: LeadTest
    baseline_frailty_: bool
    stops_: Stops
    suppression_: bool
    frailty_: Frailty
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
        if not (isinstance(self.window, str) and self.window == "observed"):
            as_days(self.window, "window")
        check_one_of(self.intent, "intent", ("auto", True, False))
        check_flag(self.calendar, "calendar")

    # Fitting.

    def _learn(self, histories: Histories) -> None:
        _check_observed(histories)
        edges = group_edges(histories)
        design = self._design(histories, edges, None)
        rate, value = self._fit_effects_and_time(design, histories)
        before = run_lead_test(design, rate)
        stops = find_stops(histories, _stops(before) and not histories.repeats)
        if stops.any:
            edges = group_edges(impute_exposure(_converters(histories), stops))
            design = self._design(histories, edges, stops)
            rate, value = self._fit_effects_and_time(design, histories)
        rejected = before.rejects and not stops.any
        rate, value = self._fit_intent(design, rate, value, rejected)
        after = run_lead_test(design, rate)
        self._edges = edges
        self.stops_, self.suppression_ = stops, stops.any
        self.rate_, self.log_likelihood_ = rate, value
        self.half_life_, self.beta_ = rate.half_life, rate.effect
        self.calendar_ = rate.calendar / rate.calendar.mean()
        self.lead_test_ = replace(after, before=before)
        self.frailty_ = fit_frailty(*count_and_integral(rate, histories, np.inf), histories.weight)
        self._warn(histories, design)

    def _fit_effects_and_time(
        self, design: Design, histories: Histories
    ) -> tuple[RelativeRate, float]:
        """Effects, half-lives and factors of time, in turn; the rate and its log-likelihood."""
        rate = constant_rate(design, 0 if histories.repeats else n_groups(histories))
        if self.half_life is not None:
            rate = replace(rate, half_life=given_half_lives(self.half_life, histories.channels))
        rate, value = fit_effects(design, rate)
        for _ in range(_ROUNDS):
            rate, value = fit_effects(design, fit_time_factors(design, rate, self.calendar))
        if self.half_life is None:
            rate, _ = fit_effects(design, fit_half_lives(design, rate))
            rate, value = fit_effects(design, fit_time_factors(design, rate, self.calendar))
        return rate, value

    def _fit_intent(
        self, design: Design, rate: RelativeRate, value: float, rejected: bool
    ) -> tuple[RelativeRate, float]:
        """Frailty that shows in touchpoints and intent that moves, each where it gains enough."""
        self.baseline_frailty_, self.moving_intent_ = False, no_moving_intent(design.n_channels)
        self._gate: Gate | None = None
        if self.intent is False:
            return rate, value
        rate, value, self.baseline_frailty_ = fit_frailty_columns(
            design, rate, value, self.calendar
        )
        search = Search(self.half_life is None, self.calendar, self.intent is True, rejected)
        rate, value, self.moving_intent_, self._gate = fit_moving_intent(
            design, rate, value, search
        )
        return rate, value

    def _design(self, histories: Histories, edges: Floats, stops: Stops | None) -> Design:
        """The conversions with their control days.

        Args:
            histories: whose conversions.
            edges: volumes of touchpoints that separate groups of users.
            stops: the channels whose exposure after conversions is imputed, several times over.
        """
        converters = _converters(histories)
        if stops is None:
            return self._observed_design(converters, edges)
        copies = int(np.clip(_MAX_ROWS // converters.n_events, 2, _IMPUTATIONS))
        return Design.stacked(
            [
                self._observed_design(impute_exposure(converters, stops, draw), edges)
                for draw in range(copies)
            ]
        )

    def _observed_design(self, converters: Histories, edges: Floats) -> Design:
        volumes = volume(converters)[converters.event_user]
        return Design(
            blocks=control_days(
                converters,
                0.0 if self.burn_in is None else as_days(self.burn_in, "burn_in"),
                None if self.window == "observed" else as_days(self.window, "window"),
            ),
            group=np.searchsorted(edges, volumes, side="right"),
            weight=converters.event_weight,
        )

    def _fitted_design(self, histories: Histories) -> Design:
        """The conversions of any users, with control days and imputation as in the fit."""
        return self._design(histories, self._edges, self.stops_ if self.suppression_ else None)

    def _warn(self, histories: Histories, design: Design) -> None:
        """Warn of what these journeys cannot identify."""
        names = np.array(histories.channels, dtype=object)
        if histories.total < _FEW:
            warn(
                f"comparing users with themselves needs some thousands of conversions to be "
                f"accurate, and below {_FEW} there is mostly chance; got "
                f"{histories.total:g}. Look at the intervals of `bootstrap`",
                IdentifiabilityWarning,
            )
        terms = channel_terms(design, self.rate_)
        usual = terms.exposure / terms.control[:, None] * terms.case[:, None]
        constant = np.abs(terms.carried - usual).max(axis=0, initial=0.0) < 1e-9
        constant &= ~self._without_risk(histories)  # the base warns of these
        if constant.any():
            warn(
                f"every converter's exposure to {', '.join(names[constant])} is the same on all "
                "days, so its effect within users cannot be learnt and is taken as 0",
                IdentifiabilityWarning,
            )
        test = self.lead_test_
        if self.suppression_:
            stops = self.stops_
            fewer = [
                name if np.isnan(ratio) else f"{name} ({ratio:.0%} of what is usual)"
                for name, ratio in zip(
                    names[stops.days > 0], stops.ratio[stops.days > 0], strict=True
                )
            ]
            warn(
                f"touchpoints stop after conversions: {', '.join(fewer)}. So the days after a "
                "conversion are no fair controls. Exposure on them was imputed from each user's "
                "own past, which corrects the credit in part. Run a lift test to check it",
                IdentifiabilityWarning,
            )
        elif test.rejects:
            high = ", ".join(names[test.z > NAMED_Z])
            warn(
                "touchpoints after a conversion should not predict it, and they do (lead test p "
                f"{test.p_value:.1g}): something that changes within users drives both. "
                + (
                    f"Channels with high z are probably over-credited: {high}"
                    if high
                    else "Look at lead_test_.z for the channels"
                ),
                IdentifiabilityWarning,
            )

    def _checks(self) -> tuple[str, ...]:
        return (self.lead_test_.sentence(),)

    # Credit.

    def _parts(self, histories: Histories) -> Floats:
        return conversion_parts(self._fitted_design(histories), self.rate_)

    def _game(self, histories: Histories) -> HorizonGame:
        return horizon_game(self._fitted_design(histories), self.rate_, histories.repeats)

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`; `BootstrapRefit` says what is fitted to each draw."""
        histories = self._histories(journeys)
        prepared = self._prepared(histories)

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

    def _prepared(self, histories: Histories) -> BootstrapRefit:
        """The fit, ready to be repeated with other weights of these conversions."""
        return BootstrapRefit.from_fit(
            self._fitted_design(histories), self.rate_, self.half_life is None, self._gate
        )

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        return expected_conversions(self.rate_, self.frailty_, histories, since, until)


def _check_observed(histories: Histories) -> None:
    """Refuse journeys in which no day after a conversion was observed."""
    after = histories.end[histories.event_user] - histories.event_time
    if not (after >= 1).any():
        raise JourneyError(
            "users must be observed after a conversion, since they are compared with themselves on "
            "days before and after it; in these journeys observation ends with the conversion. "
            "Read an event log with read_events, with `observed` bounds where it has them"
        )


def _stops(test: LeadTest) -> bool:
    """Whether far fewer touchpoints follow conversions than follow other days."""
    return test.z_together < _STOPPED or bool(test.z.min(initial=0.0) < _ONE_STOPPED)


def _converters(histories: Histories) -> Histories:
    """The users who converted."""
    return histories.take(np.unique(histories.event_user))
