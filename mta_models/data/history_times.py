"""Arrays that follow from the times of histories alone, not from the weights of users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers, owner, position, spread

# Entries of the table of users and channels that `cells` fills at a time.
_TABLE = 1 << 22


@dataclass(frozen=True, eq=False)
class FromTimes:
    """Arrays derived from those of `Histories`, each computed on first use and kept.

    The fields are those of `Histories`. A bootstrap draws other weights for the same times, so all
    reweighted histories share the same `FromTimes`.
    """

    n_channels: int
    offsets: Ints
    time: Floats
    codes: Numbers
    end: Floats
    event_user: Ints
    event_time: Floats
    event_stop: Ints

    @cached_property
    def owner(self) -> Ints:
        """The history of each touchpoint, shape `(n_touchpoints,)`."""
        return owner(self.offsets)

    @cached_property
    def repeats(self) -> bool:
        """Whether any user converts twice."""
        return bool((self.event_user[1:] == self.event_user[:-1]).any())

    @cached_property
    def first_event(self) -> Floats:
        """Time of each user's first conversion, shape `(n_users,)`; infinite without one."""
        when = np.full(len(self.end), np.inf)
        # Written from last to first, so that a user's first conversion is the one that stays.
        when[self.event_user[::-1]] = self.event_time[::-1]
        return when

    @cached_property
    def until_first(self) -> Floats:
        """End of the time at risk of a first conversion, shape `(n_users,)`."""
        return np.minimum(self.end, self.first_event)

    @cached_property
    def by_content(self) -> Ints:
        """Users in an order that follows from their times, shape `(n_users,)`.

        Random draws that go by it do not change with the names or the order of users and channels.
        Users of the same times, in the same channels, are next to each other.
        """
        counts = np.bincount(self.codes, minlength=self.n_channels)
        middle = np.bincount(self.codes, self.time, self.n_channels) / np.maximum(counts, 1)
        pitch = (
            1 + np.modf(np.sqrt(2) * counts + middle)[0] / 2
        )  # of each channel, whatever its name
        met = np.bincount(self.owner, np.sin(pitch[self.codes] * self.time), len(self.end))
        bought = np.bincount(self.event_user, np.cos(self.event_time), len(self.end))
        order: Ints = np.lexsort((met, bought, np.diff(self.offsets), self.first_event, self.end))
        return order

    @cached_property
    def carried(self) -> tuple[Ints, Floats]:
        """For each pair of a conversion and an earlier touchpoint: its cell and its age.

        The cell is an index into the flattened matrix of conversions and channels.
        """
        first = self.offsets[:-1][self.event_user].astype(np.int64)
        cuts = np.concatenate(([0], np.cumsum(self.event_stop - first)))
        touched = position(cuts) + spread(first, cuts)
        age = spread(self.event_time, cuts) - self.time[touched]
        cell = owner(cuts) * self.n_channels + self.codes[touched]
        return cell, age

    @cached_property
    def cells(self) -> tuple[Ints, Ints, Ints]:
        """Pairs of a user and a channel met: offsets by user, codes, and each touchpoint's pair."""
        n, k = len(self.end), max(self.n_channels, 1)
        step, base = max(1, _TABLE // k), 0
        which, counts = np.empty(len(self.codes), dtype=np.int64), np.zeros(n, dtype=np.int64)
        codes = [np.zeros(0, dtype=np.int64)]
        for start in range(0, n, step):
            cuts = self.offsets[start : start + step + 1].astype(np.int64)
            part = slice(int(cuts[0]), int(cuts[-1]))
            pair = owner(cuts - cuts[0]) * k + self.codes[part].astype(np.int64)
            met = np.zeros((len(cuts) - 1) * k, dtype=bool)
            met[pair] = True
            which[part] = (np.cumsum(met) + (base - 1))[pair]
            codes.append(np.flatnonzero(met) % k)
            counts[start : start + step] = met.reshape(-1, k).sum(axis=1)
            base += len(codes[-1])
        return np.concatenate(([0], np.cumsum(counts))), np.concatenate(codes), which
