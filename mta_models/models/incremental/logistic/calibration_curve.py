"""Calibration: what a model said would happen, beside what did, on users it had not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Calibration:
    """Time at risk in groups of rising predicted hazard; a good model has predicted ≈ observed.

    Attributes:
        person_days: shape `(n_groups,)`, time at risk.
        predicted: shape `(n_groups,)`, mean predicted conversions per user and day.
        observed: shape `(n_groups,)`, conversions per user and day.
        conversions: shape `(n_groups,)`, how many were observed.
    """

    person_days: Floats
    predicted: Floats
    observed: Floats
    conversions: Floats

    def to_frame(self) -> pd.DataFrame:
        """One row per group."""
        import pandas as pd

        return pd.DataFrame(vars(self))


def calibrate(hazard: Floats, days: Floats, conversions: Floats, n_groups: int = 10) -> Calibration:
    """Predicted against observed, in groups of equally many predicted conversions.

    Args:
        hazard: shape `(n,)`, predicted conversions per day at each moment.
        days: shape `(n,)`, person-days that a moment stands for, 0 for a conversion.
        conversions: shape `(n,)`, conversions that it stands for, 0 for time at risk.
        n_groups: at most.

    Example:
        >>> day, bought = np.array([9.0, 9.0, 0.0]), np.array([0.0, 0.0, 1.0])
        >>> calibrate(np.array([0.01, 0.1, 0.1]), day, bought, n_groups=2).observed.round(3)
        array([0.   , 0.111])
    """
    order = np.argsort(hazard, kind="stable")
    expected = np.cumsum((hazard * days)[order])
    # Moments of the same hazard belong together: the group is that of the last of them.
    last = np.searchsorted(hazard[order], hazard[order], side="right") - 1
    place = np.ceil(expected[last] / expected[-1] * n_groups - 1e-9) - 1
    _, group = np.unique(place, return_inverse=True)
    at_risk, said, met = (
        np.bincount(group, each[order]).astype(np.float64)
        for each in (days, hazard * days, conversions)
    )
    kept = at_risk > 0
    at_risk, said, met = at_risk[kept], said[kept], met[kept]
    return Calibration(at_risk, said / at_risk, met / at_risk, met)
