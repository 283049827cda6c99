"""Rivals on the same journeys: adapters, failures and definitions. Nothing here needs a network."""

from __future__ import annotations

import csv
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import (
    EVERYONE,
    OURS,
    PEERS,
    Environment,
    Model,
    Peer,
    Result,
    definitions,
    environments,
    exactness,
    journeys,
    traps,
)
from benchmarks.peers import __main__ as command
from benchmarks.peers.catalogue import ADAPTERS
from benchmarks.peers.running import run, run_model

ROOT = Path(__file__).resolve().parents[2]

FAKE = f"""
import os, sys, time
sys.path.insert(0, {str(ADAPTERS)!r})
from common import main, rows

def noisy(table):
    print("Buy our professional version!")
    os.write(1, b'{{"credit": "from compiled code"}}\\n')
    return {{path.split(" > ")[0]: won for path, won, _ in table}}

def crash(table):
    raise RuntimeError("first line\\n" + "x" * 10_000)

def slow(table):
    time.sleep(60)

main(
    lambda: print("hello"),
    lambda file: list(rows(file)),
    {{
        "noisy": noisy,
        "crash": crash,
        "slow": slow,
        "dies": lambda table: os.abort(),
        "leaves": lambda table: sys.exit("I do not like these journeys"),
        "none": lambda table: None,
        "infinite": lambda table: {{"A": float("inf"), "B": 1.0}},
    }},
)
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two journeys, and one without a touchpoint."""
    file = tmp_path / "paths.csv"
    file.write_text("path,conversions,nulls,value\nA > B,3,2,9.5\nB,1,4,2\n,7,8,1\n")
    return file


@pytest.fixture
def fake(tmp_path: Path) -> Environment:
    """A package that misbehaves in every way, run by this very Python."""
    adapter = tmp_path / "run_fake.py"
    adapter.write_text(FAKE)
    names = ("noisy", "crash", "slow", "dies", "leaves", "none", "infinite", "unknown")
    peer = Peer("fake", "1.0", "fake", adapter, tuple(map(Model, names)))
    return Environment(peer, sys.executable)


def test_what_a_package_prints_is_not_its_answer(fake: Environment, table: Path) -> None:
    result = run_model(fake, Model("noisy"), table, 60)
    assert (result.peer, result.version, result.error) == ("fake", "1.0", "")
    # The journey without a touchpoint is left out.
    assert result.credit == {"A": 3, "B": 1}
    assert 0 <= result.model_seconds <= result.seconds
    assert 0 <= result.read_seconds <= result.seconds


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("crash", "RuntimeError: first line xxx"),
        ("dies", "ended by signal 6, without a message"),
        ("leaves", "SystemExit: I do not like these journeys"),
        ("none", "ValueError: it returned no credit"),
        ("infinite", "its credit is no finite number for A"),
        ("unknown", "KeyError: 'unknown'"),
    ],
)
def test_a_failure_is_a_row_with_its_message(
    fake: Environment, table: Path, model: str, says: str
) -> None:
    result = run_model(fake, Model(model), table, 60)
    assert result.error.startswith(says)
    assert len(result.error) < 300
    assert "\n" not in result.error
    assert result.credit == {}
    assert math.isnan(result.seconds)
    assert math.isnan(result.peak_mb)


def test_a_model_that_takes_too_long_is_ended(fake: Environment, table: Path) -> None:
    result = run_model(fake, Model("slow"), table, 1.0)
    assert result.error == "took longer than 1 s"


def test_an_adapter_must_answer(tmp_path: Path, table: Path) -> None:
    adapter = tmp_path / "silent.py"
    adapter.write_text("print('no JSON')")
    environment = Environment(Peer("silent", "1", "silent", adapter, ()), sys.executable)
    result = run_model(environment, Model("any"), table, 60)
    assert result.error.startswith("its adapter did not answer as it must")


def test_an_interpreter_that_is_gone_is_a_message(fake: Environment, table: Path) -> None:
    gone = Environment(fake.peer, str(table.parent / "no" / "python"))
    assert "it could not be started" in run_model(gone, Model("noisy"), table, 60).error


def test_memory_of_this_process_is_not_counted(fake: Environment, table: Path) -> None:
    ballast = bytearray(b"x") * 300_000_000
    result = run_model(fake, Model("noisy"), table, 60)
    assert len(ballast) == 300_000_000
    assert 1 < result.peak_mb < 150


# Environments, with pip replaced.


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would be run; the venv is a folder with an empty file for a Python."""
    commands: list[list[str]] = []

    def create(folder: Path, **_: Any) -> None:
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()

    def answer(given: Any, seconds: float, what: str) -> str:
        commands.append(list(given))
        if "fake==0" in given:
            raise environments.UnavailableError(f"{what}: no such version")
        return json.dumps([{"name": "fake", "version": "1.0"}]) if what == "pip list" else ""

    monkeypatch.setattr(environments.venv, "create", create)
    monkeypatch.setattr(environments, "_run", answer)
    return commands


def _peer(version: str) -> Peer:
    return Peer("fake", version, "fake", Path("run_fake.py"), (Model("a"), Model("b")), ("dep<3",))


def test_an_environment_is_made_once_for_its_requirements(
    tmp_path: Path, pip: list[list[str]]
) -> None:
    first = environments.install_peer(_peer("1.0"), tmp_path)
    assert first.reason == ""
    assert first.versions == {"fake": "1.0"}
    assert pip[0][-2:] == ["fake==1.0", "dep<3"]
    done = len(pip)
    again = environments.install_peer(_peer("1.0"), tmp_path)
    assert (again.python, again.versions) == (first.python, first.versions)
    assert len(pip) == done
    environments.install_peer(_peer("2.0"), tmp_path)
    assert pip[done][-2:] == ["fake==2.0", "dep<3"]


def test_what_cannot_be_installed_is_a_row_for_every_model(
    tmp_path: Path, table: Path, pip: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environments.install_peer(_peer("0"), tmp_path)
    assert environment.reason == "fake 0: pip install: no such version"
    assert environment.python == ""
    monkeypatch.setitem(EVERYONE, "fake", environment.peer)
    monkeypatch.setattr("benchmarks.peers.running.install", lambda name: environment)
    results = run("fake", table)
    assert [each.model.name for each in results] == ["a", "b"]
    assert {each.error for each in results} == {environment.reason}
    # Half an installation is not taken for a whole one the next time.
    assert environments.install_peer(_peer("1.0"), tmp_path).reason == ""


def test_the_reason_is_pips_own_error() -> None:
    complaint = "Collecting x\nERROR: no matching distribution\n\nhint: see above\n"
    assert environments._reason(complaint) == "ERROR: no matching distribution"
    assert environments._reason("Traceback\nImportError: no\n") == "ImportError: no"
    assert environments._reason("") == "no reason given"


# The catalogue and its adapters.


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    monkeypatch.syspath_prepend(str(ADAPTERS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name == "common" or name.startswith("run_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", EVERYONE)
def test_every_adapter_offers_what_the_catalogue_names(
    name: str, adapters: Callable[[str], Any]
) -> None:
    peer = EVERYONE[name]
    # Packages are imported when a model is run, so this needs none of them.
    assert list(adapters(peer.adapter.stem).MODELS) == [model.name for model in peer.models]
    for model in peer.models:
        assert model.definition in {"", *definitions.DEFINITIONS}
        assert model.definition or model.note


def test_no_adapter_hides_a_package_behind_its_own_name() -> None:
    modules = {peer.module.split(".")[0] for peer in EVERYONE.values()}
    assert not modules & {file.stem for file in ADAPTERS.glob("*.py")}


@pytest.mark.usefixtures("ten_thousand_paths")  # which skips where the package is not installed
def test_the_package_mta_runs_where_it_is_installed(tmp_path: Path) -> None:
    file = journeys.write(journeys.random_rows(60, 4, 1), tmp_path / "random.csv")
    environment = Environment(PEERS["mta"], sys.executable)
    for name in ("linear", "Shapley, conversions"):
        model = next(each for each in environment.peer.models if each.name == name)
        result = run_model(environment, model, file, 120)
        assert result.error == ""
        assert max(exactness.deviation(result, file).relative) < 1e-9


def test_our_models_are_run_as_the_others_are(tmp_path: Path) -> None:
    file = journeys.write(journeys.random_rows(60, 4, 2), tmp_path / "random.csv")
    models = ["Markov, order 2", "Shapley, rate", "Shao and Li", "position based"]
    for result in run(OURS, file, models=models):
        assert result.error == ""
        assert max(exactness.deviation(result, file).relative) < 1e-9


# Definitions, against numbers from outside.


def _rows(*given: tuple[str, float, float]) -> list[definitions.Row]:
    return [(tuple(path), won, lost) for path, won, lost in given]


def test_markov_definition_has_the_reference_numbers() -> None:
    # Solved by hand: removal effects .5, 1, 1; at order 3 every channel is in the one conversion.
    one = _rows(("123", 1, 0), ("1", 0, 1), ("23", 0, 1))
    credit = definitions.exact("Markov(order=1)", one)
    assert credit == pytest.approx({"1": 0.2, "2": 0.4, "3": 0.4})
    assert definitions.exact("Markov(order=3)", one) == pytest.approx(dict.fromkeys("123", 1 / 3))
    # Removal effects .696078, .397844, .514069, for 12 conversions.
    two = _rows(("ABAC", 3, 5), ("B", 2, 7), ("CA", 4, 1), ("AAB", 1, 9), ("CC", 2, 2))
    credit = definitions.exact("Markov(order=1)", two)
    assert credit == pytest.approx({"A": 5.194642, "B": 2.969000, "C": 3.836358}, abs=1e-6)
    shares = {"A": 8 / 12, "B": 6 / 12, "C": 9 / 12}
    together = sum(shares.values())
    expected = {channel: 12 * share / together for channel, share in shares.items()}
    assert definitions.exact("Markov(order=2)", two) == pytest.approx(expected)
    assert definitions.exact("Markov(removal='fail')", two) == pytest.approx(expected)


def test_shapley_definition_is_the_average_over_orders() -> None:
    rows = _rows(("A", 1, 9), ("B", 2, 8), ("AB", 5, 5))
    assert definitions.exact("Shapley('conversions')", rows) == pytest.approx({"A": 3.5, "B": 4.5})
    # v(A) = .1, v(B) = .2, v(AB) = 8/30 of 30 users: A gains 3 or 8 − 6, B gains 6 or 8 − 3.
    assert definitions.exact("Shapley('rate')", rows) == pytest.approx({"A": 2.5, "B": 5.5})


def test_probabilistic_definition_has_published_numbers() -> None:
    # The example of Shao & Li's score: C_A = .225, C_B = .275.
    rows = _rows(("A", 10, 90), ("B", 20, 80), ("AB", 50, 50))
    credit = definitions.exact("SimpleProbabilistic()", rows)
    assert credit == pytest.approx({"A": 32.5, "B": 47.5})


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("FirstTouch()", {"A": 10, "B": 0, "C": 0}),
        ("LastTouch()", {"A": 0, "B": 0, "C": 10}),
        ("Linear()", {"A": 5, "B": 2.5, "C": 2.5}),
        ("Linear(unique=True)", {"A": 10 / 3, "B": 10 / 3, "C": 10 / 3}),
        ("PositionBased()", {"A": 5, "B": 1, "C": 4}),
    ],
)
def test_rule_definitions(definition: str, expected: dict[str, float]) -> None:
    assert definitions.exact(definition, _rows(("ABAC", 10, 3))) == pytest.approx(expected)


def test_a_definition_that_gives_no_credit_says_so() -> None:
    with pytest.raises(ValueError, match="removal effects sum to -"):
        definitions.exact("Markov(removal='detour')", _rows(("AB", 9, 0), ("A", 0, 9), ("B", 0, 9)))
    with pytest.raises(ValueError, match="no journey converts"):
        definitions.exact("Markov(order=1)", _rows(("AB", 0, 9)))


# Deviations and traps, without a process.


def _result(credit: dict[str, float], model: str = "linear", error: str = "") -> Result:
    definition = {"linear": "Linear()", "Shapley, x": "Shapley('conversions')"}.get(model, "")
    if error:
        return Result("fake", "1", Model(model, definition, "a note"), error=error)
    return Result("fake", "1", Model(model, definition, "a note"), credit, "", 2.0, 0.5, 1.0, 99.0)


def test_deviation_is_relative_to_the_definition(tmp_path: Path) -> None:
    file = journeys.write(_rows(("AB", 4, 0), ("C", 0, 5)), tmp_path / "paths.csv")
    exact = exactness.deviation(_result({"A": 2, "B": 2}), file)
    assert (exact.relative, exact.ratio, exact.message) == ((0, 0, 0), 1, "")
    off = exactness.deviation(_result({"A": 3, "B": 2}), file)
    assert (off.relative, off.ratio) == ((0.5, 0, 0), 1.25)
    # C earns nothing.
    assert exactness.deviation(_result({"A": 2, "C": 2}), file).relative == (0, 1, math.inf)
    odd = exactness.deviation(_result({"A": 2, "B": 1, "(start)": 1}), file)
    assert odd.message == "credits no such channel: (start)"
    assert exactness.deviation(_result({}, error="boom"), file).message == "boom"
    undefined = exactness.deviation(_result({"A": 4}, "its own"), file)
    assert (undefined.relative, undefined.ratio) == ((), 1)


def test_rows_are_the_worst_and_the_mean_of_all_files(tmp_path: Path) -> None:
    file = journeys.write(_rows(("AB", 4, 0)), tmp_path / "paths.csv")
    found = [
        exactness.deviation(_result({"A": 2, "B": 2}), file),
        exactness.deviation(_result({"A": 3, "B": 2}), file),
        exactness.deviation(_result({}, error="boom"), file),
        exactness.deviation(_result({}, "other", error="boom"), file),
    ]
    first, second = exactness.rows("three files", found)
    assert (first["max_deviation"], first["mean_deviation"]) == ("0.5", "0.125")
    assert first["credit_over_conversions"] == "1.25"
    assert (first["seconds"], first["peak_mb"], first["runs"]) == ("2", "99", 3)
    assert first["message"] == "boom; failed on 1 of 3 files"
    assert (second["max_deviation"], second["seconds"], second["message"]) == ("", "", "boom")


def test_messages_that_differ_in_numbers_only_are_one(tmp_path: Path) -> None:
    file = journeys.write(_rows(("AB", 4, 0)), tmp_path / "paths.csv")
    errors = ("they sum to -0.18", "they sum to 1.5e-07", "took longer than 30 s", "")
    found = [exactness.deviation(_result({"A": 4}, error=error), file) for error in errors]
    (row,) = exactness.rows("four files", found)
    assert row["message"] == ("they sum to -0.18; took longer than 30 s; failed on 3 of 4 files")


def test_renamed_journeys_are_the_same_journeys(tmp_path: Path) -> None:
    file = journeys.write(journeys.random_rows(40, 5, 3), tmp_path / "random.csv")
    new = journeys.renamed(file, tmp_path / "renamed.csv")
    assert set(new) == set(new.values())
    before = definitions.exact("Linear()", definitions.read(file))
    after = definitions.exact("Linear()", definitions.read(tmp_path / "renamed.csv"))
    assert {new[channel]: amount for channel, amount in before.items()} == pytest.approx(after)
    assert before != after


def test_random_rows_are_paths_once(tmp_path: Path) -> None:
    rows = journeys.random_rows(200, 3, 4)
    assert len({path for path, _, _ in rows}) == len(rows) < 200
    assert definitions.read(journeys.write(rows, tmp_path / "x.csv")) == rows


@pytest.mark.usefixtures("ten_thousand_paths")
def test_the_example_is_renamed_and_whole(tmp_path: Path) -> None:
    rows = definitions.read(journeys.example(tmp_path))
    # Its own columns add up to 19,785 conversions and 68,602 nulls.
    assert len(rows) == 10_000
    assert definitions.total_of(rows) == 19_785
    assert sum(nulls for _, _, nulls in rows) == 68_602


def test_rows_of_packages_that_were_not_run_stay(tmp_path: Path) -> None:
    file = tmp_path / "results" / "x.csv"
    old = [{"data": data, "peer": peer, "n": "1"} for data in "ab" for peer in ("mta", "pychattr")]
    exactness.write(old, file)
    exactness.write([{"data": data, "peer": "mta", "n": 2} for data in "abc"], file)
    with file.open(newline="") as lines:
        table = [tuple(row.values()) for row in csv.DictReader(lines)]
    assert table == [
        ("a", "mta", "2"),
        ("a", "pychattr", "1"),
        ("b", "mta", "2"),
        ("b", "pychattr", "1"),
        ("c", "mta", "2"),
    ]
    # A file of another shape is no older version of this one.
    exactness.write([{"data": "a", "peer": "mta"}], file)
    assert file.read_text() == "data,peer\na,mta\n"


def _by_alphabet(name: str, file: Path) -> list[Result]:
    """Two models: one gives all to the first name of the alphabet, one cannot do many channels."""
    rows = definitions.read(file)
    channels, total = definitions.channels_of(rows), definitions.total_of(rows)
    many = "took longer than 30 s" if len(channels) > 10 else ""
    shapley = definitions.exact("Shapley('conversions')", rows) if not many else {}
    return [
        _result({channels[0]: 2 * total}),
        _result(shapley, "Shapley, x", error=many),
    ]


def test_traps_are_found_where_they_are(tmp_path: Path) -> None:
    file = journeys.write(journeys.random_rows(40, 4, 5), tmp_path / "random.csv")
    before = _by_alphabet("fake", file)
    sums = traps.sums(exactness.deviation(each, file) for each in before)
    assert [(row["value"], row["found"]) for row in sums] == [("2", "yes"), ("1", "no")]
    renamed = traps.renaming(_by_alphabet, "fake", file, before)
    assert [row["found"] for row in renamed] == ["yes", "no"]
    (fifteen,) = traps.fifteen(_by_alphabet, "fake", tmp_path)
    assert (fifteen["found"], fifteen["value"]) == ("yes", "")
    assert fifteen["message"] == "took longer than 30 s"
    (whole,) = traps.never_all(_by_alphabet, "fake", tmp_path)
    assert (whole["found"], float(str(whole["value"]))) == ("no", pytest.approx(0, abs=1e-12))


def test_the_journeys_of_the_traps_are_what_they_say(tmp_path: Path) -> None:
    many = definitions.read(journeys.fifteen_channels(tmp_path / "fifteen.csv"))
    assert max(len(set(path)) for path, _, _ in many) == 15
    few = definitions.read(journeys.never_all(tmp_path / "never.csv"))
    assert max(len(set(path)) for path, _, _ in few) < len(definitions.channels_of(few))


def test_the_command_writes_both_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake_run(name: str, file: Path, *, limit: float) -> list[Result]:
        assert limit in (120, 30)
        return _by_alphabet(name, file)

    monkeypatch.setattr(command, "run", fake_run)
    monkeypatch.setattr(command, "install", lambda name: Environment(EVERYONE[name], "python"))
    monkeypatch.setattr(journeys, "example", lambda folder: journeys.never_all(folder / "e.csv"))
    given = ["--only", "mta", "--seeds", "2", "--rows", "30", "--channels", "3"]
    assert command.main([*given, "--out", str(tmp_path)]) == 0
    with (tmp_path / "exactness.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert len(table) == 4
    assert {row["data"].split()[0] for row in table} == {"2", "the"}
    with (tmp_path / "peer_traps.csv").open(newline="") as lines:
        assert {row["trap"] for row in csv.DictReader(lines)} == {
            traps.SUM,
            traps.RENAMED,
            traps.FIFTEEN,
            traps.NEVER_ALL,
        }


def test_the_command_can_stop_at_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = EVERYONE["mta"]
    monkeypatch.setattr(command, "install", lambda name: Environment(peer, reason="no network"))
    assert command.main(["--install", "--only", "mta", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "mta: no network\n"
    assert list(tmp_path.iterdir()) == []
