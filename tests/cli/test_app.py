"""The command line: the numbers of the API, one-line errors, exit codes, examples that run."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import mta_models as mta
from mta_models.analysis.comparison import USUAL_MODELS
from mta_models.attribution import SAMPLING_ONLY
from mta_models.cli import running
from mta_models.cli.app import app
from mta_models.cli.source_kinds import KINDS
from tests.sources.server import serving

COMMANDS = ("compare", "attribute", "diagnose", "example", "simulate")
EVENTS = ("--user", "user", "--time", "time", "--channel", "channel", "--conversion", "conversion")
PATHS = """path,conversions,nulls,value
Search > Email > Paid Social,40,100,1234.5
Email,10,30,300
Paid Social > Search,20,150,900
,5,500,100
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder to be in, with a table of paths."""
    (tmp_path / "paths.csv").write_text(PATHS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture(scope="module")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    mta.example_events(n_users=2_000, seed=1).write_csv(folder / "log.csv")
    return folder


def run(*arguments: str, code: int = 0) -> Any:
    """The result of the command, whose exit code must be `code`."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def refused(*arguments: str, code: int = 1) -> str:
    """The one line on stderr with which the command was refused."""
    result = run(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


def read_table() -> mta.Journeys:
    return mta.read_paths("paths.csv", nulls="nulls", value="value")


# The numbers are those of the API.


@pytest.mark.parametrize("of", ["conversions", "value"])
def test_compare_writes_what_the_api_says(folder: Path, of: str) -> None:
    comparison = mta.compare(["LastTouch", "Markov(order=2)"], read_table(), of=of)
    names = ("--model", "last-touch", "--model", "Markov(order=2)")
    for file in ("a.csv", "a.parquet", "a.json"):
        result = run("compare", "paths.csv", *names, "--of", of, "--out", file)
        assert result.stdout == ""
    expected = comparison.long()
    assert pl.read_parquet("a.parquet").equals(expected)
    assert pl.read_csv("a.csv").equals(expected)
    document = json.loads(Path("a.json").read_text(), parse_constant=pytest.fail)
    assert document["of"] == of
    assert document["total"] == comparison.total
    for each, one in zip(document["models"], comparison.attributions.values(), strict=True):
        assert (each["model"], each["estimand"]) == (one.model, one.estimand)
        assert each["baseline"] == one.baseline
        assert [row["credit"] for row in each["channels"]] == one.credit.tolist()
        assert [row["channel"] for row in each["channels"]] == list(one.channels)


def test_attribute_with_draws_is_the_bootstrap(folder: Path) -> None:
    model = ("--model", "Linear(unique=True)")
    drawn = mta.bootstrap(mta.Linear(unique=True), read_table(), n_draws=50, random_state=7)
    options = ("--draws", "50", "--seed", "7")
    run("attribute", "paths.csv", *model, *options, "--out", "a.json")
    document = json.loads(Path("a.json").read_text(), parse_constant=pytest.fail)
    assert [row["lower"] for row in document["channels"]] == drawn.interval()[:, 0].tolist()
    assert [row["upper"] for row in document["channels"]] == drawn.interval()[:, 1].tolist()
    assert document["baseline_interval"] == drawn.baseline_interval().tolist()
    assert document["model"] == "Linear(unique=True)"
    run("attribute", "paths.csv", *model, *options, "--out", "a.csv")
    table = pl.read_csv("a.csv")
    assert table.columns == [
        *("model", "estimand", "of", "channel", "credit", "share", "lower", "upper"),
        "interval_holds",
    ]
    assert set(table["interval_holds"]) == {SAMPLING_ONLY}
    assert table["lower"].to_list()[:-1] == drawn.interval()[:, 0].tolist()
    assert document["interval_holds"] == SAMPLING_ONLY
    shown = run("attribute", "paths.csv", *model, *options).stdout
    assert "Intervals: sampling only" in shown
    low, high = drawn.interval()[drawn.channels.index("Email")]
    assert f"{low:,.2f} to {high:,.2f}" in shown


def test_attribute_is_markov_by_default_for_paths_and_says_so(folder: Path) -> None:
    result = run("attribute", "paths.csv", "--out", "a.json")
    assert result.stderr.startswith("note: these journeys have no times, so the model is Markov:")
    assert result.stderr.count("\n") == 1
    expected = mta.Markov().fit_attribute(read_table())
    document = json.loads(Path("a.json").read_text())
    assert [row["credit"] for row in document["channels"]] == expected.credit.tolist()
    assert "removal_effect" in run("attribute", "paths.csv").stdout
    assert run("attribute", "paths.csv", "--model", "Markov").stderr == ""


def test_attribute_is_incremental_by_default_for_event_logs(log_folder: Path, folder: Path) -> None:
    log, names = str(log_folder / "log.csv"), {name[2:]: name[2:] for name in EVENTS[::2]}
    model = mta.Incremental()
    expected = model.fit_attribute(mta.read_events(log, **names))
    assert run("attribute", log, *EVENTS, "--out", "a.json").stderr == ""
    document = json.loads(Path("a.json").read_text(), parse_constant=pytest.fail)
    assert document["model"] == "Incremental()"
    assert [row["credit"] for row in document["channels"]] == expected.credit.tolist()
    assert [row["lower"] for row in document["channels"]] == expected.interval()[:, 0].tolist()
    assert document["interval_holds"] == expected.interval_holds
    assert [each["channel"] for each in document["verdict"]] == list(expected.channels)
    assert [each["status"] for each in document["verdict"]] == [
        each.status for each in model.verdict_
    ]
    shown = run("attribute", log, *EVENTS, "--top", "3").stdout
    assert "Entrances, guessed from names: Brand Search, Coupon Site" in shown
    assert "by what assumption; 3 of 8 channels, by credit" in shown
    assert "Intervals: " in shown
    for model_named in ((), ("--model", "Incremental(bought=['Direct'])")):
        line = refused("attribute", log, *EVENTS, *model_named, "--draws", "9")
        assert "--draws must be left out for Incremental" in line


def test_compare_has_incremental_first_for_event_logs(log_folder: Path, folder: Path) -> None:
    log = str(log_folder / "log.csv")
    run("compare", log, *EVENTS, "--out", "a.csv")
    models = pl.read_csv("a.csv")["model"].unique(maintain_order=True).to_list()
    assert models == ["Incremental", *USUAL_MODELS]
    run("compare", "paths.csv", "--out", "b.csv")
    models = pl.read_csv("b.csv")["model"].unique(maintain_order=True).to_list()
    others = [name for name in USUAL_MODELS if name not in ("Markov", "TimeDecay")]
    assert models == ["Markov", *others]


def test_an_event_log_is_read_as_read_events_reads_it(log_folder: Path, folder: Path) -> None:
    log, names = str(log_folder / "log.csv"), {name[2:]: name[2:] for name in EVENTS[::2]}
    journeys = mta.read_events(log, **names, value="value", lookback="7d", session="2d")
    options = ("--value", "value", "--lookback", "7d", "--session", "2d", "--of", "value")
    run("compare", log, *EVENTS, *options, "--model", "TimeDecay", "--out", "a.json")
    document = json.loads(Path("a.json").read_text())
    expected = mta.TimeDecay().fit_attribute(journeys, of="value")
    assert [row["credit"] for row in document["models"][0]["channels"]] == expected.credit.tolist()
    shown = run("compare", log, *EVENTS, *options).stdout
    aside = journeys.report.set_aside  # type: ignore[union-attr]
    assert any(aside.values())
    for what, amount in aside.items():
        assert f"{amount:,.10g} {what}" in " ".join(shown.split())


def test_diagnose_writes_the_findings_of_the_api(folder: Path) -> None:
    diagnosis = mta.diagnose(read_table())
    assert diagnosis.findings
    run("diagnose", "paths.csv", "--out", "a.json")
    document = json.loads(Path("a.json").read_text())
    assert [each["name"] for each in document["findings"]] == list(diagnosis.names)
    assert list(document["silent"]) == list(diagnosis.silent)
    run("diagnose", "paths.csv", "--out", "a.csv")
    assert pl.read_csv("a.csv")["found"].to_list() == [each.found for each in diagnosis.findings]
    shown = " ".join(run("diagnose", "paths.csv").stdout.split())
    assert all(name in shown for name in (*diagnosis.silent, *diagnosis.skipped))
    assert re.search(r"problem \w+: met by exactly the same users", shown)


def test_diagnose_ends_with_the_verdict(log_folder: Path) -> None:
    log = str(log_folder / "log.csv")
    out = log_folder / "findings.json"
    shown = " ".join(run("diagnose", log, *EVENTS).stdout.split())
    run("diagnose", log, *EVENTS, "--out", str(out))
    document = json.loads(out.read_text())
    assert document["verdict"]
    assert document["verdict"] in shown
    worth = list(document["experiments"].values())
    assert worth == sorted(worth, reverse=True)


def test_compare_validates_in_time(log_folder: Path) -> None:
    log, out = str(log_folder / "log.csv"), log_folder / "compared.json"
    run("compare", log, *EVENTS, "--validate", "--out", str(out))
    hazard = ("--model", "Hazard(half_life='4d')", "--validate")
    shown = " ".join(run("compare", log, *EVENTS, *hazard).stdout.split())
    assert "Fitted until day 59" in shown
    assert "Good predictions do not show causal effects" in shown
    validation = json.loads(out.read_text())["validation"]
    names = [each["model"] for each in validation["scores"]]
    assert names == ["(constant rate)", "(last week's touchpoints)", "Hazard"]
    assert validation["scores"][2]["gain"] > validation["scores"][1]["gain"] > 0
    assert "must be a model that predicts conversions" in refused(
        "compare", log, *EVENTS, "--model", "LastTouch", "--validate"
    )


def test_the_example_is_that_of_the_api(folder: Path) -> None:
    run("example", "--users", "300", "--seed", "5", "--out", "log.parquet")
    assert pl.read_parquet("log.parquet").equals(mta.example_events(300, 5))
    run("example", "--users", "300", "--seed", "5", "--paths", "--out", "p.csv")
    log = pl.read_parquet("log.parquet")
    journeys = mta.read_paths("p.csv", nulls="nulls", value="value")
    assert journeys.total == log["conversion"].sum()
    assert journeys.total_value == pytest.approx(log["value"].sum())


def test_the_best_known_example_as_it_is(ten_thousand_paths: Path, folder: Path) -> None:
    columns = {"conversions": "total_conversions", "nulls": "total_null"}
    options = [part for name, column in columns.items() for part in (f"--{name}", column)]
    run("attribute", str(ten_thousand_paths), *options, "--out", "a.json")
    document = json.loads(Path("a.json").read_text())
    assert document["total"] == 19_785  # conversions, by the package's own description
    assert sum(row["credit"] for row in document["channels"]) == pytest.approx(19_785)
    assert len(document["channels"]) == 12


def test_values_are_read_only_for_credit_in_value(folder: Path) -> None:
    Path("odd.csv").write_text("path,conversions,nulls,value\nA,1,1,lots\n")
    run("compare", "odd.csv")
    assert "row 0 has 'lots'" in refused("compare", "odd.csv", "--of", "value")


# What a reader sees.


def test_the_terminal_shows_credit_share_baseline_and_what_it_means(folder: Path) -> None:
    result = run("compare", "paths.csv")
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    shown = result.stdout
    for model in USUAL_MODELS:
        assert (model in shown) == (model != "TimeDecay" or "Note:" in shown)
    assert re.search(r"^Email +17.77 +10.00 +10.00 +23.33", shown, re.MULTILINE)
    assert re.search(r"^\(baseline\) +5.00 +5.00", shown, re.MULTILINE)
    assert re.search(r"^total +75.00 +75.00", shown, re.MULTILINE)
    assert re.search(r"^Email +25.4% +14.3% +14.3% +33.3%", shown, re.MULTILINE)
    assert "4 rows: 6 touchpoints of 3 channels; 75 conversions (5 without" in shown
    assert "Note: TimeDecay left out: TimeDecay needs the age" in shown
    assert "rule: divides the observed conversions" in shown
    assert "None of this says" in shown


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_number_is_whole_at_any_width(
    folder: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run("compare", "paths.csv").stdout
    assert shown.count("75.00") == 6
    assert shown.count(" 5.00") == 6


def test_the_channels_beyond_the_top_are_one_row_that_adds_up(folder: Path) -> None:
    channels = [f"Channel {i}" for i in range(30)]
    table = {"path": channels, "conversions": range(1, 31), "nulls": [1] * 30}
    pl.DataFrame(table).write_csv("many.csv")
    shown = run("compare", "many.csv", "--model", "LastTouch", "--top", "4").stdout
    assert re.search(r"^\(26 others\) +351.0$", shown, re.MULTILINE)  # 1 + 2 + … + 26
    assert "Channel 3\n" not in shown
    shown = run(
        "attribute", "many.csv", "--model", "LastTouch", "--top", "4", "--draws", "9"
    ).stdout
    assert re.search(r"^\(26 others\) +351.0 +75.5% *$", shown, re.MULTILINE)
    assert len(re.findall(r"^Channel.*\d to \d", shown, re.MULTILINE)) == 4
    assert len(re.findall(r"^\(baseline\) .*\d to \d", shown, re.MULTILINE)) == 1


def test_names_cannot_command_the_terminal(folder: Path) -> None:
    rows = 'path,conversions,nulls\n"[red]x[/red] > \x1b[31my > 中文",1,1\n'
    Path("odd.csv").write_text(rows, encoding="utf-8")
    shown = run("compare", "odd.csv").stdout
    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown
    assert "中文" in shown


def test_warnings_are_a_line_each_on_stderr(folder: Path) -> None:
    Path("sure.csv").write_text("path,conversions\nA > B,3\nB,2\n")
    result = run("compare", "sure.csv")
    assert re.fullmatch(r"warning: .*users without a conversion.*\n", result.stderr)
    assert "Note: there is no column of nulls" in result.stdout


def test_no_user_id_is_shown(log_folder: Path, folder: Path) -> None:
    log = pl.read_csv(log_folder / "log.csv")
    secret = log.with_columns(pl.format("person-{}@example.org", "user").alias("user"))
    secret.write_csv("log.csv")
    shown = [run(command, "log.csv", *EVENTS).output for command in COMMANDS[:3]]
    secret.with_columns(conversion=pl.lit("perhaps")).write_csv("log.csv")
    shown.append(refused("compare", "log.csv", *EVENTS))
    assert not any("example.org" in text for text in shown)


# A run in TOML.

RUN = """
source = "log.csv"
models = ["LastTouch", "Markov(order=2)"]
of = "value"
[events]
user = "user"
time = "time"
channel = "channel"
conversion = "conversion"
value = "value"
lookback = "7d"
observed = [2024-01-01, 2024-04-01]
"""


def test_a_run_in_toml_is_the_run_by_options(log_folder: Path, folder: Path) -> None:
    (log_folder / "run.toml").write_text(RUN)
    config = str(log_folder / "run.toml")
    run("compare", "--config", config, "--out", "a.csv")
    models = ("--model", "LastTouch", "--model", "Markov(order=2)")
    columns = (*EVENTS, "--value", "value", "--lookback", "7d", "--of", "value")
    run("compare", str(log_folder / "log.csv"), *columns, *models, "--out", "b.csv")
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    # Options win over the file.
    run("compare", "--config", config, "--of", "conversions", "--model", "Linear", "--out", "c.csv")
    table = pl.read_csv("c.csv")
    assert set(table["of"]) == {"conversions"}
    assert set(table["model"]) == {"Linear"}
    # attribute takes one model.
    assert "Name one by --model" in refused("attribute", "--config", config, code=2)
    run("attribute", "--config", config, "--model", "LastTouch", "--out", "d.csv")


def test_a_run_of_paths(folder: Path) -> None:
    Path("run.toml").write_text('source = "paths.csv"\n[paths]\nnulls = "nulls"\n')
    run("attribute", "--config", "run.toml", "--out", "a.csv")
    run("attribute", "paths.csv", "--out", "b.csv")
    assert Path("a.csv").read_text() == Path("b.csv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source = ", "must be TOML"),
        ("sauce = 'x'", "keys source, models, of, paths, events, wide; 'run.toml' has"),
        ("source = 3", "source must be a text"),
        ("models = 'Markov'", "models must be a list"),
        ("models = [3]", "models must be a list of names"),
        ("source = 'paths.csv'\nof = 'money'", "`of` must be"),
        ("[paths]\npath = 'a'\n[events]\nuser = 'b'", "'run.toml' has [paths] and [events]"),
        ("source = 'paths.csv'\n[paths]\nsep = ';'", "sep"),
        ("source = 'paths.csv'\n[paths]\npath = 3", "3"),
    ],
)
def test_a_wrong_run_is_refused(folder: Path, text: str, message: str) -> None:
    Path("run.toml").write_text(text)
    result = run("compare", "--config", "run.toml", code=1)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


# Kinds of source.

WIDE = "first,second,third,end,sale\nA,B,,won,9\nB,,,lost,\nA,,B,lost,\n,,,won,1\n"


def written(*arguments: str) -> str:
    """What the command writes into a CSV file."""
    run(*arguments, "--out", "written.csv")
    return Path("written.csv").read_text()


def test_a_wide_table_is_read_as_read_wide_reads_it(folder: Path) -> None:
    Path("wide.csv").write_text(WIDE)
    options = ("--outcome", "end", "--converted", "won", "--null", "lost", "--value", "sale")
    text = written("compare", "wide.csv", *options, "--of", "value", "--model", "Linear")
    journeys = mta.read_wide("wide.csv", outcome="end", converted="won", null="lost", value="sale")
    assert journeys.total_value == 10
    assert text == mta.compare(["Linear"], journeys, of="value").long().write_csv()
    # The kind may be named, and a TOML file names it.
    named = ("compare", "wide.csv", "--source", "wide", *options, "--of", "value")
    assert written(*named, "--model", "Linear") == text
    Path("run.toml").write_text(
        'source = "wide.csv"\nmodels = ["Linear"]\nof = "value"\n'
        '[wide]\noutcome = "end"\nconverted = ["won"]\nnull = "lost"\nvalue = "sale"\n'
    )
    assert written("compare", "--config", "run.toml") == text


def test_wide_columns_by_prefix_by_name_and_without_a_header(folder: Path) -> None:
    names = pl.DataFrame(
        {"T_2": ["B", "A"], "T_1": ["A", "C"], "note": ["x", "y"], "end": ["w", "l"]}
    )
    names.write_csv("wide.csv")
    words = ("--converted", "w", "--converted", "v", "--null", "l", "--model", "FirstTouch")
    text = written("compare", "wide.csv", "--outcome", "end", "--touchpoints", "T_", *words)
    options = ("--touchpoints", "T_1", "--touchpoints", "T_2")
    assert written("compare", "wide.csv", "--outcome", "end", *options, *words) == text
    assert pl.read_csv(text.encode()).filter(channel="A")["credit"].item() == 1
    names.drop("note").write_csv("bare.csv", include_header=False)
    bare = ("--no-header", "--outcome", "column_2", "--touchpoints", "column_1")
    options = ("--touchpoints", "column_0")
    assert written("compare", "bare.csv", *bare, *options, *words) == text


def test_the_kind_named_must_fit_the_options(folder: Path) -> None:
    assert written("compare", "paths.csv", "--source", "paths") == written("compare", "paths.csv")
    line = refused("compare", "paths.csv", "--source", "wide", "--nulls", "nulls", code=2)
    assert "one kind of source, here wide; got --nulls (of paths)" in line
    line = refused("compare", "paths.csv", "--source", "events", code=2)
    assert "an event log also needs --user, --time, --channel, --conversion" in line
    line = refused("compare", "paths.csv", "--outcome", "end", code=2)
    assert "a table with one touchpoint a column also needs --converted, --null" in line
    line = refused("compare", "paths.csv", "--lookback", "3d", "--separator", ">", code=2)
    assert "--separator (of paths) and --lookback (of events)" in line
    assert "'events'" in run("compare", "paths.csv", "--source", "crm", code=2).stderr


def test_options_win_over_the_source_of_a_toml_file(log_folder: Path, folder: Path) -> None:
    """An empty table names the kind; its columns may come by options."""
    Path("run.toml").write_text(f"source = {str(log_folder / 'log.csv')!r}\n[events]\n")
    line = refused("compare", "--config", "run.toml", code=2)
    assert "also needs --user" in line
    written("compare", "--config", "run.toml", *EVENTS, "--model", "LastTouch")
    line = refused("compare", "paths.csv", "--config", "run.toml", "--nulls", "nulls", code=2)
    assert "here events; got --nulls (of paths)" in line
    written("compare", "paths.csv", "--config", "run.toml", "--source", "paths")


def test_every_kind_of_source_has_what_commands_need() -> None:
    for kind in KINDS.values():
        module, _, function = kind.reader.partition(":")
        reader = getattr(import_module(module), function)
        assert getattr(mta, function) is reader
        assert {*kind.flags, *kind.files, *kind.required} <= {*signature(reader).parameters}
        assert {*kind.required} <= {*kind.flags}


def test_a_source_at_an_address(folder: Path) -> None:
    with serving(folder) as address:
        text = written("compare", f"{address}/paths.csv?a=1")
        assert text == written("compare", "paths.csv")
        Path("run.toml").write_text(f'source = "{address}/paths.csv"\n')
        assert written("compare", "--config", "run.toml") == text
        assert f"'{address}/none.csv' failed" in refused("compare", f"{address}/none.csv")


# Files that a run reads are not written.


@pytest.fixture
def inputs(log_folder: Path, folder: Path) -> Path:
    """A run with every input it may have, in TOML, each kept as bytes."""
    log = pl.read_csv(log_folder / "log.csv")
    for part in range(2):
        log.filter(pl.col("user") % 2 == part).write_csv(f"log-{part}.csv")
    users = log.select(pl.col("user").unique().sort())
    users.with_columns(start=pl.lit("2024-01-01"), end=pl.lit("2024-12-31")).write_csv("users.csv")
    Path("run.toml").write_text(
        'source = "log-*.csv"\nmodels = ["LastTouch"]\n[events]\nobserved = "users.csv"\n'
        + "".join(f'{name} = "{name}"\n' for name in ("user", "time", "channel", "conversion"))
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS[:3])
@pytest.mark.parametrize(
    ("read", "option"),
    [("log-1.csv", "FILE"), ("users.csv", "--observed"), ("run.toml", "--config")],
)
@pytest.mark.parametrize("way", ["itself", "relative", "symlink", "hard link", "folder link"])
def test_out_is_no_file_that_the_run_reads(
    inputs: Path, command: str, read: str, option: str, way: str
) -> None:
    given = read
    if way == "relative":
        given = f"../{inputs.name}/{read}"
    elif way == "symlink":
        Path("link.csv").symlink_to(read)
        given = "link.csv"
    elif way == "hard link":
        os.link(read, "link.csv")
        given = "link.csv"
    elif way == "folder link":
        Path("link").symlink_to(inputs)
        given = f"link/{read}"
    before = {file.name: file.read_bytes() for file in inputs.glob("*.*")}
    if not given.endswith(".csv"):
        assert "must end in" in run(command, "--config", "run.toml", "--out", given, code=2).stderr
    else:
        line = refused(command, "--config", "run.toml", "--out", given)
        assert f"--out must not be a file that the run reads; '{given}' is read by {option}" in line
    assert {file.name: file.read_bytes() for file in inputs.glob("*.*")} == before


@pytest.mark.parametrize("prefix", ["file://", "FILE://"])
def test_out_is_no_file_that_the_run_reads_by_its_address(folder: Path, prefix: str) -> None:
    before, given = Path("paths.csv").read_bytes(), f"{prefix}{folder.resolve()}/paths.csv"
    assert "read by FILE" in refused("compare", given, "--out", "paths.csv")
    Path("run.toml").write_text(f'source = "{given}"\nmodels = ["LastTouch"]')
    assert "read by FILE" in refused("compare", "--config", "run.toml", "--out", "paths.csv")
    assert Path("paths.csv").read_bytes() == before
    run("compare", "--config", "run.toml", "--out", "result.csv")


def test_out_is_no_file_that_the_next_run_would_read(inputs: Path) -> None:
    line = refused("compare", "--config", "run.toml", "--out", "log-new.csv")
    assert "'log-new.csv' is read by FILE 'log-*.csv'" in line
    run("compare", "--config", "run.toml", "--out", "new.csv")


def test_benchmark_rows_replace_no_other_table(folder: Path) -> None:
    options = ("--world", "micro_intent", "--model", "LastTouch", "--seeds", "1", "--users", "100")
    result = run("benchmark", *options, "--jobs", "1", "--out", "paths.csv", code=1)
    assert "'paths.csv' must be a table of benchmark rows" in result.stderr
    assert Path("paths.csv").read_text() == PATHS


def test_a_simulation_needs_three_files(folder: Path) -> None:
    Path("log.observed.csv").symlink_to("log.csv")
    assert "'log.observed.csv' are one file" in refused(
        "simulate", "micro_intent", "--users", "100", "--out", "log.csv"
    )


# What goes wrong.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "'missing.csv' is neither"),
        ("empty.csv", b"", "empty"),
        ("empty.parquet", b"", "'empty.parquet'"),
        ("header.csv", b"path,conversions\n", "row"),
        ("binary.csv", bytes(range(256)) * 99, "'binary.csv'"),
        ("binary.parquet", bytes(range(256)) * 99, "'binary.parquet'"),
        ("zeros.csv", bytes(100_000), "there must be a column 'path'"),
        ("line.csv", b"x" * 1_000_000, "there must be a column 'path'"),
        ("other.csv", b"who,when\n1,2\n", "for an event log name its columns"),
        ("text.csv", b"path,conversions\nA,many\n", "row 0 has 'many'"),
        ("negative.csv", b"path,conversions\nA,1\nB,-2\n", "row 1 has -2"),
        ("none.csv", b"path,conversions\nA,0\n", "there must be a conversion"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS[:2])
def test_an_unreadable_file_ends_in_one_line(
    folder: Path, command: str, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    line = refused(command, name)
    assert line.startswith("mta-models: ")
    assert message in line
    assert len(line) < 700


def test_a_folder_is_no_file(folder: Path) -> None:
    assert "give a glob" in refused("compare", str(folder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--nulls", "lost"), "there must be a column 'lost'"),
        (("--model", "TimeDecay"), "TimeDecay needs the age"),
        (("--model", "Markov(order=0)"), "got 0"),
        (("--separator", ""), "separator"),
        (("--out", "paths.csv"), "must not be a file that the run reads"),
        (("--out", "no/such/folder.csv"), "cannot write 'no/such/folder.csv'"),
    ],
)
def test_unusable_input_is_exit_code_1(
    folder: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refused("compare", "paths.csv", *options)
    assert Path("paths.csv").read_text() == PATHS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a FILE to read, or try --example"),
        (("--example", "paths.csv"), "--example takes no FILE"),
        (("paths.csv", "--user", "user"), "also needs --time, --channel, --conversion"),
        (
            ("paths.csv", *EVENTS, "--nulls", "nulls"),
            "--nulls (of paths) and --user, --time",
        ),
        (("paths.csv", "--model", "Markof"), "Did you mean Markov"),
        (("paths.csv", "--model", "Markov(order=x)"), "literal parameters"),
        (("paths.csv", "--out", "result.xlsx"), "must end in .csv"),
        (("paths.csv", "--of", "money"), "money"),
        (("paths.csv", "--top", "0"), "--top"),
        (("paths.csv", "--colour"), "--colour"),
    ],
)
def test_misuse_is_exit_code_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("compare", *arguments, code=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_example_needs_a_table_to_write(folder: Path) -> None:
    assert "by --out" in refused("example", code=2)
    assert "by --out" in refused("example", "--out", "log.json", code=2)


def test_a_file_that_cannot_be_written_is_found_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mta_models.cli.run_config.Run.journeys", lambda self: pytest.fail("was read")
    )
    Path("folder.csv").mkdir()
    assert "Is a directory" in refused("compare", "paths.csv", "--out", "folder.csv")


def test_a_failure_leaves_no_file_and_spoils_none(folder: Path) -> None:
    Path("old.csv").write_text("old")
    refused("compare", "missing.csv", "--out", "new.csv")
    refused("compare", "missing.csv", "--out", "old.csv")
    assert not Path("new.csv").exists()
    assert Path("old.csv").read_text() == "old"


def test_a_closed_output_ends_in_one_line(folder: Path) -> None:
    command = [sys.executable, "-m", "mta_models.cli", "compare", "paths.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert process.returncode == 1
    assert stderr == "mta-models: the output was closed before all of it was written\n"


def test_a_narrow_encoding_is_no_error(folder: Path) -> None:
    Path("odd.csv").write_text("path,conversions,nulls\nMüsli > 中文,1,1\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mta_models.cli", "compare", "odd.csv"],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        check=True,
    )
    assert b"M?sli" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "log.csv"), "Permission denied: log.csv"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_an_error_of_the_system_ends_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def fail(self: object) -> None:
        raise error

    monkeypatch.setattr("mta_models.cli.run_config.Run.journeys", fail)
    assert line in refused("compare", "paths.csv")


def test_a_bug_keeps_its_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mta_models.cli.run_config.Run.journeys", lambda self: 1 / 0)
    result = CliRunner().invoke(app, ["compare", "paths.csv"])
    assert isinstance(result.exception, ZeroDivisionError)


class Watched(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Watched(), True), (io.StringIO(), False)])
def test_a_wait_shows_in_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(running, "_PATIENCE", 0)
    with running.working("reading the log"):
        time.sleep(0.3)
    assert ("reading the log" in stream.getvalue()) == shown
    monkeypatch.setattr(running, "_PATIENCE", 60)
    with running.working("something quick"):
        pass
    assert "something quick" not in stream.getvalue()


# Help and version.


def test_version_and_help() -> None:
    assert run("--version").stdout == f"mta-models {mta.__version__}\n"
    shown = run("--help").stdout
    assert all(re.search(rf"^  {command} ", shown, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_run(folder: Path, command: str) -> None:
    shown = run(command, "--help").stdout
    examples = shown.partition("Examples:\n")[2].replace("\\\n", " ").strip().splitlines()
    assert sum(f"mta-models {command} " in each for each in examples) >= 2
    for example in examples:
        name, *arguments = shlex.split(example)
        assert name == "mta-models"
        run(*arguments)


def test_users_observed_are_read_from_a_file_of_their_own(tmp_path: Path) -> None:
    """What `simulate` writes, a time model reads: users without any event are there too."""
    log = tmp_path / "log.parquet"
    run("simulate", "randomised", "--users", "3000", "--out", str(log))
    columns = [f"--{name}={name}" for name in ("user", "time", "channel", "conversion")]
    out = tmp_path / "credit.csv"
    everyone = f"--observed={tmp_path / 'log.observed.parquet'}"
    command = ("attribute", str(log), *columns, "--model", "Hazard", "--out", str(out))
    run(*command, everyone)
    world = mta.worlds.make("randomised", n_users=3000)
    expected = mta.Hazard().fit_attribute(world.simulate().journeys)
    rows = pl.read_csv(out)
    found = dict(zip(rows["channel"], rows["credit"], strict=True))
    for name, credit in zip(expected.channels, expected.credit.tolist(), strict=True):
        assert found[name] == pytest.approx(credit, rel=1e-6, abs=1e-6)
    (tmp_path / "run.toml").write_text(
        'source = "log.parquet"\nmodels = ["Hazard"]\n[events]\nobserved = "log.observed.parquet"\n'
        + "".join(f'{name} = "{name}"\n' for name in ("user", "time", "channel", "conversion"))
    )
    run("attribute", "--config", str(tmp_path / "run.toml"), "--out", str(out))
    assert pl.read_csv(out).equals(rows)
    assert "a table (or a CSV" in run(*command, "--observed=everyone", code=1).stderr
