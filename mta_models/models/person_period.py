"""Learning a hazard from person-moments: half-lives, saturation and penalty, then the learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.errors import JourneyError, ParameterError
from mta_models.histories import Histories
from mta_models.models.calibration import Calibration, calibrate
from mta_models.models.learners import (
    PENALTIES,
    LogHazard,
    Rows,
    default_learner,
    fit_learner,
    held_out_loss,
    loss,
    unit_spread,
)
from mta_models.models.moments import Moments, daily_moments, sampled_moments
from mta_models.models.responses import Responses, responses_of
from mta_models.ragged import Floats, Ints

if TYPE_CHECKING:
    from mta_models.models.logistic import Logistic

# Days tried, where the search begins, and the penalty meanwhile.
HALF_LIVES = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0)
_MIDDLE, _PENALTY = 3, 1e-4
_FOLDS = 3
# Per-channel half-lives: conversions below which the common one stays, and the gain in held-out
# log-likelihood for which a channel leaves it.
_MANY, _GAIN = 1000, 2.0
# Of users and of channels in each bag, as Shao & Li (2011) sample them.
_BAG = 0.5


@dataclass(frozen=True, eq=False)
class Settings:
    """What a `Logistic` was asked for."""

    half_life: Any
    saturation: str | None
    interactions: Any
    covariates: Any
    trend: str | None
    learner: Any
    penalty: float | None
    rows: str
    n_bags: int
    random_state: int | None

    @classmethod
    def of(cls, model: Logistic) -> Settings:
        """The settings among a model's parameters."""
        return cls(**{name: getattr(model, name) for name in cls.__dataclass_fields__})

    def chosen(self, half_life: Floats, saturation: str | None, penalty: float) -> Settings:
        """The same, with nothing left to choose."""
        return replace(self, half_life=half_life, saturation=saturation, penalty=penalty)


@dataclass(frozen=True, eq=False)
class Learnt:
    """A hazard, what was chosen for it, and how it did on users it had not seen.

    Attributes:
        log_hazard: of the columns.
        responses: how touchpoints become columns.
        half_life: shape `(n_channels,)`, days.
        penalty: of the logistic regression.
        calibration: held out by user, or None where that was not asked for or cannot be.
        log_loss: held out, mean over moments.
        auc: held out.
    """

    log_hazard: LogHazard
    responses: Responses
    half_life: Floats
    penalty: float
    calibration: Calibration | None
    log_loss: float = np.nan
    auc: float = np.nan


def learn(histories: Histories, settings: Settings, judge: bool = True) -> Learnt:
    """Fit a hazard; with `judge` also see how it does on users held out.

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
    daily = settings.rows == "days"
    moments = daily_moments(histories) if daily else sampled_moments(histories, rng)
    table = _Table.of(histories, moments, settings, rng)
    half_life, saturation, penalty = _choose(table, settings)
    rows, responses = table.rows(half_life, saturation), table.responses(saturation)
    learner = settings.learner
    if learner is None:
        learner = default_learner(penalty, len(rows.weight))
    log_hazard = _fit(learner, rows, table, settings, rng)
    found = Learnt(log_hazard, responses, half_life, penalty, None)
    return _judged(found, learner, rows, table) if judge and table.n_folds > 1 else found


def _fit(
    learner: Any, rows: Rows, table: _Table, settings: Settings, rng: np.random.Generator
) -> LogHazard:
    """The learner on all rows, or on bags of them."""
    spread = unit_spread(rows.columns, rows.weight)
    scaled = rows.columns / spread
    n, k = scaled.shape[1], table.histories.n_channels
    offset = float(np.log(table.moments.scale))
    if not settings.n_bags:
        fitted = fit_learner(learner, scaled, rows.converts, rows.weight)
        every = np.arange(n)
        return _as_log_hazard([fitted], [every], spread, offset)
    needs = table.plain.needs
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
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

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


def _judged(found: Learnt, learner: Any, rows: Rows, table: _Table) -> Learnt:
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    odds, converts, moments = rows.held_out(learner), rows.converts, table.moments
    amount = moments.weight[table.order]
    return replace(
        found,
        calibration=calibrate(
            np.exp(odds) * moments.scale,
            np.where(converts, 0, amount),
            np.where(converts, amount, 0),
        ),
        log_loss=loss(odds, converts, rows.weight),
        auc=float(roc_auc_score(converts, odds, sample_weight=rows.weight)),
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """Moments, sorted by fold, with the columns they have under any half-lives.

    Attributes:
        histories: whose moments they are.
        moments: cases and base, in their own order.
        order: shape `(n_moments,)`, the moment that each row is.
        cuts: shape `(n_folds + 1,)`, rows of each fold.
        plain: responses, saturation not chosen yet.
        rest: shape `(n_moments, n_rest)`, columns that touchpoints do not change.
        carried: adstock of all channels by half-life, shape `(n_moments, n_channels)` each.
    """

    histories: Histories
    moments: Moments
    order: Ints
    cuts: Ints
    plain: Responses
    rest: Floats
    carried: dict[float, Floats]

    @classmethod
    def of(
        cls, histories: Histories, moments: Moments, settings: Settings, rng: np.random.Generator
    ) -> _Table:
        plain = responses_of(
            histories, None, settings.interactions, settings.covariates, settings.trend
        )
        fold = _folds(histories, rng)[moments.user]
        order = np.argsort(fold, kind="stable")
        cuts = np.concatenate(([0], np.cumsum(np.bincount(fold))))
        rest = plain.rest(histories, moments.user[order], moments.time[order])
        return cls(histories, moments, order, cuts, plain, rest, {})

    @property
    def n_folds(self) -> int:
        """1 where too few convert to hold any out."""
        return len(self.cuts) - 1

    @property
    def user(self) -> Ints:
        """Of each row, shape `(n_moments,)`."""
        return self.moments.user[self.order]

    def responses(self, saturation: str | None) -> Responses:
        """With the saturation chosen."""
        return replace(self.plain, saturation=saturation)

    def adstock(self, half_life: float) -> Floats:
        """What each row's user carried, shape `(n_moments, n_channels)`."""
        if half_life not in self.carried:
            n, moments = self.moments.n_cases, self.moments
            at = self.histories.adstock_at(moments.user[n:], moments.time[n:], half_life)
            both = np.vstack([self.histories.adstock(half_life), at])
            self.carried[half_life] = both[self.order]
        return self.carried[half_life]

    def rows(self, half_life: Floats, saturation: str | None) -> Rows:
        """Columns under half-lives, one per channel."""
        adstock = np.empty((len(self.order), len(half_life)))
        for h in np.unique(half_life).tolist():
            own = half_life == h
            adstock[:, own] = self.adstock(h)[:, own]
        columns = np.hstack([self.responses(saturation).of(adstock), self.rest])
        converts, weight = self.moments.converts[self.order], self.moments.balanced[self.order]
        return Rows(columns, converts, weight, self.cuts)


def _choose(table: _Table, settings: Settings) -> tuple[Floats, str | None, float]:
    """Half-lives, saturation and penalty: given, or the likeliest on users held out."""
    k = table.histories.n_channels
    free = settings.half_life is None
    saturations = (None, "log") if settings.saturation == "auto" else (settings.saturation,)
    penalty = settings.penalty or _PENALTY
    given = np.full(k, HALF_LIVES[_MIDDLE]) if free else _given(settings.half_life, k)
    nothing = not free and len(saturations) == 1 and settings.penalty is not None
    if table.n_folds == 1 or nothing:
        return given, saturations[0], penalty
    best: tuple[float, Floats, str | None, Floats | None] = (np.inf, given, saturations[0], None)
    for saturation in saturations:
        search = _Search(table, saturation, penalty)
        middle = search.index_of_common() if free else 0
        half_life = np.full(k, HALF_LIVES[middle]) if free else given
        lost = search.loss(half_life)
        if lost < best[0]:
            best = (lost, half_life, saturation, search.begin)
    _, half_life, saturation, begin = best
    search = _Search(table, saturation, penalty, begin)
    if free and table.moments.n_cases >= _MANY:
        half_life = search.own_half_lives(half_life)
    if settings.penalty is None:
        rows = table.rows(half_life, saturation)
        at = climb(lambda i: held_out_loss(rows, PENALTIES[i], begin)[0], len(PENALTIES), 2)
        penalty = PENALTIES[at]
    return half_life, saturation, penalty


class _Search:
    """Held-out losses of half-lives under one saturation, each fit begun where the last ended."""

    def __init__(
        self, table: _Table, saturation: str | None, penalty: float, begin: Floats | None = None
    ) -> None:
        self.table, self.saturation, self.penalty = table, saturation, penalty
        self.begin = begin

    def loss(self, half_life: Floats) -> float:
        rows = self.table.rows(half_life, self.saturation)
        lost, self.begin = held_out_loss(rows, self.penalty, self.begin)
        return lost

    def index_of_common(self) -> int:
        k = self.table.histories.n_channels
        return climb(lambda i: self.loss(np.full(k, HALF_LIVES[i])), len(HALF_LIVES), _MIDDLE)

    def own_half_lives(self, common: Floats) -> Floats:
        """One channel after the other leaves the common half-life where that gains enough."""
        found, lost = common.copy(), self.loss(common)
        enough = _GAIN / len(self.table.order)
        for channel in range(len(common)):
            start = HALF_LIVES.index(found[channel])

            def alone(i: int, channel: int = channel, found: Floats = found) -> float:
                here = found.copy()
                here[channel] = HALF_LIVES[i]
                return self.loss(here)

            at = climb(alone, len(HALF_LIVES), start)
            now = alone(at)
            if now < lost - enough:
                found[channel], lost = HALF_LIVES[at], now
        return found


def climb(score: Callable[[int], float], n: int, start: int) -> int:
    """The place of the lowest score downhill of `start`, each place scored once at most.

    Args:
        score: of a place, from 0 to n − 1.
        n: places.
        start: where to begin.

    Example:
        >>> climb(lambda i: (i - 3) ** 2, 7, 5)
        3
    """
    seen = {start: score(start)}
    at = start
    while True:
        for beside in (at - 1, at + 1):
            if 0 <= beside < n and beside not in seen:
                seen[beside] = score(beside)
        best = min(
            (place for place in (at - 1, at, at + 1) if place in seen), key=lambda i: seen[i]
        )
        if seen[best] >= seen[at]:
            return at
        at = best


def _folds(histories: Histories, rng: np.random.Generator) -> Ints:
    """A fold for each user, shape `(n_users,)`: converters dealt out evenly, and the others."""
    converts = np.zeros(histories.n_users, dtype=bool)
    converts[histories.event_user[histories.event_weight > 0]] = True
    fold = np.zeros(histories.n_users, dtype=np.int64)
    if converts.sum() < 2 * _FOLDS:
        return fold
    for group in (np.flatnonzero(converts), np.flatnonzero(~converts)):
        fold[rng.permutation(group)] = np.arange(len(group)) % _FOLDS
    return fold


def _given(half_life: Any, n_channels: int) -> Floats:
    """Half-lives as a user writes them, one per channel."""
    days = np.asarray(half_life, dtype=np.float64)
    if days.shape not in ((), (n_channels,)) or not (np.isfinite(days) & (days > 0)).all():
        raise ParameterError(
            f"`half_life` must be days above 0, one or one for each of {n_channels} channels; got "
            f"{half_life!r}"
        )
    return np.broadcast_to(days, n_channels).copy()
