"""Which experiment to run next: what knowing one channel's effect would be worth."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats

MOVED = 0.1  # of each channel's touchpoints
_GRID = 401


def value_of_tests(
    mean: Floats, covariance: Floats, volume: Floats, *, moved: float = MOVED
) -> Floats:
    """Conversions that a perfect lift test of each channel is worth to one budget decision.

    The decision: up to a part `moved` of each channel's touchpoints may be added to it or taken
    from it, their number staying what it is. With effects β per touchpoint the best choice adds to
    channels above the volume's median effect and takes from those below:

        D(β) = max { Σ δ_c β_c : |δ_c| <= moved · n_c, Σ δ_c = 0 } = min_m moved · Σ n_c |β_c − m|.

    A test that reveals β_j moves the means of the others along their covariances, and is worth

        E[ D(E[β | β_j]) ] − D(E[β]),

    the expected value of partial perfect information (Strong and Oakley,
    doi:10.1177/0272989X12465123), here with Gaussian beliefs, so that E[β | β_j] is a line in one
    normal variable. Costs per touchpoint are taken to be equal; effects to stay what they are.

    Args:
        mean: conversions per touchpoint, shape `(n_channels,)`.
        covariance: shape `(n_channels, n_channels)`.
        volume: touchpoints of each channel, shape `(n_channels,)`.
        moved: part of the touchpoints, 0 to 1.

    Returns:
        Shape `(n_channels,)`, >= 0; 0 for a channel about which nothing is unknown.

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
    """min_m Σ n_c |β_c − m| for each row, shape `(n,)`: m is the volume's median effect."""
    order = np.argsort(effects, axis=1)
    risen = np.cumsum(volume[order], axis=1)
    middle = np.argmax(risen >= risen[:, -1:] / 2, axis=1)
    median = np.take_along_axis(effects, order, axis=1)[np.arange(len(effects)), middle]
    found: Floats = np.abs(effects - median[:, None]) @ volume
    return found
