"""Lift tests in a likelihood: what a model implies for each, and what observation adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import ParameterError, UnknownChannelError
from mta_models.models.incremental.bayesian.hazard_data import Crowd, Evidence
from mta_models.models.incremental.negative_controls import future_credit
from mta_models.models.parameters import items_of, shown

# Of Student's t around a measured lift: nearly normal, and yet one test in conflict with all else
# does not carry everything away.
LIFT_DF = 7.0
# Doubt about channels even where nothing seems wrong, in parts of the most there is.
_CALM = 0.35
# Credits at which the implied lift is worked out, in parts of what a channel may be credited with.
_PLACES = np.array([-0.5, 0.25, 0.5, 1.0])


def check_lift_tests(lift_tests: Iterable[LiftTest] | None) -> tuple[LiftTest, ...]:
    """The tests as a tuple.

    Raises:
        ParameterError: one of them is not a `LiftTest`.
    """
    if lift_tests is None:
        return ()
    given = items_of(lift_tests)
    tests = tuple(test for test in given or () if isinstance(test, LiftTest))
    if given is None or len(tests) < len(given):
        raise ParameterError(
            f"`lift_tests` must be a list of LiftTest objects; got {shown(lift_tests)}. Make each "
            "with LiftTest(channel, lift, standard_error)"
        )
    return tests


@dataclass(frozen=True, eq=False)
class Calibration:
    """Lift tests, and how far observed effects may be off.

    All in conversions. A channel's credit C, what it causes, and its bias b add up to what
    observation shows of it. The lift that a test of it should find is a cubic in C that is 0 at 0:
    less than C where others would have brought the same conversion.

    Attributes:
        channel: shape `(n_tests,)`, codes.
        lift: shape `(n_tests,)`, as measured.
        standard_error: shape `(n_tests,)`.
        curve: shape `(n_tests, 3)`, coefficients of C, C² and C³ in the implied lift.
        suspect: shape `(n_channels,)`, in proportion to which biases are expected.
        doubt: shape `(n_channels,)`, in proportion to which they differ from that.
        slope: mean and standard deviation of the proportion before any test.
    """

    channel: Ints
    lift: Floats
    standard_error: Floats
    curve: Floats
    suspect: Floats
    doubt: Floats
    slope: tuple[float, float]

    def implied(self, credit: Any) -> Any:
        """The lifts that tests should find, shape `(..., n_tests)`; of arrays and symbols alike.

        Args:
            credit: of all channels, shape `(..., n_channels)`.
        """
        tested = credit[..., self.channel]
        one, two, three = self.curve.T
        return tested * (one + tested * (two + tested * three))

    def error(self, crowds: list[Crowd], evidence: Evidence, credit: Floats) -> float:
        """How far the cubics are from the lifts in full at a credit, in standard errors."""
        full = [
            implied_lift(crowd, evidence, code, float(credit[code]))
            for crowd, code in zip(crowds, self.channel.tolist(), strict=True)
        ]
        off = np.abs(self.implied(credit) - np.array(full)) / self.standard_error
        return float(off.max())


def crowd_of(test: LiftTest, histories: Histories, evidence: Evidence, repeat: bool) -> Crowd:
    """The population of a test: its own, or the histories that the evidence is of.

    Raises:
        UnknownChannelError: the test is of a channel that nobody was at risk after.
    """
    channels = histories.channels
    if test.channel not in channels or channels.index(test.channel) not in evidence.active:
        raise UnknownChannelError(
            f"a lift test must be of a channel with touchpoints; {test.channel!r} has none here. "
            f"The channels are {', '.join(channels)}"
        )
    if test.journeys is not None:
        histories = test.journeys.recode(channels).histories
    return Crowd.of(histories, evidence.basis, evidence.point, repeat)


def calibrate(
    tests: tuple[LiftTest, ...],
    histories: Histories,
    risk: Floats,
    evidence: Evidence,
    crowds: list[Crowd],
) -> Calibration:
    """Tests, each with its crowd, against the model of the evidence, which is of the histories."""
    point = evidence.point
    exposed = evidence.exposed(point.half_life)
    credited, average = point.beta * exposed, evidence.per_touchpoint * exposed
    suspect, doubt, slope = doubts(
        credited, average, future_credit(histories, risk, point.half_life)
    )
    codes = np.array([histories.channels.index(test.channel) for test in tests])
    curves = []
    for crowd, code in zip(crowds, codes.tolist(), strict=True):
        most = max(float(credited[code]), float(doubt[code]))
        implied = partial(implied_lift, crowd, evidence, code)
        curves.append(cubic_of(implied, most))
    return Calibration(
        codes,
        np.array([test.lift for test in tests]),
        np.array([test.standard_error for test in tests]),
        np.array(curves),
        suspect,
        doubt,
        slope,
    )


def doubts(
    credited: Floats, average: Floats, future: Floats | None
) -> tuple[Floats, Floats, tuple[float, float]]:
    """Where biases are to be looked for: `suspect`, `doubt` and `slope` of a `Calibration`.

    Args:
        credited: conversions that observation credits, shape `(n_channels,)`.
        average: what it would if all touchpoints were alike.
        future: what it credits to touchpoints yet to come; None: not known.
    """
    most = (np.maximum(credited, 0) + average) / 2
    if future is None:
        return average, most, (0.0, 0.5)
    # Where later touchpoints tell little of who converts, past ones are doubted little.
    trouble = float(future.sum() / max(credited.sum(), 1e-300))
    return future, most * min(_CALM + trouble, 1.0), (1.0, 0.5)


def cubic_of(lift: Callable[[float], float], most: float) -> Floats:
    """A lift that depends on credit, as a cubic through 0 up to a credit, shape `(3,)`."""
    found = np.array([lift(each) for each in (_PLACES * most).tolist()])
    scaled = np.linalg.lstsq(_PLACES[:, None] ** [1, 2, 3], found, rcond=None)[0]
    cubic: Floats = scaled / most ** np.array([1, 2, 3])
    return cubic


def implied_lift(crowd: Crowd, evidence: Evidence, code: int, credit: float) -> float:
    """What switching a channel off costs a crowd, in conversions, if the channel causes `credit`.

    Whatever the channel causes, users' hazards as they were observed are those of the point fit:
    E[Y] − E[Y | do(off)] = Σ_u w_u e^(−Λ_u) (e^(x_u) − 1), with x the channel's part of Λ. On the
    scale on which all the crowd's expected conversions are those that it had.
    """
    point = evidence.point
    exposed = crowd.exposed(point.half_life)
    caused = exposed[:, code] * (credit / evidence.exposed(point.half_life)[code])
    hazard = exposed @ point.beta + point.baseline * crowd.days
    if crowd.repeat:
        everyone, lost = crowd.weight @ hazard, crowd.weight @ caused
    else:
        everyone = crowd.weight @ -np.expm1(-hazard)
        lost = (crowd.weight * np.exp(-hazard)) @ np.expm1(caused)
    return float(lost * crowd.total / everyone)
