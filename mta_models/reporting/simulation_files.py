"""A simulation as files: events, users and truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.core import files

if TYPE_CHECKING:
    from mta_models.worlds.base import BaseWorld, Simulation


def write_simulation(world: BaseWorld, out: Path, *, lift_tests: Iterable[str] = ()) -> None:
    """Simulate a world; write its events to `out`, and its users and truth beside that file.

    For `events.parquet`: `events.parquet`, `events.observed.parquet` and `events.truth.json`.

    Raises:
        MTAError: one of the files cannot be written; this is checked before the simulation.
    """
    observed = out.with_suffix(f".observed{out.suffix}")
    truth = out.with_suffix(".truth.json")
    files.check_writable(out, observed, truth)
    simulation = world.simulate(lift_tests=lift_tests)
    document = simulation_document(simulation)  # the slow part: it intervenes
    tables = {out: simulation.events, observed: simulation.observed, truth: simulation.events}
    files.write_files({file: files.encoded(file, each, document) for file, each in tables.items()})


def simulation_document(simulation: Simulation) -> dict[str, Any]:
    """The facts that the log does not contain, as plain numbers and texts for JSON.

    Keys: `world` (its label, with the draw), `n_users`, `strength`, `seed`, `days`, `unit` (the
    column of the log whose journeys convert), `truth`, `costs` and `lift_tests`.
    """
    world = simulation.world
    return {
        "world": world.label,
        **{name: getattr(world, name) for name in ("n_users", "strength", "seed", "days", "unit")},
        "truth": simulation.truth.to_document(),
        "costs": dict(simulation.costs),
        "lift_tests": [
            {name: value for name, value in asdict(test).items() if name != "journeys"}
            for test in simulation.lift_tests
        ],
    }
