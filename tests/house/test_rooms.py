"""The tree keeps its own rules: rooms, sizes, names, public paths, reasons for what is ignored."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import mta_models as mta

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mta_models"
TESTS = ROOT / "tests"
FILES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])
MODULES = [path for path in FILES if path.suffix == ".py" and path.name != "__init__.py"]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
FLAT, ROOM = 8, 16
# Tests of no one room: every model's contract, the tree itself, what stands beside the package.
APART = {"contract", "house", "notebooks", "benchmarks"}


def name(path: Path) -> str:
    """As in `models/rules` or `attribution.py`."""
    return path.relative_to(PACKAGE).as_posix()


def rooms() -> list[str]:
    """Every folder that holds modules or other rooms."""
    return sorted(
        name(path.parent) for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE
    )


def tree() -> Iterator[tuple[Path, ast.Module]]:
    for path in MODULES:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_few_modules_lie_flat_and_no_room_is_crowded():
    sizes = {room: len(list((PACKAGE / room).glob("*.py"))) - 1 for room in rooms()}
    assert max(sizes.values()) <= ROOM, sizes
    assert len(list(PACKAGE.glob("*.py"))) - 1 <= FLAT


def test_no_file_has_the_name_of_a_function_it_holds():
    # Once imported, the module would hide the function from the package that offers it.
    held = {
        name(path)
        for path, module in tree()
        for node in module.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == path.stem
    }
    assert held == set()


def test_no_room_has_the_name_of_a_public_function():
    flat = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert not {each for each in flat & set(mta.__all__) if not is_module(getattr(mta, each))}


def is_module(thing: object) -> bool:
    return type(thing).__name__ == "module"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: name(p.parent))
def test_a_package_holds_no_code_but_the_stub(path):
    """A docstring, the version, and the line that resolves the names of the `.pyi` beside it."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in module.body if not is_docstring(node)]
    stub = "__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)"
    if path.with_suffix(".pyi").exists():
        lines = [each for each in lines if not re.fullmatch(r"__version__ = '[\w.]+'", each)]
        assert lines == ["import lazy_loader", stub]
    else:
        assert lines == []


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


# The map of the house, in CONTRIBUTING.md.


def house_map() -> dict[str, str]:
    """Room -> what may live there, as CONTRIBUTING has it, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.partition("<!-- map:begin -->")[2].partition("<!-- map:end -->")[0]
    lines = re.findall(r"^(\S+?)/?  +(\S.*)$", block, re.MULTILINE)
    assert len(lines) == len(dict(lines)), "a room stands twice"
    return dict(lines)


def test_the_map_has_every_room_and_flat_module_and_no_other():
    flat = [name(path) for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert sorted(house_map()) == sorted([*rooms(), *flat])


def test_the_map_is_in_the_order_that_imports_keep():
    (layers,) = [each["layers"] for each in CONTRACTS if each["type"] == "layers"]
    top = [each.removesuffix(".py") for each in house_map() if "/" not in each]
    assert top == layers[::-1]
    # A room in a room stands under it.
    last = ""
    for room in house_map():
        assert "/" not in room or room.startswith(last.partition("/")[0] + "/"), room
        last = room


def test_no_circles_is_a_contract():
    assert [each["ancestors"] for each in CONTRACTS if each["type"] == "acyclic_siblings"]


# What documents name.


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")]


def led_astray(document: Path) -> list[str]:
    """The files, modules and scripts that a document names and that are not there."""
    text = document.read_text(encoding="utf-8")
    files = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    modules = re.findall(r"python -m ([\w.]+\w)", text)
    scripts = re.findall(r"`(\.ci/[\w.-]+)", text)
    return [
        *(each for each in files if not (document.parent / each).exists()),
        *(each for each in modules if importlib.util.find_spec(each) is None),
        *(each for each in scripts if not os.access(ROOT / each, os.X_OK)),
    ]


def test_links_and_commands_of_documents_lead_somewhere(tmp_path):
    assert {each.name: led_astray(each) for each in documents() if led_astray(each)} == {}
    note = tmp_path / "note.md"
    note.write_text("[a](b.md), `python -m notebooks.none`, `.ci/none`", encoding="utf-8")
    assert led_astray(note) == ["b.md", "notebooks.none", ".ci/none"]


# Public paths.


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("mta_models.plot", "credits intervals sensitivity timelines chain"),
        (
            "mta_models.metrics",
            "total_variation share_mae jensen_shannon kendall_tau_b absolute_error relative_error "
            "over_credit credit_to_null_channels sign_errors baseline_error covered coverage width "
            "winkler_score stability table budget_regret budget_regrets",
        ),
        ("mta_models.worlds", "make names World Truth Simulation"),
        ("mta_models.benchmark", "Suite run quick Results CONTROLS"),
        ("mta_models.errors", "MTAError MissingExtraError MTAWarning"),
        ("mta_models.attribution", "Attribution"),
    ],
)
def test_public_module_paths_keep_working(path, names):
    module = importlib.import_module(path)
    for each in names.split():
        assert getattr(module, each) is not None
    last = path.rpartition(".")[2]
    if last in {"plot", "metrics", "worlds", "benchmark"}:
        for each in names.split():
            assert getattr(getattr(mta, last), each) is getattr(module, each)


# Tests mirror the rooms.


def test_tests_mirror_the_rooms():
    folders = {
        path.parent.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if path.parent != TESTS
    }
    inside = {each for each in folders if each not in APART}
    assert inside <= set(rooms())
    # Each room at the top has tests.
    assert {room for room in rooms() if "/" not in room} <= folders
    loose = {path.stem for path in TESTS.glob("test_*.py")}
    assert loose <= {f"test_{path.stem}" for path in PACKAGE.glob("*.py")}
    assert folders >= APART


# Reasons.

IGNORED = re.compile(r"#\s*(type: ignore(\[[\w, -]+\])?|noqa(: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*)?)")


def without_reason(text: str) -> list[str]:
    """The lines that ignore a rule and do not say why, or do not say which."""
    lines = []
    for line in text.splitlines():
        marks = list(IGNORED.finditer(line))
        if not marks:
            continue
        rest = line[marks[-1].end() :]
        named = all(mark[2] or mark[3] for mark in marks)
        if not named or not re.match(r"\s*(#|--|\()\s*\w+\W+\w+", rest):
            lines.append(line.strip())
    return lines


def test_what_counts_as_a_reason():
    given = "import shap  # type: ignore[import-untyped]  # it ships no types"
    assert without_reason(given) == []
    assert without_reason("from x import *  # noqa: F403 -- the same names") == []
    assert without_reason("x = 1  # noqa: E501, F401 (pytest runs them here)") == []
    assert without_reason("x = 1") == []
    for bare in (
        "x  # type: ignore[arg-type]",
        "x  # noqa",
        "x  # noqa: F401",
        "x  # type: ignore",
    ):
        assert without_reason(bare) == [bare]
    assert without_reason("x  # type: ignore # says not which one") != []


def test_every_ignore_carries_its_reason():
    bare = {name(path): without_reason(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: lines for path, lines in bare.items() if lines} == {}


def test_no_cache_is_planted_in_another_object():
    """State that an object does not declare is invisible to who reads its class."""
    planting = re.compile(r"(vars\([^()]*\)|__dict__)(\[[^\]]*\]\s*=[^=]|\.(setdefault|update)\()")
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        planted = [f"{name(path)}:{i}" for i, line in enumerate(lines, 1) if planting.search(line)]
        assert not planted
    assert planting.search('vars(x)["_kept"] = 3')
    assert planting.search('vars(self).setdefault("_lagged", {})')
    assert not planting.search('assert vars(x)["kept"] == 3')
