"""Mechanism: what a world may change, hook by hook, and what follows from the hooks alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.worlds.base import BaseWorld
from mta_models.worlds.state import Noise, State

if TYPE_CHECKING:
    import polars as pl


class Mechanism(BaseWorld):
    """Who meets which channel and who converts, day by day: the hooks that `World` fills.

    The engine, the truth and the simulation know a world by these methods only.
    """

    # Set by `tune`, each of shape `(C,)` and in the order of `channels`, but the last.
    rates: Floats  # touchpoints a day
    effects: Floats  # conversions that a touchpoint causes
    costs: Floats  # of a touchpoint
    half_lives: Floats  # days
    base_rate: float  # conversions a day
    repeatable: ClassVar[bool] = False
    # Whether touchpoints cause touchpoints. Where not, direct effects are the removal effects.
    reactive: ClassVar[bool] = False

    # Hooks: what a world may change.

    @property
    def dial(self) -> float:
        """The strength that mechanisms read."""
        return self.strength

    @abstractmethod
    def tune(self) -> None:
        """Set the parameters: `rates`, `effects`, `costs`, `half_lives`, `base_rate`."""

    def traits(self, noise: Noise, n: int) -> dict[str, Numbers]:
        """The traits of n people, by name, each of shape `(n,)`."""
        return {}

    def begin(self, now: State) -> None:
        """Set up `now.memory` before the first day; most worlds have nothing to set up."""
        return

    def move(self, now: State) -> None:
        """Update what no channel causes, before today's touchpoints."""
        return

    def exposure(self, now: State) -> Numbers:
        """Today's chance of each channel, `(C, n)`, or `(m, C, n)` if it depends on the past."""
        return np.broadcast_to(self.rates.astype(np.float32)[:, None], (len(self.rates), now.n))

    def remember(self, now: State, touched: Mask) -> None:
        """Carry today's touchpoints, `(m, C, n)`, into the state."""
        now.adstock *= self.kept_overnight[:, None]
        now.adstock += touched

    def pressure(self, now: State) -> Numbers:
        """Each channel's pressure on people today, `(m, C, n)`: the adstock, in most worlds."""
        return now.adstock

    def base(self, now: State) -> Numbers:
        """Today's chance to convert without any channel: a number, `(n,)` or `(m, n)`."""
        return np.float32(self.base_rate)  # type: ignore[return-value]  # broadcasts as an array

    def response(self, now: State) -> Numbers:
        """What channels add to today's chance to convert, `(m, n)`."""
        return self.weigh(self.pressure(now))

    def hazard(self, now: State) -> Numbers:
        """Today's chance to convert, `(m, n)`, for those who have not."""
        return self.base(now) + self.response(now)

    def close(self, now: State, converts: Mask) -> Mask | None:
        """Touchpoints `(C, n)` between a decision made today, `(n,)`, and its conversion."""
        return None

    def lag(self, now: State) -> Ints | None:
        """Days from a decision made today until its conversion is logged, `(n,)`; None: none."""
        return None

    def logged_share(self, day: int) -> float:
        """The chance that a decision made today is logged before the log ends."""
        return 1.0

    def covariates(self, people: dict[str, Numbers], noise: Noise) -> dict[str, Numbers]:
        """What the tracker knows of each user, by column, each of shape `(n,)`."""
        return {}

    def track(self, events: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The events as a tracker logs them, and a row for each user whom it observes."""
        return events, users

    # For use in hooks.

    @property
    def kept_overnight(self) -> Numbers:
        """The part of a channel's adstock that the next day still has, `(C,)`."""
        return np.exp2(-1 / self.half_lives).astype(np.float32)

    def weigh(self, pressure: Numbers) -> Numbers:
        """Σ_c effect_c (1 − 2^(−1/H_c)) pressure_c, shape `(m, n)`."""
        weight = (self.effects * (1 - np.exp2(-1 / self.half_lives))).astype(np.float32)
        added: Numbers = np.matmul(weight, pressure)
        return added

    def at(self, *channels: str) -> Any:
        """The places of channels in `channels`: a number for one, a list for several."""
        places = [self.channels.index(name) for name in channels]
        return places[0] if len(places) == 1 else places

    # From the hazard to conversions.

    def expected_today(self, now: State) -> Floats:
        """Expected conversions of each unit today, shape `(m, n_units)`."""
        hazard = np.clip(self.hazard(now), 0, 1)
        if self.repeatable:
            return hazard * self.logged_share(now.day)
        today: Floats = now.survival * hazard
        now.survival -= today
        return today * self.logged_share(now.day)

    def convert_today(self, now: State) -> Mask:
        """Who decides to convert today, shape `(n,)`, in a simulation (one intervention)."""
        converts: Mask = now.uniform("conversion", now.n) < self.hazard(now)[0]
        if not self.repeatable:
            converts &= ~now.converted[0]
        now.converted[0] |= converts
        return converts
