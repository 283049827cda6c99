"""Logistic regression on a case-base sample: a hazard fitted by any classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from mta_models.core.checks import check_number, check_one_of, check_seed, check_whole_number
from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, chunks, owner
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, JourneyError, ParameterError, warn
from mta_models.models.base import clone
from mta_models.models.incremental.base import TimedModel
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.logistic.calibration_curve import CalibrationCurve
from mta_models.models.incremental.logistic.explain import Explanation, explain_conversions
from mta_models.models.incremental.logistic.features import (
    SATURATIONS,
    TRENDS,
    check_covariates,
    check_interactions,
)
from mta_models.models.incremental.logistic.fitting import LogisticFit, fit_hazard
from mta_models.models.incremental.logistic.hazard_games import (
    CoalitionHazard,
    horizon_game,
    moment_game,
)
from mta_models.models.incremental.logistic.learners import (
    LEAST_PENALTY,
    MOST_PENALTY,
    check_learner,
)
from mta_models.models.incremental.logistic.settings import Settings
from mta_models.models.parameters import HalfLife, check_half_life, generator

SPLITS = ("shapley", "removal")
ROWS = ("sampled", "days")
_MOST_BAGS = 10_000
# Factor between the conversions expected over the horizon and those observed above which credit is
# not to be relied on. In the worlds it was at most 1.2, with trees on few users 1.5; where a
# coefficient exploded, above 1e20.
_MISFIT = 2.0


class Logistic(TimedModel):
    """Discrete-time hazard by logistic regression, or by any classifier.

    Conversions (cases) are compared with times drawn from all time at risk (the base); the columns
    are the adstock that the user carried then. The odds of a case in such a case-base sample are
    proportional to the hazard, so a classifier that gives probabilities gives hazards:

        λ(t) = exp(α + Σ_c β_c g(a_c(t)) + …),   a_c(t) = Σ_{t_k ≤ t} 2^(−(t − t_k) / h_c)

    Each conversion is compared with times at risk only. In a regression on counts, the longer
    journeys of users who do not convert make exposure look harmful; here they do not.

    Estimand: `incremental`, with the counterfactual after a colon. `"horizon"` and `"moment"` are
    those of `Hazard`; `"backward"` removes touchpoints from the last to the first and credits each
    with the part of the conversion's hazard that is lost with it. With `split="removal"` credit is
    in proportion to the conversions lost without each channel alone, instead of Shapley values.

    Assumptions: given the columns, when users meet channels is not confounded with when they would
    buy; effects multiply (trees do not assume that) and fade by half-lives; covariates are known
    before the touchpoints.

    Source: Shao & Li (2011), "Data-driven multi-touch attribution models", KDD, 258–264 (bagging);
    Hanley & Miettinen (2009), "Fitting smooth-in-time prognostic risk functions via logistic
    regression", The International Journal of Biostatistics 5(1), article 3 (case-base samples);
    Shender et al., "A time to event framework for multi-touch attribution", arXiv 2009.08432
    (backward).

    Tuned on: logs of 20,000 to 50,000 users of the worlds of one thing at a time, seeds 0 to 4: the
    grids of half-lives and penalties, and the size of the sample that the search uses.

    Args:
        half_life: of the carry-over: `"7d"`, a timedelta or days, for all channels, or a mapping
            from channels to these; None: chosen from 1 to 21 days by the held-out likelihood of a
            ridge logistic regression, by channel where that gains enough.
        counterfactual: `"horizon"`, `"moment"` or `"backward"`.
        split: `"shapley"` or `"removal"`.
        saturation: `"log"`: adstock a enters as log(1 + a); `"ratio"`: a / (1 + a); None: as it is.
        interactions: pairs of channels whose product is a column too; `"all"`; None: none;
            `"auto"`: all pairs of up to 10 channels, none of more. Effects that add up rather than
            multiply show as negative interactions; without them the baseline comes out too large.
        covariates: a pandas or polars frame with a column `user` and numeric columns.
        trend: None; `"linear"` in time; or `"weeks"`, a coefficient for each week.
        learner: a scikit-learn classifier with `predict_proba`; None: logistic regression.
        penalty: ridge on the log-loss per conversion, columns scaled to unit s.d., of the
            logistic regression; None: chosen by held-out likelihood.
        rows: of the case-base sample, beside all conversions: `"sampled"`: 20 times at risk for
            each conversion, at least 20,000, and half as many drawn soon after touchpoints (not for
            a `learner`); `"days"`: one for every day of every user at risk.
        n_bags: bags of half the users and half the channels each, averaged; 0: none. A
            reproduction of Shao & Li (2011), no advice: channels left out of a bag confound the
            others, and bags made credit worse in 6 of 6 logs of the benchmark.
        random_state: of the sample, folds and bags; None, a whole number or a numpy `Generator`.
            Draws do not depend on the order or names of users and channels.

    Attributes:
        half_life_: shape `(n_channels,)`, days.
        removal_: as `Hazard`.
        features_: names of the columns.
        coef_: shape `(n_columns,)`, on the log hazard, or None where the learner has none.
        penalty_: as given or chosen.
        log_loss_: of cases in the case-base sample, on held-out users, mean over rows.
        auc_: on held-out users, the chance that a conversion has a higher predicted hazard than a
            time at risk.
        calibration_: a `CalibrationCurve` on held-out users. Where fewer than six users convert it
            is None, and `log_loss_` and `auc_` are NaN.
        standard_error_: shape `(n_channels,)`, in conversions, the error from sampling users for
            the horizon; zeros where all users were computed. Set by `attribute`.

    Example:
        >>> from mta_models import Journeys, Logistic
        >>> rng = np.random.default_rng(0)
        >>> journeys = Journeys.from_arrays(
        ...     ["Search"], np.zeros(400, int), [*range(400), 400], [1, 0] * 200, [0, 1] * 200,
        ...     age=rng.exponential(np.where(np.arange(400) % 2, 8.0, 2.0)), at_risk=[20.0] * 400,
        ... )
        >>> model = Logistic(half_life=3).fit(journeys)
        >>> bool(model.coef_[0] > 0)
        True
    """

    counterfactuals = ("horizon", "moment", "backward")

    features_: tuple[str, ...]
    coef_: Floats | None
    penalty_: float
    log_loss_: float
    auc_: float
    calibration_: CalibrationCurve | None
    standard_error_: Floats

    def __init__(
        self,
        half_life: HalfLife | None = None,
        counterfactual: str = "horizon",
        split: str = "shapley",
        saturation: str | None = "log",
        interactions: Any = "auto",
        covariates: Any = None,
        trend: str | None = None,
        learner: Any = None,
        penalty: float | None = None,
        rows: str = "sampled",
        n_bags: int = 0,
        random_state: int | np.random.Generator | None = 0,
    ) -> None:
        self.half_life = half_life
        self.counterfactual = counterfactual
        self.split = split
        self.saturation = saturation
        self.interactions = interactions
        self.covariates = covariates
        self.trend = trend
        self.learner = learner
        self.penalty = penalty
        self.rows = rows
        self.n_bags = n_bags
        self.random_state = random_state

    @property
    def estimand(self) -> str:
        """`"incremental:"`, the counterfactual, and `":removal"` where credit is split so."""
        return super().estimand + (":removal" if self.split == "removal" else "")

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_half_life(self.half_life)
        check_one_of(self.split, "split", SPLITS)
        check_one_of(self.saturation, "saturation", SATURATIONS)
        check_one_of(self.trend, "trend", TRENDS)
        check_one_of(self.rows, "rows", ROWS)
        if self.split == "removal" and self.counterfactual == "backward":
            raise ParameterError(
                '`split` must be "shapley" where `counterfactual` is "backward", which removes '
                'touchpoints one after the other; got "removal". Use "horizon" or "moment" with it'
            )
        if self.penalty is not None:
            check_number(self.penalty, "penalty", minimum=LEAST_PENALTY, maximum=MOST_PENALTY)
        check_whole_number(self.n_bags, "n_bags", 0, _MOST_BAGS)
        check_interactions(self.interactions)
        check_covariates(self.covariates)
        check_learner(self.learner)
        check_seed(self.random_state)

    def explain(self, journeys: Journeys) -> Explanation:
        """SHAP values of the fitted learner at each conversion, and how they relate to credit.

        Args:
            journeys: as for `attribute`.

        Returns:
            An `Explanation`; its docstring says which values add up to what.

        Raises:
            ParameterError: the learner is neither a logistic regression nor gradient boosting.
            MissingExtraError: SHAP is not installed.
            NotFittedError, UnknownChannelError, JourneyError: as `attribute`.
        """
        journeys = self._ready(journeys)
        return explain_conversions(self._hazard, journeys, self._rng())

    def _learn(self, histories: Histories) -> None:
        self._store(fit_hazard(histories, Settings.from_params(self.get_params())))

    def _refitted(self, histories: Histories) -> TimedModel:
        """With the hyperparameters of the fit: choosing them takes most of the time of a fit."""
        model = clone(self)
        assert isinstance(model, Logistic)
        model.channels_ = histories.channels
        model._store(fit_hazard(histories, Settings.from_params(self.get_params()), self._choice))
        return model

    def _store(self, fit: LogisticFit) -> None:
        self._choice = choice = fit.choice
        self._hazard = CoalitionHazard(fit.log_hazard, fit.responses, choice.half_life)
        self.half_life_ = choice.half_life
        self.penalty_ = choice.penalty
        self.features_ = fit.responses.names
        self.coef_ = fit.log_hazard.coef
        self.calibration_ = fit.calibration
        self.log_loss_, self.auc_ = fit.log_loss, fit.auc

    def _parts(self, histories: Histories) -> Floats:
        if self.counterfactual == "backward":
            event, touchpoint, each = self._backward(histories)
            k = histories.n_channels
            cell = event * k + histories.codes[touchpoint]
            parts = np.bincount(cell, each, histories.n_events * k).astype(np.float64)
            return parts.reshape(histories.n_events, k)
        shapley, removal, nobody = moment_game(self._hazard, histories, self._rng())
        if self.split == "shapley":
            return shapley
        weight = histories.event_weight
        return removal * _ratio(float(weight @ (1 - nobody)), float((weight @ removal).sum()))

    def _game(self, histories: Histories) -> HorizonGame:
        game, standard_error = horizon_game(self._hazard, histories, self._rng())
        _warn_of_misfit(game.everyone, histories.total)
        self.standard_error_ = standard_error * (
            histories.total / game.everyone if game.everyone else 0.0
        )
        if self.split == "shapley":
            return game
        caused = game.everyone - game.nobody
        credit = game.removal * _ratio(caused, float(game.removal.sum()))
        return HorizonGame(credit, game.removal, game.nobody, game.everyone)

    def _backward(self, histories: Histories) -> tuple[Any, Any, Floats]:
        """The part of each conversion's hazard that is lost with each touchpoint before it.

        Returns:
            Conversion, touchpoint and fraction of the hazard of each pair, each `(n_pairs,)`.
        """
        event, touchpoint, age = histories.pairs
        code = histories.codes[touchpoint]
        faded = np.exp2(-age / self.half_life_[code])
        count = np.bincount(event, minlength=histories.n_events)
        cuts = np.concatenate(([0], np.cumsum(count)))
        responses = self._hazard.responses
        rest = responses.rest(histories, histories.event_user, histories.event_time)
        taken = np.empty(len(event))
        for part in chunks(count * histories.n_channels + 1):
            rows = np.arange(histories.n_events)[part]
            first, last = cuts[part.start], cuts[rows[-1] + 1]
            here = cuts[part.start : rows[-1] + 2] - first + np.arange(len(rows) + 1)
            # One line per touchpoint, and before the first of each conversion one without any.
            lines = np.zeros((here[-1], histories.n_channels))
            at = np.arange(last - first) + (event[first:last] - part.start) + 1
            lines[at, code[first:last]] = faded[first:last]
            carried = np.cumsum(lines, axis=0)
            start = here[:-1]
            before = carried[start]
            adstock = np.maximum(carried - before[owner(here)], 0)
            columns = np.hstack(
                [self._hazard.responses.columns_of(adstock), rest[rows][owner(here)]]
            )
            hazard = np.exp(self._hazard.log_hazard(columns))
            whole = hazard[here[1:] - 1][event[first:last] - part.start]
            taken[first:last] = (hazard[at] - hazard[at - 1]) / whole
        return event, touchpoint, taken

    def _by_touchpoint(self, histories: Histories, amounts: Floats | None) -> Floats:
        if self.counterfactual != "backward":
            return super()._by_touchpoint(histories, amounts)
        amounts = histories.event_weight if amounts is None else amounts
        event, touchpoint, taken = self._backward(histories)
        n = len(histories.time)
        return np.bincount(touchpoint, taken * amounts[event], n).astype(np.float64)

    def _expected(self, histories: Histories, since: float, until: float) -> Floats:
        start = np.maximum(histories.start, since)
        days = np.maximum(np.minimum(histories.end, until) - start, 0)
        pieces = max(int(np.ceil(days.max(initial=0))), 1)
        expected = np.zeros(histories.n_users)
        for part in chunks(np.full(histories.n_users, pieces * histories.n_channels + 1)):
            users = np.arange(histories.n_users)[part]
            time, each = points_within(start[part], start[part] + days[part], pieces)
            columns = self._hazard.columns(histories, np.repeat(users, pieces), time.ravel())
            hazard = np.exp(self._hazard.log_hazard(columns)).reshape(-1, pieces)
            expected[part] = hazard.sum(axis=1) * each
        return expected

    def _rng(self) -> np.random.Generator:
        """Random numbers for sampled users and orders, independent of those of the fit."""
        return generator(self.random_state, 1)


def _warn_of_misfit(expected: float, total: float) -> None:
    """Warn where the hazard over the horizon is not that of the conversions it was fitted to.

    It happens where a few rows decide a coefficient: hazards then explode at times that no row has,
    and credit depends on which rows were drawn.
    """
    if not total / _MISFIT <= expected <= total * _MISFIT:
        warn(
            f"the fitted hazard expects {expected:.3g} conversions of users who had {total:g}, so "
            "its credit depends on which times were drawn for the fit. Leave interactions out "
            "(interactions=None), give a larger `penalty`, or use another model",
            IdentifiabilityWarning,
        )


def _ratio(caused: float, removals: float) -> float:
    """The factor by which removals add up to what all channels cause together."""
    if removals == 0 and caused == 0:
        return 0.0
    if removals * caused <= 0:
        raise JourneyError(
            'split="removal" needs losses whose sum has the sign of what all channels cause; they '
            f"sum to {removals:.3g}, and all channels cause {caused:.3g}. Look at removal_, or use "
            'split="shapley"'
        )
    return caused / removals
