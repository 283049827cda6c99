"""Lift tests: the conversions that a channel causes, measured by an experiment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from mta_models.core.arrays import is_name
from mta_models.core.checks import check_number, check_one_of, is_number, shown
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    from mta_models.data.journeys import Journeys


@dataclass(frozen=True, repr=False)
class LiftTest:
    """The outcome of one randomised test of a channel.

    Attributes:
        channel: the channel switched off for those held out.
        lift: E[Y] − E[Y | do(channel off)] in conversions: those of the whole tested population if
            exposed as usual, minus those if all of it were held out. May be negative.
        standard_error: of the lift, in the same unit, > 0.
        journeys: journeys of the tested population; None: those that the model is fitted on.
        start: when the test began, days since the log's start; None: with the log. The lift is in
            conversions between `start` and `end`.
        end: when it ended, days since the log's start; None: with the log.
        dose: what the channel's exposure was multiplied by for those held out, >= 0 and not 1; 0:
            switched off. The lift is E[Y] − E[Y | do(channel at this dose)].
        people: number of people whose conversions the lift is in; None: those of the journeys.
        on: whom `people` counts: `"all"` who could have met the channel, or those `"exposed"` to
            it, as in tests with placebo ads. Not used without `people`: those not exposed lose
            nothing.

    Models say in their documentation which of the last five they use; the others refuse them.

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
    start: float | None = None
    end: float | None = None
    dose: float = 0.0
    people: float | None = None
    on: Literal["all", "exposed"] = "all"

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
        check_number(self.dose, "dose")
        if self.dose == 1:
            raise ParameterError(
                "the dose of a lift test must differ from 1, the usual one; that of "
                f"{self.channel} is 1. Give 0 if the channel was switched off"
            )
        if self.people is not None:
            check_number(self.people, "people", above=True)
        check_one_of(self.on, "on", ("all", "exposed"))
        for name, day in (("start", self.start), ("end", self.end)):
            if day is not None and not is_number(day):
                raise ParameterError(
                    f"`{name}` of a lift test must be a number of days since the log's start or "
                    f"None; got {shown(day)}"
                )
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise ParameterError(
                f"a lift test must end after it starts; that of {self.channel} starts on day "
                f"{self.start} and ends on day {self.end}"
            )

    def __repr__(self) -> str:
        """With the fields that are not the defaults."""
        given = [repr(self.channel), f"lift={self.lift!r}"]
        given.append(f"standard_error={self.standard_error!r}")
        for each in fields(self)[3:]:
            value = getattr(self, each.name)
            if value != each.default:
                given.append(f"{each.name}={value!r}")
        return f"LiftTest({', '.join(given)})"

    @property
    def whole(self) -> bool:
        """Whether the channel was off for the whole log, for as many people as it has."""
        return (self.start, self.end, self.dose, self.people) == (None, None, 0, None)
