"""The world `shop`: the small e-commerce shop of the README, and its log `example_events`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.worlds import engine
from mta_models.worlds.base import Simulation
from mta_models.worlds.simulation import Rows, log_of
from mta_models.worlds.state import Noise, State
from mta_models.worlds.world import World

if TYPE_CHECKING:
    import polars as pl

# Daily chance of an ad, the same for every user; and of a visit by a user of average intent.
ADS = {"Display": 0.008, "Paid Social": 0.012}
DOORS = {"Organic Search": 0.008, "Direct": 0.006, "Brand Search": 0.004}
CHASED = {"Retargeting": 0.08, "Email": 0.08}
# Conversions that 1,000 touchpoints of a channel cause; channels not named cause none.
EFFECTS = {"Display": 3.0, "Paid Social": 12.0, "Retargeting": 6.0, "Email": 10.0}
# Price of a touchpoint; channels not named are free.
COSTS = {
    "Display": 0.1,
    "Paid Social": 0.5,
    "Brand Search": 0.3,
    "Retargeting": 0.2,
    "Email": 0.05,
    "Coupon Site": 2.0,
}
CHANNELS = (*ADS, *DOORS, *CHASED, "Coupon Site")

_ORGANIC = 0.0004  # conversions a day of a user of average intent
_HALF_LIFE = 3.0  # days until half of a touchpoint's effect is gone
_COUPON = 0.25  # of those who have decided to buy look for a coupon first
_CHASE = 7  # days after a visit in which retargeting follows a user
_SECONDS, _EVENING = 86_400, 69_120  # in a day, and until its touchpoints end
_ORDER, _SPREAD = 50.0, 0.6  # median and log-s.d. of what an order is worth


class Shop(World):
    """A shop with ads, e-mail, retargeting, visits and coupons; `mta.example_events` is its log.

        z_u log-normal with mean 1 and s.d. of its log σ = 2·strength
        P(x_uct = 1) = rate_c              for Display and Paid Social
                       rate_c z_u          for Organic Search, Direct and Brand Search
                       0.08 · 1[an ad or a visit in the last 7 days]     for Retargeting
                       0.08 · 1[u has bought before]                     for Email
        h_ut = 1 − exp(−0.0004 z_u − Σ_c effect_c (1 − 2^(−1/3)) a_uct),  half-lives of 3 days
        a quarter of those who have decided to buy fetch a coupon first; users may buy again

    Organic Search, Direct and Brand Search have no effect of their own: what they cause, they cause
    by starting the retargeting. The Coupon Site causes nothing. Email follows a purchase, so that a
    channel which causes a purchase also causes e-mails.

    **Strength** dials how much users differ in intent.

    **Who wins.** Comparisons within a user with a lag of an hour, which leaves the Coupon Site out;
    without it that gets a quarter of all conversions from every model of when users convert. Rules
    also credit the doors. All models credit Retargeting for touchpoints that others started.
    """

    name = "shop"
    channels = CHANNELS
    repeatable = True
    reactive = True

    def tune(self) -> None:
        """The numbers above."""
        self.rates = np.array([*ADS.values(), *DOORS.values(), *CHASED.values(), 0.0])
        self.effects = np.array([EFFECTS.get(name, 0.0) for name in CHANNELS]) / 1000
        self.costs = np.array([COSTS.get(name, 0.0) for name in CHANNELS])
        self.half_lives = np.full(len(CHANNELS), _HALF_LIFE)
        self.base_rate = _ORGANIC

    def traits(self, noise: Noise, n: int) -> dict[str, Numbers]:
        """`intent`, z."""
        spread = 2 * self.dial
        return {"intent": noise.on("intent").lognormal(-(spread**2) / 2, spread, n)}

    def begin(self, now: State) -> None:
        """Nobody has visited yet."""
        now.memory["warmth"] = np.zeros(now.converted.shape)  # effects of the past on today's rate
        now.memory["visited"] = np.full(now.converted.shape, -np.inf)  # day of the last visit

    def exposure(self, now: State) -> Numbers:
        """Ads for everybody, doors by intent, the rest by what users did before."""
        chance = np.zeros(now.adstock.shape)
        ads, doors = len(ADS), len(ADS) + len(DOORS)
        chance[:, :ads] = self.rates[:ads, None]
        chance[:, ads:doors] = self.rates[ads:doors, None] * now.people["intent"]
        retargeting, email = self.at(*CHASED)
        chance[:, retargeting] = self.rates[retargeting] * (
            now.day - now.memory["visited"] <= _CHASE
        )
        chance[:, email] = self.rates[email] * now.converted
        return chance

    def remember(self, now: State, touched: Mask) -> None:
        """Effects fade overnight and are added up; visits are noted."""
        kept = 2 ** (-1 / _HALF_LIFE)
        # Geometric decay sums to 1 / (1 - kept), so that a touchpoint's whole effect is `effect`.
        now.memory["warmth"] *= kept
        now.memory["warmth"] += np.matmul(self.effects, touched) * (1 - kept)
        now.memory["visited"][touched[:, : len(ADS) + len(DOORS)].any(axis=1)] = now.day

    def hazard(self, now: State) -> Numbers:
        """The chance of at least one event of a Poisson process."""
        rate = now.people["intent"] * self.base_rate + now.memory["warmth"]
        hazard: Numbers = -np.expm1(-rate)
        return hazard

    def expected_today(self, now: State) -> Floats:
        """Chances are added up, but purchases are drawn as well, since e-mail follows them."""
        hazard = super().expected_today(now)
        now.converted |= now.uniform("conversion", now.n) < hazard
        return hazard

    def close(self, now: State, converts: Mask) -> Mask | None:
        """Coupons."""
        fetched = np.zeros((len(CHANNELS), now.n), dtype=bool)
        fetched[-1] = converts & (now.uniform("coupon", now.n) < _COUPON)
        return fetched

    def simulate(
        self,
        *,
        doses: Mapping[str, float] | None = None,
        lift_tests: Iterable[str] = (),
        n_test_users: int | None = None,
    ) -> Simulation:
        """As `World.simulate`; the log is drawn from one generator, as `example_events` always was.

        With doses, the world without them is run beside it and decides what is drawn, so that all
        else stays as it was; touchpoints and purchases that only the doses bring have times and
        values from a generator of their own.
        """
        dose, rows = self.dose(doses or {}), Rows(len(CHANNELS))
        for day, (touched, bought, drawn) in enumerate(self._days(dose)):
            for piece in _pieces(day * _SECONDS, touched, bought, drawn):
                rows.pieces.append(piece)
        return log_of(self, rows, [{}], tuple(lift_tests), n_test_users)

    def _days(self, dose: Floats) -> Iterator[tuple[Mask, Mask, _Drawn]]:
        """Day by day, touchpoints `(n, C)`, purchases `(n,)` and their times and values."""
        usual = bool((dose == 1).all())
        doses = dose if usual else np.vstack([np.ones_like(dose), dose])
        rng = np.random.default_rng(self.seed)
        now = engine.begin(self, len(doses), self.n_users, _OneStream((), rng))
        for day in range(self.days):
            now.day = day
            luck = rng.random((now.n, len(CHANNELS))).T
            touched: Mask = luck < self.exposure(now) * doses[:, :, None]
            self.remember(now, touched)
            bought = rng.random(now.n) < self.hazard(now)
            touched[:, -1] = bought & (rng.random(now.n) < _COUPON * doses[:, -1:])
            now.converted |= bought
            drawn = _Drawn.from_day(rng, touched[0].T, bought[0])
            if not usual:
                more = np.random.default_rng([self.seed, day])
                all_users = np.ones((now.n, len(CHANNELS)), dtype=bool)
                drawn = drawn.filled(_Drawn.from_day(more, all_users, all_users[:, 0]))
            yield touched[-1].T, bought[-1], drawn


@dataclass(frozen=True)
class _OneStream(Noise):
    """Noise from one generator, in the order in which it is asked for.

    Attributes:
        rng: the generator.
    """

    rng: np.random.Generator

    def on(self, mechanism: str, day: int = -1) -> np.random.Generator:
        """The generator, whatever it is for."""
        return self.rng


@dataclass(frozen=True)
class _Drawn:
    """Times in seconds of the day, and values, of what may happen on it; -1 where not drawn.

    Attributes:
        touched: shape `(n, C)`; of the Coupon Site, as of the others, the time it was fetched.
        bought: shape `(n,)`.
        worth: shape `(n,)`, the value of the order.
    """

    touched: Ints
    bought: Ints
    worth: Floats

    @classmethod
    def from_day(cls, rng: np.random.Generator, touched: Mask, bought: Mask) -> _Drawn:
        """Draw for those `(n, C)` touchpoints and `(n,)` purchases.

        Purchases fall in the last fifth of the day, after the day's other touchpoints; a coupon is
        fetched up to ten minutes before.
        """
        n = len(bought)
        seconds = np.full(touched.shape, -1), np.full(n, -1), np.full(n, -1.0)
        at, buying, worth = seconds
        buyers = np.flatnonzero(bought)
        buying[buyers] = rng.integers(_EVENING + 600, _SECONDS, len(buyers))
        at[touched] = rng.integers(0, _EVENING, np.count_nonzero(touched))
        fetched = np.flatnonzero(touched[:, -1])
        at[fetched, -1] = buying[fetched] - rng.integers(30, 600, len(fetched))
        worth[buyers] = np.round(rng.lognormal(np.log(_ORDER), _SPREAD, len(buyers)), 2)
        return cls(at, buying, worth)

    def filled(self, other: _Drawn) -> _Drawn:
        """This, and what it has not drawn from the other."""
        bought = np.where(self.bought < 0, other.bought, self.bought)
        # A coupon is fetched before the purchase that is made, whichever of the two drew it.
        early = np.where(self.bought < 0, 0, self.bought - other.bought)
        late = other.touched.copy()
        late[:, -1] += early
        touched = np.where(self.touched < 0, late, self.touched)
        return _Drawn(touched, bought, np.where(self.worth < 0, other.worth, self.worth))


def _pieces(
    start: int, touched: Mask, bought: Mask, drawn: _Drawn
) -> Iterator[tuple[Numbers, Numbers, Numbers, Numbers]]:
    """Today's touchpoints, then its purchases: user, time in days, code and value."""
    user, code = np.nonzero(touched)
    yield user, (start + drawn.touched[user, code]) / _SECONDS, code, np.zeros(len(user))
    buyers = np.flatnonzero(bought)
    at = (start + drawn.bought[buyers]) / _SECONDS
    yield buyers, at, np.full(len(buyers), len(CHANNELS)), drawn.worth[buyers]


def example_events(n_users: int = 20_000, seed: int = 0) -> pl.DataFrame:
    """Simulate 90 days of a shop's event log: that of the world `shop`, whose truth is known.

    What happens to a user, day by day:

    - **Display** and **Paid Social** ads reach everybody with the same chance.
    - Users differ in intent. Those of high intent visit more, through **Organic Search**,
      **Direct** and **Brand Search**, and buy more. These three only show intent: they sell
      nothing by themselves.
    - **Retargeting** follows whoever visited or met an ad in the last seven days, so it too finds
      users of high intent; **Email** goes to those who bought before.
    - Ads, retargeting and e-mail raise the daily chance to buy: 1,000 touchpoints cause 3
      (Display), 12 (Paid Social), 6 (Retargeting) and 10 (Email) conversions, half of them
      within three days.
    - A quarter of those who have decided to buy fetch a code from the **Coupon Site** minutes
      before. It is nearly always the last touchpoint and causes nothing.
    - Most conversions would have happened anyway; some have no touchpoint at all. Users may buy
      again. An order's value is log-normal, about 60 on average, whatever the channel.

    So a channel that a rule credits for being there (Organic Search, Coupon Site) may have
    caused nothing, and none of the rules can show it. What each caused:
    `mta.worlds.make("shop", n_users=n_users).truth()`.

    Args:
        n_users: users observed, >= 1. Those who never do anything are not in the log.
        seed: of `numpy.random.default_rng`, >= 0; equal seeds give equal logs.

    Returns:
        A polars table in time order, one row per event: `user` (integer), `time` (without zone),
        `channel` (missing on a conversion), `conversion` (0 or 1) and `value` (0 on a touchpoint).
        Read it with `read_events(log, user="user", time="time", channel="channel",
        conversion="conversion", value="value")`.

    Raises:
        ParameterError: `n_users` is below 1, or `seed` below 0.

    Example:
        >>> from mta_models import example_events
        >>> example_events(n_users=500, seed=1).columns
        ['user', 'time', 'channel', 'conversion', 'value']
    """
    return Shop(n_users=n_users, seed=seed).simulate().events.drop("cost")
