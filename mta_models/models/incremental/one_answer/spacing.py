"""Purchases of a user keep a distance: how likely one is so soon after, or before, another.

Users who have just bought do not buy again at once, and just then they are sent messages. Given a
user's other purchases, the rate of one on a day is multiplied by a factor for the time since the
last other purchase and by the same for the time until the next one: the conditional likelihood of a
modulated renewal process (Cox 1972, in Stochastic Point Processes, ed. Lewis, 55–66), with a step
function of the distance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mta_models.core.ragged import Floats, Ints
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays

# Distances, days, at which the next value of the factor begins; the last is 1.
DISTANCES = (0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 28.0)
N_DISTANCES = len(DISTANCES) + 1


@dataclass(frozen=True, eq=False)
class SpacedDays(ControlDays):
    """Control days with the distances of each day from the user's other purchases.

    Attributes:
        since: shape `(n_days, n_rows)`, which value of the factor the time since the last other
            purchase has.
        until: the same for the time until the next one.
    """

    since: Ints | None = None
    until: Ints | None = None


def spaced(block: ControlDays, histories: Histories) -> SpacedDays:
    """The days of some conversions with their distances from the users' other conversions."""
    event, user, time = block.event, histories.event_user, histories.event_time
    day = block.first + np.arange(block.n_days)[:, None]
    first = np.searchsorted(user, user[event])
    last = np.searchsorted(user, user[event], side="right")
    # Index of the first conversion of the user after each day, itself left out on both sides.
    place = np.empty(day.shape, dtype=np.int64)
    low = np.broadcast_to(first, day.shape).copy()
    high = np.broadcast_to(last, day.shape).copy()
    for _ in range(int((last - first).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        open_ = low < high
        earlier = time[np.minimum(middle, len(time) - 1)] < day
        low = np.where(open_ & earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    place[:] = low
    before = np.where(place - 1 == event, place - 2, place - 1)
    after = np.where(place == event, place + 1, place)
    edges = np.asarray(DISTANCES)
    gap = day - time[np.clip(before, 0, len(time) - 1)]
    wait = time[np.clip(after, 0, len(time) - 1)] - day
    since = np.where(before >= first, np.searchsorted(edges, gap), len(edges))
    until = np.where(after < last, np.searchsorted(edges, wait), len(edges))
    given = {each.name: getattr(block, each.name) for each in fields(ControlDays)}
    return SpacedDays(**given, since=since, until=until)


def spacing_counts(block: SpacedDays, amount: Floats) -> Floats:
    """Amounts of days, `(n_days, n_rows)`, summed by both distances, shape `(n_distances,)`."""
    assert block.since is not None
    assert block.until is not None
    total = np.bincount(block.since.ravel(), amount.ravel(), N_DISTANCES)
    total = total + np.bincount(block.until.ravel(), amount.ravel(), N_DISTANCES)
    return total.astype(np.float64)
