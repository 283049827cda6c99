"""Calibration of a hazard: predicted against observed conversions, on held-out users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Predicted and observed hazards in groups of person-time with increasing predicted hazard.

    A well calibrated model has predicted ≈ observed in every group.

    Attributes:
        person_days: shape `(n_groups,)`, time at risk.
        predicted: shape `(n_groups,)`, mean predicted conversions per user and day.
        observed: shape `(n_groups,)`, conversions per user and day.
        conversions: shape `(n_groups,)`, number observed.
    """

    person_days: Floats
    predicted: Floats
    observed: Floats
    conversions: Floats

    @classmethod
    def from_predictions(
        cls, hazard: Floats, days: Floats, conversions: Floats, n_groups: int = 10
    ) -> CalibrationCurve:
        """Groups of equally many predicted conversions.

        Args:
            hazard: shape `(n,)`, predicted conversions per day, of each row.
            days: shape `(n,)`, person-days that a row stands for; 0 for a conversion.
            conversions: shape `(n,)`, conversions that a row stands for; 0 for time at risk.
            n_groups: maximum number of groups.

        Example:
            >>> days, bought = np.array([9.0, 9.0, 0.0]), np.array([0.0, 0.0, 1.0])
            >>> hazard = np.array([0.01, 0.1, 0.1])
            >>> curve = CalibrationCurve.from_predictions(hazard, days, bought, n_groups=2)
            >>> curve.observed.round(3)
            array([0.   , 0.111])
        """
        order = np.argsort(hazard, kind="stable")
        expected = np.cumsum((hazard * days)[order])
        # Rows of equal hazard stay together, in the group of the last one.
        last = np.searchsorted(hazard[order], hazard[order], side="right") - 1
        place = np.ceil(expected[last] / expected[-1] * n_groups - 1e-9) - 1
        _, group = np.unique(place, return_inverse=True)
        person_days, predicted, observed = (
            np.bincount(group, each[order]).astype(np.float64)
            for each in (days, hazard * days, conversions)
        )
        kept = person_days > 0
        person_days, predicted, observed = person_days[kept], predicted[kept], observed[kept]
        return cls(person_days, predicted / person_days, observed / person_days, observed)

    def to_frame(self) -> pd.DataFrame:
        """One row per group."""
        import pandas as pd

        return pd.DataFrame(vars(self))
