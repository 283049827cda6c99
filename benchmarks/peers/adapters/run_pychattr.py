"""pychattr: rules, and Markov chains whose removal effects it simulates in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import Credit, by_column, frame, main

# Its Markov chain splits at the first character of the separator, so this must be one character.
_COLUMNS = {"path_feature": "path", "conversion_feature": "conversions", "separator": ">"}


def load() -> None:
    import pychattr.channel_attribution  # type: ignore[import-not-found] # noqa: F401 (its own)


def rule(name: str) -> Callable[[Any], Credit]:
    def credit(table: Any) -> Credit:
        from pychattr.channel_attribution import HeuristicModel

        chosen = {each: each == name for each in ("first_touch", "last_touch", "linear_touch")}
        model = HeuristicModel(**_COLUMNS, **chosen, ensemble_results=False)
        given = model.fit(table).attribution_model_
        return by_column(given["channel"], given[f"{name}_conversions"])

    return credit


def markov(order: int, simulations: int = 10_000) -> Callable[[Any], Credit]:
    def credit(table: Any) -> Credit:
        from pychattr.channel_attribution import MarkovModel

        model = MarkovModel(
            **_COLUMNS,
            null_feature="nulls",
            k_order=order,
            n_simulations=simulations,
            random_state=1,
        )
        given = model.fit(table).attribution_model_
        return by_column(given["channel_name"], given["total_conversions"])

    return credit


MODELS = {
    "first touch": rule("first_touch"),
    "last touch": rule("last_touch"),
    "linear": rule("linear_touch"),
    "Markov, order 1": markov(1),
    "Markov, order 2": markov(2),
    "Markov, order 1, tighter": markov(1, simulations=100_000),
}

if __name__ == "__main__":
    main(load, frame, MODELS)
