"""`Incremental(lift_tests=...)`: the answer meets the tests."""

from __future__ import annotations

import numpy as np
import pytest

import mta_models as mta
from mta_models.data.journeys import Journeys


@pytest.fixture(scope="module")
def closing() -> tuple[Journeys, float, float]:
    """Journeys of a world where coupons close sales; the coupon's removal and Shapley value."""
    world = mta.worlds.make("visits_closing_coupon", n_users=12_000, seed=3, strength=1.0)
    truth = world.truth(users=4_096)
    coupon = truth.channels.index("Coupon Site")
    return world.simulate().journeys, float(truth.removal[coupon]), float(truth.shapley[coupon])


def test_a_test_of_the_coupon_says_what_no_log_can(closing: tuple[Journeys, float, float]) -> None:
    journeys, removal, shapley = closing
    coupon = journeys.channels.index("Coupon Site")
    without = mta.Incremental().fit_attribute(journeys)
    test = mta.LiftTest("Coupon Site", removal, 0.05 * removal)
    model = mta.Incremental(lift_tests=[test]).fit(journeys)
    tested = model.attribute(journeys)
    assert without.credit[coupon] == 0
    assert abs(model.removal_[coupon] - removal) < 3 * test.standard_error
    assert abs(tested.credit[coupon] - shapley) < 0.3 * shapley
    assert tested.credit.sum() + tested.baseline == pytest.approx(tested.total)
    low, high = tested.interval(0.9)[coupon]
    assert low < tested.credit[coupon] < high


def test_a_test_of_nothing_takes_credit_away() -> None:
    journeys = mta.worlds.make("randomised", n_users=8_000, seed=2).simulate().journeys
    search = journeys.channels.index("Search")
    test = mta.LiftTest("Search", 0.0, 5.0)
    tested = mta.Incremental(lift_tests=[test]).fit_attribute(journeys)
    plain = mta.Incremental().fit_attribute(journeys)
    assert tested.credit[search] < 0.2 * plain.credit[search]
    assert tested.interval(0.9)[search][0] <= 0 or np.isclose(tested.interval(0.9)[search][0], 0)


def test_tests_need_users_observed_after_conversions() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B", "A"]], [40, 30], nulls=[400, 300])
    with pytest.raises(mta.JourneyError, match=r"times|observed"):
        mta.Incremental(lift_tests=[mta.LiftTest("A", 10.0, 5.0)]).fit(journeys)
