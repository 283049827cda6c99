"""How far each package's credits are from the definitions, as rows of a table."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median

from benchmarks.peers.catalogue import EVERYONE, OURS
from benchmarks.peers.definitions import exact, read, total_of
from benchmarks.peers.environments import install
from benchmarks.peers.running import Result
from benchmarks.speed.table import machine
from mta_models.core import files

_NUMBER = re.compile(r"-?\d[\d.e-]*")
Run = Callable[[str, Path], list[Result]]


@dataclass(frozen=True)
class Deviation:
    """One result against its definition.

    Attributes:
        result: what was run.
        relative: |credit − exact| / |exact| of each channel with exact credit; infinite for a
            channel that is credited and has no exact credit; empty without a definition.
        ratio: all credit over all conversions of journeys with a touchpoint.
        message: why a number is missing.
    """

    result: Result
    relative: tuple[float, ...] = ()
    ratio: float = math.nan
    message: str = ""


def deviation(result: Result, file: Path) -> Deviation:
    """How far a result is from its definition on the file it was made from."""
    if result.error:
        return Deviation(result, message=result.error)
    ratio = sum(result.credit.values()) / _total(file)
    if not result.model.definition:
        return Deviation(result, ratio=ratio)
    try:
        truth = _exact(result.model.definition, file)
    except ValueError as error:
        return Deviation(result, ratio=ratio, message=f"the definition gives no credit: {error}")
    unknown = sorted(set(result.credit) - set(truth))
    if unknown:
        return Deviation(result, ratio=ratio, message=f"credits no such channel: {unknown[0]}")
    relative = tuple(_relative(result.credit.get(each, 0.0), truth[each]) for each in truth)
    return Deviation(result, relative, ratio)


def _relative(credit: float, truth: float) -> float:
    if truth == 0:
        return 0.0 if abs(credit) < 1e-9 else math.inf
    return abs(credit - truth) / abs(truth)


@cache
def _exact(definition: str, file: Path) -> dict[str, float]:
    return exact(definition, read(file))


@cache
def _total(file: Path) -> float:
    return total_of(read(file))


def measure(run: Run, peers: Iterable[str], files: Sequence[Path]) -> list[Deviation]:
    """Every model of every package on every file; ours first."""
    chosen = [OURS, *(name for name in peers if name != OURS)]
    return [
        deviation(result, file) for name in chosen for file in files for result in run(name, file)
    ]


def rows(data: str, found: Iterable[Deviation]) -> list[dict[str, object]]:
    """One row for each model: the worst and the mean over channels and files."""
    groups: dict[tuple[str, str], list[Deviation]] = defaultdict(list)
    for each in found:
        groups[each.result.peer, each.result.model.name].append(each)
    return [_row(data, group) for group in groups.values()]


def _row(data: str, group: list[Deviation]) -> dict[str, object]:
    first = group[0].result
    worked = [each for each in group if not each.result.error]
    relative = [value for each in worked for value in each.relative]
    ratios = [each.ratio for each in worked]
    messages = _kinds(each.message for each in group)
    failed = len(group) - len(worked)
    if failed and worked:
        messages.append(f"failed on {failed} of {len(group)} files")
    return {
        "data": data,
        "peer": first.peer,
        "version": first.version,
        "model": first.model.name,
        "definition": first.model.definition,
        "max_deviation": _digits(max(relative, default=math.nan)),
        "mean_deviation": _digits(fmean(relative) if relative else math.nan),
        # The sum that is furthest from the conversions.
        "credit_over_conversions": _digits(max(ratios, key=_off, default=math.nan), 12),
        "seconds": _digits(_median(each.result.seconds for each in worked), 3),
        "read_seconds": _digits(_median(each.result.read_seconds for each in worked), 3),
        "model_seconds": _digits(_median(each.result.model_seconds for each in worked), 3),
        "peak_mb": _digits(max((each.result.peak_mb for each in worked), default=math.nan), 4),
        "runs": len(group),
        "message": "; ".join(messages),
        "note": first.model.note,
        "installed": _installed(first.peer),
        "machine": machine(),
    }


def _kinds(messages: Iterable[str]) -> list[str]:
    """The first message of each kind: messages that differ only in numbers are of one kind."""
    first: dict[str, str] = {}
    for message in messages:
        if message:
            first.setdefault(_NUMBER.sub("", message), message)
    return list(first.values())


def _off(ratio: float) -> float:
    return abs(ratio - 1)


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return median(known) if known else math.nan


def _digits(value: float, digits: int = 4) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def _installed(peer: str) -> str:
    """Versions of the packages that a package was run with, without pip and its tools."""
    if peer not in EVERYONE:
        return ""
    hidden = {"pip", "setuptools", peer}
    versions = install(peer).versions.items()
    return " ".join(f"{name}=={number}" for name, number in versions if name not in hidden)


def write(table: Sequence[dict[str, object]], file: Path) -> None:
    """The table as CSV, sorted by its first column and then by package.

    Rows of packages that are not in the table stay in the file unchanged.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = list(table[0])
    renewed = {row["peer"] for row in table}
    lines = [*table, *(row for row in _kept(file, columns) if row["peer"] not in renewed)]
    groups = list(dict.fromkeys(row[columns[0]] for row in lines))
    places = {name: place for place, name in enumerate(EVERYONE)}
    lines.sort(key=lambda row: (groups.index(row[columns[0]]), places.get(str(row["peer"]), 0)))
    files.write_csv(file, [columns, *([row[name] for name in columns] for row in lines)])


def _kept(file: Path, columns: Sequence[str]) -> list[dict[str, object]]:
    """Rows of an older file, if it has the same columns."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        older = csv.DictReader(lines)
        return [dict(row) for row in older] if older.fieldnames == list(columns) else []
