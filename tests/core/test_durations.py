"""Lengths of time as people write them, in days."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest

import mta_models as mta
from mta_models.core.durations import as_days


@pytest.mark.parametrize(
    ("span", "days"),
    [
        ("2w", 14),
        ("7d", 7),
        ("12h", 0.5),
        ("36min", 0.025),
        ("90s", 90 / 86_400),
        (" 1.5 d ", 1.5),
        ("3.d", 3),
        (".5h", 0.5 / 24),
        (timedelta(days=1, hours=6), 1.25),
        (3, 3),
        (0.25, 0.25),
        (Fraction(1, 4), 0.25),
        (np.float32(0.5), 0.5),
        (1e9, 1e9),
    ],
)
def test_a_span_of_time_is_read_as_days(span, days):
    assert as_days(span, "lookback") == pytest.approx(days, rel=1e-12)
    assert type(as_days(span, "lookback")) is float


@pytest.mark.parametrize(
    "span",
    [
        *(0, -1, 1.1e9, float("nan"), float("inf"), 10**400, True, None, 1j, [1], b"7d"),
        *("", "7", "d", "7 days", "-1d", "0d", "7D", "7dd", "1e3d", "7d 2h", "inf", timedelta(0)),
    ],
)
def test_what_is_no_span_of_time_is_refused_by_name(span):
    with pytest.raises(mta.ParameterError, match=r"`lookback` must be a span of time above 0"):
        as_days(span, "lookback")
