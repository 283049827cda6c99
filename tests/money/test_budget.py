"""The one policy of moving a budget, against linear programming and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linprog

import mta_models as mta
from mta_models.money.budget import LEAST, MOST, reallocate

amounts = st.integers(-50, 300).map(lambda tenths: tenths / 10)
spends = st.lists(st.integers(0, 40).map(float), min_size=4, max_size=4)
credits_of_4 = st.lists(amounts, min_size=4, max_size=4)


@given(credits_of_4, spends)
def test_the_policy_is_the_best_of_all_that_keep_the_bounds_and_the_budget(
    credit: list[float], spend: list[float]
) -> None:
    paid = [c for c, s in zip(credit, spend, strict=True) if s > 0]
    rate = reallocate(np.array(credit), np.array(spend))
    assert ((rate >= LEAST - 1e-9) & (rate <= MOST + 1e-9)).all()
    assert rate @ spend == pytest.approx(sum(spend))
    assert (rate[np.array(spend) == 0] == 1).all()
    assume(paid)
    best = linprog(
        [-c for c in paid],
        A_eq=[[s for s in spend if s > 0]],
        b_eq=[sum(spend)],
        bounds=[(LEAST, MOST)] * len(paid),
    )
    earned = sum(r * c for r, c, s in zip(rate, credit, spend, strict=True) if s > 0)
    assert earned == pytest.approx(-best.fun, abs=1e-7)


@given(credits_of_4, spends, st.permutations(range(4)))
def test_the_policy_does_not_see_the_order_or_the_units(
    credit: list[float], spend: list[float], order: list[int]
) -> None:
    given_, paid = np.array(credit), np.array(spend)
    rate = reallocate(given_, paid)
    np.testing.assert_allclose(reallocate(given_[order], paid[order]), rate[order])
    np.testing.assert_allclose(reallocate(7 * given_, 0.01 * paid), rate)


def test_the_policy_by_hand() -> None:
    # Returns 2, 1 and 0.5 on 100, 200 and 300: 600 in all, half of each is 300, and 300 is left.
    # The first takes 150, the second the other 150 of its 300.
    spend = np.array([100.0, 200.0, 300.0])
    np.testing.assert_allclose(reallocate(np.array([200.0, 200, 150]), spend), [2, 1.25, 0.5])
    # Credit in proportion to spend, or none, is no reason to move.
    for equal in (spend / 7, np.zeros(3)):
        np.testing.assert_allclose(reallocate(equal, spend), 1)
    # Nothing is bought: nothing moves.
    np.testing.assert_array_equal(reallocate(spend, np.zeros(3)), 1)


def test_the_policy_refuses_what_is_no_amount() -> None:
    with pytest.raises(mta.ParameterError, match="same shape"):
        reallocate(np.zeros(2), np.zeros(3))
    with pytest.raises(mta.ParameterError, match="credit must be finite"):
        reallocate(np.array([np.nan, 1]), np.ones(2))
    with pytest.raises(mta.ParameterError, match="spend must be a finite amount >= 0"):
        reallocate(np.ones(2), np.array([-1.0, 1]))
