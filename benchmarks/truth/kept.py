"""The committed rows of each suite, and a sentence on where they come from."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.truth import report_tables as tables
from benchmarks.truth.suites import CHANGED, SUITES
from mta_models.benchmark import Results
from mta_models.benchmark import rows as benchmark_rows
from mta_models.benchmark.purpose import REPORTING_DRAWS, REPORTING_SEEDS

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Kept:
    """The rows that were committed.

    Attributes:
        folder: of the CSV files.
    """

    folder: Path = HERE / "results"

    def results(self, *names: str) -> Results:
        """The rows of these suites, one row per log and model; none of a suite that was not run.

        Raises:
            ParameterError: a suite for reporting has a row of another log.
        """
        every = [row for name in names for row in benchmark_rows.read(self.file(name))]
        # Suites on the same logs have the same controls.
        rows = list({benchmark_rows.key(row): row for row in every}.values())
        purposes = {SUITES[name].suite.purpose for name in names}
        return Results(rows, "report" if purposes == {"report"} else "development")

    def lines(self, name: str) -> list[dict[str, str]]:
        """The lines of a file that is no suite's; none if it is not there."""
        if not self.file(name).exists():
            return []
        with self.file(name).open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))

    def file(self, name: str) -> Path:
        """The file of a suite's rows."""
        return self.folder / f"{name}.csv"


def described(results: Results) -> str:
    """Seeds, what they are for, users and versions."""
    numbers = results.table
    seeds = numbers.group_by("world", "strength", "n_users").agg(pl.col("seed").n_unique())
    minimum, maximum = seeds["seed"].min(), seeds["seed"].max()
    users = ", ".join(f"{n:,}" for n in numbers["n_users"].unique().sort())
    versions = " and ".join(numbers["versions"].unique().sort())
    several = f"{minimum} seed{'s' * (minimum != 1)}"
    n_seeds = several if minimum == maximum else f"{minimum} to {maximum} seeds"
    said = f"{n_seeds}{_with_fewer(numbers)}{_purpose(results)}, {users} users a log; {versions}"
    older = [code(model) for model in CHANGED if is_older(results, model)]
    were = (
        f". Rows of {', '.join(older)} are of these models as they were before they were corrected"
    )
    return said + were * bool(older)


def is_older(results: Results, model: str) -> bool:
    """Whether the rows of a model that was changed since are of what it was before."""
    own = results.table.filter((pl.col("model") == model) & (pl.col("error") == ""))
    return model in CHANGED and len(own) > 0 and own["cpu_seconds"].is_null().all()


def _purpose(results: Results) -> str:
    if results.purpose == "development":
        return " for development (defaults were tuned on some of these seeds or draws)"
    drawn = results.table["world"].str.contains("_draw_").any()
    draws = f" and draws from {REPORTING_DRAWS} on" if drawn else ""
    return f" for reporting (from {REPORTING_SEEDS} on{draws}: nothing was tuned on them)"


def _with_fewer(numbers: pl.DataFrame) -> str:
    """The models that have fewer seeds of some world than others have, with their numbers."""
    seeds = numbers.group_by("model", "world", "strength", "n_users", maintain_order=True).agg(
        pl.col("seed").n_unique()
    )
    ranges = seeds.group_by("model", maintain_order=True).agg(
        pl.col("seed").min().alias("minimum"), pl.col("seed").max().alias("maximum")
    )
    few = ranges.filter(pl.col("minimum") < ranges["minimum"].max())
    parts = [
        f"{code(name)} {minimum}" + (f" to {maximum}" if maximum > minimum else "")
        for name, minimum, maximum in few.iter_rows()
    ]
    return f" ({', '.join(parts)})" if parts else ""


def code(model: str) -> str:
    """A model's name as code."""
    return f"`{tables.shown(model)}`"


def listed(names: Sequence[str]) -> str:
    """The names in a row, or "none"."""
    return ", ".join(names) or "none"
