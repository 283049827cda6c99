"""A simulation as files: its events, its users, its truth."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.core import files

if TYPE_CHECKING:
    from mta_models.worlds.simulation import Simulation
    from mta_models.worlds.world import World


def write_simulation(world: World, out: Path, *, lift_tests: Iterable[str] = ()) -> None:
    """Simulate a world and write its events to `out`, users and truth beside.

    For `events.parquet`: `events.parquet`, `events.observed.parquet` and `events.truth.json`.

    Raises:
        MTAError: one of them cannot be written, which is found out first.
    """
    observed = out.with_suffix(f".observed{out.suffix}")
    truth = out.with_suffix(".truth.json")
    with ExitStack() as stack:
        for file in (out, observed, truth):
            stack.enter_context(files.reserved(file))
        simulation = world.simulate(lift_tests=lift_tests)
        document = simulation_document(simulation)  # the slow part: it intervenes
        files.write(out, simulation.events, {})
        files.write(observed, simulation.observed, {})
        files.write(truth, simulation.events, document)


def simulation_document(simulation: Simulation) -> dict[str, Any]:
    """What a log does not tell, as plain numbers and texts for JSON.

    `world`, `n_users`, `strength`, `seed`, `days`, `unit` (the column of the log whose journeys
    convert), `truth`, `costs` and `lift_tests`.
    """
    world = simulation.world
    return {
        "world": world.name,
        **{name: getattr(world, name) for name in ("n_users", "strength", "seed", "days", "unit")},
        "truth": simulation.truth.to_document(),
        "costs": dict(simulation.costs),
        "lift_tests": [
            {name: value for name, value in asdict(test).items() if name != "journeys"}
            for test in simulation.lift_tests
        ],
    }
