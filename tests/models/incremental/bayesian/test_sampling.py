"""Sampling: draws of a known posterior, and a word when they cannot be trusted."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.incremental.bayesian.sampling import Sampler


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
    with pytest.warns(mta.ConvergenceWarning, match="not explored"):
        _, diagnostics = Sampler(400, 2, 1).sample(funnel, ("v", "x"))
    assert diagnostics.ess < 400
