"""Each model of a package in a fresh process: its credits, its seconds, its peak memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import ROOT
from benchmarks.peers.catalogue import EVERYONE, Model
from benchmarks.peers.environments import Environment, install

TIME_LIMIT = 120.0
MB = 1e6


@dataclass(frozen=True)
class Result:
    """The result of one model of one package on one file.

    Attributes:
        peer, version: the package.
        model: its model.
        credit: by channel, in conversions; empty where `error` is not.
        error: why there is no credit, one line.
        seconds: wall time of the whole process, from its start to its end; NaN if it failed.
        read_seconds, model_seconds: parts of it; NaN if it failed.
        peak_mb: the process's peak memory as the kernel counts it, in 10⁶ bytes; NaN if it failed.
    """

    peer: str
    version: str
    model: Model
    credit: dict[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = math.nan
    read_seconds: float = math.nan
    model_seconds: float = math.nan
    peak_mb: float = math.nan


def run(
    name: str,
    path_csv: str | Path,
    *,
    models: Iterable[str] | None = None,
    limit: float = TIME_LIMIT,
) -> list[Result]:
    """Every model of the package `name` on a path table; a failure is a result with its reason.

    The table has the columns path, conversions, nulls, and perhaps value; channels are joined by
    `" > "`. Rows with an empty path are left out by all packages but ours.

    Args:
        name: one of `EVERYONE`: a rival, or `"mta_models"` for our own models, measured in the
            same way.
        path_csv: the file.
        models: names of the models to run; None: all.
        limit: seconds that each model may take.

    Raises:
        KeyError: a package or model is not in the catalogue.
    """
    known = {model.name: model for model in EVERYONE[name].models}
    chosen = known.values() if models is None else [known[model] for model in models]
    environment = install(name)
    return [run_model(environment, model, Path(path_csv), limit) for model in chosen]


def run_model(environment: Environment, model: Model, path_csv: Path, limit: float) -> Result:
    """One model in a process of its own."""
    peer = environment.peer
    who = (peer.name, peer.version, model)
    if environment.reason:
        return Result(*who, error=environment.reason)
    command = [environment.python, str(peer.adapter), model.name, str(path_csv.resolve())]
    measured = _launch(command, limit)
    if measured["error"]:
        return Result(*who, error=measured["error"])
    return _result(who, measured)


def _launch(command: list[str], limit: float) -> dict[str, Any]:
    """Run a command from a small process.

    The kernel counts a child's peak memory from that of the process it was forked from, and this
    process may hold a whole benchmark in memory.
    """
    launcher = [sys.executable, "-m", "benchmarks.peers.launch", str(limit), *command]
    done = subprocess.run(launcher, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        return {"error": f"it could not be started: {words[-1]}"}
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _result(who: tuple[str, str, Model], measured: dict[str, Any]) -> Result:
    output = measured["output"]
    try:
        credit = {str(channel): float(amount) for channel, amount in output["credit"].items()}
        parts = float(output["read"]), float(output["model"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Result(*who, error=f"its adapter did not answer as it must: {error!r}")
    wrong = [channel for channel, amount in credit.items() if not math.isfinite(amount)]
    if wrong:
        return Result(*who, error=f"its credit is no finite number for {', '.join(wrong)}")
    return Result(*who, credit, "", measured["seconds"], *parts, measured["peak"] / MB)
