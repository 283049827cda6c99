"""Arrays of numbers: checked, converted, made read-only."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.ragged import Numbers
from mta_models.errors import JourneyError

if TYPE_CHECKING:
    pass


def read_only(array: Numbers) -> Any:
    """A view of `array` that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def is_name(name: object) -> bool:
    """Whether a channel may be called this."""
    return isinstance(name, str) and bool(name.strip())


def numbers(values: Iterable[float], what: str) -> Numbers:
    """A copy of `values` as a numeric array, or an error that names the first that is no number."""
    given = values if isinstance(values, np.ndarray) else list(values)
    array = np.array(given)
    if array.dtype.kind in "iufb" and array.ndim == 1:
        return array.astype(np.float64) if array.dtype.kind == "b" else array
    for row, each in enumerate(given):
        if not isinstance(each, Real | np.bool_):
            raise JourneyError(
                f"every entry of `{what}` must be a number; row {row} has {each!r}. "
                "Convert the column, or drop the row"
            )
    return np.array(given, dtype=np.float64)


def integers(values: Iterable[int], what: str) -> Numbers:
    """A copy of `values` as integers, or an error that names the first that is not whole."""
    array = numbers(values, what)
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
        if len(wrong):
            raise JourneyError(
                f"every entry of `{what}` must be a whole number; entry {wrong[0]} is "
                f"{array[wrong[0]]}"
            )
        return array.astype(np.int64)
    return array
