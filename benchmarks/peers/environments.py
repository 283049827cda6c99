"""A virtual environment for each package, made by pip at first use and kept in a cache."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.data import ROOT, UnavailableError
from benchmarks.peers.catalogue import EVERYONE, OURS, Peer
from mta_models.core import files

CACHE = ROOT / "benchmarks" / ".cache" / "peers"
# pip may have to compile a package.
_INSTALL_SECONDS, _IMPORT_SECONDS = 900.0, 120.0


@dataclass(frozen=True)
class Environment:
    """A package's virtual environment, or the reason why it could not be made.

    Attributes:
        peer: the package.
        python: its interpreter; empty if there is none.
        reason: why there is none; empty if there is one.
        versions: of all installed packages, by name.
    """

    peer: Peer
    python: str = ""
    reason: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@cache
def install(name: str) -> Environment:
    """The environment of the package `name`, made if it does not exist.

    A failure is no exception: the result has the reason. It is kept until this process ends, so
    that the installation is not tried again for every model; the next process tries again.

    Raises:
        KeyError: `name` is not in `benchmarks.peers.EVERYONE`.
    """
    return install_peer(EVERYONE[name], CACHE)


def install_peer(peer: Peer, folder: Path) -> Environment:
    """As `install`, for any package and folder."""
    if peer.name == OURS:
        return Environment(peer, sys.executable)
    here = folder / f"{peer.name}-{sys.version_info.major}.{sys.version_info.minor}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two runs at once must not install into one folder.
        with _alone(folder / f"{here.name}.lock"):
            return Environment(peer, str(_python(here)), versions=_made(peer, here))
    except (OSError, UnavailableError) as error:
        return Environment(peer, reason=f"{peer.name} {peer.version}: {error}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _python(here: Path) -> Path:
    return here / "bin" / "python"


def _made(peer: Peer, here: Path) -> dict[str, str]:
    """Versions of the installed packages, after installing them where needed."""
    done = here / "installed.json"
    if done.exists() and _python(here).exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept["requirements"] == list(peer.requirements):
            return dict(kept["versions"])
    print(f"installing {' '.join(peer.requirements)}", file=sys.stderr)
    try:
        venv.create(here, with_pip=True, clear=True)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"no virtual environment could be made: {error}") from error
    python = str(_python(here))
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", *peer.requirements], _INSTALL_SECONDS, "pip install")
    _run([python, "-c", f"import {peer.module}"], _IMPORT_SECONDS, "import")
    listed = json.loads(_run([*pip, "list", "--format=json"], _IMPORT_SECONDS, "pip list"))
    versions = {each["name"]: each["version"] for each in listed}
    kept = {"requirements": peer.requirements, "versions": versions}
    files.write_text(done, json.dumps(kept))
    return versions


def _run(command: Sequence[str], seconds: float, what: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{what} took longer than {seconds:g} s") from error
    if done.returncode:
        raise UnavailableError(f"{what}: {_reason(done.stderr)}")
    return done.stdout


def _reason(complaint: str) -> str:
    """The most informative line: pip's own last error, else the last line."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no reason given"])[-1]
