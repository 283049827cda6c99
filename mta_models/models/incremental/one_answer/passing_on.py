"""Credit passed on: touchpoints that other channels brought about.

Retargeting follows visits, and a visit follows the click that opened it. Without the channel of the
click both touchpoints are gone, so that a part of the second one's credit is the first one's: in
the Shapley value, half of what needs both.
"""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories

# Days before and after a touchpoint on which a channel is looked for; z and part of touchpoints
# from which one channel is taken to bring about another.
_DAYS, _Z, _LEAST = 5.0, 6.0, 0.03
_FEWEST = 50  # touchpoints
_HALF = 0.5


def brought_about(others: Histories) -> Floats:
    """The part of each channel's touchpoints that each other channel brings about.

        ρ_cd = (P(c in the 5 days before a touchpoint of d) − P(c in the 5 days after)) /
               (1 − P(c in the 5 days after))

    among users who never convert. What both have in common, such as a heavy user, shows on both
    sides and cancels.

    Args:
        others: users who never convert.

    Returns:
        Shape `(n_channels, n_channels)`: row c, column d; 0 where it is not clear.
    """
    k = others.n_channels
    part = np.zeros((k, k))
    total = np.bincount(others.codes, minlength=k).astype(np.float64)
    for c in np.flatnonzero(total >= _FEWEST):
        own = np.flatnonzero(others.codes == c)
        cuts = np.searchsorted(others.owner[own], np.arange(others.n_users + 1))
        own_time = others.time[own]
        before = _within(others, cuts, own_time, -_DAYS, 0.0)
        after = _within(others, cuts, own_time, 0.0, _DAYS)
        seen, met = (np.bincount(others.codes[each], minlength=k) for each in (before, after))
        z = (seen - met) / np.sqrt(seen + met + 1)
        ahead = met / np.maximum(total, 1)
        share = (seen / np.maximum(total, 1) - ahead) / np.maximum(1 - ahead, 1e-9)
        clear = (z > _Z) & (share > _LEAST) & (np.arange(k) != c)
        part[c, clear] = share[clear]
    return part


def _within(others: Histories, cuts: Ints, own_time: Floats, low: float, high: float) -> Mask:
    """Whether a channel was met from `low` to `high` days after each touchpoint of its user.

    Args:
        others: the users.
        cuts: shape `(n_users + 1,)`, where each user's touchpoints of the channel begin.
        own_time: shape `(n_own,)`, their times.
        low: days, negative before the touchpoint.
        high: days.
    """
    user = others.owner
    first = _place(cuts, own_time, user, others.time + low)
    last = _place(cuts, own_time, user, np.nextafter(others.time + high, np.inf))
    some: Mask = last > first
    return some


def _place(cuts: Ints, times: Floats, user: Ints, time: Floats) -> Ints:
    """The first of the user's times not before each time: binary searches run together."""
    low, high = cuts[user].copy(), cuts[user + 1].copy()
    for _ in range(int((high - low).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        open_ = low < high
        earlier = times[np.minimum(middle, len(times) - 1)] < time
        low = np.where(open_ & earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


def passing(part: Floats) -> Floats:
    """The matrix that passes credit on: new credit = matrix @ credit, column sums 1.

    Of a channel's credit, half of the part of its touchpoints that others brought about goes to
    these, in proportion.
    """
    k = len(part)
    matrix = np.eye(k)
    for d in np.flatnonzero(part.any(axis=0)):
        given = _HALF * (1 - np.prod(1 - part[:, d]))
        matrix[d, d] = 1 - given
        matrix[:, d] += given * part[:, d] / part[:, d].sum()
    return matrix
