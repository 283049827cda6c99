"""Ratios of conversion rates between two kinds of times, from a case-base sample.

A log has too much person-time to use all of it; a few ten thousand times, drawn evenly, are enough
to estimate ratios of rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.logistic_regression import chances, fit_logistic
from mta_models.core.ragged import Floats
from mta_models.data.case_base import CaseBaseSample
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError

WEEK = 7.0  # days; the length of every window here
_BASE = 50_000
_CASES = 20_000


def sample_of(journeys: Journeys, *, n_base: int = _BASE, n_cases: int = _CASES) -> CaseBaseSample:
    """The case-base sample for all checks of times; the same in every call.

    Args:
        journeys: of an event log: checks also need the touchpoints after a time.
        n_base: number of times drawn from the time at risk of all users.
        n_cases: maximum of conversions; if there are more, evenly spaced ones are taken.

    Raises:
        JourneyError: there is no timeline, no conversion, or no time at risk.
    """
    if journeys.timeline is None:
        raise JourneyError("it needs the timeline of an event log")
    histories = journeys.histories
    if not histories.n_events or not (histories.risk_end() > histories.start).any():
        raise JourneyError("it needs a conversion, and users at risk for some time")
    rng = np.random.default_rng(0)
    return CaseBaseSample.from_person_time(histories, rng, n_base).thinned(n_cases, 0, n_base)


@dataclass(frozen=True, eq=False)
class RateRatios:
    """Ratios of conversion rates on the log scale, with their standard errors.

    Attributes:
        log: shape `(n,)`.
        error: shape `(n,)`; users are taken as independent, rows of one user are not.
    """

    log: Floats
    error: Floats

    def bounds(self, z: float) -> tuple[Floats, Floats]:
        """Bounds of the ratios, z standard errors to either side on the log scale."""
        return np.exp(self.log - z * self.error), np.exp(self.log + z * self.error)


def rate_ratios(sample: CaseBaseSample, of: Floats, given: Floats) -> RateRatios:
    """Ratio of conversion rates per unit of each column of `of`, adjusted for `given`.

    A logistic regression of case against base. Because the base is drawn from all time at risk, the
    coefficients are those of log rates (Hanley and Miettinen 2009). Standard errors are sandwich
    estimates, clustered by user.

    Args:
        sample: a sample of n rows.
        of: shape `(n, p)`.
        given: shape `(n, q)`, adjusted for, with calendar weeks and a constant.

    Returns:
        p ratios. A column that does not vary has ratio 1 with an infinite error.
    """
    weeks = sample.period(WEEK)
    calendar = (weeks[:, None] == np.unique(weeks)).astype(np.float64)
    x = np.hstack([of, given, calendar])
    centre, scale = x.mean(axis=0), x.std(axis=0)
    varies = scale > 0
    flat = ~varies[: of.shape[1]]
    scale = np.where(varies, scale, 1.0)
    z = np.hstack([np.ones((len(x), 1)), (x - centre) / scale])
    # A ridge of 1 (about one observation) keeps coefficients of inseparable columns finite.
    fit = fit_logistic(z, sample.is_case, np.ones(len(z)), ridge=1.0)
    score = z * (sample.is_case - chances(z @ fit.coef))[:, None]
    order = np.argsort(sample.user, kind="stable")
    first = np.flatnonzero(np.diff(sample.user[order], prepend=-1))
    by_user = np.add.reduceat(score[order], first, axis=0)
    half = np.linalg.solve(fit.information, by_user.T)
    error = np.sqrt((half**2).sum(axis=1))[1:] / scale
    log = fit.coef[1:] / scale
    p = of.shape[1]
    return RateRatios(np.where(flat, 0.0, log[:p]), np.where(flat, np.inf, error[:p]))
