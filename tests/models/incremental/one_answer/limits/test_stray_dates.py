"""Dates far from all others: what is moved, and what is left as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer.limits.stray_dates import without_stray_dates
from tests.models.incremental.one_answer.made_logs import drawn, histories_of

N, DAYS = 2_000, 50.0


def log_with(far: Floats, bought: bool = False) -> Histories:
    """Fifty days of 2,000 users from day 20,000 on, and some more touchpoints or conversions."""
    rng = np.random.default_rng(0)
    user, time, code = drawn(rng, N, DAYS, np.array([0.02, 0.01, 0.01]))
    who, none = np.arange(len(far)), np.zeros(0, dtype=np.int64)
    events = np.arange(300), rng.uniform(20_000, 20_000 + DAYS, 300)
    if bought:
        events = np.concatenate([events[0], who]), np.concatenate([events[1], far])
        who, far = none, none * 1.0
    time = np.concatenate([time + 20_000, far])
    log = histories_of(
        N,
        max(20_000 + DAYS + 10, *time, *events[1]),
        np.concatenate([user, who]),
        time,
        np.concatenate([code, np.zeros(len(who), dtype=np.int64)]),
        events,
    )
    return replace(log, start=np.full(N, min(19_990.0, *time, *events[1])))


@pytest.mark.parametrize("bought", [False, True])
@pytest.mark.parametrize("far", [[0.0], [39_000.0], [0.0, 8_000.0, 39_000.0]])
def test_far_dates_are_moved_to_the_edges_of_the_others(far: list[float], bought: bool) -> None:
    log = log_with(np.array(far), bought)
    moved, (note,) = without_stray_dates(log)
    assert note.startswith(f"{len(far)} of {len(log.time) + log.n_events} touchpoints")
    usual = log_with(np.zeros(0))
    times = np.concatenate([usual.time, usual.event_time])
    # Only where something is beyond them: elsewhere observation lasts as long as it is said to.
    low = times.min() if min(far) == 0.0 else -np.inf
    high = times.max() if max(far) == 39_000.0 else np.inf
    for name in ("time", "event_time", "start", "end"):
        expected = np.clip(getattr(log, name), low, high)
        np.testing.assert_array_equal(getattr(moved, name), expected)
    for name in ("codes", "offsets", "event_user", "event_stop", "weight", "event_weight"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(log, name))


def test_a_log_without_far_dates_is_left_alone() -> None:
    log = log_with(np.zeros(0))
    for other in (
        log,
        # Less than a year away; more than one in a thousand; the half of it two years later.
        log_with(np.array([19_700.0])),
        log_with(np.linspace(0, 9, 10)),
        replace(
            log,
            time=log.time + 730 * (log.owner % 2),
            event_time=log.event_time + 730 * (log.event_user % 2),
        ),
    ):
        same, notes = without_stray_dates(other)
        assert same is other
        assert notes == ()


def test_bounds_of_observation_far_from_everything_are_moved_too() -> None:
    """As where users are observed from 1970 on because nobody knows since when."""
    log = log_with(np.zeros(0))
    times = np.concatenate([log.time, log.event_time])
    far = np.arange(N) % 10 == 0
    early, late = np.where(far, 0.0, log.start), np.where(far, 40_000.0, log.end)
    moved, (note,) = without_stray_dates(replace(log, start=early, end=late))
    assert note.startswith("Bounds of observation have dates more than a year from all others")
    np.testing.assert_array_equal(moved.start, times.min())
    np.testing.assert_array_equal(moved.end, times.max())
    np.testing.assert_array_equal(moved.time, log.time)
    half, _ = without_stray_dates(replace(log, start=early))
    np.testing.assert_array_equal(half.end, log.end)


def test_a_long_log_may_have_a_long_gap() -> None:
    """Two years between the first touchpoint and the others, which last for three."""
    rng = np.random.default_rng(0)
    user, time, code = drawn(rng, N, 1_100.0, np.array([0.001, 0.001, 0.001]))
    time = np.concatenate([time + 730, [0.0]])
    log = histories_of(N, 1_830.0, np.append(user, 0), time, np.append(code, 0))
    assert without_stray_dates(log)[0] is log
