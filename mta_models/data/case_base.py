"""Case-base samples: all conversions, and a sample of person-time from all time at risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, owner, position, spread
from mta_models.data.histories import Histories
from mta_models.data.kernels import Kernel

# Base rows per case, and their minimum and maximum (never fewer than cases). With 20 per case the
# base adds 5% to the variance of a coefficient (1 + 1/20). With many conversions the variance is
# small, and fewer rows are enough.
BASE_PER_CASE, MIN_BASE, MAX_BASE = 20, 20_000, 200_000


@dataclass(frozen=True, eq=False)
class CaseBaseSample:
    """Conversions (cases) and a base series of times at which a conversion was possible.

    The base is drawn from all time at risk. The ratio of the rates at two kinds of times follows
    from how frequent each kind is among the cases and in the base.

    Source: Hanley & Miettinen (2009), "Fitting smooth-in-time prognostic risk functions via
    logistic regression", The International Journal of Biostatistics 5(1), article 3.

    Attributes:
        histories: the source of the conversions and of the times at risk.
        user: shape `(n_rows,)`; the cases come first, in the order of the conversions.
        time: shape `(n_rows,)`, days.
        weight: shape `(n_rows,)`: the number of conversions of a case, the person-days at risk of a
            row of the base.
        event: shape `(n_cases,)`, the index of each case among the conversions of the histories.
    """

    histories: Histories
    user: Ints
    time: Floats
    weight: Floats
    event: Ints

    @classmethod
    def from_histories(
        cls, histories: Histories, rng: np.random.Generator, minimum: int = MIN_BASE
    ) -> CaseBaseSample:
        """Every conversion, and times drawn evenly, or every day if that takes no more rows.

        Args:
            histories: histories with a conversion and time at risk.
            rng: draws the times.
            minimum: minimum of base rows, unless there are fewer days.
        """
        cases = histories.n_events
        n = max(min(BASE_PER_CASE * cases, MAX_BASE), cases, minimum)
        days = np.maximum(histories.risk_end() - histories.start, 0)
        if np.ceil(days[histories.weight > 0]).sum() <= n:
            return cls.from_days(histories, rng)
        return cls.from_person_time(histories, rng, n)

    @classmethod
    def from_person_time(
        cls, histories: Histories, rng: np.random.Generator, n: int
    ) -> CaseBaseSample:
        """Every conversion, and n times drawn evenly from all time at risk.

        Stratified: the time at risk of all users, laid end to end and weighted by users, is cut
        into n equal pieces, and one time is drawn in each, then moved to a time of day at which
        people convert.
        """
        user, time, days = _evenly_in_time(histories, rng, n)
        time = _at_hours_of_conversion(histories, user, time, rng)
        return cls._with_cases(histories, user, time, np.full(n, days / n))

    @classmethod
    def from_exposure(
        cls, histories: Histories, rng: np.random.Generator, minimum: int = MIN_BASE
    ) -> CaseBaseSample:
        """Every conversion, times drawn evenly, and half as many drawn soon after touchpoints.

        A touchpoint whose effect fades within a day is carried at few times in a hundred. Where
        times are drawn evenly, few of them are such times, and the coefficients of such channels
        are mostly noise of the draw. Here each channel has as many times after its touchpoints
        as each other channel. All times are moved within their day to hours at which people
        convert; weights are person-days by the density of both kinds of draws on that day (balance
        heuristic: Veach & Guibas 1995, SIGGRAPH, 419–428).

        Args:
            histories: histories with a conversion and time at risk.
            rng: draws the times.
            minimum: minimum of times drawn evenly.
        """
        n = max(min(BASE_PER_CASE * histories.n_events, MAX_BASE), minimum)
        user, time, days = _evenly_in_time(histories, rng, n)
        mass = _mass_by_channel(histories)
        drawn = _after_touchpoints(histories, mass, rng, n // 2)
        user, time = np.concatenate([user, drawn[0]]), np.concatenate([time, drawn[1]])
        weight = 1 / (n / days + n // 2 * _density_by_day(histories, user, time) @ mass)
        if histories.timeline is None:
            time = np.floor(time) + rng.random(len(time))
        else:
            time = _at_hours_of_conversion(histories, user, time, rng)
        kept = (time >= histories.start[user]) & (time <= histories.risk_end()[user])
        user, time, weight = user[kept], time[kept], weight[kept]
        return cls._with_cases(histories, user, time, weight * (days / weight.sum()))

    @classmethod
    def from_days(cls, histories: Histories, rng: np.random.Generator) -> CaseBaseSample:
        """Every conversion, and one time on every day at risk of every user (person-period rows).

        The time is the middle of the day, moved to a time of day at which people convert.
        """
        until = histories.risk_end()
        days = np.where(histories.weight > 0, np.maximum(until - histories.start, 0), 0)
        cuts = np.concatenate(([0], np.cumsum(np.ceil(days).astype(np.int64))))
        user = np.repeat(np.arange(histories.n_users), np.diff(cuts))
        begin = position(cuts).astype(np.float64)
        length = np.minimum(spread(days, cuts) - begin, 1)
        time = histories.start[user] + begin + length / 2
        time = _at_hours_of_conversion(histories, user, time, rng)
        return cls._with_cases(histories, user, time, length * histories.weight[user])

    @classmethod
    def _with_cases(
        cls, histories: Histories, user: Ints, time: Floats, weight: Floats
    ) -> CaseBaseSample:
        return cls(
            histories=histories,
            user=np.concatenate([histories.event_user, user]),
            time=np.concatenate([histories.event_time, time]),
            weight=np.concatenate([histories.event_weight, weight]),
            event=np.arange(histories.n_events),
        )

    @property
    def n_cases(self) -> int:
        """Conversions in the sample."""
        return len(self.event)

    @property
    def is_case(self) -> Mask:
        """Whether a row is a conversion, shape `(n_rows,)`."""
        return np.arange(len(self.user)) < self.n_cases

    @property
    def scale(self) -> float:
        """Conversions per person-day at which cases and base have the same weight.

        A classifier of cases against base, weighted by `balanced`, predicts the odds of a case;
        the hazard is `odds * scale`.
        """
        cases, base = self.weight[: self.n_cases], self.weight[self.n_cases :]
        n_base = len(base)
        return float(cases.sum() / max(self.n_cases, 1) * n_base / base.sum())

    @property
    def balanced(self) -> Floats:
        """Weights for a classifier, mean 1, `(n_rows,)`; equal if users have equal weights."""
        weight = self.weight.copy()
        weight[self.n_cases :] *= self.scale
        balanced: Floats = weight / weight.mean()
        return balanced

    def period(self, days: float) -> Ints:
        """The calendar period of each row, `days` days long, 0 for the first, shape `(n_rows,)`."""
        period = (self.time // days).astype(np.int64)
        counted: Ints = period - period.min()
        return counted

    def met(self, since: float, until: float) -> Floats:
        """Number of touchpoints of each channel from `since` to `until` days after a row's time.

        Args:
            since: days, excluded; negative for the past.
            until: days, included.

        Returns:
            Counts, shape `(n_rows, n_channels)`.
        """
        h = self.histories
        low, high = (h.seen_by(self.user, self.time + days) for days in (since, until))
        cuts = np.concatenate(([0], np.cumsum(high - low)))
        touched = position(cuts) + spread(low, cuts)
        cell = owner(cuts) * h.n_channels + h.codes[touched]
        counts = np.bincount(cell, minlength=len(self.user) * h.n_channels)
        return counts.astype(np.float64).reshape(-1, h.n_channels)

    def adstock(self, kernel: Kernel | Floats | float) -> Floats:
        """The adstock of users at the rows' times, shape `(n_rows, n_channels)`.

        For a case, touchpoints count that came before it in the log's order; for a row of the base
        also touchpoints at exactly its time.

        Args:
            kernel: as for `Histories.adstock`.
        """
        n, h = self.n_cases, self.histories
        base = h.adstock_at(self.user[n:], self.time[n:], kernel)
        return np.vstack([h.adstock(kernel)[self.event], base])

    def keep(self, which: Mask) -> CaseBaseSample:
        """The rows under a mask, their weights unchanged."""
        event = self.event[which[: self.n_cases]]
        return CaseBaseSample(
            self.histories, self.user[which], self.time[which], self.weight[which], event
        )

    def thinned(self, max_cases: int, base_per_case: int, min_base: int) -> CaseBaseSample:
        """Evenly spaced cases and base rows, with weights that sum to those of all.

        Args:
            max_cases: maximum of cases kept.
            base_per_case: base rows kept for each case.
            min_base: minimum of base rows kept.
        """
        n_base, n_cases = len(self.user) - self.n_cases, min(self.n_cases, max_cases)
        case = _evenly_spaced(self.n_cases, n_cases)
        n_kept = min(n_base, max(base_per_case * n_cases, min_base))
        kept = np.concatenate([case, self.n_cases + _evenly_spaced(n_base, n_kept)])
        weight = self.weight[kept]
        for part, whole in (
            (weight[:n_cases], self.weight[: self.n_cases]),
            (weight[n_cases:], self.weight[self.n_cases :]),
        ):
            part *= whole.sum() / part.sum()
        return CaseBaseSample(
            self.histories, self.user[kept], self.time[kept], weight, self.event[case]
        )


# Half-lives in days of the ages at which times are drawn after touchpoints, half of them by each.
_SOON: tuple[float, ...] = (0.25, 6.0)


def ages_after(n: int, rng: np.random.Generator) -> Floats:
    """Ages in days, shape `(n,)`, drawn from the density of `density_after`."""
    half_life = np.array(_SOON)[rng.integers(len(_SOON), size=n)]
    ages: Floats = rng.exponential(half_life / np.log(2))
    return ages


def density_after(histories: Histories, user: Ints, time: Floats) -> Floats:
    """The density of draws after each channel's touchpoints, `(n_times, n_channels)`.

    Per day and touchpoint: the mean of exponential densities of the ages, summed over the user's
    touchpoints.
    """
    density = np.zeros((len(user), histories.n_channels))
    for half_life in _SOON:
        fade = histories.adstock_at(user, time, half_life)
        density += fade * (np.log(2) / half_life / len(_SOON))
    return density


def _evenly_in_time(
    histories: Histories, rng: np.random.Generator, n: int
) -> tuple[Ints, Floats, float]:
    """A time in each of n equal pieces of all time at risk: users, times, and all person-days."""
    until, order = histories.risk_end(), histories.by_content
    days = np.maximum(until - histories.start, 0) * histories.weight
    ends = np.cumsum(days[order])
    at = (np.arange(n) + rng.random(n)) * (ends[-1] / n)
    place = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
    user = order[place]
    into = (ends[place] - at) / histories.weight[user]
    return user, np.maximum(until[user] - into, histories.start[user]), float(ends[-1])


def _mass_by_channel(histories: Histories) -> Floats:
    """The chance of each channel's touchpoint to be drawn, per user it stands for."""
    weight = histories.weight[histories.owner]
    met = np.bincount(histories.codes, weight, histories.n_channels).astype(np.float64)
    n_met = max(int(np.count_nonzero(met)), 1)
    mass: Floats = np.divide(1 / n_met, met, out=np.zeros_like(met), where=met > 0)
    return mass


def _after_touchpoints(
    histories: Histories, mass: Floats, rng: np.random.Generator, n: int
) -> tuple[Ints, Floats]:
    """Users and times of n draws after touchpoints, at risk or not."""
    if not len(histories.time):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    place = np.empty(histories.n_users, dtype=np.int64)
    place[histories.by_content] = np.arange(histories.n_users)
    order = np.argsort(place[histories.owner], kind="stable")
    chance = (mass[histories.codes] * histories.weight[histories.owner])[order]
    ends = np.cumsum(chance)
    at = (np.arange(n) + rng.random(n)) * (ends[-1] / n)
    touched = order[np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)]
    user = histories.owner[touched]
    time = histories.time[touched] + ages_after(n, rng)
    return user, time


def _density_by_day(histories: Histories, user: Ints, time: Floats) -> Floats:
    """As `density_after`, the mean over the day of each time."""
    first = np.floor(time)
    density = np.zeros((len(user), histories.n_channels))
    # With this half-life nothing fades, and the difference over the day counts its touchpoints.
    never = 1e12
    met = histories.adstock_at(user, first + 1, never) - histories.adstock_at(user, first, never)
    for half_life in _SOON:
        faded = histories.adstock_at(user, first, half_life) + met
        faded -= histories.adstock_at(user, first + 1, half_life)
        density += faded / len(_SOON)
    return density


def _evenly_spaced(n: int, kept: int) -> Ints:
    """Indices of `kept` out of n, as evenly spaced as possible."""
    return (np.arange(kept) * n) // max(kept, 1)


def _at_hours_of_conversion(
    histories: Histories, user: Ints, time: Floats, rng: np.random.Generator
) -> Floats:
    """Times on the same days, at times of day drawn from those of the conversions.

    People convert when they are awake, and they meet touchpoints then too. With a base spread over
    day and night, every channel would seem to work. On a simulated log, a base an eighth of a day
    later than the conversions lowered every coefficient by 0.1.

    Args:
        histories: if they have no timeline, they have no clock, and times do not change.
        user: shape `(n,)`.
        time: shape `(n,)`, days; a time does not change if the user is not at risk at the new one.
        rng: draws the times of day.
    """
    if histories.timeline is None:
        return time
    chance = histories.event_weight / histories.event_weight.sum()
    # Sorted, so that the draw does not depend on the order of users.
    order = np.lexsort((histories.event_weight, histories.event_time))
    drawn = order[rng.choice(histories.n_events, len(time), p=chance[order])]
    hour = histories.event_time[drawn] % 1
    moved = np.floor(time) + hour
    at_risk = (moved >= histories.start[user]) & (moved < histories.risk_end()[user])
    return np.where(at_risk, moved, time)
