"""This project's models, called, timed and measured in the same way as the other packages."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Credit, main

# A source tree that is not installed serves too.
sys.path.append(str(Path(__file__).resolve().parents[3]))


def load() -> None:
    import mta_models  # noqa: F401 (timed apart)


def read(file: str) -> Any:
    import mta_models as mta

    return mta.read_paths(file, nulls="nulls")


def fit(name: str, *given: Any, **settings: Any) -> Callable[[Any], Credit]:
    def credit(journeys: Any) -> Credit:
        import mta_models as mta

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of identifiability do not matter here
            result = getattr(mta, name)(*given, **settings).fit_attribute(journeys)
        return dict(zip(result.channels, result.credit.tolist(), strict=True))

    return credit


MODELS = {
    "first touch": fit("FirstTouch"),
    "last touch": fit("LastTouch"),
    "linear": fit("Linear"),
    "linear, unique": fit("Linear", unique=True),
    "position based": fit("PositionBased"),
    "Markov, order 1": fit("Markov"),
    "Markov, order 2": fit("Markov", order=2),
    "Markov, order 3": fit("Markov", order=3),
    "Markov, fail": fit("Markov", removal="fail"),
    "Markov, detour": fit("Markov", removal="detour"),
    "Shapley, conversions": fit("Shapley"),
    "Shapley, rate": fit("Shapley", "rate"),
    "Shao and Li": fit("SimpleProbabilistic"),
}

if __name__ == "__main__":
    main(load, read, MODELS)
