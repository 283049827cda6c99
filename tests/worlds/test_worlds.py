"""What a tracker logs in a world: the same log by the same seed, and what each world hides."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import mta_models as mta
from mta_models.cli.app import app
from mta_models.worlds import Simulation, names
from mta_models.worlds.simulation import START

# Published names; a new world adds itself to the catalogue and is held to all that follows.
PUBLISHED = (
    *("randomised", "synergy", "substitution", "intent", "bursts", "suppression", "trend"),
    *("retargeting", "upstream", "carry_over", "saturation", "cookie_loss", "walled_garden"),
    *("season", "null_channel", "harmful_channel", "organic", "rare", "delay", "heterogeneous"),
    *("b2b", "everything", "repeat", "shop", "micro_synergy", "micro_intent", "micro_upstream"),
)
# Worlds of visits have tests of their own.
CATALOGUE = tuple(name for name in names() if not name.startswith("visits_"))
HEAVY = ("rare", "everything")


def simulated(name: str, n_users: int = 2_000, *, seed: int = 1, **options: Any) -> Simulation:
    strength = options.pop("strength", 0.5)
    world = mta.worlds.make(name, n_users=n_users, strength=strength, seed=seed)
    return world.simulate(**options)


def touched(simulation: Simulation, channel: str) -> pl.DataFrame:
    return simulation.events.filter(pl.col("channel") == channel)


# Every world.


def test_the_catalogue() -> None:
    assert set(PUBLISHED) <= set(CATALOGUE)
    for name in CATALOGUE:
        world = mta.worlds.make(name, n_users=7, strength=0.25, seed=3)
        assert (world.name, world.n_users, world.strength, world.seed) == (name, 7, 0.25, 3)
        assert repr(world) == f"World({name!r}, n_users=7, strength=0.25, seed=3)"
        assert "**Strength**" in str(type(world).__doc__) or name.startswith("micro")
        assert "**Who wins.**" in str(type(world).__doc__)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_log_that_reads_without_loss(name: str) -> None:
    simulation = simulated(name)
    events, journeys = simulation.events, simulation.journeys
    assert events["time"].is_sorted()
    assert (events["channel"].is_null() == (events["conversion"] == 1)).all()
    assert ((events["value"] > 0) == (events["conversion"] == 1)).all()
    days = simulation.world.days
    assert events["time"].is_between(START, START + timedelta(days=days)).all()
    assert journeys.total == events["conversion"].sum()
    assert journeys.n_touchpoints == events["channel"].count()
    assert set(journeys.channels) <= set(simulation.world.channels)
    assert tuple(simulation.costs) == simulation.world.channels
    assert journeys.timeline is not None
    assert len(journeys.timeline.start) == len(simulation.observed)
    if name != "walled_garden":
        spent = {channel: cost for channel, cost in simulation.costs.items() if cost}
        assert journeys.report is not None
        read = {channel: cost for channel, cost in journeys.report.cost.items() if cost}
        assert read == pytest.approx(spent)
    if not simulation.world.repeatable:
        unit = simulation.world.unit if name != "cookie_loss" else "user"
        assert events.filter(conversion=1)[unit].is_unique().all()


@pytest.mark.parametrize("name", [n for n in CATALOGUE if n not in HEAVY])
def test_the_same_seed_is_the_same_world(name: str) -> None:
    first, again = simulated(name, 500), simulated(name, 500)
    assert first.events.equals(again.events)
    assert first.observed.equals(again.observed)
    assert first.costs == again.costs
    assert not first.events.equals(simulated(name, 500, seed=2).events)


@pytest.mark.parametrize("name", [n for n in CATALOGUE if n not in HEAVY])
def test_conversions_are_as_many_as_expected(name: str) -> None:
    runs = [simulated(name, 3_000, seed=seed) for seed in range(3)]
    mean = np.mean([run.events["conversion"].sum() for run in runs])
    world = runs[0].world
    expected = float(world.expected(np.ones((1, len(world.channels))), users=8_192)[0])
    # Users have the same distribution, so one conversion each at most is a binomial number of them;
    # an expectation over users scatters less than a count of as many.
    once = 1 - expected / world.n_units * (not world.repeatable)
    variance = expected * once * (1 / len(runs) + world.n_users / 8_192)
    assert abs(mean - expected) < 4 * np.sqrt(1.3 * variance)


# Interventions.


@pytest.mark.parametrize("name", ["randomised", "bursts", "season", "repeat", "saturation"])
def test_a_channel_switched_off_leaves_all_other_noise_as_it_was(name: str) -> None:
    usual, without = simulated(name), simulated(name, doses={"Search": 0})
    assert touched(without, "Search").is_empty()
    assert without.costs["Search"] == 0
    for channel in usual.world.channels:
        if channel != "Search":
            assert touched(without, channel).equals(touched(usual, channel))
    # Nobody converts on a day on which they did not before; who never met it changes nothing.
    met = touched(usual, "Search")["user"]
    bought = [
        run.events.filter(pl.col("conversion") == 1, ~pl.col("user").is_in(met.implode()))
        for run in (usual, without)
    ]
    assert len(bought[0]) > 0
    assert bought[0].equals(bought[1])


def test_more_and_fewer_are_nested() -> None:
    few, usual, many = (simulated("randomised", doses={"Email": dose}) for dose in (0.5, 1, 2))
    for less, more in ((few, usual), (usual, many)):
        assert (
            touched(less, "Email")
            .join(touched(more, "Email"), on=["user", "time"], how="anti")
            .is_empty()
        )
        assert len(touched(more, "Email")) == pytest.approx(
            2 * len(touched(less, "Email")), rel=0.1
        )


def test_touchpoints_that_a_channel_caused_vanish_with_it() -> None:
    assert not touched(simulated("upstream", strength=1.0), "Search").is_empty()
    assert touched(simulated("upstream", strength=1.0, doses={"Display": 0}), "Search").is_empty()
    usual = simulated("retargeting")
    without = simulated("retargeting", doses={"Search": 0})
    chased = touched(without, "Retargeting")
    assert len(chased) < len(touched(usual, "Retargeting"))
    assert chased.join(touched(usual, "Retargeting"), on=["user", "time"], how="anti").is_empty()


# What each world does to its log.


def test_intent_leads_to_ads_and_to_purchases() -> None:
    simulation = simulated("intent")
    known = simulation.observed["engagement"].to_numpy()
    met = np.bincount(touched(simulation, "Affiliate")["user"], minlength=2_000)
    bought = np.bincount(simulation.events.filter(conversion=1)["user"], minlength=2_000)
    for shown in (met, bought):
        assert known[shown > 0].mean() - known[shown == 0].mean() > 0.3
    joined = simulation.events.join(simulation.observed, on="user")
    assert (joined["engagement"] == joined["engagement_right"]).all()


def test_ads_stop_after_a_purchase() -> None:
    after = {}
    for strength in (0.0, 1.0):
        events = simulated("suppression", strength=strength).events
        seen = events.with_columns(bought=pl.col("conversion").cum_sum().over("user"))
        after[strength] = len(seen.filter(pl.col("bought") == 1, pl.col("channel").is_not_null()))
    assert after[0.0] > 500
    assert after[1.0] == 0


def test_coupons_come_last() -> None:
    events = simulated("null_channel", strength=1.0).events
    before = events.with_columns(last=pl.col("channel").shift(1).over("user")).filter(conversion=1)
    assert (before["last"] == "Affiliate").all()


def test_spend_and_sales_move_with_the_calendar() -> None:
    def early_and_late(name: str, channel: str) -> tuple[int, int]:
        times = touched(simulated(name, strength=1.0), channel)["time"]
        early = int((times < START + timedelta(days=45)).sum())
        return early, len(times) - early

    early, late = early_and_late("trend", "Display")
    assert late > 1.8 * early
    early, late = early_and_late("trend", "Email")
    assert late == pytest.approx(early, rel=0.15)
    early, late = early_and_late("season", "Display")
    assert late > 1.8 * early


def test_a_lost_cookie_is_another_user() -> None:
    whole, split = simulated("randomised"), simulated("cookie_loss")
    assert split.events.drop("user").equals(whole.events.drop("user"))
    pieces = pl.DataFrame({"whole": whole.events["user"], "split": split.events["user"]}).unique()
    assert pieces["split"].is_unique().all()  # no identity is two people's
    assert pieces.group_by("whole").len()["len"].max() > 2  # type: ignore[operator]
    assert split.observed["user"].is_unique().all()
    assert set(split.events["user"]) <= set(split.observed["user"])
    silent = set(range(2_000)) - set(whole.events["user"])
    assert len(split.observed) == len(pieces) + len(silent)
    # Cookies are lost from one day to the next, for ever: identities do not alternate.
    order = split.events.with_columns(person=whole.events["user"]).sort(
        "person", maintain_order=True
    )
    changes = (order["user"] != order["user"].shift(1)).fill_null(True).sum()
    assert changes == len(pieces)


def test_a_walled_garden_is_not_in_the_log_but_in_the_truth() -> None:
    simulation, open_one = simulated("walled_garden"), simulated("randomised")
    assert "Social" not in simulation.journeys.channels
    assert simulation.costs == open_one.costs
    assert simulation.events.equals(open_one.events.filter(pl.col("channel").ne_missing("Social")))
    truth = simulation.world.truth(users=1024)
    credit = truth.credit_of(mta.LastTouch().fit_attribute(simulation.journeys))
    social = truth.channels.index("Social")
    assert credit[social] == 0
    assert truth.removal[social] > 10


def test_decisions_are_logged_late() -> None:
    prompt, late = simulated("randomised"), simulated("delay", strength=1.0)
    bought = [run.events.filter(conversion=1).select("user", "time") for run in (prompt, late)]
    both = bought[0].join(bought[1], on="user")
    assert len(both) > 50
    wait = (both["time_right"] - both["time"]).dt.total_days()
    assert wait.min() >= 0  # type: ignore[operator]
    assert wait.mean() == pytest.approx(12, abs=6)  # exponential of mean 20, cut at the end
    assert bought[1].join(bought[0], on="user", how="anti").is_empty()


def test_accounts_buy_and_their_people_are_logged() -> None:
    simulation = simulated("b2b", 2_001)
    events = simulation.events
    assert simulation.world.n_units == len(simulation.observed) == 501
    assert (events["account"] == events["user"] // 4).all()
    assert len(set(events.filter(conversion=1)["user"] % 4)) == 4  # any of them may sign
    converting = np.flatnonzero(simulation.journeys.conversions)
    assert len(np.unique(simulation.journeys.users[converting])) == len(converting)  # type: ignore[index]
    # Three stages of a day each at the least.
    assert events.filter(conversion=1)["time"].min() >= START + timedelta(days=2)  # type: ignore[operator]


def test_channels_have_unequal_reach() -> None:
    simulation = simulated("rare")
    met = Counter(simulation.events["channel"].drop_nulls())
    assert met["Channel 01"] / met["Channel 10"] == pytest.approx(10, rel=0.2)
    assert simulation.events["conversion"].sum() < 12


# Lift tests.


def test_measured_lifts_scatter_round_the_truth_by_their_error() -> None:
    world = mta.worlds.make("repeat", n_users=1_000)
    usual, off = world.expected([np.ones(6), 1 - np.eye(6)[0]], users=16_384)
    removal = {"Search": usual - off, "Affiliate": 0.0}
    z = []
    for seed in range(10):
        made = mta.worlds.make("repeat", n_users=1_000, seed=seed)
        tests = made.simulate(lift_tests=("Search", "Affiliate")).lift_tests
        assert [test.channel for test in tests] == ["Search", "Affiliate"]
        z += [(test.lift - removal[test.channel]) / test.standard_error for test in tests]
    assert abs(np.mean(z)) < 4 / np.sqrt(len(z))
    assert 0.5 < np.std(z) < 1.6


def test_tests_leave_the_log_alone_and_more_users_make_them_sharper() -> None:
    world = mta.worlds.make("randomised", n_users=1_000)
    few, many = (world.simulate(lift_tests=["Email"], n_test_users=n) for n in (1_000, 9_000))
    assert few.events.equals(many.events)
    assert few.events.equals(world.simulate().events)
    ratio = few.lift_tests[0].standard_error / many.lift_tests[0].standard_error
    assert ratio == pytest.approx(3, rel=0.2)
    assert few.lift_tests[0].journeys is None


def test_a_test_in_which_nobody_converts_has_an_error() -> None:
    tests = simulated("rare", 100, lift_tests=["Channel 30"], n_test_users=8).lift_tests
    assert tests[0].lift == 0
    assert tests[0].standard_error > 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("", 1.0, 1.0), "non-blank"),
        (("A", float("nan"), 1.0), "finite number of conversions"),
        (("A", 1.0, 0.0), "> 0"),
        (("A", 1.0, float("inf")), "> 0"),
    ],
)
def test_a_lift_test_must_say_something(arguments: tuple[Any, ...], what: str) -> None:
    with pytest.raises(mta.ParameterError, match=what):
        mta.LiftTest(*arguments)


# What is refused, and what travels.


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"n_users": 0}, "`n_users` must be a whole number from 1"),
        ({"n_users": 2.5}, "`n_users` must be a whole number"),
        ({"seed": -1}, "`seed` must be a whole number from 0"),
        ({"strength": 1.5}, "`strength` must be a number of at least 0 and at most 1; got 1.5"),
        ({"strength": float("nan")}, "`strength` must be"),
    ],
)
def test_parameters_that_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(mta.ParameterError, match=what):
        mta.worlds.make("intent", **options)


def test_names_that_are_refused() -> None:
    with pytest.raises(mta.ParameterError, match=r"must be one of .*randomised, .*'atlantis'"):
        mta.worlds.make("atlantis")
    world = mta.worlds.make("randomised", n_users=10)
    with pytest.raises(mta.UnknownChannelError, match="'TV'"):
        world.simulate(doses={"TV": 0})
    with pytest.raises(mta.UnknownChannelError, match="'TV'"):
        world.simulate(lift_tests=["TV"])
    with pytest.raises(mta.ParameterError, match=">= 0"):
        world.simulate(doses={"Email": -1})
    with pytest.raises(mta.ParameterError, match="at least 4 users; got 3"):
        world.simulate(lift_tests=["Email"], n_test_users=3)


def test_worlds_travel_between_processes() -> None:
    world = pickle.loads(pickle.dumps(mta.worlds.make("trend", n_users=300, seed=4)))
    assert world.simulate().events.equals(simulated("trend", 300, seed=4).events)
    assert repr(world.simulate()).startswith("Simulation(World('trend'")


# The command line.


def test_simulate_writes_the_log_its_users_and_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    arguments = ["simulate", "micro_upstream", "--users", "1000", "--lift-test", "A"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    simulation = simulated("micro_upstream", 1_000, seed=0, lift_tests=["A"])
    assert pl.read_parquet(out).equals(simulation.events)
    assert pl.read_parquet(tmp_path / "events.observed.parquet").equals(simulation.observed)
    document = json.loads((tmp_path / "events.truth.json").read_text())
    assert document["world"] == "micro_upstream"
    assert document["truth"]["removal"] == pytest.approx([20, 40])
    assert document["costs"] == simulation.costs
    assert document["lift_tests"][0]["lift"] == simulation.lift_tests[0].lift


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("atlantis", "--out", "e.csv"), 2, "a world must be one of"),
        (("intent",), 2, "--out"),
        (("intent", "--out", "e.json"), 2, "--out"),
        (("intent", "--strength", "2", "--out", "e.csv"), 2, "strength"),
        (("intent", "--lift-test", "TV", "--out", "e.csv"), 1, "'TV'"),
        (("micro_intent", "--out", "no/e.csv"), 1, "cannot write"),
    ],
)
def test_simulate_refuses_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, code: int, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["simulate", *arguments])
    assert result.exit_code == code
    assert what in result.output
    assert not list(tmp_path.iterdir())
