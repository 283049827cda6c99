"""The tables of the report, made from the committed rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from benchmarks.truth.text import table
from mta_models.benchmark import CONTROLS, Results

ERROR = "total_variation"
RECOMMENDED = ("Hazard", "Logistic", "SelfControlled")


def shown(model: str) -> str:
    """A model as a reader writes it for the API: `Shapley('rate')`, `Markov(order=3)`."""
    return model.replace("characteristic_function=", "").replace("(random_state=0)", "")


@dataclass(frozen=True)
class Main:
    """The main suite's rows, and the numbers that tables need of them."""

    results: Results

    @cached_property
    def board(self) -> pl.DataFrame:
        """Share error, model × world."""
        return self.results.leaderboard(ERROR)

    @property
    def worlds(self) -> list[str]:
        """In the catalogue's order."""
        return self.results.table["world"].unique(maintain_order=True).to_list()

    @property
    def models(self) -> list[str]:
        """Without controls, in the suite's order."""
        every = self.results.table["model"].unique(maintain_order=True).to_list()
        return [model for model in every if model not in CONTROLS]

    @property
    def n_seeds(self) -> int:
        """Seeds that every world has."""
        return int(
            self.results.table.group_by("world").agg(pl.col("seed").n_unique())["seed"].min()
        )  # type: ignore[arg-type]

    @property
    def seeds(self) -> str:
        """Seeds of each world and model: `"30"`, or `"20 to 30"` where they differ."""
        counts = self.results.table.group_by("world", "model").agg(pl.col("seed").n_unique())
        least, most = counts["seed"].min(), counts["seed"].max()
        return f"{least}" if least == most else f"{least} to {most}"

    def errors(self, model: str, metric: str = ERROR) -> dict[str, float | None]:
        """By world."""
        board = self.board if metric == ERROR else self.results.leaderboard(metric)
        row = board.filter(pl.col("model") == model).row(0, named=True)
        return {world: row[world] for world in self.worlds}

    @cached_property
    def against_uniform(self) -> dict[tuple[str, str], tuple[float, float]]:
        """The interval of each model's difference to Uniform, by world and model."""
        return intervals(self.results, "Uniform")

    def best(self, world: str, models: Sequence[str]) -> set[str]:
        """Of these models: the one of the lowest error, and those not clearly worse than it."""
        here = Results(
            [r for r in self.results.rows if r["world"] == world and r["model"] in models]
        )
        leader = here.leaderboard(ERROR).sort(world, nulls_last=True)["model"][0]
        bounds = intervals(here, leader)
        return {leader} | {m for m in models if bounds.get((world, m), (1.0, 1.0))[0] <= 0}


def intervals(results: Results, than: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Bounds of the mean difference to `than`, by setting and model."""
    return {
        (row["setting"], row["model"]): (row["lower"], row["upper"])
        for row in results.differences(than, ERROR).iter_rows(named=True)
    }


def share_errors(main: Main, worlds: Sequence[str], models: Sequence[str]) -> str:
    """World × model: the best of those shown bold, those clearly worse than Uniform italic."""
    columns = [*models, *CONTROLS]
    by_model = {model: main.errors(model) for model in columns}
    best = {world: main.best(world, models) for world in worlds}

    def cell(world: str, model: str) -> str:
        value = by_model[model][world]
        if value is None:
            return "-"
        text = f"{100 * value:.1f}"
        if model in best[world]:
            text = f"**{text}**"
        lower = main.against_uniform.get((world, model), (0.0, 0.0))[0]
        return f"*{text}*" if model not in CONTROLS and lower > 0 else text

    rows = [[world, *(cell(world, model) for model in columns)] for world in worlds]
    return table(["world", *map(shown, columns)], rows)


def differences(main: Main, than: str, models: Sequence[str]) -> str:
    """World × model: the mean difference to a model with its paired interval, in points."""
    cells = {
        (row["setting"], row["model"]): f"{_points(row['difference'])} "
        f"({_points(row['lower'])} to {_points(row['upper'])})"
        for row in main.results.differences(than, ERROR).iter_rows(named=True)
    }
    rows = [[w, *(cells.get((w, model), "-") for model in models)] for w in main.worlds]
    return table(["world", *map(shown, models)], rows)


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def models_table(main: Main) -> str:
    """A row per model: its estimand, where it beats Uniform and where not, what it costs."""
    numbers, uniform = main.results.table, main.errors("Uniform")
    rows = []
    for model in (*main.models, *CONTROLS):
        own = numbers.filter(pl.col("model") == model)
        estimand = own.filter(pl.col("estimand") != "")["estimand"].head(1).to_list()
        bounds = [main.against_uniform.get((world, model)) for world in main.worlds]
        better = sum(each is not None and each[1] < 0 for each in bounds)
        worse = sum(each is not None and each[0] > 0 for each in bounds)
        behind = sorted(
            (
                (value - uniform[world], world)  # type: ignore[operator]  # it always answers
                for world, value in main.errors(model).items()
                if value is not None
            ),
            reverse=True,
        )[:3]
        rows.append(
            [
                shown(model),
                *(estimand or ["-"]),
                f"{better}" if model != "Uniform" else "",
                f"{worse}" if model != "Uniform" else "",
                ", ".join(f"{world} {100 * value:.0f}" for value, world in behind if value > 0.005),
                _median(own, "over_credit", "{:.1f}"),
                _median(own, "budget_regret", "{:.1%}"),
                _median(own, "seconds", "{:.3f}"),
                _median(own, "peak_mb", "{:.1f}"),
            ]
        )
    header = (
        *("model", "estimand", "beats Uniform in", "loses to it in", "furthest behind in (points)"),
        *("over-credit", "budget regret", "seconds", "MB"),
    )
    return table(header, rows)


def _median(rows: pl.DataFrame, column: str, form: str) -> str:
    value = rows.filter(pl.col(column).is_finite())[column].median()
    return "" if value is None else form.format(value)


def own_estimand(main: Main) -> str:
    """Models of removal effects against true removal effects, beside the true Shapley values."""
    numbers = main.results.table.filter(pl.col("estimand") == "removal_effect")
    models = numbers["model"].unique(maintain_order=True).to_list()
    by_model = {
        (model, metric): main.errors(model, metric)
        for model in models
        for metric in (ERROR, "total_variation_removal")
    }
    rows = [[world, *(_percent(by_model[key][world]) for key in by_model)] for world in main.worlds]
    words = {ERROR: "Shapley", "total_variation_removal": "removal"}
    return table(["world", *(f"{shown(model)}, {words[m]}" for model, m in by_model)], rows)


def regrets(main: Main) -> str:
    """World × model: budget regret."""
    columns = [*main.models, *CONTROLS]
    by_model = {model: main.errors(model, "budget_regret") for model in columns}
    rows = [
        [world, *(_percent(by_model[model][world]) for model in columns)] for world in main.worlds
    ]
    return table(["world", *map(shown, columns)], rows)


def along(results: Results, column: str, show: Callable[[Any], str]) -> str:
    """Share error by world and one of the dials (rows) and model (columns)."""
    means = means_along(results, column)
    models = means["model"].unique(maintain_order=True).to_list()
    at = {(r["world"], r[column], r["model"]): r["mean"] for r in means.iter_rows(named=True)}
    places = list(dict.fromkeys(key[:2] for key in at))
    rows = [
        [place[0], show(place[1]), *(_percent(at[*place, model]) for model in models)]
        for place in places
    ]
    return table(["world", column.replace("n_users", "users"), *map(shown, models)], rows)


def goals(results: Results, models: Sequence[str]) -> str:
    """Medians over seeds, by world and strength: share error, null credit, error of the baseline.

    The last is relative to the baseline itself. A dash stands where every channel works.
    """
    held = results.table.filter(pl.col("model").is_in(models)).with_columns(
        off=pl.col("baseline_error") / pl.col("true_baseline_share")
    )
    columns = (ERROR, "credit_to_null_channels", "off")
    medians = held.group_by("world", "strength", "model", maintain_order=True).agg(
        *(pl.col(name).median() for name in columns), n=pl.len()
    )
    at = {(r["world"], r["strength"], r["model"]): r for r in medians.iter_rows(named=True)}

    def cell(row: dict[str, Any] | None) -> str:
        if row is None or row[ERROR] is None:
            return "-"
        off = f"{100 * row['off']:+.0f}"
        return f"{_percent(row[ERROR])} / {_percent(row[columns[1]])} / {off}"

    places = list(dict.fromkeys(key[:2] for key in at))
    rows = [
        [place[0], f"{place[1]:g}", *(cell(at.get((*place, model))) for model in models)]
        for place in places
    ]
    return table(["world", "strength", *map(shown, models)], rows)


def means_along(results: Results, column: str, metric: str = ERROR) -> pl.DataFrame:
    """Mean over seeds by world, dial and model; null where some seed has no number."""
    value = pl.col(metric)
    return results.table.group_by("world", column, "model", maintain_order=True).agg(
        mean=pl.when(value.is_not_null().all()).then(value.mean()),
        median=value.median(),
    )


def coverages(results: Results) -> str:
    """Interval coverage by model, world and size."""
    held = results.table.filter(~pl.col("model").is_in(CONTROLS))
    columns = ("coverage_50", "coverage_80", "coverage_95", "width_95", "winkler_95")
    means = held.group_by("world", "n_users", "model", maintain_order=True).agg(
        *(pl.col(name).mean() for name in columns), n=pl.col("seed").n_unique()
    )
    rows = [
        [
            row["world"],
            f"{row['n_users']:,}",
            shown(row["model"]),
            str(row["n"]),
            *(_percent(row[name]) for name in columns[:4]),
            "-" if row["winkler_95"] is None else f"{row['winkler_95']:.2f}",
        ]
        for row in means.iter_rows(named=True)
    ]
    header = ("world", "users", "model", "logs", "50 % holds", "80 % holds", "95 % holds")
    return table((*header, "95 % width", "Winkler 95"), rows)


def rivals(results: Results) -> str:
    """Share error by model (rows) and world, with seconds and memory."""
    main = Main(results)
    models = [*main.models, *CONTROLS]
    by_model = {model: main.errors(model) for model in models}
    rows = []
    for model in models:
        own = results.table.filter(pl.col("model") == model)
        cost = (_median(own, "seconds", "{:.3g}"), _median(own, "peak_mb", "{:.0f}"))
        rows.append([shown(model), *map(_percent, by_model[model].values()), *cost])
    return table(("model", *main.worlds, "seconds", "MB"), rows)


def lift_tests(lines: Sequence[dict[str, str]]) -> str:
    """Means over seeds by what was tested."""
    columns = ("total_variation", "baseline_error", "coverage_90", "width_90", "cpu_seconds")
    rows = []
    for tests in dict.fromkeys(line["tests"] for line in lines):
        mine = [line for line in lines if line["tests"] == tests]
        mean = [sum(float(line[name]) for line in mine) / len(mine) for name in columns]
        cells = [f"{100 * value + 0.0:.1f}" for value in mean[:4]]
        rows.append([tests or "none", str(len(mine)), *cells, f"{mean[4]:.0f}"])
    header = ("tests", "logs", "share error", "baseline", "90 % holds", "90 % width", "seconds")
    return table(header, rows)


def failures(results: Results) -> str:
    """Models that failed, and why."""
    rows = [
        [shown(row["model"]), row["world"], str(row["n"]), row["error"].replace("|", "/")]
        for row in results.errors().iter_rows(named=True)
    ]
    return table(("model", "world", "logs", "reason"), rows) if rows else ""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value + 0.0:.1f}"
