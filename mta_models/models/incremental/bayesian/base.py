"""What Bayesian models of when users convert have in common: draws in, credit with draws out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.data.lift_tests import LiftTest
from mta_models.models.incremental.base import TimedModel, in_value
from mta_models.models.incremental.bayesian.lift_likelihood import check_lift_tests
from mta_models.models.incremental.bayesian.predictive_checks import replicated
from mta_models.models.incremental.bayesian.sampling import Diagnostics
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.parameters import (
    HalfLife,
    check_flag,
    check_half_life,
    check_seed,
    check_whole_number,
)

if TYPE_CHECKING:
    import pandas as pd

# Draws for which the horizon is played out.
PLAYED = 300


class BayesianModel(TimedModel):
    """Base of the Bayesian incremental models; a subclass writes `_games` and `_moment`."""

    lift_tests: Iterable[LiftTest] | None
    random_state: int | None
    nonnegative: bool
    half_life: HalfLife | None
    n_draws: int
    n_chains: int
    repeat_: bool
    diagnostics_: Diagnostics

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_half_life(self.half_life)
        check_lift_tests(self.lift_tests)
        check_flag(self.nonnegative, "nonnegative")
        check_whole_number(self.n_draws, "n_draws", 100, 100_000)
        check_whole_number(self.n_chains, "n_chains", 2, 100)
        check_seed(self.random_state)

    def _warn_of_no_risk(self, histories: Histories) -> None:
        """Nothing: the `Hazard` that every one of them starts from has warned already."""

    def _risk(self, histories: Histories) -> Floats:
        """Until when each user is at risk, shape `(n_users,)`."""
        return histories.risk_end(self.repeat_)

    # What a subclass writes.

    @abstractmethod
    def _games(self, histories: Histories) -> list[HorizonGame]:
        """Of each draw played out."""

    @abstractmethod
    def _moment(self, histories: Histories) -> Floats:
        """Conversions credited by the moment's split, shape `(n_draws, n_channels)`."""

    @abstractmethod
    def _expected_by_week(self, histories: Histories, before: bool) -> Floats:
        """Conversions expected by draws of the posterior, or of the prior, `(n_draws, n_weeks)`."""

    # What the model says there would be.

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
        return self._predicted(journeys, False, prob)

    def prior_predictive(self, journeys: Journeys, prob: float = 0.9) -> pd.DataFrame:
        """As `posterior_predictive`, from what is believed before any conversion is looked at.

        But for the mean rate of conversions and the exposure of those fitted, in whose units
        priors are told.
        """
        return self._predicted(journeys, True, prob)

    def _predicted(self, journeys: Journeys, before: bool, prob: float) -> pd.DataFrame:
        histories = self._ready(journeys).histories
        rng = np.random.default_rng(self.random_state)
        return replicated(histories, self._expected_by_week(histories, before), rng, prob)

    def __getstate__(self) -> dict[str, Any]:
        """All but what was worked out last, which belongs to other histories."""
        return {name: value for name, value in vars(self).items() if name != "_last"}

    # Credit.

    def _account_of(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, float]:
        credit, baseline = self._drawn(histories, outcome, of)
        return credit.mean(axis=0), float(baseline.mean())

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats] | None:
        return self._drawn(journeys.histories, journeys.outcome(of), of)

    def _drawn(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, Floats]:
        if histories.total == 0:
            return np.zeros((2, histories.n_channels)), np.full(2, float(outcome.sum()))
        credit, baseline = self._split(histories)
        if of == "value":
            parts, amounts = self._parts(histories), outcome[histories.event_row]
            each = [
                in_value(c, b, parts, histories, amounts)
                for c, b in zip(credit, baseline.tolist(), strict=True)
            ]
            credit = np.array([c for c, _ in each])
            baseline = np.array([b for _, b in each])
        return credit, baseline

    def _split(self, histories: Histories) -> tuple[Floats, Floats]:
        """Credit and baseline of conversions by draw, kept for the histories last asked about."""
        last = vars(self).get("_last")
        if last is None or last[0]() is not histories:
            self._last = last = (ref(histories), self._conversions(histories))
        found: tuple[Floats, Floats] = last[1]
        return found

    def _conversions(self, histories: Histories) -> tuple[Floats, Floats]:
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
