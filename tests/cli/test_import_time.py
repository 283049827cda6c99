"""Importing the package and asking for help load nothing heavy: seen in `sys.modules`."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Not pydantic, which typer itself may load to read a command's options.
HEAVY = {
    *("arviz", "ibis", "matplotlib", "networkx", "numba", "numpy", "nutpie", "pandas", "polars"),
    *("pyarrow", "pymc", "pytensor", "rich", "scipy", "shap", "sklearn", "xarray"),
}

HELP = (
    "import sys; sys.argv = ['mta-models', *{arguments!r}]\n"
    "from mta_models.cli.app import app\n"
    "try: app()\n"
    "except SystemExit as end: assert end.code == 0, end.code\n"
)


def loaded_by(code: str) -> set[str]:
    """The packages in memory after `code` ran in a fresh interpreter."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import mta_models",
        "import mta_models; dir(mta_models); mta_models.__version__",
        "import mta_models; mta_models.worlds.names()",
        *(
            HELP.format(arguments=arguments)
            for arguments in (
                ["--help"],
                ["--version"],
                ["compare", "--help"],
                ["attribute", "--help"],
                ["diagnose", "--help"],
                ["example", "--help"],
                ["simulate", "--help"],
            )
        ),
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    loaded = loaded_by(code)
    assert "mta_models" in loaded
    assert not loaded & HEAVY


def test_the_check_would_see_a_heavy_import() -> None:
    assert "numpy" in loaded_by("import mta_models; mta_models.Journeys")
