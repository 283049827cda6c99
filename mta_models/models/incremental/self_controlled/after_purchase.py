"""How exposure changes with a purchase: touchpoints since it, against those long before it.

A direct comparison within buyers, per channel and span since the purchase. Fitted effects do not
enter, so they cannot absorb what it is to find: ads that stop for buyers, in whole or in part,
needs that end with the purchase, and messages that a purchase triggers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories

# Edges, in days since the purchase, of the spans that are compared.
SPANS = (0.0, 1.0, 2.0, 3.5, 5.0, 7.0, 10.0, 14.0, 21.0, 28.0, 90.0)
# Days before the first purchase that are no reference, since what causes or accompanies a purchase
# is met on them; days that must have been observed before it and after it.
_NEAR, _BEFORE, _AFTER = 21.0, 28.0, 3.0
# Days before a further purchase that are left out: entrances to it are met on them.
_VISIT = 0.5
# Touchpoints at the mean rate that are added to each week's, so that small channels have a calm
# calendar.
_INERTIA = 5.0


@dataclass(frozen=True, eq=False)
class PurchaseChanges:
    """Touchpoints since purchases over what the same users met before.

    Attributes:
        edges: shape `(n_spans + 1,)`, days since the purchase.
        ratio: shape `(n_channels, n_spans)`, 1 where nothing changes; nan where nothing can be
            compared.
        z: shape `(n_channels, n_spans)`, of the score test of ratio = 1, by users; 0 where nothing
            can be compared.
        seen: shape `(n_channels, n_spans)`, touchpoints counted since purchases.
        expected: shape `(n_channels, n_spans)`, touchpoints there would be at the rate before.
        users: how many buyers are compared.
    """

    edges: Floats
    ratio: Floats
    z: Floats
    seen: Floats
    expected: Floats
    users: int


def purchase_changes(histories: Histories, edges: Sequence[float] = SPANS) -> PurchaseChanges:
    """Compare what buyers met since a purchase with what they met until 21 days before the first.

        ratio = Σ_u n₁ e₀ / (e₀ + e₁)  /  Σ_u n₀ e₁ / (e₀ + e₁)

    n₁ and n₀ are a user's touchpoints of a channel since a purchase and before, e₁ and e₀ the
    integrals of the channel's calendar over the days on which they were counted: the weekly rate
    among users who never convert. The user's own rate is in both and cancels; a user with a short
    span on either side weighs little (Mantel & Haenszel 1959, as for rates in Greenland & Robins
    1985, Biometrics 41:55–68). z compares the sum of each user's difference with its own spread,
    so that touchpoints that come in clusters do not count as independent.

    Compared are users who were observed for more than 28 days before their first purchase and
    more than 3 after it. Of users who purchase again, days count by the time since the latest
    purchase; the last half day before a further purchase does not, since visits lead to it.

    Assumptions: apart from the calendar, the user's own rate is the same long before a purchase as
    after it, unless the purchase or what led to it changed it.

    Args:
        histories: of all users, those who never convert included.
        edges: days since the purchase, rising; a touchpoint exactly at the purchase comes before.

    Example:
        >>> from mta_models import worlds
        >>> journeys = worlds.make("suppression", n_users=8_000, seed=1).simulate().journeys
        >>> changes = purchase_changes(journeys.histories, (0, 14))
        >>> bool((changes.ratio < 0.7).all())
        True
    """
    bounds = np.asarray(edges, dtype=np.float64)
    first, met = histories.first_event, histories.as_met()
    calendar = Calendar.of_others(met, ~np.isfinite(first))
    long = (first - histories.start > _BEFORE) & (histories.end - first > _AFTER)
    buyers = met.take(np.flatnonzero(long))
    until = buyers.first_event - _NEAR
    own = buyers.owner
    n_before = counts(buyers, (buyers.time >= buyers.start[own]) & (buyers.time < until[own]))
    e_before = calendar.between(buyers.start, until)
    stop, span = _ends(buyers), _spans(buyers, bounds)
    shape = buyers.n_channels, len(bounds) - 1
    ratio, z, seen = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    expected = np.zeros(shape)
    each_day = np.divide(n_before, e_before, out=np.zeros_like(e_before), where=e_before > 0)
    for at, (low, high) in enumerate(pairwise(bounds.tolist())):
        n_after = counts(buyers, span == at)
        begin, end = (np.minimum(buyers.event_time + edge, stop) for edge in (low, high))
        e_after = _by_user(buyers, calendar.between(begin, end))
        compared = _compared(n_after, e_after, n_before, e_before, buyers.weight)
        ratio[:, at], z[:, at], seen[:, at] = *compared, buyers.weight @ n_after
        expected[:, at] = buyers.weight @ (each_day * e_after)
    return PurchaseChanges(bounds, ratio, z, seen, expected, buyers.n_users)


def _compared(
    n_after: Floats, e_after: Floats, n_before: Floats, e_before: Floats, weight: Floats
) -> tuple[Floats, Floats]:
    """The ratio and its z, each of shape `(n_channels,)`, of counts and integrals by user."""
    both = e_before + e_after
    scale = np.divide(weight[:, None], both, out=np.zeros_like(both), where=both > 0)
    up, down = n_after * e_before * scale, n_before * e_after * scale
    spread = np.sqrt((((up - down) ** 2) / np.maximum(weight, 1e-300)[:, None]).sum(axis=0))
    up, down = up.sum(axis=0), down.sum(axis=0)
    ratio = np.divide(up, down, out=np.full(len(up), np.nan), where=down > 0)
    z = np.divide(up - down, spread, out=np.zeros(len(up)), where=spread > 0)
    return ratio, z


def _ends(buyers: Histories) -> Floats:
    """Until when days count as since each purchase, shape `(n_events,)`."""
    stop = buyers.end[buyers.event_user]
    again = buyers.event_user[1:] == buyers.event_user[:-1]
    stop[:-1][again] = np.minimum(stop[:-1], buyers.event_time[1:] - _VISIT)[again]
    return stop


def latest_purchase(histories: Histories) -> Ints:
    """The latest conversion before each touchpoint was met, -1 where none, `(n_touchpoints,)`.

    A conversion at the exact time of the touchpoint comes after it.
    """
    n, n_events = len(histories.time), histories.n_events
    user = np.concatenate([histories.owner, histories.event_user])
    time = np.concatenate([histories.met_at, histories.event_time])
    order = np.lexsort((np.arange(n + n_events), time, user))
    latest = np.empty(n + n_events, dtype=np.int64)
    latest[order] = np.maximum.accumulate(np.where(order >= n, order - n, -1))
    latest = latest[:n]
    other = histories.event_user[latest] != histories.owner if n_events else np.ones(n, dtype=bool)
    latest[other] = -1
    return latest


def _spans(buyers: Histories, edges: Floats) -> Ints:
    """The span since the latest purchase of each touchpoint, -1 where none, `(n_touchpoints,)`."""
    at = latest_purchase(buyers)
    here = at >= 0
    at, time = at[here], buyers.time[here]
    inside = np.searchsorted(edges, time - buyers.event_time[at]) - 1
    inside[(inside >= len(edges) - 1) | (time > _ends(buyers)[at])] = -1
    span = np.full(len(here), -1)
    span[here] = inside
    return span


def counts(histories: Histories, chosen: Mask) -> Floats:
    """Some touchpoints by user and channel, shape `(n_users, n_channels)`."""
    n, k = histories.n_users, histories.n_channels
    cell = histories.owner[chosen] * k + histories.codes[chosen]
    return np.bincount(cell, minlength=n * k).astype(np.float64).reshape(n, k)


def _by_user(buyers: Histories, amounts: Floats) -> Floats:
    """Amounts of conversions, `(n_events, n_channels)`, by user, `(n_users, n_channels)`."""
    if buyers.n_events == buyers.n_users:
        return amounts
    n = buyers.n_users
    total = [np.bincount(buyers.event_user, column, n) for column in amounts.T]
    return np.column_stack(total).astype(np.float64) if total else np.zeros((n, 0))


@dataclass(frozen=True, eq=False)
class Calendar:
    """Each channel's touchpoints a day by week, relative to its mean.

    Attributes:
        factor: shape `(n_weeks, n_channels)`, > 0, weeks from the log's start.
    """

    factor: Floats

    @classmethod
    def of_others(cls, histories: Histories, others: Mask) -> Calendar:
        """That of some users, shape `(n_users,)`, shrunk towards a constant."""
        k, weeks = histories.n_channels, max(1, int(np.ceil(histories.end.max(initial=0) / 7)))
        week = np.clip((histories.time // 7).astype(np.int64), 0, weeks - 1)
        weight = histories.weight * others
        inside = (histories.time >= histories.start[histories.owner]) * weight[histories.owner]
        met = np.bincount(week * k + histories.codes, inside, weeks * k).reshape(weeks, k)
        edges: Floats = np.arange(0.0, 7 * weeks + 1, 7)
        watched = _before(histories.start, weight, edges) - _before(histories.end, weight, edges)
        days = np.diff(watched)
        expected = np.outer(days / max(float(days.sum()), 1e-300), met.sum(axis=0))
        return cls((met + _INERTIA) / (expected + _INERTIA))

    def between(self, begin: Floats, end: Floats) -> Floats:
        """The integral of each channel's factor, shape `(n_times, n_channels)`, in days."""
        return self.until(np.maximum(begin, end)) - self.until(begin)

    def until(self, time: Floats) -> Floats:
        """The same from the log's start, shape `(n_times, n_channels)`."""
        week = np.clip((time // 7).astype(np.int64), 0, len(self.factor) - 1)
        until: Floats = self._edges[week] + (time - 7 * week)[:, None] * self.factor[week]
        return until

    def when(self, reached: Floats, channel: int) -> Floats:
        """The times until which a channel's factor integrates to some amounts, any shape."""
        edges = self._edges[:, channel]
        week = np.clip(np.searchsorted(edges, reached, side="right") - 1, 0, len(self.factor) - 1)
        time: Floats = 7 * week + (reached - edges[week]) / self.factor[week, channel]
        return time

    @property
    def _edges(self) -> Floats:
        """The integral until the start of each week and the end of the last."""
        return np.vstack([np.zeros(self.factor.shape[1]), np.cumsum(7 * self.factor, axis=0)])


def _before(time: Floats, weight: Floats, edges: Floats) -> Floats:
    """Σ w · (edge − time) over times before each edge, shape `(n_edges,)`."""
    order = np.argsort(time)
    place = np.searchsorted(time[order], edges)
    count = np.concatenate(([0.0], np.cumsum(weight[order])))[place]
    total = np.concatenate(([0.0], np.cumsum((weight * time)[order])))[place]
    summed: Floats = edges * count - total
    return summed
