"""Spans of time as a user writes them ("7d", "12h", a timedelta), read as days."""

from __future__ import annotations

import re
from datetime import timedelta
from numbers import Real

from mta_models.core.checks import shown
from mta_models.errors import ParameterError

_DAYS = {"w": 7.0, "d": 1.0, "h": 1 / 24, "min": 1 / 1440, "s": 1 / 86400}
# The longest timedelta; arithmetic on longer spans would overflow.
_LONGEST = 1e9
_WORDS = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+)\s*")


def as_days(span: str | timedelta | float, what: str) -> float:
    """A span of time in days, above 0 and at most 1e9.

    Args:
        span: `"7d"`, `"12h"`, `"30min"`, `"90s"` or `"2w"`; a timedelta; or a number of days.
        what: the parameter's name, for the error.

    Raises:
        ParameterError: it is none of these, or outside the bounds.

    Example:
        >>> as_days("12h", "half_life")
        0.5
    """
    days = _read(span)
    if days is None or not 0 < days <= _LONGEST:
        raise ParameterError(
            f"`{what}` must be a span of time above 0, at most {_LONGEST:.0e} days; "
            f"got {shown(span)}. "
            'Write it as "7d", "12h", "30min", a timedelta or a number of days'
        )
    return days


def _read(span: object) -> float | None:
    if isinstance(span, timedelta):
        return span / timedelta(days=1)
    if isinstance(span, str):
        words = _WORDS.fullmatch(span)
        unit = _DAYS.get(words[2]) if words else None
        return None if words is None or unit is None else float(words[1]) * unit
    if isinstance(span, bool):  # a number to Python, but no span of time
        return None
    try:
        return float(span) if isinstance(span, Real) else None
    except OverflowError:  # an int beyond all floats
        return None
