"""The comparisons and their goals, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import Run


@dataclass(frozen=True)
class Goal:
    """A limit on our own value (`on="value"`) or on our value over the yardstick's (`"ratio"`)."""

    limit: float
    on: str = "ratio"


@dataclass(frozen=True)
class Side:
    """The command of one side of a comparison.

    Attributes:
        name: as the table calls it.
        job: the job's name; or a whole command, `{python}` standing for this interpreter and
            `{program}` for the installed command `mta-models`.
        by_peer: whether the job runs in the peer's environment.
        data: the input of `benchmarks.data` that it reads, or None.
        journeys: number of journeys that it simulates at scale 1; 0 if none.
        arguments: further arguments of the job.
    """

    name: str
    job: str | tuple[str, ...]
    by_peer: bool = False
    data: str | None = None
    journeys: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """One row of the table: a number taken from each run.

    Attributes:
        what: as the table calls it.
        take: from a run to the number; a KeyError where this side does not report it.
        unit: `"s"`, `"MB"`, `"bytes"`.
        goal: None where the number is for information.
    """

    what: str
    take: Callable[[Run], float]
    unit: str = "s"
    goal: Goal | None = None


@dataclass(frozen=True)
class Contest:
    """Two sides that run by turns, and the numbers taken from their runs.

    Attributes:
        group: the name by which `--only` selects it.
        work: a description of the work.
        readings: one row each.
        agree: relative difference up to which the two answers count as equal; None: they need not
            be equal, and their difference is a row.
        turns: runs per repeat; more for short runs.
    """

    group: str
    work: str
    ours: Side
    other: Side | None
    readings: tuple[Reading, ...]
    agree: float | None = 1e-9
    turns: int = 1


def whole(run: Run) -> float:
    """Seconds of the whole process."""
    return run.seconds


def reading_and_model(run: Run) -> float:
    """Seconds from the file to the credits, imports left out."""
    return float(run.output["read"] + run.output["model"])


def model(run: Run) -> float:
    """Seconds of the model alone."""
    return float(run.output["model"])


def peak(run: Run) -> float:
    """Peak memory of the process in MB."""
    return run.peak / 1e6


def held(run: Run) -> float:
    """Bytes kept per touchpoint."""
    return float(run.output["held"])


_PEER = "ChannelAttribution"


def _against_peer(work: str, job: str, agree: float | None, **arguments: Any) -> Contest:
    return Contest(
        group="paths",
        work=f"1,000,000 paths, 30 MB CSV: {work}",
        ours=Side("mta_models", job, data="paths", arguments=arguments),
        other=Side(_PEER, job, by_peer=True, data="paths", arguments=arguments),
        readings=(
            Reading("whole process", whole, goal=Goal(0.2)),
            Reading("reading and model", reading_and_model, goal=Goal(0.2)),
            Reading("peak memory", peak, "MB", Goal(1.0)),
        ),
        agree=agree,
    )


def _kernel(work: str, job: str, **arguments: Any) -> Contest:
    return Contest(
        group="kernels",
        work=f"1,000,000 paths in memory: {work}",
        ours=Side("mta_models", f"{job}_alone", data="paths", arguments=arguments),
        other=Side("np.bincount passes", f"plain_{job}", data="paths", arguments=arguments),
        readings=(Reading("model", model, goal=Goal(3.0)),),
    )


def _events(work: str, data: str) -> Contest:
    readings = [
        Reading("whole process", whole, goal=Goal(0.5)),
        Reading("peak memory", peak, "MB", Goal(1.2)),
        Reading("held per touchpoint", held, "bytes", Goal(20.0, "value")),
    ]
    return Contest(
        group="events",
        work=f"20,000,000 events of 4,000,000 users, parquet{work} → journeys",
        ours=Side("mta_models", "events", data=data),
        other=Side("polars streaming, lists only", "plain_events", data=data),
        readings=tuple(readings),
    )


def _in_memory(group: str, work: str, job: str, goal: Goal, other: str, **made: Any) -> Contest:
    journeys = made.pop("journeys")
    return Contest(
        group=group,
        work=work,
        ours=Side("mta_models", job, journeys=journeys, arguments=made),
        other=Side(other, f"plain_{job}", journeys=journeys, arguments=made),
        readings=(Reading("model", model, goal=goal),),
        agree=1e-8,
    )


def _bootstrap(work: str, data: str, **arguments: Any) -> Contest:
    given = arguments | ({"example": True} if data == "mta_paths" else {})
    return Contest(
        group="bootstrap",
        work=f"bootstrap, 200 draws, {work}: {arguments['model']}",
        ours=Side("mta_models", "bootstrap", data=data, arguments=given),
        other=Side("one fit", "fit", data=data, arguments=given),
        readings=(Reading("model", model, goal=Goal(30.0)),),
    )


def _time_model(model_name: str, users: int, rate: float, limit: float) -> Contest:
    given = {"n_channels": 10, "rate": rate, "model": model_name}
    return Contest(
        group="time models",
        work=f"{model_name}: {users:,} users, {5 * users:,} touchpoints, 10 channels, "
        f"{rate * users:,.0f} conversions",
        ours=Side("mta_models", "time_model", journeys=users, arguments=given),
        other=Side("seven passes", "plain_time_model", journeys=users, arguments=given),
        readings=(
            Reading("model", model, goal=Goal(limit, "value")),
            Reading("peak memory", peak, "MB"),
        ),
        agree=1e-8,
    )


def _program(work: str, *command: str) -> Contest:
    return Contest(
        group="import",
        work=work,
        ours=Side("mta_models", command),
        other=Side("import numpy", ("{python}", "-c", "import numpy")),
        readings=(Reading("whole process", whole, goal=Goal(0.3, "value")),),
        turns=3,
    )


CONTESTS = (
    _against_peer("first, last and linear", "rules", 1e-9),
    *(_against_peer(f"Markov, order {k}", "markov", None, order=k) for k in (1, 2, 3)),
    _kernel("first, last and linear", "rules"),
    *(_kernel(f"Markov, order {k}", "markov", order=k) for k in (1, 2, 3)),
    _events("", "events"),
    _events(", users called by texts", "events_text"),
    _in_memory(
        "removal",
        "removal effects, order 3, 30 channels, some 27,000 states",
        "removal",
        Goal(3.0, "value"),
        "one masked iteration",
        journeys=200_000,
        n_channels=30,
        order=3,
    ),
    _in_memory(
        "removal",
        "removal effects, order 1, 200 channels",
        "removal",
        Goal(0.05, "value"),
        "one masked iteration",
        journeys=20_000,
        n_channels=200,
        order=1,
    ),
    _in_memory(
        "shapley",
        'Shapley "rate", 20 channels, 200,000 paths',
        "shapley_rate",
        Goal(3.0, "value"),
        "plain subset sums",
        journeys=200_000,
        n_channels=20,
    ),
    _in_memory(
        "shapley",
        'Shapley "conversions", 500 channels, 1,000,000 paths: one pass',
        "shapley_conversions",
        Goal(1.0),
        "plain sort and sums",
        journeys=1_000_000,
        n_channels=500,
    ),
    *(_bootstrap("1,000,000 paths", "paths", model=m) for m in ("linear", "markov", "rate")),
    *(
        _bootstrap("the 10,000 paths of mta", "mta_paths", model=m)
        for m in ("linear", "markov", "rate")
    ),
    *(
        _time_model(name, 1_000_000, 0.05, 20.0)
        for name in ("Hazard", "SelfControlled", "Logistic")
    ),
    _time_model("Incremental", 30_000, 0.15, 5.0),
    _time_model("Incremental", 1_000_000, 0.05, 60.0),
    _time_model("BayesianHazard", 50_000, 0.1, 90.0),
    _program("import mta_models", "{python}", "-c", "import mta_models"),
    _program("mta-models --help", "{program}", "--help"),
)
GROUPS = tuple(dict.fromkeys(contest.group for contest in CONTESTS))
