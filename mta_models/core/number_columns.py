"""One way to read a column of numbers, wherever it comes from: the right floats, or an error.

`numbers` reads a column in memory: a list, an array of numpy, pandas, polars or Arrow. `as_number`
and `checked_numbers` do the same for a column of a table that polars has not read yet. Dates, spans
of time, nested values and masked entries are refused: polars and numpy would read their bits as a
number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.ragged import Floats, Numbers
from mta_models.errors import JourneyError

if TYPE_CHECKING:
    import polars as pl


def numbers(values: Iterable[float], what: str) -> Numbers:
    """A copy of `values` as a numeric array of shape `(n,)`.

    Integers and floats keep their type; booleans and all other numbers become float64.

    Args:
        values: any sequence or array of numbers; Decimals and fractions are allowed, texts are not.
        what: the parameter's name, for the error.

    Raises:
        JourneyError: an entry is no number, or masked; names its row.

    Example:
        >>> from decimal import Decimal
        >>> numbers([True, 2, Decimal("2.5")], "value")
        array([1. , 2. , 2.5])
    """
    given = entries(values, what)
    array = _as_array(given)
    if array.dtype.kind in "iuf" and array.ndim == 1:
        return array
    if array.dtype.kind == "b" and array.ndim == 1:
        return array.astype(np.float64)
    floats = np.empty(len(given))
    for row, each in enumerate(given):
        number = _as_float(each)
        if number is None:
            raise JourneyError(
                f"every entry of `{what}` must be a number; row {row} has {each!r}. "
                "Convert the column, or drop the row"
            )
        floats[row] = number
    return floats


def integers(values: Iterable[int], what: str) -> Numbers:
    """A copy of `values` as integers, as `numbers` reads them.

    Raises:
        JourneyError: an entry is no number, masked, or not whole; names its row.
    """
    array = numbers(values, what)
    if array.dtype.kind != "f":
        return array
    wrong = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
    if len(wrong):
        raise JourneyError(
            f"every entry of `{what}` must be a whole number; entry {wrong[0]} is {array[wrong[0]]}"
        )
    return array.astype(np.int64)


def entries(values: Iterable[Any], what: str) -> Numbers | list[Any]:
    """The entries of a column: an array if it is one, else a list; refuses masked entries.

    Raises:
        JourneyError: `values` is no sequence, or an entry is masked.
    """
    given: Any = values
    if isinstance(given, np.ma.MaskedArray):
        _refuse_masked(np.ma.getmaskarray(given), what)
        return np.asarray(given)
    if hasattr(given, "to_pylist"):  # Arrow: numpy cannot take over an array with a missing entry
        given = given.to_pylist()
    elif hasattr(given, "to_numpy"):  # pandas and polars
        # NumPy has no integers of 128 bits; Python has.
        wide = str(getattr(given, "dtype", "")) in ("Int128", "UInt128")
        given = list(given) if wide else given.to_numpy()
    if isinstance(given, np.ndarray) and given.ndim:
        return given
    unordered = isinstance(given, Set | Mapping)  # a mapping would give its keys
    if unordered or not isinstance(given, Iterable) or isinstance(given, np.ndarray | str | bytes):
        raise JourneyError(
            f"`{what}` must be a sequence with one entry a row; got {given!r}. Put it into a list"
        )
    listed = list(given)
    _refuse_masked(np.array([each is np.ma.masked for each in listed], dtype=bool), what)
    return listed


def _refuse_masked(mask: Numbers, what: str) -> None:
    if mask.any():
        row = int(np.argmax(mask.reshape(len(mask), -1).any(axis=1)))
        raise JourneyError(
            f"no entry of `{what}` may be masked; row {row} is. Fill it in (as with `.filled(0)`) "
            "if you know what it is, or drop the row"
        )


def _as_array(given: Numbers | list[Any]) -> Numbers:
    """A copy as a numpy array; empty, of type object, where numpy cannot make one."""
    try:
        return np.array(given)
    except (ValueError, OverflowError):
        return np.empty(0, dtype=object)


def _as_float(entry: object) -> float | None:
    """The entry as a float; None if it is no number."""
    # numpy counts a span of time among the integers.
    if isinstance(entry, np.timedelta64) or not isinstance(entry, Real | np.bool_ | Decimal):
        return None
    try:
        return float(entry)
    except (OverflowError, ValueError):  # 10**400, and Decimal("sNaN")
        return None


def as_number(column: str, dtype: Any) -> pl.Expr:
    """A column of `dtype` as float64, unreadable entries missing; `checked_numbers` names them.

    Texts are read as the numbers they spell, without the blanks around them: CSV has only texts.

    Raises:
        JourneyError: the column holds dates, spans of time, lists or the like.
    """
    import polars as pl

    given = _stripped(column, dtype)
    if not (dtype.is_numeric() or _is_text(dtype) or dtype in (pl.Boolean, pl.Null)):
        raise JourneyError(f"the column {column!r} must hold numbers; it holds {dtype}. Convert it")
    return given.cast(pl.Float64, strict=False)


def is_missing(column: str, dtype: Any) -> pl.Expr:
    """Whether each entry of the column is missing: null, NaN or a blank text."""
    import polars as pl

    blank = _stripped(column, dtype) == "" if _is_text(dtype) else pl.lit(False)
    return (pl.col(column).is_null() | as_number(column, dtype).is_nan() | blank).fill_null(False)


def _is_text(dtype: Any) -> bool:
    import polars as pl

    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _stripped(column: str, dtype: Any) -> pl.Expr:
    """The column; texts without the blanks around them."""
    import polars as pl

    given = pl.col(column)
    return given.cast(pl.String).str.strip_chars() if _is_text(dtype) else given


def checked_numbers(
    number: pl.Series,
    column: str,
    entry: Callable[[int], str],
    *,
    missing: pl.Series | None = None,
) -> Floats:
    """A column that `as_number` read, checked, as an array of shape `(n,)`.

    Args:
        number: the column as float64.
        column: its name, for the error.
        entry: gives the content of a row's cell, as the error shows it.
        missing: booleans, which entries may be missing; they are NaN. None: no entry may be.

    Raises:
        JourneyError: an entry is no finite number; names the row.
    """
    # A copy: polars may share memory with a pandas table, which its owner can still change.
    array: Floats = number.fill_null(np.nan).to_numpy().copy()
    wrong = ~np.isfinite(array)
    if missing is not None:
        wrong &= ~missing.to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise JourneyError(
            f"every entry of the column {column!r} must be a finite number"
            f"{'' if missing is None else ', or missing'}; row {row} has {entry(row)}. "
            "Fill it in, or drop the row"
        )
    return array
