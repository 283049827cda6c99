"""Shapley values of several characteristic functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mta_models.core.checks import check_seed, check_whole_number, shown
from mta_models.core.coalitions import MAX_PLAYERS
from mta_models.core.orders import random_orders
from mta_models.core.ragged import Floats, Ints, position, spread, sums_at
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError, MTAError, ParameterError
from mta_models.models.base import AttributionModel, Refitter, Resampling
from mta_models.models.distinct_channels import (
    all_by_first_appearance,
    by_channel,
    by_first_appearance,
    split_over_channels,
    users_of,
    warn_untouched_convert,
    warn_without_nulls,
)
from mta_models.models.shapley.games import Game, Values, check_tabled, solve
from mta_models.models.shapley.journey_games import n_wide, split_predictions
from mta_models.models.shapley.rate_games import SampledRateGame, TabledRateGame, warn_unseen
from mta_models.models.shapley.value_functions import (
    fitted_model,
    values_of_function,
    values_of_model,
)

CharacteristicFunction = str | Callable[[frozenset[str]], float]
_NAMES = ("conversions", "rate", "model")
# v(all) of a caller's own game must equal the total but for rounding.
_TOLERANCE = 1e-9
_MOST_ORDERS = 1_000_000


class Shapley(AttributionModel):
    """Shapley values of the channels in a coalition game, chosen by its characteristic function.

    v(S) is the value of a set S of channels. A channel's credit is what it adds to v when it
    arrives, averaged over all orders of arrival. The characteristic function says what v is:

    - `"conversions"`: conversions of journeys whose channels are all in S. The Shapley value has a
      closed form: each conversion is split equally over its journey's distinct channels. This is
      the same as `Linear(unique=True)`: it learns nothing from users who did not convert, and its
      estimand is `"rule"`. One pass over the journeys, any number of channels.
    - `"rate"`: all users × the conversion rate of journeys whose channels are all in S, including
      journeys without a touchpoint. Exact for up to 20 channels.
    - `"model"`: expected conversions of the same users if they had met only the touchpoints of S,
      as `model` predicts them.
    - a function from a frozenset of channel names to the value of that set.

    The baseline is v(no channel), so that credit and baseline add up to v(all channels). For
    `"conversions"` the baseline is the conversions of journeys without a touchpoint. For `"rate"`
    it is the conversion rate of users without a touchpoint times *all* users: it may be far more
    than the conversions of users without a touchpoint, and more than the total; credits then sum to
    less than 0.

    Except for `"conversions"`, the game is learnt in `fit`; `attribute` scales it so that v(all)
    is the total of the journeys given (by exactly 1 for `"rate"` on the journeys of the fit). A
    function is never scaled: its v(all) must be the total.

    Assumptions: those of v. `"rate"` takes journeys within S as what would have happened with S
    only: people who met few channels must be like those who met many, and those who met none like
    all others. `"model"` has the assumptions of its model.
    Blind spots: order, repeats and times (except where `model` uses them); intent that drives both
    exposure and conversion. Where no user's channels are all in S, the data do not show the value
    of S: v(S) is then 0 and an `IdentifiabilityWarning` names S; S may be the empty set.

    Args:
        characteristic_function: as above.
        model: for `"model"` only. A model with `coalition_value(kept)`, the probability of
            conversion with only some channels kept, shapes `(m, n_channels)` -> `(m,)`; or with
            `predict_proba(journeys)`, the probability per journey, shape `(n_journeys,)`: then each
            journey is a game among its own channels, exact for up to 10 channels. A fitted model is
            used as it is; an unfitted model is cloned and the clone is fitted.
        n_permutations: number of orders of arrival to sample instead of taking all; even and >= 4,
            since they are drawn in antithetic pairs. None: exact, or an error where there are too
            many channels. Not used by the closed form and by journeys of up to 10 channels.
        random_state: seed or numpy Generator of the sampling.

    Attributes:
        by_position_: shape `(n_positions, n_channels)`, the ordered Shapley value: credit of the
            journeys of the fit by the position of the channel's first touchpoint, from 0. None
            except for `"conversions"` and for a model with `predict_proba`.
        standard_error_: shape `(n_channels,)`, of the sampling of orders only, in conversions of
            the journeys of the fit; zeros where nothing was sampled.
        unseen_coalitions_: for `"rate"`, the number of coalitions without users; where orders are
            sampled, of those along the orders, counted with repeats.
        model_: the fitted model of `"model"`.

    Source: Shapley (1953), Contributions to the Theory of Games II; Zhao, Mahboobi & Bagheri
    (2018), "Shapley value methods for attribution modeling in online advertising", arXiv
    1804.05327 (closed form, ordered value); Dalessandro, Perlich, Stitelman & Provost (2012),
    "Causally motivated attribution for online advertising", ADKDD (rates).

    Example:
        >>> from mta_models import Journeys, Shapley
        >>> paths = [[], ["Ad"], ["Mail"], ["Ad", "Mail"]]
        >>> journeys = Journeys.from_paths(paths, [1, 2, 1, 6], nulls=[9, 8, 9, 4])
        >>> Shapley().fit_attribute(journeys).credit
        array([5., 4.])

        One in ten users without a touchpoint converts, so the baseline of `"rate"` is 4 of 40:

        >>> rate = Shapley("rate").fit_attribute(journeys)
        >>> rate.credit, rate.baseline
        (array([4., 2.]), 4.0)
    """

    by_position_: Floats | None
    standard_error_: Floats
    unseen_coalitions_: int
    model_: Any
    _games: dict[str, Game]

    def __init__(
        self,
        characteristic_function: CharacteristicFunction = "conversions",
        model: Any = None,
        n_permutations: int | None = None,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.characteristic_function = characteristic_function
        self.model = model
        self.n_permutations = n_permutations
        self.random_state = random_state

    @property
    def estimand(self) -> str:
        """`"rule"` for the closed form; else `"shapley"`."""
        return "rule" if self._is("conversions") else "shapley"

    def _is(self, name: str) -> bool:
        given = self.characteristic_function
        return isinstance(given, str) and given == name

    def _check_parameters(self) -> None:
        given, n = self.characteristic_function, self.n_permutations
        named = isinstance(given, str) and given in _NAMES
        if not named and (isinstance(given, type) or not callable(given)):
            raise ParameterError(
                f"characteristic_function must be one of {', '.join(map(repr, _NAMES))} or a "
                f"function from a frozenset of channels to a number; got {shown(given)}"
            )
        if self._is("model") != (self.model is not None):
            raise ParameterError(
                'characteristic_function="model" and model= go together; got '
                f"characteristic_function={shown(given)} with model={shown(self.model)}. Give "
                "both, or leave model out"
            )
        if self._is("model") and (
            isinstance(self.model, type)
            or not any(hasattr(self.model, name) for name in ("coalition_value", "predict_proba"))
        ):
            raise ParameterError(
                "model must have predict_proba(journeys) or coalition_value(kept); "
                f"{shown(self.model)} has neither. Give an incremental model or Markov()"
            )
        if n is not None:
            check_whole_number(n, "n_permutations", 4, _MOST_ORDERS)
            if n % 2:
                raise ParameterError(
                    "n_permutations must be even, since orders are drawn in antithetic pairs; got "
                    f"{n!r}"
                )
        check_seed(self.random_state)

    def _fit(self, journeys: Journeys) -> None:
        self.by_position_ = None
        self.standard_error_ = np.zeros(journeys.n_channels)
        self._games = {}
        if self._is("conversions"):
            credit = split_over_channels(journeys, journeys.outcome("conversions"))
            self.by_position_ = _by_position(journeys, credit)
        elif self._is("rate"):
            self._fit_rate(journeys)
        elif self._is("model"):
            self._fit_model(journeys)
        else:
            self._fit_function(journeys)

    def _fit_rate(self, journeys: Journeys) -> None:
        players, users = by_first_appearance(journeys), users_of(journeys)
        rate = self._rate(journeys, players)
        for of in ("conversions",) if journeys.value is None else ("conversions", "value"):
            game = rate.solve(journeys.outcome(of), users)
            self._games[of] = _to_channels(game, players, journeys.n_channels)
        self.standard_error_ = self._games["conversions"].standard_error
        warn_without_nulls(journeys)
        warn_untouched_convert(journeys)
        self.unseen_coalitions_ = warn_unseen(rate, journeys, players)

    def _rate(self, journeys: Journeys, players: Ints) -> TabledRateGame | SampledRateGame:
        orders = self._orders(len(players), 'Shapley("rate")')
        if orders is None:
            return TabledRateGame.from_journeys(journeys, players)
        return SampledRateGame.from_journeys(journeys, players, orders)

    def _fit_function(self, journeys: Journeys) -> None:
        function = self.characteristic_function
        assert callable(function)
        players = all_by_first_appearance(journeys)
        values = values_of_function(function, journeys.channels, players)
        self._solve(values, players, "Shapley of a function")

    def _fit_model(self, journeys: Journeys) -> None:
        self.model_ = fitted_model(self.model, journeys)
        if hasattr(self.model_, "coalition_value"):
            players = all_by_first_appearance(journeys)
            values = values_of_model(self.model_, journeys, players)
            self._solve(values, players, 'Shapley("model")')
        else:
            self._fit_predictions(journeys)
        game = self._games["conversions"]
        if not game.everyone > 0:
            raise ParameterError(
                "`model` must predict more than 0 conversions of the journeys; "
                f"{self.model_!r} predicts {game.everyone:g}. Fit it on these journeys"
            )
        scale = journeys.total / game.everyone
        self.standard_error_ = game.standard_error * scale
        if self.by_position_ is not None:
            self.by_position_ *= scale

    def _fit_predictions(self, journeys: Journeys) -> None:
        if not getattr(self.model_, "needs_times", False) and journeys.age is None:
            journeys = journeys.compress()
        orders = None
        wide = n_wide(journeys)
        if wide:
            if self.n_permutations is None:
                raise ParameterError(
                    f'Shapley("model") is exact for journeys of at most {MAX_PLAYERS} '
                    f"distinct channels; {wide:,} have more. Give n_permutations (say 100) to "
                    "sample orders of arrival for these, with standard errors"
                )
            players = all_by_first_appearance(journeys)
            orders = players[self._orders(len(players), "")]
        users = users_of(journeys)
        split = split_predictions(self.model_.predict_proba, journeys, users, orders)
        credit = split.credit * spread(users, journeys.offsets)
        self.by_position_ = _by_position(journeys, credit)
        self._games["conversions"] = Game(
            shapley=by_channel(journeys, journeys.codes, credit),
            nobody=float(users @ split.nobody),
            everyone=float(users @ split.everyone),
            standard_error=split.standard_error,
        )

    def _orders(self, n_players: int, what: str) -> Ints | None:
        """Sampled orders if `n_permutations` is given; else None, or an error for many players."""
        if self.n_permutations is None:
            check_tabled(n_players, what)
            return None
        rng = np.random.default_rng(self.random_state)
        return random_orders(n_players, (self.n_permutations // 2,), rng)

    def _solve(self, values: Values, players: Ints, what: str) -> None:
        game = solve(values, len(players), self._orders(len(players), what))
        self._games["conversions"] = _to_channels(game, players, len(players))
        self.standard_error_ = self._games["conversions"].standard_error

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        if self._is("conversions"):
            return by_channel(journeys, journeys.codes, self._touchpoint_credit(journeys, of))
        game, scale = self._scaled(journeys, of)
        credit: Floats = game.shapley * scale
        return credit

    def _baseline(self, journeys: Journeys, of: str) -> float:
        if self._is("conversions"):
            return super()._baseline(journeys, of)
        game, scale = self._scaled(journeys, of)
        return game.nobody * scale

    def _scaled(self, journeys: Journeys, of: str) -> tuple[Game, float]:
        """The game, and the factor that makes its v(all) the total of these journeys."""
        total = float(journeys.outcome(of).sum())
        if callable(self.characteristic_function):
            game = self._games["conversions"]
            if not np.isclose(game.everyone, total, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise ParameterError(
                    "characteristic_function of all channels must be the total to credit, "
                    f"{total:.10g} {of}; it gives {game.everyone:.10g}. Return {of}, not a rate, "
                    "and attribute only the journeys that the function describes"
                )
            return game, 1.0
        if of not in self._games:
            if self._is("model"):
                raise MTAError(
                    'Shapley("model") credits conversions only, since its model does not predict '
                    'value. Use of="conversions", or the characteristic function "rate"'
                )
            raise JourneyError(
                'of="value" needs a model fitted on journeys with values; this one was fitted on '
                "journeys without. Fit it on journeys with a value column"
            )
        game = self._games[of]
        if game.everyone == total:
            return game, 1.0
        if game.everyone == 0:
            raise MTAError(
                f"the {of} of the journeys of the fit must not sum to 0 where those to attribute "
                f"sum to {total:g}, which is shared in proportion. Fit on the journeys to attribute"
            )
        return game, total / game.everyone

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """Each channel's part of a row, at its first touchpoint in the row; adds up to credit."""
        if not self._is("conversions"):
            return super()._touchpoint_credit(journeys, of)
        return split_over_channels(journeys, journeys.outcome(of))

    @property
    def resampling(self) -> Resampling:
        """See `AttributionModel.resampling`."""
        if self._is("conversions"):
            return "linear"
        if self._is("model"):
            mergeable = isinstance(self.model, AttributionModel) and self.model.resampling in (
                "paths",
                "sets",
            )
            return "paths" if mergeable else "journeys"
        # Sampled orders number channels by first appearance, which sets do not keep.
        return "sets" if self._is("rate") and self.n_permutations is None else "paths"

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`."""
        if not self._is("rate"):
            return super().prepare(journeys, of)
        players = by_first_appearance(journeys)
        rate = self._rate(journeys, players)

        def solved(weighted: Journeys) -> tuple[Floats, float]:
            warn_unseen(rate, weighted, players)
            game = rate.solve(weighted.outcome(of), users_of(weighted))
            return _to_channels(game, players, journeys.n_channels).shapley, game.nobody

        return solved


def _to_channels(game: Game, players: Ints, n_channels: int) -> Game:
    """The game with players in the order of channels; a channel that is not a player has 0."""
    shapley, standard_error = np.zeros((2, n_channels))
    shapley[players], standard_error[players] = game.shapley, game.standard_error
    return Game(shapley, game.nobody, game.everyone, standard_error)


def _by_position(journeys: Journeys, credit: Floats) -> Floats:
    """Credit of touchpoints summed by position and channel, shape `(n_positions, n_channels)`."""
    filled = np.flatnonzero(credit)
    place = position(journeys.offsets)[filled]
    rows, n = int(place.max(initial=-1)) + 1, journeys.n_channels
    cell = place * n + journeys.codes[filled].astype(np.int64)
    return sums_at(cell, credit[filled], rows * n).reshape(rows, n)
