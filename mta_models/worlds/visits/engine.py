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
   Some of these visits begin with a paid ad; without the ad, they begin at an entrance.

Some users may be machines, which have touchpoints and decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.worlds.simulation import Rows
from mta_models.worlds.state import Noise
from mta_models.worlds.visits.channels import RETARGETING
from mta_models.worlds.visits.parameters import DAYS, Parameters

_NEVER = -1_000
_WEEK = 7
_FORGET = 30  # days after a purchase until stopped ads come back
_MINUTE = 1 / 1440
_TERM = 30  # days until a purchase is renewed
_ACTIVE = 14  # days that a machine is active
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
        self.machines = np.flatnonzero(noise.on("machine").random(n) < p.mechanisms.bots)
        self.intent[self.machines] = 0
        self.active_from = p.media.waves[noise.on("wave").integers(len(p.media.waves), size=n)]
        self.appetite = noise.on("appetite").lognormal(0, 0.8, n)
        self.until = np.interp(p.media.budget, _CLOCK_SHARE, _CLOCK)
        self.adstock = np.zeros((m, c, n), dtype=np.float32)
        self.kept = np.exp2(-1 / p.half_lives).astype(np.float32)[:, None]
        self.weight = (p.carried * (1 - np.exp2(-1 / p.half_lives))).astype(np.float32)
        share = p.need_begins / (p.need_begins + p.need_expires)
        self.need = np.broadcast_to(noise.on("need").random(n) < share, (m, n)).copy()
        self.need_mean = 1 + p.mechanisms.need * share
        self.due = np.full((m, n), _NEVER, dtype=np.int16)
        self.bought = np.full((m, n), _NEVER, dtype=np.int16)
        self.visited = np.full((m, n), _NEVER, dtype=np.int16)
        self.renewing: Mask = np.zeros((m, n), dtype=bool)
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
        if p.mechanisms.rivals:
            touched &= clock < self.until[:, day, None]  # then the day's budget is spent
        if p.mechanisms.views:
            self._click(day, touched, clock)
        moment = self._clock("decision time", day, self.n)
        decided, at_once = self._decide(day, touched, clock, moment)
        buys, doors, coupon, ads = self._buy(day, decided, at_once)
        way, way_ads = self._on_the_way(day)
        visits = touched[:, p.clicked > 0].any(axis=1) | doors.any(axis=1) | way.any(axis=1)
        visits |= (ads | way_ads).any(axis=1)
        renewed = self._renew(day)
        if rows is not None:
            today = (touched, clock, moment, at_once, buys, doors, coupon, way)
            self._record(rows, day, first, today, (ads, way_ads, renewed))
        self.touched += touched[0].sum(axis=1)
        self.reach += touched[0] @ self.intent
        self.touched += (ads[0] | way_ads[0]).sum(axis=1)
        self.touched[:e] += (doors[0] | way[0]).sum(axis=1)
        self.touched[e - 1] += coupon[0].sum()
        self.visited[visits | buys] = day
        self.bought[buys] = day
        self.renewing[buys] = True
        self.purchases += renewed
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
        rates *= p.media.won[:, day]
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
        if len(self.machines):
            since = day - self.active_from[self.machines]
            active = self.appetite[self.machines] * ((since >= 0) & (since < _ACTIVE))
            chance[:, :, self.machines] = p.media.bots[:, None] * active
        return chance

    def _click(self, day: int, touched: Mask, clock: Floats) -> None:
        """Clicks on today's views, within two minutes; added to `touched`, and to `clock`."""
        luck = self.draw("click", day, self.c, self.n)
        after = self.noise.on("click time", day).uniform(0, 2 * _MINUTE, (self.c, self.n))
        for c in np.flatnonzero(self.p.media.views_of >= 0):
            view = self.p.media.views_of[c]
            chance = np.float32(self.p.media.click_rate[c]) * self.aimed[c] * self.doses[:, c]
            seen = np.where(self.frozen[:, None], touched[:1, view], touched[:, view])
            touched[:, c] |= seen & (luck[c] < chance)
            clock[c] = clock[view] + after[c]

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

    def _buy(self, day: int, decided: Mask, at_once: Mask) -> tuple[Mask, Mask, Mask, Mask]:
        """Who buys today, `(m, n)`; through which entrance, `(m, E, n)`; who fetches a coupon.

        And, `(m, C, n)`, through which ad in place of the entrance.
        """
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
        ads = self._ads("door ad", day, buys)
        doors &= ~_any(ads)[:, None]
        seeks = buys & (self.draw("coupon", day) < p.coupon)
        coupon = seeks & open_[:, e - 1]
        if mech.closes:
            lost = seeks & ~coupon & (self.draw("closing", day) < mech.closes)
            buys = buys & ~lost
        return buys | at_once, doors, coupon, ads

    def _ads(self, mechanism: str, day: int, visits: Mask) -> Mask:
        """Which visits that belong to a decision, `(m, n)`, begin with an ad: `(m, C, n)`."""
        ads = np.zeros((self.m, self.c, self.n), dtype=bool)
        if not self.p.mechanisms.bought:
            return ads
        which = np.searchsorted(np.cumsum(self.p.media.bought), self.draw(mechanism, day))
        users = np.flatnonzero(which < self.c)
        which = which[users]
        doses = np.broadcast_to(self.doses, ads.shape)[:, which, users]
        there = self.draw(f"{mechanism} there", day)[users] < doses
        ads[:, which, users] = visits[:, users] & there
        return ads

    def _renew(self, day: int) -> Mask:
        """Whose purchase is renewed today, `(m, n)`."""
        if not self.p.mechanisms.renews:
            return np.zeros((self.m, self.n), dtype=bool)
        since = day - self.bought
        due = self.renewing & (since > 0) & (since % _TERM == 0)
        self.renewing &= ~due | (self.draw("renewal", day) < self.p.mechanisms.renews)
        renewed: Mask = due & self.renewing
        return renewed

    def _on_the_way(self, day: int) -> tuple[Mask, Mask]:
        """Visits of those who have decided and not yet bought.

        Through entrances, `(m, E, n)`, and through ads, `(m, C, n)`.
        """
        e, p = self.e, self.p
        way = np.zeros((self.m, e, self.n), dtype=bool)
        if not p.mechanisms.slow:
            return way, np.zeros((self.m, self.c, self.n), dtype=bool)
        waiting = (self.due > day)[:, None, :]
        chance = (0.35 * p.doors)[:, None].astype(np.float32) * self.doses[:, : e - 1]
        way[:, : e - 1] = waiting & (self.draw("way", day, e - 1, self.n) < chance)
        ads = self._ads("way ad", day, _any(way))
        return way & ~_any(ads)[:, None], ads

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
        times[..., self.machines] = u[..., self.machines]  # machines do not sleep
        return times

    def _record(
        self,
        rows: Rows,
        day: int,
        first: int,
        today: tuple[Numbers, ...],
        further: tuple[Mask, Mask, Mask],
    ) -> None:
        """The first intervention's events."""
        touched, clock, moment, at_once, buys, doors, coupon, way = today
        ads, way_ads, renewed = further
        rows.touchpoints(first, touched[0], day + clock)
        time = day + moment
        if at_once[0].any():
            causes = touched[0] * (self.p.at_once + self.p.multiplies)[:, None]
            click = day + clock[np.argmax(causes, axis=0), np.arange(self.n)]
            soon = -8 * _MINUTE * np.log1p(-self.noise.on("soon", day).random(self.n))
            time = np.where(at_once[0], click + np.minimum(soon, 55 * _MINUTE) + _MINUTE, time)
        before = self.noise.on("minutes before", day).lognormal(np.log(9), 0.8, (1, self.n))
        before = np.minimum(before, 50) * _MINUTE
        visit = np.broadcast_to(time - before[0], (self.c, self.n))
        rows.touchpoints(first, doors[0], visit)
        rows.touchpoints(first, ads[0], visit)
        way_time = np.broadcast_to(day + self._clock("way time", day, self.n), visit.shape)
        rows.touchpoints(first, way[0], way_time)
        rows.touchpoints(first, way_ads[0], way_time)
        fetched = np.zeros((self.e, self.n), dtype=bool)
        fetched[-1] = coupon[0]
        # Within the visit: after its entrance, before the purchase.
        inside = self.noise.on("coupon time", day).uniform(0.1, 0.9, self.n)
        rows.touchpoints(first, fetched, visit[: self.e] + before[0] * inside)
        buyers = np.flatnonzero(buys[0])
        worth = self.noise.on("value", day).lognormal(np.log(_ORDER), _SPREAD, self.n)
        at = (time + self._lateness(day))[buyers]
        rows.conversions(first + buyers, at, np.round(worth[buyers], 2))
        # Renewals are charged by a machine, in the small hours.
        charged = np.flatnonzero(renewed[0])
        night = day + self.noise.on("renewal time", day).uniform(2 / 24, 4 / 24, self.n)
        rows.conversions(first + charged, night[charged], np.round(worth[charged], 2))


def _any(touched: Mask) -> Mask:
    """Whether in any channel: `(m, C, n)` to `(m, n)`."""
    return np.asarray(touched.any(axis=1))


_CLOCK = np.array([0, 7, 9, 12, 14, 18, 21, 23, 24]) / 24
_CLOCK_SHARE = np.array([0, 0.05, 0.15, 0.3, 0.42, 0.62, 0.88, 0.97, 1.0])
