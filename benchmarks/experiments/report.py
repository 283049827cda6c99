"""The page docs/experiments.md and its figures, from the committed rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.data import ROOT
from benchmarks.experiments import figures
from benchmarks.experiments.running import REFERENCES, TIMED, TIMELESS, TIMES
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
_PANELS = (
    ("e-mails, visits", "Men's e-mail"),
    ("e-mails, visits", "Women's e-mail"),
    ("letters, gifts", "Matching offer"),
)
_NOT_DRAWN = ("FirstTouch", "Linear", "Shapley")
_TRIALS = {
    "e-mails, visits": "E-mails: visits of the site",
    "e-mails, purchases": "E-mails: purchases",
    "letters, gifts": "Letters: gifts",
}


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
        return _read(self.folder / "placebo.csv", ("ads",))

    @cached_property
    def means(self) -> pl.DataFrame:
        """Over seeds, for each trial, selection, channel and model, in the order of the page.

        Columns `label`, `credit`, `spread` (s.d.), `truth`, `half` (of its 95 % interval), `ratio`
        (of credit to truth), `error` (why a model refused), `seeds` and `people`.
        """
        rows = _read(self.folder / "experiments.csv", ("times", "error"))
        if rows.is_empty():
            return rows
        order = {label(model, times): place for place, (times, model) in enumerate(_models(rows))}
        named = rows.with_columns(
            pl.struct("model", "times")
            .map_elements(lambda row: label(row["model"], row["times"]), pl.String)
            .alias("label")
        )
        keys = ("trial", "selection", "channel", "label")
        return (
            named.group_by(keys, maintain_order=True)
            .agg(
                pl.col("credit").mean(),
                pl.col("credit").std().fill_null(0.0).alias("spread"),
                pl.col("truth").mean(),
                (1.96 * pl.col("truth_se").mean()).alias("half"),
                pl.col("error").max(),
                pl.col("seed").n_unique().alias("seeds"),
                pl.col("people").mean(),
            )
            .with_columns(
                (pl.col("credit") / pl.col("truth")).alias("ratio"),
                pl.col("label").replace_strict(order, return_dtype=pl.Int64).alias("place"),
                (pl.col("half") / pl.col("truth")).alias("half_ratio"),
            )
            .sort("place", maintain_order=True)
        )

    def ratios(self, labels: Sequence[str], trial: str, selection: str) -> list[float]:
        """Credit as a multiple of the trial's answer, one for each channel and model."""
        rows = self.means.filter(
            pl.col("label").is_in(list(labels)), trial=trial, selection=selection
        )
        return rows["ratio"].to_list()

    def text(self) -> str:
        """What stands between the markers."""
        return "\n\n".join([*self._fails(), *self._placebo(), *self._trials()])

    def _fails(self) -> list[str]:
        if self.means.is_empty() or self.placebo.is_empty():
            return []
        rules, visits = tuple(TIMELESS)[:6], "e-mails, visits"
        at_random = [ratio for trial in _TRIALS for ratio in self.ratios(rules, trial, "at random")]
        compared = ("Shapley('rate')", "Hazard, any day", "Logistic, any day")
        likely = self.ratios(compared, visits, "to likely")
        split = {
            channel: self.means.filter(
                pl.col("label").is_in(compared), trial=visits, selection="split", channel=channel
            )
            for _, channel in _PANELS[:2]
        }
        men, women = split.values()
        day = [
            ratio
            for trial in _TRIALS
            for ratio in self.ratios(("Logistic, one day",), trial, "at random")
        ]
        adjusted = [
            ratio
            for selection in ("at random", "to likely", "split")
            for ratio in self.ratios(("Logistic with covariates, any day",), visits, selection)
        ]
        robust = [
            ratio
            for trial in _TRIALS
            for ratio in self.ratios(
                ("DoublyRobust, any day", "DoublyRobust with covariates, any day"),
                trial,
                "at random",
            )
        ]
        return [
            "## What fails",
            f"- **Rules, removal effects and the default Shapley value** cannot be right here. "
            f"With one touchpoint a person, {_names(rules)} all credit every conversion of the "
            f"people who were reached: {_range(at_random)} times what the channel changed, with "
            f"people reached at random. More data does not help.\n"
            f"- **Comparing reached people with the others** ({_names(compared, bare=True)}) is "
            "right only if it is chance who is reached. With e-mails to likely "
            f"visitors these credit {_range(likely)} times what the e-mails changed. With the "
            "men's e-mail to unlikely and the women's to likely visitors the order turns round: "
            f"the trial says {men['truth'][0]:.0f} and {women['truth'][0]:.0f}, they say "
            f"{_range(men['credit'], 0)} and {_range(women['credit'], 0)}.\n"
            f"- **`Logistic` takes invented times at their word.** If all conversions are put on "
            f"day 7, its credits are negative even with people reached at random "
            f"({_range(day)} times the truth): by day 7 a touchpoint has faded to less "
            "than its mean over 14 days, so it looks harmful.\n"
            f"- **`DoublyRobust`** is unreliable on such rows, {_range(robust)} times the truth "
            "with people reached at random: touchpoints are all on day 0, and few of the times "
            "that it compares them with are near that day.\n"
            "- **`SelfControlled`** compares people with themselves on other days, and here all "
            "other days are invented: it credits every conversion if they are on one day, and few "
            "if they are on any day.\n"
            "- **What holds**: `Logistic` that reads the covariates by which people were "
            f"selected, at {_range(adjusted)} times the truth in the three selections of visits, "
            "if conversions are on any day. A real log rarely has all of these covariates.",
        ]

    def _placebo(self) -> list[str]:
        rows = self.placebo
        if rows.is_empty():
            return []

        def value(what: str, arm: str = "ad") -> float:
            return float(rows.filter(what=what, arm=arm)["value"][0])

        rate = {arm: rows.filter(what="rate", arm=arm)["value"] for arm in ("ad", "placebo")}
        rise = {arm: float(of[-1] / of[0]) for arm, of in rate.items()}
        effect = rows.filter(what="contrast").row(0, named=True)
        half = 1.96 * effect["standard_error"]
        dose = {arm: value("by dose", arm) / value("converted", arm) for arm in rate}
        shown = [
            [figures.in_words(ads)]
            + [
                f"{100 * of['value'][0]:.2f} ± {196 * of['standard_error'][0]:.2f}"
                for of in (rows.filter(what="rate", ads=ads, arm=arm) for arm in rate)
            ]
            for ads in rows.filter(what="rate")["ads"].unique(maintain_order=True)
        ]
        return [
            "## Ads against placebos",
            f"{value('people'):,.0f} people were shown an ad, and "
            f"{value('people', 'placebo'):,.0f} a public service announcement in its place. In "
            f"both groups people who saw more ads convert more: {rise['ad']:.0f} times more often "
            f"after more than 30 ads than after 1 to 4, and, of those who saw no such ad at all, "
            f"{rise['placebo']:.0f} times. Most of the rise is not an effect: people who are often "
            "online see many ads, and they buy.",
            "![Conversion by number of ads, and counts of the effect]"
            "(../benchmarks/results/placebo.svg)",
            table(["ads seen", "shown the ad, % convert", "shown a placebo, % convert"], shown),
            f"Last touch credits the ad with all {value('last touch'):,.0f} conversions of the "
            f"people who saw it. The placebo's rate on the same people gives "
            f"{effect['value']:,.0f} ± {half:,.0f} (95 %): "
            f"{value('last touch') / effect['value']:.1f} times less. Comparing people by the "
            f"number of ads, as if it were chance, credits {value('by dose'):,.0f}, "
            f"{100 * dose['ad']:.0f} % of all; by the same count placebos "
            f"would have caused {100 * dose['placebo']:.0f} % of the conversions of those who saw "
            "them. The contrast has a reservation of its own: how people were assigned is not "
            "documented, and day and hour of the ads differ between the groups.",
        ]

    def _trials(self) -> list[str]:
        if self.means.is_empty():
            return []
        minimum, maximum = self.means["seeds"].min(), self.means["seeds"].max()
        seeds = f"{minimum}" if minimum == maximum else f"{minimum} to {maximum}"
        parts = [
            "## Trials confounded on purpose",
            "![Credit of each model as a multiple of what the channel changed]"
            "(../benchmarks/results/experiments.svg)",
            "Grey band: the 95 % interval of the trial's own answer with people reached at "
            f"random. The tables have conversions: means over {seeds} draws of the rows that stay, "
            "and in brackets their standard deviation. First row: what the whole trial says of "
            "the same people, with its 95 % interval. **Bold**: within "
            f"{100 * NEAR:.0f} % of that.",
        ]
        for trial, title in _TRIALS.items():
            rows = self.means.filter(trial=trial)
            if not rows.is_empty():
                parts += [f"### {title}", self.table(rows)]
        return parts

    def table(self, rows: pl.DataFrame) -> str:
        """A trial: a column for each selection and channel, a line for each model."""
        columns = rows.select("selection", "channel").unique(maintain_order=True).rows()
        one = rows["channel"].n_unique() == 1
        header = ["", *(s if one else f"{c.partition(chr(39))[0]}'s, {s}" for s, c in columns)]
        first = [rows.filter(selection=s, channel=c).row(0, named=True) for s, c in columns]
        lines = [["the whole trial", *(f"{row['truth']:.0f} ± {row['half']:.0f}" for row in first)]]
        same: dict[tuple[str, ...], list[str]] = {}
        for name in rows["label"].unique(maintain_order=True):
            of = rows.filter(label=name)
            cells = tuple(
                _cell(of.filter(selection=s, channel=c).row(0, named=True)) for s, c in columns
            )
            same.setdefault(cells, []).append(name)
        lines += [[_names(names), *cells] for cells, names in same.items()]
        return table(header, lines)

    def figures(self) -> dict[str, tuple[str, Callable[[], Figure]]]:
        """By name: the file of rows and how it is drawn."""
        return {
            "placebo": ("placebo.csv", lambda: figures.placebo(self.placebo)),
            "experiments": ("experiments.csv", self._draw_trials),
        }

    def _draw_trials(self) -> Figure:
        """Without rules that have the same credit as another one, and without absent trials."""
        have = self.means.select("trial", "channel").unique().rows()
        shown = self.means.filter(~pl.col("label").is_in(_NOT_DRAWN))
        return figures.trials(shown, tuple(panel for panel in _PANELS if panel in have))

    def page(self) -> str:
        """The whole page as it must be."""
        return replaced(PAGE.read_text(encoding="utf-8"), MARKERS, self.text())

    def stale(self) -> list[str]:
        """Files that differ from what the rows give."""
        stale = [] if PAGE.read_text(encoding="utf-8") == self.page() else [f"docs/{PAGE.name}"]
        for name, (rows, _) in self.figures().items():
            figure = self.folder / f"{name}.svg"
            file = self.folder / rows
            if file.exists() and drawn_from(figure) != digest(file):
                stale.append(f"results/{figure.name}")
        return stale

    def write(self) -> None:
        """The page and its figures."""
        files.write_text(PAGE, self.page())
        for name, (rows, draw) in self.figures().items():
            if (self.folder / rows).exists():
                write_figure(draw(), self.folder / f"{name}.svg", self.folder / rows)


def label(model: str, times: str) -> str:
    """A model and where conversions were put, as the tables name it."""
    return f"{model}, {times}" if times else model


def _read(file: Path, texts: Sequence[str]) -> pl.DataFrame:
    """Rows of a file, with empty cells as null in numbers and as empty texts in `texts`."""
    if not file.exists():
        return pl.DataFrame()
    as_text = dict.fromkeys(texts, pl.String())
    rows = pl.read_csv(file, infer_schema_length=None, schema_overrides=as_text)
    return rows.with_columns(pl.col(list(texts)).fill_null(""))


def _models(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Times and models in the order of the page; models of other rows come last."""
    known = [
        *(("", model) for model in TIMELESS),
        *((times, model) for times in TIMES for model in TIMED),
        *(("", model) for model in REFERENCES),
    ]
    found = rows.select("times", "model").unique(maintain_order=True).rows()
    return [*(each for each in known if each in found), *(x for x in found if x not in known)]


def _cell(row: dict[str, float]) -> str:
    if row["credit"] is None:
        return "refused"
    words = f"{row['credit']:.0f} ({row['spread']:.0f})"
    return f"**{words}**" if abs(row["ratio"] - 1) <= NEAR else words


def _names(names: Sequence[str], *, bare: bool = False) -> str:
    """Models as code; what follows their name, and references, as they are."""
    said = []
    for name in names:
        model, comma, times = name.partition(", ")
        model, with_, what = model.partition(" with ")
        code = model if name in REFERENCES else f"`{model}`"
        said.append(code + with_ + what + ("" if bare else comma + times))
    return ", ".join(said)


def _range(values: Sequence[float] | pl.Series, digits: int = 1) -> str:
    least, most = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return least if least == most else f"{least} to {most}"
