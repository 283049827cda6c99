"""How lift tests change the credit of a Bayesian hazard where intent misleads.

Run it by `python -m benchmarks.truth.lift_tests`.

World `intent` at strength 1, 40,000 users: the same log without a test, and with pairs of tests.
Rows go to results/lift_tests.csv; rows that the file already has are not run again.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from benchmarks.data import ROOT
from mta_models.core import files

if TYPE_CHECKING:
    from mta_models.worlds.truth import Truth

FILE = ROOT / "benchmarks" / "results" / "lift_tests.csv"
# No test; the targeted channel without effect with another targeted one; and other pairs.
PAIRS: tuple[tuple[str, ...], ...] = (
    (),
    ("Affiliate", "Search"),
    ("Affiliate", "Retargeting"),
    ("Display", "Email"),
)
COLUMNS = (
    *("seed", "tests", "total_variation", "baseline_error", "coverage_90", "width_90"),
    *("r_hat", "ess", "divergences", "cpu_seconds"),
)
_USERS, _PROB = 40_000, 0.9


def row(seed: int, tests: tuple[str, ...], truth: Truth) -> dict[str, Any]:
    """One fit held against the truth; the width is a mean over channels, of all conversions."""
    import mta_models as mta

    world = mta.worlds.make("intent", n_users=_USERS, strength=1, seed=seed)
    log = world.simulate(lift_tests=tests)
    start = time.process_time()
    model = mta.BayesianHazard(lift_tests=log.lift_tests or None, random_state=seed)
    found = model.fit_attribute(log.journeys)
    seconds = time.process_time() - start
    width = found.interval(_PROB)
    said = model.diagnostics_
    return {
        "seed": seed,
        "tests": " + ".join(tests),
        "total_variation": mta.metrics.total_variation(found, truth),
        "baseline_error": mta.metrics.baseline_error(found, truth),
        # Of channels alone: the baseline is no channel.
        "coverage_90": float(mta.metrics.covered(found, truth, _PROB)[:-1].mean()),
        "width_90": float((width[:, 1] - width[:, 0]).mean() / found.total),
        "r_hat": said.r_hat,
        "ess": said.ess,
        "divergences": said.divergences,
        "cpu_seconds": seconds,
    }


def read() -> list[dict[str, str]]:
    """The committed rows; none where nothing was run."""
    if not FILE.exists():
        return []
    with FILE.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def main() -> int:
    """Run what is missing."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.truth.lift_tests", description=__doc__
    )
    options.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    import mta_models as mta

    done = {(line["seed"], line["tests"]) for line in read()}
    truth = mta.worlds.make("intent", n_users=_USERS, strength=1).truth()
    for seed in options.parse_args().seeds:
        for tests in PAIRS:
            if (str(seed), " + ".join(tests)) in done:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the columns hold what the warnings say
                found = row(seed, tests, truth)
            rows = [[each[name] for name in COLUMNS] for each in read()]
            rows.append([f"{found[k]:.6g}" if k != "tests" else found[k] for k in COLUMNS])
            files.write_csv(FILE, [COLUMNS, *rows])
            print(found, file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
