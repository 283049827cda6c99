"""Sections of the report on single questions: large logs, strength, size, intervals, lift tests."""

from __future__ import annotations

import polars as pl

from benchmarks.truth import lift_tests as tests
from benchmarks.truth import report_tables as tables
from benchmarks.truth.kept import Kept, described
from benchmarks.truth.suites import LAGGED
from mta_models.benchmark import CONTROLS

LARGE = ("LastTouch", "Hazard", "SelfControlled", LAGGED)


def large(kept: Kept) -> list[str]:
    large = kept.results("large")
    if not large.rows:
        return []
    return [
        "### Logs of some 5,000 conversions",
        f"{described(large)}. Medians over seeds: share error / credit to channels "
        "without effect, in percent of all conversions / error of the baseline, in percent of "
        "the true baseline.",
        tables.goals(large, LARGE),
    ]


def doubly_robust(kept: Kept) -> list[str]:
    results = kept.results("doubly_robust")
    if not results.rows:
        return []
    main = tables.Main(results)
    return [
        "### Doubly robust",
        f"Share error beside the other incremental models. {described(results)}. "
        "With this few seeds, differences of some points are chance. "
        "[doubly_robust.md](../docs/doubly_robust.md) lists other methods that were tried.",
        tables.share_errors(main, main.worlds, main.models),
    ]


def dials(kept: Kept) -> list[str]:
    parts = []
    strength, size = kept.results("strength"), kept.results("size")
    if strength.rows:
        parts += [
            "### Strength",
            f"Share error as the mechanism grows. {described(strength)}.",
            "![Share error against strength](results/strength.svg)",
            tables.along(strength, "strength", lambda x: f"{x:g}"),
        ]
    if size.rows:
        parts += [
            "### Data",
            f"Share error, seconds and memory as the log grows. {described(size)}.",
            "![Share error against users](results/size.svg)",
            tables.along(size, "n_users", lambda x: f"{x:,}"),
            "![Seconds and memory against users](results/cost.svg)",
        ]
    return parts


def intervals(kept: Kept) -> list[str]:
    results = kept.results("intervals")
    if not results.rows:
        return []
    draws = results.table.filter(~pl.col("model").is_in(CONTROLS))["draws"].max()
    return [
        "### Intervals",
        "Percent of channels and baselines, taken together, whose interval (of a bootstrap, or "
        "the model's own) holds the truth; mean width and Winkler score per true conversion. "
        f"{described(results)}; {draws} draws.",
        "Intervals include chance in who was observed, not bias. Numbers of seeds and worlds "
        "differ between models, so compare models within one world. The incremental models "
        "have seeds 0 to 2 here, on which their bootstrap was designed. On twelve other logs "
        "of 20,000 users, 95 % intervals held: in `randomised` `Hazard` 92 % (its baseline "
        "67 %) and `SelfControlled` 88 %; in `intent` `SelfControlled` 92 % (of channels "
        "without effect 75 %) and `Hazard` 27 %. Those logs are not among the rows below.",
        "![How often intervals hold the truth](results/coverage.svg)",
        tables.coverages(results),
    ]


def lift_tests(kept: Kept) -> list[str]:
    lines = tests.read()
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


def rivals(kept: Kept) -> list[str]:
    results = kept.results("rivals")
    if not results.rows:
        return []
    return [
        "### Rivals",
        "Share error on the same journeys, our models first; medians of seconds and MB of a "
        "fit. For other packages these are of a process of their own, including imports and "
        f"the reading of the file. {described(results)}. Rules are left out: they are the "
        "same in all packages.",
        tables.rivals(results),
    ]
