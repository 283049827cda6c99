"""Suite: which models are run on which worlds, as data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import product
from typing import Any

from mta_models.analysis.resampling import MAX_DRAWS
from mta_models.benchmark.controls import CONTROLS
from mta_models.benchmark.purpose import REPORTING_SEEDS, Purpose, check_purpose
from mta_models.core.checks import as_list, check_whole_number, shown
from mta_models.errors import ParameterError
from mta_models.models.base import AttributionModel
from mta_models.models.names import as_model, label_of
from mta_models.worlds.base import LARGEST, BaseWorld, check_setting
from mta_models.worlds.catalogue import make, names

AnyModel = AttributionModel | type[AttributionModel] | str
AnyWorld = BaseWorld | type[BaseWorld] | str

# The benchmark's usual table: the default model, models that people use, and models of when users
# convert that take seconds at most.
USUAL = (
    "Incremental",
    *("FirstTouch", "LastTouch", "Linear", "PositionBased", "TimeDecay"),
    *("Markov", "Markov(order=3)", "Markov(removal='fail')"),
    *("Shapley", "Shapley('rate')", "Shapley('model', model=Markov())", "SimpleProbabilistic"),
    *("Hazard", "Logistic", "SelfControlled"),
)
QUICK_WORLDS = ("randomised", "intent", "retargeting", "null_channel", "micro_upstream")


@dataclass(frozen=True)
class Suite:
    """Worlds × strengths × sizes × seeds, and the models that are run on each of these logs.

    A model or a world of your own is one more entry. A model is an `AttributionModel`, its class
    or its name. A world is a name, an instance of a `World` or its class; no other world may have
    its `name`. Either may also be written `"module:name"`, which imports it.

    Attributes:
        worlds: at least one.
        models: at least one; the three `CONTROLS` are added.
        strengths: of every world, from 0 to 1.
        users: sizes of the logs.
        seeds: of the logs, the same for every model; a number means as many, from 0 on, or with
            the purpose "report" from 100 on.
        draws: number of bootstrap draws for each model without draws of its own; 0: no intervals.
        truth_users: number of users for which the truth is computed; the budget regret is computed
            for a quarter of them. None: the world's own number.
        purpose: `"development"`, or `"report"`, which refuses the seeds and the draws of worlds
            that are for development (`benchmark.purpose` says which). Tune on the one, claim by
            the other.
        regret: whether to run the worlds again for the budget regret, a third of the time of a log
            of visits.

    Raises:
        ParameterError: an entry is not a model or a world, two entries share a name, a report has a
            log for development, or another value has a wrong type or is out of range.

    Example:
        A model of your own in three lines, beside two known ones:

        >>> from mta_models import LastTouch, benchmark
        >>> class Latest(LastTouch): pass
        >>> suite = benchmark.Suite(["micro_upstream"], [Latest(), "LastTouch", "Markov"], seeds=2)
        >>> benchmark.run(suite).leaderboard().select("model", "micro_upstream")
        shape: (6, 2)
        ...

        A world of your own is a subclass:

        >>> from mta_models.worlds import World
        >>> class Costly(World):
        ...     name = "costly"
        ...     def tune(self):
        ...         super().tune()
        ...         self.costs = self.costs * (1 + self.strength)
        >>> benchmark.Suite([Costly, "micro_intent"], ["LastTouch"]).worlds
        (World('costly', n_users=20000, strength=0.5, seed=0), World('micro_intent', ...))
    """

    worlds: Iterable[AnyWorld]
    models: Iterable[AnyModel] = USUAL
    strengths: Iterable[float] = (0.5,)
    users: Iterable[int] = (10_000,)
    seeds: int | Iterable[int] = 5
    draws: int = 0
    truth_users: int | None = None
    purpose: Purpose = "development"
    regret: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.seeds, int):
            check_whole_number(self.seeds, "seeds", 1, MAX_DRAWS)
        first = REPORTING_SEEDS if self.purpose == "report" else 0
        seeds = range(first, first + self.seeds) if isinstance(self.seeds, int) else self.seeds
        as_given: dict[str, tuple[Any, ...]] = {
            "worlds": tuple(_world(each) for each in as_list(self.worlds, "worlds", "worlds")),
            "models": tuple(_model(each) for each in as_list(self.models, "models", "models")),
            "strengths": tuple(as_list(self.strengths, "strengths", "numbers from 0 to 1")),
            "users": tuple(as_list(self.users, "users", "whole numbers")),
            "seeds": tuple(as_list(seeds, "seeds", "whole numbers, or a count of seeds")),
        }
        for name, values in as_given.items():
            if not values:
                raise ParameterError(f"a suite needs at least one of its {name}; got none")
            object.__setattr__(self, name, values)
        _check_distinct("world", [world.label for world in as_given["worlds"]], ())
        _check_distinct("model", [label_of(model) for model in as_given["models"]], CONTROLS)
        check_whole_number(self.draws, "draws", 0, MAX_DRAWS)
        if self.truth_users is not None:
            check_whole_number(self.truth_users, "truth_users", 1, LARGEST)
        for name, argument in (("strengths", "strength"), ("users", "n_users"), ("seeds", "seed")):
            for value in as_given[name]:
                check_setting(**{argument: value})
        labels = [world.label for world in as_given["worlds"]]
        check_purpose(self.purpose, product(labels, as_given["seeds"]))

    def logs(self) -> Iterator[Log]:
        """Every log, with the models that are run on it."""
        models: Any = self.models
        labels = (*(label_of(model) for model in models), *CONTROLS)
        every: Any = product(self.worlds, self.strengths, self.users, self.seeds)  # type: ignore[arg-type]  # seeds are a tuple by now
        for world, strength, n_users, seed in every:
            here = placed(world, n_users, strength, seed)
            users = self.truth_users or here.truth_users
            yield Log(here, models, labels, self.draws, users, self.regret)


@dataclass(frozen=True)
class Log:
    """One log to be simulated, and the models to be scored on it.

    Attributes:
        world: with its strength, size and seed.
        models: every model of the suite.
        labels: the names of the models to be scored, controls among them.
        draws, truth_users, regret: as in `Suite`.
    """

    world: BaseWorld
    models: tuple[AttributionModel, ...]
    labels: tuple[str, ...]
    draws: int
    truth_users: int
    regret: bool = True

    def key(self, label: str) -> tuple[Any, ...]:
        """The values that identify the row of one model; see `rows.IDENTITY`."""
        world = self.world
        size = (world.n_users, world.seed, self.truth_users, self.draws)
        return (world.label, repr(world.strength), *map(str, size), label)

    def only(self, labels: Iterable[str]) -> Log:
        """The same log for fewer models."""
        return replace(self, labels=tuple(labels))

    @property
    def setting(self) -> tuple[Any, ...]:
        """The values on which the truth depends: logs of one setting share a truth."""
        return *self.world.key(), self.truth_users


def quick() -> Suite:
    """Five small worlds, few seeds and a rough truth, in less than a minute."""
    return Suite(QUICK_WORLDS, users=(4_000,), seeds=3, truth_users=5 * 1024)


def placed(world: BaseWorld, n_users: int, strength: float, seed: int) -> BaseWorld:
    """The same world at another size, strength and seed; its other arguments stay."""
    here = copy.copy(world)
    here.n_users, here.strength, here.seed = n_users, strength, seed
    here.tune()
    return here


def _world(given: AnyWorld) -> BaseWorld:
    found: Any = _imported(given) if isinstance(given, str) and ":" in given else given
    if isinstance(found, str):
        return make(found)
    world = found() if isinstance(found, type) else found
    if not isinstance(world, BaseWorld):
        raise ParameterError(
            f"a world must be a World, its class or its name; got {shown(given)}. Names: "
            f"{', '.join(names())}"
        )
    if world.name in names() and type(make(world.name)) is not type(world):
        raise ParameterError(
            f"a world must have a name of its own; {type(world).__name__} has the name "
            f"{world.name!r} of a world in the catalogue. Set its class attribute `name`"
        )
    return world


def _model(given: AnyModel) -> AttributionModel:
    found: Callable[..., Any] | AnyModel = given
    if isinstance(given, str) and ":" in given.partition("(")[0]:
        found = _imported(given)
    return as_model(found)  # type: ignore[arg-type]  # which refuses what is none


def _imported(text: str) -> Any:
    """What `"module:name"` names."""
    module, _, name = text.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(
            f'"module:name" must be importable; {text!r} is not ({error}). Run in the folder of '
            "the module, or install it"
        ) from error


def _check_distinct(what: str, given: list[str], reserved: tuple[str, ...]) -> None:
    for i, name in enumerate(given):
        if name in given[:i] or name in reserved:
            raise ParameterError(
                f"every {what} of a suite must have a name of its own; got {name!r} twice"
                + (" (the controls are always there)" if name in reserved else "")
            )
