"""How far the baseline of an additive hazard moves from week to week, by maximum likelihood."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.hazard.likelihood import (
    RatesByKernel,
    maximise_additive,
)

# The search for the factors: rounds at most, the largest change of a log factor in a round, and the
# change below which it ends.
_ROUNDS, _MAX_STEP, _SMALL_STEP = 30, 0.5, 1e-3
# While factors are searched, a fit stops once its log-likelihood is this near its maximum.
_GAP = 1e-3


def fit_weekly_factors(
    table: RatesByKernel, choice: Ints, variance: float | None = None
) -> tuple[Floats, float]:
    """The factor f of each week on the baseline; its mean over the time at risk is 1.

    log f is normal around 0 with a variance that the data choose (empirical Bayes): first from
    how far the weeks' conversions differ from those expected beyond chance, then by EM with
    Laplace's approximation. So factors of weeks with few conversions stay near 1, and all are 1
    where weeks differ by no more than chance. Effects are fitted again in each round.

    Args:
        table: weekly, see `RatesByKernel`.
        choice: the kernels, as places on the grid, shape `(n_channels,)`.
        variance: of log f, where it is known; None: estimated.

    Returns:
        Shape `(n_weeks,)`, and the variance of log f: 0 where weeks differ by no more than chance,
        and all factors are 1.
    """
    log_f = np.zeros(len(table.days_by_week))
    if len(log_f) == 1:
        return np.ones(1), 0.0
    theta = maximise_additive(table.rates(choice), gap=_GAP).theta
    score, information = _by_week(table, choice, theta, np.exp(log_f))
    known, estimated = information > 0, variance is None
    variance = _variance(score, information) if variance is None else variance
    if not (variance > 0 and known.sum() > 1):
        return np.ones(len(log_f)), 0.0
    for _ in range(_ROUNDS):
        step = (score - log_f / variance) / (information + 1 / variance)
        step = np.clip(step, -_MAX_STEP, _MAX_STEP)
        log_f = log_f + step
        if estimated:
            variance = float(np.mean((log_f**2 + 1 / (information + 1 / variance))[known]))
        # f is of mean 1 over the time at risk, so that μ stays the mean baseline.
        log_f -= np.log(np.exp(log_f) @ table.days_by_week / table.days)
        theta = maximise_additive(table.rates(choice, np.exp(log_f)), theta, _GAP).theta
        if np.abs(step).max() < _SMALL_STEP:
            break
        score, information = _by_week(table, choice, theta, np.exp(log_f))
    return np.exp(log_f), variance


def _by_week(
    table: RatesByKernel, choice: Ints, theta: Floats, factor: Floats
) -> tuple[Floats, Floats]:
    """The score of each week's log factor, and its information, each of shape `(n_weeks,)`."""
    rates = table.rates(choice, factor)
    n_weeks = len(factor)
    share = theta[-1] * rates.rate[-1] / (theta @ rates.rate)
    seen = np.bincount(table.week, rates.weight * share, n_weeks)
    score: Floats = seen - theta[-1] * factor * table.days_by_week
    information = np.bincount(table.week, rates.weight * share**2, n_weeks)
    return score, information.astype(np.float64)


def _variance(score: Floats, information: Floats) -> float:
    """The variance of log factors beyond chance, maybe < 0. Scores sum to 0: μ was fitted."""
    total, squares = float(information.sum()), float(information @ information)
    lost = squares / max(total, 1e-300)  # what fitting μ takes of the expected squares
    beyond = float(score @ score) - (total - lost)
    return beyond / max(squares, 1e-300)
