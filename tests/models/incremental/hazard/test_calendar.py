"""The calendar of the additive hazard: its sums, its estimate, and its part in the credit."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.kernels import HalfLifeGrid
from mta_models.models.incremental.hazard.calendar import Calendar, days_by_week, n_weeks_until
from mta_models.models.incremental.hazard.likelihood import RatesByKernel
from mta_models.models.incremental.hazard.weekly_factors import fit_weekly_factors

DAYS = 70
day = st.floats(-20, 60)


def simulate(n: int, growth: float, seed: int, effect: float = 0.05) -> mta.Journeys:
    """Baseline sales that grow; A works, B does not and is bought as the sales grow, only more."""
    rng = np.random.default_rng(seed)
    rise = 1 + growth * np.arange(DAYS) / DAYS
    rise /= rise.mean()
    carried, rows, bought = np.zeros(n), [], np.zeros(n, dtype=bool)
    for today in range(DAYS):
        met = rng.random((2, n)) < np.array([[0.02], [0.03 * rise[today] ** 2]])
        for code in (0, 1):
            users = np.flatnonzero(met[code])
            rows.append((users, np.full(len(users), today + 0.3), np.full(len(users), code)))
        carried = carried * 2 ** (-1 / 3) + met[0]
        rate = 0.002 * rise[today] + effect * (1 - 2 ** (-1 / 3)) * carried
        users = np.flatnonzero((rng.random(n) < rate) & ~bought)
        bought[users] = True
        rows.append((users, np.full(len(users), today + 0.8), np.full(len(users), 2)))
    user, time, code = (np.concatenate(each) for each in zip(*rows, strict=True))
    log = pl.DataFrame(
        {
            "user": user,
            "time": time,
            "channel": pl.Series(["A", "B", None], dtype=pl.String).gather(code),
            "conversion": (code == 2).astype(np.int8),
        }
    )
    observed = pl.DataFrame({"user": range(n), "start": [0.0] * n, "end": [float(DAYS)] * n})
    names = {name: name for name in ("user", "time", "channel", "conversion")}
    return mta.read_events(log, **names, observed=observed, lookback=None)


@pytest.fixture(scope="module")
def growing() -> mta.Journeys:
    return simulate(6000, 5.0, seed=1)


@given(st.lists(st.tuples(day, st.floats(0, 30), st.floats(0, 3)), min_size=1, max_size=6))
def test_days_by_week_are_those_of_loops(users: list[tuple[float, float, float]]) -> None:
    start, length, weight = (np.array(each) for each in zip(*users, strict=True))
    stop, n_weeks = start + length, n_weeks_until(start + length)
    expected = np.zeros(n_weeks)
    for week in range(n_weeks):
        low = -np.inf if week == 0 else 7.0 * week
        high = np.inf if week == n_weeks - 1 else 7.0 * (week + 1)
        inside = np.minimum(stop, high) - np.maximum(start, low)
        expected[week] = weight @ np.maximum(inside, 0)
    np.testing.assert_allclose(days_by_week(start, stop, weight, n_weeks), expected, atol=1e-9)


@given(day, st.floats(0, 40), st.lists(st.floats(0.1, 4), min_size=1, max_size=5))
def test_the_integral_is_that_of_the_factor(begin: float, length: float, f: list[float]) -> None:
    calendar = Calendar(np.array(f))
    middles = begin + (np.arange(40_000) + 0.5) * length / 40_000
    expected = calendar.at(middles).mean() * length
    actual = calendar.between(np.array(begin), np.array(begin + length))
    np.testing.assert_allclose(actual, expected, atol=1e-2)


def test_growth_is_not_credited_to_the_channel_that_grew(growing: mta.Journeys) -> None:
    total = growing.total
    blind = mta.Hazard("3d", calendar=False).fit_attribute(growing)
    model = mta.Hazard("3d")
    result = model.fit_attribute(growing)
    assert blind.credit[1] > 0.05 * total
    assert result.credit[1] < 0.02 * total
    assert model.beta_[0] == pytest.approx(0.05, abs=3 * model.standard_error_[0])
    rise = 1 + 5 * (np.arange(DAYS // 7) * 7 + 3.5) / DAYS
    np.testing.assert_allclose(model.calendar_, rise / rise.mean(), atol=0.35)
    assert np.corrcoef(model.calendar_, rise)[0, 1] > 0.9


def test_factors_have_mean_1_and_the_fit_adds_up(growing: mta.Journeys) -> None:
    model = mta.Hazard("3d").fit(growing)
    histories = growing.histories
    stop = histories.until_first
    calendar = Calendar(model.calendar_)
    days = histories.weight @ calendar.between(histories.start, stop)
    np.testing.assert_allclose(days, histories.days(stop))
    caused = histories.totals(3.0, stop) * np.log(2) / 3 @ model.beta_
    # At the maximum as many conversions are expected of the users at risk as were observed.
    np.testing.assert_allclose(caused + model.baseline_hazard_ * days, growing.total, rtol=1e-8)
    expected = model.expected_conversions(growing, 0, DAYS)
    whole = histories.weight @ calendar.between(histories.start, histories.end)
    assert expected.sum() > model.baseline_hazard_ * whole


def test_log_likelihood_is_that_of_loops(growing: mta.Journeys) -> None:
    model = mta.Hazard("3d").fit(growing)
    histories, per_day = growing.histories, np.log(2) / 3
    value = 0.0
    for i, (user, at) in enumerate(
        zip(histories.event_user.tolist(), histories.event_time.tolist(), strict=True)
    ):
        rate = model.baseline_hazard_ * model.calendar_[int(at // 7)]
        for j in range(int(histories.offsets[user]), int(histories.event_stop[i])):
            age = at - histories.time[j]
            rate += model.beta_[histories.codes[j]] * per_day * 2 ** (-age / 3)
        value += np.log(rate)
    # The integrated hazard of the users at risk is the number of conversions, see above.
    np.testing.assert_allclose(model.log_likelihood_, value - growing.total, rtol=1e-7)


def test_the_horizon_without_channels_is_the_baselines(growing: mta.Journeys) -> None:
    model = mta.Hazard("3d").fit(growing)
    game = model._game(growing.histories)
    histories, calendar = growing.histories, Calendar(model.calendar_)
    alone = model.baseline_hazard_ * calendar.between(histories.start, histories.end)
    np.testing.assert_allclose(game.nobody, -np.expm1(-alone).sum(), rtol=1e-9)
    moment = mta.Hazard("3d", counterfactual="moment").fit_attribute(growing)
    np.testing.assert_allclose(
        moment.baseline,
        model.baseline_hazard_ * growing.histories.days(growing.histories.until_first),
        rtol=1e-6,
    )


def test_factors_are_the_maximum_of_what_they_maximise(growing: mta.Journeys) -> None:
    histories = growing.histories
    grid = HalfLifeGrid(np.full((1, 2), 3.0))
    table = RatesByKernel(histories, histories.until_first, grid, weekly=True)
    choice = np.zeros(2, dtype=np.int64)
    model = mta.Hazard("3d").fit(growing)
    factor, variance = fit_weekly_factors(table, choice)
    np.testing.assert_allclose(factor, model.calendar_)
    assert variance == model.calendar_variance_ > 0.05
    theta = np.append(model.beta_, model.baseline_hazard_)

    def value(log_f: np.ndarray) -> float:
        likelihood = table.rates(choice, np.exp(log_f)).log_likelihood(theta)
        return likelihood - float(log_f @ log_f) / (2 * variance)

    best = value(np.log(factor))
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert value(np.log(factor) + 0.05 * rng.normal(size=len(factor))) < best


def test_weeks_that_differ_by_chance_have_factors_near_1() -> None:
    spread = []
    for seed in range(4):
        flat = simulate(2500, 0.0, seed=seed)
        model = mta.Hazard("3d").fit(flat)
        spread.append(np.abs(np.log(model.calendar_)).max())
        same = mta.Hazard("3d", calendar=False).fit_attribute(flat)
        np.testing.assert_allclose(
            model.attribute(flat).credit, same.credit, atol=0.04 * flat.total
        )
        assert (model.calendar_ == 1).all() == (model.calendar_variance_ == 0)
    assert np.median(spread) < 0.15


def test_names_and_the_order_of_users_do_not_matter(growing: mta.Journeys) -> None:
    model = mta.Hazard().fit(growing)
    other = mta.Hazard().fit(growing.recode(("B", "A")))
    np.testing.assert_allclose(other.calendar_, model.calendar_, rtol=1e-6)
    np.testing.assert_allclose(other.beta_, model.beta_[::-1], rtol=1e-6, atol=1e-10)


def test_a_draw_keeps_the_variance_of_the_point_fit() -> None:
    flat = simulate(1500, 0.0, seed=2)
    model = mta.Hazard("3d").fit(flat)
    model.calendar_variance_ = 0.0
    rng = np.random.default_rng(0)
    picked = rng.poisson(1.0, flat.n_journeys)
    drawn = flat.reweighted(flat.conversions * picked, flat.nulls * picked)
    credit, baseline = model.prepare(flat, "conversions")(drawn)
    expected = mta.Hazard("3d", calendar=False).fit_attribute(drawn)
    np.testing.assert_allclose(credit, expected.credit, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(baseline, expected.baseline, rtol=1e-6)


def test_rows_without_a_timeline_have_no_calendar() -> None:
    rows = mta.Journeys.from_arrays(
        ["A"], [0, 0], [0, 1, 2, 2], [4, 1, 5], [0, 95, 95],
        age=[1.0, 9.0], at_risk=[30.0, 30.0, 30.0],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = mta.Hazard("2d").fit(rows)
    np.testing.assert_array_equal(model.calendar_, [1.0])


def test_calendar_is_true_or_false() -> None:
    with pytest.raises(mta.ParameterError, match="calendar"):
        mta.Hazard(calendar="weekly").fit(simulate(200, 0.0, seed=0))  # type: ignore[arg-type]
