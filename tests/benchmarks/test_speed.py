"""The speed benchmark runs and reports what it finds. Nothing here looks at a clock."""

from __future__ import annotations

import ast
import csv
import graphlib
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from benchmarks import data, measure
from benchmarks.speed import __main__ as speed
from benchmarks.speed import (
    bench,
    contests,
    jobs,
    table,
    yardsticks,
)

ROOT = Path(__file__).resolve().parents[2]

_SAME = [
    each
    for each in contests.CONTESTS
    if each.group in ("kernels", "removal", "shapley") or each.work.startswith("Hazard")
]


def _run(**numbers: float) -> measure.Run:
    return measure.Run(1.0, 1e6, {"answer": numbers})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> data.Data:
    """Inputs of the smallest size, made in this process."""
    made = data.Data(tmp_path_factory.mktemp("speed"), paths=500, events=1000)
    for name, rows in (("paths", 500), ("events", 1000), ("events_text", 1000)):
        data.MAKERS[name](made.folder / made.called(name), rows)
    return made


@pytest.mark.parametrize("contest", _SAME, ids=lambda each: each.work)
def test_yardsticks_have_the_answer_of_the_models(
    contest: contests.Contest, files: data.Data
) -> None:
    answers = []
    for side in (contest.ours, contest.other):
        assert side is not None
        given = dict(side.arguments) | ({"file": str(files.file("paths"))} if side.data else {})
        if side.journeys:
            # Twenty channels have a million coalitions, which is no smallest size.
            given |= {"n": 400, "n_channels": min(given["n_channels"], 12)}
        module = yardsticks if str(side.job).startswith("plain_") else jobs
        answers.append(getattr(module, str(side.job))(**given)["answer"])
    assert answers[0] == pytest.approx(answers[1], rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("name", ["events", "events_text"])
def test_both_readers_of_events_see_every_row(name: str, files: data.Data) -> None:
    file = str(files.file(name))
    output = jobs.events(file)
    assert (
        output["answer"] == yardsticks.plain_events(file)["answer"] == {"users": 200, "rows": 1000}
    )
    assert output["held"] > 0


def test_users_called_by_texts_are_texts(files: data.Data) -> None:
    numbered, called = (pl.read_parquet(files.file(name)) for name in ("events", "events_text"))
    assert called.columns == numbered.columns
    assert (numbered["user"].dtype, called["user"].dtype) == (pl.Int64, pl.String)
    # The same log but for the names.
    assert called.drop("user").equals(numbered.drop("user"))
    pairs = pl.DataFrame([numbered["user"].alias("number"), called["user"].alias("text")]).unique()
    assert len(pairs) == pairs["number"].n_unique() == pairs["text"].n_unique() == 200


def test_what_is_held_counts_the_identifiers(files: data.Data) -> None:
    held = {name: jobs.events(str(files.file(name)))["held"] for name in ("events", "events_text")}
    n_touchpoints = pl.read_parquet(files.file("events"))["channel"].count()
    # 200 texts of 16 signs or more each, where whole numbers without gaps are kept as a range.
    assert held["events_text"] >= held["events"] + 200 * 16 / n_touchpoints


def test_bootstrap_starts_from_the_fit_it_is_held_against(files: data.Data) -> None:
    given = {"file": str(files.file("paths")), "model": "linear"}
    assert jobs.bootstrap(**given)["answer"] == jobs.fit(**given)["answer"]


def test_inputs_come_from_the_seed_alone(files: data.Data, tmp_path: Path) -> None:
    again = tmp_path / "paths.csv"
    data.write_paths(again, 500)
    assert again.read_bytes() == files.file("paths").read_bytes()


def test_a_run_by_turns_prints_its_table_and_keeps_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "speed.csv"
    options = ["--scale", "0.0005", "--repeat", "1", "--only", "import", "--out", str(out)]
    assert speed.main([*options, "--cache", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "not for this run" in printed.out
    assert "import mta_models" in printed.err
    with out.open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["work"] for row in rows] == ["import mta_models", "mta-models --help"]
    assert len(rows[0]["ours_runs"].split()) == 3
    assert float(rows[0]["ratio"]) == pytest.approx(
        float(rows[0]["ours"]) / float(rows[0]["yardstick"]), rel=1e-4
    )
    assert "cores" in rows[0]["machine"]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    """The committed rows, which a run of some groups only stands beside."""
    committed, again = ROOT / "benchmarks" / "results" / "speed.csv", tmp_path / "again.csv"
    rows = table.read_csv(committed, contests.CONTESTS)
    table.write_csv(rows, again, "here")
    with committed.open(encoding="utf-8") as old, again.open(encoding="utf-8") as new:
        for before, after in zip(csv.DictReader(old), csv.DictReader(new), strict=True):
            # Runs are written to six digits, from which the ratio may differ in its last.
            ratios = [float(line.pop("ratio") or 0) for line in (before, after)]
            assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)
            assert before | {"machine": "here"} == after


def test_without_the_peer_its_rows_say_why_and_ours_are_measured(tmp_path: Path) -> None:
    contest = next(each for each in contests.CONTESTS if each.group == "paths")
    at_hand = bench.Bench(tmp_path, 0.0005, str(tmp_path / "no-python"))
    rows = at_hand.measure(contest, 1)
    assert [len(row.ours) for row in rows] == [1, 1, 1]
    for row in rows:
        assert "ChannelAttribution not run" in row.note
        assert row.ratio is None
        assert row.met is None
        assert not row.failed
    assert rows[0].ours[0] > rows[1].ours[0] > 0  # the whole is more than its part
    assert rows[2].ours[0] > 10  # no Python with polars fits into 10 MB


def test_a_failed_run_of_ours_meets_no_goal(tmp_path: Path) -> None:
    contest = contests.CONTESTS[-1]
    broken = replace(
        contest, ours=replace(contest.ours, job=("{python}", "-c", "raise OSError(7)"))
    )
    (row,) = bench.Bench(tmp_path, 0.0005, None).measure(broken, 1)
    assert row.failed
    assert row.met is False
    assert "OSError: 7" in row.note


def test_other_answers_count_as_missed() -> None:
    contest = contests.CONTESTS[0]
    runs = {"mta_models": [_run(a=100.0)], "ChannelAttribution": [_run(a=101.0)]}
    rows = bench.rows(contest, runs, {})
    assert all(row.met is False and "differ by 1 %" in row.note for row in rows)


def test_answers_that_need_not_agree_are_a_row_of_their_own() -> None:
    contest = next(each for each in contests.CONTESTS if each.agree is None)
    runs = {"mta_models": [_run(a=100.0, b=0.0)], "ChannelAttribution": [_run(a=101.0, b=0.0)]}
    *_, last = bench.rows(contest, runs, {})
    assert last.other == pytest.approx((0.01,))
    assert last.met is None
    assert "| 1 %" in table.markdown([last], "")


@pytest.mark.parametrize(("value", "met"), [(0.9, True), (1.0, True), (1.1, False)])
def test_a_goal_is_a_limit(value: float, met: bool) -> None:
    contest = contests.CONTESTS[0]
    on_ratio = contests.Reading("time", contests.whole, goal=contests.Goal(0.5))
    on_value = contests.Reading("time", contests.whole, goal=contests.Goal(1.0, "value"))
    assert table.Row(contest, on_ratio, (value,), (2.0,)).met is met
    assert table.Row(contest, on_value, (value,), (9.0,)).met is met


def test_a_child_is_measured_and_its_failure_reported() -> None:
    done = measure.run([sys.executable, "-c", "print('{\"n\": 1}'); x = bytearray(80_000_000)"])
    assert done.output == {"n": 1}
    assert done.peak > 80e6
    with pytest.raises(measure.JobError, match="ValueError: no"):
        measure.run([sys.executable, "-c", "raise ValueError('no')"])
    with pytest.raises(measure.JobError, match="ended by signal 9"):
        measure.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"head\n{table.BEGIN}\nold\n{table.END}\ntail\n", encoding="utf-8")
    for _ in range(2):
        table.write_between_markers(file, "new")
        assert file.read_text() == f"head\n{table.BEGIN}\nnew\n{table.END}\ntail\n"
    file.write_text("no markers")
    with pytest.raises(ValueError, match="once each"):
        table.write_between_markers(file, "new")


def test_the_readme_holds_the_markers() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert text.count(table.BEGIN) == text.count(table.END) == 1


@pytest.mark.parametrize("wrong", [["--write", "--scale", "0.1"], ["--scale", "2"]])
def test_options_that_make_no_sense_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        speed.main(wrong)
    assert stopped.value.code == 2


def test_no_benchmark_module_imports_in_a_circle_or_a_private_name() -> None:
    root = Path(__file__).resolve().parents[2]
    modules = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (root / "benchmarks").rglob("*.py")
    }
    imports: dict[str, set[str]] = {}
    for name, file in modules.items():
        imports[name] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                imports[name] |= (parts & modules.keys()) or {node.module}
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks"):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, (name, private)
    assert len(list(graphlib.TopologicalSorter(imports).static_order())) == len(modules)
