"""A small e-commerce log to try things on, whose mechanism fits on a page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    import polars as pl

DAYS = 90
# Daily chance of an ad, whoever the user is; and of a visit of a user of average intent.
ADS = {"Display": 0.008, "Paid Social": 0.012}
DOORS = {"Organic Search": 0.008, "Direct": 0.006, "Brand Search": 0.004}
CHASED = {"Retargeting": 0.08, "Email": 0.08}
# Conversions that 1,000 touchpoints of a channel cause; channels not named cause none.
EFFECTS = {"Display": 3.0, "Paid Social": 12.0, "Retargeting": 6.0, "Email": 10.0}
CHANNELS = (*ADS, *DOORS, *CHASED, "Coupon Site")

_ORGANIC = 0.0004  # conversions a day of a user of average intent
_HALF_LIFE = 3.0  # days until half of a touchpoint's effect is gone
_COUPON = 0.25  # of those who have decided to buy look for a coupon first
_START = datetime(2024, 1, 1)


def example_events(n_users: int = 20_000, seed: int = 0) -> pl.DataFrame:
    """Simulate 90 days of a shop's event log, with a known part for each channel.

    What happens to a user, day by day:

    - **Display** and **Paid Social** ads reach everybody alike, by chance.
    - Users differ in intent. The keen visit more, through **Organic Search**, **Direct** and
      **Brand Search**, and buy more. Those three doors cause nothing: they only show intent.
    - **Retargeting** follows whoever visited or clicked in the last seven days, so it too finds
      the keen; **Email** goes to those who bought before.
    - Ads, retargeting and e-mail raise the daily chance to buy: 1,000 touchpoints cause 3
      (Display), 12 (Paid Social), 6 (Retargeting) and 10 (Email) conversions, half of them
      within three days.
    - A quarter of those who have decided to buy fetch a code from the **Coupon Site** minutes
      before. It is nearly always the last touchpoint and causes nothing.
    - Most conversions would have happened anyway; some have no touchpoint at all. Users may buy
      again. An order's value is log-normal, about 60 on average, whatever the channel.

    So a channel that a rule credits for being there (Organic Search, Coupon Site) may have
    caused nothing, and none of the rules can tell.

    Args:
        n_users: users observed, >= 1. Those who never do anything are not in the log.
        seed: seed of `numpy.random.default_rng`; equal seeds give equal logs.

    Returns:
        A polars table in time order, one row per event: `user` (integer), `time` (without zone),
        `channel` (missing on a conversion), `conversion` (0 or 1) and `value` (0 on a touchpoint).
        Read it with `read_events(log, user="user", time="time", channel="channel",
        conversion="conversion", value="value")`.

    Raises:
        ParameterError: `n_users` is below 1.

    Example:
        >>> from mta_models import example_events
        >>> example_events(n_users=500, seed=1).columns
        ['user', 'time', 'channel', 'conversion', 'value']
    """
    import polars as pl

    if n_users < 1:
        raise ParameterError(f"n_users must be at least 1; got {n_users!r}")
    rng = np.random.default_rng(seed)
    intent = rng.lognormal(-0.5, 1.0, n_users)  # mean 1
    effect = np.array([EFFECTS.get(channel, 0.0) for channel in CHANNELS]) / 1000
    kept_overnight = 2 ** (-1 / _HALF_LIFE)
    warmth = np.zeros(n_users)  # what past touchpoints still add to tomorrow's rate of buying
    visited = np.full(n_users, -np.inf)  # day of the last visit
    buyer = np.zeros(n_users, dtype=bool)
    days = []
    for day in range(DAYS):
        touched = _touched(rng, intent, chased=day - visited <= 7, buyer=buyer)
        # Geometric decay sums to 1 / (1 - kept), so that a touchpoint's whole effect is `effect`.
        warmth += touched @ effect * (1 - kept_overnight)
        bought = rng.random(n_users) < -np.expm1(-(intent * _ORGANIC + warmth))
        touched[:, -1] = bought & (rng.random(n_users) < _COUPON)
        days.append(_rows(rng, day, touched, bought))
        warmth *= kept_overnight
        visited[touched[:, : len(ADS) + len(DOORS)].any(axis=1)] = day
        buyer |= bought
    user, seconds, code, value = (np.concatenate(column) for column in zip(*days, strict=True))
    order = np.argsort(seconds, kind="stable")
    log = pl.DataFrame({"user": user, "seconds": seconds, "code": code, "value": value})[order]
    names = pl.Series([*CHANNELS, None], dtype=pl.String)
    return log.select(
        "user",
        (pl.lit(_START) + pl.duration(seconds="seconds")).alias("time"),
        pl.Series("channel", names.gather(log["code"])),
        (pl.col("code") == len(CHANNELS)).cast(pl.Int8).alias("conversion"),
        "value",
    )


def _touched(rng: np.random.Generator, intent: Floats, *, chased: Mask, buyer: Mask) -> Mask:
    """Whether each user meets each channel today, shape `(n_users, n_channels)`."""
    chance = np.zeros((len(intent), len(CHANNELS)))
    groups = (
        (ADS, np.ones(len(intent))),
        (DOORS, intent),
        ({"Retargeting": CHASED["Retargeting"]}, chased),
        ({"Email": CHASED["Email"]}, buyer),
    )
    for group, of_user in groups:
        for channel, base in group.items():
            chance[:, CHANNELS.index(channel)] = base * of_user
    return rng.random(chance.shape) < chance


def _rows(
    rng: np.random.Generator, day: int, touched: Mask, bought: Mask
) -> tuple[Ints, Ints, Ints, Floats]:
    """Today's events as user, seconds since the log's start, channel code and value.

    Purchases fall in the last fifth of the day, after the day's other touchpoints; a coupon is
    fetched up to ten minutes before.
    """
    start, evening = day * 86_400, 69_120
    user, code = np.nonzero(touched)
    buyers = np.flatnonzero(bought)
    buying = start + rng.integers(evening + 600, 86_400, len(buyers))
    seconds = start + rng.integers(0, evening, len(user))
    coupon = code == CHANNELS.index("Coupon Site")
    fetched = np.searchsorted(buyers, user[coupon])
    seconds[coupon] = buying[fetched] - rng.integers(30, 600, len(fetched))
    worth = np.round(rng.lognormal(np.log(50), 0.6, len(buyers)), 2)
    return (
        np.concatenate((user, buyers)),
        np.concatenate((seconds, buying)),
        np.concatenate((code, np.full(len(buyers), len(CHANNELS)))),
        np.concatenate((np.zeros(len(user)), worth)),
    )
