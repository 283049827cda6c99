"""Users of a world of visits, day by day: contacts, decisions, visits and purchases.

Arrays carry interventions first and users last: `(m, C, n)`, `(m, n)`. Noise has no first axis:
every intervention meets the same, so that switching a channel off changes nothing but the channel.

A day of a user:

1. needs begin and end; paid channels show contacts, by the calendar, the user's intent and need,
   caps, visits of the last week, and purchases made;
2. the user browses: visits through entrances;
3. the user may decide to buy: by itself, because of contacts carried over, or at once, within
   minutes of a click;
4. who decided at once buys in that visit. Who decided otherwise buys on the same day or, in a world
   of slow decisions, some days later, in a visit through an entrance: this touchpoint, and those of
   visits on the way, belong to the decision. They vanish with it, not with a channel's budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.worlds.simulation import Rows
from mta_models.worlds.state import Noise
from mta_models.worlds.visits.parameters import DAYS, RETARGETING, Parameters

_NEVER = -1_000
_WEEK = 7
_FORGET = 30  # days after a purchase until stopped ads come back
_MINUTE = 1 / 1440
_ORDER, _SPREAD = 50.0, 0.7  # median and log-s.d. of what a purchase is worth


@dataclass
class Life:
    """What became of n users under m interventions.

    Attributes:
        purchases: shape `(m, n)`.
        volume: shape `(C,)`, touchpoints a user, under the first intervention.
        reach: shape `(C,)`, as `volume` without those on the way to a purchase, each weighted by
            the user's intent: what effects are proportional to.
    """

    purchases: Floats
    volume: Floats
    reach: Floats


def live(
    p: Parameters,
    doses: Floats,
    frozen: Mask,
    n: int,
    noise: Noise,
    rows: Rows | None = None,
    first: int = 0,
) -> Life:
    """Simulate n users for all days.

    Args:
        p: of the world.
        doses: shape `(m, C, n)` or `(m, C, 1)`: what each chance of a touchpoint is multiplied by.
        frozen: shape `(m,)`: interventions in which every chance is that of the first.
        n: users.
        noise: of this block.
        rows: what the first intervention's events are added to.
        first: the number of the first user.
    """
    day_of = _Users(p, doses.astype(np.float32), frozen, n, noise)
    for day in range(DAYS):
        day_of.live_through(day, rows, first)
    return Life(day_of.purchases, day_of.touched / n, day_of.reach / n)


class _Users:
    """The state of one block of users."""

    def __init__(self, p: Parameters, doses: Numbers, frozen: Mask, n: int, noise: Noise) -> None:
        m, c, e = len(doses), len(p.channels), p.n_entrances
        self.p, self.doses, self.frozen, self.n, self.noise = p, doses, frozen, n, noise
        self.m, self.c, self.e = m, c, e
        spread = p.mechanisms.intent
        normal = noise.on("intent").standard_normal(n)
        self.intent = np.exp(spread * normal - spread**2 / 2).astype(np.float32)
        follows = p.follows[:, None]
        aimed = self.intent[None] ** follows / np.exp(spread**2 / 2 * (follows**2 - follows))
        self.aimed = aimed.astype(np.float32)
        self.adstock = np.zeros((m, c, n), dtype=np.float32)
        self.kept = np.exp2(-1 / p.half_lives).astype(np.float32)[:, None]
        self.weight = (p.carried * (1 - np.exp2(-1 / p.half_lives))).astype(np.float32)
        share = p.need_begins / (p.need_begins + p.need_expires)
        self.need = np.broadcast_to(noise.on("need").random(n) < share, (m, n)).copy()
        self.need_mean = 1 + p.mechanisms.need * share
        self.due = np.full((m, n), _NEVER, dtype=np.int16)
        self.bought = np.full((m, n), _NEVER, dtype=np.int16)
        self.visited = np.full((m, n), _NEVER, dtype=np.int16)
        self.recent = np.zeros((m, c, n), dtype=np.float32)  # paid contacts, weekly memory
        self.paid_yesterday: Mask = np.zeros((m, n), dtype=bool)
        self.purchases = np.zeros((m, n))
        self.touched = np.zeros(c)
        self.reach = np.zeros(c)

    def draw(self, mechanism: str, day: int, *shape: int) -> Numbers:
        """Uniform noise of a mechanism on a day, single precision."""
        return self.noise.on(mechanism, day).random(shape or (self.n,), dtype=np.float32)

    def live_through(self, day: int, rows: Rows | None, first: int) -> None:
        """One day of all users under all interventions."""
        p, e = self.p, self.e
        self._needs(day)
        chance = self._chances(day)
        if self.frozen.any():
            chance = np.where(self.frozen[:, None, None], chance[:1], chance)
        touched = self.draw("touch", day, self.c, self.n) < chance * self.doses
        clock = self._clock("touch time", day, self.c, self.n)
        moment = self._clock("decision time", day, self.n)
        decided, at_once = self._decide(day, touched, clock, moment)
        buys, doors, coupon = self._buy(day, decided, at_once)
        way = self._on_the_way(day)
        visits = touched[:, p.clicked > 0].any(axis=1) | doors.any(axis=1) | way.any(axis=1)
        if rows is not None:
            self._record(
                rows, day, first, (touched, clock, moment, at_once, buys, doors, coupon, way)
            )
        self.touched += touched[0].sum(axis=1)
        self.reach += touched[0] @ self.intent
        self.touched[:e] += (doors[0] | way[0]).sum(axis=1)
        self.touched[e - 1] += coupon[0].sum()
        self.visited[visits | buys] = day
        self.bought[buys] = day
        # Recorded within the log, as `_record` has it.
        self.purchases += buys & (day + moment + self._lateness(day) < DAYS)
        if p.mechanisms.need:
            self.need[buys] = False
        self.adstock += touched
        self.adstock *= self.kept
        if p.mechanisms.cap:
            self.recent *= np.float32(1 - 1 / _WEEK)
            self.recent += touched
        if p.mechanisms.returns:
            self.paid_yesterday[:] = touched[:, e:].any(axis=1)

    def _needs(self, day: int) -> None:
        if not self.p.mechanisms.need:
            return
        self.need[:, self.draw("need begins", day) < self.p.need_begins] = True
        self.need[:, self.draw("need expires", day) < self.p.need_expires] = False

    def _chances(self, day: int) -> Numbers:
        """Today's chance of each channel, `(m, C, n)`."""
        p, mech, e = self.p, self.p.mechanisms, self.e
        rates = p.rates.copy()
        rates[e:] *= p.calendar[day]
        chance = (rates.astype(np.float32)[:, None] * self.aimed)[None]
        if mech.need:
            gain = np.sqrt(mech.need) * p.follows
            share = (self.need_mean - 1) / mech.need
            factor = 1 + gain[:, None] * self.need[:, None, :]
            chance = chance * (factor / (1 + gain * share)[:, None]).astype(np.float32)
        chance = np.broadcast_to(chance, self.adstock.shape).astype(np.float32)
        if mech.stops:
            stopped = (day - self.bought <= _FORGET)[:, None, :]
            chance *= 1 - p.stops.astype(np.float32)[:, None] * stopped
        if mech.messages:
            chance[:, p.channels.index("Email")] += mech.messages * (day - self.bought <= 14)
        if mech.retargeted:
            c = p.channels.index(RETARGETING)
            followed = mech.retargeted * (day - self.visited <= _WEEK)
            # Contacts that follow visits replace the random ones as their chance grows.
            chance[:, c] = (1 - min(1.0, mech.retargeted * 10)) * chance[:, c] + followed
        if mech.cap:
            chance[:, e:] *= self.recent[:, e:] < mech.cap
        if mech.returns:
            back = mech.returns * self.paid_yesterday
            chance[:, 0] += back * p.doors[0] / p.doors[:2].sum()
            chance[:, 1] += back * p.doors[1] / p.doors[:2].sum()
        return chance

    def _decide(self, day: int, touched: Mask, clock: Floats, moment: Floats) -> tuple[Mask, Mask]:
        """Who decides today, and who of them at once, within minutes of a click."""
        p, mech = self.p, self.p.mechanisms
        factor = (p.season[day] * self.intent).astype(np.float32)
        earlier = touched & (clock < moment)
        carried = np.matmul(self.weight, self.adstock + earlier)
        alone = np.float32(p.base) * (1 + mech.need * self.need) / np.float32(self.need_mean)
        at_once = np.matmul(p.at_once.astype(np.float32), touched.astype(np.float32))
        if p.multiplies.any():
            at_once += alone * np.matmul(
                p.multiplies.astype(np.float32), touched.astype(np.float32)
            )
        luck = self.draw("decision", day)
        free = self.due < day
        if not mech.repeat:
            free &= self.bought == _NEVER
        quick = free & (luck < factor * at_once)
        decided = free & ~quick & (luck < factor * (at_once + alone + carried))
        return decided, quick

    def _buy(self, day: int, decided: Mask, at_once: Mask) -> tuple[Mask, Mask, Mask]:
        """Who buys today, `(m, n)`; through which entrance, `(m, E, n)`; who fetches a coupon."""
        p, mech, e = self.p, self.p.mechanisms, self.e
        delay = np.zeros(self.n, dtype=np.int16)
        if mech.slow:
            delay = (-mech.slow * np.log1p(-self.draw("delay", day))).astype(np.int16)
        self.due = np.where(decided, day + delay, self.due).astype(np.int16)
        buys = self.due == day
        door = np.searchsorted(np.cumsum(p.doors)[:-1], self.draw("door", day))
        open_ = self.draw("door open", day, e, self.n) < self.doses[:, :e]
        doors = np.zeros((self.m, e, self.n), dtype=bool)
        users = np.arange(self.n)
        logged = self.draw("door logged", day) < p.logged
        doors[:, door, users] = buys & logged & open_[:, door, users]
        seeks = buys & (self.draw("coupon", day) < p.coupon)
        coupon = seeks & open_[:, e - 1]
        if mech.closes:
            lost = seeks & ~coupon & (self.draw("closing", day) < mech.closes)
            buys = buys & ~lost
        return buys | at_once, doors, coupon

    def _on_the_way(self, day: int) -> Mask:
        """Visits of those who have decided and not yet bought, `(m, E, n)`."""
        e, p = self.e, self.p
        way = np.zeros((self.m, e, self.n), dtype=bool)
        if not p.mechanisms.slow:
            return way
        waiting = (self.due > day)[:, None, :]
        chance = (0.35 * p.doors)[:, None].astype(np.float32) * self.doses[:, : e - 1]
        way[:, : e - 1] = waiting & (self.draw("way", day, e - 1, self.n) < chance)
        return way

    def _lateness(self, day: int) -> Floats:
        """Days until a purchase of today is recorded, `(n,)`."""
        late = self.p.mechanisms.late
        if not late:
            return np.zeros(self.n)
        delays: Floats = -late * np.log1p(-self.noise.on("record", day).random(self.n))
        return delays

    def _clock(self, mechanism: str, day: int, *shape: int) -> Floats:
        """Times of day, 0 to 1: few at night, most in the evening."""
        u = self.noise.on(mechanism, day).random(shape)
        times: Floats = np.interp(u, _CLOCK_SHARE, _CLOCK)
        return times

    def _record(self, rows: Rows, day: int, first: int, today: tuple[Numbers, ...]) -> None:
        """The first intervention's events."""
        touched, clock, moment, at_once, buys, doors, coupon, way = today
        rows.touchpoints(first, touched[0], day + clock)
        time = day + moment
        if at_once[0].any():
            causes = touched[0] * (self.p.at_once + self.p.multiplies)[:, None]
            click = day + clock[np.argmax(causes, axis=0), np.arange(self.n)]
            soon = -8 * _MINUTE * np.log1p(-self.noise.on("soon", day).random(self.n))
            time = np.where(at_once[0], click + np.minimum(soon, 55 * _MINUTE) + _MINUTE, time)
        before = self.noise.on("minutes before", day).lognormal(np.log(9), 0.8, (1, self.n))
        before = np.minimum(before, 50) * _MINUTE
        visit = np.broadcast_to(time - before[0], (self.e, self.n))
        rows.touchpoints(first, doors[0], visit)
        way_time = self._clock("way time", day, self.n)
        rows.touchpoints(first, way[0], np.broadcast_to(day + way_time, (self.e, self.n)))
        fetched = np.zeros((self.e, self.n), dtype=bool)
        fetched[-1] = coupon[0]
        # Within the visit: after its entrance, before the purchase.
        inside = self.noise.on("coupon time", day).uniform(0.1, 0.9, self.n)
        rows.touchpoints(first, fetched, visit + before[0] * inside)
        buyers = np.flatnonzero(buys[0])
        worth = self.noise.on("value", day).lognormal(np.log(_ORDER), _SPREAD, self.n)
        at = (time + self._lateness(day))[buyers]
        rows.conversions(first + buyers, at, np.round(worth[buyers], 2))


_CLOCK = np.array([0, 7, 9, 12, 14, 18, 21, 23, 24]) / 24
_CLOCK_SHARE = np.array([0, 0.05, 0.15, 0.3, 0.42, 0.62, 0.88, 0.97, 1.0])
