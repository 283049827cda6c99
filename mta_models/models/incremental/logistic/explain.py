"""SHAP values of a fitted learner at each conversion, and how they relate to credit."""

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
    """SHAP values of each conversion's hazard, relative to the hazard without touchpoints.

    These sums hold exactly:

    - `values.sum(axis=1) + base == log_hazard`: SHAP's own efficiency, on the log hazard.
    - `channel_values.sum(axis=1)`: the part of the columns that depend on touchpoints. Without
      other columns (covariates, trend), or with a linear learner, it is log(λ / λ₀), where λ₀ is
      the hazard at the same time without touchpoints.
    - `parts.sum(axis=1)` is then 1 − λ₀ / λ, the sum of the conversion's credit under
      `counterfactual="moment"`: SHAP values and credit agree on how much is caused. After one
      channel alone, `parts` equal the credit; after several, `parts` are the Aumann–Shapley value
      of the hazard (the logarithmic mean turns shares of log λ into shares of λ), and credit is the
      Shapley value.

    Attributes:
        features: names of the columns.
        channels: names.
        rows: shape `(n,)`, the row of the journeys that ends with each conversion explained.
        values: shape `(n, n_columns)`, SHAP values on the log hazard.
        base: the mean log hazard of the background.
        log_hazard: shape `(n,)`.
        channel_values: shape `(n, n_channels)`; half of an interaction for each of its channels.
        parts: shape `(n, n_channels)`, fractions of the conversion.
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


# Maximum of background rows: the time of exact trees is in proportion to them, and they differ only
# in columns that do not depend on touchpoints.
_BACKGROUND = 100
_ROUNDING = 1e-7


def explain_conversions(
    model: CoalitionHazard, journeys: Journeys, rng: np.random.Generator
) -> Explanation:
    """SHAP values at each conversion, in the order of the journeys' conversions.

    The background is the columns at the conversions without any touchpoint.

    Raises:
        ParameterError: SHAP has no exact explainer for the learner.
    """
    histories = journeys.histories
    columns, _ = model.columns_at_conversions(histories)
    background = columns.copy()
    background[:, : model.responses.n_responses] = 0
    background = np.unique(background, axis=0)
    if len(background) > _BACKGROUND:
        kept = rng.choice(len(background), _BACKGROUND, replace=False)
        background = background[kept]
    hazard, log_hazard = model.log_hazard, model.log_hazard(columns)
    if hazard.coef is not None:
        values, base = _linear(hazard.coef, hazard.intercept, columns, background)
    else:
        values, base = _trees(hazard, columns, background)
    needs = model.responses.needs.astype(np.float64)
    channel_values = values @ (needs / np.maximum(needs.sum(axis=1, keepdims=True), 1))
    # Without touchpoints exp(−x) of the hazard is left; (1 − exp(−x)) / x tends to 1 for x → 0.
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
    """The package SHAP: importing it takes seconds, and it warns of its own use of matplotlib."""
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
    # By default SHAP keeps 100 rows of the background, silently.
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer((coef, intercept), masker)
    return np.asarray(explainer.shap_values(columns)), float(explainer.expected_value)


def _trees(hazard: LogHazard, columns: Floats, background: Floats) -> tuple[Floats, float]:
    shap = _shap()
    values, base = np.zeros(columns.shape), hazard.offset
    for learner, own in zip(hazard.learners, hazard.columns, strict=True):
        scaled = [(each / hazard.spread)[:, own] for each in (columns, background)]
        # SHAP rounds thresholds to single precision, and a threshold of a histogram is a value of
        # the data: rounding must not send to the right what the learner sends to the left.
        scaled = [each - _ROUNDING * np.abs(each) for each in scaled]
        explainer = _tree_explainer(shap, learner, scaled[1])
        each = np.asarray(explainer.shap_values(scaled[0], check_additivity=False))
        values[:, own] += each / len(hazard.learners)
        base += float(np.ravel(explainer.expected_value)[0]) / len(hazard.learners)
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
