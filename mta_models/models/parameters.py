"""Half-lives and seeds, which several models have as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from mta_models.core.checks import shown
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError

# A span of time, or one for each channel: the meaning of every `half_life`.
HalfLife = str | timedelta | float | Mapping[str, str | timedelta | float]


def generator(seed: int | np.random.Generator | None, stream: int) -> np.random.Generator:
    """One of several independent streams of random numbers that a model draws with one seed.

    Args:
        seed: a checked `random_state`. A Generator is returned as it is and goes on from its state.
        stream: number of the stream, the same at every call for the same purpose.
    """
    if seed is None or isinstance(seed, np.random.Generator):
        return np.random.default_rng(seed)
    return np.random.default_rng([seed, stream])


def check_half_life(half_life: HalfLife | None) -> None:
    """Refuse a half-life that is not a span of time, a mapping of channels to spans, or None.

    Raises:
        ParameterError: names the channel too where one channel's span is refused.
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
        ParameterError: `half_life` is not a span of time, or a channel has none.

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
            f"`half_life` must name every channel of the journeys; {lacking[0]!r} is missing. Add "
            "it, or give one half-life for all"
        )
    return np.array([as_days(half_life[each], f"half_life[{each!r}]") for each in channels])
