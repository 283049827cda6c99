"""Checks of arguments; each refuses with an error that names the parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from mta_models.errors import ParameterError

# Characters of a refused value that an error shows.
_SHOWN = 200


def shown(value: object) -> str:
    """A value as an error shows it: its repr on one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def check_one_of(value: object, name: str, allowed: Sequence[str | bool | None]) -> None:
    """Refuse what is not one of a few words, True, False or None.

    Raises:
        ParameterError: names the parameter and what it may be.

    Example:
        >>> check_one_of("days", "rows", ("sampled", "days"))
    """
    # `in` would take 1 for True, and an array compares element by element.
    if not any(
        isinstance(value, str) and value == each if isinstance(each, str) else value is each
        for each in allowed
    ):
        words = ", ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in allowed)
        raise ParameterError(f"`{name}` must be one of {words}; got {shown(value)}")


def check_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ParameterError: names the parameter.
    """
    if not isinstance(value, bool | np.bool_):
        raise ParameterError(f"`{name}` must be True or False; got {shown(value)}")


def check_whole_number(value: object, name: str, minimum: int, maximum: int) -> None:
    """Refuse what is not a whole number between two bounds, both allowed.

    Raises:
        ParameterError: names the parameter and its bounds.

    Example:
        >>> check_whole_number(2, "n_folds", 2, 100)
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not minimum <= value <= maximum:  # type: ignore[operator]  # Integral compares with int, which its type does not say
        raise ParameterError(
            f"`{name}` must be a whole number from {minimum:,} to {maximum:,}; got {shown(value)}"
        )


def is_number(value: object) -> bool:
    """Whether a value is one finite real number; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False


def items_of(value: object) -> tuple[object, ...] | None:
    """The items of a collection that can be gone through again, or None if it is none.

    Text and bytes are none: their items are letters, which nobody means. Nor is an iterator, which
    would be empty the second time, or a frame.
    """
    if isinstance(value, np.ndarray):
        return tuple(value) if value.ndim else None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | Set):
        return None
    return tuple(value)


def as_list(value: object, name: str, of: str) -> list[Any]:
    """The items of any iterable but text, bytes and mappings, whose items nobody means.

    Args:
        value: what was given.
        name: of the parameter.
        of: what its items are, for the error.

    Raises:
        ParameterError: names the parameter.

    Example:
        >>> as_list((7, 30), "lookbacks", "spans of time")
        [7, 30]
    """
    given: Any = value
    if not isinstance(given, str | bytes | Mapping):
        try:
            return list(given)
        except TypeError:  # a 0-d array has `__iter__` and is not iterable
            pass
    raise ParameterError(f"`{name}` must be a list of {of}; got {shown(value)}")


def check_number(
    value: object,
    name: str,
    *,
    minimum: float = 0.0,
    maximum: float | None = None,
    above: bool = False,
    of: str = "a number",
) -> None:
    """Refuse what is not a finite number of at least a minimum.

    Args:
        value: what was given.
        name: of the parameter.
        minimum: the bound below.
        maximum: the bound above, allowed; None: any finite number.
        above: whether the minimum itself is refused.
        of: what kind of number, for the error.

    Raises:
        ParameterError: names the parameter and its bounds.
    """
    number: Any = value
    inside = is_number(value) and (number > minimum if above else number >= minimum)
    if not inside or (maximum is not None and number > maximum):
        bound = f"{'above' if above else 'of at least'} {minimum:g}"
        bound += " and finite" if maximum is None else f" and at most {maximum:g}"
        raise ParameterError(f"`{name}` must be {of} {bound}; got {shown(value)}")


def check_seed(value: object, name: str = "random_state") -> None:
    """Refuse what is not None, a whole number >= 0 or a `numpy.random.Generator`.

    Raises:
        ParameterError: names the parameter.
    """
    if value is None or isinstance(value, np.random.Generator):
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ParameterError(
            f"`{name}` must be None, a whole number >= 0 or a numpy Generator; got {shown(value)}"
        )
