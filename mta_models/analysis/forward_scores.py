"""Scores of predictions against the conversions of the held-out days of a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError

_WEEK = 7.0

# A function of two days: conversions expected of each user between them, shape `(n_users,)`.
Prediction = Callable[[float, float], Floats]


@dataclass(frozen=True)
class ForwardScore:
    """How well one model predicted the conversions of the held-out days.

    Attributes:
        gain: held-out log-likelihood minus that of a constant rate, in nats per conversion. Above 0
            the model is better than one rate for all users; minus infinity if a conversion happened
            to which the model gave probability 0.
        gain_error: standard error of `gain`, with users taken as independent.
        auc: the probability that, among users at risk on the day of a conversion, the user who
            converts has a higher predicted rate than one who does not; 0.5 is chance.
        day_rmse: root mean square error of conversions per day.
        predicted: conversions predicted for the held-out days.
        observed: conversions observed in the held-out days.
        ratio: predicted over observed.
        ratio_touched: the ratio among users with a touchpoint within the last week.
        ratio_untouched: the ratio among other users. Either is NaN if none of its users converted.
    """

    gain: float
    gain_error: float
    auc: float
    day_rmse: float
    predicted: float
    observed: float
    ratio: float
    ratio_touched: float
    ratio_untouched: float


class Scorer:
    """The held-out days and their conversions."""

    def __init__(self, histories: Histories, since: float, until: float) -> None:
        self.histories = histories
        begins = np.arange(since, until)
        self.days = [(begin, min(begin + 1, until)) for begin in begins.tolist()]
        self.cases = [converting_users(histories, begin, stop) for begin, stop in self.days]
        self.touched = [touched_class(histories, stop) > 0 for _, stop in self.days]
        self.observed = np.array([len(each) for each in self.cases], dtype=np.float64)
        if not self.observed.any():
            raise JourneyError(
                f"there must be a conversion to predict; none falls between day {since:g} and day "
                f"{until:g}. Give other train_days, or a longer horizon"
            )

    def score(self, predict: Prediction, reference: Prediction) -> tuple[ForwardScore, Floats]:
        """The score, and the conversions predicted for each day."""
        gain, daily = np.zeros(self.histories.n_users), np.zeros(len(self.days))
        sums = np.zeros((2, 2))  # untouched and touched; predicted and observed
        concordant = pairs = 0.0
        for i, ((begin, stop), users) in enumerate(zip(self.days, self.cases, strict=True)):
            expected, known = predict(begin, stop), reference(begin, stop)
            daily[i] = expected.sum()
            count = np.bincount(users, minlength=len(gain))
            with np.errstate(divide="ignore"):
                log_ratio = np.log(expected[users] / known[users])
            gain += known - expected + np.bincount(users, log_ratio, len(gain))
            for kind in (0, 1):
                chosen = self.touched[i] == kind
                sums[kind] += expected[chosen].sum(), count[chosen].sum()
            days = observed_days(self.histories, begin, stop)
            right, of = _concordance(expected, days, count)
            concordant, pairs = concordant + right, pairs + of
        observed, predicted = float(self.observed.sum()), float(daily.sum())
        ratio = np.divide(sums[:, 0], sums[:, 1], out=np.full(2, np.nan), where=sums[:, 1] > 0)
        return ForwardScore(
            gain=float(gain.sum()) / observed,
            gain_error=_error_of_sum(gain) / observed,
            auc=concordant / pairs if pairs else float("nan"),
            day_rmse=float(np.sqrt(np.mean((daily - self.observed) ** 2))),
            predicted=predicted,
            observed=observed,
            ratio=predicted / observed,
            ratio_touched=float(ratio[1]),
            ratio_untouched=float(ratio[0]),
        ), daily


def _error_of_sum(each: Floats) -> float:
    """The standard error of a sum over independent users; NaN if a summand is infinite."""
    return float(np.sqrt(len(each)) * each.std()) if np.isfinite(each).all() else float("nan")


def _concordance(expected: Floats, days: Floats, count: Ints) -> tuple[float, float]:
    """Number of concordant pairs and of all pairs of a user who converts and one who does not.

    Both are at risk on the day; a pair is concordant if the user who converts has the higher rate,
    and a tie counts half. Rates are compared, not expected conversions: a user who converts in the
    morning is at risk for a part of the day only.
    """
    at_risk = days > 0
    case = count[at_risk] > 0
    n, n_cases = len(case), int(case.sum())
    _, place, ties = np.unique(
        expected[at_risk] / days[at_risk], return_inverse=True, return_counts=True
    )
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    above = float(rank[case].sum()) - n_cases * (n_cases + 1) / 2
    return above, float(n_cases * (n - n_cases))


def touched_class(histories: Histories, day: float) -> Ints:
    """Class of the number of touchpoints in the week before a day: 0, 1, 2, 3–4, 5–8 and so on."""
    users = np.arange(histories.n_users)
    after, before = (
        histories.seen_by(users, np.full(len(users), when)) for when in (day, day - _WEEK)
    )
    kind: Ints = np.ceil(np.log2(np.maximum(after - before, 0.5))).astype(np.int64) + 1
    return kind


def observed_days(histories: Histories, begin: float, stop: float) -> Floats:
    """Days between the two for which each user was observed, shape `(n_users,)`."""
    within = np.minimum(histories.end, stop) - np.maximum(histories.start, begin)
    days: Floats = np.maximum(within, 0)
    return days


def converting_users(histories: Histories, begin: float, stop: float) -> Ints:
    """The user of each conversion after `begin` and up to `stop`.

    A conversion at the start of its user's observation, after no time at risk, is left out.
    """
    time, user = histories.event_time, histories.event_user
    return user[(time > np.maximum(histories.start[user], begin)) & (time <= stop)]
