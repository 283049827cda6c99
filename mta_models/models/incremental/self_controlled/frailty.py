"""Users' own levels by empirical Bayes: who converted more than the rate says will again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats

# Users that the prior is learnt from, at most.
_LEARNT_FROM = 100_000


@dataclass(frozen=True)
class Levels:
    """How users' levels z differ: Gamma with `shape` and `rate`; mean shape / rate."""

    shape: float
    rate: float

    def given(self, count: Floats, integral: Floats) -> Floats:
        """E[z | count], where count ~ Poisson(z · integral), shape `(n_users,)`."""
        found: Floats = (self.shape + count) / (self.rate + integral)
        return found


def learn_levels(count: Floats, integral: Floats, weight: Floats) -> Levels:
    """The Gamma distribution of levels under which all users' counts are likeliest.

    Counts are then negative binomial.

    Args:
        count: shape `(n_users,)`, conversions.
        integral: shape `(n_users,)`, of the relative rate while at risk of them, >= 0.
        weight: shape `(n_users,)`, users that each stands for; some conversion among them.
    """
    from scipy.optimize import minimize
    from scipy.special import gammaln

    step = -(-len(count) // _LEARNT_FROM)
    n, x, w = count[::step], integral[::step], weight[::step]
    mean = float(weight @ count) / max(float(weight @ integral), 1e-300)

    def loss(theta: Floats) -> float:
        a, level = np.exp(theta)
        b = a / level
        each = gammaln(a + n) - gammaln(a) + a * np.log(b) - (a + n) * np.log(b + x)
        return -float(w @ each) / float(w.sum())

    start = np.array([0.0, np.log(mean)])
    bounds = [(-7.0, 7.0), (start[1] - 7, start[1] + 7)]
    a, level = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
    return Levels(float(a), float(a / level))
