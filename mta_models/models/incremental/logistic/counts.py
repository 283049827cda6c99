"""Logistic regression on touchpoint counts, for data without times; and why it misleads."""

from __future__ import annotations

import numpy as np

from mta_models.core.checks import check_number, check_seed
from mta_models.core.logistic_regression import chances, fit_logistic
from mta_models.core.orders import random_orders
from mta_models.core.ragged import Floats, owner
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, JourneyError, warn
from mta_models.models.base import AttributionModel
from mta_models.models.distinct_channels import all_by_first_appearance, users_of
from mta_models.models.incremental.horizon_games import scaled_to
from mta_models.models.incremental.logistic.learners import MOST_PENALTY
from mta_models.models.shapley.journey_games import n_wide, split_predictions

# Orders of arrival sampled, each with its reverse, for journeys with too many channels to solve
# exactly.
_PAIRS = 100


class LogisticCounts(AttributionModel):
    """Logistic regression of conversion on the touchpoints of each channel. Biased by design.

    A converter's journey ends at the conversion; any other lasts until observation ends. Users who
    do not convert therefore have more time to meet touchpoints, and counts make exposure look
    harmful: credit is too small, or negative although every effect is positive. Some attribution
    tools run this regression on tables of paths. It is here for comparison, and for data without
    times in which all journeys were observed equally long whatever their outcome. With times, use
    `Logistic`.

    Estimand: `incremental`: Shapley values, over each journey's channels, of the predicted
    probability of converting with only some channels' touchpoints. The baseline is the predicted
    probability without any touchpoint. Both are scaled to add up to the conversions observed.

    Assumptions: journeys were observed until the same time whether or not they converted, which is
    false in logs of journeys that end at a conversion; given the counts, exposure is not
    confounded.

    Source: Shao & Li (2011), "Data-driven multi-touch attribution models", KDD, 258–264, whose
    regression this is, without bagging.

    Tuned on: nothing.

    Args:
        penalty: ridge on the log-loss per conversion, counts scaled to unit s.d., > 0.
        random_state: of the orders sampled for journeys of more than 10 channels; None, a whole
            number or a numpy `Generator`.

    Attributes:
        coef_: shape `(n_channels,)`, change of the log-odds per touchpoint.
        intercept_: log-odds without touchpoints.

    Example:
        >>> import warnings
        >>> from mta_models import Journeys, LogisticCounts
        >>> journeys = Journeys.from_paths([["A"], []], conversions=[4, 1], nulls=[6, 9])
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     result = LogisticCounts(penalty=1e-9).fit_attribute(journeys)
        >>> result.credit.round(3), round(result.baseline, 3)
        (array([3.]), 2.0)
    """

    estimand = "incremental:counts"

    coef_: Floats
    intercept_: float

    def __init__(
        self, penalty: float = 1e-4, random_state: int | np.random.Generator | None = 0
    ) -> None:
        self.penalty = penalty
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_number(self.penalty, "penalty", maximum=MOST_PENALTY, above=True)
        check_seed(self.random_state)

    def _fit(self, journeys: Journeys) -> None:
        if not journeys.nulls.any():
            raise JourneyError(
                "there must be journeys without a conversion for a regression on counts; there are "
                "none. Read the null journeys too"
            )
        warn(
            "a regression on touchpoint counts is biased, since the length of a journey depends on "
            "its outcome: a conversion ends it, so exposure looks less useful than it is, or "
            "harmful. Use Logistic on journeys with times",
            IdentifiabilityWarning,
        )
        counts = _counts(journeys)
        weight = np.concatenate([journeys.outcome("conversions"), journeys.nulls])
        share = weight / weight.sum()
        both = np.vstack([counts, counts])
        mean = share @ both
        spread = np.sqrt(share @ (both - mean) ** 2)
        spread = np.where(spread > 1e-12, spread, 1.0)
        columns = np.hstack([np.ones((len(both), 1)), both / spread])
        converts = np.arange(len(both)) < len(counts)
        ridge = self.penalty * float(share @ converts)
        coef = fit_logistic(columns, converts, share, ridge).coef
        self.intercept_, self.coef_ = float(coef[0]), coef[1:] / spread

    def predict_proba(self, journeys: Journeys) -> Floats:
        """The probability that a user of each journey converts, shape `(n_journeys,)`.

        Args:
            journeys: over the channels fitted.

        Raises:
            NotFittedError, UnknownChannelError, JourneyError: as `attribute`.
        """
        return chances(self.intercept_ + _counts(journeys) @ self.coef_)

    def _account(self, journeys: Journeys, of: str) -> tuple[Floats, float]:
        amounts, total = journeys.outcome(of), float(journeys.outcome(of).sum())
        users = users_of(journeys)
        orders = None
        if n_wide(journeys):
            rng = np.random.default_rng(self.random_state)
            # By first appearance, so that renaming channels does not change what is sampled.
            players = all_by_first_appearance(journeys)
            orders = players[random_orders(journeys.n_channels, (_PAIRS,), rng)]
        split = split_predictions(self.predict_proba, journeys, users, orders)
        if of == "value":
            # The mean value of the row's conversions; for a row without any, of all conversions.
            converted = journeys.outcome("conversions")
            mean = total / converted.sum() if converted.sum() else 0.0
            users = users * np.divide(
                amounts, converted, out=np.full(len(users), mean), where=converted > 0
            )
        each = split.credit * users[owner(journeys.offsets)]
        credit = np.bincount(journeys.codes, each, journeys.n_channels).astype(np.float64)
        return scaled_to(total, credit, float(split.nobody @ users))

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._account(journeys, of)[0]

    def _baseline(self, journeys: Journeys, of: str) -> float:
        return self._account(journeys, of)[1]


def _counts(journeys: Journeys) -> Floats:
    """Touchpoints of each journey and channel, shape `(n_journeys, n_channels)`."""
    k = journeys.n_channels
    cell = owner(journeys.offsets) * k + journeys.codes
    counts = np.bincount(cell, minlength=journeys.n_journeys * k).astype(np.float64)
    return counts.reshape(journeys.n_journeys, k)
