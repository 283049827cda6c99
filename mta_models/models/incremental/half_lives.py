"""The choice of half-lives by profile likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mta_models.core.ragged import Floats, Ints

# Days; each about 1.6 times the one before, since likelihoods of closer half-lives hardly differ.
GRID: Floats = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0])
# Minimum gain in log-likelihood of a channel's own half-life over the common one: 1 for one more
# parameter (Akaike), and 1 for its choice among seven.
_MIN_GAIN = 2.0
_MAX_SWEEPS = 5


def profile(
    log_likelihood: Callable[[Ints], float], n_channels: int, order: Ints, n_grid: int = len(GRID)
) -> Ints:
    """The half-lives of maximum profile likelihood, as places on a grid.

    First the best half-life common to all channels. Then each channel in turn gets its own where
    that gains 2 in log-likelihood over the common one, given the other channels' half-lives; this
    is repeated until nothing changes, five times at most.

    Args:
        log_likelihood: of places on the grid by channel, shape `(n_channels,)`, maximised over all
            other parameters. Called once for each choice.
        n_channels: number of channels.
        order: the channels whose half-lives to choose, in turn. Order them by a property of the
            data: a search in the order of codes would depend on the channels' names.
        n_grid: number of half-lives on the grid.

    Returns:
        Shape `(n_channels,)`.
    """
    known: dict[bytes, float] = {}

    def score(choice: Ints) -> float:
        key = choice.tobytes()
        if key not in known:
            known[key] = log_likelihood(choice)
        return known[key]

    commons = [np.full(n_channels, place) for place in range(n_grid)]
    common = int(np.argmax([score(choice) for choice in commons]))
    chosen = commons[common]
    for _ in range(_MAX_SWEEPS):
        before = chosen
        for channel in order.tolist():
            tried = np.repeat(chosen[None], n_grid, axis=0)
            tried[:, channel] = np.arange(n_grid)
            scores = np.array([score(choice) for choice in tried])
            best = int(np.argmax(scores))
            chosen = tried[best if scores[best] > scores[common] + _MIN_GAIN else common]
        if np.array_equal(chosen, before):
            break
    return chosen
