"""The notebooks run, are committed as run, and are what their scripts say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def test_there_are_notebooks():
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs_in_fast_mode(script):
    environment = os.environ | {"MTA_FAST": "1", "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [sys.executable, script.name],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_committed_notebook_is_the_script_run_from_top_to_bottom(script):
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    committed = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    told = [(cell.cell_type, cell.source) for cell in build.unexecuted(script).cells]
    assert [(cell.cell_type, cell.source) for cell in committed.cells] == told, (
        "rebuild it: python -m notebooks.build"
    )
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_defines_no_helpers(script):
    text = script.read_text(encoding="utf-8")
    assert text.count("# %%") <= 25
    assert "def " not in text
    assert "class " not in text
