"""The parameters of a logistic model, and the hyperparameters that its search chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.parameters import HalfLife


@dataclass(frozen=True, eq=False)
class Settings:
    """The parameters of a `Logistic` that its fit needs."""

    half_life: HalfLife | None
    saturation: str | None
    interactions: Any
    covariates: Any
    trend: str | None
    learner: Any
    penalty: float | None
    rows: str
    n_bags: int
    random_state: int | np.random.Generator | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Settings:
        """The settings among a model's parameters."""
        return cls(**{name: params[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Choice:
    """Hyperparameters, as given or chosen so far by the search.

    Attributes:
        half_life: shape `(n_channels,)`, days.
        saturation: as `Responses`.
        pairs: as `Responses`.
        penalty: ridge.
    """

    half_life: Floats
    saturation: str | None
    pairs: Ints
    penalty: float
