"""ChannelAttribution: rules, and Markov chains whose removal effects it simulates."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from common import Credit, by_column, frame, main

# Its separator is one character, and it drops blanks around names.
_TOLD = {"sep": ">", "flg_pro": False}


def load() -> None:
    import ChannelAttribution  # type: ignore[import-not-found] # noqa: F401 (its own environment)


def rule(column: str) -> Callable[[Any], Credit]:
    def credit(table: Any) -> Credit:
        import ChannelAttribution

        given = ChannelAttribution.heuristic_models(table, "path", "conversions", **_TOLD)
        return by_column(given["channel_name"], given[column])

    return credit


def markov(order: int, **settings: Any) -> Callable[[Any], Credit]:
    def credit(table: Any) -> Credit:
        import ChannelAttribution

        given = ChannelAttribution.markov_model(
            table,
            "path",
            "conversions",
            var_null="nulls",
            order=order,
            ncore=os.cpu_count() or 1,
            verbose=False,
            **settings,
            **_TOLD,
        )
        return by_column(given["channel_name"], given["total_conversions"])

    return credit


MODELS = {
    "first touch": rule("first_touch"),
    "last touch": rule("last_touch"),
    "linear": rule("linear_touch"),
    "Markov, order 1": markov(1),
    "Markov, order 2": markov(2),
    "Markov, order 3": markov(3),
    "Markov, order 1, tighter": markov(1, conv_par=0.01, max_step=1000),
}

if __name__ == "__main__":
    main(load, frame, MODELS)
