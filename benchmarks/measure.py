"""One command in a fresh process: its wall time, its peak memory and its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.data import ROOT

# ru_maxrss is in kilobytes, except on macOS, where it is in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


class JobError(Exception):
    """A measured process failed; the message is the last line of its standard error."""


@dataclass(frozen=True)
class Run:
    """One measured process.

    Attributes:
        seconds: from its start to its end.
        peak: maximum bytes of memory, as the kernel counts the child's.
        output: the JSON of the last line of output; empty if that line is not JSON.
    """

    seconds: float
    peak: float
    output: dict[str, Any]


def run(command: Sequence[str], timeout: float = 900.0) -> Run:
    """Run a command in the project's root and measure it.

    Raises:
        JobError: it failed, or took longer than `timeout` seconds.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        try:
            # Only `wait4` gives the resource usage of this one child.
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise JobError(_reason(err.read(), process.returncode))
        return Run(seconds, usage.ru_maxrss * _UNIT, _json(out.read()))


def _reason(standard_error: str, code: int) -> str:
    lines = standard_error.strip().splitlines()
    if lines:
        return lines[-1].strip()
    return f"ended by signal {-code}, without a message" if code < 0 else f"exit code {code}"


def _json(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {}
    output: dict[str, Any] = json.loads(lines[-1])
    return output
