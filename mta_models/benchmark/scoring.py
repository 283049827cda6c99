"""One log, simulated once: every model is fitted on it and scored against the truth."""

from __future__ import annotations

import importlib.metadata
import platform
import time
import tracemalloc
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import mta_models
from mta_models import metrics
from mta_models.analysis.resampling import bootstrap
from mta_models.attribution import Attribution
from mta_models.benchmark.controls import ORACLE, ExposureShare, Uniform, oracle
from mta_models.benchmark.rows import IDENTITY, Row, as_text
from mta_models.benchmark.suite import Log
from mta_models.errors import MTAError
from mta_models.models.base import AttributionModel, clone
from mta_models.models.names import label_of

if TYPE_CHECKING:
    from mta_models.data.journeys import Journeys
    from mta_models.worlds.base import Simulation
    from mta_models.worlds.truth import Truth

# Regrets are differences of runs with the same noise: fewer users than for the truth are enough.
_OF_TRUTH = 4
# A model that takes longer is not fitted a second time to measure its memory.
_PATIENCE = 1.0


def score(log: Log, truth: Truth) -> list[Row]:
    """A row for each of the log's labels; a failure is a row with its reason."""
    with warnings.catch_warnings():
        # `_measured` collects what a model warns of; all other warnings are no part of a row.
        warnings.simplefilter("ignore")
        return _score(log, truth)


def _score(log: Log, truth: Truth) -> list[Row]:
    try:
        simulation = log.world.simulate()
        journeys = simulation.journeys
    except Exception as error:
        return [_row(log, label, {"error": _reason(error)}) for label in log.labels]
    runs = {label: _run(log, label, journeys, truth) for label in log.labels}
    about = {
        "conversions": journeys.total,
        "true_total": truth.total,
        "true_baseline_share": truth.baseline / truth.total,
    }
    regrets = _regrets(runs, simulation, truth, log) if log.regret else {}
    return [
        _row(log, label, columns | regrets.get(label, {}) | about)
        for label, (columns, _) in runs.items()
    ]


Scored = tuple[dict[str, Any], Attribution | None]


def _run(log: Log, label: str, journeys: Journeys, truth: Truth) -> Scored:
    """One model on the log: its columns, and its attribution if it has one."""
    if label == ORACLE:
        known = oracle(truth)
        return _scores(known, truth), known
    try:
        model = _model(log, label)
        attribution, cost = _measured(model, journeys)
        if log.draws and attribution.draws is None:
            attribution = bootstrap(model, journeys, n_draws=log.draws, random_state=log.world.seed)
        said = _verdict(model, attribution, truth)
        return cost | _scores(attribution, truth) | said, attribution
    except Exception as error:
        return {"error": _reason(error)}, None


def _model(log: Log, label: str) -> AttributionModel:
    every = {label_of(model): model for model in (*log.models, Uniform(), ExposureShare())}
    return clone(every[label])


def _measured(model: AttributionModel, journeys: Journeys) -> tuple[Attribution, dict[str, Any]]:
    """The attribution, with seconds, peak memory and the kinds of warnings.

    Memory is what Python and numpy allocate, which takes a second fit that is not timed.
    """
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        start, cpu = time.perf_counter(), time.process_time()
        attribution = model.fit_attribute(journeys)
        cost: dict[str, Any] = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
        }
    cost["warnings"] = " ".join(dict.fromkeys(each.category.__name__ for each in log))
    # A model that runs in another process measures its own seconds and memory.
    own = {name: getattr(model, f"{name}_", None) for name in ("seconds", "peak_mb")}
    if own["seconds"] is not None:
        del cost["cpu_seconds"]
    cost |= {name: each for name, each in own.items() if each is not None}
    if "peak_mb" not in cost and cost["seconds"] <= _PATIENCE and not tracemalloc.is_tracing():
        tracemalloc.start()
        try:
            clone(model).fit_attribute(journeys)
            cost["peak_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()
    return attribution, cost


def _scores(attribution: Attribution, truth: Truth) -> dict[str, Any]:
    removal = metrics.total_variation(attribution, truth, against="removal")
    return metrics.table(attribution, truth) | {
        "estimand": attribution.estimand,
        "total_variation_removal": removal,
    }


def _verdict(model: AttributionModel, attribution: Attribution, truth: Truth) -> dict[str, Any]:
    """What the model's verdict says of its channels, beside whether its intervals hold the truth.

    Nothing for a model without a verdict or without draws.
    """
    verdict = getattr(model, "verdict_", None)
    if verdict is None or attribution.draws is None:
        return {}
    identified = {each.channel: each.status == "identified" for each in verdict}
    held = metrics.covered(attribution, truth, 0.9)[:-1]
    missed = [channel for channel, is_held in zip(truth.channels, held, strict=True) if not is_held]
    return {
        "n_channels": len(truth.channels),
        "n_identified": sum(identified.get(channel, False) for channel in truth.channels),
        "n_missed": len(missed),
        "n_missed_identified": sum(identified.get(channel, False) for channel in missed),
        # What the channels did not cause is known where it is known of each what it caused.
        "baseline_identified": int(all(identified.values())),
    }


def _regrets(
    runs: dict[str, Scored], simulation: Simulation, truth: Truth, log: Log
) -> dict[str, dict[str, Any]]:
    """The budget regret of each attribution; the world runs once for all of them."""
    known = {label: attribution for label, (_, attribution) in runs.items() if attribution}
    if not known:
        return {}
    users = max(1, log.truth_users // _OF_TRUTH)
    regrets = metrics.budget_regrets(list(known.values()), simulation, users=users, truth=truth)
    return {label: {"budget_regret": regret} for label, regret in zip(known, regrets, strict=True)}


def _row(log: Log, label: str, columns: dict[str, Any]) -> Row:
    identity = dict(zip(IDENTITY, log.key(label), strict=True))
    return as_text(identity | columns | {"versions": versions()})


def _reason(error: Exception) -> str:
    """The reason of a failure; for an error that is not an MTAError also its class."""
    return str(error) if isinstance(error, MTAError) else f"{type(error).__name__}: {error}"


@cache
def versions() -> str:
    """Versions of the packages that the numbers depend on."""
    others = (f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "polars"))
    return " ".join(
        (f"mta_models {mta_models.__version__}", *others, f"Python {platform.python_version()}")
    )
