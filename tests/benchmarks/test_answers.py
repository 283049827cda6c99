"""Goals of the default model: what is met and what is missed, from rows with known numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.truth import answers, goals, report
from benchmarks.truth.kept import Kept
from benchmarks.truth.suites import ANSWER
from mta_models.benchmark import Results, rows

World = Mapping[str, Sequence[float | None]]  # by column, a value for each log


def made(worlds: Mapping[tuple[str, str], World], n_users: int = 35_000) -> Results:
    """Rows for reporting of (world, model): values by column and log."""
    found = []
    for (world, model), columns in worlds.items():
        for i in range(max(map(len, columns.values()))):
            values: dict[str, Any] = {name: each[i] for name, each in columns.items()}
            about = {"world": world, "model": model, "seed": 100 + i, "strength": 0.5}
            about |= {"n_users": n_users, "conversions": 5_000.0, "versions": "mta_models 1"}
            found.append(rows.as_text({**about, **values}))
    return Results(found, "report")


def of(model: str, world: str, *errors: float | None, **columns: Any) -> dict[Any, World]:
    """The rows of a model in a world."""
    same = {name: [value] * len(errors) for name, value in columns.items()}
    return {(world, model): {"total_variation": errors, **same}}


def by_about(found: Sequence[goals.Goal], words: str) -> goals.Goal:
    (goal,) = (each for each in found if words in each.about)
    return goal


GOOD = {
    "null_share": 0.02,
    "relative_baseline_error": -0.1,
    "coverage_90_effect": 0.9,
    "coverage_90_null": 0.9,
    "coverage_90_baseline": 0.9,
    "width_90_channels": 0.1,
}


def visits(clicks: Sequence[float | None], slow: float, **changed: Any) -> Results:
    """Two worlds, the first of two draws."""
    columns = GOOD | changed
    return made(
        {
            **of(ANSWER, "visits_clicks_draw_2", *clicks, **columns),
            **of(ANSWER, "visits_clicks_draw_3", *clicks, **columns),
            **of(ANSWER, "visits_slow_draw_2", slow, slow, slow, **columns),
            **of("LastTouch", "visits_clicks_draw_2", 0.5, 0.5, 0.5),
            **of("Linear", "visits_clicks_draw_2", 0.15, 0.15, 0.15),
            **of("Linear", "visits_slow_draw_2", 0.6, 0.6, 0.6),
        }
    )


def test_a_world_is_the_median_over_its_draws_and_logs() -> None:
    found = visits([0.02, 0.04, 0.9], 0.14)
    assert goals.medians(found, ANSWER) == {"visits_clicks": 0.04, "visits_slow": 0.14}
    # A log without a result leaves the world without a number.
    assert goals.medians(visits([0.02, 0.04, None], 0.14), ANSWER)["visits_clicks"] is None


def test_the_page_says_how_many_logs_each_model_was_run_on() -> None:
    assert answers.logs_of(visits([0.1, 0.1, 0.1], 0.1)) == "Logs a world: 3."
    cells = {
        **of(ANSWER, "visits_slow_draw_2", 0.1, 0.1),
        **of("Linear", "visits_slow_draw_2", 0.1),
    }
    assert answers.logs_of(made(cells)) == "Logs a world: 2 (`Linear` 1)."


def test_goals_that_are_met() -> None:
    found = goals.visits(visits([0.02, 0.04, 0.9], 0.14), ANSWER)
    missed = [goal for goal in found if goal.met is False]
    assert not missed
    assert by_about(found, "error, mean").measured == "9.0 in 2 worlds"
    assert by_about(found, "worst world").measured == "14.0 in visits_slow; above 18 in 0 of 2"
    assert by_about(found, "worse than").measured == "worse in 0 of 2"


def test_goals_that_are_missed() -> None:
    found = goals.visits(visits([0.02, 0.16, 0.9], 0.2), ANSWER)
    assert not by_about(found, "error, mean").met
    assert by_about(found, "worst world").measured == "20.0 in visits_slow; above 18 in 1 of 2"
    worse = by_about(found, "worse than")
    assert not worse.met
    assert worse.measured == "worse in 1 of 2; visits_clicks (16.0 against 15.0)"
    missing = goals.visits(visits([0.02, 0.04, None], 0.14), ANSWER)
    assert not by_about(missing, "error, mean").met
    assert "no number in visits_clicks" in by_about(missing, "error, mean").measured
    assert not by_about(missing, "worst world").met
    assert not by_about(missing, "worse than").met
    changed = {"null_share": 0.05, "relative_baseline_error": -0.2}
    for column, words in zip(changed, ("without effect", "baseline"), strict=True):
        off = visits([0.02, 0.04, 0.9], 0.14, **{column: changed[column]})
        assert not by_about(goals.visits(off, ANSWER), words).met


def test_the_simple_rules_are_compared_on_the_same_logs() -> None:
    cells = {
        **of(ANSWER, "visits_clicks_draw_2", 0.3, **GOOD),
        **of("Linear", "visits_clicks_draw_2", 0.4, 0.1, 0.1),
    }
    assert by_about(goals.visits(made(cells), ANSWER), "worse than").met


def test_the_baseline_counts_where_the_verdict_calls_it_identified() -> None:
    cells = {
        **of(ANSWER, "visits_clicks_draw_2", 0.1, **GOOD, baseline_identified=1),
        **of(ANSWER, "visits_slow_draw_2", 0.1, **GOOD | {"relative_baseline_error": 9.0}),
    }
    cells["visits_slow_draw_2", ANSWER] = {
        **cells["visits_slow_draw_2", ANSWER],
        "baseline_identified": [0],
    }
    goal = by_about(goals.visits(made(cells), ANSWER), "baseline")
    assert goal.met
    assert "1 of 2 logs all of whose channels are identified" in goal.about


def test_intervals_must_hold_in_every_world_and_not_too_often() -> None:
    columns = {name: value for name, value in GOOD.items() if "90" in name}
    good = of(ANSWER, "visits_clicks_draw_2", 0.1, **columns)
    wide = of(ANSWER, "visits_slow_draw_2", 0.1, **columns | {"coverage_90_null": 1.0})
    coupon = of(ANSWER, f"{goals.COUPON}_draw_2", 0.1, **columns | {"width_90_channels": 0.9})
    found = goals.intervals(made({**good, **wide, **coupon}), ANSWER, "answer_intervals")
    assert by_about(found, "channels with effect").met
    null = by_about(found, "of channels without hold")
    assert not null.met
    assert null.measured == "93 over worlds, within in 2 of 3; not in visits_slow 100"
    assert by_about(found, "width").met  # the coupon's intervals ought to be wide


def test_the_best_other_model_is_chosen_on_seeds_for_development() -> None:
    development = Results(
        [
            rows.as_text({"world": w, "model": m, "seed": 0, "strength": 0.5, "n_users": 1, **e})
            for w, m, e in (
                ("intent", "Linear", {"total_variation": 0.3}),
                ("intent", "Hazard", {"total_variation": 0.2}),
                ("rare", "Linear", {"total_variation": 0.3}),
                ("rare", "Hazard", {"error": "none"}),
            )
        ]
    )
    models = ["Linear", "Hazard"]
    best = goals.best_of(development, models)
    assert best == {"intent": "Hazard", "rare": "Linear"}
    # On seeds for reporting another one is better, which does not change the choice.
    found = made(
        {
            **of(ANSWER, "intent", 0.11),
            **of("Hazard", "intent", 0.1),
            **of("Linear", "intent", 0.01),
            **of(ANSWER, "rare", 0.4),
            **of("Linear", "rare", 0.3),
        }
    )
    goal = by_about(goals.one_thing(found, ANSWER, best, models), "within 2 points")
    assert goal.measured == "1; not in rare (40.0 against 30.0, Linear)"
    assert (
        by_about(goals.one_thing(found, ANSWER, best, models), "mean without rare").measured
        == "11.0 in 1 worlds"
    )
    assert (
        by_about(goals.one_thing(found, ANSWER, best, models), "error in rare").measured == "40.0"
    )
    refused = Results(
        [
            row | {"total_variation": "", "error": "few", "conversions": "17"}
            if (row["world"], row["model"]) == ("rare", ANSWER)
            else row
            for row in found.rows
        ],
        "report",
    )
    said = by_about(goals.one_thing(refused, ANSWER, best, models), "error in rare").measured
    assert said == "refused on 1 of 1 logs, of 17 to 17 conversions"


def test_a_verdict_is_counted_over_channels_of_all_logs() -> None:
    counts = {"n_channels": 10, "n_identified": 7, "n_missed": 2, "n_missed_identified": 1}
    found = made(of(ANSWER, "visits_clicks_draw_2", 0.1, 0.1, **counts))
    clean = made(of(ANSWER, "randomised", 0.1, **counts))
    missed, identified, wrongly = goals.verdict(found, clean, ANSWER)
    assert (missed.measured, missed.met) == ("50.0 of 4", False)
    assert (identified.measured, identified.met) == ("70.0", True)
    assert (wrongly.measured, wrongly.met) == ("20.0 of 10", False)
    assert goals.verdict(made(of(ANSWER, "visits_clicks_draw_2", 0.1)), clean, ANSWER) == []


def test_goals_of_speed_come_from_the_speed_benchmark() -> None:
    line = {"work": f"{ANSWER}: 30,000 users", "goal": "5.0", "ours": "4.26", "met": "met"}
    other = line | {"work": "Hazard: 30,000 users"}
    memory = line | {"goal": ""}
    (goal,) = goals.speed([other, line, memory], ANSWER)
    assert (goal.measured, goal.met, goal.wanted) == ("4.3", True, "≤ 5")
    assert not goals.speed([line | {"met": "missed"}], ANSWER)[0].met


def test_the_section_has_every_goal_and_says_which_are_missed(tmp_path: Path) -> None:
    answer = visits([0.02, 0.16, 0.9], 0.2)
    uniform = made(
        {
            **of("Uniform", "visits_clicks_draw_2", 0.5),
            **of("Uniform", "visits_slow_draw_2", 0.5),
            **of("ExposureShare", "visits_clicks_draw_2", 0.5),
        }
    )
    rows.write(tmp_path / "answer.csv", [*answer.rows, *uniform.rows])
    kept = Kept(tmp_path)
    text = "\n\n".join(answers.section(kept))
    found = answers.goals_of(kept)
    for goal in found:
        (line,) = (each for each in text.splitlines() if goal.about in each)
        assert ("**missed**" in line) != goal.met
        assert goal.measured in line
    assert "for reporting (from 100 on and draws from 2 on" in answers.for_the_readme(kept)[0]
    assert answers.section(Kept(tmp_path / "nothing")) == []
    assert answers.for_the_readme(Kept(tmp_path / "nothing")) == []


def test_goals_refuse_rows_for_development(tmp_path: Path) -> None:
    one = visits([0.1], 0.1).rows[0] | {"seed": "99"}
    rows.write(tmp_path / "answer.csv", [one])
    with pytest.raises(ValueError, match="a report must be of seeds from 100 on"):
        answers.goals_of(Kept(tmp_path))
    assert isinstance(report.Report(Kept(tmp_path)), report.Report)
