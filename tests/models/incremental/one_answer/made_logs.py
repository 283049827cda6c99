"""Histories from lists, and logs of users whose touchpoints are drawn at constant rates."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories


def histories_of(
    n_users: int,
    days: float,
    user: Ints,
    time: Floats,
    code: Ints,
    events: tuple[Ints, Floats] | None = None,
    channels: tuple[str, ...] = ("A", "B", "C"),
) -> Histories:
    """Users observed from day 0 to `days`, with touchpoints and conversions in any order."""
    order = np.lexsort((time, user))
    event_user, event_time = events or (np.zeros(0, dtype=np.int64), np.zeros(0))
    by_user = np.lexsort((event_time, event_user))
    n = len(by_user)
    made = {
        "channels": channels,
        "offsets": np.concatenate(([0], np.cumsum(np.bincount(user, minlength=n_users)))),
        "time": np.asarray(time, dtype=np.float64)[order],
        "codes": np.asarray(code, dtype=np.int64)[order],
        "start": np.zeros(n_users),
        "end": np.full(n_users, days),
        "weight": np.ones(n_users),
        "event_user": np.asarray(event_user, dtype=np.int64)[by_user],
        "event_time": np.asarray(event_time, dtype=np.float64)[by_user],
        "event_weight": np.ones(n),
        "event_row": np.arange(n),
        "user_row": np.zeros(n_users, dtype=np.int64),
    }
    bare = Histories(**made, event_stop=np.zeros(n, dtype=np.int64))
    return Histories(**made, event_stop=bare.seen_by(bare.event_user, bare.event_time))


def drawn(rng: np.random.Generator, n_users: int, days: float, rates: Floats) -> tuple[Ints, ...]:
    """User, time and channel of touchpoints at constant rates a day, shape `(n_channels,)`."""
    count = rng.poisson(np.tile(rates * days, (n_users, 1)))
    user, code = (np.repeat(each.ravel(), count.ravel()) for each in np.indices(count.shape))
    return user, rng.uniform(0, days, len(user)), code
