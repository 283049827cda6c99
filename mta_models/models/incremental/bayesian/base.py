"""What Bayesian models of when users convert have in common: one fit, and credit with draws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mta_models.core.checks import check_flag, check_seed, check_whole_number
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import IdentifiabilityWarning, warn
from mta_models.models.incremental.accounts import in_value
from mta_models.models.incremental.base import TimedModel
from mta_models.models.incremental.bayesian.draws import ChannelDraws
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.bayesian.lift_likelihood import (
    LiftCalibration,
    LiftOf,
    check_lift_tests,
    check_tested_channels,
    check_whole_log,
    population_of,
)
from mta_models.models.incremental.bayesian.predictive_checks import replicate_weeks
from mta_models.models.incremental.bayesian.priors import (
    BIAS_VARIABLES,
    VARIABLES,
    Prior,
    prior_from,
    sample_prior,
)
from mta_models.models.incremental.bayesian.sampling import (
    Diagnostics,
    Sampler,
    require_pymc,
    sample_rate,
)
from mta_models.models.incremental.bayesian.tabulated import TabulatedLikelihood
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.negative_controls import future_credit
from mta_models.models.parameters import HalfLife, check_half_life

if TYPE_CHECKING:
    import pandas as pd

# Draws, evenly spaced, whose horizon is computed.
CREDIT_DRAWS = 300


class BayesianModel(TimedModel):
    """Base of the Bayesian incremental models.

    A subclass tabulates its likelihood, builds its PyMC model and turns draws into conversions;
    priors, biases, lift tests and sampling are the same for all.
    """

    lift_tests: Iterable[LiftTest] | None
    random_state: int | None
    nonnegative: bool
    half_life: HalfLife | None
    n_draws: int
    n_chains: int
    prior: Prior | Mapping[str, float] | None
    prior_: Prior
    repeat_: bool
    diagnostics_: Diagnostics
    binning_error_: float
    lift_error_: float
    draws_: ChannelDraws

    # The defaults of `Prior.effect_mean` and `Prior.baseline_median` for this model.
    effect_mean: ClassVar[float]
    baseline_median: ClassVar[float]

    _likelihood: TabulatedLikelihood
    _calibration: LiftCalibration | None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_half_life(self.half_life)
        check_whole_log(check_lift_tests(self.lift_tests))
        self._full_prior()
        check_flag(self.nonnegative, "nonnegative")
        check_whole_number(self.n_draws, "n_draws", 100, 100_000)
        check_whole_number(self.n_chains, "n_chains", 2, 100)
        check_seed(self.random_state)

    def _full_prior(self) -> Prior:
        return prior_from(self.prior, self.effect_mean, self.baseline_median)

    def _warn_of_no_risk(self, histories: Histories) -> None:
        """Warn of nothing: the `Hazard` that every Bayesian model starts from has warned."""

    def _risk_end(self, histories: Histories) -> Floats:
        """Until when each user is at risk, shape `(n_users,)`."""
        return histories.risk_end(self.repeat_)

    def _basis(self, half_life: Floats) -> HalfLifeBasis:
        """Nodes for learnt half-lives, or one for each half-life given, shape `(n_channels,)`."""
        if self.half_life is None:
            return HalfLifeBasis.from_range(len(half_life))
        return HalfLifeBasis.from_given(half_life)

    # What a subclass writes.

    @abstractmethod
    def _tabulate(self, histories: Histories, rng: np.random.Generator) -> TabulatedLikelihood:
        """The likelihood, around a point fit; sets `repeat_`."""

    @abstractmethod
    def _build(self) -> Any:
        """The PyMC model of the likelihood and the lift tests."""

    @abstractmethod
    def _draws_from(self, sampled: dict[str, Floats]) -> ChannelDraws:
        """Draws of all channels, from PyMC's by name."""

    @abstractmethod
    def _lift_in(self, histories: Histories) -> LiftOf:
        """The lift of a channel in a population, hazards being those of the point fit."""

    @abstractmethod
    def _games(self, histories: Histories) -> list[HorizonGame]:
        """The horizon of each draw of `CREDIT_DRAWS`."""

    @abstractmethod
    def _moment(self, histories: Histories) -> Floats:
        """Conversions credited by the moment's split, shape `(n_draws, n_channels)`."""

    @abstractmethod
    def _expected_by_week(self, histories: Histories, draws: ChannelDraws) -> Floats:
        """Conversions that draws expect in each week, shape `(n_draws, n_weeks)`."""

    # The fit.

    def _learn(self, histories: Histories) -> None:
        require_pymc()
        self.prior_ = self._full_prior()
        tests = check_lift_tests(self.lift_tests)
        rng = np.random.default_rng(self.random_state)
        self._likelihood = likelihood = self._tabulate(histories, rng)
        check_tested_channels(tests, histories.channels, likelihood.active)
        lifts = [self._lift_in(population_of(test, histories)) for test in tests]
        self._calibration = None
        if tests:
            warn(
                "lift tests meet a hazard that is the same for all users without touchpoints. If "
                "intent differs between users, the credit is then too low and the baseline too "
                "high: by 22 to 29 points of all conversions in the benchmark. Compare with models "
                "in which users are compared with themselves: SelfControlled, Incremental",
                IdentifiabilityWarning,
            )
            future = future_credit(histories, self._risk_end(histories), likelihood.half_life)
            self._calibration = LiftCalibration.from_tests(
                tests, histories.channels, lifts, likelihood, future
            )
        sampler = Sampler(self.n_draws, self.n_chains, int(rng.integers(2**31)))
        if len(likelihood.active):
            names = (*VARIABLES, *BIAS_VARIABLES) if tests else VARIABLES
            sampled, self.diagnostics_ = sampler.sample(self._build, names)
        else:
            sampled, self.diagnostics_ = sample_rate(likelihood.total, self.n_draws, rng)
        self.draws_ = self._draws_from(sampled)
        mean = self.draws_.mean
        self.half_life_ = mean.half_life[0]
        self.binning_error_ = likelihood.binning_error
        self.lift_error_ = 0.0
        if self._calibration is not None:
            credit = likelihood.credit(mean.effect[0], mean.half_life[0])
            self.lift_error_ = self._calibration.error(lifts, likelihood, credit)

    # Predictive checks.

    def posterior_predictive(self, journeys: Journeys, prob: float = 0.9) -> pd.DataFrame:
        """Conversions by week, observed and as the fitted model replicates them.

        Args:
            journeys: as for `attribute`.
            prob: probability between `lower` and `upper`.

        Returns:
            `week` (its first day since the log's start), `observed`, `mean`, `lower`, `upper`.

        Raises:
            NotFittedError, UnknownChannelError, JourneyError: as `attribute`.
        """
        histories = self._ready(journeys).histories
        return self._replicates(histories, self.draws_, prob)

    def prior_predictive(self, journeys: Journeys, prob: float = 0.9) -> pd.DataFrame:
        """As `posterior_predictive`, with draws from the prior.

        Only the mean conversion rate and the exposure come from the fitted data.
        """
        histories = self._ready(journeys).histories
        bias = None if self._calibration is None else self._calibration.bias
        rng = np.random.default_rng(self.random_state)
        sampled = sample_prior(
            self._likelihood, self.prior_, bias, self.nonnegative, self.n_draws, rng
        )
        return self._replicates(histories, self._draws_from(sampled), prob)

    def _replicates(self, histories: Histories, draws: ChannelDraws, prob: float) -> pd.DataFrame:
        rng = np.random.default_rng(self.random_state)
        return replicate_weeks(histories, self._expected_by_week(histories, draws), rng, prob)

    # Credit.

    def _account_of(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, float]:
        return _means(self._drawn(histories, outcome, of))

    def _result(
        self, journeys: Journeys, of: str
    ) -> tuple[Floats, float, tuple[Floats, Floats] | None]:
        drawn = self._draws(journeys, of)
        return *_means(drawn), drawn

    def _interval_holds(self) -> str:
        if not self.lift_tests:
            return super()._interval_holds()
        return "sampling, the priors, and bias as far as lift tests identify it"

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats]:
        return self._drawn(journeys.histories, journeys.outcome(of), of)

    def _drawn(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, Floats]:
        if histories.total == 0:
            return np.zeros((2, histories.n_channels)), np.full(2, float(outcome.sum()))
        credit, baseline = self._conversions(histories)
        if of == "value":
            parts, amounts = self._parts(histories), outcome[histories.event_row]
            each = [
                in_value(c, b, parts, histories, amounts)
                for c, b in zip(credit, baseline.tolist(), strict=True)
            ]
            credit = np.array([c for c, _ in each])
            baseline = np.array([b for _, b in each])
        return credit, baseline

    def _conversions(self, histories: Histories) -> tuple[Floats, Floats]:
        """Credit and baseline of conversions by draw."""
        if self.counterfactual != "horizon":
            credit = self._moment(histories)
            return credit, histories.total - credit.sum(axis=1)
        games = self._games(histories)
        each = [game.scaled(histories.total) for game in games]
        scale = np.array([histories.total / game.everyone for game in games])
        self.removal_ = scale @ np.array([game.removal for game in games]) / len(games)
        return np.array([c for c, _ in each]), np.array([b for _, b in each])

    def _game(self, histories: Histories) -> HorizonGame:
        games = self._games(histories)
        mean = {
            name: np.mean([getattr(game, name) for game in games], axis=0)
            for name in ("shapley", "removal", "nobody", "everyone")
        }
        return HorizonGame(
            mean["shapley"], mean["removal"], float(mean["nobody"]), float(mean["everyone"])
        )


def _means(drawn: tuple[Floats, Floats]) -> tuple[Floats, float]:
    """Credit and baseline, of draws `(n_draws, n_channels)` and `(n_draws,)`."""
    credit, baseline = drawn
    return credit.mean(axis=0), float(baseline.mean())
