"""The example log does what its docstring says."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.worlds.mechanisms import shop as example


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return mta.example_events(n_users=5_000, seed=3)


def test_it_is_the_same_again_and_differs_by_seed(log: pl.DataFrame) -> None:
    assert log.equals(mta.example_events(n_users=5_000, seed=3))
    assert not log.equals(mta.example_events(n_users=5_000, seed=4))


def test_rows_are_touchpoints_or_conversions_in_time_order(log: pl.DataFrame) -> None:
    assert log["time"].is_sorted()
    assert set(log["channel"].drop_nulls()) == set(example.CHANNELS)
    assert (log["channel"].is_null() == (log["conversion"] == 1)).all()
    assert ((log["value"] > 0) == (log["conversion"] == 1)).all()
    assert log["time"].min() >= example._START  # type: ignore[operator]
    assert (log["time"].max() - log["time"].min()).days < example.DAYS  # type: ignore[operator, union-attr]


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
    visits = pl.col("channel").is_in([*example.ADS, *example.DOORS])
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
        count * example.EFFECTS.get(channel, 0) / 1000
        for channel, count in touched.drop_nulls().iter_rows()
    )
    monkeypatch.setattr(example, "EFFECTS", {})
    organic = mta.example_events(n_users=20_000, seed=0)["conversion"].sum()
    found = full["conversion"].sum()
    # Without effects conversions are those of intent alone: mean 1 x 0.0004 a day.
    assert abs(organic - 20_000 * 90 * 0.0004) < 4 * np.sqrt(organic)
    # Some effect falls after the log's end, less than its last few days' share of it.
    assert 0.9 * documented - 4 * np.sqrt(found) < found - organic < documented + 4 * np.sqrt(found)


@pytest.mark.parametrize("n_users", [0, -1])
def test_no_users_is_refused(n_users: int) -> None:
    with pytest.raises(mta.ParameterError, match="n_users must be at least 1"):
        mta.example_events(n_users=n_users)


def test_one_user_may_do_nothing() -> None:
    assert mta.example_events(n_users=1, seed=5).columns[0] == "user"
