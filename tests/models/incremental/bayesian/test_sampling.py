"""Sampling: draws of a known posterior, and a warning when they cannot be relied on."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.incremental.bayesian.sampling import Sampler, diagnose


def test_measures_of_chains() -> None:
    rng = np.random.default_rng(0)
    good = rng.standard_normal((2, 2_000))
    fine = diagnose({"x": good}, 0)
    assert fine.r_hat < 1.01
    assert fine.ess == pytest.approx(4_000, rel=0.15)
    assert fine.problem == ""
    slow = np.zeros((2, 20_000))
    noise = rng.standard_normal(slow.shape)
    for step in range(1, slow.shape[1]):
        slow[:, step] = 0.8 * slow[:, step - 1] + noise[:, step]
    # An AR(1) chain is worth (1 − ρ) / (1 + ρ) of its length.
    assert diagnose({"slow": slow}, 0).ess == pytest.approx(40_000 / 9, rel=0.15)
    shifted = diagnose({"x": good, "far": good + np.array([[0.0], [3.0]])}, 100)
    assert shifted.worst == "far"
    assert "disagree about far" in shifted.problem
    assert "100 of 4000 draws diverged" in shifted.problem


def test_chains_that_differ_in_scale_only_disagree() -> None:
    """Equal means: R̂ without ranks of folded draws would not see it."""
    rng = np.random.default_rng(0)
    chains = rng.standard_normal((2, 1_000)) * np.array([[1.0], [4.0]])
    assert diagnose({"x": chains}, 0).r_hat > 1.1


def test_constants_are_left_out_and_chains_that_never_moved_are_not() -> None:
    rng = np.random.default_rng(0)
    given = np.ones((2, 200, 3))
    assert diagnose({"half_life_position": given, "x": rng.random((2, 200))}, 0).problem == ""
    stuck = diagnose({"x": np.repeat([[0.0], [1.0]], 200, axis=1), "y": rng.random((2, 200))}, 0)
    assert stuck.worst == "x"
    assert stuck.r_hat > 1.1


def known() -> Any:
    """A normal mean 2, s.d. 0.5, and its square."""
    import pymc as pm

    with pm.Model() as model:
        x = pm.Normal("x", 2.0, 0.5)
        pm.Deterministic("square", x**2)
    return model


def funnel() -> Any:
    """Neal's: no step is right for its neck and its mouth."""
    import pymc as pm

    with pm.Model() as model:
        v = pm.Normal("v", 0.0, 3.0)
        pm.Normal("x", 0.0, pm.math.exp(v / 2), shape=9)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("with_nutpie", [True, False])
def test_known_posterior(monkeypatch: pytest.MonkeyPatch, with_nutpie: bool) -> None:
    if not with_nutpie:
        monkeypatch.setitem(sys.modules, "nutpie", None)
    found, diagnostics = Sampler(1_000, 2, 3).sample(known, ("x", "square"))
    assert found["x"].shape == (1_000,)
    assert found["x"].mean() == pytest.approx(2.0, abs=0.1)
    assert found["x"].std() == pytest.approx(0.5, rel=0.15)
    np.testing.assert_allclose(found["square"], found["x"] ** 2)
    assert diagnostics.problem == ""
    again, _ = Sampler(1_000, 2, 3).sample(known, ("x",))
    np.testing.assert_array_equal(again["x"], found["x"])


@pytest.mark.slow
def test_warns_of_what_it_cannot_explore() -> None:
    with pytest.warns(mta.ConvergenceWarning, match="explore the posterior"):
        _, diagnostics = Sampler(400, 2, 1).sample(funnel, ("v", "x"))
    assert diagnostics.ess < 400
