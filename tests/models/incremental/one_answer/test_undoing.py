"""What a purchase changes and how it is undone, on logs in which the change is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer.undoing import Changes, changes_of, undone
from mta_models.models.incremental.self_controlled.after_purchase import SPANS
from mta_models.models.incremental.self_controlled.control_sampling import (
    ControlDays,
    control_days,
)
from tests.models.incremental.one_answer.made_logs import drawn, histories_of

N, DAYS = 6_000, 90.0
RATES = np.array([0.12, 0.12, 0.12])
N_SPANS = len(SPANS) - 1


def log_of(seed: int, left: Floats, days: float = 28.0) -> tuple[Histories, Histories]:
    """A log in which touchpoints are multiplied by `left` after a purchase, and one without that.

    Half of the users purchase once, on a day that no touchpoint changes.
    """
    rng = np.random.default_rng(seed)
    most = np.maximum(left, 1.0)
    user, time, code = drawn(rng, N, DAYS, RATES * most)
    bought = np.full(N, np.inf)
    bought[: N // 2] = rng.uniform(35, 80, N // 2)
    since = time - bought[user]
    changed = (since > 0) & (since <= days)
    u = rng.random(len(time))
    events = np.arange(N // 2), bought[: N // 2]
    logs = [
        histories_of(N, DAYS, user[kept], time[kept], code[kept], events)
        for kept in (u < np.where(changed, left[code], 1.0) / most[code], u < 1 / most[code])
    ]
    return logs[0], logs[1]


def exposure(log: Histories, changes: Changes | None) -> Floats:
    """Mean exposure on control days, by half-life 3 days, shape `(n_channels,)`."""
    total = np.zeros(3)
    for block in control_days(log.take(np.unique(log.event_user))):
        each = block if changes is None else undone(block, changes)
        total += each.exposure(each.compared, np.full(3, 3.0)).sum(axis=0)
    return total


@pytest.mark.parametrize(
    ("left", "more", "fewer"),
    [
        # Scaled, filled up where few are left, and counted for less.
        ([1.0, 0.7, 1.0], [], [1]),
        ([1.0, 1.0, 0.1], [], [2]),
        ([0.0, 1.0, 1.0], [], [0]),
        ([1.0, 1.0, 1.0], [], []),
        ([1.0, 3.0, 1.0], [1], []),
    ],
)
def test_exposure_is_as_if_nobody_had_bought(
    left: list[float], more: list[int], fewer: list[int]
) -> None:
    factor = np.array(left)
    log, without = log_of(0, factor, 10.0 if more else 28.0)
    changes = changes_of(log)
    assert np.flatnonzero(changes.more).tolist() == more
    assert np.flatnonzero(changes.fewer).tolist() == fewer
    expected = exposure(without, None)
    np.testing.assert_allclose(exposure(log, changes), expected, rtol=0.04)
    for channel in more + fewer:
        raw = exposure(log, None)[channel]
        gained = abs(exposure(log, changes)[channel] - expected[channel])
        assert gained < 0.25 * abs(raw - expected[channel])
    if not more + fewer:
        assert not changes.any
        np.testing.assert_array_equal(changes.scale, 1.0)
        np.testing.assert_array_equal(changes.missing, 0.0)


def of_scales(scale: Floats, changed: bool = True) -> Changes:
    none = np.zeros(3, dtype=bool)
    return Changes(np.ones(3), np.zeros(3), none | changed, none, scale, np.zeros((3, N_SPANS)))


def small(seed: int = 1) -> tuple[Histories, ControlDays]:
    rng = np.random.default_rng(seed)
    user, time, code = drawn(rng, 30, 60.0, np.array([0.2, 0.1, 0.05]))
    log = histories_of(30, 60.0, user, time, code, (np.arange(20), rng.uniform(5, 55, 20)))
    (block,) = control_days(log)
    return log, block


def grids(block: ControlDays) -> list[Floats]:
    half = np.array([1.0, 3.0, 8.0])
    weights = block.compared * np.linspace(1, 2, block.n_days)[:, None]
    return [
        block.carried(half),
        block.exposure(weights, half),
        block.adstock(np.array([0.3, 0.2, 0.1]), half),
        block.ahead(3.0),
        block.exposure_ahead(weights, 3.0),
        block.adstock_ahead(np.array([0.3, 0.2, 0.1]), 3.0),
        block.soon(5),
        block.exposure_soon(weights, 5),
    ]


def test_a_scale_of_three_is_three_touchpoints() -> None:
    _, block = small()
    times = np.random.default_rng(2).integers(0, 4, len(block.row))
    again = np.repeat(np.arange(len(times)), times)
    repeated = replace(
        block,
        row=block.row[again],
        code=block.code[again],
        slot=block.slot[again],
        delay=block.delay[again],
    )
    for scaled, listed in zip(
        grids(replace(block, scale=times.astype(float))), grids(repeated), strict=True
    ):
        np.testing.assert_allclose(scaled, listed, atol=1e-12)


def test_only_touchpoints_after_the_purchase_are_scaled() -> None:
    log, block = small()
    scale = np.arange(2.0, 2 + 3 * N_SPANS).reshape(3, N_SPANS)
    scaled = undone(block, of_scales(scale)).scale
    assert scaled is not None
    met = np.concatenate(
        [np.flatnonzero(log.owner == log.event_user[event]) for event in block.event]
    )
    since = log.time[met] - log.event_time[block.event[block.row]]
    for each, code, days in zip(scaled, block.code, since, strict=True):
        span = next((i for i in range(N_SPANS) if SPANS[i] < days <= SPANS[i + 1]), None)
        assert each == (1.0 if span is None else scale[code, span])


def test_nothing_changed_leaves_the_block_alone() -> None:
    _, block = small()
    assert undone(block, of_scales(np.ones((3, N_SPANS)), changed=False)) is block
