"""shapley-attribution: rules and Shapley values over one row a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import SEPARATOR, Credit, main, outcomes, scaled

Users = tuple[list[list[str]], list[int]]


def load() -> None:
    import shapley_attribution  # type: ignore[import-not-found] # noqa: F401 (its own environment)


def read(file: str) -> Users:
    journeys: list[list[str]] = []
    converted: list[int] = []
    for path, outcome, users in zip(*outcomes(file), strict=True):
        journeys += [path.split(SEPARATOR)] * users
        converted += [outcome] * users
    return journeys, converted


def fit(name: str, shares: bool = False, **settings: Any) -> Callable[[Users], Credit]:
    def credit(given: Users) -> Credit:
        import shapley_attribution

        journeys, converted = given
        model = getattr(shapley_attribution, name)(**settings)
        result = model.fit(journeys, converted).get_attribution()
        return scaled(result, sum(converted)) if shares else result

    return credit


def ordered(given: Users) -> Credit:
    """Fitted to converting journeys only, because it would credit other journeys too."""
    from shapley_attribution import OrderedShapleyAttribution

    journeys = [path for path, outcome in zip(*given, strict=True) if outcome]
    result: Credit = OrderedShapleyAttribution().fit(journeys).get_attribution()
    return result


MODELS = {
    "first touch": fit("FirstTouchAttribution"),
    "last touch": fit("LastTouchAttribution"),
    "linear": fit("LinearAttribution"),
    "position based": fit("PositionBasedAttribution"),
    "time decay": fit("TimeDecayAttribution"),
    "Shapley, conversions": fit("SimplifiedShapleyAttribution"),
    "Shapley, ordered": ordered,
    "Shapley, Monte Carlo": fit("MonteCarloShapleyAttribution", random_state=0),
    "Shapley, path": fit("PathShapleyAttribution", shares=True, random_state=0),
}

if __name__ == "__main__":
    main(load, read, MODELS)
