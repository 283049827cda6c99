"""Tables and figures from the committed rows: `python -m benchmarks.truth.report [--check]`.

Writes the text between the markers of README.md and benchmarks/README.md, and the figures.
`--check` writes nothing and fails if a text or figure differs from what the rows give.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.truth import figures, lift_tests
from benchmarks.truth import report_tables as tables
from benchmarks.truth.suites import LAGGED, ONE_THING
from benchmarks.truth.text import replaced
from mta_models.benchmark import CONTROLS, Results
from mta_models.benchmark import rows as benchmark_rows
from mta_models.core import files

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parent
MARKERS = "truth"
# For the README: worlds that differ in what misleads, and models that people know.
_WORLDS = (
    *("randomised", "intent", "bursts", "suppression", "retargeting", "upstream", "null_channel"),
    *("harmful_channel", "organic", "rare", "b2b", "everything"),
)
_MODELS = (
    *("FirstTouch", "LastTouch", "Linear", "Markov", "Shapley", "SimpleProbabilistic"),
    *("Hazard", "Logistic", "SelfControlled", LAGGED),
)
_INCREMENTAL = ("LastTouch", "Hazard", "Logistic", "SelfControlled", LAGGED)
_LARGE = tuple(model for model in _INCREMENTAL if model != "Logistic")
_LEGEND = (
    "**Bold**: the lowest mean of the models shown, and those not clearly worse than it. *Italic*: "
    "clearly worse than `Uniform`. Clearly: the 95 % bootstrap interval of the paired difference "
    "over seeds leaves out 0. `Uniform`, `ExposureShare` and `Oracle` are controls."
)
_TUNED = (
    "Rules, Markov and Shapley were not tuned. The defaults of `Hazard`, `Logistic` and "
    "`SelfControlled` were chosen on logs of these worlds, including some of these seeds, and "
    "effects in these worlds fade by half-lives, as `Hazard` assumes."
)


@dataclass(frozen=True)
class Report:
    """The committed rows, and the texts that they give.

    Attributes:
        folder: of the CSV files.
    """

    folder: Path = HERE / "results"

    def results(self, suite: str) -> Results:
        """The rows of a suite; none if it was not run."""
        return Results(benchmark_rows.read(self.folder / f"{suite}.csv"))

    @cached_property
    def main(self) -> tables.Main:
        """The main suite."""
        return tables.Main(self.results("main"))

    def described(self, results: Results) -> str:
        """Seeds, users and versions."""
        numbers = results.table
        seeds = numbers.group_by("world", "strength", "n_users").agg(pl.col("seed").n_unique())
        minimum, maximum = seeds["seed"].min(), seeds["seed"].max()
        users = ", ".join(f"{n:,}" for n in numbers["n_users"].unique().sort())
        versions = " and ".join(numbers["versions"].unique().sort())
        n_seeds = f"{minimum} seeds" if minimum == maximum else f"{minimum} to {maximum} seeds"
        return f"{n_seeds}{_with_fewer(numbers)}, {users} users a log; {versions}"

    def short(self) -> str:
        """For the README."""
        main = self.main
        worlds = [world for world in _WORLDS if world in main.worlds]
        models = [model for model in _MODELS if model in main.models]
        return "\n\n".join(
            (
                *self._visits_for_the_readme(),
                "Share error: percent of the credit that is on the wrong channel. "
                f"{self.described(main.results)}.",
                _LEGEND,
                _TUNED,
                tables.share_errors(main, worlds, models),
                self.verdict(),
                "![Share error by model and world](benchmarks/results/error.svg)",
            )
        )

    def verdict(self) -> str:
        """Counts of worlds in the table, and the names of worlds in which no model does well."""
        main = self.main
        lost = [world for world in main.worlds if not self._beaters(world)]
        wins = {
            model: sum(model in self._beaters(world) for world in main.worlds)
            for model in main.models
        }
        most = max(wins.values())
        leaders = " and ".join(_code(model) for model, n in wins.items() if n == most)
        others = {model: n for model, n in wins.items() if model not in _INCREMENTAL[1:]}
        rule = max(others, key=lambda model: others[model])
        without = sum(not set(self._beaters(world)) & others.keys() for world in main.worlds)
        said = [
            f"In {len(lost)} of {len(main.worlds)} worlds no model is clearly better than "
            f"`Uniform`, which gives every channel the same: {', '.join(lost) or 'none'}. Without "
            f"the models of when users convert these would be {without} worlds. Clearly better "
            f"than `Uniform` in the largest number of worlds: {leaders}, in {most}; among rules, "
            f"removal effects and Shapley values: {_code(rule)}, in {others[rule]}."
        ]
        for model in _INCREMENTAL[1:]:
            if model in main.models:
                worse = [w for w in main.worlds if self._loses(w, model)]
                said.append(
                    f"{_code(model)} is clearly worse than `LastTouch` in "
                    f"{', '.join(worse) or 'none'}."
                )
        missing = [f"`{name}`" for name in ONE_THING if name not in main.worlds]
        if missing:
            said.append(f"Worlds of the catalogue with no rows yet: {', '.join(missing)}.")
        return " ".join(said)

    def _loses(self, world: str, model: str) -> bool:
        """Whether last touch is clearly better."""
        return self._against_last.get((world, model), (0.0, 0.0))[0] > 0

    @cached_property
    def _against_last(self) -> dict[tuple[str, str], tuple[float, float]]:
        return tables.intervals(self.main.results, "LastTouch")

    def _beaters(self, world: str) -> list[str]:
        """The models clearly better than Uniform."""
        bounds = self.main.against_uniform
        return [m for m in self.main.models if bounds.get((world, m), (0.0, 0.0))[1] < 0]

    def full(self) -> str:
        """For benchmarks/README.md."""
        main = self.main
        than = "LastTouch"
        others = [model for model in (*main.models, "Uniform") if model != than]
        half = len(others) // 2
        parts = [
            *self._visits(),
            "### Worlds of one thing at a time",
            "Percent of the credit that is on the wrong channel. "
            f"{self.described(main.results)}. {_LEGEND}",
            _TUNED,
            tables.share_errors(main, main.worlds, main.models),
            self.verdict(),
            "![Share error by model and world](results/error.svg)",
            "### Models",
            "Columns: the numbers of worlds in which a model is clearly better or worse than "
            "`Uniform`; the three worlds in which it is furthest behind `Uniform`, in points of "
            "share error; and medians over worlds and seeds of all credit per conversion that "
            "channels caused (over-credit), of budget regret (its means by world are below), of "
            "the seconds of one fit and its credits, and of the memory allocated by it. A model "
            "that refuses a world has no number there, so its medians are over fewer worlds.",
            tables.models_table(main),
            f"### Differences to {_code(than)}",
            "In points of share error, with 95 % bootstrap intervals of the paired difference over "
            f"seeds; below 0 is better than {_code(than)}.",
            tables.differences(main, than, others[:half]),
            tables.differences(main, than, others[half:]),
            "### Budget regret",
            "Percent of conversions lost by moving the budget by a model's credit instead of the "
            "true marginal effects: means over seeds. Below 0 the model's credit did better than "
            "the true effects.",
            tables.regrets(main),
            "### Against removal effects",
            "Share error of models of removal effects, against the truth's Shapley values (as "
            "above) and against the conversions truly lost without each channel.",
            tables.own_estimand(main),
            *self._large(),
            *self._doubly_robust(),
            *self._dials(),
            *self._intervals(),
            *self._lift_tests(),
            *self._rivals(),
            *self._failures(),
        ]
        return "\n\n".join(parts)

    def _visits(self) -> list[str]:
        results = self.results("visits")
        if not results.rows:
            return []
        visits = tables.Main(results)
        return [
            "### Worlds of visits",
            f"Percent of the credit that is on the wrong channel. {self.described(results)}. Seeds "
            "and worlds on which nothing was tuned. Purchases happen in visits, which people enter "
            "through channels that cause nothing. Our models at their "
            "defaults give most credit to the entrances. A lag of 12 hours drops what was met "
            "right before a purchase, and effects at once with it.",
            tables.share_errors(visits, visits.worlds, visits.models),
            self.visits_in_short(),
        ]

    def _visits_for_the_readme(self) -> list[str]:
        medians = self.visits_in_short()
        if not medians:
            return []
        return [
            "First where our models lose. In worlds where purchases happen in visits, and visits "
            "begin at entrances (Direct, Brand Search, Organic Search, a coupon site) that cause "
            "nothing, `Hazard`, `Logistic` and `SelfControlled` at their defaults give most credit "
            "to the entrances, and are worse than equal credit for every channel. A lag of 12 "
            "hours removes most of that error, and clicks that work at once with it. "
            f"{medians} [benchmarks/README.md](benchmarks/README.md#worlds-of-visits) has each "
            "world. The worlds below differ from `randomised` in one thing each, and have no such "
            "entrances."
        ]

    def visits_in_short(self) -> str:
        """Medians over the worlds of visits; empty where they were not run."""
        results = self.results("visits")
        if not results.rows:
            return ""
        visits = tables.Main(results)

        def median_error(model: str) -> str:
            errors = [error for error in visits.errors(model).values() if error is not None]
            return f"{_code(model)} {100 * median(errors):.0f}"

        return (
            f"Median share error over {len(visits.worlds)} drawn worlds of visits, in percent: "
            f"{', '.join(median_error(model) for model in (*visits.models, 'Uniform'))}."
        )

    def _large(self) -> list[str]:
        large = self.results("large")
        if not large.rows:
            return []
        return [
            "### Logs of some 5,000 conversions",
            f"{self.described(large)}. Medians over seeds: share error / credit to channels "
            "without effect, in percent of all conversions / error of the baseline, in percent of "
            "the true baseline.",
            tables.goals(large, _LARGE),
        ]

    def _doubly_robust(self) -> list[str]:
        results = self.results("doubly_robust")
        if not results.rows:
            return []
        main = tables.Main(results)
        return [
            "### Doubly robust",
            f"Share error beside the other incremental models. {self.described(results)}. "
            "With this few seeds, differences of some points are chance. "
            "[doubly_robust.md](../docs/doubly_robust.md) lists other methods that were tried.",
            tables.share_errors(main, main.worlds, main.models),
        ]

    def _dials(self) -> list[str]:
        parts = []
        strength, size = self.results("strength"), self.results("size")
        if strength.rows:
            parts += [
                "### Strength",
                f"Share error as the mechanism grows. {self.described(strength)}.",
                "![Share error against strength](results/strength.svg)",
                tables.along(strength, "strength", lambda x: f"{x:g}"),
            ]
        if size.rows:
            parts += [
                "### Data",
                f"Share error, seconds and memory as the log grows. {self.described(size)}.",
                "![Share error against users](results/size.svg)",
                tables.along(size, "n_users", lambda x: f"{x:,}"),
                "![Seconds and memory against users](results/cost.svg)",
            ]
        return parts

    def _intervals(self) -> list[str]:
        results = self.results("intervals")
        if not results.rows:
            return []
        draws = results.table.filter(~pl.col("model").is_in(CONTROLS))["draws"].max()
        return [
            "### Intervals",
            "Percent of channels and baselines, taken together, whose interval (of a bootstrap, or "
            "the model's own) holds the truth; mean width and Winkler score per true conversion. "
            f"{self.described(results)}; {draws} draws.",
            "Intervals include chance in who was observed, not bias. Numbers of seeds and worlds "
            "differ between models, so compare models within one world. The incremental models "
            "have seeds 0 to 2 here, on which their bootstrap was designed. On twelve other logs "
            "of 20,000 users, 95 % intervals held: in `randomised` `Hazard` 92 % (its baseline "
            "67 %) and `SelfControlled` 88 %; in `intent` `SelfControlled` 92 % (of channels "
            "without effect 75 %) and `Hazard` 27 %. Those logs are not among the rows below.",
            "![How often intervals hold the truth](results/coverage.svg)",
            tables.coverages(results),
        ]

    def _lift_tests(self) -> list[str]:
        lines = lift_tests.read()
        if not lines:
            return []
        seeds = ", ".join(dict.fromkeys(line["seed"] for line in lines))
        return [
            "### Lift tests",
            "`BayesianHazard` in `intent` at strength 1, 40,000 users, without and with two lift "
            "tests, each of 40,000 users (`python -m benchmarks.truth.lift_tests`); "
            f"seeds {seeds}, on which no prior was tuned. Means, in percent: share error, error of "
            "the baseline (of all conversions), channels whose 90 % interval holds the truth, mean "
            "width of these intervals (of all conversions); CPU seconds of a fit and its credit.",
            tables.lift_tests(lines),
        ]

    def _rivals(self) -> list[str]:
        results = self.results("rivals")
        if not results.rows:
            return []
        return [
            "### Rivals",
            "Share error on the same journeys, our models first; medians of seconds and MB of a "
            "fit. For other packages these are of a process of their own, including imports and "
            f"the reading of the file. {self.described(results)}. Rules are left out: they are the "
            "same in all packages.",
            tables.rivals(results),
        ]

    def _failures(self) -> list[str]:
        both = [*self.main.results.rows, *self.results("rivals").rows]
        failures = tables.failures(Results(both))
        return ["### Refused", failures] if failures else []

    def texts(self) -> dict[Path, str]:
        """Each file as it must be."""
        parts = {ROOT / "README.md": self.short(), HERE / "README.md": self.full()}
        return {
            file: replaced(file.read_text(encoding="utf-8"), MARKERS, text)
            for file, text in parts.items()
        }

    def stale(self) -> list[str]:
        """Files that differ from what the rows give."""
        stale = [
            file.name if file.parent == ROOT else f"benchmarks/{file.name}"
            for file, text in self.texts().items()
            if file.read_text(encoding="utf-8") != text
        ]
        for name, (suite, _) in figures.FIGURES.items():
            rows = self.folder / f"{suite}.csv"
            figure = self.folder / f"{name}.svg"
            if rows.exists() and figures.drawn_from(figure) != figures.digest(rows):
                stale.append(f"results/{figure.name}")
        return stale

    def write(self) -> None:
        """Texts and figures."""
        for file, text in self.texts().items():
            files.write_text(file, text)
        for name, (suite, draw) in figures.FIGURES.items():
            rows = self.folder / f"{suite}.csv"
            if rows.exists():
                figures.write(draw(self.results(suite)), self.folder / f"{name}.svg", rows)


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
        f"{_code(name)} {minimum}" + (f" to {maximum}" if maximum > minimum else "")
        for name, minimum, maximum in few.iter_rows()
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _code(model: str) -> str:
    """A model's name as code."""
    return f"`{tables.shown(model)}`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write, or check."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.truth.report", description=__doc__)
    options.add_argument("--check", action="store_true", help="only say what is stale")
    report = Report()
    if not options.parse_args(arguments).check:
        report.write()
        return 0
    stale = report.stale()
    if stale:
        print(f"stale: {', '.join(stale)}. Run python -m benchmarks.truth.report", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
