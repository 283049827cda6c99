"""Person-moments: the moments of conversion and the time at risk they are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, position, spread
from mta_models.data.histories import Histories

# Moments of the base series for each conversion, the fewest, and the most unless there are more
# conversions. With 20 per case the base series adds 5% to the variance of a coefficient (1 + 1/20);
# where there are many conversions that variance is small, and fewer do.
PER_CASE, LEAST, MOST = 20, 20_000, 200_000


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments in users' lives: cases, at which they converted, and a base series of time at risk.

    Attributes:
        user: shape `(n_moments,)`; the cases come first, in the order of the conversions.
        time: shape `(n_moments,)`, days.
        weight: shape `(n_moments,)`: conversions that a case stands for, person-days at risk that
            a base moment stands for.
        event: shape `(n_cases,)`, the conversion that each case is.
    """

    user: Ints
    time: Floats
    weight: Floats
    event: Ints

    @property
    def n_cases(self) -> int:
        """How many cases there are."""
        return len(self.event)

    @property
    def converts(self) -> Mask:
        """Whether a moment is a case, shape `(n_moments,)`."""
        return np.arange(len(self.user)) < self.n_cases

    @property
    def scale(self) -> float:
        """Conversions per person-day at which cases and base weigh the same.

        A classifier of cases among moments, weighted by `balanced`, answers with the odds of a
        case; the hazard is `odds * scale`.
        """
        cases, base = self.weight[: self.n_cases], self.weight[self.n_cases :]
        n_base = len(base)
        return float(cases.sum() / max(self.n_cases, 1) * n_base / base.sum())

    @property
    def balanced(self) -> Floats:
        """Weights for a classifier, mean 1, shape `(n_moments,)`: all equal where users are."""
        weight = self.weight.copy()
        weight[self.n_cases :] *= self.scale
        balanced: Floats = weight / weight.mean()
        return balanced

    def fewer(self, most_cases: int, per_case: int, least: int) -> Moments:
        """An even choice of cases and of base moments, standing for as much as all.

        Args:
            most_cases: cases kept.
            per_case: base moments kept for each case.
            least: base moments kept in any case.
        """
        n_base, n_cases = len(self.user) - self.n_cases, min(self.n_cases, most_cases)
        case = _evenly(self.n_cases, n_cases)
        base = self.n_cases + _evenly(n_base, min(n_base, max(per_case * n_cases, least)))
        kept = np.concatenate([case, base])
        weight = self.weight[kept]
        for part, whole in (
            (weight[:n_cases], self.weight[: self.n_cases]),
            (weight[n_cases:], self.weight[self.n_cases :]),
        ):
            part *= whole.sum() / part.sum()
        return Moments(self.user[kept], self.time[kept], weight, self.event[case])


def _evenly(n: int, kept: int) -> Ints:
    """Places of `kept` out of n, as evenly spaced as can be."""
    return (np.arange(kept) * n) // max(kept, 1)


def risk_of(histories: Histories) -> Floats:
    """Until when each user could convert, shape `(n_users,)`, days.

    Where nobody converts twice, a conversion ends the risk; else it lasts as long as observation.
    """
    return histories.end if histories.repeats else histories.until_first


def sampled_moments(histories: Histories, rng: np.random.Generator, least: int = LEAST) -> Moments:
    """Every conversion, and moments drawn evenly from all time at risk (case-base sampling).

    Stratified: the time at risk of all users, laid end to end and weighted by users, is cut into
    equal pieces, and one moment falls in each, at a time of day at which people convert. Where
    whole days would be no more rows than that, they are taken instead. There are `least` moments
    at the least.

    Source: Hanley & Miettinen (2009), "Fitting smooth-in-time prognostic risk functions via
    logistic regression", The International Journal of Biostatistics 5(1), article 3.
    """
    until = risk_of(histories)
    days = np.maximum(until - histories.start, 0)
    cases = histories.n_events
    n = max(min(PER_CASE * cases, MOST), cases, least)
    if np.ceil(days[histories.weight > 0]).sum() <= n:
        return daily_moments(histories, rng)
    ends = np.cumsum(days * histories.weight)
    at = (np.arange(n) + rng.random(n)) * (ends[-1] / n)
    user = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
    into = (ends[user] - at) / histories.weight[user]
    time = np.maximum(until[user] - into, histories.start[user])
    time = _at_hours_of_conversion(histories, user, time, rng)
    return _with_cases(histories, user, time, np.full(n, ends[-1] / n))


def daily_moments(histories: Histories, rng: np.random.Generator) -> Moments:
    """Every conversion, and a moment of every day of every user at risk (person-period rows).

    The moment is the day's middle, or a time of day at which people convert.
    """
    until = risk_of(histories)
    days = np.where(histories.weight > 0, np.maximum(until - histories.start, 0), 0)
    cuts = np.concatenate(([0], np.cumsum(np.ceil(days).astype(np.int64))))
    user = np.repeat(np.arange(histories.n_users), np.diff(cuts))
    begin = position(cuts).astype(np.float64)
    length = np.minimum(spread(days, cuts) - begin, 1)
    time = histories.start[user] + begin + length / 2
    time = _at_hours_of_conversion(histories, user, time, rng)
    return _with_cases(histories, user, time, length * histories.weight[user])


def _at_hours_of_conversion(
    histories: Histories, user: Ints, time: Floats, rng: np.random.Generator
) -> Floats:
    """Moments at the same days, at times of day drawn from those of the conversions.

    People convert when they are awake, and that is when they meet touchpoints too: against a base
    series spread over day and night every channel would look as if it worked. On a simulated log
    a base series an eighth of a day later than conversions took 0.1 off every coefficient.

    Args:
        histories: rows without a timeline have no clock, and their moments stay where they are.
        user: shape `(n,)`.
        time: shape `(n,)`, days; one whose new time is not at risk stays where it is.
        rng: draws.
    """
    if histories.timeline is None:
        return time
    chance = histories.event_weight / histories.event_weight.sum()
    hour = histories.event_time[rng.choice(histories.n_events, len(time), p=chance)] % 1
    moved = np.floor(time) + hour
    at_risk = (moved >= histories.start[user]) & (moved < risk_of(histories)[user])
    return np.where(at_risk, moved, time)


def _with_cases(histories: Histories, user: Ints, time: Floats, weight: Floats) -> Moments:
    return Moments(
        user=np.concatenate([histories.event_user, user]),
        time=np.concatenate([histories.event_time, time]),
        weight=np.concatenate([histories.event_weight, weight]),
        event=np.arange(histories.n_events),
    )


def within(
    start: Floats, end: Floats, n_pieces: int, rng: np.random.Generator | None = None
) -> tuple[Floats, Floats]:
    """Moments to integrate over spans of time: one in each of `n_pieces` equal pieces.

    Args:
        start: shape `(n,)`, days.
        end: shape `(n,)`.
        n_pieces: of each span.
        rng: draws the moments, which leaves a sum over them without bias; None: the middles.

    Returns:
        Times, shape `(n, n_pieces)`, and the days each stands for, shape `(n,)`.
    """
    days = np.maximum(end - start, 0) / n_pieces
    inside = 0.5 if rng is None else rng.random((len(start), n_pieces))
    return start[:, None] + (np.arange(n_pieces) + inside) * days[:, None], days
