"""Tables and figures from the committed rows: `python -m benchmarks.truth.report [--check]`.

Writes the text between the markers of README.md and benchmarks/README.md, and the figures.
`--check` writes nothing and fails if a text or figure differs from what the rows give.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.truth import answers, figures, sections
from benchmarks.truth import report_tables as tables
from benchmarks.truth.kept import HERE, Kept, code, described
from benchmarks.truth.suites import LAGGED, ONE_THING
from benchmarks.truth.text import replaced
from mta_models.benchmark import Results
from mta_models.core import files

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
    """The texts and figures that the committed rows give.

    Attributes:
        kept: the rows.
    """

    kept: Kept = field(default_factory=Kept)

    @cached_property
    def main(self) -> tables.Main:
        """The main suite."""
        return tables.Main(self.kept.results("main"))

    def short(self) -> str:
        """For the README."""
        main = self.main
        worlds = [world for world in _WORLDS if world in main.worlds]
        models = [model for model in _MODELS if model in main.models]
        return "\n\n".join(
            (
                *answers.for_the_readme(self.kept),
                "Share error: percent of the credit that is on the wrong channel. "
                f"{described(main.results)}.",
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
        leaders = " and ".join(code(model) for model, n in wins.items() if n == most)
        others = {model: n for model, n in wins.items() if model not in _INCREMENTAL[1:]}
        rule = max(others, key=lambda model: others[model])
        without = sum(not set(self._beaters(world)) & others.keys() for world in main.worlds)
        said = [
            f"In {len(lost)} of {len(main.worlds)} worlds no model is clearly better than "
            f"`Uniform`, which gives every channel the same: {', '.join(lost) or 'none'}. Without "
            f"the models of when users convert these would be {without} worlds. Clearly better "
            f"than `Uniform` in the largest number of worlds: {leaders}, in {most}; among rules, "
            f"removal effects and Shapley values: {code(rule)}, in {others[rule]}."
        ]
        for model in _INCREMENTAL[1:]:
            if model in main.models:
                worse = [w for w in main.worlds if self._loses(w, model)]
                said.append(
                    f"{code(model)} is clearly worse than `LastTouch` in "
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
            *answers.section(self.kept),
            "### Worlds of one thing at a time",
            "Percent of the credit that is on the wrong channel. "
            f"{described(main.results)}. {_LEGEND}",
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
            f"### Differences to {code(than)}",
            "In points of share error, with 95 % bootstrap intervals of the paired difference over "
            f"seeds; below 0 is better than {code(than)}.",
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
            *sections.large(self.kept),
            *sections.doubly_robust(self.kept),
            *sections.dials(self.kept),
            *sections.intervals(self.kept),
            *sections.lift_tests(self.kept),
            *sections.rivals(self.kept),
            *self._failures(),
        ]
        return "\n\n".join(parts)

    def _failures(self) -> list[str]:
        both = [*self.main.results.rows, *self.kept.results("rivals").rows]
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
            rows = self.kept.file(suite)
            figure = self.kept.folder / f"{name}.svg"
            if rows.exists() and figures.drawn_from(figure) != figures.digest(rows):
                stale.append(f"results/{figure.name}")
        return stale

    def write(self) -> None:
        """Texts and figures."""
        for file, text in self.texts().items():
            files.write_text(file, text)
        for name, (suite, draw) in figures.FIGURES.items():
            rows = self.kept.file(suite)
            if rows.exists():
                figures.write(
                    draw(self.kept.results(suite)), self.kept.folder / f"{name}.svg", rows
                )


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
