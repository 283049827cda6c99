"""The base of models of when users convert: histories in, credit over a horizon out."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import ClassVar, Self

import numpy as np

from mta_models.core.checks import check_one_of
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats, Mask
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.data.kernels import HalfLifeKernel, Kernel
from mta_models.errors import (
    IdentifiabilityWarning,
    JourneyError,
    ParameterError,
    warn,
)
from mta_models.models.base import AttributionModel, Refitter, clone
from mta_models.models.incremental.accounts import (
    account_of,
    placed_in_journeys,
    shared_over_touchpoints,
    split_by_age,
)
from mta_models.models.incremental.horizon_games import HorizonGame


class TimedModel(AttributionModel):
    """Base of the incremental models: hazards of converting, learnt from `Histories`.

    A subclass stores `counterfactual`, writes `_learn`, `_parts`, `_game` and `_expected`, and sets
    `half_life_`. This class makes of them credit of conversions and of value, touchpoint credit,
    and a bootstrap that builds the histories once. It also warns of channels whose effect cannot
    be learnt, because no user was at risk after any of their touchpoints.

    There are two counterfactuals, and the estimand names the one used:

    - `"horizon"`: how many conversions there would have been over the whole observation with the
      touchpoints of some channels only. Credit is the Shapley value of that game; the baseline is
      the number of conversions without any touchpoint. Both are scaled so that they add up to the
      conversions observed.
    - `"moment"`: each conversion is split in proportion to what made up the hazard at the time of
      the conversion. This also credits conversions that would have come later anyway, so its
      baseline is smaller.

    Attributes:
        half_life_: shape `(n_channels,)`, days.
        removal_: shape `(n_channels,)`, conversions lost without each channel alone, over the
            horizon, on the scale of the credit; set by `attribute`. They do not add up.
    """

    needs_times = True
    _linear_algebra = ("scipy.linalg",)
    counterfactuals: ClassVar[tuple[str, ...]] = ("horizon", "moment")
    counterfactual: str
    lag: str | timedelta | float | None = None  # a parameter of those that have one
    half_life_: Floats
    removal_: Floats

    @property
    def estimand(self) -> str:
        """`"incremental:"` and the counterfactual."""
        return f"incremental:{self.counterfactual}"

    def fit_histories(self, histories: Histories) -> Self:
        """Fit to histories instead of journeys: for a part of the users, or users with weights.

        Args:
            histories: those of `journeys.histories`, or made from them (`take`, `reweighted`).
                A model with a `lag` applies it.

        Raises:
            ParameterError: a parameter of the model is outside what it may be.
            JourneyError: there is no conversion, or the histories lack what the model needs.

        Example:
            >>> from mta_models import Hazard, worlds
            >>> journeys = worlds.make("randomised", n_users=2_000).simulate().journeys
            >>> some = journeys.histories.take(range(0, 2_000, 2))
            >>> Hazard(half_life="4d").fit_histories(some).beta_.shape
            (6,)
        """
        self._check_parameters()
        if not isinstance(histories, Histories):
            raise JourneyError(
                f"fit_histories must be given Histories; got {type(histories).__name__}. Give "
                "`journeys.histories`, or use fit"
            )
        if histories.total == 0:
            raise JourneyError(
                "there must be a conversion to learn from; these histories have none. Include "
                "users who converted"
            )
        with self._running():
            self._learn_from(histories)
        self.channels_ = histories.channels
        return self

    def expected_conversions(self, journeys: Journeys, since: float, until: float) -> Floats:
        """Conversions expected of each user between two days, given the touchpoints met by then.

        A time-forward validation scores these. Users are those of the timeline, in its order. A
        user who was not observed between the two days has 0.

        Args:
            journeys: as for `attribute`. Touchpoints up to `until` and conversions before `since`
                are taken as known; later conversions are not used.
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
        with self._running():
            return self.expected_in(self._histories(journeys), since, until)

    def expected_in(self, histories: Histories, since: float, until: float) -> Floats:
        """As `expected_conversions`, of histories to which the model's lag was applied already."""
        return self._expected(histories, since, until)

    # Methods that a subclass writes.

    @abstractmethod
    def _learn(self, histories: Histories) -> None:
        """Fit to histories to which the model's lag was applied already; set fitted attributes."""

    @abstractmethod
    def _parts(self, histories: Histories) -> Floats:
        """How much of each conversion is due to each channel, shape `(n_events, n_channels)`.

        The hazard at the time of the conversion is split, for any users over the fitted channels.
        A row sums to at most 1 where effects are not negative; the remainder is the baseline's.
        """

    @abstractmethod
    def _game(self, histories: Histories) -> HorizonGame:
        """Expected conversions over the horizon as a game of channels, solved.

        On the model's own scale: `HorizonGame.scaled` fits them to the conversions observed.
        """

    @abstractmethod
    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        """The integrated hazard of each user between two days, shape `(n_users,)`."""

    def _risk_end(self, histories: Histories) -> Floats:
        """Until when each user is at risk of a conversion, shape `(n_users,)`.

        The end of observation where users can convert again, else the first conversion.
        """
        return histories.risk_end()

    def _refitted(self, histories: Histories) -> TimedModel:
        """A model fitted to these users with the weights of a bootstrap draw; self is unchanged.

        Override it where choosing hyperparameters again for each draw would be too slow.
        """
        model = clone(self)
        assert isinstance(model, TimedModel)
        model.channels_ = histories.channels
        model._learn(histories)
        return model

    # Methods that follow from those of the subclass.

    def _kernel(self) -> Kernel:
        """The carry-over fitted; override it for one that is no half-life."""
        return HalfLifeKernel(self.half_life_)

    def _histories(self, journeys: Journeys) -> Histories:
        """The histories that the model learns from and credits."""
        return self._lagged(journeys.histories)

    def _lagged(self, histories: Histories) -> Histories:
        return histories if self.lag is None else histories.lagged(as_days(self.lag, "lag"))

    def _check_parameters(self) -> None:
        if self.lag is not None:
            as_days(self.lag, "lag")
        check_one_of(self.counterfactual, "counterfactual", self.counterfactuals)

    def _fit(self, journeys: Journeys) -> None:
        self._learn_from(journeys.histories)

    def _learn_from(self, histories: Histories) -> None:
        histories = self._lagged(histories)
        self._learn(histories)
        self._warn_of_no_risk(histories)

    def _warn_of_no_risk(self, histories: Histories) -> None:
        """Warn of channels whose effect cannot be learnt, because no user was at risk."""
        blind = self._without_risk(histories)
        if blind.any():
            names = np.array(histories.channels, dtype=object)[blind]
            warn(
                f"no user was at risk after a touchpoint of {', '.join(names)}, so its effect "
                "cannot be learnt and is taken as 0",
                IdentifiabilityWarning,
            )

    def _without_risk(self, histories: Histories) -> Mask:
        """Channels after whose touchpoints no user was at risk, shape `(n_channels,)`."""
        stop = self._risk_end(histories)
        watched = (histories.weight > 0) & (histories.start < stop)
        risky = watched[histories.owner] & (histories.time < stop[histories.owner])
        blind: Mask = np.bincount(histories.codes[risky], minlength=histories.n_channels) == 0
        return blind

    def _account(self, journeys: Journeys, of: str) -> tuple[Floats, float]:
        return self._account_of(self._histories(journeys), journeys.outcome(of), of)

    def _account_of(self, histories: Histories, outcome: Floats, of: str) -> tuple[Floats, float]:
        """Credit and baseline of the conversions of some histories, or of their value."""
        horizon = self.counterfactual == "horizon"
        account = account_of(
            histories,
            outcome,
            of,
            lambda: self._parts(histories),
            (lambda: self._game(histories)) if horizon else None,
        )
        if account.removal is not None:
            self.removal_ = account.removal
        return account.credit, account.baseline

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._account(journeys, of)[0]

    def _baseline(self, journeys: Journeys, of: str) -> float:
        return self._account(journeys, of)[1]

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """The split of the hazard at each conversion over single touchpoints.

        It is scaled per channel so that touchpoints add up to the channel's credit; with
        `counterfactual="moment"` and no lookback they do so already. A touchpoint may be credited
        with conversions of later journeys of its user.
        """
        histories = self._histories(journeys)
        credit, _ = self._account(journeys, of)
        amounts = journeys.outcome(of)[histories.event_row] if of == "value" else None
        n = journeys.n_touchpoints
        return shared_over_touchpoints(
            credit,
            placed_in_journeys(self._by_touchpoint(histories, amounts), histories, n),
            lambda: placed_in_journeys(histories.exposure(self._kernel()), histories, n),
            journeys,
        )

    def _by_touchpoint(self, histories: Histories, amounts: Floats | None) -> Floats:
        """The split of the hazard at each conversion, `(n_touchpoints,)` of the histories."""
        amounts = histories.event_weight if amounts is None else amounts
        return split_by_age(self._parts(histories), amounts, histories, self._kernel())

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`: histories are built once, and only weights change."""
        histories = self._histories(journeys)

        def refit(weighted: Journeys) -> tuple[Floats, float]:
            drawn = histories.reweighted(weighted)
            return self._refitted(drawn)._account_of(drawn, weighted.outcome(of), of)

        return refit
