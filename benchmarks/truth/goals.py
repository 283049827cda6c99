"""The goals of the default model, and whether the rows of its suites meet them.

Every number is of logs for reporting: results of other rows are refused. A world is all its draws
together; its number is the median over logs, and goals are set for means over worlds. A world in
which the model has no result on some log has no number, and a goal with such a world is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import polars as pl

from benchmarks.truth.report_tables import ERROR, shown
from mta_models.benchmark import Results

Numbers = Mapping[str, float | None]  # by world, or by world and model
SIMPLE = ("Linear", "LastTouch")
RARE = "rare"  # some 20 conversions: reported apart
COUPON = "visits_closing_coupon"  # no log can tell what this coupon does
HELD = {
    "channels with effect": "coverage_90_effect",
    "channels without": "coverage_90_null",
    "baseline": "coverage_90_baseline",
}
_LEAST, _MOST = 0.85, 0.95  # how often 90 % intervals should hold the truth


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        about: what is measured.
        wanted: the goal, in words.
        measured: what the rows give, in words; after a semicolon the worlds it is about.
        met: whether it is reached; None where a number is only reported.
        suite: whose rows these are.
    """

    about: str
    wanted: str
    measured: str
    met: bool | None
    suite: str


def world_of(results: Results) -> pl.DataFrame:
    """The rows with `name`: the world without its draw."""
    return results.table.with_columns(name=pl.col("world").str.replace(r"_draw_\d+$", ""))


def medians(
    results: Results, model: str, column: str = ERROR, *, absolute: bool = False
) -> dict[str, float | None]:
    """By world the median over logs; None where the model has no result on some log.

    Logs on which the column alone is empty are left out: there a world has no channel without
    effect, or there is no baseline.
    """
    value = pl.col(column).abs() if absolute else pl.col(column)
    own = world_of(results).filter(pl.col("model") == model)
    found = own.group_by("name", maintain_order=True).agg(
        pl.when(pl.col(ERROR).is_not_null().all()).then(value.median()).alias("median")
    )
    return dict(found.iter_rows())


def means(results: Results, model: str, column: str) -> dict[str, float | None]:
    """By world the mean over logs."""
    own = world_of(results).filter(pl.col("model") == model)
    found = own.group_by("name", maintain_order=True).agg(pl.col(column).mean())
    return dict(found.iter_rows())


def _mean_goal(about: str, at_most: float, values: Numbers, suite: str, unit: float = 100) -> Goal:
    """A goal for the mean over worlds."""
    known = [value for value in values.values() if value is not None]
    gone = [world for world, value in values.items() if value is None]
    measured = f"{unit * mean(known):.1f} in {len(known)} worlds" if known else "no rows"
    if gone:
        measured += f"; no number in {', '.join(gone)}"
    met = bool(known) and not gone and mean(known) <= at_most
    return Goal(about, f"≤ {unit * at_most:g}", measured, met, suite)


def visits(results: Results, model: str) -> list[Goal]:
    """Goals in worlds of visits at 4,000 to 7,000 conversions."""
    suite = "answer"
    errors = medians(results, model)
    nulls = {k: v for k, v in medians(results, model, "null_share").items() if v is not None}
    (worst, most) = max(((w, e) for w, e in errors.items() if e is not None), key=lambda x: x[1])
    gone = [world for world, error in errors.items() if error is None]
    return [
        _mean_goal("worlds of visits: share error, mean", 0.10, errors, suite),
        Goal(
            "worlds of visits: share error, worst world",
            "≤ 18",
            f"{100 * most:.1f} in {worst}; above 18 in "
            f"{sum(e is not None and e > 0.18 for e in errors.values())} of {len(errors)}",
            most <= 0.18 and not gone,
            suite,
        ),
        _mean_goal("worlds of visits: credit of all channels without effect", 0.04, nulls, suite),
        _baseline(results, model, suite),
        _never_worse("worlds of visits", results, model, suite),
    ]


def undeclared(results: Results, model: str) -> list[Goal]:
    """The goal where no channel is declared or guessed to be an entrance."""
    about = "worlds of visits, no entrance declared: share error, mean"
    return [_mean_goal(about, 0.15, medians(results, model), "visits")]


def _baseline(results: Results, model: str, suite: str) -> Goal:
    """The baseline's relative error, where the verdict calls it identified; if nowhere, anywhere.

    The goal on all logs is stricter than the one that was set.
    """
    own = results.table.filter(pl.col("model") == model)
    sure = own.filter(pl.col("baseline_identified") == 1)
    identified = set(sure.select("world", "seed").iter_rows())
    about, here = "worlds of visits: baseline, relative error", results
    if identified:
        rows = [row for row in results.rows if (row["world"], int(row["seed"])) in identified]
        here = Results(rows, "report")
        about += f", {len(identified)} of {len(own)} logs all of whose channels are identified"
    else:
        about += f", all {len(own)} logs; all channels are called identified in none"
    errors = medians(here, model, "relative_baseline_error", absolute=True)
    return _mean_goal(about, 0.15, errors, suite)


def _never_worse(where: str, results: Results, model: str, suite: str) -> Goal:
    """In no world worse than the better of the simple rules, on the same logs."""
    results = _logs_of(results, model)
    own = medians(results, model)
    others = [medians(results, each) for each in SIMPLE]
    worse = []
    for world, error in own.items():
        best = min((each[world] for each in others if each.get(world) is not None), default=None)
        if best is not None and (error is None or error > best):
            worse.append(f"{world} ({_points(error)} against {_points(best)})")
    measured = f"worse in {len(worse)} of {len(own)}" + (f"; {', '.join(worse)}" if worse else "")
    about = f"{where}: worse than {' or '.join(SIMPLE)}"
    return Goal(about, "in no world", measured, not worse, suite)


def _logs_of(results: Results, model: str) -> Results:
    """The rows of the logs that the model was run on."""
    logs = {(row["world"], row["seed"]) for row in results.rows if row["model"] == model}
    rows = [row for row in results.rows if (row["world"], row["seed"]) in logs]
    return Results(rows, results.purpose)


def one_thing(
    results: Results, model: str, best: Mapping[str, str], candidates: Sequence[str]
) -> list[Goal]:
    """Goals in worlds of one thing at a time.

    Args:
        results: rows of the model and of the other models in these worlds.
        model: the default model.
        best: by world the candidate that did best on seeds for development; a world that was not
            run on these is not compared.
        candidates: the other models that were run.
    """
    suite = "answer_one_thing"
    results = _logs_of(results, model)
    errors = medians(results, model)
    others = {each: medians(results, each) for each in set(best.values())}
    compared = [world for world in errors if world in best]
    near, far = 0, []
    for world in compared:
        error, other = errors[world], others[best[world]].get(world)
        if error is not None and other is not None and error <= other + 0.02:
            near += 1
        else:
            named = f"{_points(error)} against {_points(other)}, {shown(best[world])}"
            far.append(f"{world} ({named})")
    wanted = len(compared) - 2
    return [
        _mean_goal(
            f"one thing at a time: share error, mean without {RARE}",
            0.085,
            {world: error for world, error in errors.items() if world != RARE},
            suite,
        ),
        Goal(f"share error in {RARE}", "reported", _rare(results, model, errors), None, suite),
        Goal(
            "one thing at a time: within 2 points of the best other model, chosen on seeds for "
            f"development of {', '.join(map(shown, candidates))}",
            f"in ≥ {wanted} of {len(compared)}",
            f"{near}" + (f"; not in {', '.join(far)}" if far else ""),
            near >= wanted,
            f"{suite} one_thing_rivals",
        ),
        _never_worse("one thing at a time", results, model, suite),
    ]


def _rare(results: Results, model: str, errors: Numbers) -> str:
    """The number of the smallest logs, or on how many of them the model refuses to answer."""
    own = results.table.filter((pl.col("model") == model) & (pl.col("world") == RARE))
    refused = own.filter(pl.col("error") != "")
    if not len(refused):
        return _points(errors.get(RARE))
    least, most = refused["conversions"].min(), refused["conversions"].max()
    return f"refused on {len(refused)} of {len(own)} logs, of {least:g} to {most:g} conversions"


def few(results: Results, model: str) -> list[Goal]:
    """The goal at some 800 conversions."""
    about = "worlds of visits, some 800 conversions: share error, mean"
    return [_mean_goal(about, 0.20, medians(results, model), "answer_few")]


def speed(lines: Iterable[Mapping[str, str]], model: str) -> list[Goal]:
    """The goals of `benchmarks.speed` for the model, by the lines of its file."""
    return [
        Goal(
            f"seconds: {line['work'].partition(': ')[2]}",
            f"≤ {float(line['goal']):g}",
            f"{float(line['ours']):.1f}",
            line["met"] == "met",
            "python -m benchmarks.speed",
        )
        for line in lines
        if line["work"].startswith(f"{model}: ") and line["goal"]
    ]


def intervals(results: Results, model: str, suite: str) -> list[Goal]:
    """Goals of 90 % intervals."""
    conversions = results.table["conversions"].median()
    size = f", {conversions:,.0f} conversions"
    found = []
    for words, column in HELD.items():
        held = means(results, model, column)
        known = {world: value for world, value in held.items() if value is not None}
        off = [
            f"{world} {100 * value:.0f}"
            for world, value in known.items()
            if not _LEAST <= value <= _MOST
        ]
        measured = f"{100 * mean(known.values()):.0f} over worlds, " if known else ""
        measured += f"within in {len(known) - len(off)} of {len(known)}"
        measured += f"; not in {', '.join(off)}" if off else ""
        about = f"90 % intervals of {words} hold the truth, percent of logs{size}"
        found.append(Goal(about, "85 to 95 in every world", measured, not off, suite))
    wide = {
        world: value
        for world, value in means(results, model, "width_90_channels").items()
        if world != COUPON
    }
    about = (
        f"width of 90 % intervals of channels, percent of all conversions, without {COUPON}{size}"
    )
    return [*found, _mean_goal(about, 0.12, wide, suite)]


def verdict(results: Results, clean: Results, model: str) -> list[Goal]:
    """Goals of the verdict on channels; none for a model without one.

    Args:
        results: of worlds of visits.
        clean: of worlds where exposure is random.
        model: the default model.
    """
    own = results.table.filter((pl.col("model") == model) & pl.col("n_channels").is_not_null())
    if not len(own):
        return []
    sums = own.select(pl.col("n_missed", "n_missed_identified").sum()).row(0)
    open_ = own.filter(~pl.col("world").str.starts_with(COUPON))
    identified = open_["n_identified"].sum() / open_["n_channels"].sum()
    goals = [
        _share_goal(
            "channels that the interval misses: not called identified",
            0.90,
            1 - sums[1] / sums[0] if sums[0] else 1.0,
            f" of {sums[0]:,}",
        ),
        _share_goal(f"channels called identified, without {COUPON}", 0.60, identified),
    ]
    here = clean.table.filter((pl.col("model") == model) & pl.col("n_channels").is_not_null())
    if len(here):
        channels, n_identified, missed, both = here.select(
            pl.col("n_channels", "n_identified", "n_missed", "n_missed_identified").sum()
        ).row(0)
        wrongly = (channels - n_identified - (missed - both)) / channels
        measured = f"{100 * wrongly:.1f} of {channels:,}"
        about = "where exposure is random, channels not called identified though the interval holds"
        goals.append(Goal(about, "≤ 5", measured, wrongly <= 0.05, "answer_one_thing"))
    return goals


def _share_goal(about: str, at_least: float, value: float, of: str = "") -> Goal:
    measured = f"{100 * value:.1f}{of}"
    return Goal(about, f"≥ {100 * at_least:g}", measured, value >= at_least, "answer")


def best_of(development: Results, models: Iterable[str]) -> dict[str, str]:
    """By world the model with the lowest mean share error on seeds for development."""
    board = development.leaderboard(ERROR).filter(pl.col("model").is_in(list(models)))
    return {
        world: board.sort(world, nulls_last=True, maintain_order=True)["model"][0]
        for world in board.columns[2:]
    }


def _points(error: float | None) -> str:
    return "no number" if error is None else f"{100 * error:.1f}"
