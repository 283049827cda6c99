"""How exposure changes with a purchase, on logs whose ratios are known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mta_models as mta
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.after_purchase import (
    SPANS,
    PurchaseChanges,
    purchase_changes,
)

DAYS = 90.0
# Of the rate long before, what is met since the purchase: nothing changes, ads stop in part for two
# weeks, messages follow for five days.
FACTORS = np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 1.0], [4.0, 1.0, 1.0]])
EDGES = (0.0, 5.0, 14.0, 28.0)


def made(seed: int, n: int, rate: float = 0.15, twice: bool = False) -> Histories:
    """Buyers of differing rates and as many others, under a calendar that doubles after six weeks.

    `twice`: they buy again 18 days after the first purchase.
    """
    rng = np.random.default_rng(seed)
    own = rng.gamma(2.0, rate / 2, 2 * n)
    first = np.full(2 * n, np.inf)
    first[:n] = rng.uniform(25, 80, n)
    last = np.where(first + 18 < DAYS, first + 18, first) if twice else first
    most = 2 * FACTORS.max()
    count = rng.poisson(np.repeat(own * DAYS * most, 3))
    user, code = np.repeat(np.arange(6 * n) // 3, count), np.repeat(np.arange(6 * n) % 3, count)
    time = rng.uniform(0, DAYS, len(user))
    since = time - np.where(time > last[user], last[user], first[user])
    span = np.searchsorted(EDGES, since) - 1
    changed = FACTORS[code, np.clip(span, 0, 2)]
    factor = np.where((span >= 0) & (span < 3), changed, 1.0) * np.where(time > 42, 2.0, 1.0)
    kept = rng.random(len(user)) < factor / most
    user, code, time = user[kept], code[kept], time[kept]
    order = np.lexsort((time, user))
    events = np.sort(np.concatenate([np.arange(n), np.flatnonzero(last[:n] > first[:n])]))
    when = first[events]
    again = np.flatnonzero(events[1:] == events[:-1]) + 1
    when[again] = last[events[again]]
    h = Histories(
        channels=("A", "B", "C"),
        offsets=np.concatenate(([0], np.cumsum(np.bincount(user, minlength=2 * n)))),
        time=time[order],
        codes=code[order],
        start=np.zeros(2 * n),
        end=np.full(2 * n, DAYS),
        weight=np.ones(2 * n),
        event_user=events,
        event_time=when,
        event_weight=np.ones(len(events)),
        event_row=np.arange(len(events)),
        event_stop=np.zeros(len(events), dtype=np.int64),
        user_row=np.arange(2 * n),
    )
    return replace(h, event_stop=h.seen_by(h.event_user, h.event_time))


@pytest.mark.parametrize("twice", [False, True])
def test_ratios_are_what_purchases_change(twice: bool) -> None:
    changes = purchase_changes(made(1, 4_000, twice=twice), EDGES)
    np.testing.assert_allclose(changes.ratio, FACTORS, rtol=0.07)
    assert (np.abs(changes.z[FACTORS == 1]) < 4).all()
    assert (changes.z[FACTORS < 1] < -10).all()
    assert (changes.z[FACTORS > 1] > 10).all()


def test_z_is_standard_normal_where_nothing_changes() -> None:
    """Touchpoints of a user at the same rate throughout; 180 values of z."""
    z = np.array([purchase_changes(made(seed, 200), EDGES).z[0] for seed in range(60)])
    assert abs(z.mean()) < 0.3
    assert 0.8 < z.std() < 1.2


def slow(h: Histories, edges: tuple[float, ...]) -> PurchaseChanges:
    """User by user and touchpoint by touchpoint, with a constant calendar."""
    k, n = h.n_channels, len(edges) - 1
    up, down, square, seen, expected = (np.zeros((k, n)) for _ in range(5))
    users = 0
    for u in range(h.n_users):
        when = h.event_time[h.event_user == u]
        if not len(when) or when[0] - h.start[u] <= 28 or h.end[u] - when[0] <= 3:
            continue
        users += 1
        mine = range(h.offsets[u], h.offsets[u + 1])
        stops = np.minimum(np.append(when[1:] - 0.5, np.inf), h.end[u])
        for c in range(k):
            times = [h.time[i] for i in mine if h.codes[i] == c]
            before = sum(h.start[u] <= t < when[0] - 21 for t in times)
            for s in range(n):
                counted, length = 0, 0.0
                for t, stop in zip(when, stops, strict=True):
                    low, high = min(t + edges[s], stop), min(t + edges[s + 1], stop)
                    length += max(high - low, 0.0)
                    counted += sum(low < x <= high for x in times)
                e_before = when[0] - 21 - h.start[u]
                both = e_before + length
                one, two = counted * e_before / both, before * length / both
                up[c, s] += one
                down[c, s] += two
                square[c, s] += (one - two) ** 2
                seen[c, s] += counted
                expected[c, s] += before * length / e_before
    ratio = np.divide(up, down, out=np.full((k, n), np.nan), where=down > 0)
    z = np.divide(up - down, np.sqrt(square), out=np.zeros((k, n)), where=square > 0)
    return PurchaseChanges(np.array(edges), ratio, z, seen, expected, users)


@pytest.mark.parametrize("twice", [False, True])
def test_sums_over_users_one_by_one(twice: bool) -> None:
    h = made(3, 60, twice=twice)
    buyers = h.take(np.unique(h.event_user))  # nobody else: the calendar is constant
    quick, plain = purchase_changes(buyers), slow(buyers, SPANS)
    assert quick.users == plain.users > 20
    np.testing.assert_array_equal(quick.seen, plain.seen)
    np.testing.assert_allclose(quick.ratio, plain.ratio)
    np.testing.assert_allclose(quick.z, plain.z, atol=1e-12)


def test_delayed_touchpoints_are_compared_when_they_were_met() -> None:
    h = made(2, 200)
    one, other = purchase_changes(h), purchase_changes(h.lagged(0.7))
    np.testing.assert_array_equal(one.seen, other.seen)
    np.testing.assert_allclose(one.ratio, other.ratio)


def test_weights_stand_for_users() -> None:
    h = made(4, 80)
    h = h.take(np.unique(h.event_user))
    twice = replace(h, weight=2 * h.weight)
    one, other = purchase_changes(h), purchase_changes(twice)
    np.testing.assert_allclose(other.seen, 2 * one.seen)
    np.testing.assert_allclose(other.z, np.sqrt(2) * one.z)


def test_nothing_to_compare() -> None:
    rows = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0], [0, 2, 3], [1, 0], nulls=[0, 1], age=[1.0, 0.5, 2.0], at_risk=[9, 9]
    )
    changes = purchase_changes(rows.histories)
    assert changes.users == 0
    assert np.isnan(changes.ratio).all()
    assert not changes.z.any()
    assert changes.ratio.shape == (2, len(SPANS) - 1)


@pytest.mark.parametrize(
    ("world", "some"), [("suppression", True), ("visits_stops", True), ("visits_entrances", False)]
)
def test_partly_stopped_ads_are_found_in_worlds_and_nowhere_else(world: str, some: bool) -> None:
    journeys = mta.worlds.make(world, n_users=10_000, seed=6).simulate().journeys
    changes = purchase_changes(journeys.histories, (0, 14))
    stopped = (changes.ratio[:, 0] < 0.9) & (changes.z[:, 0] < -4)
    assert stopped.any() == some
