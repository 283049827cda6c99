"""Rules that credit the touchpoints at stages of a sale: lead, opportunity, close."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from mta_models.core.checks import check_one_of, is_number, shown
from mta_models.core.ragged import (
    Floats,
    Ints,
    Mask,
    normalised,
    per_item,
    position,
    segment_sum,
    spread,
)
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError, ParameterError
from mta_models.models.rules.base import Rule

THIRDS = ("lead", "opportunity", "close")


class _MilestoneRule(Rule):
    """Fixed parts to the touchpoints at milestones, and one part shared by the rest."""

    milestones: str

    @abstractmethod
    def _parts(self) -> Mapping[str, float]:
        """Part by milestone; `"rest"` is the part shared by touchpoints without a milestone."""

    def _check_parameters(self) -> None:
        check_one_of(self.milestones, "milestones", ("journeys", "thirds"))
        unknown = [stage for stage in self._stages() if stage not in THIRDS]
        if self.milestones == "thirds" and unknown:
            raise ParameterError(
                f'milestones="thirds" has a position for {", ".join(THIRDS)}; got {unknown[0]!r}. '
                "Drop its part, or read the stages with the journeys"
            )

    def _fit(self, journeys: Journeys) -> None:
        if not journeys.n_touchpoints:
            return
        places = self._places(journeys)
        if not any((places[stage] >= 0).any() for stage in self._stages()):
            raise JourneyError(
                f"{type(self).__name__} needs journeys that reach {' or '.join(self._stages())}; "
                f"none of the {journeys.n_journeys} journeys does. Check how the stages were "
                "joined, or use a rule that needs no stages"
            )

    def _weights(self, journeys: Journeys) -> Floats:
        weights = np.zeros(journeys.n_touchpoints)
        latest = np.zeros(journeys.n_journeys, dtype=np.int64)
        for milestone, place in self._places(journeys).items():
            has = np.flatnonzero(place >= 0)
            # A journey has each milestone at most once, so each entry is added to at most once.
            weights[journeys.offsets[has] + place[has]] += self._parts()[milestone]
            latest = np.maximum(latest, place)
        rest = (weights == 0) & self._may_rest(journeys, latest)
        shared = self._parts().get("rest", 0.0) * per_item(segment_sum(rest, journeys.offsets))
        np.copyto(weights, spread(shared, journeys.offsets), where=rest)
        return normalised(weights, journeys.offsets)

    def _may_rest(self, journeys: Journeys, latest: Ints) -> Mask:
        """Touchpoints that may be part of the rest; `latest`: position of the last milestone."""
        return np.ones(journeys.n_touchpoints, dtype=bool)

    def _stages(self) -> list[str]:
        return [each for each in self._parts() if each not in ("first", "rest")]

    def _places(self, journeys: Journeys) -> dict[str, Ints]:
        """Position of each milestone in each journey, from 0; -1 where there is none."""
        steps = journeys.lengths - 1
        places = {"first": np.minimum(steps, 0)}
        if self.milestones == "thirds":
            # The touchpoints nearest to 1/3, 2/3 and 3/3 of the way from the first to the last.
            known = {
                stage: np.where(steps < 0, -1, (2 * third * steps + 3) // 6)
                for third, stage in enumerate(THIRDS, start=1)
            }
        else:
            known = journeys.milestones or {}
        missing = [stage for stage in self._stages() if stage not in known]
        if missing and journeys.n_touchpoints:
            carried = ", ".join(known) or "none"
            raise JourneyError(
                f"{type(self).__name__} needs the milestone {missing[0]!r} of each journey; these "
                f"journeys have {carried}. Read the stages with the journeys (`milestones=` of "
                'from_arrays), or use positions in place of stages: milestones="thirds"'
            )
        return places | {stage: known[stage] for stage in self._stages() if stage in known}


class MilestoneBased(_MilestoneRule):
    """Fixed parts to the first touchpoint and the touchpoints at stages, one part to the rest.

    Parts that fall on the same touchpoint add up. Where a journey lacks a stage, its part is left
    out; where no touchpoint is without a milestone, the part of the rest is. The other parts are
    then scaled to sum to 1.
    Estimand: `"rule"`: observed conversions are assigned to channels, whether or not these caused
    them; the baseline is the conversions of journeys without a touchpoint.

    Args:
        weights: part by milestone, all above 0: `"first"` (required), stages of the journeys, such
            as `"lead"` (at least one), and `"rest"`, shared equally by the touchpoints without a
            milestone (without `"rest"` these get nothing).
        milestones: `"journeys"`: the stages that the journeys have. `"thirds"`: positions in place
            of stages: lead and opportunity are the touchpoints nearest to one and two thirds of the
            way from the first to the last, close is the last. Positions are guesses of stages.
        rest: `"all"`: touchpoints after a journey's last milestone are part of the rest;
            `"between"`: they get nothing.

    Raises:
        JourneyError: at `fit`, where the journeys lack a stage in `weights`, or no journey reaches
            one.

    Example:
        >>> from mta_models import Journeys, MilestoneBased
        >>> journeys = Journeys.from_arrays(
        ...     ["A", "B", "C"], [0, 1, 2], [0, 3], [10], milestones={"lead": [1]}
        ... )
        >>> rule = MilestoneBased({"first": 0.4, "lead": 0.4, "rest": 0.2})
        >>> rule.fit_attribute(journeys).credit.round(9)
        array([4., 4., 2.])
    """

    def __init__(
        self, weights: Mapping[str, float], milestones: str = "journeys", rest: str = "all"
    ) -> None:
        self.weights = weights
        self.milestones = milestones
        self.rest = rest

    def _check_parameters(self) -> None:
        given: object = self.weights
        if (
            not isinstance(given, Mapping)
            or "first" not in given
            or not all(
                isinstance(name, str) and is_number(part) and part > 0
                for name, part in given.items()
            )
            or not self._stages()
        ):
            raise ParameterError(
                '`weights` must give a part above 0 to "first" and to one stage or more; '
                f'got {shown(given)}. For example {{"first": 0.4, "lead": 0.4, "rest": 0.2}}'
            )
        check_one_of(self.rest, "rest", ("all", "between"))
        super()._check_parameters()

    def _parts(self) -> Mapping[str, float]:
        return self.weights

    def _may_rest(self, journeys: Journeys, latest: Ints) -> Mask:
        if self.rest == "all":
            return super()._may_rest(journeys, latest)
        before: Mask = position(journeys.offsets) < spread(latest, journeys.offsets)
        return before


class WShaped(_MilestoneRule):
    """0.3 each to the first touchpoint, lead creation and opportunity creation, 0.1 to the rest.

    Milestones on the same touchpoint, missing milestones, `"thirds"` and errors are as in
    `MilestoneBased`. Estimand: `"rule"`: observed conversions are assigned to channels, whether or
    not these caused them; the baseline is the conversions of journeys without a touchpoint. Source:
    Adobe Marketo Measure, "Marketo Measure Attribution Models".

    Args:
        milestones: `"journeys"` or `"thirds"`.

    Example:
        >>> from mta_models import Journeys, WShaped
        >>> journeys = Journeys.from_arrays(
        ...     list("ABCD"), range(4), [0, 4], [10], milestones={"lead": [1], "opportunity": [3]}
        ... )
        >>> WShaped().fit_attribute(journeys).credit.round(9)
        array([3., 3., 1., 3.])
    """

    def __init__(self, milestones: str = "journeys") -> None:
        self.milestones = milestones

    def _parts(self) -> Mapping[str, float]:
        return {"first": 0.3, "lead": 0.3, "opportunity": 0.3, "rest": 0.1}


class FullPath(_MilestoneRule):
    """0.225 each to first touchpoint, lead, opportunity and close, 0.1 to the rest.

    Milestones on the same touchpoint, missing milestones, `"thirds"` and errors are as in
    `MilestoneBased`. Estimand: `"rule"`: observed conversions are assigned to channels, whether or
    not these caused them; the baseline is the conversions of journeys without a touchpoint. Source:
    as `WShaped`.

    Args:
        milestones: `"journeys"` or `"thirds"`.

    Example:
        >>> from mta_models import FullPath, Journeys
        >>> stages = {"lead": [1], "opportunity": [1], "close": [3]}
        >>> journeys = Journeys.from_arrays(list("ABCD"), range(4), [0, 4], [40], milestones=stages)
        >>> FullPath().fit_attribute(journeys).credit.round(9)
        array([ 9., 18.,  4.,  9.])
    """

    def __init__(self, milestones: str = "journeys") -> None:
        self.milestones = milestones

    def _parts(self) -> Mapping[str, float]:
        return {"first": 0.225, "lead": 0.225, "opportunity": 0.225, "close": 0.225, "rest": 0.1}
