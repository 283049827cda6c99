"""Touchpoints that accompany purchases without causing them, as columns of the baseline.

Two kinds of touchpoints predict a purchase and vanish with the decision or the need, not with their
channel's budget. Visits *on the way*: whoever has decided comes back through entrances, for hours
or days, until the purchase. And touchpoints in a *need*: it raises decisions, visits and ads
together, for days. Each kind is a sum over channels with weights that the log gives without the
purchases to be explained, so that one number per half-life is left to be fitted. What a channel
shows beyond it is the channel's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories

# Half-lives, days, of visits on the way and of needs.
_ON_THE_WAY, _NEEDS = (1.0, 2.0, 4.0, 8.0), (2.0, 4.0, 8.0)
# Touchpoints of users who never convert, below which a rate is not made of them alone.
_FEWEST = 5.0
# Days around a visit through an entrance on which touchpoints are counted, and days far from it
# that they are compared with. Nearer days hold what a visit causes, or what caused it.
_AROUND, _FAR = (1.0, 7.0), (14.0, 21.0)
# z of more touchpoints around visits than far from them, on both sides, from which it counts.
_Z = 2.5
# Maximum of touchpoints of users without a conversion that are looked at; of more users, some.
_MOST = 2_000_000


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the baseline: Σ_c weight_c · adstock of c, all with one half-life.

    Attributes:
        weight: shape `(n_channels,)`, >= 0.
        half_life: days.
        need: whether it stands for needs; else for visits on the way.
    """

    weight: Floats
    half_life: float
    need: bool = False


def background_of(
    others: Histories, entrances: Mask, near: Floats, brought: Floats
) -> tuple[Column, ...]:
    """The columns that the log calls for.

    Args:
        others: some of the users who never convert, as `without_conversion` gives them.
        entrances: shape `(n_channels,)`.
        near: shape `(n_channels,)`, touchpoints shortly before a conversion of the same user.
        brought: shape `(n_channels, n_channels)`, the part of each (second) channel's touchpoints
            that each (first) channel brings about.
    """
    columns: list[Column] = []
    if (near * entrances).sum() > 0:
        weight = _on_the_way(others, entrances, near)
        # Retargeting that follows visits follows those on the way too.
        weight = np.where(entrances, weight, weight @ brought)
        columns += [Column(weight, half_life) for half_life in _ON_THE_WAY]
    weight = _in_need(others, entrances)
    if weight[entrances].any():
        columns += [Column(weight, half_life, need=True) for half_life in _NEEDS]
    return tuple(columns)


def without_conversion(histories: Histories) -> Histories:
    """Users who never convert; at most as many as have two million touchpoints.

    If there are more, every n-th is taken in the order of their first touchpoints, so that the
    choice does not depend on the order of users.
    """
    others = np.ones(histories.n_users, dtype=bool)
    others[histories.event_user] = False
    others &= (np.diff(histories.offsets) > 0) & (histories.weight > 0)
    users = np.flatnonzero(others)
    counts = np.diff(histories.offsets)[users]
    step = -(-int(counts.sum()) // _MOST)
    if step > 1:
        first = histories.time[histories.offsets[:-1][users]]
        last = histories.time[histories.offsets[1:][users] - 1]
        together = np.bincount(histories.owner, histories.time, histories.n_users)[users]
        users = users[np.lexsort((together, counts, last, first))][::step]
    return histories.take(users)


def _on_the_way(others: Histories, entrances: Mask, near: Floats) -> Floats:
    """How much likelier a touchpoint of each entrance is on the way than otherwise.

    The entrance's part in the visits in which people buy, over its part in visits of people who
    never buy: a coupon site hardly visited otherwise says more than Direct. The largest is 1.
    """
    met = np.bincount(others.codes, others.weight[others.owner], others.n_channels)
    return _relative(np.where(entrances, near / np.maximum(met, _FEWEST), 0.0))


def _in_need(others: Histories, entrances: Mask) -> Floats:
    """How far each channel is met together with visits through entrances, `(n_channels,)`.

    Among users who never convert, touchpoints within a week before and after a visit, the nearest
    day left out, are compared with those two to three weeks away. What a visit causes comes after
    it and what causes a visit comes before, so only more touchpoints on both sides show a need.
    The largest is 1; 0 where no entrance shows it.
    """
    sides = [_around(others, entrances, sign) for sign in (-1.0, 1.0)]
    ratio = np.minimum(*(each[0] for each in sides))
    z = np.minimum(*(each[1] for each in sides))
    weight = np.where(z > _Z, np.maximum(ratio - 1, 0), 0.0)
    # An ad that follows visits is met around them more often than the visits are.
    return _relative(np.minimum(weight, weight[entrances].max(initial=0.0)))


def _relative(weight: Floats) -> Floats:
    """Weights of which the largest is 1."""
    relative: Floats = weight / max(float(weight.max(initial=0.0)), 1e-300)
    return relative


def _around(others: Histories, entrances: Mask, sign: float) -> tuple[Floats, Floats]:
    """Touchpoints near visits over touchpoints far from them, on one side, and the z of its log.

    Both of shape `(n_channels,)`; ratio 1 and z 0 where there is nothing to compare.
    """
    visit = np.flatnonzero(entrances[others.codes])
    user, time = others.owner[visit], others.time[visit]
    start, end = others.start[user], others.end[user]

    def days(low: float, high: float) -> float:
        if sign > 0:
            length = np.minimum(end, time + high) - (time + low)
        else:
            length = (time - low) - np.maximum(start, time - high)
        return float(np.maximum(length, 0).sum())

    near, far = (_counts(others, user, time, sign, *span) for span in (_AROUND, _FAR))
    watched = days(*_AROUND), days(*_FAR)
    ratio, z = np.ones(others.n_channels), np.zeros(others.n_channels)
    there = (near > 0) & (far > 0)
    if min(watched) > 0 and there.any():
        ratio[there] = (near[there] / watched[0]) / (far[there] / watched[1])
        z[there] = np.log(ratio[there]) / np.sqrt(1 / near[there] + 1 / far[there])
    return ratio, z


def _counts(
    others: Histories, user: Ints, time: Floats, sign: float, low: float, high: float
) -> Floats:
    """Touchpoints in (time + low, time + high], or mirrored, summed by channel."""
    begin, until = (time + low, time + high) if sign > 0 else (time - high, time - low)
    first, last = (others.seen_by(user, each) for each in (begin, until))
    # A difference of cumulated counts instead of a list of pairs.
    n = len(others.time) + 1
    more = np.bincount(first, minlength=n) - np.bincount(last, minlength=n)
    times = np.cumsum(more)[:-1]
    return np.bincount(others.codes, times, others.n_channels).astype(np.float64)


def near_conversions(histories: Histories, until_next: Floats, window: float) -> Floats:
    """Touchpoints at most `window` days before a conversion of their user, `(n_channels,)`.

    Args:
        histories: any.
        until_next: shape `(n_touchpoints,)`, days until the user's next conversion.
        window: days.
    """
    weight = histories.weight[histories.owner] * (until_next <= window)
    return np.bincount(histories.codes, weight, histories.n_channels).astype(np.float64)
