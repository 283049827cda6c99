"""Users' own levels by empirical Bayes: who converted more than the rate says will again."""

from __future__ import annotations

import numpy as np

from mta_models.ragged import Floats

# Users that the prior is learnt from, at most.
_LEARNT_FROM = 100_000


def user_levels(count: Floats, integral: Floats, weight: Floats) -> Floats:
    """E[z | count] of every user, where count ~ Poisson(z · integral) and z ~ Gamma(a, b).

    a and b maximise the likelihood of all users' counts (negative binomial); a user's level is
    then (a + count) / (b + integral).

    Args:
        count: shape `(n_users,)`, conversions so far.
        integral: shape `(n_users,)`, of the relative rate while at risk of them, >= 0.
        weight: shape `(n_users,)`, users that each stands for.
    """
    from scipy.optimize import minimize
    from scipy.special import gammaln

    total, risk = float(weight @ count), float(weight @ integral)
    if not total or not risk:
        return np.zeros(len(count))
    step = -(-len(count) // _LEARNT_FROM)
    n, x, w = count[::step], integral[::step], weight[::step]
    mean = total / risk

    def loss(theta: Floats) -> float:
        a, level = np.exp(theta)
        b = a / level
        each = gammaln(a + n) - gammaln(a) + a * np.log(b) - (a + n) * np.log(b + x)
        return -float(w @ each) / float(w.sum())

    start = np.array([0.0, np.log(mean)])
    bounds = [(-7.0, 7.0), (start[1] - 7, start[1] + 7)]
    a, level = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
    found: Floats = (a + count) / (a / level + integral)
    return found
