"""The benchmark: rows that reproduce and resume, errors as rows, models and worlds of one's own."""

from __future__ import annotations

import math
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import mta_models as mta
from mta_models import benchmark, metrics, worlds
from mta_models.benchmark import rows, truths
from mta_models.benchmark.purpose import REPORTING_SEEDS, for_reporting, purpose_of
from mta_models.benchmark.results import Results
from mta_models.cli.app import app

TINY = benchmark.Suite(
    ["micro_synergy", "micro_upstream"],
    ["LastTouch", "Markov", "Shapley('rate')"],
    users=[800],
    seeds=2,
)


class Touchless(mta.LastTouch):
    """A model of one's own: the rule, half-hearted."""

    def __init__(self, part: float = 0.5) -> None:
        self.part = part

    def _credit(self, journeys: mta.Journeys, of: str) -> Any:
        return self.part * super()._credit(journeys, of)

    def _baseline(self, journeys: mta.Journeys, of: str) -> float:
        credited = float(self._credit(journeys, of).sum())
        return float(journeys.outcome(of).sum()) - credited


class Broken(mta.LastTouch):
    """A model that always fails, as a bug would have it."""

    def _credit(self, journeys: mta.Journeys, of: str) -> Any:
        raise ZeroDivisionError("half of\nnothing")


class Costlier(worlds.World):
    """A world of one's own, with a parameter of its own, and a truth that costs little."""

    name = "costlier"
    days = 4
    channels = ("A", "B")
    truth_users = 1024

    def __init__(self, factor: float = 1.0, **given: Any) -> None:
        self.factor = factor
        super().__init__(**given)

    def tune(self) -> None:
        self.rates, self.effects = np.array([0.3, 0.2]), np.array([0.2 * self.strength, 0.0])
        self.costs, self.half_lives = np.array([self.factor, 1.0]), np.array([4.0, 4.0])
        self.base_rate = 0.02


def stable(found: Results) -> list[dict[str, str]]:
    """The rows without what a clock and a memory say."""
    return [{k: v for k, v in row.items() if k not in rows.COST} for row in found.rows]


@pytest.fixture(scope="module")
def tiny() -> Results:
    return benchmark.run(TINY)


# Rows.


def test_every_row_is_what_the_api_says(tiny: Results) -> None:
    assert len(tiny.rows) == 2 * 2 * (3 + 3)
    for row in tiny.table.iter_rows(named=True):
        world = worlds.make(row["world"], n_users=800, strength=0.5, seed=row["seed"])
        simulation = world.simulate()
        if row["model"] == "Oracle":
            found = benchmark.oracle(simulation.truth)
        elif row["model"] in benchmark.CONTROLS:
            found = getattr(benchmark, row["model"])().fit_attribute(simulation.journeys)
        else:
            models = (mta.LastTouch(), mta.Markov(), mta.Shapley("rate"))
            model = next(each for each in models if repr(each).removesuffix("()") == row["model"])
            found = model.fit_attribute(simulation.journeys)
        expected = metrics.table(found, simulation.truth)
        expected["budget_regret"] = metrics.budget_regret(found, simulation)
        expected["total_variation_removal"] = metrics.total_variation(
            found, simulation.truth, against="removal"
        )
        for name, value in expected.items():
            shown = math.nan if row[name] is None else row[name]
            assert shown == pytest.approx(value, rel=1e-5, abs=1e-9, nan_ok=True), name
        assert row["estimand"] == found.estimand
        assert row["conversions"] == simulation.journeys.total
        assert row["error"] == ""


def test_columns_are_those_of_the_metrics(tiny: Results) -> None:
    simulation = worlds.make("micro_synergy", n_users=500).simulate()
    found = mta.LastTouch().fit_attribute(simulation.journeys)
    assert set(metrics.table(found, simulation.truth)) <= set(rows.METRICS)
    assert tuple(tiny.rows[0]) == rows.FIELDS
    assert all(math.isfinite(x) and x > 0 for x in tiny.table.drop_nulls("seconds")["seconds"])
    assert tiny.table.filter(pl.col("model") == "Markov")["peak_mb"].min() > 0


def test_the_oracle_is_right_and_uniform_knows_nothing(tiny: Results) -> None:
    oracle = tiny.table.filter(pl.col("model") == "Oracle")
    assert oracle["total_variation"].abs().max() < 1e-9
    assert oracle["baseline_error"].abs().max() < 1e-9
    # Shares of 1/2 and 1/2 against 19/27 and 8/27, and against 10/40 and 30/40.
    uniform = tiny.table.filter((pl.col("model") == "Uniform") & (pl.col("seed") == 0))
    assert uniform["total_variation"].to_list() == pytest.approx([19 / 27 - 1 / 2, 1 / 4], abs=1e-6)


def test_a_second_run_gives_the_same_file_but_for_time_and_memory(
    tiny: Results, tmp_path: Path
) -> None:
    for file in ("a.csv", "b.csv"):
        benchmark.run(TINY, out=tmp_path / file, jobs=1 if file == "a.csv" else 2)
        again = Results(rows.read(tmp_path / file))
        assert stable(again) == stable(tiny)


def test_a_run_goes_on_where_it_stopped(
    tiny: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.csv"

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark.run(TINY, out=file, progress=stop)
    assert len(rows.read(file)) == 2 * 6
    # What a kill leaves: half a line, and a log of which one model is missing.
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:-1]) + whole[-1][:20])
    before = rows.read(file)
    seen: list[tuple[int, int]] = []
    found = benchmark.run(TINY, out=file, progress=lambda *at: seen.append(at))
    assert [at[0] for at in seen] == [1, 2, 3]
    assert stable(found) == stable(tiny)
    assert rows.read(file)[: len(before)] == before
    # Nothing is left to do, and rows of another suite stay.
    monkeypatch.setattr(worlds.World, "simulate", None)
    less = benchmark.run(replace(TINY, models=["Markov"], seeds=[1]), out=file)
    assert stable(less) == [
        row
        for row in stable(tiny)
        if row["seed"] == "1" and row["model"] in ("Markov", *benchmark.CONTROLS)
    ]
    assert len(rows.read(file)) == len(tiny.rows)


def test_rows_go_on_after_a_line_cut_off_at_any_byte(tmp_path: Path, tiny: Results) -> None:
    file = tmp_path / "rows.csv"
    first, second = ({**row, "error": "ü"} for row in tiny.rows[:2])
    rows.append(file, [first, second])
    whole = file.read_bytes()
    header = whole.index(b"\n") + 1
    for end in (0, 10, header - 1, header, header + 10, len(whole) - 2, len(whole) - 1, len(whole)):
        file.write_bytes(whole[:end])
        left = rows.read(file)
        assert left == [first, second][: whole[:end].count(b"\n") - 1 if end >= header else 0]
        rows.append(file, [second])
        assert rows.read(file) == [*left, second]
    file.write_bytes(b"no benchmark")
    with pytest.raises(mta.MTAError, match="must be a table of benchmark rows"):
        rows.read(file)


def test_rows_of_another_version_are_not_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    suite = replace(TINY, models=["LastTouch"], worlds=["micro_intent"], seeds=1)
    benchmark.run(suite, out=file)
    file.write_text(file.read_text().replace(f"mta_models {mta.__version__}", "mta_models 0.0.0"))
    with pytest.raises(mta.ParameterError, match="rows of one file must be of one version"):
        benchmark.run(suite, out=file)
    file.write_text("model,score\n")
    with pytest.raises(mta.MTAError, match="must be a table of benchmark rows"):
        benchmark.run(suite, out=file)


def test_rows_of_before_a_column_was_there_are_gone_on_with(tmp_path: Path, tiny: Results) -> None:
    file = tmp_path / "rows.csv"
    columns = [name for name in rows.FIELDS if not name.startswith("coverage_90")]
    lines = [[row[name] for name in columns] for row in tiny.rows[:6]]
    file.write_text("\n".join(",".join(each) for each in [columns, *lines]) + "\n")
    assert rows.read(file) == [row | {"coverage_90": ""} for row in tiny.rows[:6]]
    found = benchmark.run(TINY, out=file)
    assert [row["seconds"] for row in found.rows[:6]] == [row["seconds"] for row in tiny.rows[:6]]
    assert stable(found) == stable(tiny)
    assert rows.read(file) == list(found.rows)


class Sure(mta.LastTouch):
    """A model with a verdict: sure of A, not of B; its intervals are points."""

    def _draws(self, journeys: mta.Journeys, of: str) -> Any:
        credit, baseline = self._credit(journeys, of), self._baseline(journeys, of)
        return np.tile(credit, (3, 1)), np.full(3, baseline)

    @property
    def verdict_(self) -> list[SimpleNamespace]:
        sure = {"A": "identified", "B": "bounded"}
        return [SimpleNamespace(channel=name, status=status) for name, status in sure.items()]


def test_a_verdict_is_held_against_the_truth() -> None:
    suite = replace(TINY, worlds=["micro_synergy"], models=[Sure, "LastTouch"], seeds=1)
    found, plain = benchmark.run(suite).table.head(2).iter_rows(named=True)
    assert {name: found[name] for name in rows.VERDICT} == {
        "n_channels": 2,
        "n_identified": 1,
        "n_missed": 2,  # last touch hits neither 19 nor 8 per 1,000 users to the digit
        "n_missed_identified": 1,
        "baseline_identified": 0,
    }
    assert all(plain[name] is None for name in rows.VERDICT)


def test_the_budget_regret_is_left_out_where_it_is_not_asked_for(tiny: Results) -> None:
    found = benchmark.run(replace(TINY, regret=False))
    without = [row | {"budget_regret": ""} for row in stable(tiny)]
    assert stable(found) == without


# What is for development, and what is for reporting.


def test_reports_refuse_logs_for_development() -> None:
    suite = replace(TINY, seeds=2, purpose="report")
    assert tuple(suite.seeds) == (100, 101)  # type: ignore[arg-type]  # a tuple by now
    with pytest.raises(mta.ParameterError, match=r"'micro_synergy' with seed 99.*purpose="):
        replace(TINY, seeds=[100, 99], purpose="report")
    for label in ("visits_clicks", "visits_clicks_draw_1"):
        with pytest.raises(mta.ParameterError, match=f"'{label}' with seed 100"):
            benchmark.Suite(["intent", label], seeds=[100], purpose="report")
    assert benchmark.Suite(["visits_clicks_draw_2"], seeds=1, purpose="report").seeds == (100,)
    with pytest.raises(mta.ParameterError, match="`purpose` must be one of 'development'"):
        replace(TINY, purpose="boast")  # type: ignore[arg-type]  # refused


def test_results_for_a_report_cannot_be_made_of_other_rows(tiny: Results) -> None:
    assert tiny.purpose == "development"
    with pytest.raises(mta.ParameterError, match="a report must be of seeds from 100 on"):
        Results(tiny.rows, "report")
    with pytest.raises(mta.ParameterError, match="a report must be of seeds from 100 on"):
        replace(tiny, purpose="report")
    later = [row | {"seed": "100"} for row in tiny.rows]
    assert Results(later, "report").leaderboard().height == 6
    drawn = [row | {"world": "visits_clicks_draw_1"} for row in later]
    with pytest.raises(mta.ParameterError, match="draws from 2 on"):
        Results(drawn, "report")


def test_seeds_and_draws_of_development_and_of_reports_are_disjoint_and_all() -> None:
    for name in worlds.names():
        (label,) = for_reporting([name])
        assert worlds.make(label).label == label
        assert purpose_of(label, REPORTING_SEEDS) == "report"
        assert purpose_of(label, REPORTING_SEEDS - 1) == "development"
    with_draws = [name for name in worlds.names() if hasattr(worlds.make(name), "draw")]
    assert [n for n in worlds.names() if purpose_of(n, 100) == "development"] == with_draws


# Models and worlds of one's own.


def test_a_model_of_ones_own_is_one_more_entry() -> None:
    suite = replace(TINY, models=[Touchless(part=0.25), "LastTouch", Broken], seeds=1)
    found = benchmark.run(suite)
    table = found.table
    own, last = (
        table.filter(pl.col("model") == name) for name in ("Touchless(part=0.25)", "LastTouch")
    )
    assert own["over_credit"].to_list() == pytest.approx(
        [x / 4 for x in last["over_credit"]], rel=1e-5
    )
    assert own["total_variation"].to_list() == last["total_variation"].to_list()
    errors = found.errors()
    assert errors["error"].unique().to_list() == ["ZeroDivisionError: half of nothing"]
    assert errors["model"].to_list() == ["Broken", "Broken"]
    board = found.leaderboard()
    assert board["model"][2:].to_list() == ["Broken", *benchmark.CONTROLS]
    assert board["micro_synergy"][2] is None


def test_a_world_of_ones_own_keeps_what_it_was_given() -> None:
    suite = benchmark.Suite(
        [Costlier(factor=3.0), "micro_intent"],
        ["LastTouch"],
        strengths=[0.0, 1.0],
        users=[300, 600],
        seeds=[4],
    )
    logs = [log for log in suite.logs() if log.world.name == "costlier"]
    assert [(log.world.strength, log.world.n_users) for log in logs] == [
        *((0.0, 300), (0.0, 600), (1.0, 300), (1.0, 600))
    ]
    assert all(log.world.costs[0] == 3.0 and log.world.seed == 4 for log in logs)  # type: ignore[attr-defined]
    found = benchmark.run(suite, jobs=2)
    table = found.table.filter(pl.col("world") == "costlier")
    assert table["error"].unique().to_list() == [""]
    # Without strength no channel does anything: what is credited is all wrong.
    last = table.filter(pl.col("model") == "LastTouch").sort("strength", "n_users")
    assert last["total_variation"].to_list()[:2] == [1.0, 1.0]
    assert last["true_baseline_share"].to_list()[:2] == [1.0, 1.0]
    assert last["total_variation"].to_list()[3] < 0.6
    expected = Costlier(factor=3.0, n_users=600, strength=1.0).truth().total
    assert last["true_total"][3] == pytest.approx(expected, rel=1e-5)


def test_what_is_written_module_colon_name_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own.py").write_text(
        "from mta_models import LastTouch\n"
        "from mta_models.worlds.mechanisms.micro import MicroIntent\n"
        "class Mine(LastTouch): pass\n"
        "class MyWorld(MicroIntent):\n    name = 'mine'\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", "my_own:Mine", "--world", "my_own:MyWorld", "--seeds", "1"]
    result = CliRunner().invoke(app, ["benchmark", *arguments, "--jobs", "2", "--users", "500"])
    assert result.exit_code == 0, result.output
    assert "Mine" in result.stdout
    assert "mine" in result.stdout


class NeedsMore(mta.LastTouch):
    def __init__(self, what: str) -> None:
        self.what = what


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"worlds": []}, "at least one of its worlds"),
        ({"worlds": ["nowhere"]}, "a world must be one of"),
        ({"worlds": [7]}, "a world must be a World"),
        ({"worlds": [type("Mine", (worlds.World,), {})]}, "a name of its own; Mine"),
        ({"worlds": ["micro_intent", "micro_intent"]}, "'micro_intent' twice"),
        ({"models": ["LastTouch", mta.LastTouch()]}, "'LastTouch' twice"),
        ({"models": [benchmark.Uniform]}, "controls are always there"),
        ({"models": ["Lost"]}, "no model 'Lost'"),
        ({"models": ["no_module_of_this_name:Model"]}, "must be importable"),
        ({"models": ["math:pi"]}, "a model must be"),
        ({"models": [NeedsMore]}, "cannot be made without"),
        ({"strengths": [2.0]}, "`strength` must be a number"),
        ({"users": [0]}, "`n_users` must be"),
        ({"seeds": [-1]}, "`seed` must be"),
        ({"seeds": 0}, "`seeds` must be"),
        ({"draws": -1}, "`draws` must be"),
    ],
)
def test_what_a_suite_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        replace(TINY, **given)


def test_classes_without_a_module_stay_in_one_process() -> None:
    class Local(mta.LastTouch):
        pass

    suite = replace(TINY, models=[Local], worlds=["micro_intent"])
    assert benchmark.run(suite).errors().height == 0
    with pytest.raises(mta.ParameterError, match="use jobs=1"):
        benchmark.run(suite, jobs=2)
    with pytest.raises(mta.ParameterError, match="jobs must be 1 or more"):
        benchmark.run(suite, jobs=0)


def test_a_log_that_cannot_be_made_is_a_row_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(world: worlds.World) -> None:
        raise mta.MTAError("the sky fell")

    monkeypatch.setattr(worlds.World, "simulate", fail)
    errors = benchmark.run(replace(TINY, seeds=1)).errors()
    assert errors["n"].sum() == 2 * 6
    assert errors["error"].unique().to_list() == ["the sky fell"]


# Truths on disk.


def test_a_truth_kept_is_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds.World, "truth_users", 1024)
    log = next(benchmark.Suite(["upstream"], ["LastTouch"], users=[700]).logs())
    first = truths.cached_truth(log, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("upstream-0.5-1024-")
    monkeypatch.setattr(worlds.World, "truth", None)
    larger = next(benchmark.Suite(["upstream"], ["LastTouch"], users=[1_400]).logs())
    for each, factor in ((log, 1), (larger, 2)):
        again = truths.cached_truth(each, tmp_path)
        assert again.channels == first.channels
        for name in ("total", "baseline", "removal", "shapley", "marginal", "direct"):
            np.testing.assert_allclose(getattr(again, name), factor * getattr(first, name))
            np.testing.assert_allclose(
                again.standard_error[name], factor * np.asarray(first.standard_error[name])
            )


# Tables.


@pytest.mark.parametrize("name", ["mechanisms/shop.py", "mechanisms/micro.py", "engine.py"])
def test_a_changed_mechanism_has_another_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "worlds"
    shutil.copytree(worlds.__path__[0], copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(worlds, "__path__", [str(copy)])
    key = truths._sources.__wrapped__()
    assert key == truths._sources()
    with (copy / name).open("a") as file:
        file.write("# what is said about a mechanism does not change its truth\n")
    assert truths._sources.__wrapped__() == key
    with (copy / name).open("a") as file:
        file.write("changed = True\n")
    assert truths._sources.__wrapped__() != key


def made(cells: Sequence[tuple[str, str, int, float]], metric: str = "total_variation") -> Results:
    """Results of (world, model, seed, value); a NaN is a failure."""
    return Results(
        [
            rows.as_text(
                {
                    "world": world,
                    "model": model,
                    "seed": seed,
                    "strength": 0.5,
                    "n_users": 10,
                    metric: value,
                    "estimand": "" if math.isnan(value) else "rule",
                    "error": "failed" if math.isnan(value) else "",
                }
            )
            for world, model, seed, value in cells
        ]
    )


def test_nothing_is_ranked_over_worlds_and_a_missing_answer_stays_missing() -> None:
    values = {"x": [(0.2, 0.4), (0.1, 0.1)], "y": [(0.1, 0.1), (0.3, math.nan)]}
    cells = [
        (world, model, seed, value)
        for model, by_world in values.items()
        for world, by_seed in zip("AB", by_world, strict=True)
        for seed, value in enumerate(by_seed)
    ]
    board = made([*cells, ("A", "Oracle", 0, 0.0), ("B", "Oracle", 0, 0.0)]).leaderboard()
    assert board["model"].to_list() == ["x", "y", "Oracle"]
    assert board["A"].to_list() == pytest.approx([0.3, 0.1, 0.0])
    # One seed of y in B failed: a mean over the others would be of other logs.
    assert board["B"].to_list() == [pytest.approx(0.1), None, 0.0]
    # The order is that of the rows, controls last; every other column is one world.
    assert board.columns == ["model", "estimand", "A", "B"]


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(mta.ParameterError, match="metric must be one of"):
        made([("A", "x", 0, 0.1)]).leaderboard("beauty")


def test_differences_are_of_the_same_logs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.5, 0.2, 40)  # logs differ far more than models
    noise = rng.normal(0, 0.01, 40)
    cells = [("A", "x", seed, hard[seed]) for seed in range(40)]
    cells += [("A", "y", seed, hard[seed] + 0.05 + noise[seed]) for seed in range(40)]
    found = made(cells).differences("x")
    row = found.row(0, named=True)
    assert (row["setting"], row["model"], row["n_seeds"]) == ("A", "y", 40)
    assert row["difference"] == pytest.approx(0.05 + noise.mean(), abs=1e-5)
    # The bootstrap's normal limit.
    half = 1.96 * noise.std() / np.sqrt(40)
    assert row["lower"] == pytest.approx(row["difference"] - half, rel=0.05)
    assert row["upper"] == pytest.approx(row["difference"] + half, rel=0.05)
    with pytest.raises(mta.ParameterError, match="than must be a model"):
        made(cells).differences("z")


def test_intervals_come_with_draws() -> None:
    suite = replace(TINY, models=["LastTouch"], worlds=["micro_synergy"], seeds=1, draws=20)
    row = benchmark.run(suite).table.row(0, named=True)
    world = worlds.make("micro_synergy", n_users=800, seed=0)
    drawn = mta.bootstrap(mta.LastTouch(), world.simulate().journeys, n_draws=20, random_state=0)
    assert row["winkler_80"] == pytest.approx(
        metrics.winkler_score(drawn, world.truth(), 0.8), rel=1e-5
    )


# The command, and the suites that come with the package.


def test_the_quick_suite_comes_out_the_same_twice() -> None:
    """The quick suite, on smaller logs."""
    suite = replace(benchmark.quick(), users=[600], seeds=1, truth_users=512)
    first = benchmark.run(suite)
    # Logistic takes most of the time; the contract suite asks it for the same result every time.
    others = [model for model in suite.models if not isinstance(model, mta.Logistic)]
    second = benchmark.run(replace(suite, models=others))
    assert [row for row in stable(first) if row["model"] != "Logistic"] == stable(second)
    refused = first.errors()
    assert refused["model"].to_list() == ["Incremental", "SelfControlled"]
    # Journeys end with their conversion.
    assert refused["world"].to_list() == ["micro_upstream", "micro_upstream"]
    board = first.leaderboard()
    assert board["model"][-3:].to_list() == list(benchmark.CONTROLS)
    assert tuple(board.columns[2:]) == benchmark.QUICK_WORLDS
    assert board.null_count().sum_horizontal()[0] == 2  # those refused


def test_the_examples_of_the_help_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["benchmark", "--help"]).stdout
    examples = shown.partition("Examples:\n")[2].replace("\\\n", " ").strip().splitlines()
    assert examples[-1].strip() == "mta-models benchmark --quick"  # a test of its own
    for example in examples[:-1]:
        result = CliRunner().invoke(app, shlex.split(example)[1:])
        assert result.exit_code == 0, result.output
    assert len(rows.read(tmp_path / "rows.csv")) == 5 * (2 + 3)


def test_the_command_shows_the_leaderboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    file = tmp_path / "rows.csv"
    arguments = (
        "benchmark",
        "--world",
        "micro_synergy",
        "--model",
        "Shapley('rate')",
        "--seeds",
        "2",
        "--users",
        "500",
        "--jobs",
        "1",
        "--out",
        str(file),
    )
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2 of 2 logs" in result.stderr
    assert "mean of 2 seeds" in result.stdout
    assert "Share error" in result.stdout
    assert "rank" not in result.stdout
    found = Results(rows.read(file))
    assert found.table["model"].unique(maintain_order=True).to_list() == [
        "Shapley(characteristic_function='rate')",
        *benchmark.CONTROLS,
    ]
    mean = found.leaderboard()["micro_synergy"][0]
    assert f"{mean:.1%}" in result.stdout
    again = CliRunner().invoke(app, arguments)
    assert again.stdout == result.stdout
    assert "of 2 logs," not in again.stderr
    assert "for development" in result.stdout
    report = CliRunner().invoke(app, [*arguments, "--report"])
    assert report.exit_code == 0, report.output
    assert "for development" not in report.stdout
    assert {row["seed"] for row in rows.read(file)} == {"0", "1", "100", "101"}
    refused = CliRunner().invoke(app, ["benchmark", "--world", "visits_clicks", "--report"])
    assert refused.exit_code == 2
    assert "'visits_clicks' with seed 100" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "rows.parquet"), 2, "must end in .csv"),
        (("--world", "nowhere"), 2, "a world must be one of"),
        (("--model", "Lost"), 2, "no model 'Lost'"),
        (("--metric", "beauty"), 2, "metric must be one of"),
        (("--strength", "3"), 2, "--strength"),
        (
            ("--world", "micro_intent", "--users", "1", "--seeds", "1", "--jobs", "1"),
            1,
            "at least one model",
        ),
    ],
)
def test_what_the_command_refuses(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = CliRunner().invoke(app, ["benchmark", *arguments])
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
