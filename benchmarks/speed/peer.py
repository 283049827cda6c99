"""The Python that runs ChannelAttribution, which we are measured beside."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.data import ROOT, UnavailableError
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.environments import install_peer

PEER = PEERS["ChannelAttribution"]
NAME, VERSION = PEER.name, PEER.version


def interpreter(folder: Path, given: str | None) -> str:
    """The interpreter given, or that of an environment made in `folder`.

    Raises:
        UnavailableError: there is none; the message says why.
    """
    if given is not None:
        _check(given)
        return given
    environment = install_peer(PEER, folder / "peers")
    if environment.reason:
        raise UnavailableError(environment.reason)
    return environment.python


def _check(python: str) -> None:
    asked = f"import importlib.metadata, {NAME}; print(importlib.metadata.version({NAME!r}))"
    try:
        done = subprocess.run(
            [python, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"import of {NAME} {VERSION}: {error}") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise UnavailableError(f"import of {NAME} {VERSION}: {reason[-1]}")
    if done.stdout.split()[-1] != VERSION:
        raise UnavailableError(f"{NAME} must be {VERSION}; got {done.stdout.split()[-1]}")
