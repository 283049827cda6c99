"""Journeys at the edge of what can be: every model answers, or says in its own words why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.models.base import clone
from tests.contract.test_parameters import FORMS, UNFITTED

MODELS = {
    "-".join([cls.__name__, *map(str, form)]): cls(**form)
    for cls, form in FORMS
    if cls.__name__ not in UNFITTED
} | {
    "Markov fail": mta.Markov(removal="fail"),
    "Markov detour": mta.Markov(removal="detour"),
    "Markov smoothed": mta.Markov(smoothing=0.5),
    "Logistic backward": mta.Logistic(counterfactual="backward"),
    "Logistic removal": mta.Logistic(split="removal"),
    "Logistic days": mta.Logistic(rows="days"),
    "Hazard moment": mta.Hazard(counterfactual="moment"),
    "Hazard lag": mta.Hazard(lag="12h"),
    "SelfControlled moment": mta.SelfControlled(counterfactual="moment"),
    "DoublyRobust past": mta.DoublyRobust(history="past"),
}
# These logs have no stages and fewer than 30 conversions; a model of conversions knows no value.
REFUSE = {
    "MilestoneBased-weights",
    "WShaped",
    "FullPath",
    "Shapley-characteristic_function-model",
    "Incremental",
}


def events(
    touchpoints: list[tuple[int, float, str]],
    conversions: list[tuple[int, float, float]],
    n_users: int = 20,
    days: float = 30.0,
) -> mta.Journeys:
    """A log of touchpoints (user, day, channel) and conversions (user, day, value)."""
    rows: list[tuple[Any, ...]] = [
        (user, day, channel, 0, 0.0) for user, day, channel in touchpoints
    ]
    rows += [(user, day, None, 1, value) for user, day, value in conversions]
    schema = {
        "user": pl.Int64,
        "day": pl.Float64,
        "channel": pl.String,
        "bought": pl.Int64,
        "value": pl.Float64,
    }
    everyone = pl.DataFrame({"user": range(n_users)}).with_columns(start=0.0, end=days)
    return mta.read_events(
        pl.DataFrame(rows, schema=schema, orient="row").sort("day"),
        user="user",
        time="day",
        channel="channel",
        conversion="bought",
        value="value",
        observed=everyone,
    )


def some(seed: int = 0) -> tuple[list[tuple[int, float, str]], list[tuple[int, float, float]]]:
    """Touchpoints of twenty users, and conversions of most of them, some twice."""
    rng = np.random.default_rng(seed)
    met = [
        (user, float(day), "AB"[rng.integers(2)])
        for user in range(20)
        for day in rng.uniform(0, 28, 3)
    ]
    bought = [(int(user), float(rng.uniform(5, 29)), 3.0) for user in rng.integers(0, 20, 14)]
    return met, bought


MET, BOUGHT = some()
NUMBERED = list(enumerate(BOUGHT))
ONCE = list({user: (user, day, value) for user, day, value in BOUGHT}.values())
LOGS = {
    "values all 0": events(MET, [(user, day, 0.0) for user, day, _ in BOUGHT]),
    "values all 0, one conversion each": events(MET, [(user, day, 0.0) for user, day, _ in ONCE]),
    "one value above 0": events(
        MET, [(user, day, 5.0 * (i == 0)) for i, (user, day, _) in enumerate(BOUGHT)]
    ),
    "values that cancel": events(
        MET, [(u, d, 5.0 * (-1) ** i) for i, (u, d, _) in enumerate(BOUGHT)]
    ),
    "a negative value": events(
        MET, [(u, d, 5.0 - 9 * (i == 0)) for i, (u, d, _) in enumerate(BOUGHT)]
    ),
    "no touchpoint": events([], BOUGHT),
    "no touchpoint of any channel known": events([], BOUGHT).recode(("A", "B")),
    "one channel": events([(user, day, "A") for user, day, _ in MET], BOUGHT),
    "a channel never met": events(MET, BOUGHT).recode(("A", "B", "C")),
    "one conversion": events(MET, BOUGHT[:1]),
    "one user": events([(0, 1.0, "A"), (0, 2.0, "B")], [(0, 3.0, 1.0)], 1),
    "everybody converts": events(MET, [(user, 29.0, 1.0) for user in range(20)]),
    "all at once": events(
        [(user, 3.0, "A") for user in range(20)], [(user, 3.0, 1.0) for user in range(9)]
    ),
    "touchpoints after conversions only": events(
        [(u, 20.0, "A") for u in range(20)], [(u, 5.0, 1.0) for u in range(9)]
    ),
    "a log of one instant": events([(0, 0.0, "A"), (1, 0.0, "B")], [(0, 0.0, 1.0)], 2, 0.0),
}
LOGS |= {
    "rows without touchpoint": mta.Journeys.from_paths([[]], [3], [7], value=[5.0]),
    "rows without touchpoint or null": mta.Journeys.from_paths([[], []], [3, 1], value=[5.0, 2.0]),
    "rows with values all 0": mta.Journeys.from_arrays(
        "AB", [0, 1, 0], [0, 2, 3, 3], [2, 1, 1], [3, 4, 9], [0.0, 0.0, 0.0],
        age=[2.0, 1.0, 3.0], at_risk=[9.0, 9.0, 9.0],
    ),
    "rows of values that cancel": mta.Journeys.from_arrays(
        "AB", [0, 1, 0], [0, 2, 3, 3], [2, 1, 1], [3, 4, 9], [5.0, -5.0, 0.0],
        age=[2.0, 1.0, 3.0], at_risk=[9.0, 9.0, 9.0],
    ),
    "rows of a negative value": mta.Journeys.from_arrays(
        "AB", [0, 1, 0], [0, 2, 3, 3], [2, 1, 1], [3, 4, 9], [5.0, -9.0, 0.0],
        age=[2.0, 1.0, 3.0], at_risk=[9.0, 9.0, 9.0],
    ),
    "rows of small and great counts": mta.Journeys.from_arrays(
        "AB", [0, 1, 0], [0, 2, 3, 3], [0.5, 1e-9, 0.25], [3e6, 4, 9], [1.0, 2.0, 0.0],
        age=[2.0, 1.0, 3.0], at_risk=[9.0, 9.0, 9.0],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::mta_models.MTAWarning")
@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("label", MODELS)
def test_it_answers_or_says_why_not(label: str, log: str) -> None:
    journeys = LOGS[log]
    try:
        model = clone(MODELS[label]).fit(journeys)
    except mta.MTAError:
        return
    for of in ("conversions", "value"):
        for ask in (model.attribute, model.touchpoint_credit):
            try:
                result: Any = ask(journeys, of=of)
            except mta.InvariantError:
                raise  # a bug of ours is no answer
            except mta.MTAError:
                continue
            assert np.isfinite(getattr(result, "credit", result)).all()


def answers(label: str, log: str, of: str) -> mta.Attribution | None:
    """The model's attribution, or None where it refuses the log."""
    try:
        return clone(MODELS[label]).fit_attribute(LOGS[log], of=of)
    except mta.InvariantError:
        raise
    except mta.MTAError:
        return None


@pytest.mark.filterwarnings("ignore::mta_models.MTAWarning")
@pytest.mark.parametrize("label", MODELS)
def test_conversions_worth_nothing_credit_nothing(label: str) -> None:
    given = [answers(label, log, "value") for log in LOGS if "all 0" in log]
    for result in given:
        assert result is None or not (result.credit.any() or result.baseline)
    assert any(given) or label in REFUSE


@pytest.mark.filterwarnings("ignore::mta_models.MTAWarning")
@pytest.mark.parametrize("label", MODELS)
def test_conversions_without_touchpoints_are_the_baselines(label: str) -> None:
    given = [answers(label, log, "conversions") for log in LOGS if "no touchpoint" in log]
    for log in ("no touchpoint", "rows without touchpoint"):
        result = answers(label, log, "conversions")
        assert result is None or result.baseline == pytest.approx(LOGS[log].total)
        given.append(result)
    assert any(given) or label == "Incremental"
