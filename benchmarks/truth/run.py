"""Run the committed suites: `python -m benchmarks.truth.run [SUITE …]`.

Rows are added to results/SUITE.csv log by log; rows that the file already has are not run again.
Truths are kept in .cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.truth.suites import SUITES, Committed
from mta_models import benchmark
from mta_models.benchmark import rows
from mta_models.benchmark.truths import cached_truth
from mta_models.models.names import label_of

HERE = Path(__file__).resolve().parents[1]
RESULTS = HERE / "results"
TRUTHS = HERE / ".cache" / "truths"
_EVERY = 60.0  # seconds between two lines of progress


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.truth.run", description=__doc__)
    add = options.add_argument
    add("suites", nargs="*", help=f"of {', '.join(SUITES)}; none: all")
    add("--seeds", type=int, help="only this number of seeds, from the first")
    add("--model", action="append", metavar="MODEL", help="only these models of the suites")
    add("--again", action="append", default=[], metavar="MODEL", help="remove its rows first")
    add("--truths", action="store_true", help="only compute the truths, which runs reuse")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    add("--results", type=Path, default=RESULTS, help="the folder of the CSV files")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run each suite, in passes of more and more seeds."""
    options = parser().parse_args(arguments)
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        parser().error(f"there is no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    options.results.mkdir(parents=True, exist_ok=True)
    chosen = [SUITES[name] for name in options.suites or SUITES]
    if options.truths:
        keep_truths(chosen, options.jobs)
        return 0
    for committed in chosen:
        run(committed, options)
    return 0


def keep_truths(chosen: Sequence[Committed], jobs: int, folder: Path = TRUTHS) -> None:
    """The truth of every setting of the suites, kept in the folder."""
    every = {log.setting: log for committed in chosen for log in committed.up_to(1).logs()}
    progress = _Progress()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(partial(cached_truth, folder=folder), every.values()), 1):
            progress(done, len(every))


def run(committed: Committed, options: argparse.Namespace) -> None:
    """All passes of a suite, to its file."""
    file = options.results / f"{committed.name}.csv"
    if options.again:
        rows.write(file, [row for row in rows.read(file) if row["model"] not in options.again])
    last = options.seeds or committed.passes[-1]
    for seeds in (*(n for n in committed.passes if n < last), last):
        print(f"{committed.name}: {seeds} seeds", file=sys.stderr, flush=True)
        suite = committed.up_to(seeds)
        if options.model:
            models = [each for each in suite.models if label_of(each) in options.model]  # type: ignore[arg-type]  # models by now
            suite = replace(suite, models=models)
        benchmark.run(
            suite,
            out=file,
            jobs=options.jobs,
            progress=_Progress(),
            cache=TRUTHS,
        )


class _Progress:
    def __init__(self) -> None:
        self.start = self.said = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self.said >= _EVERY or done == of:
            self.said = now
            print(f"  {done:,} of {of:,}, {now - self.start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
