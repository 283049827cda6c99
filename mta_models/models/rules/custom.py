"""A rule with the user's own weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mta_models.core.checks import check_one_of, shown
from mta_models.core.ragged import Floats, Numbers, normalised, position, segment_sum, spread
from mta_models.data.journeys import Journeys
from mta_models.errors import MTAError, ParameterError
from mta_models.models.rules.base import Rule


class CustomRule(Rule):
    """A rule with your own weights: by position, or from a function of the journeys.

    Weights of any scale are normalised to sum to 1 within each journey. Estimand: `"rule"`:
    observed conversions are assigned to channels, whether or not these caused them; the baseline is
    the conversions of journeys without a touchpoint.

    Args:
        weights: numbers >= 0 by position, counted from the journey's first touchpoint. Later
            positions have weight 0; a journey in which all weights are 0 is shared equally. Or a
            function that takes `Journeys` and returns numbers >= 0, shape `(n_touchpoints,)`, at
            least one of them above 0 in every journey with a touchpoint; it must not use outcomes.
        count_from: `"first"` or `"last"`: the end of the journey that positions are counted from.

    Raises:
        ParameterError: `weights`, or the function's result, are not such numbers.

    Example:
        The last touchpoint gets twice as much as the one before it, all others nothing; and
        weights by a function of the journeys:

        >>> from mta_models import CustomRule, Journeys
        >>> journeys = Journeys.from_paths([["A", "B", "C"], ["C"]], conversions=[3, 1])
        >>> CustomRule([2, 1], count_from="last").fit_attribute(journeys).credit.round(9)
        array([0., 1., 3.])
        >>> CustomRule(lambda journeys: 1.0 + journeys.codes).fit_attribute(journeys).credit
        array([0.5, 1. , 2.5])
    """

    def __init__(
        self,
        weights: Callable[[Journeys], Numbers] | Sequence[float] | Numbers,
        count_from: str = "first",
    ) -> None:
        self.weights = weights
        self.count_from = count_from

    def _check_parameters(self) -> None:
        check_one_of(self.count_from, "count_from", ("first", "last"))
        if isinstance(self.weights, type):
            raise ParameterError(
                "`weights` must be numbers by position, or a function of the journeys; got the "
                f"class {self.weights.__name__}. Give an instance of it"
            )
        if not callable(self.weights) and not _position_weights(self.weights).sum() > 0:
            raise ParameterError(f"one of `weights` must be above 0; got {shown(self.weights)}")

    def _weights(self, journeys: Journeys) -> Floats:
        if callable(self.weights):
            weights = _returned(self.weights, journeys)
        else:
            place = position(journeys.offsets)
            if self.count_from == "last":
                np.subtract(spread(journeys.lengths - 1, journeys.offsets), place, out=place)
            given = np.append(_position_weights(self.weights), 0.0)
            weights = given[np.minimum(place, len(given) - 1, out=place)]
            del place  # one number per touchpoint, no longer needed
            all_zero = segment_sum(weights, journeys.offsets) == 0
            weights[spread(all_zero, journeys.offsets)] = 1.0
        return normalised(weights, journeys.offsets)


def _position_weights(weights: object) -> Floats:
    """Weights by position as an array; an error where they are not numbers >= 0."""
    try:
        array = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(np.nan)
    if array.ndim != 1 or not (np.isfinite(array) & (array >= 0)).all():
        raise ParameterError(
            "`weights` must be numbers >= 0 by position, or a function of the journeys; "
            f"got {shown(weights)}. For example [3, 2, 1]"
        )
    return array


def _returned(function: Callable[[Journeys], object], journeys: Journeys) -> Floats:
    """The result of the user's function as a new array; an error where it cannot be used."""
    must = "the function given as `weights` must return"
    try:
        weights = function(journeys)
    except MTAError:
        raise
    except Exception as error:
        raise ParameterError(
            f"{must} one number per touchpoint; it raised {type(error).__name__}: {error}"
        ) from error
    try:
        array = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{must} numbers; got {type(weights).__name__}") from error
    if array.shape != (journeys.n_touchpoints,):
        raise ParameterError(
            f"{must} one number per touchpoint, shape ({journeys.n_touchpoints},); "
            f"got the shape {array.shape}"
        )
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(wrong):
        row = int(np.searchsorted(journeys.offsets, wrong[0], side="right")) - 1
        raise ParameterError(
            f"{must} finite numbers >= 0; row {row} of the journeys got {array[wrong[0]]}"
        )
    empty = np.flatnonzero((segment_sum(array, journeys.offsets) == 0) & (journeys.lengths > 0))
    if len(empty):
        raise ParameterError(
            f"{must} a number above 0 for at least one touchpoint of every journey; row {empty[0]} "
            "got only zeros. Give one of its touchpoints a weight"
        )
    return array
