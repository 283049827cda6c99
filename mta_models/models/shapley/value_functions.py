"""Values of coalitions from a caller's function or from a model with `coalition_value`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from mta_models.core.checks import shown
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError, ParameterError
from mta_models.models.base import AttributionModel, clone
from mta_models.models.distinct_channels import users_of
from mta_models.models.shapley.games import Values


def values_of_function(
    function: Callable[[frozenset[str]], float], channels: tuple[str, ...], players: Ints
) -> Values:
    """The game of a function of sets of channel names; `players` are codes of `channels`."""

    def values(members: Mask) -> Floats:
        sets = (frozenset(channels[code] for code in players[row]) for row in members)
        return np.array([_number(function(each), each) for each in sets])

    return values


def values_of_model(model: Any, journeys: Journeys, players: Ints) -> Values:
    """The game v(S) = users × `model.coalition_value` with the channels S kept.

    Args:
        model: fitted.
        journeys: whose users are counted.
        players: codes of the channels that play, as `journeys` number them.

    Raises:
        ParameterError: the model was fitted on other channels.
    """
    known = tuple(getattr(model, "channels_", journeys.channels))
    if set(known) != set(journeys.channels):
        raise ParameterError(
            f"model must be fitted on the channels of these journeys, {journeys.channels}; "
            f"{model!r} knows {known}. Give it unfitted, or fit it on them"
        )
    users = users_of(journeys).sum()
    # The column of each player in the mask that the model takes.
    column = np.array([known.index(journeys.channels[code]) for code in players], dtype=int)

    def values(members: Mask) -> Floats:
        kept = np.zeros(members.shape, dtype=bool)
        kept[:, column] = members
        expected: Floats = users * np.asarray(model.coalition_value(kept), np.float64)
        return expected

    return values


def fitted_model(model: Any, journeys: Journeys) -> Any:
    """The model itself if it is fitted or has no `fit`; else a fitted clone."""
    if hasattr(model, "channels_") or not hasattr(model, "fit"):
        return model
    unfitted = clone(model) if isinstance(model, AttributionModel) else copy.deepcopy(model)
    try:
        return unfitted.fit(journeys)
    except JourneyError:
        raise  # of the data, not of the model
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"model must be one that fit(journeys) can fit; {shown(model)} is not: {error}"
        ) from error


def _number(value: object, members: frozenset[str]) -> float:
    """What the caller's function returned; an error that names the set if it is not a number."""
    if isinstance(value, float | int | np.number) and np.isfinite(float(value)):
        return float(value)
    raise ParameterError(
        f"characteristic_function must give a finite number for every set of channels; for "
        f"{sorted(members)} it gives {value!r}"
    )
