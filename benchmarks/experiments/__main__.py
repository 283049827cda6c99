"""Models on experiments with real people: `python -m benchmarks.experiments --data FOLDER`.

The folder has hillstrom_emails.csv.gz, karlan_list_letters.csv.gz and placebo_ads_table.csv. Rows
go to results/experiments.csv and results/placebo.csv; rows that a file already has are not run
again. Then the page docs/experiments.md and its figures are written. Without `--data` only the page
and the figures are; with `--check` nothing is, and it fails where one of them is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.experiments import placebo, report, running, trials

# Nothing was tuned on these rows.
SEEDS = tuple(range(100, 110))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then report; or check."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    add = options.add_argument
    add("--data", type=Path, help="the folder of the experiments")
    add("--seeds", type=int, nargs="+", default=list(SEEDS), help="of the rows that are dropped")
    add("--only", nargs="+", metavar="TRIAL", help="trials whose names begin so")
    add("--again", nargs="+", metavar="MODEL", default=[], help="models whose rows are run anew")
    add("--results", type=Path, default=report.RESULTS, help="the folder of the rows")
    add("--check", action="store_true", help="only say what is stale")
    given = options.parse_args(arguments)
    if given.data:
        begin = tuple(given.only or [""])
        chosen = [trial for trial in trials.read(given.data) if trial.name.startswith(begin)]
        given.results.mkdir(parents=True, exist_ok=True)
        rows = given.results / "experiments.csv"
        running.forget(rows, chosen, given.again)
        running.run(chosen, given.seeds, rows)
        placebo.write(given.data / "placebo_ads_table.csv", given.results / "placebo.csv")
    page = report.Report(given.results)
    if given.check:
        stale = page.stale()
        if stale:
            names = ", ".join(stale)
            print(f"stale: {names}. Run python -m benchmarks.experiments", file=sys.stderr)
        return int(bool(stale))
    page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
