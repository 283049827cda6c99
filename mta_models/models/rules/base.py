"""The base of the rules, and the three sums they are made of."""

from __future__ import annotations

from abc import abstractmethod

from mta_models.core.ragged import Floats, spread
from mta_models.data.journeys import Journeys
from mta_models.models.base import AttributionModel, Resampling
from mta_models.models.distinct_channels import by_channel


class Rule(AttributionModel):
    """Base of the rules: a child writes how much of a journey each of its touchpoints gets.

    Estimand: `"rule"`. A rule is bookkeeping. It says where the conversions observed are booked,
    not what caused them: the conversions of journeys without a touchpoint are its baseline, and
    it never learns more of one, so it credits channels with what would have happened anyway.

    A rule learns nothing from data; `fit` checks the journeys and remembers the channels. It is
    linear in the outcomes: with the weights W of shape `(n_touchpoints,)`, credit of a channel is
    the sum over its touchpoints of W times the outcome of the journey.

    Ties: touchpoints at the same instant keep the order of the source, so the "first" of two
    simultaneous touchpoints is the one that the source lists first.

    A touchpoint's credit is its weight times the outcome of its journey; summed over the
    touchpoints of a channel it is the channel's credit.
    """

    estimand = "rule"
    resampling: Resampling = "linear"

    @abstractmethod
    def _weights(self, journeys: Journeys) -> Floats:
        """Weight of each touchpoint within its journey, shape `(n_touchpoints,)`, >= 0.

        They sum to 1 over every journey that has a touchpoint, and depend on no outcome.
        """

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return by_channel(journeys, journeys.codes, self._touchpoint_credit(journeys, of))

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        credit = self._weights(journeys)
        credit *= spread(journeys.outcome(of), journeys.offsets)
        return credit
