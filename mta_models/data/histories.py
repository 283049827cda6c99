"""Histories: journeys as time models read them, and the few sums that they need of them.

Models of when people convert never look at a journey twice. They need what each user carried at
the moment of a conversion, and how much exposure there was in all. Both are sums over touchpoints,
one vectorised pass for each half-life tried; everything here is such a pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers, chunks, lengths, owner, position, spread
from mta_models.data.journeys import Journeys
from mta_models.data.kernels import Kernel, as_kernel
from mta_models.data.timeline import Timeline
from mta_models.errors import InvariantError, JourneyError

# Touchpoints (or pairs of moment and touchpoint) looked at together: 32 MB an array.
_AT_ONCE = 1 << 22
# Touchpoints whose few arrays stay in cache, where there is much arithmetic and no order.
_IN_CACHE = 1 << 16
# Entries of the table that finds the channels of each user.
_TABLE = 1 << 22


@dataclass(frozen=True, eq=False)
class Histories:
    """Users with their touchpoints, their bounds of observation and their conversions.

    From an event log a history is a user's whole timeline: no lookback, touchpoints after the last
    conversion too. From rows without a timeline it is one row's converting users, or its others.

    Touchpoints of a user are in time order; so are conversions, user by user. Times are in days.

    Attributes:
        channels: names; `codes` index into it.
        offsets: shape `(n_users + 1,)`; user u's touchpoints are `offsets[u]:offsets[u + 1]`.
        time: shape `(n_touchpoints,)`.
        codes: shape `(n_touchpoints,)`.
        start: shape `(n_users,)`, when observation of the user began.
        end: shape `(n_users,)`, when it ended.
        weight: shape `(n_users,)`, users that each history stands for.
        event_user: shape `(n_events,)`, the history in which each conversion falls.
        event_time: shape `(n_events,)`.
        event_weight: shape `(n_events,)`, conversions that each stands for.
        event_row: shape `(n_events,)`, the row of the journeys that ends with it.
        event_stop: shape `(n_events,)`; touchpoints `offsets[event_user]:event_stop` came before.
        user_row: shape `(n_users,)`, a row of the journeys that knows the history's weight.
        touchpoint: shape `(n_touchpoints,)`, each one's place among the journeys' touchpoints, -1
            for one that a lookback cut off; None: the same order. (Rows without a timeline: a
            touchpoint of converters and others is one of the journeys', met twice here.)
        timeline: the log they were read from, or None.
        place: shape `(n_users,)`, each history's user in the timeline; None: all, in its order.
    """

    channels: tuple[str, ...]
    offsets: Ints
    time: Floats
    codes: Numbers
    start: Floats
    end: Floats
    weight: Floats
    event_user: Ints
    event_time: Floats
    event_weight: Floats
    event_row: Ints
    event_stop: Ints
    user_row: Ints
    touchpoint: Ints | None = None
    timeline: Timeline | None = None
    place: Ints | None = None

    @property
    def n_users(self) -> int:
        """Histories."""
        return len(self.offsets) - 1

    @property
    def n_channels(self) -> int:
        """Channels declared, met or not."""
        return len(self.channels)

    @property
    def n_events(self) -> int:
        """Conversions, each of which may stand for many."""
        return len(self.event_user)

    @property
    def total(self) -> float:
        """All conversions."""
        return float(self.event_weight.sum())

    @property
    def user_ids(self) -> Numbers:
        """The source's own user identifiers, shape `(n_users,)`.

        Raises:
            JourneyError: the journeys have no timeline to know users by.
        """
        if self.timeline is None:
            raise JourneyError(
                "users are known by name only where journeys have a timeline; these have none. "
                "Read an event log with read_events"
            )
        ids = self.timeline.user_ids
        return ids if self.place is None else ids[self.place]

    @cached_property
    def owner(self) -> Ints:
        """For each touchpoint its history, shape `(n_touchpoints,)`."""
        return owner(self.offsets)

    @cached_property
    def repeats(self) -> bool:
        """Whether any user converts twice."""
        return bool((self.event_user[1:] == self.event_user[:-1]).any())

    @cached_property
    def first_event(self) -> Floats:
        """When each user first converted, shape `(n_users,)`; infinite for who never did."""
        when = np.full(self.n_users, np.inf)
        # Written backwards, the first of a user's conversions is the one that stays.
        when[self.event_user[::-1]] = self.event_time[::-1]
        return when

    @cached_property
    def until_first(self) -> Floats:
        """Until when a first conversion could still come, shape `(n_users,)`."""
        return np.minimum(self.end, self.first_event)

    def risk_end(self, repeat: bool | None = None) -> Floats:
        """Until when each user is at risk of a conversion, shape `(n_users,)`, days.

        Args:
            repeat: whether users can convert again: then to the end of observation, else to the
                first conversion. None: whether any user does.
        """
        return self.end if (self.repeats if repeat is None else repeat) else self.until_first

    def days(self, stop: Floats | None = None) -> float:
        """Time at risk of all users together, from `start` to `stop` (None: `end`)."""
        return float(self.weight @ ((self.end if stop is None else stop) - self.start))

    # What the moments of conversion carried.

    @cached_property
    def _carried(self) -> tuple[Ints, Floats]:
        """For each pair of a conversion and an earlier touchpoint: its cell and its age."""
        first = self.offsets[:-1][self.event_user].astype(np.int64)
        cuts = np.concatenate(([0], np.cumsum(self.event_stop - first)))
        touched = position(cuts) + spread(first, cuts)
        age = spread(self.event_time, cuts) - self.time[touched]
        cell = owner(cuts) * self.n_channels + self.codes[touched]
        return cell, age

    @property
    def pairs(self) -> tuple[Ints, Ints, Floats]:
        """All pairs of a conversion and a touchpoint that came before it, conversion by conversion.

        Returns:
            The conversion, the touchpoint (among those of these histories) and its age in days
            at the conversion, each of shape `(n_pairs,)`.
        """
        first = self.offsets[:-1][self.event_user].astype(np.int64)
        cuts = np.concatenate(([0], np.cumsum(self.event_stop - first)))
        return owner(cuts), position(cuts) + spread(first, cuts), self._carried[1]

    def adstock(self, kernel: Kernel | Floats | float) -> Floats:
        """What each conversion's user carried then, Σ w(age), shape `(n_events, n_channels)`.

        Args:
            kernel: w; or half-lives in days, > 0: one, or one per channel, `(n_channels,)`.
        """
        cell, age = self._carried
        faded = as_kernel(kernel, self.n_channels).weight(age, cell % max(self.n_channels, 1))
        shape = (self.n_events, self.n_channels)
        return np.bincount(cell, faded, shape[0] * shape[1]).astype(np.float64).reshape(shape)

    def adstock_at(self, user: Ints, time: Floats, kernel: Kernel | Floats | float) -> Floats:
        """What users carried at times of their own, shape `(n_times, n_channels)`.

        Touchpoints at the very time count.

        Args:
            user: shape `(n_times,)`.
            time: shape `(n_times,)`, days.
            kernel: as in `adstock`.
        """
        weight = as_kernel(kernel, self.n_channels).weight
        found = np.zeros((len(user), self.n_channels))
        first = self.offsets[:-1][user].astype(np.int64)
        count = self.seen_by(user, time) - first
        for part in chunks(count, _AT_ONCE):
            cuts = np.concatenate(([0], np.cumsum(count[part])))
            touched = position(cuts) + spread(first[part], cuts)
            code = self.codes[touched]
            faded = weight(spread(time[part], cuts) - self.time[touched], code)
            cell, shape = owner(cuts) * self.n_channels + code, found[part].shape
            found[part] = np.bincount(cell, faded, shape[0] * shape[1]).reshape(shape)
        return found

    def seen_by(self, user: Ints, time: Floats) -> Ints:
        """The place after the last touchpoint of each user at or before a moment, `(n_moments,)`.

        A binary search in all users' segments abreast.
        """
        low = self.offsets[:-1][user].astype(np.int64)
        high = self.offsets[1:][user].astype(np.int64)
        most = int((high - low).max(initial=0))
        for _ in range(most.bit_length()):
            middle = (low + high) // 2
            open_ = low < high
            later = self.time[np.minimum(middle, max(len(self.time) - 1, 0))] > time
            high = np.where(open_ & later, middle, high)
            low = np.where(open_ & ~later, middle + 1, low)
        return low

    # How much exposure there was.

    def exposure(
        self,
        kernel: Kernel | Floats | float,
        stop: Floats | None = None,
        begin: Floats | None = None,
    ) -> Floats:
        """Each touchpoint's ∫ w(t − t_k) dt while its user is observed, in days.

        Args:
            kernel: as in `adstock`.
            stop: shape `(n_users,)`, until when; None: `end`.
            begin: shape `(n_users,)`, since when; None: `start`.

        Returns:
            Shape `(n_touchpoints,)`; 0 for a touchpoint after its user's `stop`.
        """
        integral = as_kernel(kernel, self.n_channels).integral
        until = self.end if stop is None else stop
        since = self.start if begin is None else begin
        each = np.empty(len(self.time))
        for start in range(0, len(self.time), _IN_CACHE):
            part = slice(start, start + _IN_CACHE)
            user, code, time = self.owner[part], self.codes[part], self.time[part]
            left = np.maximum(until[user] - time, 0)
            before = since[user] - time
            if (before > 0).any():  # what had faded before observation began is nobody's risk
                each[part] = integral(left, code, np.clip(before, 0, left))
            else:
                each[part] = integral(left, code)
        return each

    def totals(self, kernel: Kernel | Floats | float, stop: Floats | None = None) -> Floats:
        """The exposure of all users together, shape `(n_channels,)`, in days."""
        each = self.exposure(kernel, stop) * self.weight[self.owner]
        return np.bincount(self.codes, each, self.n_channels).astype(np.float64)

    @cached_property
    def _cells(self) -> tuple[Ints, Ints, Ints]:
        """The user-channel pairs met: their offsets by user, codes, and each touchpoint's pair."""
        n, k = self.n_users, max(self.n_channels, 1)
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

    @property
    def cells(self) -> tuple[Ints, Ints]:
        """The channels of each user: offsets, shape `(n_users + 1,)`, and codes, rising in each."""
        return self._cells[:2]

    def by_cell(self, amounts: Floats) -> Floats:
        """Amounts of touchpoints, shape `(n_touchpoints,)`, summed per user and channel met."""
        _, codes, which = self._cells
        return np.bincount(which, amounts, len(codes)).astype(np.float64)

    # Other users, other weights.

    def reweighted(self, journeys: Journeys) -> Histories:
        """The same histories with the weights that other outcomes of the same rows give them.

        Args:
            journeys: those these histories came from, `reweighted`.
        """
        outcome, nulls = journeys.outcome("conversions"), journeys.nulls.astype(np.float64)
        if journeys.timeline is None:
            converts = np.zeros(self.n_users, dtype=bool)
            converts[self.event_user] = True
            weight = np.where(converts, outcome[self.user_row], nulls[self.user_row])
        else:
            weight = (outcome + nulls)[self.user_row]
        return self._with(weight=weight, event_weight=outcome[self.event_row])

    def lagged(self, days: float) -> Histories:
        """The same users, whose touchpoints count from so many days after they were met."""
        kept: dict[float, Histories] = vars(self).setdefault("_lagged", {})
        if days not in kept:
            later = replace(self, time=self.time + days)
            stop = later.seen_by(self.event_user, self.event_time)
            kept[days] = replace(later, event_stop=np.minimum(stop, self.event_stop))
        return kept[days]

    def take(self, users: Ints) -> Histories:
        """The histories of some users, in rising order, without repeats; a slice of all of it."""
        chosen = np.zeros(self.n_users, dtype=bool)
        chosen[users] = True
        touched, events = chosen[self.owner], chosen[self.event_user]
        number = np.cumsum(chosen) - 1
        before = np.concatenate(([0], np.cumsum(touched)))
        places = np.flatnonzero(touched)
        return Histories(
            channels=self.channels,
            offsets=np.concatenate(([0], np.cumsum(lengths(self.offsets)[chosen]))),
            time=self.time[touched],
            codes=self.codes[touched],
            start=self.start[chosen],
            end=self.end[chosen],
            weight=self.weight[chosen],
            event_user=number[self.event_user[events]],
            event_time=self.event_time[events],
            event_weight=self.event_weight[events],
            event_row=self.event_row[events],
            event_stop=before[self.event_stop[events]],
            user_row=self.user_row[chosen],
            touchpoint=places if self.touchpoint is None else self.touchpoint[touched],
            timeline=self.timeline,
            place=np.flatnonzero(chosen) if self.place is None else self.place[chosen],
        )

    def _with(self, **changes: Any) -> Histories:
        """A copy with other weights, which keeps what was worked out from times alone."""
        copy = replace(self, **changes)
        for name in ("owner", "repeats", "first_event", "until_first", "_carried", "_cells"):
            if name in vars(self):
                vars(copy)[name] = vars(self)[name]
        return copy


def histories_of(journeys: Journeys) -> Histories:
    """The histories of journeys, worked out once and kept with them.

    Raises:
        JourneyError: the journeys have neither a timeline nor ages and times at risk.
    """
    kept: Histories | None = vars(journeys).get("_histories")
    if kept is None:
        kept = _from_timeline(journeys) if journeys.timeline is not None else _from_rows(journeys)
        vars(journeys)["_histories"] = kept
    return kept


def _from_timeline(journeys: Journeys) -> Histories:
    timeline, users, end = journeys.timeline, journeys.users, journeys.end
    if timeline is None or users is None or end is None:
        raise JourneyError(
            "journeys with a timeline must have `users` and `end`; these have not. Make them with "
            "read_events"
        )
    _, row = np.unique(users, return_index=True)
    user_row = np.zeros(timeline.n_users, dtype=np.int64)
    user_row[users[row]] = row
    events = np.flatnonzero(journeys.conversions)
    found = Histories(
        channels=journeys.channels,
        offsets=timeline.offsets,
        time=timeline.time,
        codes=timeline.codes,
        start=timeline.start,
        end=timeline.end,
        weight=(journeys.outcome("conversions") + journeys.nulls)[user_row],
        event_user=users[events].astype(np.int64),
        event_time=end[events],
        event_weight=journeys.outcome("conversions")[events],
        event_row=events,
        event_stop=np.zeros(len(events), dtype=np.int64),
        user_row=user_row,
        timeline=timeline,
    )
    if journeys.n_touchpoints == len(timeline.time):
        # Rows are a user's timeline end to end, in the source's order even at equal times.
        stop, place = journeys.offsets[1:][events], None
    else:
        there = _found_again(journeys, found)
        place = np.full(len(timeline.time), -1)
        place[there] = np.arange(journeys.n_touchpoints)
        # A row of which the lookback left nothing had no touchpoint at its very end.
        stop = found.seen_by(users[events].astype(np.int64), np.nextafter(end[events], -np.inf))
        filled = journeys.lengths[events] > 0
        stop[filled] = there[journeys.offsets[1:][events[filled]] - 1] + 1
    return replace(found, event_stop=stop.astype(np.int64), touchpoint=place)


def _found_again(journeys: Journeys, found: Histories) -> Ints:
    """The place in the timeline of each touchpoint that a lookback left, `(n_touchpoints,)`.

    Touchpoints of one user at one instant keep their order, and a lookback cuts the later of them:
    those that belong to a journey that ended later.
    """
    assert journeys.users is not None  # the caller has looked
    assert journeys.time is not None
    user = spread(journeys.users, journeys.offsets).astype(np.int64)
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (journeys.time[1:] != journeys.time[:-1])
    index = np.arange(len(user))
    rank = index - np.maximum.accumulate(np.where(new, index, 0))
    there: Ints = found.seen_by(user, np.nextafter(journeys.time, -np.inf)) + rank
    if not np.array_equal(found.codes[there], journeys.codes):
        raise InvariantError(
            "the journeys' touchpoints are not among their timeline's. This is a bug: please "
            "report it"
        )
    return there


def _from_rows(journeys: Journeys) -> Histories:
    age, at_risk = journeys.age, journeys.at_risk
    if age is None and journeys.n_touchpoints == 0:
        age = np.zeros(0)
    if age is None or at_risk is None:
        lacking = "no times" if age is None else "no word of how long each was observed"
        raise JourneyError(
            "a model of when users convert must know the age of each touchpoint and how long each "
            f"journey was observed; these journeys have {lacking}. Read an event "
            "log with read_events, or give age= and at_risk= to from_arrays"
        )
    conversions, nulls = journeys.outcome("conversions"), journeys.nulls.astype(np.float64)
    # First what converters of each row saw, then what its others did.
    row = np.concatenate([np.flatnonzero(conversions), np.flatnonzero(nulls)])
    n_events = int(np.count_nonzero(conversions))
    size = journeys.lengths[row]
    offsets = np.concatenate(([0], np.cumsum(size)))
    touched = position(offsets) + spread(journeys.offsets[row], offsets)
    return Histories(
        channels=journeys.channels,
        offsets=offsets,
        time=-age[touched],
        codes=journeys.codes[touched],
        start=-at_risk[row],
        end=np.zeros(len(row)),
        weight=np.concatenate([conversions[row[:n_events]], nulls[row[n_events:]]]),
        event_user=np.arange(n_events),
        event_time=np.zeros(n_events),
        event_weight=conversions[row[:n_events]],
        event_row=row[:n_events],
        event_stop=offsets[1 : n_events + 1],
        user_row=row,
        touchpoint=touched,
    )
