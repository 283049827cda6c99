"""The committed results: README tables and figures are what the rows say; rivals as models."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mta_models as mta
from benchmarks.peers import Model, Result
from benchmarks.truth import (
    answers,
    figures,
    goals,
    kept,
    report,
    rivals,
    run,
    suites,
    text,
)
from benchmarks.truth import report_tables as tables
from mta_models.benchmark import CONTROLS, Results, Suite, rows
from mta_models.benchmark import run as run_suite
from mta_models.benchmark.purpose import purpose_of
from mta_models.models.names import label_of, model_from_name

ROOT = Path(__file__).resolve().parents[2]


def made(values: dict[tuple[str, str], list[float]], metric: str = "total_variation") -> Results:
    """Results of (world, model): values by seed; a NaN is a failure."""
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
                    "error": "too | many" if math.isnan(value) else "",
                    "versions": "mta_models 1",
                }
            )
            for (world, model), every in values.items()
            for seed, value in enumerate(every)
        ]
    )


# What is committed.


def test_nothing_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in suites.SUITES if name != "rivals"])
def test_what_is_committed_is_of_the_suite(name: str) -> None:
    committed = suites.SUITES[name]
    found = rows.read(report.HERE / "results" / f"{name}.csv")
    wanted = {log.key(label) for log in committed.suite.logs() for label in log.labels}
    keys = [rows.key(row) for row in found]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= wanted
    failed = {(row["world"].partition("_")[0], row["error"]) for row in found if row["error"]}
    for world, reason in failed:
        # Of thirty channels or few conversions, and of worlds whose journeys end with a conversion.
        known = {
            "rare": ("exact for at most 20 channels", "at least 30 conversions"),
            "micro": ("Read an event log",),
        }
        assert any(words in reason for words in known[world])


def test_the_main_table_has_thirty_seeds_of_each_of_its_worlds() -> None:
    main = report.Report().main
    assert set(main.worlds) <= set(mta.worlds.names())
    assert main.n_seeds >= 30


def test_worlds_of_visits_lead_the_page_and_none_is_left_out() -> None:
    visits = kept.Kept().results("answer", "visits")
    drawn = {world.partition("_draw_")[0] for world in visits.table["world"].unique()}
    assert drawn <= set(suites.VISIT_WORLDS)
    text = report.Report().full()
    assert text.startswith("### The answer")
    assert answers.in_short(visits) in text + report.Report().short()
    # What the README says of our older models.
    means = {
        model: np.mean([each for each in goals.medians(visits, model).values() if each is not None])
        for model in ("Hazard", "SelfControlled", "Hazard(lag='12h')", suites.LAGGED, "Uniform")
    }
    for model in ("Hazard", "SelfControlled"):
        assert means[model] > means["Uniform"]
    assert max(means["Hazard(lag='12h')"], means[suites.LAGGED]) < means["Uniform"] / 1.5


def test_suites_for_reporting_have_no_log_for_development() -> None:
    for committed in suites.SUITES.values():
        logs = [(log.world.label, log.world.seed) for log in committed.suite.logs()]
        purposes = {purpose_of(*log) for log in logs}
        if committed.suite.purpose == "report":
            assert purposes == {"report"}
        else:
            assert "development" in purposes
    for name in ("answer", "answer_few", "answer_intervals", "answer_one_thing"):
        assert suites.SUITES[name].suite.purpose == "report"
        logs_of: dict[str, int] = {}
        for log in suites.SUITES[name].suite.logs():
            logs_of[log.world.name] = logs_of.get(log.world.name, 0) + 1
        assert min(logs_of.values()) >= (50 if name == "answer_intervals" else 20)
    draws = {log.world.label for log in suites.SUITES["answer"].suite.logs()}
    assert len(draws) == 3 * len(suites.VISIT_WORLDS)


def test_the_report_says_of_each_table_what_its_seeds_are_for() -> None:
    main, large = (kept.described(kept.Kept().results(name)) for name in ("main", "large"))
    assert "for development (defaults were tuned" in main
    assert "for reporting (from 100 on: nothing was tuned" in large


def test_rows_of_models_that_were_changed_since_are_called_older() -> None:
    values = {("A", "Hazard"): [0.1], ("A", "Linear"): [0.2]}
    older = made(values)
    assert "Rows of `Hazard` are of these models as they were before" in kept.described(older)
    newer = Results([row | {"cpu_seconds": "1"} for row in older.rows])
    assert "before" not in kept.described(newer)


def test_rows_for_development_make_no_table_of_a_suite_for_reporting(tmp_path: Path) -> None:
    rows.write(tmp_path / "answer.csv", made({("visits_clicks_draw_2", "LastTouch"): [0.1]}).rows)
    with pytest.raises(mta.ParameterError, match="a report must be of seeds from 100 on"):
        report.Report(kept.Kept(tmp_path)).full()


def test_a_world_without_rows_is_named_and_does_not_fail() -> None:
    made_now = report.Report()
    missing = [name for name in suites.ONE_THING if name not in made_now.main.worlds]
    for written in (made_now.short(), made_now.full()):
        assert ("no rows yet" in written) == bool(missing)
        for name in missing:
            assert f"`{name}`" in written


def test_the_first_rows_come_out_again() -> None:
    """The committed numbers of micro-worlds, unless the page calls them older."""
    committed, main = suites.SUITES["main"].suite, kept.Kept().results("main")
    names = ("micro_synergy", "micro_upstream")
    models = [each for each in committed.models if not kept.is_older(main, label_of(each))]
    suite = Suite(names, models, seeds=[0, 7])
    file = report.HERE / "results" / "main.csv"
    before = {rows.key(row): row for row in rows.read(file)}
    # Rows may be older than a column; `rows.read` adds it.
    with file.open(encoding="utf-8", newline="") as opened:
        columns = next(csv.reader(opened))
    for row in run_suite(suite).rows:
        for name in columns:
            if name not in (*rows.COST, "versions", "warnings"):
                old = before[rows.key(row)][name]
                if name in rows.METRICS and row[name]:
                    # Other versions of numpy may round sums otherwise.
                    assert float(row[name]) == pytest.approx(float(old), rel=1e-4, abs=1e-8)
                elif name == "error":  # a refusal stays one; its wording may improve
                    assert bool(row[name]) == bool(old)
                else:
                    assert row[name] == old, name


def test_models_are_named_as_the_api_names_them() -> None:
    for suite in suites.SUITES.values():
        for log in suite.up_to(1).logs():
            for label in log.labels:
                if ":" in label or label in CONTROLS:  # a rival's model, or a control
                    continue
                named = label_of(model_from_name(tables.shown(label)))
                assert named == label.replace("(random_state=0)", "")
            break


def test_every_recommended_model_is_in_every_figure_of_models() -> None:
    for suite, draw in figures.FIGURES.values():
        results = Results(rows.read(ROOT / f"benchmarks/results/{suite}.csv"))
        figure = draw(results)
        drawn = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
        drawn |= {tick.get_text() for ax in figure.axes for tick in ax.get_xticklabels()}
        named = {label.partition(",")[0] for label in drawn} | {
            figure.get_supxlabel().partition("not run: ")[2]
        }
        for model in tables.RECOMMENDED:
            assert any(model in label for label in named), (suite, model)


def test_what_the_pages_say_of_lift_tests_is_what_the_rows_say() -> None:
    with (ROOT / "benchmarks/results/lift_tests.csv").open(encoding="utf-8", newline="") as file:
        logs = list(csv.DictReader(file))

    def of(metric: str, tests: str) -> list[float]:
        return [100 * float(row[metric]) for row in logs if row["tests"] == tests]

    pairs = sorted({row["tests"] for row in logs} - {""})
    errors = [np.mean(of("total_variation", pair)) for pair in pairs]
    off = [error for pair in pairs for error in of("baseline_error", pair)]
    before = f"{np.mean(of('total_variation', '')):.0f}"
    least, most = f"{min(errors):.0f}", f"{max(errors) + 0.5:.0f}"
    page = " ".join((ROOT / "docs/benchmark.md").read_text(encoding="utf-8").split())
    assert f"from {before} to between {least} and {most} %" in page
    assert f"{min(off):.0f} to {max(off):.0f} points" in page
    assert f"{min(off):.0f} to {max(off):.0f} points off" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md", "docs/benchmark.md"])
def test_no_page_ranks_over_worlds_and_share_error_has_one_name(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8").lower()
    for name in ("mean rank", "wrong share", "credit wrong", "total_variation"):
        assert name not in text, name
    for heading in (line for line in text.splitlines() if line.startswith("|")):
        assert "total variation" not in heading


def test_a_recommended_model_without_rows_is_named_under_the_figure() -> None:
    without = made({("A", "LastTouch"): [0.1], ("A", "Uniform"): [0.2]})
    assert (
        "not run: Hazard, Logistic, SelfControlled"
        in figures.strength(without)._supxlabel.get_text()
    )
    assert "not run" not in figures._seeds(without, tables.RECOMMENDED)


# Staleness and text.


def test_a_change_of_the_rows_is_noticed(tmp_path: Path) -> None:
    worlds, models = ("A", "B"), ("x", "LastTouch", *CONTROLS)
    values = {(w, m): [0.1 * (i + 1), 0.2] for w in worlds for i, m in enumerate(models)}
    rows.write(tmp_path / "main.csv", made(values).rows)
    stale = report.Report(kept.Kept(tmp_path)).stale()
    assert stale == ["README.md", "benchmarks/README.md", "results/error.svg"]
    figure, file = (
        figures.heat_map(report.Report(kept.Kept(tmp_path)).kept.results("main")),
        tmp_path / "main.csv",
    )
    for name in ("a", "error"):
        figures.write(figure, tmp_path / f"{name}.svg", file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "error.svg").read_bytes()
    assert "results/error.svg" not in report.Report(kept.Kept(tmp_path)).stale()
    rows.write(file, made(values | {("A", "x"): [0.5, 0.5]}).rows)
    assert "results/error.svg" in report.Report(kept.Kept(tmp_path)).stale()


def test_text_goes_between_its_markers() -> None:
    old = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    assert text.replaced(old, "x", "new\n") == old.replace("old", "new")
    for wrong in ("nothing", "<!-- x:end --><!-- x:begin -->", old + old):
        with pytest.raises(ValueError, match="once each"):
            text.replaced(wrong, "x", "new")
    assert text.table(("a", "bcd"), [["x", "1"]]).splitlines() == [
        *("| a | bcd |", "|---|----:|", "| x |   1 |")
    ]


def test_what_is_bold_and_italic() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, (3, 20))
    values = {
        ("A", "good"): list(0.10 + noise[0]),
        ("A", "as good"): list(0.10 + noise[0] + 0.01 * rng.normal(size=20)),
        ("A", "bad"): list(0.40 + noise[1]),
        ("A", "failing"): [math.nan] * 20,
        ("A", "Uniform"): list(0.20 + noise[2]),
        ("A", "ExposureShare"): [0.3] * 20,
        ("A", "Oracle"): [0.0] * 20,
    }
    main = tables.Main(made(values))
    assert main.best("A", main.models) == {"good", "as good"}
    assert main.best("A", ["as good", "bad"]) == {"as good"}
    cells = [
        cell.strip()
        for cell in tables.share_errors(main, ["A"], main.models).splitlines()[-1].split("|")[2:-1]
    ]
    assert cells[0] == "**10.0**"
    assert cells[1].startswith("**")
    assert cells[2:] == ["*40.0*", "-", "20.0", "30.0", "0.0"]
    assert "too / many" in tables.failures(main.results)


def test_along_a_dial() -> None:
    suite = Suite(
        ["micro_intent"], ["LastTouch"], strengths=[0, 1], users=[200, 400], seeds=1, draws=5
    )
    found = run_suite(suite)
    shown = tables.along(found, "n_users", "{:,}".format)
    assert [line.split("|")[2].strip() for line in shown.splitlines()[2:]] == ["200", "400"]
    assert tables.coverages(found).count("LastTouch") == 2
    for draw in (figures.strength, figures.size, figures.coverage, figures.cost):
        assert draw(found).axes


# Running.


def test_suites_run_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = suites.Committed("tiny", Suite(["micro_intent"], ["LastTouch"], users=[300]), (1, 2))
    monkeypatch.setitem(suites.SUITES, "tiny", tiny)
    assert run.main(["tiny", "--jobs", "1", "--results", str(tmp_path)]) == 0
    found = rows.read(tmp_path / "tiny.csv")
    assert [row["seed"] for row in found] == ["0"] * 4 + ["1"] * 4
    (tmp_path / "tiny.csv").write_text((tmp_path / "tiny.csv").read_text().replace("rule", "old"))
    again = ["tiny", "--jobs", "1", "--results", str(tmp_path), "--again", "LastTouch"]
    assert run.main(again) == 0
    estimands = {row["model"]: row["estimand"] for row in rows.read(tmp_path / "tiny.csv")}
    assert estimands["LastTouch"] == "rule"
    assert estimands["Uniform"] == "old"
    with pytest.raises(SystemExit):
        run.main(["nothing"])


def test_truths_are_computed_first_and_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite(["micro_intent", "micro_upstream"], ["LastTouch"], users=[300], seeds=2)
    monkeypatch.setitem(suites.SUITES, "tiny", suites.Committed("tiny", suite, (1, 2)))
    folder = tmp_path / "truths"
    run.keep_truths([suites.SUITES["tiny"]], 1, folder)
    kept_files = sorted(folder.iterdir())
    assert [file.name.partition("-")[0] for file in kept_files] == [
        world.label for world in suite.worlds
    ]
    run_suite(suite, cache=folder)
    assert sorted(folder.iterdir()) == kept_files


# Rivals.


def test_a_rival_is_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[list[str]]] = []

    def answer(package: str, file: Path, models: list[str]) -> list[Result]:
        with file.open(newline="") as opened:
            seen.append(list(csv.reader(opened)))
        model = Model(models[0])
        if package == "mta":
            return [Result(package, "1", model, error="it broke")]
        credit = {"A": 3.0}
        return [Result(package, "1", model, credit, seconds=2.5, peak_mb=77.0)]

    monkeypatch.setattr(rivals.peers, "run", answer)
    models = [rivals.Rival("pychattr", "Markov, order 1"), rivals.Rival("mta", "Markov, order 1")]
    suite = Suite(["micro_synergy"], models, users=[500], seeds=1)
    first, second = run_suite(suite).table.head(2).iter_rows(named=True)
    assert first["model"] == "pychattr: Markov, order 1"
    assert (first["seconds"], first["peak_mb"]) == (2.5, 77.0)
    assert first["estimand"] == "removal_effect"
    assert second["error"] == "it broke"
    # Both were asked once, about touched journeys only, all of them.
    assert len(seen) == 2
    header, *table = seen[0]
    assert header == ["path", "conversions", "nulls"]
    world = mta.worlds.make("micro_synergy", n_users=500)
    journeys = world.simulate().journeys
    touched = journeys.outcome("conversions")[journeys.lengths > 0].sum()
    assert sum(float(line[1]) for line in table) == touched
    assert all(line[0] for line in table)
    found = rivals.Rival("pychattr", "Markov, order 1").fit_attribute(journeys)
    assert found.credit.tolist() == [3.0, 0.0]
    assert found.baseline == journeys.total - 3


def test_every_rival_is_in_the_catalogue() -> None:
    for each in rivals.RIVALS:
        assert isinstance(each.estimand, str)
        assert repr(each).startswith(each.package)
    first: Any = rivals.RIVALS[0]
    assert first.__sklearn_clone__().get_params() == first.get_params()
