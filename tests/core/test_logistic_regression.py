"""The one Newton logistic regression, against scikit-learn, differences and identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from mta_models.core import logistic_regression
from mta_models.core.logistic_regression import chances, cross_products, fit_logistic, log_loss
from mta_models.errors import InvariantError

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_data(seed: int, n: int = 300, k: int = 3) -> Data:
    """Columns (a constant first), outcomes and weights."""
    rng = np.random.default_rng(seed)
    columns = np.hstack([np.ones((n, 1)), rng.exponential(1, (n, k)) * np.arange(1, k + 1)])
    odds = columns @ np.append(-1.5, rng.normal(size=k) / np.arange(1, k + 1))
    converts = rng.random(n) < 1 / (1 + np.exp(-odds))
    converts[:2] = True, False
    return columns, converts, rng.uniform(0.5, 1.5, n)


def penalised_loss(coef: np.ndarray, data: Data, ridge: np.ndarray) -> float:
    """The objective, written down again."""
    columns, converts, weight = data
    sign = np.where(converts, 1.0, -1.0)
    loss = np.logaddexp(0, -sign * (columns @ coef))
    return float(weight @ loss + ridge @ coef[1:] ** 2 / 2)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 30.0]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_it_is_scikit_learns_minimum(seed: int, ridge: float, warm: bool) -> None:
    columns, converts, weight = random_data(seed)
    reference = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    reference.fit(columns[:, 1:], converts, sample_weight=weight)
    start = np.array([5.0, -3.0, 2.0, 4.0]) if warm else None
    fit = fit_logistic(columns, converts, weight, ridge, start)
    assert fit.converged
    np.testing.assert_allclose(fit.coef[0], reference.intercept_[0], atol=1e-5)
    np.testing.assert_allclose(fit.coef[1:], reference.coef_[0], atol=1e-5)


def test_without_a_penalty_it_is_scikit_learns_too() -> None:
    columns, converts, weight = random_data(7, n=2000)
    reference = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    reference.fit(columns[:, 1:], converts, sample_weight=weight)
    fit = fit_logistic(columns, converts, weight, ridge=0)
    np.testing.assert_allclose(fit.coef[1:], reference.coef_[0], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_gradient_is_zero_and_the_information_its_slope(seed: int) -> None:
    data, ridge = random_data(seed), np.array([0.0, 0.5, 20.0])
    fit = fit_logistic(*data, ridge)
    step = 1e-4 * np.eye(4)

    def gradient(coef: np.ndarray) -> np.ndarray:
        both = [[penalised_loss(coef + s * h, data, ridge) for s in (1, -1)] for h in step]
        return np.diff(both, axis=1)[:, 0] / -2e-4

    np.testing.assert_allclose(gradient(fit.coef), 0, atol=1e-4)
    slope = [(gradient(fit.coef + h) - gradient(fit.coef - h)) / 2e-4 for h in step]
    np.testing.assert_allclose(fit.information, slope, rtol=1e-2, atol=0.05)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_weight_is_a_number_of_rows(seed: int) -> None:
    columns, converts, _ = random_data(seed, n=80)
    times = np.random.default_rng(seed).integers(0, 4, 80)
    times[:2] = 1, 2
    weighted = fit_logistic(columns, converts, times.astype(float), 0.3)
    rows = np.repeat(np.arange(80), times)
    repeated = fit_logistic(columns[rows], converts[rows], np.ones(len(rows)), 0.3)
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-8)
    np.testing.assert_allclose(weighted.information, repeated.information, rtol=1e-6, atol=1e-8)
    # The ridge is on the sum: all weights and the ridge times ten change nothing.
    scaled = fit_logistic(columns, converts, times * 10.0, 3.0)
    np.testing.assert_allclose(scaled.coef, weighted.coef, atol=1e-8)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_an_offset_is_a_column_whose_coefficient_is_known(seed: int) -> None:
    columns, converts, weight = random_data(seed)
    whole = fit_logistic(columns, converts, weight, 0.0)
    offset = columns[:, 3] * whole.coef[3]
    rest = fit_logistic(columns[:, :3], converts, weight, 0.0, offset=offset)
    np.testing.assert_allclose(rest.coef, whole.coef[:3], atol=1e-7)
    # The constant alone makes expected and observed conversions equal.
    alone = fit_logistic(columns[:, :1], converts, weight, 0.0, np.zeros(1), offset=offset)
    expected = weight @ chances(alone.coef[0] + offset)
    assert expected == pytest.approx(float(weight @ converts), rel=1e-7)


@pytest.mark.parametrize("ridge", [1e-4, 1.0])
def test_a_ridge_keeps_separated_outcomes_finite(ridge: float) -> None:
    x = np.repeat([0.0, 1000.0], 50)
    columns, converts = np.column_stack([np.ones(100), x, x]), x > 0
    fit = fit_logistic(columns, converts, np.ones(100), ridge)
    assert fit.converged
    assert np.isfinite(fit.coef).all()
    # Columns that are equal share equally.
    assert fit.coef[1] == pytest.approx(fit.coef[2], rel=1e-6)
    assert (chances(columns @ fit.coef)[converts] > 0.99).all()


def test_far_starts_are_halved_back(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, converts, weight = random_data(3)
    near = fit_logistic(columns, converts, weight, 1.0)
    far = fit_logistic(columns, converts, weight, 1.0, np.array([40.0, -30.0, 20.0, -10.0]))
    assert far.converged
    np.testing.assert_allclose(far.coef, near.coef, atol=1e-5)
    monkeypatch.setattr(logistic_regression, "_STEPS", 2)
    assert not fit_logistic(columns, converts, weight, 1.0).converged


@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_alone_is_refused(outcome: bool) -> None:
    with pytest.raises(InvariantError, match="both outcomes"):
        fit_logistic(np.ones((3, 1)), np.full(3, outcome), np.ones(3), 1.0)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, _, weight = random_data(5)
    whole = cross_products(columns, weight)
    np.testing.assert_allclose(whole, columns.T @ (weight[:, None] * columns), rtol=1e-12)
    monkeypatch.setattr(logistic_regression, "_BLOCK", 7)
    np.testing.assert_allclose(cross_products(columns, weight), whole, rtol=1e-12)


def test_odds_of_any_size() -> None:
    odds = np.array([-1e6, -800.0, -2.0, 0.0, 2.0, 800.0, 1e6])
    p = chances(odds)
    np.testing.assert_allclose(p[[0, 1, 3, 5, 6]], [0, 0, 0.5, 1, 1], atol=1e-300)
    np.testing.assert_allclose(p[[2, 4]], 1 / (1 + np.exp([2.0, -2.0])), rtol=1e-15)
    for outcome in (True, False):
        expected = np.logaddexp(0, -odds if outcome else odds)
        np.testing.assert_allclose(log_loss(odds, np.full(7, outcome)), expected, rtol=1e-15)
