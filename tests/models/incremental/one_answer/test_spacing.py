"""The distance of purchases, against a slow loop and on logs with a time without purchases."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer.spacing import (
    DISTANCES,
    N_DISTANCES,
    spaced,
    spacing_counts,
)
from mta_models.models.incremental.one_answer.within_rate import fit_time, start_rate
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.relative_rate import Design
from tests.models.incremental.one_answer.made_logs import histories_of

NONE = np.zeros(0, dtype=np.int64)


def purchases(n_users: int, days: float, user: np.ndarray, time: np.ndarray) -> Histories:
    return histories_of(n_users, days, NONE, NONE * 1.0, NONE, (user, time), channels=("A",))


# Eighths of days: distances fall on edges too. A user's purchases are at different times.
@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 320)), min_size=1, max_size=12))
def test_distances_are_those_of_a_slow_loop(bought: set[tuple[int, int]]) -> None:
    user, time = np.array(sorted(bought)).T
    h = purchases(3, 40.0, user, time / 8)
    blocks = [spaced(block, h) for block in control_days(h)]
    for block in blocks:
        assert block.since is not None
        assert block.until is not None
        for row, event in enumerate(block.event.tolist()):
            mine = h.event_user == h.event_user[event]
            others = h.event_time[mine & (np.arange(h.n_events) != event)]
            for day in range(int(block.size[row])):
                at = block.first[row] + day
                before, after = others[others < at], others[others >= at]
                since = at - before.max() if len(before) else np.inf
                until = after.min() - at if len(after) else np.inf
                assert block.since[day, row] == sum(edge < since for edge in DISTANCES)
                assert block.until[day, row] == sum(edge < until for edge in DISTANCES)


def test_counts_hold_every_amount_twice() -> None:
    h = purchases(2, 30.0, np.array([0, 0, 1]), np.array([3.0, 20.0, 7.0]))
    (block,) = (spaced(each, h) for each in control_days(h))
    amount = block.compared * np.arange(1.0, block.n_rows + 1)
    counts = spacing_counts(block, amount)
    assert counts.shape == (N_DISTANCES,)
    assert counts.sum() == 2 * amount.sum()


def test_factors_find_a_time_without_purchases() -> None:
    """Purchases at a constant rate, but never within 5 days of the last one."""
    rng = np.random.default_rng(3)
    n, days = 3_000, 120.0
    gaps = 5 + rng.exponential(25, (n, 30))
    gaps[:, 0] -= 5 * rng.random(n)
    time = np.cumsum(gaps, axis=1)
    user, which = np.nonzero(time < days)
    h = purchases(n, days, user, time[user, which])
    design = Design(
        [spaced(block, h) for block in control_days(h)],
        np.zeros(h.n_events, dtype=np.int64),
        h.event_weight,
    )
    rate = start_rate(design, (), 1, repeat=True)
    for _ in range(4):
        rate = fit_time(design, rate)
    assert rate.spacing is not None
    at = np.searchsorted(DISTANCES, 5.0)
    # Few conversions are expected so near, and 20 pseudo-conversions shrink the nearest factors.
    assert (rate.spacing[: at + 1] < 0.25).all()
    np.testing.assert_allclose(rate.spacing[at + 1 :], 1.0, atol=0.15)
    assert rate.spacing[-1] == 1.0
