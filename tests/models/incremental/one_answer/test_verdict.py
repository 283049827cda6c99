"""The verdict of `Incremental`, and intervals that hold what no log can tell."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import mta_models as mta
from mta_models.core.ragged import Floats
from mta_models.models.incremental.one_answer.entrances import may_close_sales
from mta_models.models.incremental.one_answer.limits.open_part import with_closing, with_unknown
from mta_models.models.incremental.one_answer.verdict import ChannelVerdict
from mta_models.models.incremental.one_answer.within_draws import Draws
from tests.contract.test_edge_cases import events

pytestmark = pytest.mark.filterwarnings("error")


@cache
def fitted(world: str, n_users: int = 12_000, **settings: int) -> tuple[mta.Incremental, Floats]:
    """A fitted model, and the 90% interval of its credit as parts of all conversions."""
    journeys = mta.worlds.make(world, n_users=n_users, seed=1, **settings).simulate().journeys
    model = mta.Incremental().fit(journeys)
    result = model.attribute(journeys)
    return model, result.interval(0.9) / result.total


def verdicts(world: str, n_users: int = 12_000) -> dict[str, ChannelVerdict]:
    return {each.channel: each for each in fitted(world, n_users)[0].verdict_}


# Draws.


def draws(seed: int = 0, n: int = 4_000) -> Draws:
    rng = np.random.default_rng(seed)
    credit = rng.uniform(0, 20, (n, 3))
    return Draws(credit, 100 - credit.sum(axis=1))


def test_draws_with_closing_add_up_and_hold_both_readings() -> None:
    before = draws()
    after = with_closing(before, np.array([0.0, 30.0, 0.0]), np.random.default_rng(1))
    np.testing.assert_allclose(after.credit.sum(axis=1) + after.baseline, 100)
    moved = after.credit[:, 1] - before.credit[:, 1]
    unchanged = np.isclose(moved, 0)
    np.testing.assert_array_equal(after.credit[unchanged], before.credit[unchanged])
    assert 0.45 < unchanged.mean() < 0.55
    assert 20 < moved.max() <= 27
    # Others lose half of their part of what is closed, the baseline the rest.
    closed = after.credit[:, 1] - before.credit[:, 1] * (after.credit[:, 0] / before.credit[:, 0])
    np.testing.assert_allclose(
        after.credit[:, 0] / before.credit[:, 0], 1 - closed / 200, rtol=1e-9
    )


def test_draws_of_an_unknown_channel_hold_nothing_and_all() -> None:
    unknown = np.array([True, False, False])
    after = with_unknown(draws(), unknown, np.array([60.0, 50.0, 40.0]), np.random.default_rng(1))
    np.testing.assert_allclose(after.credit.sum(axis=1) + after.baseline, 100)
    np.testing.assert_allclose(np.quantile(after.credit[:, 0], (0.05, 0.95)), [0, 60])
    assert (after.baseline >= 0).all()


def test_draws_do_not_depend_on_the_order_of_channels() -> None:
    before, closed, order = draws(), np.array([10.0, 30.0, 0.0]), [2, 1, 0]
    one = with_closing(before, closed, np.random.default_rng(1))
    turned = Draws(before.credit[:, order], before.baseline)
    other = with_closing(turned, closed[order], np.random.default_rng(1))
    np.testing.assert_allclose(other.credit, one.credit[:, order])


# Coupons.


@pytest.mark.parametrize(
    ("name", "closes"),
    [
        ("Coupon Site", True),
        ("Affiliate", True),
        ("Gutscheinportal", True),
        ("cash back", True),
        ("Referral", True),
        ("купон", True),
        ("Direct", False),
        ("Brand Search", False),
        ("Price Comparison", False),
        ("Affiliate Blog", False),
    ],
)
def test_names_of_channels_that_may_close_sales(name: str, closes: bool) -> None:
    assert may_close_sales(name) == closes


def test_the_interval_of_a_coupon_holds_both_readings() -> None:
    model, interval = fitted("visits_closing_coupon")
    assert "whether Coupon Site" in model._estimate.holds
    (coupon,) = (each for each in model.verdict_ if each.channel == "Coupon Site")
    assert coupon.status == "bounded"
    code = model.channels_.index("Coupon Site")
    found = model._estimate.found
    assert found is not None
    assert found.closed[code] > 0.9 * found.near[code]
    # It closes two fifths of the purchases that it was met before, in this draw.
    assert interval[code, 0] < 1e-3
    assert coupon.lower <= 0.4 * found.near[code] <= coupon.upper
    assert coupon.other_reading is not None
    assert coupon.other_reading > coupon.credit


def test_an_affiliate_that_nobody_comes_through_closes_nothing() -> None:
    assert verdicts("randomised")["Affiliate"].status == "identified"
    assert "closes" not in fitted("randomised")[0]._estimate.holds


# What is said of other channels.


def test_where_exposure_is_random_all_is_identified() -> None:
    assert {each.status for each in verdicts("randomised").values()} == {"identified"}


def test_in_visits_all_but_what_may_close_sales_is_identified() -> None:
    bounded = {
        each.channel for each in verdicts("visits_clicks").values() if each.status != "identified"
    }
    assert bounded == {"Coupon Site"}


@pytest.mark.parametrize(
    ("world", "n_users", "channel", "words"),
    [
        ("harmful_channel", 20_000, "Email", "Email may harm"),
        ("suppression", 12_000, "Search", "stops touchpoints of Search"),
        ("visits_messages", 12_000, "Email", "brings about more touchpoints of Email"),
        ("visits_needs", 12_000, "Paid Social", "Needs that come and go"),
    ],
)
def test_what_disturbs_the_comparison_is_said(
    world: str, n_users: int, channel: str, words: str
) -> None:
    found = verdicts(world, n_users)[channel]
    assert found.status == "bounded"
    assert words in found.assumption


def test_few_conversions_bound() -> None:
    statuses = {each.status for each in verdicts("randomised", 3_000).values() if each.credit > 10}
    assert statuses == {"bounded"}


# A trial read as a log.


@pytest.mark.parametrize("any_day", [False, True])
def test_a_channel_met_at_the_start_only_is_not_identified(any_day: bool) -> None:
    rng, n = np.random.default_rng(0), 4_000
    treated = rng.random(n) < 0.5
    buys = rng.random(n) < np.where(treated, 0.06, 0.04)
    day = rng.uniform(0.5, 13.5, n) if any_day else np.full(n, 7.0)
    met = [(int(u), 0.0, "Email") for u in np.flatnonzero(treated)]
    bought = [(int(u), float(day[u]), 1.0) for u in np.flatnonzero(buys)]
    journeys = events(met, bought, n, 14.0)
    with pytest.warns(mta.IdentifiabilityWarning, match="all of Email come at one time"):
        model = mta.Incremental().fit(journeys)
    (verdict,) = model.verdict_
    assert verdict.status == "not identified"
    lower, upper = model.attribute(journeys).interval(0.9)[0]
    assert lower == 0
    assert upper == pytest.approx(float((treated & buys).sum()))
    assert "any effect of Email" in model._estimate.holds


def test_a_tested_channel_is_identified() -> None:
    world = mta.worlds.make("visits_closing_coupon", n_users=6_000, seed=1)
    test = mta.LiftTest("Coupon Site", lift=50.0, standard_error=20.0)
    model = mta.Incremental(lift_tests=[test]).fit(world.simulate().journeys)
    found = {each.channel: each for each in model.verdict_}
    assert found["Coupon Site"].status == "identified"
    assert "lift test of Coupon Site" in found["Coupon Site"].assumption
    assert found["Direct"].status == "identified"


# Names against the log.


def test_a_channel_that_looks_like_an_entrance_is_said() -> None:
    journeys = mta.worlds.make("visits_clicks", n_users=12_000, seed=1).simulate().journeys
    declared = ["Coupon Site", "Brand Search", "Organic Search"]
    with pytest.warns(mta.IdentifiabilityWarning, match="Direct is not, and is met within"):
        model = mta.Incremental(entrances=declared).fit(journeys)
    (direct,) = (each for each in model.verdict_ if each.channel == "Direct")
    assert direct.status == "bounded"
    assert direct.other_reading == pytest.approx(0, abs=5)
    result = model.attribute(journeys)
    lower, upper = result.interval(0.9)[model.channels_.index("Direct")]
    assert lower == 0
    assert upper > direct.credit > 50
    assert "whether Direct is an entrance" in result.interval_holds
    right = mta.Incremental().fit_attribute(journeys)
    np.testing.assert_allclose(model.readings_[-1].credit, right.credit)
    # Whoever says that it is bought is believed.
    mta.Incremental(entrances=declared, bought=["Direct"]).fit(journeys)


def test_an_entrance_with_an_effect_of_its_own_is_said() -> None:
    model, _ = fitted("visits_working_brand", 20_000)
    (brand,) = (each for each in model.verdict_ if each.channel == "Brand Search")
    assert brand.status == "bounded"
    assert brand.credit > 0
    assert brand.other_reading == 0
    (note,) = model._estimate.notes
    assert note.startswith("Earlier visits through Brand Search")
