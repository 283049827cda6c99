"""What a tracker makes of what happened in a world of visits, and what contacts cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.worlds.state import Noise
from mta_models.worlds.visits.parameters import Parameters

if TYPE_CHECKING:
    import polars as pl

_BUYS_ON_PHONE = 0.3  # of purchases in whose visit nothing else was logged
_SPREAD = 0.6  # s.d. of the log of what two contacts of a day and a channel cost


def tracked(events: pl.DataFrame, p: Parameters, n_users: int, noise: Noise) -> pl.DataFrame:
    """The events as they are logged: without consent no touchpoint, and people as identities."""
    mech = p.mechanisms
    if mech.lost_consent:
        events = _consented(events, p, noise)
    if mech.devices:
        events = _by_device(events, p, n_users, noise)
    if mech.lost_identity:
        events = _new_identities(
            events, mech.lost_identity, n_users * (1 + bool(mech.devices)), noise
        )
    return events


def dearness(p: Parameters, days: Floats, noise: Noise) -> Floats:
    """Factor of the price of contacts at `days` since the log's start: what rivals bid."""
    if not p.mechanisms.rivals:
        return np.ones(len(days))
    each = noise.on("price").lognormal(-(_SPREAD**2) / 2, _SPREAD, len(days))
    factor: Floats = np.round(p.media.dearness[days.astype(np.int64)] * each, 3)
    return factor


def _consented(events: pl.DataFrame, p: Parameters, noise: Noise) -> pl.DataFrame:
    import polars as pl

    share = dict(zip(p.names, p.consent, strict=True))
    kept = events["channel"].replace_strict(share, default=1.0, return_dtype=pl.Float64)
    return events.filter(noise.on("consent").random(len(events)) < kept.to_numpy())


def _by_device(events: pl.DataFrame, p: Parameters, n_users: int, noise: Noise) -> pl.DataFrame:
    """Visits on a phone get an identity of their own, but for users who log in on both devices.

    A visit is made on a phone with the chance of the channel that it begins with.
    """
    import polars as pl

    split = np.flatnonzero(noise.on("not linked").random(n_users) < p.mechanisms.devices)
    on_phone = dict(zip(p.names, p.media.on_phone, strict=True))
    chance = pl.col("channel").replace_strict(
        on_phone, default=_BUYS_ON_PHONE, return_dtype=pl.Float64
    )
    begins = pl.col("time").diff().over("user").fill_null(pl.duration(days=1)) > pl.duration(
        hours=1
    )
    drawn = pl.Series("drawn", noise.on("device").random(len(events)))
    return (
        events.with_columns(drawn, chance=chance, visit=begins)
        .with_columns(visit=pl.col("visit").cum_sum().over("user"))
        .with_columns(phone=(pl.col("drawn") < pl.col("chance")).first().over("user", "visit"))
        .with_columns(
            user=pl.col("user")
            + n_users * (pl.col("phone") & pl.col("user").is_in(split.tolist())).cast(pl.Int64)
        )
        .drop("drawn", "chance", "visit", "phone")
    )


def _new_identities(events: pl.DataFrame, chance: float, width: int, noise: Noise) -> pl.DataFrame:
    """Each touchpoint begins a new identity with this chance; numbered in steps of `width`."""
    import polars as pl

    is_new = noise.on("identity").random(len(events)) < chance
    is_new &= events["channel"].is_not_null().to_numpy()
    later = width * pl.col("new").cum_sum().over("user")
    return (
        events.with_columns(new=pl.Series(is_new).cast(pl.Int64))
        .with_columns(user=pl.col("user") + later)
        .drop("new")
    )
