"""A case-base sample: conversions beside moments at which there could have been one.

Person-time is far too much to look at moment by moment; what may be said of
rates at different moments can be said from a few ten thousand of them, drawn evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.logistic_regression import chances, fit_logistic
from mta_models.core.ragged import Floats, Ints, Mask, owner, position, spread
from mta_models.data.histories import Histories, histories_of
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError

WEEK = 7.0  # days, of every window here
_BASE = 50_000
_CASES = 20_000


@dataclass(frozen=True, eq=False)
class Moments:
    """A case-base sample: moments of conversion, and moments at risk drawn evenly from all time.

    Rates at moments of one kind relative to those of another follow from how often either kind is
    found among cases and in the base. Only users of an event log have moments, since what comes
    after a moment has to be known too.

    Attributes:
        histories: whose moments they are.
        user: shape `(n_moments,)`, the history.
        time: shape `(n_moments,)`, days.
        case: shape `(n_moments,)`, whether it is a conversion.

    Source: Hanley and Miettinen 2009, International Journal of Biostatistics 5(1).
    """

    histories: Histories
    user: Ints
    time: Floats
    case: Mask

    @property
    def week(self) -> Ints:
        """The calendar week, 0 for the first there is, shape `(n_moments,)`."""
        week = (self.time // WEEK).astype(np.int64)
        counted: Ints = week - week.min()
        return counted

    def met(self, since: float, until: float) -> Floats:
        """Touchpoints of each channel from `since` to `until` days after each moment.

        Args:
            since: days, excluded; negative for the past.
            until: days, included.

        Returns:
            Counts, shape `(n_moments, n_channels)`.
        """
        h = self.histories
        low, high = (h.seen_by(self.user, self.time + days) for days in (since, until))
        cuts = np.concatenate(([0], np.cumsum(high - low)))
        touched = position(cuts) + spread(low, cuts)
        cell = owner(cuts) * h.n_channels + h.codes[touched]
        counts = np.bincount(cell, minlength=len(self.user) * h.n_channels)
        return counts.astype(np.float64).reshape(-1, h.n_channels)

    def adstock(self, half_life: float) -> Floats:
        """What users carried at the moments, shape `(n_moments, n_channels)`."""
        return self.histories.adstock_at(self.user, self.time, half_life)

    def keep(self, which: Mask) -> Moments:
        """Some of the moments."""
        return Moments(self.histories, self.user[which], self.time[which], self.case[which])


def moments_of(
    journeys: Journeys, *, n_base: int = _BASE, n_cases: int = _CASES, random_state: int = 0
) -> Moments:
    """A case-base sample of an event log.

    Users are at risk while observed and, unless somebody converts twice, up to their conversion.

    Args:
        journeys: of an event log.
        n_base: moments drawn from the time at risk of all users.
        n_cases: conversions at most; of more, as many are drawn.
        random_state: of the draws.

    Raises:
        JourneyError: there is no timeline, no conversion, or no time at risk.
    """
    if journeys.timeline is None:
        raise JourneyError("it needs the timeline of an event log")
    histories = histories_of(journeys)
    stop = histories.end if histories.repeats else histories.until_first
    after = np.cumsum(np.maximum(stop - histories.start, 0))
    if not histories.n_events or not after[-1] > 0:
        raise JourneyError("it needs a conversion, and time in which there could have been one")
    rng = np.random.default_rng(random_state)
    events = np.arange(histories.n_events)
    if len(events) > n_cases:
        events = np.sort(rng.choice(events, n_cases, replace=False))
    # One moment in each of n_base equal pieces of all time at risk.
    place = (np.arange(n_base) + rng.random(n_base)) * (after[-1] / n_base)
    user = np.minimum(np.searchsorted(after, place, side="right"), len(after) - 1)
    time = np.maximum(stop[user] - (after[user] - place), histories.start[user])
    return Moments(
        histories,
        np.concatenate([histories.event_user[events], user]),
        np.concatenate([histories.event_time[events], time]),
        np.arange(len(events) + n_base) < len(events),
    )


@dataclass(frozen=True, eq=False)
class RateRatios:
    """Ratios of conversion rates on the log scale, with their standard errors.

    Attributes:
        log: shape `(n,)`.
        error: shape `(n,)`; users are independent, their moments need not be.
    """

    log: Floats
    error: Floats

    def bounds(self, z: float) -> tuple[Floats, Floats]:
        """The ratios' bounds, z standard errors to either side on the log scale."""
        return np.exp(self.log - z * self.error), np.exp(self.log + z * self.error)


def rate_ratios(moments: Moments, of: Floats, given: Floats) -> RateRatios:
    """How many times more conversions there are per unit of each column of `of`.

    A logistic regression of case against base: since the base is drawn from all time at risk, the
    coefficients are those of log rates (Hanley and Miettinen 2009). Standard errors are those of
    the sandwich, by user.

    Args:
        moments: n of them.
        of: shape `(n, p)`.
        given: shape `(n, q)`, adjusted for; weeks and a constant are too.

    Returns:
        p ratios. A column that never varies has ratio 1 with an infinite error.
    """
    weeks = moments.week
    calendar = (weeks[:, None] == np.unique(weeks)).astype(np.float64)
    x = np.hstack([of, given, calendar])
    centre, scale = x.mean(axis=0), x.std(axis=0)
    varies = scale > 0
    flat = ~varies[: of.shape[1]]
    scale = np.where(varies, scale, 1.0)
    z = np.hstack([np.ones((len(x), 1)), (x - centre) / scale])
    # A ridge of one observation's worth keeps columns that cannot be separated finite.
    fit = fit_logistic(z, moments.case, np.ones(len(z)), ridge=1.0)
    score = z * (moments.case - chances(z @ fit.coef))[:, None]
    order = np.argsort(moments.user, kind="stable")
    first = np.flatnonzero(np.diff(moments.user[order], prepend=-1))
    by_user = np.add.reduceat(score[order], first, axis=0)
    half = np.linalg.solve(fit.information, by_user.T)
    error = np.sqrt((half**2).sum(axis=1))[1:] / scale
    log = fit.coef[1:] / scale
    p = of.shape[1]
    return RateRatios(np.where(flat, 0.0, log[:p]), np.where(flat, np.inf, error[:p]))
