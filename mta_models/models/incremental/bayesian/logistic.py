"""Log-linear hazard with a posterior, learnt from person-moments by logistic regression."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import UnknownChannelError
from mta_models.models.incremental.bayesian.base import PLAYED, BayesianModel
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.bayesian.hazard_model import CALIBRATED, NAMES, untouched
from mta_models.models.incremental.bayesian.lift_likelihood import (
    Calibration,
    check_lift_tests,
    cubic_of,
    doubts,
)
from mta_models.models.incremental.bayesian.logistic_data import (
    LogFit,
    LogisticEvidence,
    Paths,
    arrivals,
    orders,
    responses,
)
from mta_models.models.incremental.bayesian.logistic_model import (
    LogDraws,
    build,
    draws_of,
    prior_draws,
)
from mta_models.models.incremental.bayesian.predictive_checks import week_of, weeks_of
from mta_models.models.incremental.bayesian.sampling import Sampler
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.negative_controls import future_credit
from mta_models.models.parameters import HalfLife, check_one_of

# Draws for which all moments of a log are looked at.
_FEW = 100
_SATURATIONS = (None, "log")


class BayesianLogistic(BayesianModel):
    """Logistic regression on person-moments with a posterior, and lift tests in it.

    log λ(t) = α + Σ_c (β_c + δ_c) g(a_c(t)), a_c(t) = Σ_{t_k ≤ t} 2^(−(t − t_k) / h_c), as
    `Logistic`: conversions among moments at risk, sampled evenly, with odds in proportion to the
    hazard. Effects multiply. They are partially pooled and half-lives have priors, as in
    `BayesianHazard`, and as there, with lift tests, each channel has a bias δ_c beside what it
    causes, scaled by what conversions carried of it: where effects are small, in conversions.

    The moments at risk, twenty for each conversion and 20,000 at least, are put into some 4,000
    groups of like ones, so that the cost of a draw grows with conversions only. The horizon is
    played out for 1,500 users, sampled by how likely they are to convert.

    Estimand: `incremental`, see `TimedModel`. The point estimate is the mean over draws. The
    moment's split is by Shapley values of the hazard, like the horizon's along random orders of
    channels.

    Assumptions: those of `Logistic`; with lift tests those of `BayesianHazard` about biases.

    Source: Li & Kannan (2014), Attributing conversions in a multichannel online marketing
    environment, Journal of Marketing Research 51(1):40–56, is the ancestor; Hanley & Miettinen
    (2009), Fitting smooth-in-time prognostic risk functions via logistic regression, The
    International Journal of Biostatistics 5(1), article 3, for the sampled moments.

    Args:
        lift_tests: `LiftTest` objects; None: the credit of observation.
        random_state: seed of the sampled moments and of the chains.
        nonnegative: whether touchpoints may only help.
        half_life: as `Hazard`; None: learnt.
        saturation: `"log"`: g(a) = log(1 + a); None: a as it is.
        counterfactual: `"horizon"` or `"moment"`.
        n_draws: kept over all chains; as many are spent on tuning. Credit is of 300 of them.
        n_chains: run side by side.

    Attributes:
        draws_: `effect`, `bias` and `half_life`, each of shape `(n_draws, n_channels)`, and
            `intercept`, shape `(n_draws,)`, on the logarithm of conversions per user and day.
        half_life_: shape `(n_channels,)`, days: means of the draws, geometric.
        diagnostics_: `r_hat`, `ess` and `divergences` of the chains.
        repeat_: whether users convert more than once, and are at risk after a conversion.
        binning_error_: of log-odds, root mean square, lost by taking moments together.
        removal_: as `TimedModel`, mean over draws.

    Example:
        >>> from mta_models import BayesianLogistic
        >>> BayesianLogistic(half_life="5d", random_state=1)
        BayesianLogistic(random_state=1, half_life='5d')
    """

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
    ) -> None:
        self.lift_tests = lift_tests
        self.random_state = random_state
        self.nonnegative = nonnegative
        self.half_life = half_life
        self.saturation = saturation
        self.counterfactual = counterfactual
        self.n_draws = n_draws
        self.n_chains = n_chains

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_one_of(self.saturation, "saturation", _SATURATIONS)

    def _learn(self, histories: Histories) -> None:
        tests = check_lift_tests(self.lift_tests)
        rng = np.random.default_rng(self.random_state)
        # Half-lives to begin with, and who is likely to convert.
        self._rough = Hazard(self.half_life).fit_histories(histories)
        self.repeat_ = histories.repeats
        middle, k = self._rough.half_life_, histories.n_channels
        basis = HalfLifeBasis.over(k) if self.half_life is None else HalfLifeBasis.at(middle)
        self._evidence = LogisticEvidence.of(histories, basis, middle, self.saturation, rng)
        self._calibration = self._calibrate(tests, histories) if tests else None
        sampler = Sampler(self.n_draws, self.n_chains, int(rng.integers(2**31)))
        if len(self._evidence.active):
            found, self.diagnostics_ = sampler.sample(
                lambda: build(self._evidence, self._calibration, self.nonnegative),
                CALIBRATED if tests else NAMES,
            )
        else:
            found, self.diagnostics_ = untouched(self._evidence.total, self.n_draws, rng)
        self.draws_ = draws_of(found, self._evidence)
        self.half_life_ = self.draws_.mean.half_life
        self.binning_error_ = self._evidence.binning_error

    def _calibrate(self, tests: tuple[LiftTest, ...], histories: Histories) -> Calibration:
        """Tests against the likeliest hazard."""
        evidence, channels = self._evidence, histories.channels
        fit, carried = evidence.likeliest(), evidence.carried
        codes, curves = [], []
        credited = np.maximum(fit.coef, 0) * carried
        risk = self._risk(histories)
        suspect, doubt, slope = doubts(
            credited,
            evidence.total * carried / max(float(carried.sum()), 1e-300),
            future_credit(histories, risk, evidence.half_life),
        )
        for test in tests:
            if test.channel not in channels or channels.index(test.channel) not in evidence.active:
                raise UnknownChannelError(
                    f"a lift test must be of a channel with touchpoints; {test.channel!r} has "
                    f"none here. The channels are {', '.join(channels)}"
                )
            own = test.journeys
            users = histories if own is None else own.recode(channels).histories
            code, paths = channels.index(test.channel), self._paths(users)
            codes.append(code)
            per_unit = float(carried[code])
            implied = partial(_lift_of, paths, fit, code, per_unit)
            curves.append(cubic_of(implied, max(float(credited[code]), float(doubt[code]))))
        lift = np.array([test.lift for test in tests])
        error = np.array([test.standard_error for test in tests])
        return Calibration(np.array(codes), lift, error, np.array(curves), suspect, doubt, slope)

    def _paths(self, histories: Histories) -> Paths:
        whole = float(histories.end.max()) if histories.n_users else 0.0
        hazard = self._rough._expected(histories, float(histories.start.min()), whole)
        return Paths.of(histories, self._evidence.basis, self.saturation, hazard, self.repeat_)

    def _games(self, histories: Histories) -> list[HorizonGame]:
        paths = self._paths(histories)
        return [paths.game(fit) for fit in self.draws_.thinned(PLAYED).fits]

    def _moment(self, histories: Histories) -> Floats:
        return np.array(
            [
                histories.event_weight @ self._parts_of(histories, fit)
                for fit in self.draws_.thinned(_FEW).fits
            ]
        )

    def _parts(self, histories: Histories) -> Floats:
        return self._parts_of(histories, self.draws_.mean)

    def _parts_of(self, histories: Histories, fit: LogFit) -> Floats:
        """Shapley values of each conversion's hazard, as parts of it, `(n_events, n_channels)`."""
        effect = responses(histories.adstock(fit.half_life), self.saturation)[:, None]
        base = np.exp(effect @ fit.bias)
        effect = effect * fit.coef
        found = arrivals(
            base,
            effect,
            orders(histories.n_events, histories.n_channels),
            lambda hazard: hazard[:, 0],
        )
        parts: Floats = found / (base * np.exp(effect.sum(axis=2)))
        return parts

    def _hazard(self, histories: Histories, user: Ints, time: Floats, fit: LogFit) -> Floats:
        """Conversions per day at moments, shape `(n_moments,)`."""
        response = responses(histories.adstock_at(user, time, fit.half_life), self.saturation)
        hazard: Floats = np.exp(fit.intercept + response @ (fit.coef + fit.bias))
        return hazard

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        begin = np.maximum(histories.start, since)
        stop = np.maximum(np.minimum(histories.end, until), begin)
        pieces = max(int(np.ceil((stop - begin).max(initial=0))), 1)
        time, days = points_within(begin, stop, pieces)
        user = np.repeat(np.arange(histories.n_users), pieces)
        hazard = self._hazard(histories, user, time.ravel(), self.draws_.mean)
        found: Floats = hazard.reshape(-1, pieces).sum(axis=1) * days
        return found

    def _expected_by_week(self, histories: Histories, before: bool) -> Floats:
        rng = np.random.default_rng(self.random_state)
        draws: LogDraws = self.draws_
        if before:
            draws = prior_draws(
                self._evidence, self._calibration, self.nonnegative, self.n_draws, rng
            )
        sample = CaseBaseSample.from_histories(histories, rng)
        base = slice(sample.n_cases, None)
        user, time, weight = sample.user[base], sample.time[base], sample.weight[base]
        response = responses(
            histories.adstock_at(user, time, draws.mean.half_life), self.saturation
        )
        n = len(weeks_of(histories))
        week = np.minimum(week_of(histories, time), n - 1)
        return np.array(
            [
                np.bincount(
                    week, weight * np.exp(fit.intercept + response @ (fit.coef + fit.bias)), n
                )
                for fit in draws.thinned(_FEW).fits
            ]
        )


def _lift_of(paths: Paths, fit: LogFit, code: int, carried: float, credit: float) -> float:
    """What a test should find of a channel that causes `credit`; an effect of 1 is `carried`."""
    return paths.lift(fit, code, credit / carried)
