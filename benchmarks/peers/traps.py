"""Known errors of tools in this field, searched for in every package, including ours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers import journeys
from benchmarks.peers.exactness import Deviation, Run, deviation
from benchmarks.peers.running import Result

RENAMED = "renaming channels moves credit"
SUM = "credit does not sum to the conversions"
FIFTEEN = "15 channels cannot be done in time"
NEVER_ALL = "no credit where no journey meets all channels"
# Relative difference below which credits count as equal.
SAME = 1e-9
Row = dict[str, object]


def _row(trap: str, result: Result, value: float | None, found: bool, message: str = "") -> Row:
    return {
        "trap": trap,
        "peer": result.peer,
        "version": result.version,
        "model": result.model.name,
        "value": "" if value is None else f"{value:.4g}",
        "found": "yes" if found else "no",
        "message": result.error or message,
        "note": result.model.note,
    }


def sums(found: Iterable[Deviation]) -> list[Row]:
    """`value`: all credit over all conversions, of the table where it is furthest from 1."""
    worst: dict[tuple[str, str], Deviation] = {}
    for each in found:
        key = each.result.peer, each.result.model.name
        if not each.result.error and (key not in worst or _off(each) > _off(worst[key])):
            worst[key] = each
    return [_row(SUM, each.result, each.ratio, _off(each) > SAME) for each in worst.values()]


def _off(found: Deviation) -> float:
    return abs(found.ratio - 1)


def renaming(run: Run, name: str, file: Path, before: Iterable[Result]) -> list[Row]:
    """`value`: the largest change of a channel's credit, relative to its credit before."""
    other = file.with_name(f"renamed-{file.name}")
    new = journeys.renamed(file, other)
    after = {result.model.name: result for result in run(name, other)}
    table = []
    for result in before:
        again = after[result.model.name]
        if result.error or again.error:
            continue
        moved = max(
            abs(again.credit.get(new[channel], 0.0) - amount) / max(abs(amount), SAME)
            for channel, amount in result.credit.items()
        )
        table.append(_row(RENAMED, again, moved, moved > SAME))
    return table


def fifteen(run: Run, name: str, folder: Path) -> list[Row]:
    """`value`: seconds, where it was done in time."""
    results = run(name, journeys.fifteen_channels(folder / "fifteen.csv"))
    return [
        _row(FIFTEEN, each, None if each.error else each.seconds, "took longer" in each.error)
        for each in results
        if _is_shapley(each)
    ]


def never_all(run: Run, name: str, folder: Path) -> list[Row]:
    """`value`: the worst relative deviation from the definition, where there is credit."""
    file = journeys.never_all(folder / "never-all.csv")
    table = []
    for result in run(name, file):
        if _is_shapley(result):
            off = max(deviation(result, file).relative, default=None)
            table.append(_row(NEVER_ALL, result, off, bool(result.error)))
    return table


def _is_shapley(result: Result) -> bool:
    return result.model.name.startswith("Shapley")
