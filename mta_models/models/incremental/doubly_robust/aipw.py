"""Effects of single touchpoints, by augmented inverse propensity weighting (AIPW)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError
from mta_models.models.incremental.logistic.features import aligned_covariates as aligned
from mta_models.models.incremental.logistic.learners import (
    default_learner,
    fit_learner,
    log_odds,
    unit_spread,
)

# Maximum of touchpoints of a channel, and minimum of times at risk drawn: more would take minutes.
_MOST, _LEAST = 100_000, 20_000
# Ridge on the mean log-loss of the default learner, columns of unit scale.
_PENALTY = 1e-5
# Half-lives, in days, of the adstock in a user's history.
_RECENT = (2.0, 8.0)
# Maximum weight of a row, as a multiple of the mean weight.
_CAP = 50.0


@dataclass(frozen=True, eq=False)
class Sample:
    """Times after which users could still convert: of touchpoints, or drawn from time at risk.

    Attributes:
        user: shape `(n,)`.
        columns: shape `(n, n_columns)`, the user's history just before.
        converts: shape `(n,)`, whether the user did within the window.
        weight: shape `(n,)`.
    """

    user: Ints
    columns: Floats
    converts: Mask
    weight: Floats


@dataclass(frozen=True, eq=False)
class TouchpointEffects:
    """Effects of one touchpoint of each channel.

    Attributes:
        effect: shape `(n_channels,)`, conversions; 0 where there are no data to estimate it.
        covariance: shape `(n_channels, n_channels)`.
        effective: shape `(n_channels,)`, effective sample size of the weighted rows.
        known: shape `(n_channels,)`, whether a touchpoint was observed for longer than the lag.
    """

    effect: Floats
    covariance: Floats
    effective: Floats
    known: Mask


@dataclass(frozen=True)
class Window:
    """The interval after a touchpoint in which conversions count: (t + lag, t + lag + days].

    Attributes:
        whole: whether histories count all touchpoints of a user, or only those before t.
    """

    lag: float
    days: float
    whole: bool

    def kept(self, histories: Histories) -> float:
        """The fraction of an effect that remains in the comparison.

        Users with equal total counts who do not meet the channel at t meet it at another time. That
        time lies within the window with a probability in proportion to the window's length.
        """
        if not self.whole:
            return 1.0
        length = histories.days() / max(float(histories.weight.sum()), 1e-9)
        return 1 - min((self.lag + self.days) / max(length, 1e-9), 0.5)


def estimate_effects(
    histories: Histories,
    learner: Any,
    covariates: Any,
    window: Window,
    n_folds: int,
    rng: np.random.Generator,
) -> TouchpointEffects:
    """Augmented inverse propensity weighted effects on the treated, cross-fitted by user."""
    n, k = histories.n_users, histories.n_channels
    fold = rng.permutation(n) % n_folds
    base = _drawn(histories, covariates, window, rng)
    spread = unit_spread(base.columns, base.weight)
    outcome = _by_fold(learner, base, fold, spread)
    rest = base.converts - _predicted(outcome, base, fold, spread)
    share = base.weight / base.weight.sum()
    effect, effective, known = np.zeros(k), np.zeros(k), np.zeros(k, dtype=bool)
    influence = np.zeros((k, n))
    for code in range(k):
        met = _met(histories, code, covariates, window, rng)
        if not met.weight.sum() > 0:
            continue
        odds = _odds(learner, met, base, fold, spread)
        weight = np.minimum(odds, _CAP * (share @ odds)) * share
        weight /= weight.sum()
        gain = met.converts - _predicted(outcome, met, fold, spread)
        part = met.weight / met.weight.sum()
        with_, without = float(part @ gain), float(weight @ rest)
        effect[code], known[code] = with_ - without, True
        effective[code] = 1 / float((weight**2).sum())
        influence[code] = np.bincount(met.user, part * (gain - with_), n)
        influence[code] -= np.bincount(base.user, weight * (rest - without), n)
    kept = window.kept(histories)
    return TouchpointEffects(effect / kept, influence @ influence.T / kept**2, effective, known)


def followed(histories: Histories, lag: float) -> Mask:
    """Whether a user is still at risk `lag` after each touchpoint, shape `(n_touchpoints,)`."""
    until = histories.risk_end()
    owner = histories.owner
    after: Mask = (histories.time >= histories.start[owner]) & (histories.time + lag < until[owner])
    return after


def _met(
    histories: Histories, code: int, covariates: Any, window: Window, rng: np.random.Generator
) -> Sample:
    """The touchpoints of a channel, or a sample of them."""
    at = np.flatnonzero(followed(histories, window.lag) & (histories.codes == code))
    if len(at) > _MOST:
        at = np.sort(rng.choice(at, _MOST, replace=False))
    user = histories.owner[at]
    return _sample(histories, user, histories.time[at], histories.weight[user], covariates, window)


def _drawn(
    histories: Histories, covariates: Any, window: Window, rng: np.random.Generator
) -> Sample:
    """Times drawn evenly from all time at risk."""
    least = int(np.clip(len(histories.time), _LEAST, 2 * _MOST))
    sample = CaseBaseSample.from_histories(histories, rng, least)
    base = np.arange(sample.n_cases, len(sample.user))
    user, time = sample.user[base], sample.time[base]
    until = histories.risk_end()
    base = base[time + window.lag < until[user]]
    if not len(base):
        raise JourneyError(
            f"users must have been at risk for more than the lag of {window.lag:g} days; no user "
            "was. "
            "Use a shorter `lag`"
        )
    return _sample(
        histories,
        sample.user[base],
        sample.time[base],
        sample.weight[base],
        covariates,
        window,
    )


def _sample(
    histories: Histories,
    user: Ints,
    time: Floats,
    weight: Floats,
    covariates: Any,
    window: Window,
) -> Sample:
    # The next conversion after the lag, searched for in the conversions of all users end to end.
    span = float(histories.end.max(initial=0) - histories.start.min(initial=0)) * 2 + 1
    line = histories.event_user * span + histories.event_time
    order = np.argsort(line, kind="stable")
    begin = user * span + time + window.lag
    following = np.searchsorted(line[order], begin, side="right")
    nearest = np.append(line[order], np.inf)[following]
    columns = _columns(histories, user, time, window)
    if covariates is not None:
        columns = np.hstack([columns, aligned(covariates, histories)[user]])
    return Sample(user, columns, nearest <= begin + window.days, weight)


def _columns(histories: Histories, user: Ints, time: Floats, window: Window) -> Floats:
    """Histories of users at times, without a touchpoint at exactly that time."""
    before = np.nextafter(time, -np.inf)
    seen = time - histories.start[user]
    span = max(float((histories.end - histories.start).max(initial=0)), 1e-9)
    left = np.clip((histories.end[user] - time - window.lag) / window.days, 0, 1)
    return np.column_stack(
        [
            *(_in_all if window.whole else _so_far)(histories, user, before),
            *(np.log1p(histories.adstock_at(user, before, each)) for each in _RECENT),
            seen / span,
            (seen / span) ** 2,
            left,
        ]
    )


def _in_all(histories: Histories, user: Ints, before: Floats) -> tuple[Floats, ...]:
    """All touchpoints of each user and channel: log counts, and whether there is any."""
    k = histories.n_channels
    cell = histories.owner * k + histories.codes
    count = np.bincount(cell, minlength=histories.n_users * k)
    count = count.reshape(histories.n_users, k)[user]
    return np.log(count + 0.5), (count > 0).astype(np.float64)


def _so_far(histories: Histories, user: Ints, before: Floats) -> tuple[Floats, ...]:
    """Touchpoints so far, relative to the mean over as many days: log (1 + n) / (1 + n̄)."""
    weight = histories.weight[histories.owner]
    mean = np.bincount(histories.codes, weight, histories.n_channels) / max(histories.days(), 1e-9)
    days = np.maximum(before - histories.start[user], 0)
    first = histories.offsets[:-1][user]
    count = np.zeros((len(user), histories.n_channels))
    # Cumulative counts of each channel, read at two places.
    stop = histories.seen_by(user, before)
    for code in range(histories.n_channels):
        ever = np.concatenate(([0], np.cumsum(histories.codes == code)))
        count[:, code] = ever[stop] - ever[first]
    return (np.log((count + 1) / (mean * days[:, None] + 1)),)


def _by_fold(learner: Any, sample: Sample, fold: Ints, spread: Floats) -> list[Any]:
    """For each fold a classifier of the outcome, or its mean, fitted to the other folds."""
    classifiers = []
    for each in range(int(fold.max(initial=0)) + 1):
        rows = fold[sample.user] != each
        columns, converts = sample.columns[rows], sample.converts[rows]
        classifiers.append(_fitted(learner, columns, converts, sample.weight[rows], spread))
    return classifiers


def _fitted(learner: Any, columns: Floats, target: Mask, weight: Floats, spread: Floats) -> Any:
    if not len(target) or target.all() or not target.any():
        return float(target.mean()) if len(target) else 0.0
    if learner is None:
        learner = default_learner(_PENALTY, len(target))
    return fit_learner(learner, columns / spread, target, weight / weight.mean())


def _predicted(fitted: list[Any], sample: Sample, fold: Ints, spread: Floats) -> Floats:
    """Probabilities of rows by the classifier fitted without their fold."""
    chance, own = np.zeros(len(sample.user)), fold[sample.user]
    for each, model in enumerate(fitted):
        rows = own == each
        if isinstance(model, float):
            chance[rows] = model
        elif rows.any():
            chance[rows] = model.predict_proba(sample.columns[rows] / spread)[:, 1]
    return chance


def _odds(learner: Any, met: Sample, base: Sample, fold: Ints, spread: Floats) -> Floats:
    """The odds, up to a factor, that a row of the base is a touchpoint, shape `(n_base,)`."""
    both = Sample(
        np.concatenate([met.user, base.user]),
        np.vstack([met.columns, base.columns]),
        np.arange(len(met.user) + len(base.user)) < len(met.user),
        np.concatenate([met.weight / met.weight.mean(), base.weight / base.weight.mean()]),
    )
    chance = _predicted(_by_fold(learner, both, fold, spread), base, fold, spread)
    odds: Floats = np.exp(log_odds(chance))
    return odds
