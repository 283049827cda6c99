"""CONTRIBUTING's walks, followed word for word in a copy of the tree: what they add works.

A step is a line that ends in a colon and a block of code: a new file, or lines to put after or
before a line that is there. A block of shell is run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## Adding something")[2]
WALKS = dict(re.findall(r"^### (A .+?)\n(.+?)(?=^##)", SECTION, re.M | re.S))
STEP = re.compile(
    r"(?:New file `(?P<new>[^`]+)`"
    r"|In `(?P<old>[^`]+)`, (?P<where>after|before) `(?P<anchor>[^`]+)`):\n\n"
    r"```python\n(?P<code>.*?)```",
    re.S,
)
SHELL = re.compile(r"```sh\n(.*?)```", re.S)


def follow(walk: str, tree: Path) -> list[Path]:
    """Do the steps of a walk in a copy of the tree; return the files touched."""
    touched = []
    for step in STEP.finditer(walk):
        path = tree / (step["new"] or step["old"])
        if step["new"]:
            assert not path.exists(), f"{path} is there already"
            text = step["code"]
        else:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            places = [i for i, line in enumerate(lines) if line.rstrip("\n") == step["anchor"]]
            assert len(places) == 1, f"{step['old']} must have this line once: {step['anchor']}"
            lines.insert(places[0] + (step["where"] == "after"), step["code"])
            text = "".join(lines)
        path.write_text(text, encoding="utf-8")
        touched.append(path)
    return touched


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree in which all walks were followed."""
    copy = tmp_path_factory.mktemp("walks")
    ignore = shutil.ignore_patterns("__pycache__", "results", "*.ipynb")
    for folder in ("mta_models", "tests", "benchmarks"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for walk in WALKS.values():
        assert follow(walk, copy)
    lines = ['{"path": ["Search", "Email"], "converted": true}', '{"path": [], "converted": false}']
    (copy / "journeys.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return copy


def run(tree: Path, *command: str) -> str:
    """What a command of the toolkit prints, run on the copy."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    for variable in ("PYTEST_ADDOPTS", "COV_CORE_SOURCE", "COVERAGE_PROCESS_START"):
        environment.pop(variable, None)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{shlex.join(command)}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
    )
    return done.stdout


def test_there_are_four_walks():
    assert list(WALKS) == ["A rule", "A model on timelines", "A world", "A source"]


@pytest.mark.parametrize("title", WALKS)
def test_what_a_walk_adds_works(title, tree):
    (block,) = SHELL.findall(WALKS[title])
    commands = [shlex.split(line) for line in block.strip().splitlines()]
    assert commands[0][0] == "pytest"
    for name, *arguments in commands:
        if name == "pytest":
            shown = run(tree, "pytest", "-q", "-p", "no:cacheprovider", *arguments)
            assert re.search(r"\b[1-9]\d* passed", shown), shown
            assert "skipped" not in shown
        else:
            assert name == "mta-models"
            shown = run(tree, "mta_models.cli", *arguments)
            asked = [value for key, value in pairwise(arguments) if key == "--model"]
            assert all(model in shown for model in asked), shown


def test_what_the_walks_add_is_linted_and_formatted(tree):
    run(tree, "ruff", "check", "mta_models", "tests")
    run(tree, "ruff", "format", "--check", "mta_models")
