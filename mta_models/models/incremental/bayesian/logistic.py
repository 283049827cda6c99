"""Log-linear hazard with a posterior, learnt from a case-base sample by logistic regression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any

import numpy as np

from mta_models.core.checks import check_one_of
from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.models.incremental.bayesian.base import CREDIT_DRAWS, BayesianModel
from mta_models.models.incremental.bayesian.draws import ChannelDraws
from mta_models.models.incremental.bayesian.lift_likelihood import LiftOf
from mta_models.models.incremental.bayesian.logistic_data import (
    LogFit,
    LogisticHorizonUsers,
    LogisticLikelihood,
    arrivals,
    orders,
    responses,
)
from mta_models.models.incremental.bayesian.logistic_model import (
    LogisticDraws,
    build,
    logistic_draws,
)
from mta_models.models.incremental.bayesian.predictive_checks import week_index, week_starts
from mta_models.models.incremental.bayesian.priors import Prior
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.parameters import HalfLife

# Draws, evenly spaced, whose hazard is computed at every conversion or sampled time.
_HAZARD_DRAWS = 100
_SATURATIONS = (None, "log")


class BayesianLogistic(BayesianModel):
    """Logistic regression on a case-base sample with a posterior, and lift tests in it.

    log λ(t) = α + Σ_c (β_c + δ_c) g(a_c(t)), a_c(t) = Σ_{t_k ≤ t} 2^(−(t − t_k) / h_c), as
    `Logistic`: conversions against points sampled evenly from the time at risk, with odds in
    proportion to the hazard. Effects multiply. They are partially pooled and half-lives have
    priors, as in `BayesianHazard`. Also as there, with lift tests each channel has a bias δ_c
    beside its effect. Biases are converted to conversions by the channel's response summed over all
    conversions, which is right where effects are small.

    The points sampled, twenty for each conversion and at least 20,000, are binned into some 4,000
    rows, so that the cost of a draw grows with conversions only. The horizon is computed for 1,500
    users, sampled by their approximate probability of converting.

    Estimand: `incremental`, with the counterfactuals of `Hazard`. The point estimate is the mean
    over draws. With `"moment"` each conversion is split by Shapley values of its hazard. Shapley
    values, here and over the horizon, are computed along random orders of channels.

    Assumptions: those of `Logistic`; with lift tests those of `BayesianHazard` about biases. The
    accuracy with lift tests that `BayesianHazard` states was not measured for this model.

    Source: Li & Kannan (2014), Attributing conversions in a multichannel online marketing
    environment, Journal of Marketing Research 51(1):40–56, is the ancestor; Hanley & Miettinen
    (2009), Fitting smooth-in-time prognostic risk functions via logistic regression, The
    International Journal of Biostatistics 5(1), article 3, for the case-base sample.

    Tuned on: nothing of its own; the priors of biases are those of `BayesianHazard`.

    Args:
        lift_tests: `LiftTest` objects; None: no tests, and no biases.
        random_state: seed of the case-base sample and of the chains.
        nonnegative: whether effects must be >= 0.
        half_life: as `Hazard`; None: learnt.
        saturation: `"log"`: g(a) = log(1 + a); None: g(a) = a.
        counterfactual: `"horizon"` or `"moment"`, see `Hazard`.
        n_draws: kept over all chains, >= 100; as many are spent on tuning. Credit uses 300 of them.
        n_chains: run in parallel, >= 2.
        prior: a `Prior`, or a mapping of its fields to numbers; None: its defaults.

    Attributes:
        draws_: `effect`, `bias` and `half_life`, each of shape `(n_draws, n_channels)`, and
            `intercept`, shape `(n_draws,)`, the logarithm of conversions per user and day.
        half_life_: shape `(n_channels,)`, days: geometric means over draws.
        prior_: the `Prior` used, with the model's defaults in place of None.
        diagnostics_: `r_hat`, `ess` and `divergences` of the chains.
        repeat_: whether users convert more than once, and are at risk after a conversion.
        binning_error_: root mean square of the log-odds lost by binning.
        lift_error_: as `BayesianHazard`.
        removal_: as `Hazard`, mean over draws.

    Example:
        >>> from mta_models import BayesianLogistic
        >>> BayesianLogistic(half_life="5d", random_state=1)
        BayesianLogistic(random_state=1, half_life='5d')
    """

    effect_mean = 0.0
    baseline_median = exp(-1.0)

    draws_: LogisticDraws
    _likelihood: LogisticLikelihood

    def __init__(
        self,
        lift_tests: Iterable[LiftTest] | None = None,
        random_state: int | None = None,
        nonnegative: bool = False,
        half_life: HalfLife | None = None,
        saturation: str | None = "log",
        counterfactual: str = "horizon",
        n_draws: int = 1000,
        n_chains: int = 2,
        prior: Prior | Mapping[str, float] | None = None,
    ) -> None:
        self.lift_tests = lift_tests
        self.random_state = random_state
        self.nonnegative = nonnegative
        self.half_life = half_life
        self.saturation = saturation
        self.counterfactual = counterfactual
        self.n_draws = n_draws
        self.n_chains = n_chains
        self.prior = prior

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_one_of(self.saturation, "saturation", _SATURATIONS)

    def _tabulate(self, histories: Histories, rng: np.random.Generator) -> LogisticLikelihood:
        # It gives the half-lives of the point fit, and users' probabilities of converting.
        self._start = Hazard(self.half_life, calendar=False).fit_histories(histories)
        self.repeat_ = histories.repeats
        half_life = self._start.half_life_
        return LogisticLikelihood.from_histories(
            histories, self._basis(half_life), half_life, self.saturation, rng
        )

    def _build(self) -> Any:
        return build(self._likelihood, self.prior_, self._calibration, self.nonnegative)

    def _draws_from(self, sampled: dict[str, Floats]) -> LogisticDraws:
        return logistic_draws(sampled, self._likelihood)

    def _lift_in(self, histories: Histories) -> LiftOf:
        users, point = self._users(histories), self._likelihood.point
        return lambda code, effect: users.lift(point, code, effect)

    def _users(self, histories: Histories) -> LogisticHorizonUsers:
        until = float(histories.end.max()) if histories.n_users else 0.0
        hazard = self._start.expected_in(histories, float(histories.start.min()), until)
        return LogisticHorizonUsers.from_histories(
            histories, self._likelihood.basis, self.saturation, hazard, self.repeat_
        )

    def _games(self, histories: Histories) -> list[HorizonGame]:
        users = self._users(histories)
        return [users.game(fit) for fit in self.draws_.thinned(CREDIT_DRAWS).fits]

    def _moment(self, histories: Histories) -> Floats:
        return np.array(
            [
                histories.event_weight @ self._parts_of(histories, fit)
                for fit in self.draws_.thinned(_HAZARD_DRAWS).fits
            ]
        )

    def _parts(self, histories: Histories) -> Floats:
        return self._parts_of(histories, self.draws_.mean.fits[0])

    def _parts_of(self, histories: Histories, fit: LogFit) -> Floats:
        """Shapley values of each conversion's hazard, as parts of it, `(n_events, n_channels)`."""
        effect = responses(histories.adstock(fit.half_life), self.saturation)[:, None]
        base = np.exp(effect @ fit.bias)
        effect = effect * fit.coef
        values = arrivals(
            base,
            effect,
            orders(histories.n_events, histories.n_channels),
            lambda hazard: hazard[:, 0],
        )
        parts: Floats = values / (base * np.exp(effect.sum(axis=2)))
        return parts

    def _hazard(self, histories: Histories, user: Ints, time: Floats, fit: LogFit) -> Floats:
        """Conversions per day of users at times, shape `(n_times,)`."""
        response = responses(histories.adstock_at(user, time, fit.half_life), self.saturation)
        hazard: Floats = np.exp(fit.intercept + response @ (fit.coef + fit.bias))
        return hazard

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        begin = np.maximum(histories.start, since)
        stop = np.maximum(np.minimum(histories.end, until), begin)
        pieces = max(int(np.ceil((stop - begin).max(initial=0))), 1)
        time, days = points_within(begin, stop, pieces)
        user = np.repeat(np.arange(histories.n_users), pieces)
        hazard = self._hazard(histories, user, time.ravel(), self.draws_.mean.fits[0])
        expected: Floats = hazard.reshape(-1, pieces).sum(axis=1) * days
        return expected

    def _expected_by_week(self, histories: Histories, draws: ChannelDraws) -> Floats:
        assert isinstance(draws, LogisticDraws)  # they are those of `_draws_from`
        rng = np.random.default_rng(self.random_state)
        sample = CaseBaseSample.from_histories(histories, rng)
        base = slice(sample.n_cases, None)
        user, time, weight = sample.user[base], sample.time[base], sample.weight[base]
        adstock = histories.adstock_at(user, time, draws.mean.half_life[0])
        response = responses(adstock, self.saturation)
        n = len(week_starts(histories))
        week = np.minimum(week_index(histories, time), n - 1)
        return np.array(
            [
                np.bincount(
                    week, weight * np.exp(fit.intercept + response @ (fit.coef + fit.bias)), n
                )
                for fit in draws.thinned(_HAZARD_DRAWS).fits
            ]
        )
