"""The section of the report on the default model: its goals, and its numbers by world."""

from __future__ import annotations

import polars as pl

from benchmarks.truth import goals as measured
from benchmarks.truth import report_tables as tables
from benchmarks.truth.goals import Goal, medians, world_of
from benchmarks.truth.kept import Kept, code, described
from benchmarks.truth.suites import ANSWER, UNDECLARED
from benchmarks.truth.text import table
from mta_models.benchmark import CONTROLS, Results

# Worlds in which exposure is random and everything is logged.
_CLEAN = (
    *("randomised", "synergy", "substitution", "saturation", "carry_over", "heterogeneous"),
    *("harmful_channel", "repeat"),
)
_ABOUT = (
    "Percent. A world's number is the median over its logs, those of three draws of its channels "
    "and effects together; goals are for means over worlds."
)


def goals_of(kept: Kept) -> list[Goal]:
    """Every goal whose rows were committed."""
    answer, few, intervals, visits = (
        kept.results(name) for name in ("answer", "answer_few", "answer_intervals", "visits")
    )
    one_thing = kept.results("answer_one_thing", "one_thing_rivals")
    found: list[Goal] = []
    if _ran(answer):
        found += measured.visits(answer, ANSWER)
    if _ran(visits, UNDECLARED):
        found += measured.undeclared(visits, UNDECLARED)
    if _ran(few):
        found += measured.few(few, ANSWER)
    if _ran(one_thing):
        models = [name for name in tables.Main(one_thing).models if name != ANSWER]
        best = measured.best_of(kept.results("main"), models)
        found += measured.one_thing(one_thing, ANSWER, best, models)
    for name, results in (("answer_intervals", intervals), ("answer", answer)):
        if _ran(results):
            found += measured.intervals(results, ANSWER, name)
    if _ran(answer):
        clean = [row for row in one_thing.rows if row["world"] in _CLEAN]
        found += measured.verdict(answer, Results(clean, "report"), ANSWER)
        found += measured.speed(kept.lines("speed"), ANSWER)
    return found


def _ran(results: Results, model: str = ANSWER) -> bool:
    """Whether there are rows of the model."""
    return any(row["model"] == model for row in results.rows)


def section(kept: Kept) -> list[str]:
    """For benchmarks/README.md."""
    goals = goals_of(kept)
    parts = ["### The answer"]
    parts += [_ABOUT, _goals_table(goals, commands=True)] if goals else []
    visits = kept.results("answer", "visits")
    if visits.rows:
        parts += [
            "#### Worlds of visits",
            f"Share error, medians over logs. {described(visits)}. {logs_of(visits)} Purchases "
            "happen in visits, which people enter through channels that cause nothing.",
            by_world(visits),
        ]
    few = kept.results("answer_few")
    if few.rows:
        parts += [
            "#### Some 800 conversions",
            f"Share error, medians over logs. {described(few)}.",
            by_world(few),
        ]
    for results in (kept.results("answer_intervals"), kept.results("answer")):
        if _ran(results):
            parts += [
                f"#### Its intervals, {results.table['conversions'].median():,.0f} conversions",
                "How often 90 % intervals hold the truth, in percent, of channels with an effect, "
                "of channels whose truth is 0 and of the baseline; and the mean width of channels' "
                f"intervals, in percent of all conversions. {described(results)}.",
                held_by_world(results),
            ]
    one_thing = kept.results("answer_one_thing", "one_thing_rivals")
    if one_thing.rows:
        parts += [
            "#### Worlds of one thing at a time, seeds for reporting",
            f"Share error, medians over logs. {described(one_thing)}. {logs_of(one_thing)}",
            by_world(one_thing),
        ]
    return parts if parts[1:] else []


def for_the_readme(kept: Kept) -> list[str]:
    """For README.md."""
    parts, goals, visits = [], goals_of(kept), kept.results("answer", "visits")
    if goals:
        answer = kept.results("answer")
        parts += [
            f"{code(ANSWER)}, the default: {described(answer)}. {_ABOUT}",
            _goals_table(goals, commands=False),
        ]
    if visits.rows:
        parts.append(
            "First where our older models lose. In worlds where purchases happen in visits, and "
            "visits begin at entrances (Direct, Brand Search, Organic Search, a coupon site) that "
            "cause nothing, `Hazard` and `SelfControlled` at their defaults give most credit to "
            "the entrances, and are worse than equal credit for every channel. A lag of 12 hours "
            "removes most of that error, and clicks that work at once with it. "
            f"{in_short(visits)} [benchmarks/README.md](benchmarks/README.md#the-answer) has each "
            "world. The worlds below differ from `randomised` in one thing each, and have no such "
            "entrances."
        )
    return parts


def in_short(visits: Results) -> str:
    """The mean over worlds of visits of each model's medians."""
    models = [*tables.Main(visits).models, "Uniform"]
    said = []
    for model in models:
        known = [each for each in medians(visits, model).values() if each is not None]
        said.append(f"{code(model)} {100 * sum(known) / len(known):.0f}")
    n_worlds = world_of(visits)["name"].n_unique()
    return f"Share error in {n_worlds} worlds of visits, mean of medians: {', '.join(said)}."


def logs_of(results: Results) -> str:
    """How many logs of a world the models were run on."""
    counts = world_of(results).group_by("model", "name", maintain_order=True).len("logs")
    least = counts.group_by("model", maintain_order=True).agg(pl.col("logs").min())
    most = least["logs"].max()
    fewer = [f"{code(model)} {n}" for model, n in least.iter_rows() if n != most]
    return f"Logs a world: {most}" + (f" ({', '.join(fewer)})." if fewer else ".")


def by_world(results: Results) -> str:
    """World × model: the median share error; the lowest of the models is bold."""
    models = [*tables.Main(results).models, "Uniform", "ExposureShare"]
    values = {model: medians(results, model) for model in models}
    own = [model for model in models if model not in CONTROLS]
    rows = []
    for world in values["Uniform"]:
        known = [each for model in own if (each := values[model].get(world)) is not None]
        least = min(known, default=None)
        cells = []
        for model in models:
            value = values[model].get(world)
            text = "-" if value is None else f"{100 * value:.1f}"
            cells.append(f"**{text}**" if value == least and model in own else text)
        logs = world_of(results).filter(name=world, model=models[0])
        rows.append([world, f"{len(logs)}", f"{logs['conversions'].mean():,.0f}", *cells])
    return table(["world", "logs", "conversions", *map(tables.shown, models)], rows)


def held_by_world(results: Results) -> str:
    """World × kind: how often 90 % intervals hold the truth."""
    columns = [*measured.HELD.values(), "width_90_channels"]
    own = world_of(results).filter(pl.col("model") == ANSWER)
    found = own.group_by("name", maintain_order=True).agg(
        pl.len().alias("logs"), *(pl.col(name).mean() for name in columns)
    )
    rows = [
        [
            row["name"],
            f"{row['logs']}",
            *("-" if row[name] is None else f"{100 * row[name]:.0f}" for name in columns),
        ]
        for row in found.iter_rows(named=True)
    ]
    return table(["world", "logs", *measured.HELD, "width"], rows)


def _goals_table(goals: list[Goal], *, commands: bool) -> str:
    header = ["", "goal", "measured", ""] + ["rows"] * commands
    rows = [
        [
            each.about,
            each.wanted,
            each.measured if commands else each.measured.partition(";")[0],
            {True: "met", False: "**missed**", None: ""}[each.met],
            *([_command(each.suite)] if commands else []),
        ]
        for each in goals
    ]
    return table(header, rows)


def _command(suite: str) -> str:
    """What computes the rows of a goal."""
    return f"`{suite}`" if suite.startswith("python") else f"`benchmarks.truth.run {suite}`"
