"""Fitting a hazard to a case-base sample: half-lives and penalty first, then the learner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mta_models.core.logistic_regression import fit_logistic
from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError
from mta_models.models.incremental.logistic.calibration_curve import CalibrationCurve
from mta_models.models.incremental.logistic.features import Responses
from mta_models.models.incremental.logistic.learners import (
    FoldedRows,
    LogHazard,
    default_learner,
    fit_learner,
    loss,
    unit_spread,
)
from mta_models.models.incremental.logistic.settings import Choice, Settings
from mta_models.models.incremental.logistic.tuning import FoldedSample, choose, folds_of

# The sample on which half-lives and penalties are compared: maximum of cases, base rows per case,
# minimum of base rows. A small base saves time in a few dozen fits and adds 1/5 to the variance.
_SEARCHED = 5_000, 5, 10_000
# Fraction of users and of channels in each bag, as in Shao & Li (2011).
_BAG = 0.5


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A fitted hazard, its hyperparameters, and its scores on held-out users.

    Attributes:
        log_hazard: the log hazard as a function of the columns.
        responses: how touchpoints become columns.
        choice: half-lives, saturation, interactions and penalty.
        calibration: on held-out users; None where none were held out.
        log_loss: on held-out users, mean over rows.
        auc: on held-out users.
    """

    log_hazard: LogHazard
    responses: Responses
    choice: Choice
    calibration: CalibrationCurve | None
    log_loss: float = np.nan
    auc: float = np.nan


def fit_hazard(
    histories: Histories, settings: Settings, choice: Choice | None = None
) -> LogisticFit:
    """Choose the hyperparameters that are not given, fit a hazard, and score it on held-out users.

    Args:
        histories: to fit to.
        settings: the model's parameters.
        choice: hyperparameters of an earlier fit: then none is chosen and nobody is held out.

    Raises:
        JourneyError: nobody was at risk for any time.
        ParameterError: a half-life is missing, or the learner cannot be fitted.
    """
    rng = np.random.default_rng(settings.random_state)
    if not histories.days(histories.until_first) > 0:
        raise JourneyError(
            "users must have been at risk for some time before they converted; these users were at "
            "risk for 0 days. Give each journey's days of observation (at_risk=, or observed= of "
            "read_events)"
        )
    sample = _sample(histories, settings, rng)
    fold = folds_of(histories, rng)
    held_out = choice is None and fold.any()
    if choice is None:
        fewer = sample.thinned(*_SEARCHED)
        choice = choose(FoldedSample.from_sample(histories, fewer, fold, settings), settings)
    table = FoldedSample.from_sample(histories, sample, fold, settings)
    rows, responses = table.rows(choice), table.responses(choice)
    learner = settings.learner
    if learner is None:
        learner = default_learner(choice.penalty, float(rows.weight @ rows.converts))
    log_hazard = _fit(learner, rows, responses, table, settings, rng)
    fit = LogisticFit(log_hazard, responses, choice, None)
    return _with_scores(fit, learner, rows, table) if held_out and rows.columns.size else fit


def _sample(histories: Histories, settings: Settings, rng: np.random.Generator) -> CaseBaseSample:
    """The rows: times after touchpoints get weights, which not every learner takes."""
    if settings.rows == "days":
        return CaseBaseSample.from_days(histories, rng)
    if settings.learner is None and len(histories.time):
        return CaseBaseSample.from_exposure(histories, rng)
    return CaseBaseSample.from_histories(histories, rng)


def _fit(
    learner: Any,
    rows: FoldedRows,
    responses: Responses,
    table: FoldedSample,
    settings: Settings,
    rng: np.random.Generator,
) -> LogHazard:
    """The learner on all rows, or on bags of them."""
    spread = unit_spread(rows.columns, rows.weight)
    scaled = rows.columns / spread
    n, k = scaled.shape[1], table.histories.n_channels
    offset = float(np.log(table.sample.scale))
    if n == 0:  # scikit-learn refuses data without columns
        cases = float(rows.weight @ rows.converts)
        odds = np.log(cases) - np.log(rows.weight.sum() - cases)
        return LogHazard((), (), spread, offset, np.zeros(0), float(odds) + offset)
    if not settings.n_bags:
        fitted = fit_learner(learner, scaled, rows.converts, rows.weight)
        every = np.arange(n)
        return _as_log_hazard([fitted], [every], spread, offset)
    needs = responses.needs
    learners, columns = [], []
    for _ in range(settings.n_bags):
        users = rng.random(table.histories.n_users) < _BAG
        channels = np.zeros(k, dtype=bool)
        channels[rng.choice(k, max(int(np.ceil(_BAG * k)), 1), replace=False)] = True
        own = np.flatnonzero(~(needs & ~channels).any(axis=1))
        inside = users[table.user]
        if not rows.converts[inside].any():
            continue
        weight = rows.weight[inside]
        learners.append(fit_learner(learner, scaled[inside][:, own], rows.converts[inside], weight))
        columns.append(own)
    if not learners:
        raise JourneyError(
            "a bag of half the users must hold a conversion; no bag does. Use n_bags=0"
        )
    return _recentred(_as_log_hazard(learners, columns, spread, offset), rows, offset)


def _as_log_hazard(
    learners: list[Any], columns: list[Ints], spread: Floats, offset: float
) -> LogHazard:
    """The mean of the learners; one linear function where all of them are logistic."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # it ships no types

    coef: Floats | None = None
    intercept = 0.0
    if all(isinstance(learner, LogisticRegression) for learner in learners):
        total, times = np.zeros(len(spread)), np.zeros(len(spread))
        for learner, own in zip(learners, columns, strict=True):
            total[own] += learner.coef_[0]
            times[own] += 1
            intercept += float(learner.intercept_[0]) / len(learners)
        # A column's coefficient is its mean over the bags that had the column.
        coef = total / np.maximum(times, 1) / spread
        intercept += offset
    return LogHazard(tuple(learners), tuple(columns), spread, offset, coef, intercept)


def _recentred(mean: LogHazard, rows: FoldedRows, offset: float) -> LogHazard:
    """The mean hazard with the intercept at which expected and observed numbers of cases agree.

    Bags differ in their channels and therefore in their intercepts; the mean of the intercepts
    fits the data of none of them.
    """
    odds, constant = mean(rows.columns) - offset, np.ones((len(rows.weight), 1))
    fit = fit_logistic(constant, rows.converts, rows.weight, 0.0, np.zeros(1), offset=odds)
    shift = float(fit.coef[0])
    intercept = mean.intercept if mean.coef is None else mean.intercept + shift
    return replace(mean, offset=mean.offset + shift, intercept=intercept)


def _with_scores(
    fit: LogisticFit, learner: Any, rows: FoldedRows, table: FoldedSample
) -> LogisticFit:
    """The fit with calibration, log-loss and AUC of predictions for users held out, by fold."""
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]  # it ships no types

    odds, converts, sample = rows.held_out(learner), rows.converts, table.sample
    amount = sample.weight[table.order]
    return replace(
        fit,
        calibration=CalibrationCurve.from_predictions(
            np.exp(odds) * sample.scale,
            np.where(converts, 0, amount),
            np.where(converts, amount, 0),
        ),
        log_loss=loss(odds, converts, rows.weight),
        auc=float(roc_auc_score(converts, odds, sample_weight=rows.weight)),
    )
