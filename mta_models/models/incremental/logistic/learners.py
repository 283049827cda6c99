"""Learners: any classifier of cases as a hazard, and losses on held-out users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mta_models.core.checks import shown
from mta_models.core.logistic_regression import chances, cross_products, fit_logistic, log_loss
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import ParameterError
from mta_models.models.base import AttributionModel

# Ridge penalties tried, on the log-loss per case of columns of unit s.d.
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
# With a greater penalty all effects vanish, and linear systems become singular.
MOST_PENALTY = 1e6
# With a smaller one than this the linear systems of separable outcomes are singular.
LEAST_PENALTY = 1e-8
# Probabilities are kept this far from 0 and 1: a tree may predict 0, whose logarithm is infinite.
_EDGE = 1e-9


@dataclass(frozen=True, eq=False)
class LogHazard:
    """A fitted learner as a function from columns to the log of a hazard per day.

    Attributes:
        learners: fitted classifiers of cases; several where the model is bagged.
        columns: the columns of each.
        spread: shape `(n_columns,)`, by which columns are divided.
        offset: added to the mean log-odds: the log hazard at odds of 1.
        coef: shape `(n_columns,)`, of a logistic regression, on undivided columns; else None.
        intercept: of the log hazard; 0 where `coef` is None.
    """

    learners: tuple[Any, ...]
    columns: tuple[Ints, ...]
    spread: Floats
    offset: float
    coef: Floats | None
    intercept: float

    def __call__(self, columns: Floats) -> Floats:
        """Log hazard, shape `(n,)`, from columns of shape `(n, n_columns)`."""
        if self.coef is not None:
            return columns @ self.coef + self.intercept
        scaled = columns / self.spread
        each = [
            log_odds(learner.predict_proba(scaled[:, own])[:, 1])
            for learner, own in zip(self.learners, self.columns, strict=True)
        ]
        mean: Floats = np.mean(each, axis=0) + self.offset
        return mean


def log_odds(probability: Floats) -> Floats:
    """log(p / (1 − p)), finite also for p of 0 or 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1 - _EDGE)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


def unit_spread(columns: Floats, weight: Floats) -> Floats:
    """Weighted s.d. of columns, 1 where a column is constant, shape `(n_columns,)`."""
    total = weight.sum()
    mean = weight @ columns / total
    variance = weight @ (columns - mean) ** 2 / total
    return np.where(variance > 1e-24, np.sqrt(variance), 1.0)


def default_learner(penalty: float, cases: float) -> Any:
    """scikit-learn's logistic regression, its ridge `penalty` on the loss per case.

    Per case, not per row: the information on a coefficient grows with the cases, and hardly with
    the rows of the base.

    Args:
        penalty: > 0.
        cases: the sum of the cases' weights.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # it ships no types

    return LogisticRegression(
        C=1 / (penalty * cases), solver="newton-cholesky", tol=1e-9, max_iter=200
    )


def check_learner(learner: Any) -> None:
    """Refuse what is neither None nor a classifier as scikit-learn makes them.

    Raises:
        ParameterError: the learner is a class, a model of journeys, or lacks a method.
    """
    if learner is None:
        return
    methods = ("fit", "predict_proba", "get_params")
    lacks = [name for name in methods if not callable(getattr(learner, name, None))]
    if lacks or isinstance(learner, type | AttributionModel):
        raise ParameterError(
            "`learner` must be a classifier of scikit-learn's kind, with fit, predict_proba and "
            f"get_params; got {shown(learner)}. Wrap one without predict_proba in "
            "sklearn.calibration.CalibratedClassifierCV"
        )


def fit_learner(learner: Any, columns: Floats, converts: Mask, weight: Floats) -> Any:
    """A clone of the learner, fitted.

    Raises:
        ParameterError: fitting fails, or rows have unequal weights and the learner takes none.
    """
    from sklearn.base import clone  # type: ignore[import-untyped]  # it ships no types
    from sklearn.utils.validation import has_fit_parameter  # type: ignore[import-untyped]  # it ships no types

    given = {} if np.ptp(weight) < 1e-9 * weight.mean() else {"sample_weight": weight}
    if given and not has_fit_parameter(learner, "sample_weight"):
        raise ParameterError(
            f"`learner` must take sample_weight where rows have different weights; "
            f'{shown(learner)} does not. Use rows="sampled" on an event log, where all weights are '
            "equal, or another learner"
        )
    try:
        return clone(learner).fit(columns, converts, **given)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"`learner` must be one that can be fitted; {shown(learner)} cannot: {error}"
        ) from error


@dataclass(frozen=True, eq=False)
class FoldedRows:
    """Columns and outcomes of a case-base sample, sorted by fold; a user is in one fold.

    Attributes:
        columns: shape `(n, n_columns)`.
        converts: shape `(n,)`.
        weight: shape `(n,)`, mean 1.
        cuts: shape `(n_folds + 1,)`; fold f is the rows `cuts[f]:cuts[f + 1]`.
    """

    columns: Floats
    converts: Mask
    weight: Floats
    cuts: Ints

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.cuts) - 1

    def of_fold(self, fold: int) -> slice:
        """The rows of a fold."""
        return slice(int(self.cuts[fold]), int(self.cuts[fold + 1]))

    def held_out(self, learner: Any) -> Floats:
        """Log-odds of each row by a learner fitted without its fold, shape `(n,)`."""
        odds = np.empty(len(self.weight))
        scaled = self.columns / unit_spread(self.columns, self.weight)
        for fold in range(self.n_folds):
            out = self.of_fold(fold)
            kept = np.ones(len(odds), dtype=bool)
            kept[out] = False
            fitted = fit_learner(learner, scaled[kept], self.converts[kept], self.weight[kept])
            odds[out] = log_odds(fitted.predict_proba(scaled[out])[:, 1])
        return odds


def loss(odds: Floats, converts: Mask, weight: Floats) -> float:
    """Mean log-loss from log-odds."""
    return float(weight @ log_loss(odds, converts) / weight.sum())


def held_out_loss(rows: FoldedRows, penalty: float, begin: Floats | None) -> tuple[float, Floats]:
    """Log-loss of a ridge logistic regression on held-out users; coefficients of the fit to all.

    The fit without a fold is approximated by one Newton step from the fit to all users. The error
    is of second order in the fold's part of the gradient; a test compares it with full fits.
    """
    scaled = rows.columns / unit_spread(rows.columns, rows.weight)
    columns = np.hstack([np.ones((len(scaled), 1)), scaled])
    ridge = penalty * float(rows.weight @ rows.converts)
    whole = fit_logistic(columns, rows.converts, rows.weight, ridge, begin).coef
    p = chances(columns @ whole)
    parts = [rows.of_fold(fold) for fold in range(rows.n_folds)]
    gradients = [columns[at].T @ (rows.weight[at] * (p[at] - rows.converts[at])) for at in parts]
    hessians = [cross_products(columns[at], rows.weight[at] * p[at] * (1 - p[at])) for at in parts]
    total = 0.0
    per_case = np.full(columns.shape[1], penalty)
    per_case[0] = 0
    cases = [float(rows.weight[at] @ rows.converts[at]) for at in parts]
    for at, gradient, hessian, out in zip(parts, gradients, hessians, cases, strict=True):
        # The penalty is on the loss per case, so that it is in proportion to the cases left.
        left = sum(cases) - out
        slope = sum(gradients) - gradient + left * per_case * whole
        curve = sum(hessians) - hessian + left * np.diag(per_case + 1e-12)
        fitted = whole - np.linalg.solve(curve, slope)
        total += loss(columns[at] @ fitted, rows.converts[at], rows.weight[at]) * float(
            rows.weight[at].sum()
        )
    return total / float(rows.weight.sum()), whole
