"""The base class of the rules."""

from __future__ import annotations

from abc import abstractmethod

from mta_models.core.ragged import Floats, spread
from mta_models.data.journeys import Journeys
from mta_models.models.base import AttributionModel, Resampling
from mta_models.models.distinct_channels import by_channel


class Rule(AttributionModel):
    """Base class of the rules. A subclass gives each touchpoint's part of its journey's outcome.

    Estimand: `"rule"`. A rule is bookkeeping: it says which channels observed conversions are
    assigned to, not what caused them. Its baseline is the conversions of journeys without a
    touchpoint and no others, so conversions that would have happened anyway are credited to
    channels.

    A rule learns nothing from data; `fit` checks the journeys and remembers the channels. A
    touchpoint's credit is its weight times the outcome of its journey; a channel's credit is the
    sum over its touchpoints. Credit is therefore linear in the outcomes.

    Ties: touchpoints at the same time keep the order of the source, so the "first" of two is the
    one that the source lists first.
    """

    estimand = "rule"
    resampling: Resampling = "linear"

    @abstractmethod
    def _weights(self, journeys: Journeys) -> Floats:
        """Weight of each touchpoint within its journey, shape `(n_touchpoints,)`, >= 0.

        Weights sum to 1 over every journey that has a touchpoint, and do not depend on outcomes.
        """

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return by_channel(journeys, journeys.codes, self._touchpoint_credit(journeys, of))

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        credit = self._weights(journeys)
        credit *= spread(journeys.outcome(of), journeys.offsets)
        return credit
