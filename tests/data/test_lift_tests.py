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
