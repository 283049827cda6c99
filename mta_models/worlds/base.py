"""What can be asked of any world, however it is simulated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mta_models.core.checks import check_number, check_whole_number
from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError, UnknownChannelError
from mta_models.worlds.state import BLOCK

if TYPE_CHECKING:
    import polars as pl

    from mta_models.data.journeys import Journeys
    from mta_models.data.lift_tests import LiftTest
    from mta_models.worlds.truth import Truth


# Sizes and seeds far beyond it would overflow the integers of numpy.
LARGEST = 10**12


def check_setting(*, n_users: int = 1, strength: float = 0.0, seed: int = 0) -> None:
    """Refuse a size, a strength or a seed that no world can have.

    Raises:
        ParameterError: one of these is not what it may be.
    """
    for name, given, least in (("n_users", n_users, 1), ("seed", seed, 0)):
        check_whole_number(given, name, least, LARGEST)
    check_number(strength, "strength", maximum=1)


class BaseWorld(ABC):
    """The size, the strength and the seed of a world, and checks of what is asked of it.

    A subclass gives `channels`, `simulate`, `truth` and `expected`.
    """

    name: ClassVar[str]
    channels: ClassVar[tuple[str, ...]]
    days: ClassVar[int] = 90
    group: ClassVar[int] = 1  # people who convert as one
    unit: ClassVar[str] = "user"  # the column of the log whose journeys these are
    truth_users: ClassVar[int] = 10 * BLOCK

    def __init__(self, *, n_users: int = 20_000, strength: float = 0.5, seed: int = 0) -> None:
        check_setting(n_users=n_users, strength=strength, seed=seed)
        self.n_users, self.strength, self.seed = int(n_users), float(strength), int(seed)
        self.tune()

    @property
    def n_units(self) -> int:
        """Number of units that can convert: users, or accounts."""
        return self.whole(self.n_users) // self.group

    def whole(self, users: int) -> int:
        """`users`, rounded up to whole accounts."""
        return -(-users // self.group) * self.group

    @abstractmethod
    def tune(self) -> None:
        """Set what follows from the strength; called when the world is made."""

    @abstractmethod
    def simulate(
        self,
        *,
        doses: Mapping[str, float] | None = None,
        lift_tests: Iterable[str] = (),
        n_test_users: int | None = None,
    ) -> Simulation:
        """The log of a tracker in this world; `World.simulate` says what the arguments are."""

    @abstractmethod
    def truth(self, *, users: int | None = None) -> Truth:
        """What interventions on the channels do, per `n_users`."""

    @abstractmethod
    def expected(self, doses: Iterable[Iterable[float]], *, users: int | None = None) -> Floats:
        """Expected conversions of `n_users` under each row of doses."""

    def dose(self, doses: Mapping[str, float]) -> Floats:
        """Doses by name as an array, shape `(1, C)`.

        Raises:
            UnknownChannelError: a channel is none of this world's.
            ParameterError: a dose is not a number >= 0.
        """
        self.check_channels(doses)
        return self.check_doses([[doses.get(name, 1.0) for name in self.channels]])

    def check_channels(self, names: Iterable[str]) -> None:
        """Refuse a channel that this world does not have."""
        for name in names:
            if name not in self.channels:
                raise UnknownChannelError(
                    f"the channels of {self.name} are {', '.join(self.channels)}; got {name!r}"
                )

    def check_doses(self, doses: Iterable[Iterable[float]]) -> Floats:
        """Doses as an array of shape `(m, C)`, or an error."""
        array = np.array(doses, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self.channels):
            raise ParameterError(
                f"doses must have the shape (m, {len(self.channels)}), one column for each channel "
                f"of {self.name}; got {array.shape}"
            )
        if not (np.isfinite(array) & (array >= 0)).all():
            raise ParameterError(f"every dose must be a finite number >= 0; got {array.tolist()}")
        return array

    @property
    def label(self) -> str:
        """What tables call the world: its name, and its draw where it has several."""
        return self.name

    def key(self) -> tuple[Any, ...]:
        """What the truth depends on; add to it where a subclass has parameters of its own."""
        return type(self), self.strength

    def __repr__(self) -> str:
        return (
            f"World({self.name!r}, n_users={self.n_users}, strength={self.strength:g}, "
            f"seed={self.seed})"
        )


@dataclass(frozen=True, eq=False)
class Simulation:
    """One log of a world, with its users, costs and lift tests.

    Attributes:
        world: the world simulated.
        events: polars table in time order, one row per touchpoint or conversion: `user` (integer),
            `time` (without zone), `channel` (missing on a conversion), `conversion` (0 or 1),
            `value` (0 on a touchpoint), `cost` (0 on a conversion), and a column for each thing
            the tracker knows of the user, where it knows any.
        observed: one row per user (or account, where `World.unit` says so), those without any
            event too: `user`, what the tracker knows of the user, `start` and `end`.
        costs: spend per channel over the whole log, as `{channel: cost}`, of unlogged ones too.
        lift_tests: as asked of `World.simulate`, scaled to the population of the log.
    """

    world: BaseWorld
    events: pl.DataFrame
    observed: pl.DataFrame
    costs: Mapping[str, float]
    lift_tests: tuple[LiftTest, ...] = ()

    @cached_property
    def journeys(self) -> Journeys:
        """The log as `read_events` reads it, without a lookback, with every user observed."""
        from mta_models.sources.events.reading import read_events

        return read_events(
            self.events,
            user=self.world.unit,
            time="time",
            channel="channel",
            conversion="conversion",
            value="value",
            cost="cost",
            observed=self.observed,
        )

    @cached_property
    def truth(self) -> Truth:
        """The truth of the world, scaled to its users; computed when first asked for."""
        return self.world.truth()

    def __repr__(self) -> str:
        return f"Simulation({self.world!r}, {len(self.events):,} events)"
