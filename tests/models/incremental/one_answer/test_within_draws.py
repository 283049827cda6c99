"""Draws of credit: the cut-off normal against its definition, sums, seeds and order."""

from __future__ import annotations

import numpy as np
import pytest

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer.within_draws import (
    Draws,
    _truncated_normal,
    sampling_draws,
    widened,
    with_missed,
)
from mta_models.models.incremental.one_answer.within_fit import fit_within, prepare_log
from mta_models.models.incremental.self_controlled.conditional_likelihood import Terms
from mta_models.models.incremental.self_controlled.credit import horizon_game
from tests.models.incremental.one_answer.made_logs import drawn, histories_of


class Quadratic(Terms):
    """A log-likelihood of which gradient and Hessian are given, all columns with exposure."""

    def __init__(self, gradient: Floats, precision: Floats, used: Floats | None = None) -> None:
        k = len(gradient)
        exposure = np.ones((1, k)) if used is None else used[None, :]
        one = np.ones(1)
        super().__init__(np.zeros((1, k)), exposure, one, one, one)
        object.__setattr__(self, "given", (gradient, -precision))

    def slopes(self, b: Floats) -> tuple[Floats, Floats]:
        return self.given  # type: ignore[attr-defined, no-any-return]  # set above, as it is frozen


def by_rejection(
    best: Floats, gradient: Floats, precision: Floats, rng: np.random.Generator
) -> Floats:
    """Draws of b ≥ 0 from exp(g·d − d·P d / 2): those of the whole normal that are in it."""
    mean = best + np.linalg.solve(precision, gradient)
    draws = rng.multivariate_normal(mean, np.linalg.inv(precision), 400_000)
    inside: Floats = draws[(draws >= 0).all(axis=1)]
    return inside


CASES = [
    # Far inside; near the boundary in one; at it in two, with gradients that push out.
    ([5.0, 5.0], [0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]]),
    ([1.0, 0.3], [0.0, 0.0], [[2.0, 1.2], [1.2, 3.0]]),
    ([0.0, 0.8, 0.0], [-1.0, 0.0, -0.4], [[2.0, 0.5, 0.3], [0.5, 1.5, -0.6], [0.3, -0.6, 1.0]]),
]


@pytest.mark.parametrize(("best", "gradient", "precision"), CASES)
def test_the_cut_off_normal_is_that_of_rejection(
    best: list[float], gradient: list[float], precision: list[list[float]]
) -> None:
    b, g, p = (np.array(each) for each in (best, gradient, precision))
    drawn = _truncated_normal(Quadratic(g, p), b, 40_000, np.random.default_rng(0))
    exact = by_rejection(b, g, p, np.random.default_rng(1))
    assert len(exact) > 10_000
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.mean(axis=0), exact.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(exact.T), atol=0.03)


def test_far_below_the_boundary_the_tail_is_exponential() -> None:
    """With gradient −100 at 0 and hardly any curvature, b is exponential of mean 1/100."""
    terms = Quadratic(np.array([-100.0]), np.array([[1.0]]))
    draws = _truncated_normal(terms, np.zeros(1), 40_000, np.random.default_rng(0))[:, 0]
    assert (draws >= 0).all()
    np.testing.assert_allclose(draws.mean(), 0.01, rtol=0.02)
    expected = -np.log1p(-np.array([0.1, 0.5, 0.9])) / 100
    np.testing.assert_allclose(np.quantile(draws, [0.1, 0.5, 0.9]), expected, rtol=0.05)


def test_parameters_without_exposure_stay_zero() -> None:
    terms = Quadratic(np.zeros(2), np.eye(2), np.array([1.0, 0.0]))
    draws = _truncated_normal(terms, np.array([1.0, 0.0]), 100, np.random.default_rng(0))
    assert not draws[:, 1].any()
    assert np.ptp(draws[:, 0]) > 0.5


def test_draws_do_not_depend_on_the_order_of_parameters() -> None:
    b, g, p = (np.array(each) for each in CASES[2])
    weight = np.array([3.0, 1.0, 2.0])
    order = np.array([2, 0, 1])
    first = _truncated_normal(Quadratic(g, p, weight), b, 50, np.random.default_rng(0))
    other = _truncated_normal(
        Quadratic(g[order], p[np.ix_(order, order)], weight[order]),
        b[order],
        50,
        np.random.default_rng(0),
    )
    np.testing.assert_allclose(other, first[:, order], atol=1e-9)


# Draws from a fit.


def log_of(n: int = 3_000, effect: float = 0.0, seed: int = 0) -> Histories:
    """Purchases of half of the users; with the chance `effect` one comes a day after an A."""
    rng = np.random.default_rng(seed)
    user, time, code = drawn(rng, n, 60.0, np.array([0.06, 0.06, 0.03]))
    bought = rng.uniform(5, 55, n)
    met = np.flatnonzero((code == 0) & (time > 5) & (time < 54) & (rng.random(len(code)) < effect))
    bought[user[met]] = time[met] + rng.exponential(1.0, len(met)).clip(0, 4)
    return histories_of(n, 60.0, user, time, code, (np.arange(n // 2), bought[: n // 2]))


def draws_of(log: Histories, seed: int = 0, n: int = 200) -> tuple[Floats, Draws]:
    none = np.zeros(3, dtype=bool)
    fit = fit_within(prepare_log(log, none), none)
    credit, _ = horizon_game(fit.design, fit.rate, fit.repeat).scaled(log.total)
    return credit, sampling_draws(fit, credit, n, np.random.default_rng(seed))


def test_draws_add_up_and_have_a_seed() -> None:
    log = log_of(effect=0.2)
    credit, draws = draws_of(log)
    assert draws.credit.shape == (200, 3)
    np.testing.assert_allclose(draws.credit.sum(axis=1) + draws.baseline, log.total)
    assert (draws.credit >= 0).all()
    assert (draws.baseline >= 0).all()
    low, high = np.quantile(draws.credit[:, 0], [0.05, 0.95])
    assert low < credit[0] < high
    np.testing.assert_array_equal(draws_of(log)[1].credit, draws.credit)
    assert not np.array_equal(draws_of(log, seed=1)[1].credit, draws.credit)
    assert draws_of(log, n=0)[1].credit.shape == (0, 3)


def repeated(seed: int, n: int) -> Histories:
    """Users who purchase at 0.03 a day, whatever they meet."""
    rng = np.random.default_rng(seed)
    user, time, code = drawn(rng, n, 60.0, np.array([0.06, 0.06, 0.03]))
    buyer, when, _ = drawn(rng, n, 60.0, np.array([0.03]))
    return histories_of(n, 60.0, user, time, code, (buyer, when))


def test_at_no_effect_bounds_come_down_to_zero_with_the_root_of_users() -> None:
    """Consistent at the boundary: ten times the users, about a third of the share."""
    bounds = []
    for n in (600, 6_000):
        shares = []
        for seed in range(2):
            log = repeated(seed, n)
            _, draws = draws_of(log, n=100)
            lower, upper = np.quantile(draws.credit / log.total, [0.05, 0.95], axis=0)
            assert (lower < 0.02).all()
            shares.append(upper.mean())
        bounds.append(np.mean(shares))
    assert 0.2 < bounds[1] / bounds[0] < 0.55


def test_where_everybody_buys_anyway_draws_are_numbers() -> None:
    """Effects above 0 of which nobody's purchase is made: nothing is divided by nothing."""
    log = log_of(15_000)
    credit, draws = draws_of(log, n=50)
    assert not credit.any()
    assert np.isfinite(draws.credit).all()
    assert draws.credit.any()
    assert (np.quantile(draws.credit, 0.95, axis=0) < 0.1 * log.total).all()


# What models do not know.


def test_widened_draws_add_up_and_are_wider() -> None:
    rng = np.random.default_rng(0)
    narrow = Draws(np.full((500, 2), 100.0), np.full(500, 800.0))
    wide = widened(narrow, np.array([0.5, 0.5]), 1_000.0, rng)
    np.testing.assert_allclose(wide.credit.sum(axis=1) + wide.baseline, 1_000.0)
    assert (wide.credit >= 0).all()
    assert (wide.credit.std(axis=0) > 10).all()
    np.testing.assert_allclose(np.median(wide.credit, axis=0), 100.0, rtol=0.1)
    # All conversions: what is given to channels beyond that is taken back.
    full = widened(
        Draws(np.full((500, 2), 500.0), np.zeros(500)), np.array([0.5, 0.5]), 1_000.0, rng
    )
    assert full.credit.sum(axis=1).max() <= 1_000.0 + 1e-9


def test_widened_draws_do_not_depend_on_the_order_of_channels() -> None:
    rng = np.random.default_rng(1)
    credit, volume = rng.uniform(50, 150, (20, 4)), np.array([0.4, 0.1, 0.4, 0.1])
    draws = Draws(credit, 1_000 - credit.sum(axis=1))
    order = np.array([3, 1, 0, 2])
    first = widened(draws, volume, 1_000.0, np.random.default_rng(0))
    again = widened(
        Draws(credit[:, order], draws.baseline), volume[order], 1_000.0, np.random.default_rng(0)
    )
    np.testing.assert_allclose(again.credit, first.credit[:, order])


def test_channels_that_were_not_tested_keep_what_a_fit_misses() -> None:
    credit = np.tile([100.0, 0.0, -20.0], (2_000, 1))
    met = Draws(credit, 1_000 - credit.sum(axis=1))
    untested, volume = np.array([False, True, True]), np.array([0.4, 0.4, 0.2])
    wide = with_missed(met, untested, volume, 1_000.0, np.random.default_rng(0))
    np.testing.assert_array_equal(wide.credit[:, 0], 100.0)
    low, high = np.quantile(wide.credit[:, 1], (0.05, 0.95))
    assert low == 0
    assert high > 5
    assert wide.credit[:, 2].min() == -20.0  # harm that tests show is not taken back
    np.testing.assert_allclose(wide.credit.sum(axis=1) + wide.baseline, 1_000.0)
