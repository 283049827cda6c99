"""The parts of SelfControlled against slow loops over days, users, touchpoints and orders."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled import converter_games as games
from mta_models.models.incremental.self_controlled.conditional_likelihood import (
    Terms,
    maximise_conditional,
)
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.converter_games import (
    Thresholds,
    first_conversion_game,
)
from mta_models.models.incremental.self_controlled.frailty import fit_frailty
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
    constant_rate,
    fit_effects,
    fit_time_factors,
    joint_terms,
)

CHANNELS = 3
SPANS = (3.0, 8.0, np.inf)


def histories(seed: int, n: int = 6, repeat: bool = True, coarse: bool = False) -> Histories:
    """Converters with touchpoints at random (or whole, or half) days, some before observation."""
    rng = np.random.default_rng(seed)
    start = np.round(rng.uniform(0, 4, n), 2)
    end = start + np.round(rng.uniform(1.5, 20, n), 2)
    count = rng.integers(0, 9, n)
    offsets = np.concatenate(([0], np.cumsum(count)))
    time = [np.sort(rng.uniform(a - 2, b, k)) for a, b, k in zip(start, end, count, strict=True)]
    time = [np.round(2 * each) / 2 for each in time] if coarse else time
    events = rng.integers(1, 3 if repeat else 2, n)
    user = np.repeat(np.arange(n), events)
    when = np.sort(rng.uniform(start[user], end[user]))[np.argsort(np.argsort(user))]
    when = np.concatenate([np.sort(rng.uniform(start[u], end[u], events[u])) for u in range(n)])
    if coarse:
        when = np.clip(np.round(2 * when) / 2, start[user], end[user])
    stop = [
        offsets[u] + np.searchsorted(time[u], t, side=rng.choice(["left", "right"]))
        for u, t in zip(user, when, strict=True)
    ]
    return Histories(
        channels=tuple("ABC"),
        offsets=offsets,
        time=np.concatenate(time),
        codes=rng.integers(0, CHANNELS, offsets[-1]),
        start=start,
        end=end,
        weight=np.ones(n),
        event_user=user,
        event_time=when,
        event_weight=rng.integers(1, 4, len(user)).astype(float),
        event_row=np.arange(len(user)),
        event_stop=np.array(stop, dtype=np.int64),
        user_row=np.arange(n),
    )


def delayed(h: Histories, seed: int) -> Histories:
    """The same users, of whose touchpoints some count hours or days after they were met."""
    rng = np.random.default_rng(seed)
    time = h.time + rng.choice([0.0, 0.4, 1.5], len(h.time))
    order = np.lexsort((time, h.owner))
    later = replace(h, time=time[order], codes=h.codes[order], met=h.time[order])
    return replace(later, event_stop=later.seen_by(h.event_user, h.event_time))


def days_of(h: Histories, event: int) -> list[tuple[float, bool]]:
    """The times compared for one conversion, and whether each is the case."""
    user, when = h.event_user[event], h.event_time[event]
    low = int(np.floor(when - h.start[user]))
    high = int(np.floor(h.end[user] - when))
    return [(when + k, k == 0) for k in range(-low, high + 1)]


def seen(h: Histories, event: int, time: float, case: bool) -> tuple[list[int], list[int]]:
    """Touchpoints of the user before a time, and after it."""
    user = h.event_user[event]
    mine = range(h.offsets[user], h.offsets[user + 1])
    tie = [k for k in mine if h.time[k] == time]
    before = [k for k in mine if h.time[k] < time] + ([] if case else tie)
    if case:
        before = [k for k in mine if k < h.event_stop[event]]
    return before, [k for k in mine if k not in before]


def adstock(h: Histories, time: float, which: list[int], half: np.ndarray) -> np.ndarray:
    carried = np.zeros(CHANNELS)
    for k in which:
        carried[h.codes[k]] += 2 ** (-abs(time - h.time[k]) / half[h.codes[k]])
    return carried


def slow_log_likelihood(h: Histories, rate: RelativeRate, group: np.ndarray) -> float:
    """Σ w log(λ(T) / Σ λ(s)), day by day."""
    ages = np.array([1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 22, 28, *range(35, 200, 7)])
    total = 0.0
    for event in range(h.n_events):
        rates, at_case = [], 0.0
        for place, (time, case) in enumerate(days_of(h, event)):
            before, after = seen(h, event, time, case)
            intent = 1.0
            for span, effect in zip(rate.spans, rate.intent, strict=True):
                half = np.full(CHANNELS, span)
                around = adstock(h, time, before, half) + adstock(h, time, after, half)
                intent += float(effect @ around)
            value = intent + float(rate.effect @ adstock(h, time, before, rate.half_life))
            value *= rate.calendar[int(time // 7)]
            age = np.searchsorted(ages, place, side="right")
            value *= rate.depletion[group[event], min(age, rate.depletion.shape[1] - 1)]
            rates.append(value)
            at_case = value if case else at_case
        total += h.event_weight[event] * float(np.log(at_case / sum(rates)))
    return total


def design_of(h: Histories, seed: int) -> Design:
    group = np.random.default_rng(seed).integers(0, 2, h.n_events)
    return Design(control_days(h), group, h.event_weight)


def any_rate(design: Design, seed: int) -> RelativeRate:
    rng = np.random.default_rng(seed)
    plain = constant_rate(design, 2)
    return RelativeRate(
        half_life=rng.choice([1.0, 3.0, 5.0], CHANNELS),
        effect=rng.exponential(size=CHANNELS),
        calendar=rng.uniform(0.5, 2, plain.calendar.shape),
        depletion=rng.uniform(0.5, 2, plain.depletion.shape),
        spans=np.array(SPANS),
        intent=rng.exponential(size=(3, CHANNELS)),
    )


@given(seed=st.integers(0, 10_000), coarse=st.booleans())
@settings(max_examples=30)
def test_likelihood_is_that_of_a_loop_over_days(seed: int, coarse: bool) -> None:
    h = histories(seed, coarse=coarse)
    design = design_of(h, seed)
    check_likelihood(h, design, any_rate(design, seed))


@pytest.mark.parametrize("fitted_to", [34, 36, 50, 90])
def test_depletion_has_a_value_a_week_and_its_last_one_for_longer_observation(
    fitted_to: int,
) -> None:
    """Users observed for 80 days, with a rate fitted to users observed for fewer, or more."""
    h = histories(7)
    h = replace(h, end=h.start + 80)
    fewer = replace(
        h,
        end=np.maximum(
            h.start + fitted_to, [max(h.event_time[h.event_user == u]) for u in range(6)]
        ),
    )
    rate = any_rate(design_of(fewer, 0), 0)
    days = max(block.n_days for block in control_days(fewer))
    assert rate.depletion.shape[1] == 13 + len(range(35, days, 7))
    weeks = int(h.end.max() // 7) + 1
    rate = replace(rate, calendar=np.random.default_rng(0).uniform(0.5, 2, weeks))
    check_likelihood(h, design_of(h, 0), rate)


def check_likelihood(h: Histories, design: Design, rate: RelativeRate) -> None:
    at_cases = [rate.weights(design, block)[block.at_case] for block in design.blocks]
    constant = float(design.weight @ np.log(np.concatenate(at_cases)))
    joint = np.concatenate([rate.effect, rate.intent.ravel()])
    slow = slow_log_likelihood(h, rate, design.group)
    assert joint_terms(design, rate).value(joint) + constant == pytest.approx(slow, abs=1e-8)
    assert channel_terms(design, rate).value(rate.effect) + constant == pytest.approx(
        slow, abs=1e-8
    )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_grids_are_what_each_day_carries(seed: int) -> None:
    h = histories(seed)
    design = design_of(h, seed)
    rate = any_rate(design, seed)
    (block,) = design.blocks
    grid, weights = rate.rate(block), np.random.default_rng(seed).random(block.compared.shape)
    weights *= block.observed
    # A touchpoint 7 days later to within rounding may count or not: such days get no weight.
    at_the_edge = {
        (place, event)
        for event in range(h.n_events)
        for place, (time, case) in enumerate(days_of(h, event))
        if np.isclose(h.time[seen(h, event, time, case)[1]], time + 7).any()
    }
    for cell in at_the_edge:
        weights[cell] = 0
    soon, soon_sum = block.soon(7), block.exposure_soon(weights, 7)
    for event in range(h.n_events):
        expected = np.zeros(CHANNELS)
        for place, (time, case) in enumerate(days_of(h, event)):
            before, after = seen(h, event, time, case)
            value = 1 + float(rate.effect @ adstock(h, time, before, rate.half_life))
            for span, effect in zip(rate.spans, rate.intent, strict=True):
                half = np.full(CHANNELS, span)
                around = adstock(h, time, before, half) + adstock(h, time, after, half)
                value += float(effect @ around)
            assert grid[place, event] == pytest.approx(value)
            ahead = [h.codes[k] for k in after if h.time[k] <= time + 7]
            count = np.bincount(ahead, minlength=CHANNELS)
            expected += weights[place, event] * count
            if case and (place, event) not in at_the_edge:
                np.testing.assert_allclose(soon[event], count)
        assert block.size[event] == len(days_of(h, event))
        np.testing.assert_allclose(soon_sum[event], expected)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_slopes_are_those_of_the_value(seed: int) -> None:
    design = design_of(histories(seed), seed)
    terms = joint_terms(design, any_rate(design, seed))
    b = np.random.default_rng(seed).exponential(size=terms.carried.shape[1])
    gradient, hessian = terms.slopes(b)
    np.testing.assert_allclose(terms.weight @ terms.scores(b), gradient, atol=1e-10)
    step = 1e-5
    for k in range(len(b)):
        away = step * np.eye(len(b))[k]
        slope = (terms.value(b + away) - terms.value(b - away)) / (2 * step)
        assert gradient[k] == pytest.approx(slope, abs=1e-5)
        curve = (terms.slopes(b + away)[0] - terms.slopes(b - away)[0]) / (2 * step)
        np.testing.assert_allclose(hessian[k], curve, atol=1e-5)


def many_terms(seed: int, n: int = 400, k: int = 3) -> Terms:
    """Rows as a conditional likelihood with true b has them: the case drawn among 30 days."""
    rng = np.random.default_rng(seed)
    moments_ = rng.exponential(size=(n, 30, k)) * (rng.random((n, 30, k)) < 0.3)
    rate = 1 + moments_ @ np.array([2.0, 0.5, 0.0])[:k]
    chance = np.cumsum(rate / rate.sum(axis=1, keepdims=True), axis=1)
    case = (rng.random((n, 1)) > chance).sum(axis=1).clip(max=29)
    picked = moments_[np.arange(n), case]
    return Terms(picked, moments_.sum(axis=1), np.ones(n), np.full(n, 30.0), np.ones(n))


@pytest.mark.parametrize("seed", range(5))
def test_maximum_is_that_of_a_general_optimiser(seed: int) -> None:
    from scipy.optimize import minimize

    terms = many_terms(seed)
    b, value = maximise_conditional(terms)
    other = minimize(
        lambda at: -terms.value(at), np.ones(3), bounds=[(0, None)] * 3, method="L-BFGS-B"
    )
    assert value >= -other.fun - 1e-6
    np.testing.assert_allclose(b, other.x, atol=0.02)
    gradient, _ = terms.slopes(b)
    assert (gradient[b == 0] <= 1e-3).all()
    assert np.abs(gradient[b > 0]).max() < 0.05


def test_frailty_changes_nothing() -> None:
    """Each user's frailty is a factor of numerator and denominator, and cancels."""
    terms = many_terms(1)
    frailty = np.random.default_rng(0).lognormal(0, 2, len(terms.case))
    scaled = Terms(
        terms.carried * frailty[:, None],
        terms.exposure * frailty[:, None],
        terms.case * frailty,
        terms.control * frailty,
        terms.weight,
    )
    np.testing.assert_allclose(
        maximise_conditional(scaled)[0], maximise_conditional(terms)[0], rtol=1e-4
    )


def test_a_conversion_twice_is_one_of_weight_two() -> None:
    terms = many_terms(2)
    doubled = Terms(
        *(
            np.concatenate([each, each])
            for each in (terms.carried, terms.exposure, terms.case, terms.control, terms.weight)
        )
    )
    heavy = Terms(terms.carried, terms.exposure, terms.case, terms.control, 2 * terms.weight)
    np.testing.assert_allclose(
        maximise_conditional(doubled)[0], maximise_conditional(heavy)[0], rtol=1e-6
    )


def test_time_factors_climb_and_find_a_trend() -> None:
    """Conversions twice as likely in the second and third week, whatever anybody met."""
    rng = np.random.default_rng(3)
    n = 4_000
    when = np.where(rng.random(n) < 0.2, rng.uniform(0, 7, n), rng.uniform(7, 21, n))
    h = Histories(
        channels=("A",),
        offsets=np.zeros(n + 1, dtype=np.int64),
        time=np.zeros(0),
        codes=np.zeros(0, dtype=np.int64),
        start=np.zeros(n),
        end=np.full(n, 21.0),
        weight=np.ones(n),
        event_user=np.arange(n),
        event_time=when,
        event_weight=np.ones(n),
        event_row=np.arange(n),
        event_stop=np.zeros(n, dtype=np.int64),
        user_row=np.arange(n),
    )
    design = Design(control_days(h), np.zeros(n, dtype=np.int64), h.event_weight)
    rate, value = fit_effects(design, constant_rate(design, 0))
    for _ in range(4):
        rate, new = fit_effects(design, fit_time_factors(design, rate, calendar=True))
        assert new >= value - 1e-9
        value = new
    f = rate.calendar
    assert f[1] / f[0] == pytest.approx(2, rel=0.1)
    assert f[2] / f[1] == pytest.approx(1, rel=0.1)


def test_windows_are_cut_from_the_calendar_and_burn_in_from_the_start() -> None:
    h = histories(4, n=20)
    for block in control_days(h, burn_in=3.0, window=5.0):
        for row, event in enumerate(block.event):
            start = h.start[h.event_user[event]]
            for place, (time, case) in enumerate(days_of(h, event)):
                same = time // 5 == h.event_time[event] // 5
                late = time >= start + 3 - 1e-9
                assert block.compared[place, row] == (case or (same and late))
            assert block.compared[len(days_of(h, event)) :, row].sum() == 0


# The game.


def slow_game(thresholds: Thresholds, weight: np.ndarray) -> np.ndarray:
    n = thresholds.part.shape[1]
    total = np.zeros(n)

    def value(players: tuple[int, ...]) -> float:
        reached = thresholds.alone + thresholds.part[:, list(players)].sum(axis=1)
        return float(weight @ np.clip(reached / thresholds.step, 0, 1))

    orders = list(permutations(range(n)))
    for order in orders:
        for place, player in enumerate(order):
            total[player] += value(order[: place + 1]) - value(order[:place])
    return total / len(orders)


def rows(seed: int, n: int, k: int) -> tuple[Thresholds, np.ndarray]:
    rng = np.random.default_rng(seed)
    part = rng.exponential(size=(n, k)) * (rng.random((n, k)) < 0.6)
    return Thresholds(rng.normal(-1, 2, n), part, rng.exponential(size=n)), rng.random(n)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_game_is_the_average_over_all_orders(seed: int) -> None:
    thresholds, weight = rows(seed, 12, 4)
    game = first_conversion_game(thresholds, weight)
    np.testing.assert_allclose(game.shapley, slow_game(thresholds, weight), atol=1e-12)
    assert game.shapley.sum() == pytest.approx(game.everyone - game.nobody)
    for c in range(4):
        others = np.delete(thresholds.part, c, axis=1).sum(axis=1)
        without = weight @ np.clip((thresholds.alone + others) / thresholds.step, 0, 1)
        assert game.removal[c] == pytest.approx(game.everyone - without)


def test_sampled_orders_agree_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    thresholds, weight = rows(5, 400, 7)
    exact = first_conversion_game(thresholds, weight)
    monkeypatch.setattr(games, "MAX_PLAYERS", 1)
    sampled = first_conversion_game(thresholds, weight)
    np.testing.assert_allclose(sampled.shapley, exact.shapley, rtol=0.03)
    assert sampled.shapley.sum() == pytest.approx(exact.shapley.sum())


def test_frailty_cancels_from_the_horizon() -> None:
    """Frailty over four orders of magnitude, known effects: converters alone are enough.

    Truth is what all users, converters or not, are expected to do: Σ 1 − e^(−z Λ_S).
    """
    rng = np.random.default_rng(0)
    n, days = 60_000, 40
    frailty = rng.lognormal(-5.0, 2.0, n)
    parts = 3 * rng.random((n, 2, days)) * (rng.random((n, 2, 1)) < 0.5)
    rate = 1 + parts.sum(axis=1)
    reached = np.cumsum(rate, axis=1)
    threshold = rng.exponential(size=n) / frailty
    converts = np.flatnonzero(threshold < reached[:, -1])
    day = (reached[converts] < threshold[converts, None]).sum(axis=1)
    step = rate[converts, day]
    before = reached[converts, day] - step
    game = first_conversion_game(
        Thresholds(days - before, parts[converts].sum(axis=2), step), np.ones(len(converts))
    )

    def expected(*players: int) -> float:
        whole = days + sum(parts[:, each].sum(axis=1) for each in players)
        return float((1 - np.exp(-frailty * whole)).sum())

    error = 3 * np.sqrt(len(converts))
    assert game.everyone == pytest.approx(expected(0, 1), abs=error)
    assert game.nobody == pytest.approx(expected(), abs=error)
    first = (expected(0) - expected() + expected(0, 1) - expected(1)) / 2
    assert game.shapley[0] == pytest.approx(first, abs=error)
    assert 0.5 < game.nobody / game.everyone < 0.9


# Frailty and imputed exposure.


def test_a_gamma_frailty_is_fitted_and_shrinks_users_to_the_mean() -> None:
    rng = np.random.default_rng(1)
    integral = rng.uniform(5, 50, 40_000)
    z = rng.gamma(0.5, 0.02 / 0.5, len(integral))
    count = rng.poisson(z * integral).astype(float)
    frailty = fit_frailty(count, integral, np.ones(len(count)))
    assert frailty.shape == pytest.approx(0.5, rel=0.15)
    assert frailty.shape / frailty.rate == pytest.approx(0.02, rel=0.05)
    mean = frailty.mean_given(count, integral)
    assert (
        np.mean((mean - z) ** 2) < np.mean((0.02 - z) ** 2) < np.mean((count / integral - z) ** 2)
    )


@pytest.mark.parametrize("seed", range(5))
def test_delayed_touchpoints_are_future_until_they_were_met(seed: int) -> None:
    h = delayed(histories(seed), seed)
    met, half = h.as_met(), np.array([2.0, 5.0, 9.0])
    for block in control_days(h):
        for row, event in enumerate(block.event):
            before, _ = seen(h, event, h.event_time[event], case=True)
            effect = adstock(h, h.event_time[event], before, half)
            np.testing.assert_allclose(block.carried(half)[row], effect, atol=1e-12)
            _, after = seen(met, event, h.event_time[event], case=True)
            ahead = adstock(met, h.event_time[event], after, np.full(CHANNELS, 3.0))
            np.testing.assert_allclose(block.as_met.ahead(3.0)[row], ahead, atol=1e-12)
    plain = histories(seed)
    assert all(block.as_met is block for block in control_days(plain))
