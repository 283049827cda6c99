"""The relative rate of `Incremental`: its likelihood against a direct sum, and its maximum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.models.incremental.half_lives import GRID
from mta_models.models.incremental.one_answer import within_rate
from mta_models.models.incremental.one_answer.background import Column
from mta_models.models.incremental.one_answer.spacing import DISTANCES, N_DISTANCES, spaced
from mta_models.models.incremental.one_answer.within_rate import (
    AnswerRate,
    Free,
    at_rows,
    fit_half_lives,
    fit_rate,
    fit_time,
    half_life_terms,
    joint_columns,
    parameters_of,
    some_rows,
    start_rate,
    with_parameters,
)
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.relative_rate import Design
from tests.models.incremental.one_answer.made_logs import drawn, histories_of

COLUMNS = (Column(np.array([1.0, 0.0, 0.5]), 2.0), Column(np.array([0.2, 1.0, 0.0]), 8.0))
ALL = Free(np.ones(3), np.ones(3))


def log_of(seed: int, n: int, per_user: int, days: float = 40.0) -> Histories:
    rng = np.random.default_rng(seed)
    user, time, code = drawn(rng, n, days, np.array([0.2, 0.1, 0.05]))
    events = np.repeat(np.arange(n // 2), per_user), rng.uniform(2, days - 2, n // 2 * per_user)
    return histories_of(n, days, user, time, code, events)


def design_of(log: Histories) -> Design:
    blocks = control_days(log)
    if log.repeats:
        blocks = [spaced(block, log) for block in blocks]
    rng = np.random.default_rng(0)
    return Design(blocks, np.arange(log.n_events) % 2, rng.uniform(0.5, 2, log.n_events))


def any_rate(design: Design, repeat: bool) -> AnswerRate:
    rng = np.random.default_rng(1)
    rate = start_rate(design, COLUMNS, 2, repeat)
    return replace(
        rate,
        half_life=np.array([1.0, 3.0, 8.0]),
        effect=np.array([0.3, 0.0, 0.6]),
        calendar=rng.uniform(0.5, 2, rate.calendar.shape),
        depletion=rng.uniform(0.5, 2, rate.depletion.shape),
        spans=np.array([2.0, np.inf]),
        intent=rng.uniform(0.01, 0.2, (2, 3)),
        amount=np.array([0.2, 0.4]),
        spacing=rng.uniform(0.2, 2, N_DISTANCES) if repeat else None,
    )


def direct(log: Histories, design: Design, rate: AnswerRate) -> float:
    """Log L conversion by conversion, day by day and touchpoint by touchpoint."""
    total = 0.0
    ages = [1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 22, 28, 35, 42]
    for i, (user, at) in enumerate(zip(log.event_user, log.event_time, strict=True)):
        mine = np.flatnonzero(log.owner == user)
        others = log.event_time[(log.event_user == user) & (np.arange(log.n_events) != i)]
        before = int(np.floor(at))
        rates = []
        for place in range(before + 1 + int(np.floor(log.end[user] - at))):
            s = at - before + place
            one = 1.0
            for j in mine:
                c, age = log.codes[j], s - log.time[j]
                if age >= 0:
                    one += rate.effect[c] * 2 ** (-age / rate.half_life[c])
                    for column, amount in zip(COLUMNS, rate.amount, strict=True):
                        one += amount * column.weight[c] * 2 ** (-age / column.half_life)
                for span, intent in zip(rate.spans, rate.intent, strict=True):
                    one += intent[c] * 2 ** (-abs(age) / span)
            one *= rate.calendar[int(s // 7)]
            if rate.spacing is None:
                one *= rate.depletion[design.group[i], sum(edge <= place for edge in ages)]
            else:
                since = s - max(others[others < s], default=-np.inf)
                until = min(others[others >= s], default=np.inf) - s
                for gap in (since, until):
                    one *= rate.spacing[sum(edge < gap for edge in DISTANCES)]
            rates.append(one)
        total += design.weight[i] * np.log(rates[before] / sum(rates))
    return float(total)


@pytest.mark.parametrize("per_user", [1, 3])
def test_the_likelihood_is_a_direct_sum(per_user: int) -> None:
    log = log_of(2, 12, per_user)
    design = design_of(log)
    rate = any_rate(design, log.repeats)
    terms = joint_columns(design, rate, ALL)
    constant = within_rate.log_weights(design, rate)
    actual = terms.value(parameters_of(rate)) + constant
    assert actual == pytest.approx(direct(log, design, rate), rel=1e-10)
    # Given other half-lives on the grid, the likelihood of the search is the same function.
    on_grid = replace(rate, half_life=np.full(3, GRID[1]))
    grid = half_life_terms(design, on_grid, ALL, np.arange(design.n_rows))
    at = grid.columns(np.arange(3, 6)).value(rate.effect) + constant
    assert at == pytest.approx(direct(log, design, on_grid), rel=1e-10)


def test_parameters_go_and_come_back() -> None:
    design = design_of(log_of(2, 12, 1))
    rate = any_rate(design, repeat=False)
    values = np.arange(3 + 2 + 6) + 0.5
    moved = with_parameters(rate, values)
    np.testing.assert_array_equal(parameters_of(moved), values)
    np.testing.assert_array_equal(moved.calendar, rate.calendar)
    again = with_parameters(moved, parameters_of(rate))
    for name in ("effect", "amount", "intent"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rate, name))


def test_the_fit_is_a_maximum_on_and_off_the_boundary() -> None:
    design = design_of(log_of(4, 600, 1))
    rate = start_rate(design, COLUMNS, 2, repeat=False)
    fitted, value = fit_rate(design, replace(rate, effect=np.full(3, 0.05)), ALL)
    best = parameters_of(fitted)
    gradient, _ = joint_columns(design, fitted, ALL).slopes(best)
    assert (best >= 0).all()
    assert (best > 0).any()
    assert (best == 0).any()
    scale = design.weight.sum()
    np.testing.assert_allclose(gradient[best > 0] / scale, 0.0, atol=1e-4)
    assert (gradient[best == 0] <= 1e-4 * scale).all()
    # No other start reaches more.
    other, reached = fit_rate(design, replace(rate, effect=np.full(3, 1.0)), ALL)
    assert reached == pytest.approx(value, abs=1e-4)
    np.testing.assert_allclose(parameters_of(other), best, atol=2e-3)


def test_channels_that_may_not_have_an_effect_have_none() -> None:
    design = design_of(log_of(4, 300, 1))
    rate = replace(start_rate(design, (), 2, repeat=False), effect=np.full(3, 0.05))
    fitted, _ = fit_rate(design, rate, Free(np.array([1.0, 0.0, 1.0]), np.ones(3)))
    assert fitted.effect[1] == 0.0
    terms = half_life_terms(
        design, fitted, Free(np.array([1.0, 0.0, 1.0]), np.ones(3)), some_rows(design)
    )
    assert not terms.exposure[:, 1::3].any()
    assert not terms.carried[:, 1::3].any()
    assert terms.exposure[:, ::3].all(axis=1).any()


def test_no_channel_may_stand_for_intent_that_a_purchase_changes() -> None:
    design = design_of(log_of(4, 60, 1))
    rate = any_rate(design, repeat=False)
    terms = joint_columns(design, rate, Free(np.ones(3), np.array([1.0, 0.0, 1.0])))
    moving, stable = terms.exposure[:, 5:8], terms.exposure[:, 8:]
    assert not moving[:, 1].any()
    assert moving[:, 0].any()
    assert stable[:, 1].any()


def made(seed: int, n: int, half_life: float, effect: float) -> Histories:
    """Users who purchase at 0.01 a day, times 1 + the effects of A, none of B and none of C.

    They purchase again and again, so that nothing is depleted and no distance is kept.
    """
    rng = np.random.default_rng(seed)
    days, dt = 60, 0.25
    user, time, code = drawn(rng, n, float(days), np.array([0.08, 0.08, 0.08]))
    buyers: list[Ints] = []
    when: list[Floats] = []
    met = np.zeros((int(days / dt), n))
    np.add.at(met, (np.floor(time[code == 0] / dt).astype(int), user[code == 0]), 1.0)
    carried = np.zeros(n)
    for step in range(len(met)):
        buys = np.flatnonzero(rng.random(n) < 0.01 * dt * (1 + effect * carried))
        buyers.append(buys)
        when.append(step * dt + dt * rng.random(len(buys)))
        carried = (carried + met[step]) * 2 ** (-dt / half_life)
    return histories_of(
        n, float(days), user, time, code, (np.concatenate(buyers), np.concatenate(when))
    )


def test_effects_and_half_lives_are_found_again() -> None:
    log = made(5, 4_000, 3.0, 2.0)
    design = design_of(log)
    rate = replace(start_rate(design, (), 1, repeat=True), effect=np.full(3, 0.05))
    rate, _ = fit_rate(design, rate, ALL)
    rate = fit_half_lives(design, fit_time(design, rate), ALL)
    rate, _ = fit_rate(design, rate, ALL)
    assert rate.half_life[0] in (2.0, 3.0, 5.0)
    assert rate.effect[0] == pytest.approx(2.0, rel=0.3)
    assert (rate.effect[1:] < 0.2).all()


# Some of many conversions.


def test_some_rows_are_all_where_they_are_few() -> None:
    design = design_of(log_of(4, 60, 1))
    np.testing.assert_array_equal(some_rows(design), np.arange(30))
    np.testing.assert_array_equal(some_rows(design, 30), np.arange(30))


def test_some_rows_are_the_same_conversions_in_any_order_of_users() -> None:
    rng = np.random.default_rng(6)
    n = 200
    user, time, code = drawn(rng, n, 40.0, np.array([0.2, 0.1, 0.05]))
    # Whole days: conversions are at the same time.
    buyers, when = np.arange(n // 2), np.floor(rng.uniform(2, 38, n // 2))
    chosen = []
    for number in (np.arange(n), rng.permutation(n)):
        log = histories_of(n, 40.0, number[user], time, code, (number[buyers], when))
        rows = some_rows(design_of(log), 25)
        assert len(rows) == 25
        assert (np.diff(rows) > 0).all()
        back = np.argsort(number)
        chosen.append(sorted(back[log.event_user[rows]].tolist()))
    assert chosen[0] == chosen[1]


def test_some_rows_weigh_as_much_as_all() -> None:
    design = design_of(log_of(4, 600, 1))
    rate = start_rate(design, (), 2, repeat=False)
    all_ = joint_columns(design, rate, ALL)
    rows = some_rows(design, 100)
    some = at_rows(all_, rows)
    assert some.weight.sum() == pytest.approx(all_.weight.sum())
    np.testing.assert_array_equal(some.exposure, all_.exposure[rows])
    np.testing.assert_allclose(
        some.weight / all_.weight[rows], some.weight[0] / all_.weight[rows[0]]
    )
