"""Histories: journeys as models on timelines read them, with the sums over touchpoints they need.

These models need two things: the adstock of each user at a conversion, and the exposure of all
users together. Both are sums over touchpoints: one vectorised pass for each half-life tried.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers, chunks, lengths, owner, position, spread
from mta_models.data.history_times import FromTimes
from mta_models.data.journey_arrays import JourneyArrays
from mta_models.data.kernels import Kernel, as_kernel
from mta_models.data.timeline import Timeline
from mta_models.errors import JourneyError

# Pairs of a time and a touchpoint handled together: 32 MB an array.
_AT_ONCE = 1 << 22
# Touchpoints handled together so that their arrays stay in cache.
_IN_CACHE = 1 << 16


@dataclass(frozen=True, eq=False)
class Histories:
    """Users with their touchpoints, their bounds of observation and their conversions.

    From an event log, a history is a user's whole timeline: without a lookback, with touchpoints
    after the last conversion. From rows without a timeline, a history stands for the users of one
    row who converted, or for the users of that row who did not.

    Touchpoints of a user are in time order; so are conversions, user by user. Times are in days.

    Attributes:
        channels: names; `codes` index into it.
        offsets: shape `(n_users + 1,)`; user u's touchpoints are `offsets[u]:offsets[u + 1]`.
        time: shape `(n_touchpoints,)`, from when each touchpoint counts.
        codes: shape `(n_touchpoints,)`.
        start: shape `(n_users,)`, when observation of the user began.
        end: shape `(n_users,)`, when it ended.
        weight: shape `(n_users,)`, number of users that each history stands for.
        event_user: shape `(n_events,)`, the history in which each conversion falls.
        event_time: shape `(n_events,)`.
        event_weight: shape `(n_events,)`, number of conversions that each entry stands for.
        event_row: shape `(n_events,)`, the row of the journeys that ends with it.
        event_stop: shape `(n_events,)`; touchpoints `offsets[event_user]:event_stop` came before.
        user_row: shape `(n_users,)`, a row of the journeys that has the history's weight.
        touchpoint: shape `(n_touchpoints,)`, the index of each among the journeys' touchpoints, -1
            if a lookback cut it off; None: the same order. (Without a timeline, a touchpoint of a
            row appears twice: for the users who converted and for those who did not.)
        timeline: the timeline the histories were read from, or None.
        place: shape `(n_users,)`, each history's user in the timeline; None: all, in its order.
        met: shape `(n_touchpoints,)`, when each touchpoint was met, where that is not `time`: some
            count from later on (`lagged`), so `met` need not be in order; None: all at `time`.
        derived: arrays that follow from the times alone, shared with reweighted histories.
        by_lag: results of `lagged`, by lag.
        known: `derived`, where other histories with the same times have it; None: computed.
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
    met: Floats | None = None
    derived: FromTimes = field(init=False, repr=False)
    by_lag: dict[float, Histories] = field(init=False, repr=False, default_factory=dict)
    known: InitVar[FromTimes | None] = None

    def __post_init__(self, known: FromTimes | None) -> None:
        derived = known or FromTimes(
            n_channels=self.n_channels,
            offsets=self.offsets,
            time=self.time,
            codes=self.codes,
            end=self.end,
            event_user=self.event_user,
            event_time=self.event_time,
            event_stop=self.event_stop,
        )
        object.__setattr__(self, "derived", derived)  # the dataclass is frozen

    @property
    def n_users(self) -> int:
        """Number of histories."""
        return len(self.offsets) - 1

    @property
    def n_channels(self) -> int:
        """Number of channels, with or without touchpoints."""
        return len(self.channels)

    @property
    def n_events(self) -> int:
        """Entries of `event_user`; an entry may stand for several conversions."""
        return len(self.event_user)

    @property
    def total(self) -> float:
        """Number of conversions, weighted."""
        return float(self.event_weight.sum())

    @property
    def user_ids(self) -> Numbers:
        """The source's own user identifiers, shape `(n_users,)`.

        Raises:
            JourneyError: the journeys have no timeline, and so no identifiers.
        """
        if self.timeline is None:
            raise JourneyError(
                "for user identifiers, journeys must have a timeline; these have none. "
                "Read an event log with read_events"
            )
        ids = self.timeline.user_ids
        return ids if self.place is None else ids[self.place]

    @property
    def owner(self) -> Ints:
        """The history of each touchpoint, shape `(n_touchpoints,)`."""
        return self.derived.owner

    @property
    def repeats(self) -> bool:
        """Whether any user converts twice."""
        return self.derived.repeats

    @property
    def first_event(self) -> Floats:
        """Time of each user's first conversion, shape `(n_users,)`; infinite without one."""
        return self.derived.first_event

    @property
    def until_first(self) -> Floats:
        """End of the time at risk of a first conversion, shape `(n_users,)`."""
        return self.derived.until_first

    @property
    def met_at(self) -> Floats:
        """When each touchpoint was met, shape `(n_touchpoints,)`; not always in order."""
        return self.time if self.met is None else self.met

    @property
    def by_content(self) -> Ints:
        """Users in an order that names do not change, shape `(n_users,)`; see `FromTimes`."""
        return self.derived.by_content

    def risk_end(self, repeat: bool | None = None) -> Floats:
        """End of each user's time at risk of a conversion, shape `(n_users,)`, days.

        Args:
            repeat: whether users can convert again. True: they are at risk to the end of
                observation; False: to the first conversion; None: True if any user converts twice.
        """
        return self.end if (self.repeats if repeat is None else repeat) else self.until_first

    def days(self, stop: Floats | None = None) -> float:
        """Time at risk of all users together, from `start` to `stop` (None: `end`)."""
        return float(self.weight @ ((self.end if stop is None else stop) - self.start))

    # Adstock at conversions.

    @property
    def pairs(self) -> tuple[Ints, Ints, Floats]:
        """All pairs of a conversion and an earlier touchpoint of its user, by conversion.

        Returns:
            The index of the conversion, the index of the touchpoint, and the touchpoint's age in
            days at the conversion, each of shape `(n_pairs,)`.
        """
        first = self.offsets[:-1][self.event_user].astype(np.int64)
        cuts = np.concatenate(([0], np.cumsum(self.event_stop - first)))
        return owner(cuts), position(cuts) + spread(first, cuts), self.derived.carried[1]

    def adstock(self, kernel: Kernel | Floats | float) -> Floats:
        """The adstock Σ w(age) of users at their conversions, shape `(n_events, n_channels)`.

        Args:
            kernel: w; or half-lives in days, > 0: one for all, or one per channel,
                `(n_channels,)`.
        """
        cell, age = self.derived.carried
        faded = as_kernel(kernel, self.n_channels).weight(age, cell % max(self.n_channels, 1))
        shape = (self.n_events, self.n_channels)
        return np.bincount(cell, faded, shape[0] * shape[1]).astype(np.float64).reshape(shape)

    def adstock_at(self, user: Ints, time: Floats, kernel: Kernel | Floats | float) -> Floats:
        """The adstock of users at any times, shape `(n_times, n_channels)`.

        Touchpoints at exactly the time count.

        Args:
            user: shape `(n_times,)`.
            time: shape `(n_times,)`, days.
            kernel: as in `adstock`.
        """
        weight = as_kernel(kernel, self.n_channels).weight
        carried = np.zeros((len(user), self.n_channels))
        first = self.offsets[:-1][user].astype(np.int64)
        count = self.seen_by(user, time) - first
        for part in chunks(count, _AT_ONCE):
            cuts = np.concatenate(([0], np.cumsum(count[part])))
            touched = position(cuts) + spread(first[part], cuts)
            code = self.codes[touched]
            faded = weight(spread(time[part], cuts) - self.time[touched], code)
            cell, shape = owner(cuts) * self.n_channels + code, carried[part].shape
            carried[part] = np.bincount(cell, faded, shape[0] * shape[1]).reshape(shape)
        return carried

    def seen_by(self, user: Ints, time: Floats) -> Ints:
        """The index after each user's last touchpoint at or before a time, shape `(n_times,)`.

        One binary search runs in the segments of all users together.
        """
        low = self.offsets[:-1][user].astype(np.int64)
        high = self.offsets[1:][user].astype(np.int64)
        longest = int((high - low).max(initial=0))
        for _ in range(longest.bit_length()):
            middle = (low + high) // 2
            open_ = low < high
            later = self.time[np.minimum(middle, max(len(self.time) - 1, 0))] > time
            high = np.where(open_ & later, middle, high)
            low = np.where(open_ & ~later, middle + 1, low)
        return low

    # Exposure.

    def exposure(
        self,
        kernel: Kernel | Floats | float,
        stop: Floats | None = None,
        begin: Floats | None = None,
    ) -> Floats:
        """Each touchpoint's ∫ w(t − t_k) dt while its user is observed, in days.

        Args:
            kernel: as in `adstock`.
            stop: shape `(n_users,)`, the end of the integral; None: `end`.
            begin: shape `(n_users,)`, its start; None: `start`.

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
            if (before > 0).any():  # no user is at risk before observation begins
                each[part] = integral(left, code, np.clip(before, 0, left))
            else:
                each[part] = integral(left, code)
        return each

    def totals(self, kernel: Kernel | Floats | float, stop: Floats | None = None) -> Floats:
        """The exposure of all users together, shape `(n_channels,)`, in days."""
        each = self.exposure(kernel, stop) * self.weight[self.owner]
        return np.bincount(self.codes, each, self.n_channels).astype(np.float64)

    @property
    def cells(self) -> tuple[Ints, Ints]:
        """The channels that each user met: offsets, shape `(n_users + 1,)`, and sorted codes."""
        return self.derived.cells[:2]

    def by_cell(self, amounts: Floats) -> Floats:
        """Amounts of touchpoints, shape `(n_touchpoints,)`, summed by user and channel."""
        _, codes, which = self.derived.cells
        return np.bincount(which, amounts, len(codes)).astype(np.float64)

    # Other users, other weights.

    def reweighted(self, journeys: JourneyArrays) -> Histories:
        """The same histories, weighted by other outcomes of the same rows.

        Args:
            journeys: the journeys that these histories came from, after `reweighted`.
        """
        outcome, nulls = journeys.outcome("conversions"), journeys.nulls.astype(np.float64)
        if journeys.timeline is None:
            converts = np.zeros(self.n_users, dtype=bool)
            converts[self.event_user] = True
            weight = np.where(converts, outcome[self.user_row], nulls[self.user_row])
        else:
            weight = (outcome + nulls)[self.user_row]
        return replace(
            self, weight=weight, event_weight=outcome[self.event_row], known=self.derived
        )

    def lagged(self, days: float) -> Histories:
        """The same users; each touchpoint counts from `days` days after its time.

        What a touchpoint causes begins then. When it was met (`met_at`) stays as it was: whether it
        came before or after a conversion does not depend on the lag.
        """
        if days not in self.by_lag:
            later = replace(self, time=self.time + days, met=self.met_at)
            stop = later.seen_by(self.event_user, self.event_time)
            self.by_lag[days] = replace(later, event_stop=np.minimum(stop, self.event_stop))
        return self.by_lag[days]

    def as_met(self) -> Histories:
        """The same users; each touchpoint counts from when it was met, in that order."""
        if self.met is None:
            return self
        order = np.lexsort((self.met, self.owner))
        sooner = replace(
            self,
            time=self.met[order],
            codes=self.codes[order],
            touchpoint=order if self.touchpoint is None else self.touchpoint[order],
            met=None,
        )
        return replace(sooner, event_stop=sooner.seen_by(self.event_user, self.event_time))

    def take(self, users: Ints) -> Histories:
        """The histories of some users, in the order of these histories, not of `users`."""
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
            met=None if self.met is None else self.met[touched],
        )
