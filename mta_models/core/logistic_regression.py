"""Logistic regression with a ridge penalty, by Newton's method, for the whole package.

The models on timelines fit many small regressions on the same rows, each started near its solution,
or need the information matrix of the fit. scikit-learn offers neither; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.errors import InvariantError

# Maximum of Newton steps, halved ones included; six are usual.
_STEPS = 200
# Iteration stops where Newton's decrement (twice the further fall of the loss that it expects) per
# unit of weight is below this.
_TOLERANCE = 1e-10
# Per unit of weight. A smaller rise of the loss is rounding; and a ridge of this size, too small to
# change a fit, keeps the information matrix regular where columns are collinear.
_ROUNDING = 1e-12
# Rows in one block of cross products: small enough to stay in cache.
_BLOCK = 1 << 13


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A fitted logistic regression.

    Attributes:
        coef: shape `(n_columns,)`, the constant's first.
        information: shape `(n_columns, n_columns)`, the second derivative of the penalised loss
            before the last step, which moves coefficients by about 1e-5 or less.
        converged: whether the last step was within tolerance.
    """

    coef: Floats
    information: Floats
    converged: bool


def fit_logistic(
    columns: Floats,
    converts: Mask,
    weight: Floats,
    ridge: float | Floats,
    start: Floats | None = None,
    offset: Floats | float = 0.0,
) -> LogisticFit:
    """The coefficients that minimise Σ w_i log(1 + exp(∓odds_i)) + Σ_j ridge_j coef_j² / 2.

    The log-odds of a row are odds_i = columns_i·coef + offset_i.

    Newton's method; a step that raises the loss is halved. If the columns separate the outcomes,
    coefficients are finite only with a ridge above 0.

    Args:
        columns: shape `(n, n_columns)`, the first all ones: the constant.
        converts: shape `(n,)`, the outcome.
        weight: shape `(n,)`, >= 0; a row of weight 2 counts as two rows.
        ridge: on the sum (not the mean) of the loss, >= 0; one for all columns or one for each,
            shape `(n_columns - 1,)`. The constant has none.
        start: shape `(n_columns,)`; None: 0, except the constant, which is the best one alone
            without an offset.
        offset: shape `(n,)`, added to the log-odds.

    Raises:
        InvariantError: all outcomes are the same, so that no finite constant is the best.

    Example:
        Rows with x = 1 convert 3 times of 4, others 1 of 4:

        >>> columns = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
        >>> converts, weight = np.array([True, False, True, False]), np.array([3.0, 1.0, 1.0, 3.0])
        >>> np.exp(fit_logistic(columns, converts, weight, ridge=0).coef).round(6)
        array([0.333333, 9.      ])
    """
    n_columns, total = columns.shape[1], float(weight.sum())
    penalty = np.zeros(n_columns)
    penalty[1:] = ridge
    coef = _constant_alone(n_columns, float(weight @ converts) / total) if start is None else start
    step: Numbers = np.zeros(n_columns)
    information, value, converged = np.diag(penalty), np.inf, False
    for _ in range(_STEPS):
        odds = columns @ coef + offset
        now = float(weight @ log_loss(odds, converts) + penalty @ coef**2 / 2)
        if now > value + _ROUNDING * total:  # too far: go half the way back
            coef, step = coef - step / 2, step / 2
            continue
        p = chances(odds)
        gradient = columns.T @ (weight * (p - converts)) + penalty * coef
        information = cross_products(columns, weight * p * (1 - p))
        information += np.diag(penalty + _ROUNDING * total)
        step = -np.linalg.solve(information, gradient)
        converged = float(-gradient @ step) < _TOLERANCE * total
        value, coef = now, coef + step
        if converged:
            break
    return LogisticFit(coef, information, converged)


def _constant_alone(n_columns: int, mean: float) -> Floats:
    """The best coefficients with all 0 except the constant."""
    if not 0 < mean < 1:
        raise InvariantError(f"a regression needs both outcomes; the mean is {mean:g}")
    coef = np.zeros(n_columns)
    coef[0] = np.log(mean / (1 - mean))
    return coef


def chances(odds: Floats) -> Floats:
    """1 / (1 + exp(−odds)) for log-odds of any size."""
    small = np.exp(-np.abs(odds))
    p: Floats = np.where(odds >= 0, 1.0, small) / (1 + small)
    return p


def log_loss(odds: Floats, converts: Mask) -> Floats:
    """−log of the probability of the observed outcome, from log-odds of any size."""
    against = np.where(converts, -odds, odds)
    loss: Floats = np.log1p(np.exp(-np.abs(odds))) + np.maximum(against, 0)
    return loss


def cross_products(columns: Floats, weight: Floats) -> Floats:
    """Σ_i w_i columns_i columns_iᵀ, shape `(n_columns, n_columns)`.

    Blocks of rows stay in cache; with rows scaled by the root of their weight, BLAS computes only
    half of the symmetric product (`syrk`).

    Args:
        columns: shape `(n, n_columns)`.
        weight: shape `(n,)`, >= 0.
    """
    root = np.sqrt(weight)
    total = np.zeros((columns.shape[1], columns.shape[1]))
    for start in range(0, len(columns), _BLOCK):
        part = slice(start, start + _BLOCK)
        scaled = columns[part] * root[part, None]
        total += scaled.T @ scaled
    return total
