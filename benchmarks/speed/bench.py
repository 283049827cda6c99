"""Runs contests, both sides by turns in fresh processes, and makes rows of them."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from benchmarks.data import EVENTS, PATHS, ROOT, Data, UnavailableError
from benchmarks.measure import JobError, Run, run
from benchmarks.speed import peer
from benchmarks.speed.contests import Contest, Reading, Side
from benchmarks.speed.table import Row

# The scale of the runs that warm the file cache and are not counted.
TINY = 0.001
_LEAST = 1000


class Bench:
    """The inputs and interpreters that contests are run with.

    Args:
        cache: the folder that keeps inputs and the peer's environment.
        scale: the part of the full size.
        peer_python: an interpreter that has ChannelAttribution; None: make one.
    """

    def __init__(self, cache: Path, scale: float, peer_python: str | None) -> None:
        self.cache, self.scale, self.given_peer = cache, scale, peer_python

    def measure(self, contest: Contest, repeat: int) -> list[Row]:
        """The rows of a contest; a side that cannot be run has a row with the reason."""
        sides = [side for side in (contest.ours, contest.other) if side is not None]
        commands: dict[str, list[str]] = {}
        reasons: dict[str, Exception] = {}
        for side in sides:
            try:
                commands[side.name] = self._ready(side)
            except (UnavailableError, JobError) as error:
                reasons[side.name] = error
        runs = by_turns(commands, repeat * contest.turns, reasons)
        return rows(contest, runs, reasons)

    def _ready(self, side: Side) -> list[str]:
        """The command of a side, after loading its libraries and input into the file cache."""
        if self.scale > TINY or not isinstance(side.job, str):
            run(self._command(side, TINY))
        return self._command(side, self.scale)

    def _command(self, side: Side, scale: float) -> list[str]:
        if not isinstance(side.job, str):
            return [self._word(word) for word in side.job]
        given = dict(side.arguments)
        if side.by_peer and isinstance(self._peer, UnavailableError):
            raise self._peer
        if side.data is not None:
            data = Data(self.cache, _sized(PATHS, scale), _sized(EVENTS, scale))
            given["file"] = str(_warm(data.file(side.data)))
        if side.journeys:
            given["n"] = _sized(side.journeys, scale)
        script = ["-m", "benchmarks.speed.jobs"]
        if side.by_peer:
            script = [str(ROOT / "benchmarks" / "peer_job.py")]
        python = str(self._peer) if side.by_peer else sys.executable
        return [python, *script, side.job, json.dumps(given)]

    @cached_property
    def _peer(self) -> str | UnavailableError:
        try:
            return peer.interpreter(self.cache, self.given_peer)
        except UnavailableError as error:
            return error

    def _word(self, word: str) -> str:
        if word != "{program}":
            return word.format(python=sys.executable)
        program = Path(sysconfig.get_path("scripts")) / "mta-models"
        if not program.exists():
            raise UnavailableError("the command mta-models is not installed")
        return str(program)


def _sized(whole: int, scale: float) -> int:
    return max(_LEAST, round(whole * scale))


def _warm(file: Path) -> Path:
    """The file, read through once."""
    with file.open("rb") as opened:
        while opened.read(1 << 20):
            pass
    return file


def by_turns(
    commands: Mapping[str, Sequence[str]], times: int, reasons: dict[str, Exception]
) -> dict[str, list[Run]]:
    """Runs A B A B …; a side that fails is not run again, and its reason is noted."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(times):
        for name in list(runs):
            try:
                runs[name].append(run(commands[name]))
            except JobError as error:
                reasons[name] = error
                del runs[name]
    return runs


def rows(
    contest: Contest, runs: Mapping[str, Sequence[Run]], reasons: Mapping[str, Exception]
) -> list[Row]:
    """One row for each reading, and one for the difference of answers if they need not agree."""
    ours = runs.get(contest.ours.name, ())
    other = runs.get(contest.other.name, ()) if contest.other else ()
    notes = [f"{name} not run: {reason}" for name, reason in reasons.items()]
    failed = isinstance(reasons.get(contest.ours.name), JobError)
    apart = difference(ours, other)
    if contest.agree is not None and apart is not None and not apart <= contest.agree:
        notes.append(f"the answers differ by {100 * apart:.2g} %")
        failed = True
    note = "; ".join(notes)
    found = [
        Row(contest, each, taken(each, ours), taken(each, other), note, failed)
        for each in contest.readings
    ]
    if contest.agree is None and apart is not None and contest.other is not None:
        what = f"largest error of {contest.other.name}'s credits by channel"
        found.append(Row(contest, Reading(what, lambda _: 0.0, "%"), other=(apart,)))
    return found


def taken(reading: Reading, runs: Sequence[Run]) -> tuple[float, ...]:
    """The reading of each run; empty where a side does not report it."""
    try:
        return tuple(reading.take(each) for each in runs)
    except KeyError:
        return ()


def difference(ours: Sequence[Run], other: Sequence[Run]) -> float | None:
    """The largest relative difference of the two sides' answers; None where one has no answer."""
    if not ours or not other:
        return None
    a, b = ours[-1].output.get("answer"), other[-1].output.get("answer")
    if a is None or b is None:
        return None
    if a.keys() != b.keys():
        return float("inf")
    return max(
        (abs(a[key] - b[key]) / abs(a[key]) if a[key] else abs(b[key]) for key in a), default=0.0
    )
