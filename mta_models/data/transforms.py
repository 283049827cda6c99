"""Path transforms: the choice of touchpoints of each journey that a rule uses.

A transform takes the flat arrays of journeys and returns a mask of the touchpoints to keep, so that
one indexing picks everything stored per touchpoint (times, source rows). Names are those of the
path transforms of the field's SQL packages, and so are the results shown, of `D A B B C D C C`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mta_models.core.ragged import (
    Mask,
    Numbers,
    first_occurrence,
    lengths,
    owner,
    position,
    segment_sum,
    spread,
)
from mta_models.errors import ParameterError

Step = str | tuple[Any, ...]


def exposure(codes: Numbers, offsets: Numbers, channels: Sequence[str]) -> Mask:
    """Keep the first of consecutive touchpoints of one channel: `D A B C D C`."""
    change = np.ones(len(codes), dtype=bool)
    change[1:] = codes[1:] != codes[:-1]
    starts = offsets[:-1]
    change[starts[starts < len(codes)]] = True
    return change


def first(codes: Numbers, offsets: Numbers, channels: Sequence[str]) -> Mask:
    """Keep the first touchpoint of each channel: `D A B C`."""
    return first_occurrence(codes, offsets, len(channels))


def unique(codes: Numbers, offsets: Numbers, channels: Sequence[str]) -> Mask:
    """Keep every touchpoint, `D A B B C D C C`: the identity, by its name in the field."""
    return np.ones(len(codes), dtype=bool)


def remove_if_not_all(
    codes: Numbers, offsets: Numbers, channels: Sequence[str], *names: str
) -> Mask:
    """Drop the named channels, except from journeys that have no other channel."""
    dropped = _is_one_of(codes, channels, "remove_if_not_all", names)
    only = segment_sum(~dropped, offsets) == 0
    return ~dropped | spread(only, offsets)


def remove_if_last_and_not_all(
    codes: Numbers, offsets: Numbers, channels: Sequence[str], *names: str
) -> Mask:
    """Drop the named channels at the end of a journey, unless it has no other channel.

    With A named, `A B A A` becomes `A B`, and `A A` stays.
    """
    dropped = _is_one_of(codes, channels, "remove_if_last_and_not_all", names)
    place = position(offsets)
    # All touchpoints after the last one of another channel are dropped.
    last = np.full(len(offsets) - 1, -1)
    stays = np.flatnonzero(~dropped)
    last[owner(offsets)[stays]] = place[stays]
    last_kept = spread(last, offsets)
    return (place <= last_kept) | (last_kept < 0)


def trim(codes: Numbers, offsets: Numbers, channels: Sequence[str], n: int) -> Mask:
    """Keep the last `n` touchpoints; 0 keeps all."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ParameterError(
            f"trim must have a whole number n >= 0 of touchpoints to keep (0 keeps all); got {n!r}"
        )
    if n == 0:
        return unique(codes, offsets, channels)
    return position(offsets) >= spread(lengths(offsets) - n, offsets)


def _is_one_of(
    codes: Numbers, channels: Sequence[str], transform: str, names: Sequence[str]
) -> Mask:
    """Whether each touchpoint's channel is among `names`; unknown names match none."""
    if not names or not all(isinstance(name, str) for name in names):
        raise ParameterError(
            f'{transform} must name channels to drop, as ("{transform}", "Direct"); got {names!r}'
        )
    return np.isin(np.array(channels, dtype=object), names)[codes]


def frequency(
    codes: Numbers, offsets: Numbers, channels: Sequence[str]
) -> tuple[Mask, Numbers, tuple[str, ...]]:
    """One touchpoint per channel, named with its count: `D(2) A(1) B(2) C(3)`.

    The only transform that renames channels. Returns the mask (that of `first`), the code of each
    touchpoint kept, and the new channels that the codes index, sorted by channel and count.
    """
    mask = first(codes, offsets, channels)
    cell = owner(offsets) * len(channels) + codes
    cells, count = np.unique(cell, return_counts=True)
    times = count[np.searchsorted(cells, cell[mask])]
    longest = int(times.max(initial=0)) + 1
    met, new_codes = np.unique(codes[mask].astype(np.int64) * longest + times, return_inverse=True)
    names = tuple(f"{channels[each // longest]}({each % longest})" for each in met.tolist())
    return mask, new_codes, names


MASKS: dict[str, Callable[..., Mask]] = {
    function.__name__: function
    for function in (
        exposure,
        first,
        unique,
        remove_if_not_all,
        remove_if_last_and_not_all,
        trim,
    )
}
NAMES = (*MASKS, "frequency")


def parse(step: Step) -> tuple[str, tuple[Any, ...]]:
    """A step as `(name, arguments)`: `"exposure"` or `("trim", 20)`."""
    name, *arguments = (step,) if isinstance(step, str) else step or ("",)
    if name not in NAMES:
        raise ParameterError(
            f"a path transform must be one of {', '.join(NAMES)}; got {name!r}. "
            'Write it as "exposure" or, with arguments, ("trim", 20)'
        )
    wanted = int(name == "trim")
    if not name.startswith("remove_if") and len(arguments) != wanted:
        raise ParameterError(
            f"the path transform {name} takes {wanted or 'no'} argument; got {step!r}. "
            'Write it as "exposure" or ("trim", 20)'
        )
    return name, tuple(arguments)
