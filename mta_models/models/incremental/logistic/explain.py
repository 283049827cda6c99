"""Explanations: SHAP values of a fitted learner, journey by journey, reconciled with credit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.journeys import Journeys
from mta_models.errors import MissingExtraError, ParameterError
from mta_models.models.incremental.logistic.hazard_games import CoalitionHazard
from mta_models.models.incremental.logistic.learners import LogHazard

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the columns at each conversion did to its hazard, against the same without touchpoints.

    What adds up, exactly:

    - `values.sum(axis=1) + base == log_hazard`: SHAP's own efficiency, on the log hazard.
    - `channel_values.sum(axis=1)`: the columns of touchpoints alone. Where no other column is in
      play (no covariates, no trend), or the learner is linear, it is log(λ / λ₀): the hazard
      against what it would have been at that moment without touchpoints.
    - `parts.sum(axis=1)` is then 1 − λ₀ / λ, which is the sum of the moment credit of the
      conversion: what SHAP values and credits say is caused is the same amount. A conversion after
      one channel alone has the same `parts` as credit; of several, `parts` is the Aumann–Shapley
      value of the hazard (the logarithmic mean turns shares of log λ into shares of λ), and
      credit is the Shapley value.

    Attributes:
        features: names of the columns.
        channels: names.
        rows: shape `(n,)`, the row of the journeys that ends with each conversion explained.
        values: shape `(n, n_columns)`, SHAP values on the log hazard.
        base: the log hazard expected of the background.
        log_hazard: shape `(n,)`.
        channel_values: shape `(n, n_channels)`; a column of two channels counts half for each.
        parts: shape `(n, n_channels)`, parts of the conversion.
    """

    features: tuple[str, ...]
    channels: tuple[str, ...]
    rows: Ints
    values: Floats
    base: float
    log_hazard: Floats
    channel_values: Floats
    parts: Floats

    def to_frame(self) -> pd.DataFrame:
        """One row per conversion: its row in the journeys, and the SHAP value of each column."""
        import pandas as pd

        return pd.DataFrame(
            self.values, columns=self.features, index=pd.Index(self.rows, name="row")
        )


# Background moments at most: exact trees cost their number, and only what touchpoints do not change
# differs among them.
_BACKGROUND = 100
_ROUNDING = 1e-7


def explain_conversions(
    model: CoalitionHazard, journeys: Journeys, rng: np.random.Generator
) -> Explanation:
    """SHAP values at each conversion, in the order of the journeys' conversions.

    The background is the conversions' own moments with all touchpoints taken away.

    Raises:
        ParameterError: SHAP has an exact explainer for neither the learner nor its kind.
    """
    histories = journeys.histories
    columns, _ = model.columns_at_conversions(histories)
    background = columns.copy()
    background[:, : model.responses.n_responses] = 0
    background = np.unique(background, axis=0)
    if len(background) > _BACKGROUND:
        kept = rng.choice(len(background), _BACKGROUND, replace=False)
        background = background[kept]
    found, log_hazard = model.log_hazard, model.log_hazard(columns)
    if found.coef is not None:
        values, base = _linear(found.coef, found.intercept, columns, background)
    else:
        values, base = _trees(found, columns, background)
    needs = model.responses.needs.astype(np.float64)
    channel_values = values @ (needs / np.maximum(needs.sum(axis=1, keepdims=True), 1))
    # exp(−x) of the hazard is left without touchpoints; (1 − exp(−x)) / x tends to 1 as x to 0.
    x = channel_values.sum(axis=1)
    small = np.abs(x) < 1e-12
    mean = np.where(small, 1.0, -np.expm1(-x) / np.where(small, 1.0, x))
    return Explanation(
        features=model.responses.names,
        channels=model.responses.channels,
        rows=histories.event_row,
        values=values,
        base=base,
        log_hazard=log_hazard,
        channel_values=channel_values,
        parts=channel_values * mean[:, None],
    )


def _shap() -> Any:
    """SHAP, whose import costs seconds and warns of what it asks of matplotlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import shap  # type: ignore[import-untyped]  # it ships no types
        except ImportError as error:
            raise MissingExtraError.from_extra("`explain`", "SHAP", "explain") from error
    return shap


def _linear(
    coef: Floats, intercept: float, columns: Floats, background: Floats
) -> tuple[Floats, float]:
    shap = _shap()
    # SHAP would keep 100 rows of a background and say nothing.
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer((coef, intercept), masker)
    return np.asarray(explainer.shap_values(columns)), float(explainer.expected_value)


def _trees(found: LogHazard, columns: Floats, background: Floats) -> tuple[Floats, float]:
    shap = _shap()
    values, base = np.zeros(columns.shape), found.offset
    for learner, own in zip(found.learners, found.columns, strict=True):
        scaled = [(each / found.spread)[:, own] for each in (columns, background)]
        # SHAP rounds thresholds to single precision, and thresholds of histograms are values met:
        # one that goes left in the learner must not go right here for its last digits.
        scaled = [each - _ROUNDING * np.abs(each) for each in scaled]
        explainer = _tree_explainer(shap, learner, scaled[1])
        each = np.asarray(explainer.shap_values(scaled[0], check_additivity=False))
        values[:, own] += each / len(found.learners)
        base += float(np.ravel(explainer.expected_value)[0]) / len(found.learners)
    return values, base


def _tree_explainer(shap: Any, learner: Any, background: Floats) -> Any:
    boosted = hasattr(learner, "decision_function") and type(learner).__name__.endswith(
        ("GradientBoostingClassifier",)
    )
    if not boosted:
        raise ParameterError(
            "explanations are exact for logistic regression and for gradient boosting, whose trees "
            f"are of log-odds; got {type(learner).__name__}. Use learner=None or "
            "HistGradientBoostingClassifier()"
        )
    return shap.TreeExplainer(
        learner,
        shap.maskers.Independent(background, max_samples=len(background)),
        feature_perturbation="interventional",
        model_output="raw",
    )
