"""marketing-attribution-models: rules, Markov and Shapley over polars tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import SEPARATOR, Credit, by_column, main, outcomes, scaled


def load() -> None:
    import mam  # type: ignore[import-not-found] # noqa: F401 (in its own environment only)


def read(file: str) -> Any:
    """Its grouped journeys: a row for every path and outcome, with the number of users."""
    import mam
    import polars as pl

    paths, converted, users = outcomes(file)
    table = pl.DataFrame(
        {"path": paths, "converted": [outcome == 1 for outcome in converted], "users": users}
    )
    return mam.MAM(
        table,
        format_type="grouped_journey",
        channels_colname="path",
        journey_with_conv_colname="converted",
        occurrences_colname="users",
        path_separator=SEPARATOR,
    )


def _credit(result: Any) -> Credit:
    given = result.to_dict()
    return by_column(given["channels"], given["attribution"])


def run(name: str, **settings: Any) -> Callable[[Any], Credit]:
    return lambda journeys: _credit(getattr(journeys, f"run_{name}")(**settings))


def removal_effects(journeys: Any) -> Credit:
    result = journeys.run_markov(transition_to_same_state=True)
    effects = result.metadata["removal_effect"]["removal_effect"]
    return scaled(effects, sum(_credit(result).values()))


MODELS = {
    "first touch": run("first_click"),
    "last touch": run("last_click"),
    "linear": run("linear"),
    "position based": run("position_based"),
    "Markov, order 1": run("markov", transition_to_same_state=True),
    "Markov, order 1, removal effects": removal_effects,
    "Shapley, rate": run("shapley", max_size=None, value_column="conv_rate"),
    "Shapley, conversions": run("shapley", max_size=None, value_column="conversions"),
    "Shapley, rate, default size": run("shapley"),
}

if __name__ == "__main__":
    main(load, read, MODELS)
