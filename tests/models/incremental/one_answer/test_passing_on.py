"""Touchpoints that others bring about: against slow loops, and a log in which A brings about B."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer import passing_on
from mta_models.models.incremental.one_answer.passing_on import _within, brought_about, passing
from tests.models.incremental.one_answer.made_logs import drawn, histories_of

LOGS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 2)), min_size=1, max_size=30
)


def log_of(rows: list[tuple[int, int, int]]) -> Histories:
    user, time, code = np.array(rows).T
    return histories_of(3, 40.0, user, time / 2, code)


def met(h: Histories, channel: int, low: float, high: float) -> np.ndarray:
    """Whether each touchpoint's user met the channel in [time + low, time + high]."""
    return np.array(
        [
            any(
                h.owner[j] == h.owner[i]
                and h.codes[j] == channel
                and h.time[i] + low <= h.time[j] <= h.time[i] + high
                for j in range(len(h.time))
            )
            for i in range(len(h.time))
        ]
    )


@given(LOGS, st.integers(-4, 2), st.integers(0, 5))
def test_within_is_a_double_loop(rows: list[tuple[int, int, int]], low: int, more: int) -> None:
    h = log_of(rows)
    own = np.flatnonzero(h.codes == 1)
    cuts = np.searchsorted(h.owner[own], np.arange(4))
    actual = _within(h, cuts, h.time[own], float(low), float(low + more))
    np.testing.assert_array_equal(actual, met(h, 1, float(low), float(low + more)))


@given(LOGS)
def test_brought_about_is_its_formula(rows: list[tuple[int, int, int]]) -> None:
    """ρ = (before − after) / (1 − after), where nothing is left out for being unclear."""
    h = log_of(rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passing_on, "_Z", 0.0)
        patched.setattr(passing_on, "_LEAST", 0.0)
        patched.setattr(passing_on, "_FEWEST", 1)
        actual = brought_about(h)
    expected = np.zeros((3, 3))
    for c in range(3):
        before, after = met(h, c, -5.0, 0.0), met(h, c, 0.0, 5.0)
        for d in {0, 1, 2} - {c}:
            if (h.codes == d).any():
                b, a = before[h.codes == d].mean(), after[h.codes == d].mean()
                expected[c, d] = max(b - a, 0.0) / max(1 - a, 1e-9)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def with_followers(seed: int, part: float) -> Histories:
    """A is followed by B within three days with probability `part`; C and some of B come alone."""
    rng = np.random.default_rng(seed)
    n, days = 6_000, 60.0
    user, time, code = drawn(rng, n, days, np.array([0.05, 0.03, 0.05]))
    first = np.flatnonzero((code == 0) & (rng.random(len(code)) < part))
    later = time[first] + rng.uniform(0, 3, len(first))
    kept = later < days
    return histories_of(
        n,
        days,
        np.concatenate([user, user[first][kept]]),
        np.concatenate([time, later[kept]]),
        np.concatenate([code, np.ones(int(kept.sum()), dtype=np.int64)]),
    )


def test_it_finds_how_much_of_b_comes_of_a() -> None:
    """A at 0.05 a day brings about 0.6 of that of B, which comes at 0.03 a day by itself: half."""
    part = brought_about(with_followers(0, 0.6))
    assert part[0, 1] == pytest.approx(0.5, abs=0.05)
    assert np.count_nonzero(part) == 1
    assert not brought_about(with_followers(1, 0.0)).any()


def test_heavy_users_bring_nothing_about() -> None:
    """Users who meet much of everything meet it as often before as after."""
    rng = np.random.default_rng(4)
    n = 4_000
    count = rng.poisson(rng.gamma(0.5, 6.0, n)[:, None] * np.ones(3))
    user, code = (np.repeat(each.ravel(), count.ravel()) for each in np.indices(count.shape))
    log = histories_of(n, 60.0, user, rng.uniform(0, 60, len(user)), code)
    assert not brought_about(log).any()


parts = st.lists(st.floats(0, 1), min_size=9, max_size=9)


@given(parts)
def test_passing_on_keeps_the_sum_and_gives_nothing_to_bystanders(values: list[float]) -> None:
    part = np.array(values).reshape(3, 3) * (1 - np.eye(3))
    matrix = passing(part)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0)
    assert not matrix[(part == 0) & ~np.eye(3, dtype=bool)].any()
    # Half of what all others together bring about at most, which is all of it at 1.
    left = 1 - 0.5 * (1 - np.prod(1 - part, axis=0))
    np.testing.assert_allclose(np.diag(matrix), left)


def test_half_of_a_shared_touchpoint_is_passed_on() -> None:
    """The Shapley value of what is there with both only: halves."""
    part = np.zeros((3, 3))
    part[0, 1] = 1.0
    np.testing.assert_allclose(passing(part) @ np.array([0.0, 10.0, 4.0]), [5.0, 5.0, 4.0])
