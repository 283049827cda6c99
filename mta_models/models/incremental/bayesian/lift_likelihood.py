"""Lift tests in a likelihood: the lift that a model implies for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mta_models.core.checks import items_of, shown
from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import ParameterError, UnknownChannelError
from mta_models.models.incremental.bayesian.priors import BiasPrior
from mta_models.models.incremental.bayesian.tabulated import TabulatedLikelihood

# Degrees of freedom of Student's t around a measured lift: nearly normal, but a single test that
# contradicts all other data does not decide the posterior.
LIFT_DF = 7.0
# Credits at which the implied lift is computed, relative to the largest plausible credit.
_FRACTIONS = np.array([-0.5, 0.25, 0.5, 1.0])

# The lift of a channel (by code) that has an effect, in conversions of the tested population.
LiftOf = Callable[[int, float], float]


def check_lift_tests(lift_tests: Iterable[LiftTest] | None) -> tuple[LiftTest, ...]:
    """The tests as a tuple.

    Raises:
        ParameterError: it is no sequence, or one of them is not a `LiftTest`.
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


def check_whole_log(tests: tuple[LiftTest, ...]) -> None:
    """Refuse tests of a part of the log, of a dose, or of a number of people.

    Raises:
        ParameterError: a test is one.
    """
    for test in tests:
        if not test.whole:
            raise ParameterError(
                "this model uses lift tests of a channel switched off for the whole log only; the "
                f"one of {test.channel} has a start, end, dose or people. Give the lift of the "
                "whole log without them"
            )


def check_tested_channels(
    tests: tuple[LiftTest, ...], channels: tuple[str, ...], active: Ints
) -> None:
    """Refuse a test of a channel that the data do not inform about.

    Raises:
        UnknownChannelError: with the name of the channel.
    """
    known = {channels[code] for code in active.tolist()}
    for test in tests:
        if test.channel not in known:
            raise UnknownChannelError(
                f"`lift_tests` must be of channels with touchpoints; {test.channel!r} has none "
                f"here. The channels are {', '.join(channels)}"
            )


def population_of(test: LiftTest, histories: Histories) -> Histories:
    """Histories of the tested population: the test's own, or those that the model is fitted on."""
    if test.journeys is None:
        return histories
    return test.journeys.recode(histories.channels).histories


@dataclass(frozen=True, eq=False)
class LiftCalibration:
    """Lift tests, and the prior of how far observed effects may be off.

    All amounts are in conversions. A channel's credit C (the conversions that it causes) and its
    bias add up to its observed effect. The lift that the model implies for a test of the channel is
    a cubic in C that is 0 at C = 0: less than C where other channels would have brought the same
    conversion.

    Attributes:
        channel: shape `(n_tests,)`, codes.
        lift: shape `(n_tests,)`, as measured.
        standard_error: shape `(n_tests,)`.
        curve: shape `(n_tests, 3)`, coefficients of C, C² and C³ in the implied lift.
        bias: the prior of biases.
    """

    channel: Ints
    lift: Floats
    standard_error: Floats
    curve: Floats
    bias: BiasPrior

    @classmethod
    def from_tests(
        cls,
        tests: tuple[LiftTest, ...],
        channels: tuple[str, ...],
        lifts: list[LiftOf],
        likelihood: TabulatedLikelihood,
        future: Floats | None,
    ) -> LiftCalibration:
        """From lift tests of channels that the data inform about.

        Args:
            tests: at least one.
            channels: the names of all channels.
            lifts: for each test the lift in its population, hazards being those of the point fit.
            likelihood: of the model, with its point fit.
            future: as `BiasPrior.from_credit`.
        """
        per_effect = likelihood.conversions_per_effect
        credited = np.maximum(likelihood.point_effect, 0) * per_effect
        equal = likelihood.total / max(float(per_effect.sum()), 1e-300) * per_effect
        bias = BiasPrior.from_credit(credited, equal, future)
        codes = [channels.index(test.channel) for test in tests]
        largest = np.maximum(credited, bias.scale).tolist()
        curves = [
            _cubic(partial(_lift_at, lift, code, float(per_effect[code])), largest[code])
            for code, lift in zip(codes, lifts, strict=True)
        ]
        return cls(
            np.array(codes),
            np.array([test.lift for test in tests]),
            np.array([test.standard_error for test in tests]),
            np.array(curves),
            bias,
        )

    def implied(self, credit: Any) -> Any:
        """The lifts that the model implies for the tests, shape `(..., n_tests)`.

        Args:
            credit: conversions of all channels, an array or a PyMC variable of shape
                `(..., n_channels)`.
        """
        tested = credit[..., self.channel]
        one, two, three = self.curve.T
        return tested * (one + tested * (two + tested * three))

    def error(self, lifts: list[LiftOf], likelihood: TabulatedLikelihood, credit: Floats) -> float:
        """The largest difference of cubic and computed lift, in standard errors of its test.

        Args:
            lifts: as in `from_tests`.
            likelihood: as in `from_tests`.
            credit: shape `(n_channels,)`, conversions.
        """
        per_effect = likelihood.conversions_per_effect
        computed = [
            _lift_at(lift, code, float(per_effect[code]), float(credit[code]))
            for code, lift in zip(self.channel.tolist(), lifts, strict=True)
        ]
        difference = np.abs(self.implied(credit) - np.array(computed))
        return float((difference / self.standard_error).max())


def add_lifts(calibration: LiftCalibration, active: Ints, credit: Any) -> None:
    """Add the likelihood of lift tests to the PyMC model in whose context this is called.

    Args:
        calibration: with channels' codes.
        active: codes of the channels in the model, shape `(n_active,)`.
        credit: their conversions, shape `(n_active,)`.
    """
    import pymc as pm  # type: ignore[import-untyped]  # no stubs

    tested = replace(calibration, channel=np.searchsorted(active, calibration.channel))
    pm.StudentT(
        "lift",
        LIFT_DF,
        mu=tested.implied(credit),
        sigma=calibration.standard_error,
        observed=calibration.lift,
    )


def _lift_at(lift: LiftOf, code: int, per_effect: float, credit: float) -> float:
    return lift(code, credit / per_effect)


def _cubic(lift: Callable[[float], float], largest: float) -> Floats:
    """A lift as a cubic in credit that is 0 at 0, for credits up to `largest`; shape `(3,)`."""
    lifts = np.array([lift(credit) for credit in (_FRACTIONS * largest).tolist()])
    scaled = np.linalg.lstsq(_FRACTIONS[:, None] ** [1, 2, 3], lifts, rcond=None)[0]
    cubic: Floats = scaled / largest ** np.array([1, 2, 3])
    return cubic
