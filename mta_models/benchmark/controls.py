"""Controls that every table holds: two models that know nothing, and the truth itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mta_models.attribution import Attribution
from mta_models.core.ragged import Floats
from mta_models.data.journeys import Journeys
from mta_models.models.base import AttributionModel

if TYPE_CHECKING:
    from mta_models.worlds.truth import Truth

ORACLE = "Oracle"
CONTROLS = ("Uniform", "ExposureShare", ORACLE)


class Uniform(AttributionModel):
    """The same credit for every channel of the log: a guess without data.

    Conversions of journeys with a touchpoint are divided equally among the channels. Estimand
    `"rule"`; blind to everything.

    Example:
        >>> from mta_models import Journeys, benchmark
        >>> journeys = Journeys.from_paths([["A"], ["A", "B", "A"], []], conversions=[4, 2, 1])
        >>> benchmark.Uniform().fit_attribute(journeys).credit
        array([3., 3.])
    """

    @property
    def estimand(self) -> str:
        """A rule."""
        return "rule"

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._split(journeys, of, np.ones(journeys.n_channels))

    def _split(self, journeys: Journeys, of: str, weight: Floats) -> Floats:
        touched = journeys.outcome(of).sum() - self._baseline(journeys, of)
        credit: Floats = touched * weight / max(weight.sum(), 1)
        return credit


class ExposureShare(Uniform):
    """The same credit for every touchpoint, whether or not its user converts: volume alone.

    Conversions of journeys with a touchpoint are divided in proportion to the channels' touchpoints
    in all journeys. Estimand `"rule"`; blind to outcomes, order and times.

    Example:
        >>> from mta_models import Journeys, benchmark
        >>> paths, nulls = [["A"], ["A", "B", "A"], []], [0, 1, 0]
        >>> journeys = Journeys.from_paths(paths, conversions=[4, 2, 1], nulls=nulls)
        >>> benchmark.ExposureShare().fit_attribute(journeys).credit.round(2)
        array([4.62, 1.38])
    """

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        users = journeys.outcome("conversions") + journeys.nulls
        met = np.bincount(
            journeys.codes, np.repeat(users, journeys.lengths), minlength=journeys.n_channels
        )
        return self._split(journeys, of, met.astype(np.float64))


def oracle(truth: Truth) -> Attribution:
    """The truth's Shapley values and baseline as an attribution: the best possible result.

    Its errors against `"removal"` and other effects are not 0, because these differ from Shapley
    values. Its budget regret is not 0 either where marginal effects are in another order.

    Example:
        >>> from mta_models import benchmark, worlds
        >>> truth = worlds.make("micro_synergy", n_users=1_000).truth()
        >>> benchmark.oracle(truth).credit.round(6)
        array([19.,  8.])
    """
    return Attribution(
        channels=truth.channels,
        credit=truth.shapley,
        baseline=truth.baseline,
        total=truth.total,
        estimand="incremental",
        model=ORACLE,
    )
