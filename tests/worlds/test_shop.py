"""The world `shop` and its log, the example log, do what their docstrings say."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.worlds.mechanisms import shop
from mta_models.worlds.simulation import START


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return mta.example_events(n_users=5_000, seed=3)


def test_it_is_the_same_again_and_differs_by_seed(log: pl.DataFrame) -> None:
    assert log.equals(mta.example_events(n_users=5_000, seed=3))
    assert not log.equals(mta.example_events(n_users=5_000, seed=4))


def test_rows_are_touchpoints_or_conversions_in_time_order(log: pl.DataFrame) -> None:
    assert log["time"].is_sorted()
    assert set(log["channel"].drop_nulls()) == set(shop.CHANNELS)
    assert (log["channel"].is_null() == (log["conversion"] == 1)).all()
    assert ((log["value"] > 0) == (log["conversion"] == 1)).all()
    assert log["time"].min() >= START  # type: ignore[operator]
    assert (log["time"].max() - log["time"].min()).days < shop.Shop.days  # type: ignore[operator, union-attr]


def test_read_events_takes_it_and_nothing_is_lost(log: pl.DataFrame) -> None:
    names = {name: name for name in ("user", "time", "channel", "conversion", "value")}
    journeys = mta.read_events(log, **names)  # type: ignore[arg-type]  # columns, all of them texts
    assert journeys.total == log["conversion"].sum()
    assert journeys.n_touchpoints == log["channel"].count()
    np.testing.assert_allclose(journeys.total_value, log["value"].sum())
    assert (journeys.conversions[journeys.lengths == 0]).sum() > 0  # organic
    assert np.bincount(journeys.users, journeys.conversions).max() > 1  # repeat


def test_coupons_are_fetched_minutes_before_the_purchase(log: pl.DataFrame) -> None:
    after = log.with_columns(
        pl.col("time", "conversion").shift(-1).over("user").name.prefix("next_")
    ).filter(pl.col("channel") == "Coupon Site")
    assert len(after) > 20
    assert (after["next_conversion"] == 1).all()
    assert (after["next_time"] - after["time"]).max() <= timedelta(minutes=10)  # type: ignore[operator]


def test_e_mail_follows_a_purchase_and_retargeting_a_visit(log: pl.DataFrame) -> None:
    visits = pl.col("channel").is_in([*shop.ADS, *shop.DOORS])
    seen = log.with_columns(
        bought=pl.col("conversion").cum_sum().over("user"),
        visit=pl.when(visits).then("time").forward_fill().over("user"),
    )
    assert (seen.filter(channel="Email")["bought"] > 0).all()
    chased = seen.filter(channel="Retargeting")
    assert chased["visit"].null_count() == 0
    assert (chased["time"] - chased["visit"]).max().days <= 7  # type: ignore[union-attr]


def test_touchpoints_cause_as_many_conversions_as_documented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = mta.example_events(n_users=20_000, seed=0)
    touched = full["channel"].value_counts()
    documented = sum(
        count * shop.EFFECTS.get(channel, 0) / 1000
        for channel, count in touched.drop_nulls().iter_rows()
    )
    monkeypatch.setattr(shop, "EFFECTS", {})
    organic = mta.example_events(n_users=20_000, seed=0)["conversion"].sum()
    total = full["conversion"].sum()
    # Without effects conversions are those of intent alone: mean 1 x 0.0004 a day.
    assert abs(organic - 20_000 * 90 * 0.0004) < 4 * np.sqrt(organic)
    # Some effect falls after the log's end, less than its last few days' share of it.
    assert 0.9 * documented - 4 * np.sqrt(total) < total - organic < documented + 4 * np.sqrt(total)


# The world behind it.


def test_the_log_of_the_world_is_the_example(log: pl.DataFrame) -> None:
    simulation = mta.worlds.make("shop", n_users=5_000, seed=3).simulate()
    assert simulation.events.drop("cost").equals(log)
    assert len(simulation.observed) == 5_000
    spent = {name: cost for name, cost in simulation.costs.items() if cost}
    assert set(spent) == set(shop.COSTS)


@pytest.fixture(scope="module")
def truth() -> mta.worlds.Truth:
    return mta.worlds.make("shop", n_users=100_000).truth(users=2_048)


def test_doors_cause_only_the_retargeting_they_start(truth: mta.worlds.Truth) -> None:
    doors = [truth.channels.index(name) for name in shop.DOORS]
    assert (truth.direct[doors] == 0).all()
    assert (truth.removal[doors] > 0).all()
    assert (truth.standard_error["removal"][doors] > 0).all()
    world = mta.worlds.make("shop", n_users=100_000)
    chased = world.at("Retargeting")
    rows = np.ones((2, len(world.channels)))
    rows[:, chased] = 0
    rows[1, doors] = 0
    with_doors, without = world.expected(rows, users=2_048)
    assert with_doors == without


def test_the_coupon_site_causes_nothing(truth: mta.worlds.Truth) -> None:
    coupon = truth.channels.index("Coupon Site")
    for what in ("removal", "shapley", "marginal", "direct"):
        assert abs(getattr(truth, what)[coupon]) < 1e-9
        assert truth.standard_error[what][coupon] < 1e-9


def test_the_baseline_is_what_intent_buys(truth: mta.worlds.Truth) -> None:
    # Mean intent is 1; the chance of a day is a little below its rate.
    expected = 100_000 * 90 * 0.0004
    assert abs(truth.baseline - expected) < 4 * truth.standard_error["baseline"]


@pytest.mark.slow
def test_the_truth_is_what_logs_with_and_without_a_channel_say() -> None:
    worlds = [mta.worlds.make("shop", n_users=20_000, seed=seed) for seed in range(20)]
    truth = worlds[0].truth()
    for name in ("Paid Social", "Retargeting", "Direct"):
        lost = [
            int(world.simulate().events["conversion"].sum())
            - int(world.simulate(doses={name: 0}).events["conversion"].sum())
            for world in worlds
        ]
        error = np.std(lost, ddof=1) / np.sqrt(len(lost))
        assert abs(np.mean(lost) - truth.removal[truth.channels.index(name)]) < 4 * error, name


def test_a_channel_switched_off_leaves_all_other_noise_as_it_was() -> None:
    world = mta.worlds.make("shop", n_users=3_000, seed=2)
    usual, without = (world.simulate(doses=doses).events for doses in ({}, {"Paid Social": 0}))
    assert without.filter(channel="Paid Social").is_empty()
    for name in (*shop.DOORS, "Display"):
        assert without.filter(channel=name).equals(usual.filter(channel=name))
    met = usual.filter(channel="Paid Social")["user"].unique().implode()
    others = [log.filter(~pl.col("user").is_in(met)) for log in (usual, without)]
    assert len(others[0]) > 100
    assert others[0].equals(others[1])


def test_more_of_a_channel_adds_touchpoints_and_coupons_still_precede_purchases() -> None:
    world = mta.worlds.make("shop", n_users=3_000, seed=2)
    usual = world.simulate().events
    more = world.simulate(doses={"Paid Social": 3, "Coupon Site": 2}).events
    assert len(usual.join(more, on=usual.columns, how="anti", nulls_equal=True)) == 0
    assert len(more.filter(channel="Paid Social")) > 2 * len(usual.filter(channel="Paid Social"))
    after = more.with_columns(
        pl.col("time", "conversion").shift(-1).over("user").name.prefix("next_")
    ).filter(pl.col("channel") == "Coupon Site")
    assert len(after) > 50
    assert (after["next_conversion"] == 1).all()
    assert (after["next_time"] - after["time"]).max() <= timedelta(minutes=10)  # type: ignore[operator]


def test_a_lift_test_measures_the_removal(truth: mta.worlds.Truth) -> None:
    world = mta.worlds.make("shop", n_users=100_000)
    (test,) = world.simulate(lift_tests=["Paid Social"], n_test_users=20_000).lift_tests
    removal = truth.removal[truth.channels.index("Paid Social")]
    assert abs(test.lift - removal) < 4 * test.standard_error


@pytest.mark.parametrize("n_users", [0, -1])
def test_no_users_is_refused(n_users: int) -> None:
    with pytest.raises(mta.ParameterError, match="`n_users` must be a whole number from 1"):
        mta.example_events(n_users=n_users)


def test_one_user_may_do_nothing() -> None:
    assert mta.example_events(n_users=1, seed=5).columns[0] == "user"
