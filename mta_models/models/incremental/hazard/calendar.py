"""A factor of each calendar week on the baseline of an additive hazard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints

_WEEK = 7.0


@dataclass(frozen=True, eq=False)
class Calendar:
    """A factor that is constant within each week, counted from the log's start.

    Before the first week it is that of the first, after the last week that of the last.

    Attributes:
        factor: shape `(n_weeks,)`, > 0.

    Example:
        >>> calendar = Calendar(np.array([1.0, 2.0]))
        >>> calendar.at(np.array([6.0, 8.0])), calendar.between(np.array([6.0]), np.array([8.0]))
        (array([1., 2.]), array([3.]))
    """

    factor: Floats

    def at(self, time: Floats) -> Floats:
        """The factor at times in days, in their shape."""
        factor: Floats = self.factor[week_of(time, len(self.factor))]
        return factor

    def between(self, begin: Floats, stop: Floats) -> Floats:
        """The integral of the factor from one day to another, in days; `begin <= stop`."""
        integral: Floats = self._since_start(stop) - self._since_start(begin)
        return integral

    def _since_start(self, time: Floats) -> Floats:
        week = week_of(time, len(self.factor))
        before = np.concatenate(([0.0], np.cumsum(self.factor)))[week] * _WEEK
        since: Floats = before + (time - week * _WEEK) * self.factor[week]
        return since


def n_weeks_until(end: Floats) -> int:
    """Weeks from the log's start to the last of some times in days; at least 1."""
    return max(int(np.ceil(end.max(initial=0.0) / _WEEK)), 1)


def week_of(time: Floats, n_weeks: int) -> Ints:
    """The week of each time in days, the first or the last of `n_weeks` for times outside."""
    week: Ints = np.clip(np.floor(time / _WEEK), 0, n_weeks - 1).astype(np.int64)
    return week


def days_by_week(start: Floats, stop: Floats, weight: Floats, n_weeks: int) -> Floats:
    """Time of all users together in each week, shape `(n_weeks,)`.

    Args:
        start: shape `(n_users,)`, days since the log's start.
        stop: shape `(n_users,)`, >= `start`.
        weight: shape `(n_users,)`, users that each stands for.
        n_weeks: of the result; time outside counts in the first and the last.

    Example:
        >>> days_by_week(np.array([5.0]), np.array([16.0]), np.ones(1), 3)
        array([2., 7., 2.])
    """
    until = _time_since(start, weight, n_weeks) - _time_since(stop, weight, n_weeks)
    inside: Floats = np.diff(until).astype(np.float64)
    inside[0] += until[0]
    inside[-1] += float(weight @ (stop - start)) - until[-1]
    return inside


def _time_since(begin: Floats, weight: Floats, n_weeks: int) -> Floats:
    """Σ_u w_u max(b − begin_u, 0) at each week's bounds b, shape `(n_weeks + 1,)`."""
    # A user counts at all bounds after its own week; in the places of the bounds, week + 1.
    place = np.clip(np.floor(begin / _WEEK) + 1, 0, n_weeks + 1).astype(np.int64)
    bounds = np.arange(n_weeks + 1) * _WEEK
    many = np.cumsum(np.bincount(place, weight, n_weeks + 2))[:-1]
    when = np.cumsum(np.bincount(place, weight * begin, n_weeks + 2))[:-1]
    since: Floats = (bounds * many - when).astype(np.float64)
    return since
