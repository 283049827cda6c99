"""do-attribution: exact Markov chains with four meanings of removal, and Shapley values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from common import Credit, main, outcomes, scaled

Journeys = tuple[list[str], list[int], list[int]]


def load() -> None:
    import do_attribution  # type: ignore[import-not-found] # noqa: F401 (its own environment)


def _credit(given: dict[str, Any], journeys: Journeys) -> Credit:
    if given["attribution"] is None:
        raise ValueError(f"it gives no attribution: {given['normalization_reason']}")
    _, converted, users = journeys
    return scaled(given["attribution"], sum(a * b for a, b in zip(converted, users, strict=True)))


def markov(order: int, strategy: str) -> Callable[[Journeys], Credit]:
    def credit(journeys: Journeys) -> Credit:
        from do_attribution import MarkovAttribution

        model = MarkovAttribution(order=order, removal_strategy=strategy)
        paths, converted, users = journeys
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its note that "fail" changed its meaning
            return _credit(model.fit(paths, converted, weights=users), journeys)

    return credit


def shapley(journeys: Journeys) -> Credit:
    from do_attribution import ShapleyAttribution

    # It takes no weights: one row for every converting user, and one for all other users.
    paths: list[str] = []
    outcome: list[int] = []
    for path, converted, users in zip(*journeys, strict=True):
        times = users if converted else 1
        paths += [path] * times
        outcome += [converted] * times
    return _credit(ShapleyAttribution().fit(paths, outcome), journeys)


MODELS = {
    "Markov, order 1": markov(1, "redirect_to_null"),
    "Markov, order 2": markov(2, "redirect_to_null"),
    "Markov, fail": markov(1, "fail"),
    "Markov, detour": markov(1, "detour"),
    "Shapley, conversions": shapley,
}

if __name__ == "__main__":
    main(load, outcomes, MODELS)
