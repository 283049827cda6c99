"""Speed and memory against the goals, in one table: `python -m benchmarks.speed`.

Both sides of a comparison run by turns in fresh processes, A B A B …, on the same file, after a
run of each on a tiny input and a reading of the file, which warm the file cache for both. The
table shows medians. Goals are meant for the full size, `--scale 1`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import ROOT
from benchmarks.speed.bench import Bench
from benchmarks.speed.contests import CONTESTS, GROUPS
from benchmarks.speed.table import (
    Row,
    machine,
    markdown,
    read_csv,
    write_between_markers,
    write_csv,
)

HERE = ROOT / "benchmarks"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    add = options.add_argument
    add("--scale", type=float, default=1.0, help="part of the full size, for a quick look")
    add("--repeat", type=int, default=3, help="runs of each side; the table shows their median")
    add("--only", nargs="+", choices=GROUPS, default=GROUPS, help="some groups of rows")
    add("--out", type=Path, help="a CSV file for every row and run")
    add(
        "--write",
        action="store_true",
        help="renew these rows in benchmarks/README.md and results/speed.csv",
    )
    add("--cache", type=Path, default=HERE / ".cache", help="folder of inputs and environments")
    add("--peer", help="a Python that has ChannelAttribution already; else one is made")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 if a run of ours failed, 0 whether goals are met or missed."""
    options = parser().parse_args(arguments)
    if not hasattr(os, "wait4"):
        parser().error("peak memory is asked of the kernel by wait4, which this system lacks")
    if not 0 < options.scale <= 1 or options.repeat < 1:
        parser().error("--scale must lie in (0, 1] and --repeat be 1 or more")
    if options.write and options.scale != 1:
        parser().error("--write is for the full size: leave out --scale")
    started = time.perf_counter()
    found = measured(options)
    results = HERE / "results" / "speed.csv"
    if options.write and results.exists():
        # Ratios are within a row: those of groups not asked for stand as they were measured.
        kept = [row for row in read_csv(results, CONTESTS) if row.contest.group not in options.only]
        place = {contest.work: i for i, contest in enumerate(CONTESTS)}
        found = sorted([*kept, *found], key=lambda row: place[row.contest.work])
    described = f"{machine()}; scale {options.scale:g}; medians of the runs in results/speed.csv"
    text = markdown(found, caption(found, described, options.scale))
    print(text)
    out = options.out or (results if options.write else None)
    if out is not None:
        write_csv(found, out, described)
    if options.write:
        write_between_markers(HERE / "README.md", text)
    print(f"{time.perf_counter() - started:.0f} s in all", file=sys.stderr)
    return int(any(row.failed for row in found))


def measured(options: argparse.Namespace) -> list[Row]:
    """The rows of the contests asked for, with progress on standard error."""
    bench = Bench(options.cache.resolve(), options.scale, options.peer)
    chosen = [contest for contest in CONTESTS if contest.group in options.only]
    found = []
    for i, contest in enumerate(chosen, 1):
        print(f"[{i}/{len(chosen)}] {contest.work}", file=sys.stderr, flush=True)
        found += bench.measure(contest, options.repeat)
    return found


def caption(found: Sequence[Row], described: str, scale: float) -> str:
    """The line over the table."""
    missed = sum(row.met is False for row in found)
    held = sum(row.met is not None for row in found)
    words = f"{held - missed} of {held} goals met. {described}."
    if scale != 1:
        words += " The work is named at full size and goals are meant for it: not for this run."
    return words


if __name__ == "__main__":
    sys.exit(main())
