"""The sums that time models need, against loops that add them up one by one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.ragged import chunks
from mta_models.data.histories import Histories

CHANNELS = ("A", "B", "C")
HALF = np.array([1.0, 3.5, 9.0])
LN2 = np.log(2)

logs = st.lists(
    st.tuples(
        st.integers(0, 4),  # user
        st.integers(0, 40),  # quarter days: ties are common
        st.sampled_from([None, "A", "B", "C"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(row[3] for row in rows))


def read(rows: list[tuple[int, int, str | None, int]], lookback: str | None = None) -> mta.Journeys:
    """Five users, observed from day 0 to 12, whatever they did."""
    user, quarter, channel, conversion = zip(*rows, strict=True)
    events = pl.DataFrame(
        {
            "user": user,
            "time": np.array(quarter) / 4,
            "channel": pl.Series(channel, dtype=pl.String),
            "conversion": conversion,
        }
    )
    observed = pl.DataFrame({"user": range(5), "start": [0.0] * 5, "end": [12.0] * 5})
    return mta.read_events(
        events,
        user="user",
        time="time",
        channel="channel",
        conversion="conversion",
        observed=observed,
        lookback=lookback,
    )


def half_of(histories: Histories) -> np.ndarray:
    return np.array([HALF[CHANNELS.index(name)] for name in histories.channels])


@settings(max_examples=60, deadline=None)
@given(logs)
def test_adstock_and_pairs_against_loops(rows: list[tuple[int, int, str | None, int]]) -> None:
    histories = read(rows).histories
    half = half_of(histories)
    adstock = histories.adstock(half)
    event, touchpoint, age = histories.pairs
    pairs = []
    for i in range(histories.n_events):
        user, when = histories.event_user[i], histories.event_time[i]
        expected = np.zeros(histories.n_channels)
        for k in range(histories.offsets[user], histories.event_stop[i]):
            assert histories.time[k] <= when
            expected[histories.codes[k]] += 2 ** (
                -(when - histories.time[k]) / half[histories.codes[k]]
            )
            pairs.append((i, k, when - histories.time[k]))
        np.testing.assert_allclose(adstock[i], expected, atol=1e-12)
    assert list(zip(event.tolist(), touchpoint.tolist(), age.tolist(), strict=True)) == pairs


@settings(max_examples=60, deadline=None)
@given(logs, st.integers(0, 2**31))
def test_moments_against_loops(rows: list[tuple[int, int, str | None, int]], seed: int) -> None:
    histories = read(rows).histories
    half, rng = half_of(histories), np.random.default_rng(seed)
    user, time = rng.integers(0, histories.n_users, 20), rng.integers(0, 49, 20) / 4
    found, seen = histories.adstock_at(user, time, half), histories.seen_by(user, time)
    for i in range(20):
        mine = slice(histories.offsets[user[i]], histories.offsets[user[i] + 1])
        at, codes = histories.time[mine], histories.codes[mine]
        assert seen[i] - mine.start == (at <= time[i]).sum()
        expected = np.zeros(histories.n_channels)
        for t, c in zip(at, codes, strict=True):
            if t <= time[i]:
                expected[c] += 2 ** (-(time[i] - t) / half[c])
        np.testing.assert_allclose(found[i], expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(logs)
def test_exposure_is_the_integral_of_adstock(
    rows: list[tuple[int, int, str | None, int]],
) -> None:
    histories = read(rows).histories
    half = half_of(histories)
    for stop in (None, histories.until_first):
        until = histories.end if stop is None else stop
        each = histories.exposure(half, stop)
        for k, (t, c) in enumerate(zip(histories.time, histories.codes, strict=True)):
            left = max(until[histories.owner[k]] - t, 0)
            assert each[k] == pytest.approx(half[c] / LN2 * (1 - 2 ** (-left / half[c])))
        # The integral, by the trapezium rule on a fine grid, user by user.
        totals = histories.totals(half, stop)
        cells = histories.by_cell(each)
        offsets, codes = histories.cells
        assert codes.tolist() == [
            c
            for u in range(histories.n_users)
            for c in sorted(set(histories.codes[histories.owner == u].tolist()))
        ]
        assert offsets[-1] == len(codes) == len(cells)
        np.testing.assert_allclose(np.bincount(codes, cells, histories.n_channels), totals)
        assert histories.days(stop) == pytest.approx(float((until - histories.start).sum()))


def test_the_integral_by_quadrature() -> None:
    histories = read([(0, 0, "A", 0), (0, 8, "B", 0), (0, 20, "A", 1)]).histories
    grid = (np.arange(12 * 4096) + 0.5) / 4096
    adstock = histories.adstock_at(np.zeros(len(grid), dtype=int), grid, half_of(histories))
    np.testing.assert_allclose(
        adstock.mean(axis=0) * 12, histories.totals(half_of(histories)), rtol=1e-4
    )


@settings(max_examples=40, deadline=None)
@given(logs, st.integers(1, 12))
def test_lagged_touchpoints_count_later(
    rows: list[tuple[int, int, str | None, int]], quarters: int
) -> None:
    histories, lag = read(rows).histories, quarters / 4
    later, half = histories.lagged(lag), half_of(histories)
    assert histories.lagged(lag) is later
    for i in range(later.n_events):
        user, when = later.event_user[i], later.event_time[i]
        expected = np.zeros(later.n_channels)
        for k in range(histories.offsets[user], histories.event_stop[i]):
            age = when - histories.time[k] - lag
            if age >= 0:
                expected[histories.codes[k]] += 2 ** (-age / half[histories.codes[k]])
        np.testing.assert_allclose(later.adstock(half)[i], expected, atol=1e-12)
    left = np.maximum(histories.end[histories.owner] - histories.time - lag, 0)
    halves = half[histories.codes]
    np.testing.assert_allclose(later.exposure(half), halves / LN2 * (1 - 2 ** (-left / halves)))


@settings(max_examples=40, deadline=None)
@given(logs, st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_delayed_touchpoint_is_still_met_when_it_was_met(
    rows: list[tuple[int, int, str | None, int]], quarters: int, random: Random
) -> None:
    histories, lag = read(rows).histories, quarters / 4
    later = histories.lagged(lag)
    np.testing.assert_array_equal(later.met_at, histories.time)
    np.testing.assert_array_equal(later.as_met().time, histories.time)
    np.testing.assert_array_equal(later.lagged(1.0).met_at, histories.time)
    assert histories.as_met() is histories
    # Some touchpoints are delayed, so that the order in which they count is another.
    time = histories.time + lag * np.array([random.randrange(3) for _ in histories.time])
    order = np.lexsort((time, histories.owner))
    mixed = replace(
        histories,
        time=time[order],
        codes=histories.codes[order],
        met=histories.time[order],
        touchpoint=order,
    )
    again = mixed.as_met()
    np.testing.assert_array_equal(again.time, histories.time)
    np.testing.assert_array_equal(again.codes, histories.codes[again.touchpoint])
    stop = histories.seen_by(histories.event_user, histories.event_time)
    np.testing.assert_array_equal(again.event_stop, stop)
    some = np.unique(histories.event_user)
    np.testing.assert_array_equal(mixed.take(some).as_met().time, histories.take(some).time)


@settings(max_examples=40, deadline=None)
@given(logs)
def test_first_conversions_and_repeats(rows: list[tuple[int, int, str | None, int]]) -> None:
    histories = read(rows).histories
    for u in range(histories.n_users):
        mine = histories.event_time[histories.event_user == u]
        assert histories.first_event[u] == (mine.min() if len(mine) else np.inf)
        assert histories.until_first[u] == min(histories.end[u], mine.min(initial=np.inf))
    counts = np.bincount(histories.event_user, minlength=5)
    assert histories.repeats == bool((counts > 1).any())


@settings(max_examples=40, deadline=None)
@given(logs)
def test_a_lookback_hides_nothing_from_histories(
    rows: list[tuple[int, int, str | None, int]],
) -> None:
    whole, cut = read(rows).histories, read(rows, lookback="2d").histories
    half = half_of(whole)
    np.testing.assert_allclose(cut.totals(half), whole.totals(half))
    short = read(rows, lookback="2d")
    place = short.histories.touchpoint
    if place is not None:
        there = place >= 0
        assert sorted(place[there].tolist()) == list(range(short.n_touchpoints))
        np.testing.assert_array_equal(short.codes[place[there]], cut.codes[there])
        np.testing.assert_array_equal(short.time[place[there]], cut.time[there])


def test_rows_without_a_timeline_are_histories_too() -> None:
    """Of three users on one row, two convert: what they carried and what the third went through."""
    journeys = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1], [0, 2], [2], [1], age=[5.0, 1.0], at_risk=[10.0]
    )
    histories = journeys.histories
    assert histories.weight.tolist() == [2, 1]
    assert histories.event_weight.tolist() == [2]
    np.testing.assert_allclose(histories.adstock(2.0), [[2**-2.5, 2**-0.5]])
    np.testing.assert_allclose(
        histories.totals(2.0), 3 * 2 / LN2 * np.array([1 - 2**-2.5, 1 - 2**-0.5])
    )
    assert histories.days() == 30
    other = histories.reweighted(journeys.reweighted(np.array([4.0]), np.array([0.0])))
    assert (other.days(), other.total) == (40, 4)


def test_exposure_before_observation_is_nobodys_risk() -> None:
    journeys = mta.Journeys.from_arrays(["A"], [0], [0, 1], [1], [0], age=[6.0], at_risk=[2.0])
    found = journeys.histories.exposure(3.0)
    np.testing.assert_allclose(found, 3 / LN2 * (2 ** (-4 / 3) - 2 ** (-6 / 3)))


def test_says_what_it_needs() -> None:
    bare = mta.Journeys.from_paths([["A"]], [1])
    with pytest.raises(mta.JourneyError, match="these journeys have no times"):
        _ = bare.histories
    aged = mta.Journeys.from_arrays(["A"], [0], [0, 1], [1], age=[1.0])
    with pytest.raises(mta.JourneyError, match="these journeys have no times at risk"):
        _ = aged.histories
    untouched = mta.Journeys.from_arrays([], [], [0, 0], [1], [3], at_risk=[2.0])
    assert untouched.histories.days() == 8


def test_is_built_once_and_some_users_can_be_taken() -> None:
    journeys = mta.worlds.make("repeat", n_users=300, seed=3).simulate().journeys
    histories = journeys.histories
    assert journeys.histories is histories
    users = np.arange(0, 300, 3)
    some = histories.take(users)
    half = np.full(6, 4.0)
    mine = np.isin(histories.event_user, users)
    np.testing.assert_array_equal(some.adstock(half), histories.adstock(half)[mine])
    inside = np.isin(histories.owner, users)
    np.testing.assert_array_equal(some.exposure(half), histories.exposure(half)[inside])
    np.testing.assert_array_equal(some.touchpoint, np.flatnonzero(inside))
    np.testing.assert_array_equal(some.take(np.array([1])).time, histories.take(users[[1]]).time)


def test_weights_are_the_rows() -> None:
    journeys = mta.worlds.make("repeat", n_users=300, seed=3).simulate().journeys
    histories = journeys.histories
    times = np.random.default_rng(0).poisson(1, 300)[journeys.users]
    drawn = histories.reweighted(
        journeys.reweighted(journeys.conversions * times, journeys.nulls * times)
    )
    assert drawn.total == (journeys.conversions * times).sum()
    half = np.full(6, 4.0)
    again = np.bincount(
        histories.codes, histories.exposure(half) * drawn.weight[histories.owner], 6
    )
    np.testing.assert_allclose(drawn.totals(half), again)


def test_other_weights_share_what_follows_from_times_and_other_times_do_not() -> None:
    journeys = mta.worlds.make("repeat", n_users=300, seed=3).simulate().journeys
    histories = journeys.histories
    histories.adstock(3.0)
    drawn = histories.reweighted(journeys.reweighted(journeys.conversions * 2, journeys.nulls))
    assert drawn.derived is histories.derived
    assert drawn.owner is histories.owner
    later = replace(histories, time=histories.time + 1)
    assert later.derived is not histories.derived
    np.testing.assert_allclose(later.derived.carried[1], histories.derived.carried[1] - 1)
    lagged = histories.lagged(0.5)
    assert histories.lagged(0.5) is lagged
    # A lag cached with other weights would be wrong.
    assert drawn.lagged(0.5).total == 2 * lagged.total == 2 * histories.total


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_histories_have_the_same_sums(duplicate: Callable[[Any], Any]) -> None:
    journeys = mta.worlds.make("repeat", n_users=300, seed=3).simulate().journeys
    size = len(pickle.dumps(journeys))
    histories = journeys.histories
    sums = histories.adstock(3.0), histories.totals(3.0), histories.lagged(0.5).adstock(3.0)
    for other in (duplicate(histories), duplicate(journeys).histories):
        again = other.adstock(3.0), other.totals(3.0), other.lagged(0.5).adstock(3.0)
        for one, two in zip(sums, again, strict=True):
            np.testing.assert_array_equal(one, two)
    assert len(pickle.dumps(journeys)) == size  # what was worked out is not written
    assert not journeys.codes.flags.writeable


def test_risk_ends_with_the_first_conversion_unless_users_convert_again() -> None:
    once = read([(0, 0, "A", 0), (0, 8, None, 1), (1, 4, "B", 0)]).histories
    np.testing.assert_array_equal(once.risk_end(), [2, 12, 12, 12, 12])
    np.testing.assert_array_equal(once.risk_end(True), [12] * 5)
    twice = read([(1, 0, "A", 0), (0, 8, None, 1), (0, 9, "A", 1)]).histories
    np.testing.assert_array_equal(twice.risk_end(), [12] * 5)
    np.testing.assert_array_equal(twice.risk_end(False), [2, 12, 12, 12, 12])


def test_recoded_journeys_have_recoded_histories() -> None:
    journeys = mta.worlds.make("randomised", n_users=300, seed=3).simulate().journeys
    backwards = journeys.recode(journeys.channels[::-1])
    half = np.arange(1.0, 7.0)
    np.testing.assert_allclose(
        backwards.histories.totals(half[::-1]), journeys.histories.totals(half)[::-1]
    )
    rest = [name for name in journeys.channels if name != "Email"]
    with pytest.raises(mta.UnknownChannelError, match="Email"):
        journeys.recode(tuple(rest))


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100))
def test_chunks_cover_everything_once(cost: list[int], at_once: int) -> None:
    parts = list(chunks(np.array(cost, dtype=np.int64), at_once))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(len(cost)))
    for part in parts:
        assert sum(cost[part]) <= at_once or part.stop - part.start == 1
