"""The choice of the next experiment: the expected value of knowing a channel's effect."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats

MOVED = 0.1  # of what goes to each channel


def value_of_tests(draws: Floats, volume: Floats, *, moved: float = MOVED) -> Floats:
    """The expected value of a perfect lift test of each channel for a budget decision.

    The decision: up to the fraction `moved` of what goes to each channel, touchpoints or money, may
    be added to it or taken from it; the sum over channels stays. With effects β per unit, the best
    choice adds to channels with more than the median effect (weighted by volume) and takes from the
    others:

        D(β) = max { Σ δ_c β_c : |δ_c| <= moved · n_c, Σ δ_c = 0 } = min_m moved · Σ n_c |β_c − m|.

    A test that reveals β_j changes the means of the others by their covariances with it. Its value
    is

        E[ D(E[β | β_j]) ] − D(E[β]),

    the expected value of partial perfect information (Strong and Oakley,
    doi:10.1177/0272989X12465123), here over draws of β_j, with E[β | β_j] linear in it. It assumes
    that the move does not change effects.

    Args:
        draws: conversions per unit, shape `(n_draws, n_channels)`.
        volume: what goes to each channel now, in units, shape `(n_channels,)`.
        moved: fraction of it, 0 to 1.

    Returns:
        Values in conversions, shape `(n_channels,)`, >= 0; 0 for a channel whose effect is known.

    Example:
        >>> effects = np.array([[0.1, 0.1], [0.2, 0.1], [0.0, 0.1]])
        >>> value_of_tests(effects, np.array([90.0, 90.0])).round(2)
        array([0.6, 0. ])
    """
    mean = draws.mean(axis=0)
    away = draws - mean
    covariance = away.T @ away / len(draws)
    now = _gain(mean[None], volume)[0]
    worth = np.zeros(len(volume))
    for tested in np.flatnonzero(np.diag(covariance) > 0):
        slope = covariance[:, tested] / covariance[tested, tested]
        known = mean + away[:, [tested]] * slope
        worth[tested] = max(float(_gain(known, volume).mean()) - now, 0.0)
    return moved * worth


def _gain(effects: Floats, volume: Floats) -> Floats:
    """min_m Σ n_c |β_c − m| for each row, shape `(n,)`; m is the median weighted by volume."""
    order = np.argsort(effects, axis=1)
    risen = np.cumsum(volume[order], axis=1)
    middle = np.argmax(risen >= risen[:, -1:] / 2, axis=1)
    median = np.take_along_axis(effects, order, axis=1)[np.arange(len(effects)), middle]
    gain: Floats = np.abs(effects - median[:, None]) @ volume
    return gain
