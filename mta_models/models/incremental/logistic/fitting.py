"""Learning a hazard from person-moments: half-lives, saturation and penalty, then the learner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError
from mta_models.models.incremental.logistic.calibration_curve import Calibration, calibrate
from mta_models.models.incremental.logistic.features import Responses
from mta_models.models.incremental.logistic.learners import (
    LogHazard,
    Rows,
    default_learner,
    fit_learner,
    loss,
    unit_spread,
)
from mta_models.models.incremental.logistic.settings import Choice, Settings
from mta_models.models.incremental.logistic.tuning import Table, choose, folds_of

# Cases at most, and base moments per case and at least, on which half-lives and penalties are
# compared: there are a few dozen to compare, and the base adds 1/5 to the variance.
_SEARCHED = 5_000, 5, 10_000
# Of users and of channels in each bag, as Shao & Li (2011) sample them.
_BAG = 0.5


@dataclass(frozen=True, eq=False)
class Learnt:
    """A hazard, what was chosen for it, and how it did on users it had not seen.

    Attributes:
        log_hazard: of the columns.
        responses: how touchpoints become columns.
        choice: half-lives, forms and penalty.
        calibration: held out by user, or None where that was not asked for or cannot be.
        log_loss: held out, mean over moments.
        auc: held out.
    """

    log_hazard: LogHazard
    responses: Responses
    choice: Choice
    calibration: Calibration | None
    log_loss: float = np.nan
    auc: float = np.nan


def learn(histories: Histories, settings: Settings, choice: Choice | None = None) -> Learnt:
    """Choose what is open and fit a hazard; see how it does on users held out.

    Args:
        histories: to learn from.
        settings: what was asked for.
        choice: made before: then nothing is chosen, and nothing held out.

    Raises:
        JourneyError: nobody was at risk for any time.
        ParameterError: a half-life is not above 0, or a learner does not do.
    """
    rng = np.random.default_rng(settings.random_state)
    if not histories.days(histories.until_first) > 0:
        raise JourneyError(
            "users must have been at risk for some time before they converted; these were not for "
            "a moment. Give each journey's days of observation (at_risk=, or observed= of "
            "read_events)"
        )
    by_day = settings.rows == "days"
    draw = CaseBaseSample.from_days if by_day else CaseBaseSample.from_histories
    sample = draw(histories, rng)
    fold = folds_of(histories, rng)
    judge = choice is None and fold.any()
    if choice is None:
        fewer = sample.thinned(*_SEARCHED)
        choice = choose(Table.of(histories, fewer, fold, settings), settings)
    table = Table.of(histories, sample, fold, settings)
    rows, responses = table.rows(choice), table.responses(choice)
    learner = settings.learner
    if learner is None:
        learner = default_learner(choice.penalty, float(rows.weight @ rows.converts))
    log_hazard = _fit(learner, rows, responses, table, settings, rng)
    found = Learnt(log_hazard, responses, choice, None)
    return _judged(found, learner, rows, table) if judge and rows.columns.size else found


def _fit(
    learner: Any,
    rows: Rows,
    responses: Responses,
    table: Table,
    settings: Settings,
    rng: np.random.Generator,
) -> LogHazard:
    """The learner on all rows, or on bags of them."""
    spread = unit_spread(rows.columns, rows.weight)
    scaled = rows.columns / spread
    n, k = scaled.shape[1], table.histories.n_channels
    offset = float(np.log(table.sample.scale))
    if n == 0:  # scikit-learn learns nothing from nothing
        cases = float(rows.weight @ rows.converts)
        level = np.log(cases) - np.log(rows.weight.sum() - cases)
        return LogHazard((), (), spread, offset, np.zeros(0), float(level) + offset)
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
            "some bag of half the users must hold a conversion; none does. Use n_bags=0"
        )
    return _recentred(_as_log_hazard(learners, columns, spread, offset), rows, offset)


def _as_log_hazard(
    learners: list[Any], columns: list[Ints], spread: Floats, offset: float
) -> LogHazard:
    """One function of all columns; a single linear one where every learner is logistic."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # it ships no types

    coef: Floats | None = None
    intercept = 0.0
    if all(isinstance(learner, LogisticRegression) for learner in learners):
        total, times = np.zeros(len(spread)), np.zeros(len(spread))
        for learner, own in zip(learners, columns, strict=True):
            total[own] += learner.coef_[0]
            times[own] += 1
            intercept += float(learner.intercept_[0]) / len(learners)
        # A channel's coefficient is its mean over the bags that held it.
        coef = total / np.maximum(times, 1) / spread
        intercept += offset
    return LogHazard(tuple(learners), tuple(columns), spread, offset, coef, intercept)


def _recentred(found: LogHazard, rows: Rows, offset: float) -> LogHazard:
    """With the level at which as many cases are expected as there are.

    Bags differ in their channels, and so do their intercepts: their mean belongs to none.
    """
    weight = rows.weight / rows.weight.sum()
    odds = found(rows.columns) - offset
    target, shift = float(weight @ rows.converts), 0.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-(odds + shift)))
        step = (target - float(weight @ p)) / float(weight @ (p * (1 - p)))
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-12:
            break
    intercept = found.intercept if found.coef is None else found.intercept + shift
    return replace(found, offset=found.offset + shift, intercept=intercept)


def _judged(found: Learnt, learner: Any, rows: Rows, table: Table) -> Learnt:
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]  # it ships no types

    odds, converts, sample = rows.held_out(learner), rows.converts, table.sample
    amount = sample.weight[table.order]
    return replace(
        found,
        calibration=calibrate(
            np.exp(odds) * sample.scale,
            np.where(converts, 0, amount),
            np.where(converts, amount, 0),
        ),
        log_loss=loss(odds, converts, rows.weight),
        auc=float(roc_auc_score(converts, odds, sample_weight=rows.weight)),
    )
