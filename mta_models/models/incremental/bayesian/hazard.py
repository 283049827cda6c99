"""Additive hazard with a posterior: effects with what experiments have to say about them."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.models.incremental.bayesian.base import PLAYED, BayesianModel
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.bayesian.hazard_data import Crowd, Evidence, PointFit
from mta_models.models.incremental.bayesian.hazard_model import (
    CALIBRATED,
    FLOOR,
    NAMES,
    build,
    draws_of,
    prior_draws,
    untouched,
)
from mta_models.models.incremental.bayesian.lift_likelihood import (
    Calibration,
    calibrate,
    check_lift_tests,
    crowd_of,
)
from mta_models.models.incremental.bayesian.predictive_checks import expected_by_week
from mta_models.models.incremental.bayesian.priors import Prior
from mta_models.models.incremental.bayesian.sampling import Sampler
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.parameters import HalfLife, check_one_of

_LN2 = log(2)


class BayesianHazard(BayesianModel):
    """Additive hazard with a posterior over effects, baseline and half-lives, and lift tests in it.

    λ(t) = μ + Σ_k (β_{c_k} + δ_{c_k}) ω_{c_k} 2^(−(t − t_k) / h_{c_k}), ω = ln 2 / h, as `Hazard`
    but for three things. Effects β, in conversions per touchpoint, are partially pooled: Student's
    t around what channels have in common, so that no effect and harm can be said. Half-lives have
    priors and posteriors. And what goes with a touchpoint is not all caused by it: with lift tests
    each channel has a bias δ beside its effect. Observation tells of β + δ, a test of β alone, and
    what tests teach of biases carries over to channels that were not tested. Credit is of β; the
    bias belongs to the baseline. Without lift tests there is no telling them apart, δ is 0, and
    the credit is that of observation.

    Biases, in conversions b_c, are Student's t (3 degrees) around slope · suspect_c with the scale
    apart · doubt_c, slope and `apart` learnt. `suspect` is what the same additive hazard credits
    to touchpoints *yet to come* when they stand beside the past ones: these cannot cause, so users
    who are met more buy more anyway, and do in proportion (a negative control). Where observation
    ends with the conversion nothing comes after it, and exposure takes its place. `doubt` is half
    of what the channel was credited with and half of what it would be if touchpoints were all
    alike, all the less the less touchpoints yet to come tell.

    The likelihood is on the compressed statistic of `Hazard`, tabulated at seven half-lives from
    half a day to 32 days and interpolated, so that its cost grows with conversions. A lift test
    enters by Student's t (7 degrees) around E[Y] − E[Y | do(channel off)] as the model has it
    on the population tested, a cubic in the channel's credit with everything else at the largest
    likelihood; `lift_error_` tells how much that is off.

    Estimand: `incremental`, see `TimedModel`. The point estimate is the mean over draws.

    Assumptions:
        - Those of `Hazard` but for effects, which may be negative unless `nonnegative`. The hazard
          is kept above 0: after a lone touchpoint by the prior, at conversions by bending towards
          0 below 1% of the mean rate. Where many touchpoints of a harmful channel meet, the
          integrated hazard may count less than nothing.
        - With lift tests, not that exposure is as good as random, but that channels' biases are
          alike: in proportion to `suspect`, up to `doubt`. Where the tested channels are not like
          the rest, neither are the conclusions.
        - A test's population is like that of the journeys fitted, or is given by its `journeys`.

    Source: Li & Kannan (2014), Attributing conversions in a multichannel online marketing
    environment, Journal of Marketing Research 51(1):40–56, is the ancestor: a Bayesian model of
    touchpoints and carry-over, held against a field experiment. Hazard: Zhang, Wei & Ren (2014),
    as `Hazard`. Negative controls: Lipsitch, Tchetgen Tchetgen & Cohen (2010), Epidemiology
    21:383–388. Priors, bias and the lifts' likelihood are ours.

    Args:
        lift_tests: `LiftTest` objects; None: the credit of observation.
        random_state: seed of the chains.
        nonnegative: whether touchpoints may only help.
        half_life: as `Hazard`; None: learnt.
        repeat: as `Hazard`.
        counterfactual: `"horizon"` or `"moment"`.
        n_draws: kept over all chains; as many are spent on tuning. Credit is of 300 of them.
        n_chains: run side by side.

    Attributes:
        draws_: `effect`, `bias` and `half_life`, each of shape `(n_draws, n_channels)`, and
            `baseline`, shape `(n_draws,)`, conversions per user and day.
        half_life_: shape `(n_channels,)`, days: means of the draws, geometric.
        diagnostics_: `r_hat`, `ess` and `divergences` of the chains.
        repeat_: whether users were taken to be at risk after a conversion.
        binning_error_: log-likelihood per conversion lost because more than 50,000 conversions
            were put into groups of like ones; 0 with fewer.
        lift_error_: the largest difference between the lift in the likelihood and that of the
            model in full, over posterior means, in standard errors of the test; 0 without tests.
        removal_: as `TimedModel`, mean over draws.

    Example:
        >>> from mta_models import BayesianHazard, LiftTest
        >>> BayesianHazard([LiftTest("Search", lift=120, standard_error=40)], random_state=1)
        BayesianHazard(lift_tests=[LiftTest(channel='Search', lift=120, standard_error=40, \
journeys=None)], random_state=1)
    """

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
    ) -> None:
        self.lift_tests = lift_tests
        self.random_state = random_state
        self.nonnegative = nonnegative
        self.half_life = half_life
        self.repeat = repeat
        self.counterfactual = counterfactual
        self.n_draws = n_draws
        self.n_chains = n_chains

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_one_of(self.repeat, "repeat", (True, False, None))

    def _learn(self, histories: Histories) -> None:
        tests = check_lift_tests(self.lift_tests)
        start = Hazard(self.half_life, self.repeat).fit_histories(histories)
        self.repeat_ = start.repeat_
        point = PointFit(start.beta_, start.baseline_hazard_, start.half_life_)
        k = histories.n_channels
        basis = (
            HalfLifeBasis.over(k) if self.half_life is None else HalfLifeBasis.at(start.half_life_)
        )
        risk = self._risk(histories)
        self._evidence = Evidence.of(histories, risk, basis, point)
        self._calibration: Calibration | None = None
        crowds = [crowd_of(test, histories, self._evidence, self.repeat_) for test in tests]
        if tests:
            self._calibration = calibrate(tests, histories, risk, self._evidence, crowds)
        rng = np.random.default_rng(self.random_state)
        sampler = Sampler(self.n_draws, self.n_chains, int(rng.integers(2**31)))
        if len(self._evidence.active):
            found, self.diagnostics_ = sampler.sample(
                lambda: build(self._evidence, Prior(), self._calibration, self.nonnegative),
                CALIBRATED if tests else NAMES,
            )
        else:
            found, self.diagnostics_ = untouched(self._evidence.total, self.n_draws, rng)
        self.draws_ = draws_of(found, self._evidence)
        self.half_life_ = self.draws_.mean.half_life[0]
        self.binning_error_ = self._evidence.binning_error
        self.lift_error_ = 0.0
        if self._calibration is not None:
            middle = self.draws_.mean
            credit = middle.effect[0] * self._evidence.exposed(middle.half_life[0])
            self.lift_error_ = self._calibration.error(crowds, self._evidence, credit)

    def _expected_by_week(self, histories: Histories, before: bool) -> Floats:
        draws = self.draws_
        if before:
            rng = np.random.default_rng(self.random_state)
            draws = prior_draws(
                self._evidence, Prior(), self._calibration, self.nonnegative, self.n_draws, rng
            )
        return expected_by_week(histories, self._risk(histories), draws)

    def _games(self, histories: Histories) -> list[HorizonGame]:
        evidence, draws = self._evidence, self.draws_.thinned(PLAYED)
        crowd = Crowd.of(histories, evidence.basis, evidence.point, self.repeat_)
        games = []
        for place in range(len(draws)):
            half_life = draws.half_life[place]
            level = crowd.level(float(draws.baseline[place]), draws.bias[place], half_life)
            games.append(crowd.game(draws.effect[place], level, half_life))
        return games

    def _moment(self, histories: Histories) -> Floats:
        evidence, draws = self._evidence, self.draws_.thinned(PLAYED)
        here = Evidence.of(histories, self._risk(histories), evidence.basis, evidence.point)
        credit = np.empty(draws.effect.shape)
        for place in range(len(draws)):
            rates = here.rates(draws.half_life[place])
            whole = (draws.effect[place] + draws.bias[place]) @ rates + draws.baseline[place]
            credit[place] = draws.effect[place] * (rates @ (here.weight / self._floored(whole)))
        return credit

    def _floored(self, hazard: Floats) -> Floats:
        """As in the likelihood."""
        floor = FLOOR * self._evidence.total / self._evidence.days
        found: Floats = floor * np.logaddexp(0, hazard / floor)
        return found

    def _parts(self, histories: Histories) -> Floats:
        middle = self.draws_.mean
        half_life = middle.half_life[0]
        kernel = histories.adstock(half_life) * (_LN2 / half_life)
        whole = kernel @ (middle.effect[0] + middle.bias[0]) + middle.baseline[0]
        parts: Floats = kernel * middle.effect[0] / self._floored(whole)[:, None]
        return parts

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        middle = self.draws_.mean
        begin, stop = np.maximum(histories.start, since), np.minimum(histories.end, until)
        per_day = (middle.effect[0] + middle.bias[0]) * _LN2 / middle.half_life[0]
        each = histories.exposure(middle.half_life[0], stop, begin) * per_day[histories.codes]
        found = middle.baseline[0] * np.maximum(stop - begin, 0)
        found += np.bincount(histories.owner, each, histories.n_users)
        return np.asarray(np.maximum(found, 0), dtype=np.float64)
