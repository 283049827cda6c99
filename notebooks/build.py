"""Execute the notebooks: `python -m notebooks.build [NAME ...]`.

Each notebook is written as a plain script with cells (`# %%`), which diffs and lints like code; the
`.ipynb` beside it is made from it, run from top to bottom, and committed with its outputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from mta_models.core import files

FOLDER = Path(__file__).parent


def scripts() -> list[Path]:
    """The notebooks' scripts, in reading order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def unexecuted(script: Path) -> nbformat.NotebookNode:
    """The notebook that a script describes, without outputs."""
    notebook = jupytext.read(script)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        # Stable ids, so that a rebuild differs only where the notebook does.
        cell.id = f"{script.stem[:2]}-{number:02d}"
        cell.metadata = {}
    return notebook


def build(script: Path) -> Path:
    """Run a script's notebook and write it, outputs included, beside the script."""
    notebook = unexecuted(script)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    for cell in notebook.cells:
        # When a cell ran is of no interest to a reader and differs in every diff.
        cell.metadata = {}
    target = script.with_suffix(".ipynb")
    files.write_text(target, nbformat.writes(notebook).rstrip("\n") + "\n")
    return target


def main(names: list[str]) -> None:
    """Build the notebooks whose names begin as given; all of them for no names."""
    for script in scripts():
        if not names or any(script.name.startswith(name) for name in names):
            print(build(script), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
