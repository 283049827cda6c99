"""Worlds of visits: what a log holds, what interventions find, and each mechanism by its trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.benchmark.truths import cached_truth
from mta_models.errors import ParameterError
from mta_models.worlds.state import BLOCK
from mta_models.worlds.visits.channels import ENTRANCES
from mta_models.worlds.visits.interventions import parameters_of, plan, read
from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.parameters import draw_parameters
from tests.worlds.visits_logs import HOUR, VISITS, days_between, lives, make


@pytest.mark.parametrize("name", VISITS)
def test_a_log_is_as_documented(name: str) -> None:
    world = make(name, seed=1)
    simulation = world.simulate()
    events, journeys = simulation.events, simulation.journeys
    assert events.columns == ["user", "time", "channel", "conversion", "value", "cost"]
    assert events["time"].is_sorted()
    assert set(events["channel"].drop_nulls()) <= set(world.channels)
    assert (events["channel"].is_null() == (events["conversion"] == 1)).all()
    assert journeys.total == events["conversion"].sum() > 10
    assert set(events["user"]) <= set(simulation.observed["user"])
    assert 8 <= len(world.channels) <= 12
    assert set(simulation.costs) == set(world.channels)
    assert {simulation.costs[name] for name in world.entrances} == {0}
    assert max(simulation.costs.values()) > 0
    again = make(name, seed=1).simulate().events
    assert events.equals(again)
    assert not events.equals(make(name, seed=2).simulate().events)


@pytest.mark.parametrize("name", VISITS)
def test_a_truth_adds_up_and_has_errors(name: str) -> None:
    world = make(name)
    truth = world.truth(users=BLOCK // 2)
    assert truth.shapley.sum() + truth.baseline == pytest.approx(truth.total)
    assert 0 < truth.baseline < truth.total
    error = truth.standard_error["shapley"]
    paid = np.array([name not in world.entrances for name in truth.channels])
    assert (error[paid & (truth.shapley != 0)] > 0).all()


def test_entrances_cause_nothing() -> None:
    truth = make("visits_entrances").truth(users=BLOCK)
    entrance = np.array([name in ENTRANCES for name in truth.channels])
    for each in (truth.shapley, truth.removal, truth.marginal, truth.direct):
        assert (each[entrance] == 0).all()
    assert (truth.shapley[~entrance] > 0).sum() >= 3
    assert (truth.shapley[~entrance] == 0).sum() == 1  # one paid channel is idle
    np.testing.assert_allclose(truth.direct, truth.removal, atol=1e-9)  # nothing reacts


def test_purchases_happen_minutes_after_an_entrance() -> None:
    world = make("visits_entrances", n_users=20_000, strength=0.6)
    events = days_between(world.simulate().events)
    entrance = events.filter(pl.col("channel").is_in(ENTRANCES) & (pl.col("next") < HOUR))
    bought = int(events["conversion"].sum())
    at_door = entrance.filter(pl.col("channel") != "Coupon Site")["user"].n_unique()
    assert at_door / bought == pytest.approx(0.6, abs=0.04)
    coupons = entrance.filter(pl.col("channel") == "Coupon Site")["user"].n_unique()
    assert coupons / bought == pytest.approx(world.parameters.coupon, abs=0.04)


def test_the_plan_is_read_as_orders_are() -> None:
    rng = np.random.default_rng(0)
    c, n = 5, 7
    doses, frozen, rank = plan(c, n, rng)
    alone, pairs = rng.random((c, n)), rng.random((c, c, n))

    def value(on: Any, u: int) -> float:
        return float(on @ alone[:, u] + on @ pairs[:, :, u] @ on)

    bought = np.array([[value(row[:, u], u) for u in range(n)] for row in doses])
    each = read(bought, rank)
    everyone = np.ones(c)
    for u in range(n):
        total, none = value(everyone, u), value(np.zeros(c), u)
        assert each[0, u] == pytest.approx(total)
        assert each[1, u] == pytest.approx(none)
        gains = np.zeros(c)
        order = np.argsort(rank[:, u])
        for arrivals in (order, order[::-1]):
            on = np.zeros(c)
            for channel in arrivals:
                before = value(on, u)
                on[channel] = 1
                gains[channel] += (value(on, u) - before) / 2
        np.testing.assert_allclose(each[2 + c : 2 + 2 * c, u], gains, rtol=1e-5)
        for channel in range(c):
            off, less = everyone.copy(), everyone.copy()
            off[channel], less[channel] = 0, 0.9
            lost = total - value(off, u)
            assert each[2 + channel, u] == pytest.approx(lost, rel=1e-5)
            assert each[2 + 3 * c + channel, u] == pytest.approx(lost, rel=1e-5)
            reduced = total - value(less, u)
            assert each[2 + 2 * c + channel, u] == pytest.approx(reduced, rel=1e-4)
    assert frozen.sum() == c


def test_interventions_meet_the_same_noise() -> None:
    """What a channel off does not touch stays as it was, to the microsecond."""
    world = make("visits_entrances", seed=3)
    off = world.channels[-1]
    usual = world.simulate().events.filter(pl.col("channel") != off)
    without = world.simulate(doses={off: 0}).events
    assert off not in set(without["channel"])
    paid = ~pl.col("channel").is_in(ENTRANCES)
    assert usual.filter(paid).equals(without.filter(paid))


def test_an_entrance_off_is_not_logged_and_loses_no_purchase() -> None:
    world = make("visits_slow", strength=1, seed=3)
    usual = world.simulate().events
    for entrance in ("Direct", "Coupon Site"):
        without = world.simulate(doses={entrance: 0}).events
        assert entrance in set(usual["channel"])
        assert entrance not in set(without["channel"])
        assert without["conversion"].sum() == usual["conversion"].sum()


def test_direct_effects_leave_out_what_a_channel_brings_about() -> None:
    """A paid contact brings visits, and visits bring retargeting, which sells."""
    world = make("visits_retargeting", strength=1, draw=1)
    truth = world.truth(users=2 * BLOCK)
    retargeting = truth.channels.index("Retargeting")
    assert world.parameters.carried[retargeting] > 0
    paid = [i for i, name in enumerate(truth.channels) if name not in ENTRANCES]
    through_others = (truth.removal - truth.direct)[[i for i in paid if i != retargeting]]
    assert through_others.sum() > 0
    assert truth.removal[truth.channels.index("Direct")] > 0  # its visits are followed too
    assert truth.direct[truth.channels.index("Direct")] == 0


def test_a_truth_belongs_to_world_strength_and_draw() -> None:
    world = make("visits_clicks", draw=1)
    truth = world.truth(users=BLOCK // 2)
    same = make("visits_clicks", draw=1, seed=5).truth(users=BLOCK // 2)
    np.testing.assert_array_equal(truth.shapley, same.shapley)
    other = make("visits_clicks", draw=2)
    assert other.key() != world.key()
    assert other.truth(users=BLOCK // 2).total != truth.total
    assert make("visits_clicks", draw=1, strength=1).truth(users=BLOCK // 2).total != truth.total
    half = make("visits_clicks", draw=1, n_users=1_500).truth(users=BLOCK // 2)
    assert half.total == pytest.approx(truth.total / 2)


def test_the_benchmark_keeps_the_truths_of_draws_apart(tmp_path: Path) -> None:
    worlds = [make("visits_clicks", draw=draw) for draw in (0, 1)]
    suite = mta.benchmark.Suite(
        worlds, models=["Linear"], users=(1_000,), seeds=1, truth_users=BLOCK // 2
    )
    logs = list(suite.logs())
    for _ in range(2):  # computed, then read from the folder
        totals = [cached_truth(log, tmp_path).total for log in logs]
        assert totals[0] != totals[1]
        assert totals == [log.world.truth(users=BLOCK // 2).total for log in logs]
    assert len({log.setting for log in logs}) == len({log.key("Linear") for log in logs}) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_expected_is_the_total_of_the_truth() -> None:
    world = make("visits_needs")
    everything, nothing = world.expected(
        [np.ones(len(world.channels)), np.zeros(len(world.channels))], users=BLOCK // 2
    )
    truth = world.truth(users=BLOCK // 2)
    assert everything == pytest.approx(truth.total)
    assert nothing == pytest.approx(truth.baseline)


@pytest.mark.parametrize("name", VISITS)
def test_every_draw_has_eight_to_twelve_channels(name: str) -> None:
    mechanisms = make(name).mechanisms()
    channels = [draw_parameters(name, mechanisms, draw)[0].channels for draw in range(40)]
    assert {len(each) for each in channels} <= set(range(8, 13))
    assert all(len(set(each)) == len(each) for each in channels)
    assert len(set(channels)) >= 5
    media = [draw_parameters(name, mechanisms, draw)[0].media for draw in range(2)]
    assert (media[0].on_phone[:8] != media[1].on_phone[:8]).all()


def test_only_worlds_of_visits_are_drawn() -> None:
    with pytest.raises(ParameterError, match="`draw` must be 0"):
        mta.worlds.make("intent", draw=1)
    with pytest.raises(ParameterError, match="`draw` must be a whole number"):
        mta.worlds.make("visits_clicks", draw=-1)


def test_a_lift_test_finds_the_removal() -> None:
    world = make("visits_entrances", n_users=20_000)
    truth = world.truth(users=4 * BLOCK)
    best = int(np.argmax(truth.removal))
    (test,) = world.simulate(lift_tests=[truth.channels[best]]).lift_tests
    error = np.hypot(test.standard_error, truth.standard_error["removal"][best])
    assert abs(test.lift - truth.removal[best]) < 4 * error


# Mechanisms, each by the trace it leaves.


def test_at_once_effects_come_minutes_after_the_click() -> None:
    world = make("visits_clicks", n_users=10_000, strength=1)
    events = days_between(world.simulate().events)
    clicks = events.filter(
        pl.col("channel") == world.channels[int(np.argmax(world.parameters.at_once))]
    )
    soon = clicks.filter(pl.col("next") < HOUR).height
    hour_before = clicks.filter((pl.col("next") > HOUR) & (pl.col("next") < 2 * HOUR)).height
    assert soon > 5 * max(hour_before, 1)


def test_needs_end_with_the_purchase() -> None:
    mechanisms = Mechanisms(need=15)
    p, _ = lives(mechanisms)
    assert p.carried.any()
    world = make("visits_needs", n_users=10_000, strength=1)
    events = world.simulate().events
    first = events.filter(pl.col("conversion") == 1).group_by("user").agg(at=pl.col("time").min())
    near = events.join(first, on="user").with_columns(
        gap=(pl.col("time") - pl.col("at")).dt.total_minutes() / 1440
    )
    visits = near.filter(pl.col("channel").is_in(["Direct", "Brand Search", "Organic Search"]))
    before = visits.filter(pl.col("gap").is_between(-4, -0.1)).height
    after = visits.filter(pl.col("gap").is_between(0.1, 4)).height
    assert before > 2 * after


def test_ads_stop_and_messages_start_after_a_purchase() -> None:
    for name, rises in (("visits_stops", False), ("visits_messages", True)):
        world = make(name, n_users=10_000, strength=1)
        events = days_between(world.simulate().events)
        stopped = world.parameters.stops if not rises else np.array(world.channels) == "Email"
        channel = world.channels[int(np.argmax(stopped))]
        first = (
            events.filter(pl.col("conversion") == 1).group_by("user").agg(at=pl.col("day").min())
        )
        met = events.filter(pl.col("channel") == channel).join(first, on="user")
        before = met.filter((pl.col("day") - pl.col("at")).is_between(-10, -0.1)).height
        after = met.filter((pl.col("day") - pl.col("at")).is_between(0.1, 10)).height
        assert (after > 1.5 * before) if rises else (after < 0.6 * before)


def test_a_closing_coupon_causes_what_it_closes() -> None:
    truth = make("visits_closing_coupon", strength=1).truth(users=BLOCK)
    coupon = truth.channels.index("Coupon Site")
    share = make("visits_closing_coupon", strength=1).parameters.coupon
    assert truth.removal[coupon] / truth.total == pytest.approx(share, abs=0.08)


def test_a_working_brand_search_causes() -> None:
    truth = make("visits_working_brand", strength=1).truth(users=2 * BLOCK)
    brand = truth.channels.index("Brand Search")
    assert truth.shapley[brand] > 3 * truth.standard_error["shapley"][brand]
    assert truth.shapley[truth.channels.index("Direct")] == 0


def test_slow_decisions_have_visits_on_the_way() -> None:
    usual = days_between(make("visits_slow", strength=0, n_users=8_000).simulate().events)
    slow = days_between(make("visits_slow", strength=1, n_users=8_000).simulate().events)

    def on_the_way(events: pl.DataFrame) -> float:
        near = events.filter(
            pl.col("channel").is_in(ENTRANCES) & pl.col("next").is_between(2 * HOUR, 4)
        )
        return near.height / int(events["conversion"].sum())

    assert on_the_way(slow) > 1.5 * on_the_way(usual)


def test_caps_hold_and_retargeting_follows_visits() -> None:
    p, life = lives(Mechanisms(cap=1))
    q, free = lives(Mechanisms())
    assert p.channels == q.channels
    busy = int(np.argmax(free.volume[p.n_entrances :])) + p.n_entrances
    assert life.volume[busy] < free.volume[busy]
    c = p.channels.index("Retargeting")
    _, followed = lives(Mechanisms(retargeted=0.12, returns=0.2))
    assert followed.volume[c] > free.volume[c]
    assert followed.volume[0] > free.volume[0]  # ads bring people back through Direct


def test_what_the_tracker_loses() -> None:
    full, lost = (make("visits_tracking", strength=s, n_users=6_000).simulate() for s in (0, 1))
    assert lost.events.height < full.events.height
    assert lost.observed.height > full.observed.height == 6_000
    assert lost.events["user"].max() >= 6_000


def test_repeat_and_thin() -> None:
    repeated = make("visits_repeat", n_users=10_000).simulate().events
    per_user = repeated.filter(pl.col("conversion") == 1)["user"].value_counts()["count"]
    assert per_user.max() > 1
    once = make("visits_entrances", n_users=10_000).simulate().events
    assert once.filter(pl.col("conversion") == 1)["user"].is_unique().all()
    thin = make("visits_thin", n_users=10_000)
    assert len(thin.channels) == 12
    assert thin.simulate().events["conversion"].sum() < 500


def test_multiplying_effects_and_promotions_need_what_they_multiply() -> None:
    p, _ = lives(Mechanisms(at_once=0.5, multiplies=1.0))
    assert (p.at_once == 0).all()
    assert p.multiplies.max() > 1
    promoted = parameters_of("test", Mechanisms(promotions=2.0), 0)
    usual = parameters_of("test", Mechanisms(), 0)
    ratio = promoted.season / usual.season
    assert set(np.round(ratio, 6)) == {1.0, 3.0}
    np.testing.assert_allclose(promoted.calendar / usual.calendar, ratio)
    assert replace(p, base=0.0).base == 0
