"""The choice of the next experiment: the expected value of knowing a channel's effect."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats

MOVED = 0.1  # of each channel's touchpoints
_GRID = 401


def value_of_tests(
    mean: Floats, covariance: Floats, volume: Floats, *, moved: float = MOVED
) -> Floats:
    """The expected value of a perfect lift test of each channel for a budget decision.

    The decision: up to the fraction `moved` of each channel's touchpoints may be added to it or
    taken from it; the sum over channels stays. With effects β per touchpoint, the best choice adds
    to channels with more than the median effect (weighted by volume) and takes from the others:

        D(β) = max { Σ δ_c β_c : |δ_c| <= moved · n_c, Σ δ_c = 0 } = min_m moved · Σ n_c |β_c − m|.

    A test that reveals β_j changes the means of the others by their covariances. Its value is

        E[ D(E[β | β_j]) ] − D(E[β]),

    the expected value of partial perfect information (Strong and Oakley,
    doi:10.1177/0272989X12465123), here with Gaussian effects, so that E[β | β_j] is linear in one
    normal variable. It assumes that touchpoints of all channels cost the same, and that the move
    does not change effects.

    Args:
        mean: conversions per touchpoint, shape `(n_channels,)`.
        covariance: shape `(n_channels, n_channels)`.
        volume: touchpoints of each channel, shape `(n_channels,)`.
        moved: fraction of the touchpoints, 0 to 1.

    Returns:
        Values in conversions, shape `(n_channels,)`, >= 0; 0 for a channel whose effect is known.

    Example:
        >>> value_of_tests(np.zeros(2), np.diag([0.01, 0.0]), np.array([100.0, 100.0])).round(2)
        array([0.8, 0. ])
    """
    from scipy.special import ndtri

    z = ndtri((np.arange(_GRID) + 0.5) / _GRID)
    spread = np.sqrt(np.diag(covariance))
    slopes = np.divide(
        covariance, spread[:, None], out=np.zeros_like(covariance), where=spread[:, None] > 0
    )
    now = _gain(mean[None], volume)[0]
    means = mean + z[:, None, None] * slopes  # grid × tested × channel
    after = _gain(means.reshape(-1, len(mean)), volume).reshape(_GRID, -1)
    worth: Floats = np.maximum(after.mean(axis=0) - now, 0)
    return moved * worth


def _gain(effects: Floats, volume: Floats) -> Floats:
    """min_m Σ n_c |β_c − m| for each row, shape `(n,)`; m is the median weighted by volume."""
    order = np.argsort(effects, axis=1)
    risen = np.cumsum(volume[order], axis=1)
    middle = np.argmax(risen >= risen[:, -1:] / 2, axis=1)
    median = np.take_along_axis(effects, order, axis=1)[np.arange(len(effects)), middle]
    gain: Floats = np.abs(effects - median[:, None]) @ volume
    return gain
