"""`DoublyRobust` and others in the difficult worlds: prints the table of docs/doubly_robust.md.

    python -m benchmarks.truth.doubly_robust_study [n_seeds]

Covariates belong to a log, so models that read them are made for each log.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np

from mta_models import (
    AttributionModel,
    DoublyRobust,
    Hazard,
    JourneyError,
    LastTouch,
    Linear,
    MTAWarning,
    SelfControlled,
    metrics,
    worlds,
)
from mta_models.worlds import Simulation

N_USERS = 20_000
WORLDS = (
    *(("randomised", 0.5), ("intent", 0.5), ("intent", 1.0), ("suppression", 0.5)),
    *(("bursts", 0.5), ("retargeting", 0.5), ("null_channel", 0.5), ("organic", 0.5)),
    *(("harmful_channel", 0.5), ("everything", 0.5)),
)


def covariates(simulation: Simulation) -> object | None:
    """The tracker's covariates of each user, or None."""
    known = simulation.observed.drop("start", "end")
    return known if known.width > 1 else None


def with_covariates(simulation: Simulation) -> AttributionModel | None:
    """None where the log has no covariates."""
    known = covariates(simulation)
    return None if known is None else DoublyRobust(history="past", covariates=known)


MODELS: dict[str, Callable[[Simulation], AttributionModel | None]] = {
    "Linear": lambda _: Linear(),
    "LastTouch": lambda _: LastTouch(),
    "Hazard": lambda _: Hazard(),
    "SelfControlled": lambda _: SelfControlled(),
    "DoublyRobust": lambda _: DoublyRobust(),
    "… past": lambda _: DoublyRobust(history="past"),
    "… past, covariates": with_covariates,
}


def cell(runs: list[tuple[float, float]]) -> str:
    """Mean share error in percent, and mean relative error of the baseline."""
    if not runs:
        return "-"
    share, baseline = np.mean(runs, axis=0) * 100
    return f"{share:.1f} ({baseline:+.0f})"


def main(n_seeds: int) -> None:
    """Print the table, a row as soon as it is run."""
    print("| world | " + " | ".join(MODELS) + " |")
    print("|---|" + "---:|" * len(MODELS))
    for name, strength in WORLDS:
        runs: dict[str, list[tuple[float, float]]] = {label: [] for label in MODELS}
        for seed in range(n_seeds):
            world = worlds.make(name, n_users=N_USERS, strength=strength, seed=seed)
            simulation, truth = world.simulate(), world.truth()
            for label, make in MODELS.items():
                model = make(simulation)
                if model is None:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", MTAWarning)
                    try:
                        result = model.fit_attribute(simulation.journeys)
                    except JourneyError:  # conversions change exposure
                        continue
                baseline = result.baseline / truth.baseline - 1
                runs[label].append((metrics.total_variation(result, truth), baseline))
        cells = " | ".join(cell(each) for each in runs.values())
        print(f"| {name} {strength:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
