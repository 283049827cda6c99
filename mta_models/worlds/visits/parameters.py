"""The numbers of a world of visits: which mechanisms it has, and what is drawn for each draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.worlds.visits.channels import (
    BRAND_ADS,
    CLICKS_OF,
    OPENS_VISIT,
    RETARGETING,
    kinds_of,
    names_of,
)
from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.media import Media, draw_media

DAYS = 90


@dataclass(frozen=True, eq=False)
class Parameters:
    """A draw of a world. Arrays are of shape `(C,)`, in the order of `channels`, unless said.

    Attributes:
        mechanisms: which of them the world has.
        channels: kinds of channels, entrances first, then paid channels.
        names: what the log calls them.
        n_entrances: how many of them are entrances; the last entrance is the coupon site.
        rates: touchpoints a day of an average user, before what mechanisms do to them.
        follows: the power of a user's intent by which the channel follows it.
        half_lives: days until half of a touchpoint's effect has faded.
        at_once: conversions that a touchpoint causes within minutes.
        multiplies: by how many times the base hazard a touchpoint raises the day's decisions.
        carried: conversions that a touchpoint causes later.
        clicked: whether a touchpoint opens a visit.
        stops: part of touchpoints that stop after a purchase.
        prices: cost of a touchpoint.
        doors: shape `(n_entrances - 1,)`, the part of purchases that come in through each entrance.
        coupon: the part of buyers who look for a coupon first.
        logged: the part of purchases in whose visit the entrance is logged.
        consent: the part of the channel's touchpoints that are logged.
        base: decisions a day of an average user without any channel.
        calendar: shape `(days,)`: factor of paid volumes by day (weekdays, promotions, trend).
        season: shape `(days,)`: factor of the base hazard.
        media: of ads on the way, views, machines, auctions and devices.
    """

    mechanisms: Mechanisms
    channels: tuple[str, ...]
    names: tuple[str, ...]
    n_entrances: int
    rates: Floats
    follows: Floats
    half_lives: Floats
    at_once: Floats
    multiplies: Floats
    carried: Floats
    clicked: Ints
    stops: Floats
    prices: Floats
    doors: Floats
    coupon: float
    logged: float
    consent: Floats
    base: float
    calendar: Floats
    season: Floats
    media: Media
    need_begins: float = 1 / 60
    need_expires: float = 1 / 10


@dataclass(frozen=True)
class Volumes:
    """How much is bought in a draw, and by what part because of channels.

    Attributes:
        purchases: wanted, per user.
        incremental: the part of them that channels cause, to first order.
        parts: shape `(C,)`, each channel's part of that.
    """

    purchases: float
    incremental: float
    parts: Floats


def draw_parameters(name: str, mechanisms: Mechanisms, draw: int) -> tuple[Parameters, Volumes]:
    """The parameters of a draw: volumes, effects, prices and half-lives, all heavy-tailed.

    The effects of a touchpoint and the base hazard are 0 yet: `with_effects` sets them, once it is
    known how many touchpoints there are.
    """
    rng = np.random.default_rng([crc32(name.encode()), draw])
    entrances, paid = kinds_of(mechanisms, rng)
    channels = (*entrances, *paid)
    later = np.random.default_rng([crc32(name.encode()), draw, 1])  # mechanisms that came later
    media = draw_media(mechanisms, channels, DAYS, later)
    e, c = len(entrances), len(channels)
    is_paid = np.arange(c) >= e
    rates = np.where(is_paid, 0.008, 0.004) * rng.lognormal(0, np.where(is_paid, 0.8, 0.4))
    rates[e - 1] = 0.0  # nobody browses for coupons
    rates *= [_volume(name, mechanisms) for name in channels]
    follows = np.where(is_paid, rng.choice([0.0, 0.5, 1.0], c), 1.0)
    follows[[name == BRAND_ADS or name in CLICKS_OF.values() for name in channels]] = 1.0
    half_lives = np.clip(rng.lognormal(np.log(3), 0.7, c), 0.5, 14.0)
    parts = np.where(is_paid, rng.lognormal(0, 1.1, c), 0.0)
    # One paid channel does nothing, and it is one of the busiest.
    idle = e + int(np.argsort(rates[e:])[-2])
    if channels[idle] == RETARGETING or (mechanisms.messages and channels[idle] == "Email"):
        idle = e + int(np.argsort(rates[e:])[-1])
    parts[idle] = 0.0
    parts[[name == BRAND_ADS for name in channels]] = 0.0
    clicked = np.array([name in OPENS_VISIT for name in channels])
    stops = mechanisms.stops * np.where(is_paid, rng.uniform(0.4, 1.0, c), 0.0)
    if "Email" in channels:
        stops[channels.index("Email")] *= mechanisms.messages == 0
    doors = rng.dirichlet(np.full(e - 1, 3.0))
    logged = float(rng.uniform(0.25, 0.65)) if mechanisms.logged is None else mechanisms.logged
    days = np.arange(DAYS)
    week = 1 + 0.25 * np.cos(2 * np.pi * (days - rng.integers(7)) / 7)
    starts = rng.choice(np.arange(5, DAYS - 10), 4, replace=False)
    promoted = (days[:, None] >= starts) & (days[:, None] < starts + 5)
    promotion = 1 + mechanisms.promotions * promoted.any(axis=1)
    growth = 1 + mechanisms.trend * (days / DAYS - 0.5)
    volumes = Volumes(
        purchases=0.03 if mechanisms.thin else float(rng.uniform(0.14, 0.2)),
        incremental=float(rng.uniform(0.3, 0.55)),
        parts=parts / parts.sum(),
    )
    parameters = Parameters(
        mechanisms=mechanisms,
        channels=channels,
        names=names_of(channels, int(later.integers(3))) if mechanisms.renamed else channels,
        n_entrances=e,
        rates=rates,
        follows=follows,
        half_lives=half_lives,
        at_once=np.zeros(c),
        multiplies=np.zeros(c),
        carried=np.zeros(c),
        clicked=clicked.astype(np.int64),
        stops=stops,
        prices=np.where(is_paid, np.round(rng.lognormal(np.log(0.4), 0.9, c), 3), 0.0),
        doors=doors,
        coupon=float(rng.uniform(0.15, 0.4)),
        logged=logged,
        consent=1 - mechanisms.lost_consent * rng.uniform(0, 1, c),
        base=0.0,
        calendar=week * promotion * growth,
        season=(1 + 0.15 * np.cos(2 * np.pi * (days - rng.integers(7)) / 7))
        * promotion
        * growth
        * media.demand,
        media=media,
    )
    return parameters, volumes


def with_effects(p: Parameters, volumes: Volumes, reach: Floats) -> Parameters:
    """The parameters with effects that give the volumes wanted, to first order.

    Args:
        p: with a base hazard.
        volumes: wanted.
        reach: shape `(C,)`, touchpoints a user, weighted by intent, from a run without effects.
    """
    mech = p.mechanisms
    wanted = volumes.purchases * volumes.incremental * volumes.parts
    # What a purchase of the log's middle is renewed into is the channel's too.
    wanted = wanted / (1 + mech.renews * 2 / 3 + mech.renews**2 / 3)
    effect = np.divide(wanted, reach, out=np.zeros(len(reach)), where=reach > 0)
    effect = np.minimum(effect, 0.25)
    quick = np.where((p.clicked > 0) & (np.arange(len(effect)) >= p.n_entrances), mech.at_once, 0.0)
    at_once = effect * quick * (1 - mech.multiplies)
    multiplies = effect * quick * mech.multiplies / p.base
    carried = effect * (1 - quick)
    carried[p.channels.index("Brand Search")] += mech.brand_works
    return replace(p, at_once=at_once, multiplies=multiplies, carried=carried)


def _volume(name: str, mechanisms: Mechanisms) -> float:
    """How many times the usual contacts a channel has."""
    if name in CLICKS_OF.values():
        return 0.0  # they follow views
    if name in CLICKS_OF and mechanisms.views:
        return mechanisms.views
    return 0.3 if name == BRAND_ADS else 1.0
