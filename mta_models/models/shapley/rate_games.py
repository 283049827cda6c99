"""The game of conversion rates: journeys as sets of channels, without order and repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from mta_models.core.coalitions import shapley_of_table, subset_sums
from mta_models.core.orders import with_reverses
from mta_models.core.ragged import (
    Floats,
    Ints,
    Numbers,
    group_equal,
    lengths,
    owner,
    spread,
    sums_at,
)
from mta_models.data.journeys import Journeys
from mta_models.errors import IdentifiabilityWarning, warn
from mta_models.models.distinct_channels import distinct_codes, users_of
from mta_models.models.shapley.games import Game, shapley_of_orders

# Maximum of numbers handled at once where orders are sampled.
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class TabledRateGame:
    """The game v(S) = users × conversion rate of journeys whose channels are all in S, exactly.

    Attributes:
        members: shape `(n_journeys,)`, each journey's channels as bits.
        n_players: number of channels that occur.
    """

    members: Ints
    n_players: int

    @classmethod
    def from_journeys(cls, journeys: Journeys, players: Ints) -> Self:
        """The game of these paths; `players` are the codes of the channels that occur."""
        number = np.zeros(journeys.n_channels, dtype=np.int64)
        number[players] = np.arange(len(players))
        members = np.zeros(journeys.n_journeys, dtype=np.int64)
        filled = np.flatnonzero(journeys.lengths)
        if len(filled):
            bits = np.left_shift(1, number)[journeys.codes]
            members[filled] = np.bitwise_or.reduceat(bits, journeys.offsets[:-1][filled])
        return cls(members, len(players))

    def solve(self, outcome: Floats, users: Floats) -> Game:
        """The game for these outcomes and users, each of shape `(n_journeys,)`."""
        table = _rate(self._inside(outcome), self._inside(users), users.sum())
        shapley = shapley_of_table(table)
        return Game(shapley, float(table[0]), float(table[-1]), np.zeros(self.n_players))

    def unseen(self, users: Floats) -> tuple[int, int, list[Ints]]:
        """Number of coalitions without users, number of all coalitions, and up to five of them."""
        if users[self.members == 0].any():
            return 0, 1 << self.n_players, []  # users of no channel count in every coalition
        empty = np.flatnonzero(self._inside(users) == 0)
        examples = [np.flatnonzero(each >> np.arange(self.n_players) & 1) for each in empty[:5]]
        return len(empty), 1 << self.n_players, examples

    def _inside(self, amounts: Floats) -> Floats:
        return subset_sums(sums_at(self.members, amounts, 1 << self.n_players))


@dataclass(frozen=True, eq=False)
class SampledRateGame:
    """The same game along sampled orders of arrival, for any number of channels.

    Along an order of arrival, a journey counts once the last of its channels has arrived. So one
    maximum per distinct set of channels and one cumulative sum give all values along an order.

    Attributes:
        codes: channels (as players) of each distinct set, end to end.
        offsets: shape `(n_sets + 1,)`.
        row_set: shape `(n_journeys,)`, the set of each journey.
        orders: shape `(n_pairs, n_players)`.
    """

    codes: Numbers
    offsets: Ints
    row_set: Ints
    orders: Ints

    @classmethod
    def from_journeys(cls, journeys: Journeys, players: Ints, orders: Ints) -> Self:
        """The game of these paths; `players` are the codes of the channels that occur."""
        number = np.zeros(journeys.n_channels, dtype=np.int64)
        number[players] = np.arange(len(players))
        n = max(len(players), 1)
        codes, offsets = distinct_codes(journeys)
        codes = np.sort(owner(offsets) * n + number[codes]) % n
        row_set, leader = group_equal(codes, offsets)
        leads = np.zeros(journeys.n_journeys, dtype=bool)
        leads[leader] = True
        sizes = np.concatenate(([0], np.cumsum(lengths(offsets)[leader])))
        return cls(codes[spread(leads, offsets)], sizes, row_set, orders)

    def solve(self, outcome: Floats, users: Floats) -> Game:
        """The game for these outcomes and users, each of shape `(n_journeys,)`."""
        per_set, users_per_set = self._per_set(outcome), self._per_set(users)
        everyone = users.sum()

        def prefix_values(orders: Ints) -> Floats:
            arrived = self._arrived(orders)
            return _rate(
                self._running(arrived, per_set), self._running(arrived, users_per_set), everyone
            )

        shapley, standard_error = shapley_of_orders(prefix_values, self.orders, self._block)
        ends = prefix_values(self.orders[:1])[0]
        return Game(shapley, float(ends[0]), float(ends[-1]), standard_error)

    def unseen(self, users: Floats) -> tuple[int, int, list[Ints]]:
        """As `TabledRateGame.unseen`, for coalitions along the sampled orders (with repeats)."""
        users_per_set = self._per_set(users)
        count, total, examples = 0, 0, dict[tuple[int, ...], Ints]()
        if users_per_set[lengths(self.offsets) == 0].any():
            return 0, 2 * len(self.orders) * (self.orders.shape[1] + 1), []
        n, block = len(self.orders), self._block
        blocks = (self.orders[start : start + block] for start in range(0, n, block))
        for orders in with_reverses(blocks):
            empty = self._running(self._arrived(orders), users_per_set) == 0
            count, total = count + int(empty.sum()), total + empty.size
            for row, size in np.argwhere(empty)[:5]:
                members = np.sort(orders[row, :size])
                examples[tuple(members.tolist())] = members
        return count, total, list(examples.values())[:5]

    @property
    def _block(self) -> int:
        width: int = len(self.codes) + len(self.offsets) + self.orders.shape[1]
        return max(1, _CHUNK // width)

    def _per_set(self, amounts: Floats) -> Floats:
        return sums_at(self.row_set, amounts, len(self.offsets) - 1)

    def _arrived(self, orders: Ints) -> Ints:
        """The number of arrivals after which each set is complete, shape `(n_orders, n_sets)`."""
        arrived = np.zeros((len(orders), len(self.offsets) - 1), dtype=np.int64)
        filled = np.flatnonzero(np.diff(self.offsets))
        if len(filled):
            rank = np.argsort(orders, axis=1)[:, self.codes]
            starts = self.offsets[:-1][filled]
            arrived[:, filled] = np.maximum.reduceat(rank, starts, axis=1) + 1
        return arrived

    def _running(self, arrived: Ints, amounts: Floats) -> Floats:
        """Sums over the sets complete after k arrivals, shape `(n_orders, n_players + 1)`."""
        n, columns = len(arrived), self.orders.shape[1] + 1
        cell = arrived + np.arange(n)[:, None] * columns
        each = np.broadcast_to(amounts, arrived.shape).ravel()
        return sums_at(cell.ravel(), each, n * columns).reshape(n, columns).cumsum(axis=1)


def _rate(gained: Floats, users: Floats, everyone: float) -> Floats:
    """`everyone` × gained / users, 0 where users are 0."""
    rate: Floats = np.divide(gained, users, out=np.zeros(gained.shape), where=users > 0)
    rate *= everyone
    return rate


def warn_unseen(rate: TabledRateGame | SampledRateGame, journeys: Journeys, players: Ints) -> int:
    """The number of coalitions without users; warns and names some where it is not 0."""
    count, total, examples = rate.unseen(users_of(journeys))
    if count:
        names = [_set_name(np.sort(players[each]), journeys.channels) for each in examples]
        warn(
            "for every set of channels there should be a user who met no channel outside it; "
            f"{count:,} of the {total:,} sets used have no such user, and their rate is taken as "
            f"0: {', '.join(names)}{' …' if count > len(examples) else ''}. Read journeys without "
            "a touchpoint too, merge rare channels, or use another characteristic function",
            IdentifiabilityWarning,
        )
    return count


def _set_name(members: Ints, channels: tuple[str, ...]) -> str:
    return "{" + (", ".join(channels[code] for code in members) or "no channel") + "}"
