"""Checks of parameters that several models have; each names the parameter that it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError

# A span of time, or one for each channel: the meaning of every `half_life`.
HalfLife = str | timedelta | float | Mapping[str, str | timedelta | float]

# Characters of a refused value that an error shows.
_SHOWN = 200


def shown(value: object) -> str:
    """A value as an error shows it: its repr, cut where it is long."""
    text = repr(value)
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


def generator(seed: int | np.random.Generator | None, stream: int) -> np.random.Generator:
    """One of several independent streams of random numbers that a model draws with one seed.

    Args:
        seed: a checked `random_state`. A Generator is returned as it is: its numbers follow on.
        stream: which stream, the same at every call for the same purpose.
    """
    if seed is None or isinstance(seed, np.random.Generator):
        return np.random.default_rng(seed)
    return np.random.default_rng([seed, stream])


def check_half_life(half_life: HalfLife | None) -> None:
    """Refuse a half-life that is not a span of time, nor a mapping to spans, nor None.

    Raises:
        ParameterError: with the name of the channel where it is one channel's.
    """
    if isinstance(half_life, Mapping):
        for channel, span in half_life.items():
            as_days(span, f"half_life[{channel!r}]")
    elif isinstance(half_life, Sequence | np.ndarray) and not isinstance(half_life, str):
        raise ParameterError(
            "`half_life` must be a span of time above 0, or a mapping of channels to spans; got "
            f"{shown(half_life)}, which does not say whose each is. Write it as "
            '{"Search": "4d", "Email": 2}'
        )
    elif half_life is not None:
        as_days(half_life, "half_life")


def given_half_lives(half_life: HalfLife, channels: tuple[str, ...]) -> Floats:
    """Days by channel, shape `(n_channels,)`, from one span or a mapping of channels to spans.

    Raises:
        ParameterError: it is no span of time, or a channel has none.

    Example:
        >>> given_half_lives({"Search": "12h", "Email": 3}, ("Email", "Search"))
        array([3. , 0.5])
    """
    check_half_life(half_life)
    if not isinstance(half_life, Mapping):
        return np.full(len(channels), as_days(half_life, "half_life"))
    lacking = [channel for channel in channels if channel not in half_life]
    if lacking:
        raise ParameterError(
            f"`half_life` must name every channel of the journeys; it lacks {lacking[0]!r}. Add "
            "it, or give one half-life for all"
        )
    return np.array([as_days(half_life[each], f"half_life[{each!r}]") for each in channels])
