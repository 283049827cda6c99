"""Doubly robust effects of touchpoints: outcomes after them, against those of similar users."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from mta_models.core.checks import check_one_of, check_seed, check_whole_number, is_number
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, JourneyError, warn
from mta_models.models.base import AttributionModel
from mta_models.models.incremental.doubly_robust.aipw import Window, estimate_effects, followed
from mta_models.models.incremental.logistic.features import check_covariates
from mta_models.models.incremental.logistic.learners import check_learner
from mta_models.models.incremental.self_controlled.after_purchase import purchase_changes
from mta_models.models.parameters import generator

# Effective sample size of the weighted rows below which a warning says that they are few.
_FEW = 50
# Draws from the joint normal distribution of the effects, for intervals.
_DRAWS = 500
_MOST_FOLDS = 100

# Exposure is taken to change with a conversion where its ratio, over the days after, is outside
# these bounds and its z is larger than this. In worlds in
# which conversions change no exposure (seeds 0 and 1) no channel was.
_DAYS_AFTER, _RATIOS, _LARGE_Z = 14.0, (0.9, 1.15), 4.0

Duration = str | timedelta | float


class DoublyRobust(AttributionModel):
    """Effects of touchpoints by augmented inverse propensity weighting, with any classifier.

    The outcome Y of a touchpoint at t is whether its user converts in (t + lag, t + lag + window].
    The history H of the user has counts of touchpoints, all of them and recent ones, the time
    observed, and covariates. The touchpoints are compared with times drawn from all time at risk
    (the base). With m(H) a classifier of the outcome in the base, and w(H) the odds, by another
    classifier, that a row with history H is a touchpoint of channel c rather than one of the base,

        effect_c = mean over touchpoints of c of (Y − m(H))
                   − Σ w(H) (Y − m(H)) / Σ w(H)       over the base

    is the effect of treatment on the treated, with a score orthogonal to errors of m and of w.
    Classifiers predict only for users they were not fitted on. Credit is the effect times the
    number of touchpoints; it may be negative, and nothing is assumed about how effects fade, add up
    or differ between people.

    It is kept for comparison with the literature: of the benchmark's worlds it is best, and clearly
    so, in one only, in which a coupon is fetched for purchases already decided.

    Doubly robust means: the estimate is consistent if m or w is consistent; one of the two is
    enough. The theorem is about histories known at t, `history="past"`. The default, `"whole"`,
    also reads the user's touchpoints after t; then the estimate is doubly robust only where these
    are not affected by the touchpoint at t or by a conversion.

    Conversions within `lag` of a touchpoint do not count: users who have decided to buy may meet a
    channel on the way (a coupon site, a brand search) that did not cause it. True effects within
    `lag`, or after the window, are left to the baseline.

    Estimand: `incremental:touchpoint`: summed over touchpoints, the additional conversions within
    the window because of this touchpoint and of later ones that it causes, given the earlier ones.
    Where effects add up this is the Shapley value.

    Assumptions:
        - Given H, it is random whether a user meets a channel now or at another time. With
          `history="whole"` H counts all touchpoints of the user, later ones included: equal total
          counts are taken to mean equal stable intent. That is false where a conversion changes
          the exposure after it (`suppression`). `"past"` reads nothing after t and remains valid
          there, but a short past says little about intent: use it with covariates that explain
          targeting. Journeys in which touchpoints of a channel become more or fewer after
          conversions are refused with `"whole"`. Neither covers intent that changes within days.
        - For users who meet a channel there are similar users who do not at that time (overlap).
        - Nobody decides to buy earlier than `lag` before the conversion.

    Source: Robins, Rotnitzky & Zhao (1994), JASA 89:846–866 (augmented inverse probability
    weighting); Chernozhukov et al. (2018), The Econometrics Journal 21(1):C1–C68 (cross-fitting,
    orthogonal scores, the effect on the treated); Tamim, Monfared & LeLorier (2007),
    Pharmacoepidemiology and Drug Safety 16(3):250–258 (lag-time).

    Tuned on: logs of 20,000 users of the worlds of one thing at a time, seeds 0 and 1: window, lag,
    the recent days that histories count, and the cap on odds.

    Args:
        learner: a scikit-learn classifier with `predict_proba`, for both m and w; None: logistic
            regression.
        covariates: a pandas or polars frame with a column `user` and numeric columns, known before
            the touchpoints.
        window: how long effects are followed ("14d", a timedelta, days).
        lag: from a touchpoint until its effects are counted; 0 counts all.
        history: `"whole"` or `"past"`, see above.
        n_folds: of users, for cross-fitting; 2 to 100.
        random_state: of the base, the folds and the draws; None, a whole number or a numpy
            `Generator`.

    Attributes:
        effect_: shape `(n_channels,)`, conversions per touchpoint.
        standard_error_: shape `(n_channels,)`, of `effect_`, from influence functions summed by
            user.
        effective_moments_: shape `(n_channels,)`, effective sample size of the weighted base:
            (Σ w)² / Σ w². A small size means little overlap; below 50 there is a warning.

    Example:
        Of 200 users 40 search, and 20 of these buy three days later:

        >>> import polars as pl
        >>> from mta_models import DoublyRobust, read_events
        >>> days = 27 * np.random.default_rng(0).random(40)
        >>> log = pl.DataFrame({"user": range(40), "day": days, "channel": "Search", "bought": 0})
        >>> bought = log[:20].with_columns(pl.col("day") + 3, channel=None, bought=1)
        >>> everyone = pl.DataFrame({"user": range(200)}).with_columns(start=0.0, end=30.0)
        >>> journeys = read_events(
        ...     pl.concat([log, bought], how="vertical_relaxed"), user="user", time="day",
        ...     channel="channel", conversion="bought", observed=everyone,
        ... )
        >>> model = DoublyRobust(window="7d", history="past").fit(journeys)
        >>> bool(abs(model.effect_[0] - 0.5) < 2 * model.standard_error_[0])
        True
    """

    needs_times = True
    effect_: Floats
    standard_error_: Floats
    effective_moments_: Floats
    _covariance: Floats

    def __init__(
        self,
        learner: Any = None,
        covariates: Any = None,
        window: Duration = "14d",
        lag: Duration = "12h",
        history: str = "whole",
        n_folds: int = 2,
        random_state: int | np.random.Generator | None = 0,
    ) -> None:
        self.learner = learner
        self.covariates = covariates
        self.window = window
        self.lag = lag
        self.history = history
        self.n_folds = n_folds
        self.random_state = random_state

    @property
    def estimand(self) -> str:
        """`"incremental:touchpoint"`."""
        return "incremental:touchpoint"

    def _check_parameters(self) -> None:
        as_days(self.window, "window")
        self._lag()
        check_one_of(self.history, "history", ("whole", "past"))
        check_covariates(self.covariates)
        check_learner(self.learner)
        check_whole_number(self.n_folds, "n_folds", 2, _MOST_FOLDS)
        check_seed(self.random_state)

    def _lag(self) -> float:
        return 0.0 if is_number(self.lag) and self.lag == 0 else as_days(self.lag, "lag")

    def _fit(self, journeys: Journeys) -> None:
        if journeys.timeline is None:
            raise JourneyError(
                "DoublyRobust needs whole timelines, since journeys that end at a conversion "
                "reveal the outcome; these journeys have times but no timeline. Read an event log "
                "with read_events"
            )
        histories = journeys.histories
        if self.history == "whole":
            _check_unchanged(histories)
        effects = estimate_effects(
            histories,
            self.learner,
            self.covariates,
            Window(self._lag(), as_days(self.window, "window"), self.history == "whole"),
            self.n_folds,
            np.random.default_rng(self.random_state),
        )
        self.effect_, self._covariance = effects.effect, effects.covariance
        self.standard_error_ = np.where(effects.known, np.sqrt(np.diag(effects.covariance)), np.nan)
        self.effective_moments_ = effects.effective
        names = np.array(journeys.channels, dtype=object)
        if not effects.known.all():
            warn(
                f"no touchpoint of {', '.join(names[~effects.known])} was followed for longer than "
                "the lag, so its effect cannot be estimated and is taken as 0",
                IdentifiabilityWarning,
            )
        few = effects.known & (effects.effective < _FEW)
        if few.any():
            warn(
                f"few users are similar to those who meet {', '.join(names[few])} and do not meet "
                "it at that time, so the effective sample size of its effect is small. See "
                "effective_moments_",
                IdentifiabilityWarning,
            )

    def _account(self, journeys: Journeys, of: str) -> tuple[Floats, float]:
        credit = self.effect_ * self._scale(journeys, of)
        return credit, float(journeys.outcome(of).sum()) - float(credit.sum())

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._account(journeys, of)[0]

    def _baseline(self, journeys: Journeys, of: str) -> float:
        return self._account(journeys, of)[1]

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats] | None:
        if not len(self.effect_):
            return None
        rng = generator(self.random_state, 1)
        drawn = rng.multivariate_normal(self.effect_, self._covariance, _DRAWS, method="eigh")
        draws: Floats = drawn * self._scale(journeys, of)
        baseline: Floats = float(journeys.outcome(of).sum()) - draws.sum(axis=1)
        return draws, baseline

    def _scale(self, journeys: Journeys, of: str) -> Floats:
        """Touchpoints per channel followed for longer than the lag; for value, times its mean."""
        histories = journeys.histories
        counted = followed(histories, self._lag()) * histories.weight[histories.owner]
        count = np.bincount(histories.codes, counted, histories.n_channels)
        worth = 1.0 if of == "conversions" else float(journeys.outcome(of).sum())
        if of != "conversions":
            worth /= histories.total or 1.0
        return np.asarray(count * worth, dtype=np.float64)


def _check_unchanged(histories: Histories) -> None:
    """Refuse to read touchpoints after t where conversions change them.

    Such touchpoints are consequences of the outcome: users who have more of them have bought, and
    a comparison of users with equal counts then compares buyers with buyers.
    """
    changes = purchase_changes(histories, (0.0, _DAYS_AFTER))
    z = changes.z[:, 0]
    # Without a touchpoint before any conversion there is no ratio.
    ratio = np.where(np.isnan(changes.ratio[:, 0]), np.inf, changes.ratio[:, 0])
    fewer = (ratio < _RATIOS[0]) & (z < -_LARGE_Z)
    more = (ratio > _RATIOS[1]) & (z > _LARGE_Z)
    if (fewer | more).any():
        named = ", ".join(
            f"{histories.channels[code]} ({ratio[code]:.2g} times as many)"
            for code in np.flatnonzero(fewer | more)
        )
        raise JourneyError(
            'with history="whole" exposure must not change with conversions, because touchpoints '
            f"after them are then their consequences; in the {_DAYS_AFTER:g} days after "
            f'conversions users met {named} as long before. Use history="past" with covariates '
            "that explain who is targeted, or a model that corrects for it: SelfControlled"
        )
