"""Lift tests: the conversions that a channel causes, measured by an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta_models.core.arrays import is_name
from mta_models.core.checks import is_number, shown
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    from mta_models.data.journeys import Journeys


@dataclass(frozen=True)
class LiftTest:
    """The outcome of one randomised test of a channel.

    Attributes:
        channel: the channel switched off for those held out.
        lift: E[Y] − E[Y | do(channel off)] in conversions: those of the whole tested population if
            exposed as usual, minus those if all of it were held out. May be negative.
        standard_error: of the lift, in the same unit, > 0.
        journeys: journeys of the tested population; None: those that the model is fitted on.

    Raises:
        ParameterError: the channel is no text, or a number is not finite or outside its range.

    Example:
        >>> from mta_models import LiftTest
        >>> LiftTest("Display", lift=120, standard_error=35).lift
        120
    """

    channel: str
    lift: float
    standard_error: float
    journeys: Journeys | None = None

    def __post_init__(self) -> None:
        if not is_name(self.channel):
            raise ParameterError(f"a channel must be a non-blank text; got {shown(self.channel)}")
        if not is_number(self.lift):
            raise ParameterError(
                f"a lift must be a finite number of conversions; the lift of {self.channel} is "
                f"{shown(self.lift)}. Give the difference that the test measured"
            )
        if not (is_number(self.standard_error) and self.standard_error > 0):
            raise ParameterError(
                "a standard error must be a finite number of conversions > 0; the one of "
                f"{self.channel} is {shown(self.standard_error)}. Give that of the test"
            )
