"""The Bayesian hazard: its parts against slow definitions, its posterior on small logs."""

from __future__ import annotations

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.binning import bins, means
from mta_models.models.half_life_basis import LONGEST, SHORTEST, HalfLifeBasis


def test_interpolated_carry_over() -> None:
    """At worst 0.4% of a touchpoint, at any age and half-life."""
    basis = HalfLifeBasis.over(1)
    half_life = np.geomspace(SHORTEST, LONGEST, 101)
    age = np.append(0.0, np.geomspace(0.01, 400, 300))
    exact = np.exp2(-age / half_life[:, None])
    at_nodes = np.exp2(-age / basis.nodes)
    assert np.abs(basis.weights(half_life) @ at_nodes - exact).max() < 0.0045
    np.testing.assert_allclose(basis.weights(half_life).sum(axis=1), 1)
    np.testing.assert_allclose(basis.weights(basis.nodes[:, 0]), np.eye(7), atol=1e-9)


def test_bins_are_even_and_near() -> None:
    rng = np.random.default_rng(0)
    rows, weight = rng.random((5_000, 3)), rng.random(5_000)
    group = bins(rows, 600)
    sizes = np.bincount(group)
    assert len(sizes) == 512
    assert set(sizes.tolist()) <= {9, 10}
    middle = means(group, weight, rows)
    np.testing.assert_allclose(np.bincount(group, weight) @ middle, weight @ rows)
    assert np.abs(rows - middle[group]).mean() < 0.05
    np.testing.assert_array_equal(bins(rows[:10], 10), np.arange(10))
