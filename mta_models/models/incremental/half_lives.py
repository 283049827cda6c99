"""Half-lives as a profile likelihood chooses them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mta_models.core.ragged import Floats, Ints

# Days; each about 1.6 times the one before, which a likelihood hardly tells from its neighbours.
GRID: Floats = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0])
# What a channel's own half-life must gain in log-likelihood over the common one, as one more
# parameter costs (Akaike's 1) and the choice among seven costs besides.
_GAIN = 2.0
_SWEEPS = 5


def profile(
    log_likelihood: Callable[[Ints], float], n_channels: int, order: Ints, n_grid: int = len(GRID)
) -> Ints:
    """The half-lives a profile likelihood prefers, as places on a grid.

    First the one best for all channels; then channel by channel, until nothing changes, its own,
    where that gains 2 in log-likelihood over the common one with the others as they are.

    Args:
        log_likelihood: of places on the grid by channel, shape `(n_channels,)`, at the best of
            all other parameters. Asked once for each.
        n_channels: how many places.
        order: the channels to look at, in turn. Order them by something of the data, for a
            search in the order of their codes would depend on their names.
        n_grid: places on the grid.

    Returns:
        Shape `(n_channels,)`.
    """
    asked: dict[bytes, float] = {}

    def score(choice: Ints) -> float:
        key = choice.tobytes()
        if key not in asked:
            asked[key] = log_likelihood(choice)
        return asked[key]

    commons = [np.full(n_channels, place) for place in range(n_grid)]
    common = int(np.argmax([score(choice) for choice in commons]))
    chosen = commons[common]
    for _ in range(_SWEEPS):
        before = chosen
        for channel in order.tolist():
            tried = np.repeat(chosen[None], n_grid, axis=0)
            tried[:, channel] = np.arange(n_grid)
            scores = np.array([score(choice) for choice in tried])
            best = int(np.argmax(scores))
            chosen = tried[best if scores[best] > scores[common] + _GAIN else common]
        if np.array_equal(chosen, before):
            break
    return chosen
