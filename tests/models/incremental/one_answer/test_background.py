"""What accompanies purchases without causing them, against slow loops and on made worlds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.ragged import Floats, Mask
from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer import background
from mta_models.models.incremental.one_answer.background import (
    Column,
    _around,
    _counts,
    background_of,
    near_conversions,
    without_conversion,
)
from mta_models.models.incremental.one_answer.entrances import (
    WINDOW,
    guessed_entrances,
    until_next_event,
)
from tests.models.incremental.one_answer.made_logs import drawn, histories_of

# Quarters of days, so that touchpoints fall on the edges of the spans too.
LOGS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 160), st.integers(0, 2)), min_size=1, max_size=40
)


def log_of(rows: list[tuple[int, int, int]]) -> Histories:
    user, time, code = np.array(rows).T
    return histories_of(4, 40.0, user, time / 4, code)


@given(LOGS, st.sampled_from([-1.0, 1.0]), st.integers(0, 4), st.integers(1, 8))
def test_counts_are_a_double_loop(
    rows: list[tuple[int, int, int]], sign: float, low: int, more: int
) -> None:
    h = log_of(rows)
    visit = np.flatnonzero(h.codes == 0)
    expected = np.zeros(3)
    for v in visit:
        for u in np.flatnonzero(h.owner == h.owner[v]):
            gap = h.time[u] - h.time[v]
            if sign > 0:
                expected[h.codes[u]] += low < gap <= low + more
            else:
                expected[h.codes[u]] += -(low + more) < gap <= -low
    actual = _counts(h, h.owner[visit], h.time[visit], sign, float(low), float(low + more))
    np.testing.assert_array_equal(actual, expected)


@given(LOGS, st.sampled_from([-1.0, 1.0]))
def test_around_compares_rates_near_and_far(rows: list[tuple[int, int, int]], sign: float) -> None:
    h = log_of(rows)
    entrances = np.array([True, False, False])
    ratio, z = _around(h, entrances, sign)
    near, far, days = np.zeros(3), np.zeros(3), np.zeros(2)
    for v in np.flatnonzero(h.codes == 0):
        for at, (low, high) in enumerate(((1, 7), (14, 21))):
            ahead = 40 - h.time[v] if sign > 0 else h.time[v]
            days[at] += min(max(ahead - low, 0), high - low)
            for u in np.flatnonzero(h.owner == h.owner[v]):
                gap = (h.time[u] - h.time[v]) * sign
                inside = low < gap <= high if sign > 0 else low <= gap < high
                (near, far)[at][h.codes[u]] += inside
    there = (near > 0) & (far > 0)
    expected = np.divide(near * days[1], far * days[0], where=there, out=np.ones(3))
    np.testing.assert_allclose(ratio, expected)
    spread = np.sqrt(1 / near[there] + 1 / far[there])
    np.testing.assert_allclose(z[there], np.log(expected[there]) / spread)
    assert not z[~there].any()


@given(LOGS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 160)), max_size=6))
def test_near_conversions_is_a_double_loop(
    rows: list[tuple[int, int, int]], bought: list[tuple[int, int]]
) -> None:
    user, time, code = np.array(rows).T
    events = np.array(bought, dtype=np.int64).reshape(-1, 2).T
    h = histories_of(4, 40.0, user, time / 4, code, (events[0], events[1] / 4))
    expected = np.zeros(3)
    for who, when, channel in rows:
        waits = [t - when for u, t in bought if u == who and t >= when]
        expected[channel] += bool(waits) and min(waits) / 4 <= WINDOW
    np.testing.assert_array_equal(near_conversions(h, until_next_event(h), WINDOW), expected)


def nothing(k: int) -> Floats:
    """No channel brings another about."""
    return np.zeros((k, k))


def columns_in(name: str) -> tuple[tuple[Column, ...], Mask]:
    journeys = mta.worlds.make(name, n_users=6_000, seed=1).simulate().journeys
    h, entrances = journeys.histories, guessed_entrances(journeys.channels)
    near = near_conversions(h, until_next_event(h), WINDOW)
    return background_of(without_conversion(h), entrances, near, nothing(len(near))), entrances


def test_only_needs_raise_ads_around_visits() -> None:
    """In `visits_needs` needs raise visits and ads together; in `visits_entrances` nothing does."""
    columns, entrances = columns_in("visits_needs")
    assert [each.half_life for each in columns] == [1, 2, 4, 8, 2, 4, 8]
    for way in columns[:4]:
        assert way.weight[entrances].max() == 1.0
        assert not way.weight[~entrances].any()
    for need in columns[4:]:
        assert need.weight.max() == 1.0
        assert np.count_nonzero(need.weight[entrances]) >= 2
        assert np.count_nonzero(need.weight[~entrances]) >= 3
    columns, entrances = columns_in("visits_entrances")
    assert [each.half_life for each in columns] == [1, 2, 4, 8]
    assert not any(each.weight[~entrances].any() for each in columns)


def test_an_ad_that_a_visit_brings_about_is_no_need() -> None:
    """B follows A within days: there is more of it after visits, and not before them."""
    rng = np.random.default_rng(0)
    user, time, code = drawn(rng, 3_000, 60.0, np.array([0.03, 0.01, 0.05]))
    visit = np.flatnonzero(code == 0)
    later = time[visit] + rng.uniform(1, 6, len(visit))
    some = later < 60
    log = histories_of(
        3_000,
        60.0,
        np.concatenate([user, user[visit][some]]),
        np.concatenate([time, later[some]]),
        np.concatenate([code, np.ones(int(some.sum()), dtype=np.int64)]),
    )
    entrances = np.array([True, False, False])
    ahead, z = _around(log, entrances, 1.0)
    assert ahead[1] > 2
    assert z[1] > 10
    assert background_of(log, entrances, np.zeros(3), nothing(3)) == ()


def test_what_visits_bring_about_is_on_the_way_with_them() -> None:
    """Of C, A brings about a half and B a tenth; entrances keep their own weights."""
    rng = np.random.default_rng(0)
    log = histories_of(300, 40.0, *drawn(rng, 300, 40.0, np.array([0.05, 0.05, 0.05])))
    met = np.bincount(log.codes, minlength=3)
    brought = np.array([[0.0, 0.7, 0.5], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0]])
    near = np.array([1.0, 0.5, 8.0]) * met
    columns = background_of(log, np.array([True, True, False]), near, brought)
    assert [each.half_life for each in columns] == [1, 2, 4, 8]
    for each in columns:
        np.testing.assert_allclose(each.weight, [1.0, 0.5, 0.5 + 0.05])


def test_users_who_never_convert_are_counted_off_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    user, time, code = drawn(rng, 500, 30.0, np.array([0.1, 0.05, 0.02]))
    # Whole days, as in a log that has dates only.
    time = np.floor(time)
    events = rng.choice(500, 60, replace=False), np.full(60, 29.0)
    monkeypatch.setattr(background, "_MOST", 600)
    place = rng.permutation(500)
    chosen = []
    for number in (np.arange(500), place):
        h = histories_of(500, 30.0, number[user], time, code, (number[events[0]], events[1]))
        some = without_conversion(h)
        assert 400 < len(some.time) <= 800
        assert not np.isfinite(some.first_event).any()
        met = np.split(np.column_stack([some.time, some.codes]), some.offsets[1:-1])
        chosen.append(sorted(sorted(map(tuple, each.tolist())) for each in met))
    times = [[[t for t, _ in each] for each in every] for every in chosen]
    assert sorted(times[0]) == sorted(times[1])
