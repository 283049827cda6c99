"""Gamma frailty, empirical Bayes: how users differ in their rate of converting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats

# Maximum of users that the prior is fitted to; of more, every n-th.
_MAX_USERS = 100_000


@dataclass(frozen=True)
class Frailty:
    """The distribution of users' frailties z: Gamma with `shape` and `rate`, mean shape / rate."""

    shape: float
    rate: float

    def mean_given(self, count: Floats, integral: Floats) -> Floats:
        """E[z | count], where count ~ Poisson(z · integral), shape `(n_users,)`."""
        mean: Floats = (self.shape + count) / (self.rate + integral)
        return mean


def fit_frailty(count: Floats, integral: Floats, weight: Floats) -> Frailty:
    """The Gamma distribution of frailties by maximum likelihood; counts are negative binomial.

    Args:
        count: shape `(n_users,)`, conversions.
        integral: shape `(n_users,)`, >= 0, of the relative rate while the user was at risk.
        weight: shape `(n_users,)`, users that each row stands for; one at least has a conversion.
    """
    from scipy.optimize import minimize
    from scipy.special import gammaln

    step = -(-len(count) // _MAX_USERS)
    n, x, w = count[::step], integral[::step], weight[::step]
    overall = float(weight @ count) / max(float(weight @ integral), 1e-300)

    def loss(theta: Floats) -> float:
        a, mean = np.exp(theta)
        b = a / mean
        each = gammaln(a + n) - gammaln(a) + a * np.log(b) - (a + n) * np.log(b + x)
        return -float(w @ each) / float(w.sum())

    start = np.array([0.0, np.log(overall)])
    bounds = [(-7.0, 7.0), (start[1] - 7, start[1] + 7)]
    a, mean = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
    return Frailty(float(a), float(a / mean))
