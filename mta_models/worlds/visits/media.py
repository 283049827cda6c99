"""What is drawn for ads on the way, views, machines, auctions and devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.worlds.visits.channels import (
    AUCTIONED,
    BRAND_ADS,
    CLICKED,
    CLICKS_OF,
    RETARGETING,
    SHOWN,
)
from mta_models.worlds.visits.mechanisms import Mechanisms

_KEPT = 0.85  # of what rivals bid today, as a power, tomorrow
_FOLLOWS_RIVALS = 0.7  # the power of rivals' bids by which purchases rise with them


@dataclass(frozen=True, eq=False)
class Media:
    """Of shape `(C,)`, in the order of the channels, unless said.

    Attributes:
        bought: part of decided visits that begin with the channel's ad.
        views_of: the channel whose views may be clicked, for channels of clicks; −1 elsewhere.
        click_rate: the chance that an average user clicks a view.
        bots: touchpoints a day of an average machine while it is active.
        waves: shape `(4,)`, days on which machines become active.
        dearness: shape `(days,)`, how much rivals bid; mean of the log 0.
        won: shape `(C, days)`, what part of the usual contacts is won, by what rivals bid.
        demand: shape `(days,)`, factor of the base hazard by what makes rivals bid.
        budget: shape `(C, days)`, for which part of a day's contacts the budget is enough.
        on_phone: part of the channel's visits that are made on a phone.
    """

    bought: Floats
    views_of: Ints
    click_rate: Floats
    bots: Floats
    waves: Ints
    dearness: Floats
    won: Floats
    demand: Floats
    budget: Floats
    on_phone: Floats


def draw_media(
    mechanisms: Mechanisms, channels: tuple[str, ...], days: int, rng: np.random.Generator
) -> Media:
    """The numbers of a draw, from a generator of their own."""
    c = len(channels)
    bought = _bought(mechanisms, channels, rng)
    views_of = np.full(c, -1)
    for view, click in CLICKS_OF.items():
        if click in channels:
            views_of[channels.index(click)] = channels.index(view)
    click_rate = np.where(views_of >= 0, 0.015 * rng.lognormal(0, 0.5, c), 0.0)
    visited = np.array(
        [name in (*CLICKED, "Direct", "Referral", "Organic Search") for name in channels]
    )
    seen = np.array([name in (*SHOWN, *CLICKS_OF.values()) for name in channels])
    bots = rng.uniform(0.2, 1.0, c) * visited + rng.uniform(0.0, 0.4, c) * seen
    log_bids = np.zeros(days)
    steps = rng.normal(0, 1, days)
    for day in range(days):
        before = log_bids[day - 1] if day else steps[0]
        log_bids[day] = _KEPT * before + np.sqrt(1 - _KEPT**2) * steps[day]
    dearness = np.exp(mechanisms.rivals * (log_bids - log_bids.mean()))
    demand = dearness**_FOLLOWS_RIVALS
    demand /= demand.mean()
    auctioned = np.array([name in AUCTIONED or name == RETARGETING for name in channels])
    enough = rng.uniform(0.6, 1.2, c)[:, None] / demand
    return Media(
        bought=bought,
        views_of=views_of,
        click_rate=click_rate,
        bots=bots,
        waves=rng.integers(0, days - 15, 4),
        dearness=dearness,
        won=np.where(auctioned[:, None], 1 / dearness, 1.0),
        demand=demand,
        budget=np.where(auctioned[:, None], np.clip(enough, 0.3, 1.0), 1.0),
        on_phone=rng.beta(0.7, 0.7, c),
    )


def _bought(mechanisms: Mechanisms, channels: tuple[str, ...], rng: np.random.Generator) -> Floats:
    """Mostly brand ads, then shopping ads, then search ads where there are any."""
    weights = {BRAND_ADS: 5.0, "Shopping Ads": 3.0, "Generic Search": 1.5}
    weight = np.array([weights.get(name, 0.0) for name in channels])
    drawn = weight * rng.gamma(4.0, 0.25, len(channels))
    part: Floats = mechanisms.bought * drawn / max(drawn.sum(), 1e-9)
    return part
