"""VisitWorld: worlds in continuous time, whose purchases happen in visits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError
from mta_models.worlds.base import BaseWorld, Simulation
from mta_models.worlds.simulation import START, Rows, clock_times, holdout
from mta_models.worlds.state import BLOCK, SIMULATED, Noise, blocks
from mta_models.worlds.truth import Truth
from mta_models.worlds.visits.engine import live
from mta_models.worlds.visits.interventions import expected, parameters_of, truth_per_user
from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.parameters import DAYS, Parameters
from mta_models.worlds.visits.tracking import dearness, tracked

if TYPE_CHECKING:
    import polars as pl

_truths: dict[tuple[Any, ...], Truth] = {}


class VisitWorld(BaseWorld):
    """The base of all worlds of visits: people browse, decide, and buy in a visit of the site.

    **Channels.** Eight to twelve. *Entrances* (Direct, Brand Search, Organic Search, Coupon Site
    and in half of the draws Referral): people who come by themselves come through these. *Paid
    channels* show contacts; clicks of some of them open a visit too. Entrances cause nothing,
    unless a world says otherwise.

    **Mechanism.** z_u is the user's stable intent (mean 1), n_u(t) whether the user is in need, k
    how much more a need makes users decide, s(t) the season, a_uc(t) adstock, halved every
    half-life H_c, and x_uc(t) today's contacts:

        h_u(t) = z_u s(t) [ base (1 + k n_u(t)) / mean · (1 + Σ_c m_c x_uc(t))
                            + Σ_c e_c (1 − 2^(−1/H_c)) a_uc(t) + Σ_c q_c x_uc(t) ]

    h is the chance of deciding today. The terms in x (at-once effects: q adds, m multiplies) lead
    to a purchase within minutes of the click. Who decides otherwise buys in a visit of their own,
    through an entrance met minutes before, drawn by fixed chances whatever brought the decision
    about, and logged in a part of the purchases. A part of buyers looks for a coupon in it.
    In some worlds a paid ad takes the entrance's place; it goes with the decision all the same.

    Times are continuous: contacts come when people are awake, and more on some weekdays.

    **Draws.** Channels, volumes, effects, half-lives, prices and the chances of entrances are
    drawn, heavy-tailed, from `draw`; one of the busiest paid channels causes nothing. The truth
    belongs to (world, strength, draw); `seed` is the log's.

    **Strength** dials the world's mechanism: here the part of purchases in whose visit the entrance
    is logged.

    **Who wins.** Whoever knows which channels are entrances. Models that let every touchpoint
    before a purchase count for it credit entrances with most of it.

    Args:
        n_users: users of the log; the truth is scaled to them.
        strength: 0 to 1.
        seed: of the log.
        draw: of the world's numbers, >= 0.

    Raises:
        ParameterError: one of these is not what it may be.

    Example:
        >>> from mta_models import worlds
        >>> world = worlds.make("visits_entrances", n_users=1_000, draw=1)
        >>> world.simulate().events.columns
        ['user', 'time', 'channel', 'conversion', 'value', 'cost']
    """

    name = "visits_entrances"
    days = DAYS
    truth_users: ClassVar[int] = 20 * BLOCK

    def __init__(
        self, *, n_users: int = 20_000, strength: float = 0.5, seed: int = 0, draw: int = 0
    ) -> None:
        if not isinstance(draw, int | np.integer) or draw < 0:
            raise ParameterError(f"`draw` must be a whole number >= 0; got {draw!r}")
        self.draw = int(draw)
        super().__init__(n_users=n_users, strength=strength, seed=seed)

    def tune(self) -> None:
        """Nothing: the numbers are drawn when first asked for, which takes half a second."""

    @property
    def parameters(self) -> Parameters:
        """The numbers of this draw."""
        return parameters_of(self.name, self.mechanisms(), self.draw)

    @property
    def channels(self) -> tuple[str, ...]:  # type: ignore[override]  # drawn, not of the class
        """Entrances first, then paid channels, as the log calls them."""
        return self.parameters.names

    @property
    def entrances(self) -> tuple[str, ...]:
        """Those of the channels through which people come by themselves."""
        return self.channels[: self.parameters.n_entrances]

    def mechanisms(self) -> Mechanisms:
        """What misleads here, at this world's strength."""
        return Mechanisms(logged=self.strength)

    def simulate(
        self,
        *,
        doses: Mapping[str, float] | None = None,
        lift_tests: Iterable[str] = (),
        n_test_users: int | None = None,
    ) -> Simulation:
        """As `World.simulate`."""
        dose, tested = self.dose(doses or {}), tuple(lift_tests)
        self.check_channels(tested)
        rows = Rows(len(self.channels))
        for first, n, noise in blocks(SIMULATED, self.seed, self.n_users):
            self._live(dose, n, noise, rows, first)
        events, costs = self._events(rows)
        logged = tracked(events, self.parameters, self.n_users, Noise((SIMULATED, self.seed, 0)))
        return Simulation(
            world=self,
            events=logged,
            observed=self._observed(logged),
            costs=costs,
            lift_tests=tuple(holdout(self, name, n_test_users, self._live) for name in tested),
        )

    def truth(self, *, users: int | None = None) -> Truth:
        """As `World.truth`; also of the draw. Conversions are those that the log's days record.

        By one random order of the channels and its reverse for each user, so all of it has a
        standard error, which falls with the root of `users`.
        """
        n_users = users or self.truth_users
        key = (*self.key(), n_users)
        if key not in _truths:
            _truths[key] = truth_per_user(self.parameters, n_users)
        return _truths[key].scaled(self.n_units)

    def expected(self, doses: Iterable[Iterable[float]], *, users: int | None = None) -> Floats:
        """As `World.expected`."""
        each = expected(self.parameters, self.check_doses(doses), users or self.truth_users)
        return each * self.n_units

    @property
    def label(self) -> str:
        """`"visits_clicks"`, or `"visits_clicks_draw_2"`."""
        return f"{self.name}_draw_{self.draw}" if self.draw else self.name

    def key(self) -> tuple[Any, ...]:
        """World, strength and draw."""
        return (*super().key(), self.draw)

    def _live(
        self, dose: Floats, n: int, noise: Noise, rows: Rows | None = None, first: int = 0
    ) -> Floats:
        still = np.zeros(1, dtype=bool)
        lives = live(self.parameters, dose[:, :, None], still, n, noise, rows, first)
        bought: Floats = lives.purchases[0]
        return bought

    def _events(self, rows: Rows) -> tuple[pl.DataFrame, dict[str, float]]:
        """All that happened within the log's days, in time order, and what each channel cost."""
        import polars as pl

        user, time, code, value = rows.columns()
        there = time < self.days
        user, time, code, value = (each[there] for each in (user, time, code, value))
        time = np.maximum(time, 0)
        names = pl.Series([*self.channels, None], dtype=pl.String)
        prices = np.append(self.parameters.prices, 0.0)
        dear = dearness(self.parameters, time, Noise((SIMULATED, self.seed, 0)))
        events = pl.DataFrame(
            {
                "user": user,
                "time": clock_times(time),
                "channel": names.gather(code),
                "conversion": (code == rows.conversion).astype(np.int8),
                "value": value,
                "cost": prices[code] * dear,
            }
        )
        costs = np.bincount(code, dear, len(prices)) * prices
        return events, dict(zip(self.channels, costs[:-1].tolist(), strict=True))

    def _observed(self, events: pl.DataFrame) -> pl.DataFrame:
        """Every user, and every further identity that was logged, for the whole log."""
        import polars as pl

        users = np.union1d(np.arange(self.n_users), events["user"].to_numpy())
        return pl.DataFrame({"user": users}).with_columns(
            start=pl.lit(START), end=pl.lit(START + timedelta(days=self.days))
        )
