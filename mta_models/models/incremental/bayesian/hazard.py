"""Additive hazard with a posterior: effects, and their bias as far as lift tests identify it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import Any

import numpy as np

from mta_models.core.checks import check_one_of
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.models.incremental.bayesian.base import CREDIT_DRAWS, BayesianModel
from mta_models.models.incremental.bayesian.draws import ChannelDraws
from mta_models.models.incremental.bayesian.hazard_data import (
    HazardHorizonUsers,
    HazardLikelihood,
    PointFit,
)
from mta_models.models.incremental.bayesian.hazard_model import (
    FLOOR,
    HazardDraws,
    build,
    hazard_draws,
)
from mta_models.models.incremental.bayesian.lift_likelihood import LiftOf
from mta_models.models.incremental.bayesian.predictive_checks import hazard_by_week
from mta_models.models.incremental.bayesian.priors import Prior
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.parameters import HalfLife

_LN2 = log(2)


class BayesianHazard(BayesianModel):
    """Additive hazard with a posterior over effects, baseline and half-lives, and lift tests in it.

    λ(t) = μ + Σ_k (β_{c_k} + δ_{c_k}) ω_{c_k} 2^(−(t − t_k) / h_{c_k}), ω = ln 2 / h, as `Hazard`
    with three differences. Effects β, in conversions per touchpoint, are partially pooled:
    Student's t around a common effect; they may be 0 or negative. Half-lives have priors and
    posteriors. And conversions associated with touchpoints need not be caused by them: with lift
    tests each channel has a bias δ beside its effect. The log informs about β + δ, a lift test
    about β alone; the biases of the tested channels inform the prior of the others'. Credit is for
    β; the bias belongs to the baseline. Without lift tests β and δ cannot be separated: δ is 0, and
    the credit is purely observational.

    A bias, in conversions, is Student's t around slope · m_c with the scale spread · s_c; slope and
    spread are learnt. The mean m_c is the credit of *future* touchpoints when the same additive
    hazard is fitted to past and future ones together. Future touchpoints cannot be causes, so their
    credit shows that users with more touchpoints convert more anyway (a negative control). Where
    observation ends with the conversion there are no future touchpoints, and m_c is in proportion
    to exposure instead. The scale s_c averages the
    channel's observed credit and its credit if all touchpoints were equally effective, shrunk when
    future touchpoints carry little signal.

    Measured in the world `intent` at strength 1 with 40,000 users, as means over logs (see
    benchmarks/README.md): two lift tests take the share error from 34% to between 10 and 15%, and
    the baseline from 37 points of all conversions too low to between 22 and 29 too high; 90%
    intervals hold 67 to 83% of credits. Lift tests make the credit better, not right.

    The reason: a test measures what is lost without the channel, and this model turns it into
    credit by a hazard that is the same for all users without touchpoints. With unequal intent more
    of those who convert would have converted anyway, so that removal and credit differ more than
    the model implies: in `intent` at strength 1 the true credits sum to 1.49 times the true
    removals. A fit with lift tests warns of it. In models that compare users with themselves intent
    cancels.

    The likelihood is on the compressed statistic of `Hazard`, tabulated at seven half-lives from
    half a day to 32 days and interpolated, so that its cost grows with conversions. A lift test
    enters by Student's t (7 degrees of freedom) around the lift that the model implies for the
    population tested, E[Y] − E[Y | do(channel off)]. That lift is approximated by a cubic in the
    channel's credit, with everything else at its maximum likelihood; `lift_error_` is the error of
    the cubic.

    Estimand: `incremental`, with the counterfactuals of `Hazard`. The point estimate is the mean
    over draws.

    Assumptions:
        - Those of `Hazard`, except that the baseline has no calendar and that effects may be
          negative unless `nonnegative`. The hazard is kept above 0: after a single touchpoint by
          the prior, at conversions by bending towards 0 below 1% of the mean rate. Where many
          touchpoints of a harmful channel meet, the integrated hazard may be negative.
        - With lift tests exposure need not be random, but channels' biases must be similar: in
          proportion to m_c, up to about s_c. Where the biases of tested channels differ from those
          of the other channels, the credit of the others is wrong.
        - A test's population is like that of the journeys fitted, or is given by its `journeys`.

    Source: Li & Kannan (2014), Attributing conversions in a multichannel online marketing
    environment, Journal of Marketing Research 51(1):40–56, is the ancestor: a Bayesian model of
    touchpoints and carry-over, held against a field experiment. Hazard: Zhang, Wei & Ren (2014),
    as `Hazard`. Negative controls: Lipsitch, Tchetgen Tchetgen & Cohen (2010), Epidemiology
    21:383–388. Priors, bias and the lifts' likelihood are ours.

    Tuned on: logs of 20,000 to 50,000 users of the worlds of one thing at a time, mostly `intent`,
    seeds below 100: the defaults of `Prior`.

    Args:
        lift_tests: `LiftTest` objects; None: no tests, and no biases.
        random_state: seed of the chains.
        nonnegative: whether effects must be >= 0.
        half_life: as `Hazard`; None: learnt.
        repeat: as `Hazard`.
        counterfactual: `"horizon"` or `"moment"`, see `Hazard`.
        n_draws: kept over all chains, >= 100; as many are spent on tuning. Credit uses 300 of them.
        n_chains: run in parallel, >= 2.
        prior: a `Prior`, or a mapping of its fields to numbers; None: its defaults.

    Attributes:
        draws_: `effect`, `bias` and `half_life`, each of shape `(n_draws, n_channels)`, and
            `baseline`, shape `(n_draws,)`, conversions per user and day.
        half_life_: shape `(n_channels,)`, days: geometric means over draws.
        prior_: the `Prior` used, with the model's defaults in place of None.
        diagnostics_: `r_hat`, `ess` and `divergences` of the chains.
        repeat_: whether users were taken to be at risk after a conversion.
        binning_error_: log-likelihood per conversion lost because more than 50,000 conversions
            were binned; 0 with fewer.
        lift_error_: the largest difference between the lift in the likelihood and the lift computed
            for every user, at the posterior means, in standard errors of the test; 0 without tests.
        removal_: as `Hazard`, mean over draws.

    Example:
        >>> from mta_models import BayesianHazard, LiftTest
        >>> BayesianHazard([LiftTest("Search", lift=120, standard_error=40)], random_state=1)
        BayesianHazard(lift_tests=[LiftTest('Search', lift=120, standard_error=40)], random_state=1)
    """

    effect_mean = 0.3
    baseline_median = 0.5

    draws_: HazardDraws
    _likelihood: HazardLikelihood

    def __init__(
        self,
        lift_tests: Iterable[LiftTest] | None = None,
        random_state: int | None = None,
        nonnegative: bool = False,
        half_life: HalfLife | None = None,
        repeat: bool | None = None,
        counterfactual: str = "horizon",
        n_draws: int = 1000,
        n_chains: int = 2,
        prior: Prior | Mapping[str, float] | None = None,
    ) -> None:
        self.lift_tests = lift_tests
        self.random_state = random_state
        self.nonnegative = nonnegative
        self.half_life = half_life
        self.repeat = repeat
        self.counterfactual = counterfactual
        self.n_draws = n_draws
        self.n_chains = n_chains
        self.prior = prior

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_one_of(self.repeat, "repeat", (True, False, None))

    def _tabulate(self, histories: Histories, rng: np.random.Generator) -> HazardLikelihood:
        start = Hazard(self.half_life, self.repeat, calendar=False).fit_histories(histories)
        self.repeat_ = start.repeat_
        point = PointFit(start.beta_, start.baseline_hazard_, start.half_life_)
        basis = self._basis(start.half_life_)
        return HazardLikelihood.from_histories(histories, self._risk_end(histories), basis, point)

    def _build(self) -> Any:
        return build(self._likelihood, self.prior_, self._calibration, self.nonnegative)

    def _draws_from(self, sampled: dict[str, Floats]) -> HazardDraws:
        return hazard_draws(sampled, self._likelihood)

    def _lift_in(self, histories: Histories) -> LiftOf:
        users, point = self._users(histories), self._likelihood.point
        return lambda code, effect: users.lift(point, code, effect)

    def _users(self, histories: Histories) -> HazardHorizonUsers:
        likelihood = self._likelihood
        return HazardHorizonUsers.from_histories(
            histories, likelihood.basis, likelihood.point, self.repeat_
        )

    def _expected_by_week(self, histories: Histories, draws: ChannelDraws) -> Floats:
        assert isinstance(draws, HazardDraws)  # they are those of `_draws_from`
        return hazard_by_week(histories, self._risk_end(histories), draws)

    def _games(self, histories: Histories) -> list[HorizonGame]:
        draws, users = self.draws_.thinned(CREDIT_DRAWS), self._users(histories)
        return [
            users.game(effect, bias, baseline, half_life)
            for effect, bias, baseline, half_life in zip(
                draws.effect, draws.bias, draws.baseline.tolist(), draws.half_life, strict=True
            )
        ]

    def _moment(self, histories: Histories) -> Floats:
        likelihood, draws = self._likelihood, self.draws_.thinned(CREDIT_DRAWS)
        here = HazardLikelihood.from_histories(
            histories, self._risk_end(histories), likelihood.basis, likelihood.point
        )
        credit = np.empty(draws.effect.shape)
        for i in range(len(draws)):
            rates = here.rates(draws.half_life[i])
            hazard = (draws.effect[i] + draws.bias[i]) @ rates + draws.baseline[i]
            credit[i] = draws.effect[i] * (rates @ (here.weight / self._floored(hazard)))
        return credit

    def _floored(self, hazard: Floats) -> Floats:
        """As in the likelihood."""
        floor = FLOOR * self._likelihood.total / self._likelihood.days
        floored: Floats = floor * np.logaddexp(0, hazard / floor)
        return floored

    def _parts(self, histories: Histories) -> Floats:
        mean = self.draws_.mean
        half_life = mean.half_life[0]
        kernel = histories.adstock(half_life) * (_LN2 / half_life)
        hazard = kernel @ (mean.effect[0] + mean.bias[0]) + mean.baseline[0]
        parts: Floats = kernel * mean.effect[0] / self._floored(hazard)[:, None]
        return parts

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        mean = self.draws_.mean
        begin, stop = np.maximum(histories.start, since), np.minimum(histories.end, until)
        per_day = (mean.effect[0] + mean.bias[0]) * _LN2 / mean.half_life[0]
        each = histories.exposure(mean.half_life[0], stop, begin) * per_day[histories.codes]
        expected = mean.baseline[0] * np.maximum(stop - begin, 0)
        expected += np.bincount(histories.owner, each, histories.n_users)
        return np.asarray(np.maximum(expected, 0), dtype=np.float64)
