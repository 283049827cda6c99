"""Rows of results: as Markdown, as CSV, and between the markers of a file."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.contests import Contest, Goal, Reading
from mta_models.core import files

BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
_COLUMNS = ("work", "measure", "ours", "yardstick", "ratio", "goal", "met")
_FILE_COLUMNS = (
    *("group", "work", "measure", "unit", "ours", "ours_runs", "yardstick_name", "yardstick"),
    *("yardstick_runs", "ratio", "goal", "goal_on", "met", "note", "machine"),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: a reading of both sides, medians and single runs.

    Attributes:
        ours, other: the runs' numbers; empty where there is none.
        note: why a number is missing, or another remark.
        failed: whether our own side failed; then no goal is met.
    """

    contest: Contest
    reading: Reading
    ours: tuple[float, ...] = ()
    other: tuple[float, ...] = ()
    note: str = ""
    failed: bool = False

    @property
    def ratio(self) -> float | None:
        """Our median over the yardstick's."""
        if not self.ours or not self.other:
            return None
        return median(self.ours) / median(self.other)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal, or no number to compare."""
        goal = self.reading.goal
        if goal is None:
            return None
        if self.failed:
            return False
        value = self.ratio if goal.on == "ratio" else median(self.ours) if self.ours else None
        return None if value is None else value <= goal.limit


def median(values: Sequence[float]) -> float:
    """The median, without the standard library's `statistics`, which has slow imports."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def shown(value: float, unit: str) -> str:
    """A number as the table shows it, to three digits."""
    if unit == "%":
        return f"{100 * value:.2g} %"
    if unit == "s" and value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _goal(goal: Goal | None, unit: str) -> str:
    if goal is None:
        return "-"
    return f"≤ {goal.limit:g}x" if goal.on == "ratio" else f"≤ {shown(goal.limit, unit)}"


def _cells(row: Row) -> list[str]:
    unit, other = row.reading.unit, row.contest.other
    ours = shown(median(row.ours), unit) if row.ours else "-"
    theirs = f"{shown(median(row.other), unit)}, {other.name}" if row.other and other else "-"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2g}x"
    met = {None: "-", True: "yes", False: "missed"}[row.met]
    measure = f"{row.reading.what} ({row.note})" if row.note else row.reading.what
    goal = _goal(row.reading.goal, unit)
    return [row.contest.work, measure.replace("|", "/"), ours, theirs, ratio, goal, met]


def markdown(rows: Sequence[Row], caption: str) -> str:
    """The table with its caption, columns aligned so that it is readable as plain text."""
    cells = [list(_COLUMNS), *map(_cells, rows)]
    wide = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, wide, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in wide) + "|")
    return f"{caption}\n\n" + "\n".join(lines) + "\n"


def machine() -> str:
    """The machine of the measurement: cores, memory, system and versions, and no names."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for name in ("mta_models", "numpy", "scipy", "polars"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} from its source")
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def write_csv(rows: Sequence[Row], file: Path, described: str) -> None:
    """Write every row with its single runs and the machine."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table: list[Sequence[str]] = [_FILE_COLUMNS]
    for row in rows:
        goal, other = row.reading.goal, row.contest.other
        table.append(
            [
                row.contest.group,
                row.contest.work,
                row.reading.what,
                row.reading.unit,
                f"{median(row.ours):.6g}" if row.ours else "",
                " ".join(f"{each:.6g}" for each in row.ours),
                other.name if other else "",
                f"{median(row.other):.6g}" if row.other else "",
                " ".join(f"{each:.6g}" for each in row.other),
                "" if row.ratio is None else f"{row.ratio:.6g}",
                "" if goal is None else f"{goal.limit:g}",
                "" if goal is None else goal.on,
                {None: "", True: "yes", False: "missed"}[row.met],
                row.note,
                described,
            ]
        )
    files.write_csv(file, table)


def read_csv(file: Path, contests: Sequence[Contest]) -> list[Row]:
    """The rows that `write_csv` wrote, of contests that still exist."""
    by_work = {contest.work: contest for contest in contests}
    with file.open(newline="", encoding="utf-8") as lines:
        found = [line for line in csv.DictReader(lines) if line["work"] in by_work]
    return [
        Row(
            by_work[line["work"]],
            Reading(line["measure"], _never, line["unit"], _goal_of(line)),
            ours=tuple(map(float, line["ours_runs"].split())),
            other=tuple(map(float, line["yardstick_runs"].split())),
            note=line["note"],
            failed=line["met"] == "missed" and not line["ours_runs"],
        )
        for line in found
    ]


def _goal_of(line: dict[str, str]) -> Goal | None:
    return Goal(float(line["goal"]), line["goal_on"]) if line["goal"] else None


def _never(run: object) -> float:
    raise LookupError("a row that was read again has no run to take a number from")


def write_between_markers(file: Path, text: str) -> None:
    """Put `text` between the markers of a file; the rest is not changed.

    Raises:
        ValueError: the file does not hold each marker once, in order.
    """
    old = file.read_text(encoding="utf-8")
    head, found, rest = old.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not found or not closed or BEGIN in tail or END in head + tail:
        raise ValueError(f"{file.name} must hold {BEGIN} and then {END}, once each")
    files.write_text(file, f"{head}{BEGIN}\n{text.strip()}\n{END}{tail}")
