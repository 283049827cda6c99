"""The page docs/experiments.md and its figures, from the committed rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from benchmarks.data import ROOT
from benchmarks.experiments import figures
from benchmarks.experiments.findings import failures, names, placebos
from benchmarks.experiments.means import Means, read
from benchmarks.truth.figures import digest, drawn_from
from benchmarks.truth.figures import write as write_figure
from benchmarks.truth.text import replaced, table
from mta_models.core import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "experiments.md"
MARKERS = "experiments"
# A credit this near to the trial's answer, as a part of it, is in bold.
NEAR = 0.2
_TITLES = {
    "e-mails, visits": "E-mails: visits of the site",
    "e-mails, purchases": "E-mails: purchases",
    "letters, gifts": "Letters: gifts",
}
_PANELS = (
    ("e-mails, visits", "Men's e-mail"),
    ("e-mails, visits", "Women's e-mail"),
    ("letters, gifts", "Matching offer"),
)
# Their credits are those of LastTouch.
_NOT_DRAWN = ("FirstTouch", "Linear", "Shapley")


@dataclass(frozen=True)
class Report:
    """The committed rows, and the texts that they give.

    Attributes:
        folder: of the CSV files and the figures.
    """

    folder: Path = RESULTS

    @cached_property
    def placebo(self) -> pl.DataFrame:
        """The trial of ads against placebos; no rows if it was not run."""
        return read(self.folder / "placebo.csv", ("ads",))

    @cached_property
    def means(self) -> Means:
        """The trials that were confounded on purpose."""
        return Means(self.folder / "experiments.csv")

    def text(self) -> str:
        """What stands between the markers."""
        return "\n\n".join([*failures(self.means), *placebos(self.placebo), *self._trials()])

    def _trials(self) -> list[str]:
        rows = self.means.table
        if rows.is_empty():
            return []
        parts = [
            "## Trials confounded on purpose",
            "![Credit of each model as a multiple of what the channel changed]"
            "(../benchmarks/results/experiments.svg)",
            "Grey band: the 95 % interval of the trial's own answer when chance decides who is "
            f"reached. The tables have conversions: means over {rows['draws'].max()} draws of the "
            "rows that stay, and in brackets their standard deviation. First line: what the whole "
            "trial says of the same people, with its 95 % interval. **Bold**: within "
            f"{100 * NEAR:.0f} % of that.",
        ]
        for trial, title in _TITLES.items():
            of = rows.filter(trial=trial)
            if not of.is_empty():
                parts += [f"### {title}", trial_table(of)]
        return parts

    def figures(self) -> dict[str, tuple[str, Callable[[], Figure]]]:
        """By name: the file of rows and how it is drawn."""
        return {
            "placebo": ("placebo.csv", lambda: figures.placebo(self.placebo)),
            "experiments": ("experiments.csv", self._draw_trials),
        }

    def _draw_trials(self) -> Figure:
        rows = self.means.table
        have = rows.select("trial", "channel").unique().rows()
        shown = rows.filter(~pl.col("label").is_in(_NOT_DRAWN))
        return figures.trials(shown, tuple(panel for panel in _PANELS if panel in have))

    def page(self) -> str:
        """The whole page as it must be."""
        return replaced(PAGE.read_text(encoding="utf-8"), MARKERS, self.text())

    def stale(self) -> list[str]:
        """Files that differ from what the rows give."""
        stale = [] if PAGE.read_text(encoding="utf-8") == self.page() else [f"docs/{PAGE.name}"]
        for name, (rows, _) in self.figures().items():
            figure, file = self.folder / f"{name}.svg", self.folder / rows
            if file.exists() and drawn_from(figure) != digest(file):
                stale.append(f"results/{figure.name}")
        return stale

    def write(self) -> None:
        """The page and its figures."""
        files.write_text(PAGE, self.page())
        for name, (rows, draw) in self.figures().items():
            if (self.folder / rows).exists():
                write_figure(draw(), self.folder / f"{name}.svg", self.folder / rows)


def trial_table(rows: pl.DataFrame) -> str:
    """A trial: a column for each selection and channel, a line for each model.

    Models whose numbers are the same share a line.

    Args:
        rows: of `Means.table`, of one trial.
    """
    cells = {
        (row["label"], row["selection"], row["channel"]): row for row in rows.iter_rows(named=True)
    }
    columns = list(dict.fromkeys(key[1:] for key in cells))
    labels = list(dict.fromkeys(key[0] for key in cells))
    one = rows["channel"].n_unique() == 1
    header = [where if one else f"{who.split()[0]}, {where}" for where, who in columns]
    truths = [cells[labels[0], *column] for column in columns]
    same: dict[tuple[str, ...], list[str]] = {}
    for name in labels:
        line = tuple(_cell(cells[name, *column]) for column in columns)
        same.setdefault(line, []).append(name)
    return table(
        ["", *header],
        [
            ["the whole trial", *(f"{row['truth']:.0f} ± {row['half']:.0f}" for row in truths)],
            *([names(models), *line] for line, models in same.items()),
        ],
    )


def _cell(row: dict[str, Any]) -> str:
    if row["credit"] is None:
        return "refused"
    words = f"{row['credit']:.0f} ({row['spread']:.0f})"
    return f"**{words}**" if abs(row["ratio"] - 1) <= NEAR else words
