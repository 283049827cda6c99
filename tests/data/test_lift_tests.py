"""Lift tests refuse what is no number before a model meets it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mta_models as mta

WRONG = ["12", None, True, float("nan"), float("inf"), 2j]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_lift_and_its_error_are_finite_numbers(wrong: Any) -> None:
    with pytest.raises(mta.ParameterError, match=r"a lift must be a finite number.* Give the"):
        mta.LiftTest("TV", wrong, 1.0)
    with pytest.raises(mta.ParameterError, match=r"a standard error must be a finite number.*TV"):
        mta.LiftTest("TV", 1.0, wrong)


def test_negative_lifts_are_lifts_and_errors_are_above_0() -> None:
    assert mta.LiftTest("TV", np.float32(-3), np.int64(2)).lift == -3
    for error in (0, -1.0):
        with pytest.raises(mta.ParameterError, match="> 0; the one of TV is"):
            mta.LiftTest("TV", 1.0, error)


def test_a_span_a_dose_and_people_are_checked() -> None:
    test = mta.LiftTest("TV", 5, 2, start=3, end=9.5, dose=0.5, people=100, on="exposed")
    assert not test.whole
    assert mta.LiftTest("TV", 5, 2).whole
    assert repr(test) == (
        "LiftTest('TV', lift=5, standard_error=2, start=3, end=9.5, dose=0.5, people=100, "
        "on='exposed')"
    )
    assert eval(repr(test), {"LiftTest": mta.LiftTest}) == test
    for wrong, words in (
        ({"start": "Monday"}, "`start` of a lift test must be a number of days"),
        ({"end": float("nan")}, "`end` of a lift test must be a number of days"),
        ({"start": 3, "end": 3}, "must end after it starts; that of TV starts on day 3"),
        ({"dose": -1}, "`dose` must be a number"),
        ({"dose": 1}, "the dose of a lift test must differ from 1"),
        ({"people": 0}, "`people` must be a number"),
        ({"on": "some"}, '`on` must be one of "all", "exposed"'),
    ):
        with pytest.raises(mta.ParameterError, match=words):
            mta.LiftTest("TV", 5, 2, **wrong)  # type: ignore[arg-type]  # wrong on purpose
