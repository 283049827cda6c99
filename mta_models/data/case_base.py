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
        until = histories.risk_end()
        days = np.maximum(until - histories.start, 0)
        ends = np.cumsum(days * histories.weight)
        at = (np.arange(n) + rng.random(n)) * (ends[-1] / n)
        user = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
        into = (ends[user] - at) / histories.weight[user]
        time = np.maximum(until[user] - into, histories.start[user])
        time = _at_hours_of_conversion(histories, user, time, rng)
        return cls._with_cases(histories, user, time, np.full(n, ends[-1] / n))

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
    hour = histories.event_time[rng.choice(histories.n_events, len(time), p=chance)] % 1
    moved = np.floor(time) + hour
    at_risk = (moved >= histories.start[user]) & (moved < histories.risk_end()[user])
    return np.where(at_risk, moved, time)
