"""What models of when users convert have in common: histories in, credit over a horizon out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

import numpy as np

from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories, histories_of
from mta_models.data.journeys import Journeys
from mta_models.data.kernels import HalfLife, Kernel
from mta_models.errors import JourneyError, ParameterError
from mta_models.models.base import AttributionModel, clone
from mta_models.models.incremental.horizon_games import HorizonGame


class TimedModel(AttributionModel):
    """Base of the incremental models: hazards of converting, learnt from `Histories`.

    A subclass stores `counterfactual`, writes `_learn`, `_parts` and `_game`, and sets
    `half_life_`; this class turns them into credit of conversions and of value, into touchpoint
    credit, and into a bootstrap that never rebuilds a history.

    Two counterfactuals, and the estimand says which:

    - `"horizon"`: how many conversions there would have been over the whole observation with only
      some channels' touchpoints; credit is the Shapley value of that game, the baseline what no
      touchpoint was needed for, both scaled so that they add up to the conversions observed.
    - `"moment"`: each conversion split by what made up the hazard at its moment. It also credits
      conversions that would only have come later, so its baseline is smaller.

    Attributes:
        half_life_: shape `(n_channels,)`, days.
        removal_: shape `(n_channels,)`, conversions lost without each channel alone, over the
            horizon, on the scale of the credit; set by `attribute`. They do not add up.
    """

    needs_times = True
    counterfactuals: ClassVar[tuple[str, ...]] = ("horizon", "moment")
    counterfactual: str
    lag: str | timedelta | float | None = None  # a parameter of those that have one
    half_life_: Floats
    removal_: Floats

    @property
    def estimand(self) -> str:
        """`"incremental:"` and the counterfactual."""
        return f"incremental:{self.counterfactual}"

    def expected_conversions(self, journeys: Journeys, since: float, until: float) -> Floats:
        """Conversions expected of each user between two days, given the touchpoints met by then.

        What a time-forward validation scores. The users are those of the histories: of the
        timeline, in its order. A user not observed in between counts for nothing.

        Args:
            journeys: as for `attribute`; touchpoints up to `until` are taken as known, and so are
                conversions before `since`: none is read after it.
            since: days since the log's start.
            until: days since the log's start.

        Returns:
            Shape `(n_users,)`: the integrated hazard, whether or not the user can convert again.

        Raises:
            ParameterError: `until` comes before `since`.
            NotFittedError, UnknownChannelError, JourneyError: as `attribute`.
        """
        journeys = self._ready(journeys)
        if not since <= until:
            raise ParameterError(f"`until` must not come before `since`; got {since} and {until}")
        return self._expected(self._histories(journeys), since, until)

    # What a subclass writes.

    @abstractmethod
    def _learn(self, histories: Histories) -> None:
        """Fit; `channels_` are those of the histories."""

    @abstractmethod
    def _parts(self, histories: Histories) -> Floats:
        """The part of each conversion that is due to each channel, shape `(n_events, n_channels)`.

        What is left of 1 is the baseline's.
        """

    @abstractmethod
    def _game(self, histories: Histories) -> HorizonGame:
        """Conversions over the horizon, as a game of channels."""

    @abstractmethod
    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        """The integrated hazard of each user between two days, shape `(n_users,)`."""

    def _relearn(self, histories: Histories, fitted: TimedModel) -> None:
        """Fit to a bootstrap's weights, given the model fitted on the data.

        Override it where something is too slow to be chosen anew for each draw.
        """
        self._learn(histories)

    # What follows from it.

    def _kernel(self) -> Kernel:
        """The carry-over fitted; override it for one that is no half-life."""
        return HalfLife(self.half_life_)

    def _histories(self, journeys: Journeys) -> Histories:
        """The histories that the model learns from and credits."""
        found = histories_of(journeys)
        return found if self.lag is None else found.lagged(as_days(self.lag, "lag"))

    def _check_parameters(self) -> None:
        if self.lag is not None:
            as_days(self.lag, "lag")
        if self.counterfactual not in self.counterfactuals:
            known = ", ".join(repr(each) for each in self.counterfactuals)
            raise ParameterError(
                f"counterfactual must be one of {known}; got {self.counterfactual!r}"
            )

    def _fit(self, journeys: Journeys) -> None:
        self._learn(self._histories(journeys))

    def _account(self, journeys: Journeys, of: str) -> tuple[Floats, float]:
        return self._account_of(self._histories(journeys), journeys.outcome(of), of)

    def _account_of(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, float]:
        """Credit and baseline of the conversions of some histories, or of their value."""
        total = float(outcome.sum())
        if histories.total == 0:
            return np.zeros(histories.n_channels), total
        amounts = outcome[histories.event_row] if of == "value" else histories.event_weight
        if self.counterfactual != "horizon":
            credit = amounts @ self._parts(histories)
            return credit, total - float(credit.sum())
        game = self._game(histories)
        credit, baseline = game.scaled(histories.total)
        self.removal_ = game.removal * (histories.total / game.everyone if game.everyone else 0.0)
        if of == "value":
            return _valued(credit, baseline, self._parts(histories), histories, amounts)
        return credit, baseline

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._account(journeys, of)[0]

    def _baseline(self, journeys: Journeys, of: str) -> float:
        return self._account(journeys, of)[1]

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """The moment's split over single touchpoints, scaled per channel to the channel's credit.

        With `counterfactual="moment"` and no lookback nothing needs to be scaled. A touchpoint may
        be credited with conversions of later journeys of its user.
        """
        histories = self._histories(journeys)
        credit, _ = self._account(journeys, of)
        amounts = journeys.outcome(of)[histories.event_row] if of == "value" else None
        each = self._by_touchpoint(histories, amounts)
        n, codes = journeys.n_touchpoints, journeys.codes
        placed = _placed(each, histories, n)
        given = np.bincount(codes, placed, len(credit))
        bare = (given == 0) & (credit != 0)
        if bare.any():
            # No conversion followed a touchpoint of these: exposure is all there is to go by.
            exposure = _placed(histories.exposure(self._kernel()), histories, n)
            placed = np.where(bare[codes], exposure, placed)
            given = np.bincount(codes, placed, len(credit))
        lost = np.flatnonzero((given == 0) & (credit != 0))
        if len(lost):
            raise JourneyError(
                "every credited channel must have a touchpoint in the journeys to place it on; "
                f"{journeys.channels[lost[0]]} has none within the lookback. Read the events "
                "without a lookback"
            )
        scale = np.divide(credit, given, out=np.zeros(len(credit)), where=given != 0)
        share: Floats = placed * scale[codes]
        return share

    def _by_touchpoint(self, histories: Histories, amounts: Floats | None) -> Floats:
        """The moment's split, shape `(n_touchpoints,)` of the histories."""
        amounts = histories.event_weight if amounts is None else amounts
        kernel = self._kernel()
        parts, adstock = self._parts(histories), histories.adstock(kernel)
        rate = np.divide(parts, adstock, out=np.zeros_like(parts), where=adstock > 0)
        rate *= amounts[:, None]
        event, touchpoint, age = histories.pairs
        code = histories.codes[touchpoint]
        each = rate[event, code] * kernel.weight(age, code)
        return np.bincount(touchpoint, each, len(histories.time)).astype(np.float64)

    def _reweigher(self, journeys: Journeys, of: str) -> Callable[[Journeys], tuple[Floats, float]]:
        histories = self._histories(journeys)

        def refit(weighted: Journeys) -> tuple[Floats, float]:
            model = clone(self)
            assert isinstance(model, TimedModel)
            model.channels_ = self.channels_
            drawn = histories.reweighted(weighted)
            model._relearn(drawn, self)
            return model._account_of(drawn, weighted.outcome(of), of)

        return refit


def _placed(each: Floats, histories: Histories, n: int) -> Floats:
    """Amounts of the histories' touchpoints at their places among the journeys', shape `(n,)`."""
    where = histories.touchpoint
    if where is None:
        return each
    there = where >= 0
    return np.bincount(where[there], each[there], n).astype(np.float64)


def _valued(
    credit: Floats, baseline: float, parts: Floats, histories: Histories, value: Floats
) -> tuple[Floats, float]:
    """Credit of conversions in money: each channel's at the value of those it has a part in.

    Where it has a part in none, at the mean value of all. Scaled to the value there is.
    """
    mean = float(value.sum() / histories.total)
    rest = 1 - parts.sum(axis=1)

    def worth(share: Floats) -> float:
        moment = float(share @ histories.event_weight)
        return float(share @ value) / moment if moment else mean

    worths = np.array([worth(share) for share in parts.T])
    valued, base = credit * worths, baseline * worth(rest)
    scale = float(value.sum()) / (float(valued.sum()) + base)
    return valued * scale, base * scale
