"""The likelihood of conversions whose hazard is a sum of parts, and its maximum.

The parts are the channels' touchpoints and, last, the baseline.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, spread
from mta_models.data.histories import Histories
from mta_models.data.kernels import KernelGrid
from mta_models.errors import InvariantError
from mta_models.models.incremental.hazard.calendar import days_by_week, n_weeks_until, week_of

_EM_STEPS = 20
_NEWTON_STEPS = 200
_HALVINGS = 40
# Fraction of all conversions: a Newton step this small ends the iteration.
_SMALL_STEP = 1e-9
# Fraction of all conversions by which a fit that stopped early may miss the conditions of a maximum
# without a warning.
_KKT = 1e-7
# Fraction of the largest eigenvalue below which information is rounding.
_SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Rates:
    """The data of the likelihood Σ w_i log(Σ_j θ_j rate_ji) − Σ_j θ_j cost_j.

    Attributes:
        rate: shape `(n_parts, n_rows)`, the hazard at each conversion for one unit of each θ.
        weight: shape `(n_rows,)`, conversions that each row stands for, above 0.
        cost: shape `(n_parts,)`, the integrated hazard of all users for one unit of each θ.
    """

    rate: Floats
    weight: Floats
    cost: Floats

    @cached_property
    def total(self) -> float:
        """All conversions."""
        return float(self.weight.sum())

    @cached_property
    def usable(self) -> Ints:
        """The parts whose θ can be above 0 at the maximum: those with a cost, at some conversion.

        The likelihood has no bound in a part without cost: its θ stays 0, and the model warns.
        """
        return np.flatnonzero((self.cost > 0) & (self.rate > 0).any(axis=1))

    def log_likelihood(self, theta: Floats) -> float:
        """At θ, shape `(n_parts,)`."""
        with np.errstate(divide="ignore"):
            return float(self.weight @ np.log(theta @ self.rate) - self.cost @ theta)

    def information(self, theta: Floats) -> Floats:
        """The observed information Σ w_i rate_ji rate_ki / λ_i², shape `(n_parts, n_parts)`."""
        scaled = self.rate * (np.sqrt(self.weight) / (theta @ self.rate))
        information: Floats = scaled @ scaled.T
        return information


class RatesByKernel:
    """Rates by every kernel of a grid, from one pass over the touchpoints for each.

    Conversions with the same touchpoints at the same ages are one row, and so are all conversions
    without any, so that the table grows with distinct conversions only.

    Args:
        histories: with conversions.
        risk: shape `(n_users,)`, until when each user is at risk.
        grid: the kernels, for each channel `n_grid`.
        keep: keep each user's exposures, which `reweighted` needs.
        weekly: keep the calendar week of conversions: those of different weeks are different rows.

    Attributes:
        at_event: shape `(n_grid, n_channels, n_rows)`, kernels at the conversions per day.
        exposure: shape `(n_grid, n_channels)`, kernels integrated over the time at risk of all
            users: the conversions if every touchpoint brought one.
        weight: shape `(n_rows,)`, conversions of each row.
        days: time at risk of all users together.
        week: shape `(n_rows,)`, the calendar week of each row, from the log's start; 0 if not
            `weekly`.
        days_by_week: shape `(n_weeks,)`, time at risk in each week; if not `weekly`, in all.
    """

    def __init__(
        self,
        histories: Histories,
        risk: Floats,
        grid: KernelGrid,
        keep: bool = False,
        weekly: bool = False,
    ) -> None:
        k = histories.n_channels
        self._risk = risk
        self._n_weeks = n_weeks_until(histories.end) if weekly else 1
        weeks = week_of(histories.event_time, self._n_weeks)
        self._group, leader = _same_past(histories, weeks)
        self._week = weeks[leader]
        self._rows = np.empty((len(grid), k, len(leader)))
        self.exposure = np.empty((len(grid), k))
        self._by_user: list[Floats] = []
        for place in range(len(grid)):
            kernel = grid.chosen(np.full(k, place))
            density = kernel.per_day(np.ones(k))
            self._rows[place] = (histories.adstock(kernel)[leader] * density).T
            if keep:
                each = histories.by_cell(histories.exposure(kernel, risk))
                self._by_user.append(each * density[histories.cells[1]])
            else:
                self.exposure[place] = histories.totals(kernel, risk) * density
        self._weigh(histories)

    def _weigh(self, histories: Histories) -> None:
        n_rows = self._rows.shape[2]
        weight = np.bincount(self._group, histories.event_weight, n_rows).astype(np.float64)
        some = weight > 0
        self.weight: Floats = weight[some]
        self.at_event = self._rows if some.all() else self._rows[:, :, some]
        self.week: Ints = self._week if some.all() else self._week[some]
        self.days = histories.days(self._risk)
        self.days_by_week: Floats = days_by_week(
            histories.start, self._risk, histories.weight, self._n_weeks
        )
        if self._by_user:
            offsets, codes = histories.cells
            users, k = spread(histories.weight, offsets), histories.n_channels
            self.exposure = np.array([np.bincount(codes, x * users, k) for x in self._by_user])

    def reweighted(self, histories: Histories) -> RatesByKernel:
        """The table of the same histories with other weights, if this one was made to `keep`."""
        other = copy(self)
        other._weigh(histories)
        return other

    def rates(self, choice: Ints, factor: Floats | None = None) -> Rates:
        """Those of one kernel per channel, and of a baseline that a factor by week multiplies.

        Args:
            choice: places on the grid, shape `(n_channels,)`.
            factor: shape `(n_weeks,)`; None: 1.
        """
        channels = np.arange(len(choice))
        kernels = self.at_event[choice, channels]
        baseline = np.ones(len(self.weight)) if factor is None else factor[self.week]
        days = self.days if factor is None else float(factor @ self.days_by_week)
        return Rates(
            np.concatenate([kernels, baseline[None]]),
            self.weight,
            np.append(self.exposure[choice, channels], days),
        )


def _same_past(histories: Histories, week: Ints) -> tuple[Ints, Ints]:
    """Conversions in the same week with the same past: the group of each, and the group's first.

    Pasts are hashed by a random linear form of their adstocks at two half-lives, and equal hashes
    are compared. Equal pasts that differ by rounding are not merged, which costs time only.
    """
    seen = np.hstack([week[:, None], *(histories.adstock(half_life) for half_life in (1.0, np.pi))])
    form = np.random.default_rng(0).random(seen.shape[1])
    # Not a matrix product: that may sum equal rows in different orders.
    digest = (seen * form).sum(axis=1)
    _, leader, group = np.unique(digest, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    odd = np.flatnonzero((seen != seen[leader[group]]).any(axis=1))
    group[odd] = len(leader) + np.arange(len(odd))
    return group, np.concatenate([leader, odd])


@dataclass(frozen=True, eq=False)
class Maximum:
    """The maximum of a likelihood of additive rates.

    Attributes:
        theta: shape `(n_parts,)`, >= 0.
        path: shape `(n_iterations + 1,)`, the log-likelihood at each iteration; it never falls.
        converged: whether the conditions of a maximum hold at `theta`.
    """

    theta: Floats
    path: Floats
    converged: bool


def maximise_additive(rates: Rates, start: Floats | None = None, gap: float = 0.0) -> Maximum:
    """The θ >= 0 of maximum likelihood: EM steps first, then Newton's method.

    An EM step gives each part its share of every conversion, θ_j rate_ji / λ_i, and divides the sum
    by the part's cost. In units of conversions, φ_j = θ_j cost_j, this is the EM of the proportions
    of a mixture, which is slow near the maximum. So Newton steps follow: each solves a non-negative
    least-squares problem, which keeps φ >= 0, and is halved until the likelihood rises (as in Kim,
    Carbonetto, Stephens & Anitescu 2020, doi 10.1080/10618600.2019.1689985).

    The likelihood is concave. Where it has no single maximum, the start decides: an equal
    proportion for each part.

    Args:
        rates: at least one conversion, and at each a usable part with a rate above 0.
        start: shape `(n_parts,)`, θ to start from; None: an equal share for each part.
        gap: stop once the log-likelihood is this near its maximum; 0: iterate to convergence.

    Example:
        Ten conversions in 100 days, six of which only the baseline (the last part) can explain:

        >>> rate = np.array([[0.0, 9.0], [1.0, 1.0]])
        >>> best = maximise_additive(Rates(rate, np.array([6.0, 4.0]), np.array([50.0, 100.0])))
        >>> best.theta.round(4), best.converged
        (array([0.0729, 0.0635]), True)
    """
    used = rates.usable
    mixture = _Mixture(
        rates.rate[used] * (rates.total / rates.cost[used])[:, None], rates.weight / rates.total
    )
    phi = np.full(len(used), 1 / max(len(used), 1))
    if start is not None:
        known = start[used] * rates.cost[used] / rates.total
        phi = 0.95 * known / max(float(known.sum()), 1e-300) + 0.05 * phi
    first = mixture.value(phi)
    if not np.isfinite(first):
        raise InvariantError(
            "every conversion must have a part with a rate above 0; one has none. This is a bug: "
            "please report it"
        )
    rises, n_em, converged = [first], 1 if start is not None else _EM_STEPS, False
    while not converged and len(rises) <= n_em + _NEWTON_STEPS:
        rate = phi @ mixture.part
        pull = mixture.part @ (mixture.share / rate)
        # By Jensen's inequality the maximum is at most this far above.
        if gap and rates.total * (np.log(pull.max()) + phi.sum() - 1) < gap:
            converged = True
            break
        move, rise = np.zeros_like(phi), 0.0
        if len(rises) > n_em:
            move = mixture.newton(phi, rate, pull) - phi
            converged = float(np.abs(move).max()) <= _SMALL_STEP
            move, rise = mixture.uphill(move, rate)
        if rise == 0.0 and not converged:
            move = phi * (pull - 1)  # EM, which never falls
            rise = mixture.rise(move, rate)
        phi = np.maximum(phi + move, 0)
        rises.append(rise)
    theta = np.zeros(len(rates.cost))
    theta[used] = phi * rates.total / rates.cost[used]
    return Maximum(theta, rates.total * np.cumsum(rises), converged or mixture.off(phi) < _KKT)


def standard_errors(rates: Rates, theta: Floats) -> tuple[Floats, Mask]:
    """Standard errors of θ by the observed information on the parts above 0.

    Returns:
        Standard errors, shape `(n_parts,)`, NaN where θ is 0 or the information is singular; and
        which parts are collinear, that is, share in a singular direction, shape `(n_parts,)`.
    """
    free = np.flatnonzero(theta > 0)
    errors = np.full(len(theta), np.nan)
    collinear = np.zeros(len(theta), dtype=bool)
    information = rates.information(theta)[np.ix_(free, free)]
    # In units of θ: relative precision, which does not depend on the scale of the rates.
    values, vectors = np.linalg.eigh(information * np.outer(theta[free], theta[free]))
    lost = values < _SINGULAR * values.max(initial=0)
    collinear[free] = (np.abs(vectors[:, lost]) > 1e-3).any(axis=1)
    variance = (vectors[:, ~lost] ** 2 / values[~lost]).sum(axis=1)
    errors[free] = theta[free] * np.sqrt(variance)
    errors[collinear] = np.nan
    return errors, collinear


@dataclass(frozen=True, eq=False)
class _Mixture:
    """The likelihood per conversion in terms of φ = θ cost / total: Σ p_i log(φ·part_i) − Σ φ."""

    part: Floats
    share: Floats

    def value(self, phi: Floats) -> float:
        with np.errstate(divide="ignore"):
            return float(self.share @ np.log(phi @ self.part) - phi.sum())

    def rise(self, move: Floats, rate: Floats) -> float:
        """The gain of a move, with the relative precision of the gain and not of the value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.share @ np.log1p((move @ self.part) / rate) - move.sum())

    def uphill(self, move: Floats, rate: Floats) -> tuple[Floats, float]:
        """The move, halved until it gains, and the gain; 0 and 0 if it never does."""
        for _ in range(_HALVINGS):
            rise = self.rise(move, rate)
            if rise > 0:
                return move, rise
            move = move / 2
        return np.zeros_like(move), 0.0

    def newton(self, phi: Floats, rate: Floats, pull: Floats) -> Floats:
        """The φ >= 0 at which the quadratic model of the likelihood at `phi` is largest."""
        from scipy import optimize

        scaled = self.part * (np.sqrt(self.share) / rate)
        curve = scaled @ scaled.T
        # In directions without information nothing can be gained: a step there would be rounding,
        # and depend on the order of the parts.
        values, vectors = np.linalg.eigh(curve)
        lost = vectors[:, values < _SINGULAR * values[-1]]
        curve += values[-1] * lost @ lost.T
        root = np.linalg.cholesky(curve)
        aim = np.linalg.solve(root, pull - 1 + curve @ phi)
        return np.asarray(optimize.nnls(root.T, aim)[0], dtype=np.float64)

    def off(self, phi: Floats) -> float:
        """How far φ is from the conditions of a maximum, as a fraction of all conversions."""
        pull = self.part @ (self.share / (phi @ self.part))
        kept = np.abs(phi * (pull - 1)).max(initial=0)
        return float(max(kept, (pull - 1).max(initial=0)))
