"""Arithmetic of coalition games: values of coalitions in, Shapley values out. No journeys here.

Players are numbered from 0. A table of a game of n players has 2^n entries; entry S is the value of
the coalition whose members are the bits of S, so entry 0 is the empty coalition's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import ParameterError

# Players up to which a game is tabled: 2^20 numbers are 8 MB, and each player more doubles it.
MOST_EXACT = 20
# Coalition members (coalitions × players) looked at together.
_CHUNK = 1 << 22

# Values of coalitions, shape `(m,)`, from a mask of members, shape `(m, n_players)`.
Values = Callable[[Mask], Floats]
# Values along orders of arrival, shape `(m, n_players + 1)`, from orders `(m, n_players)`: entry k
# of a row is the value of the first k players to arrive.
PrefixValues = Callable[[Ints], Floats]


@dataclass(frozen=True, eq=False)
class Game:
    """A solved game.

    Attributes:
        shapley: shape `(n_players,)`; sums to `everyone - nobody`.
        nobody: value of the empty coalition.
        everyone: value of all players together.
        standard_error: shape `(n_players,)`, of sampling; zeros where nothing was sampled.
    """

    shapley: Floats
    nobody: float
    everyone: float
    standard_error: Floats


def subset_sums(table: Floats) -> Floats:
    """For every S the sum of `table` over all subsets of S, in place (the zeta transform).

    One butterfly per player: n 2^(n-1) additions instead of 3^n.

    Args:
        table: shape `(2^n,)`.

    Example:
        >>> subset_sums(np.array([1.0, 2.0, 3.0, 4.0]))
        array([ 1.,  3.,  4., 10.])
    """
    for player in range(_players(table)):
        pair = table.reshape(-1, 2, 1 << player)
        pair[:, 1] += pair[:, 0]
    return table


def shapley_of_table(table: Floats) -> Floats:
    """Shapley values of games given in full.

    phi_i = Σ_{S without i} (v(S + i) − v(S)) / (n · C(n−1, |S|)): the average gain over all orders
    of arrival. Equal to the sum of Harsanyi dividends d(S)/|S|, but the weights are all positive,
    so that nothing cancels.

    Args:
        table: shape `(..., 2^n)`: one game per row.

    Returns:
        Shape `(..., n)`.

    Source: Shapley (1953), "A value for n-person games", Contributions to the Theory of Games II.

    Example:
        >>> shapley_of_table(np.array([0.0, 0.0, 0.0, 1.0]))
        array([0.5, 0.5])
    """
    n, games = _players(table), table.shape[:-1]
    size = np.zeros(1, dtype=np.int64)
    for _ in range(n - 1):
        size = np.concatenate((size, size + 1))
    weight = np.array([1 / (n * comb(n - 1, k)) for k in range(n)])[size] if n else size
    shapley = np.empty((*games, n))
    for player in range(n):
        pair = table.reshape(*games, -1, 2, 1 << player)
        gain = pair[..., 1, :] - pair[..., 0, :]
        shapley[..., player] = gain.reshape(*games, -1) @ weight
    return shapley


def draw_orders(n_players: int, n_permutations: int, rng: np.random.Generator) -> Ints:
    """Random orders of arrival, shape `(n_permutations / 2, n_players)`.

    Each stands for itself and for its reverse: who came late in one came early in the other, which
    takes out much of the noise (antithetic pairs; Mitchell, Cooper, Frank & Holmes 2021, "Sampling
    permutations for Shapley value estimation", arXiv 2104.12199).
    """
    orders = np.tile(np.arange(n_players), (n_permutations // 2, 1))
    return rng.permuted(orders, axis=1)


def shapley_of_orders(
    prefix_values: PrefixValues, orders: Ints, block: int
) -> tuple[Floats, Floats]:
    """Shapley values from sampled orders of arrival, each taken forwards and backwards.

    Every order by itself adds up to v(all) − v(none), so the estimate does too. The mean of a pair
    is one independent draw, and the standard errors are theirs.

    Args:
        prefix_values: as `PrefixValues`.
        orders: shape `(n_pairs, n_players)`, from `draw_orders`.
        block: orders looked at together.

    Returns:
        Shapley values and their standard errors, both of shape `(n_players,)`.
    """
    gains = np.zeros(orders.shape)
    for start in range(0, len(orders), block):
        part = orders[start : start + block]
        for each in (part, part[:, ::-1]):
            gain = np.empty(each.shape)
            np.put_along_axis(gain, each, np.diff(prefix_values(each), axis=1), axis=1)
            gains[start : start + block] += gain / 2
    return mean_of_pairs(gains)


def mean_of_pairs(gains: Floats) -> tuple[Floats, Floats]:
    """Mean and its standard error over independent draws, shape `(n_draws, n_players)`."""
    return gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(len(gains))


def solve(values: Values, n_players: int, orders: Ints | None) -> Game:
    """The game that `values` describes: in full, or along `orders` where these are given."""
    nobody, everyone = (
        float(each) for each in values(np.array([[False] * n_players, [True] * n_players]))
    )
    if orders is None:
        shapley = shapley_of_table(_table(values, n_players))
        return Game(shapley, nobody, everyone, np.zeros(n_players))

    def prefix_values(some: Ints) -> Floats:
        arrival = np.argsort(some, axis=1)
        members = arrival[:, None, :] < np.arange(n_players + 1)[:, None]
        return values(members.reshape(-1, n_players)).reshape(len(some), n_players + 1)

    block = max(1, _CHUNK // (n_players * (n_players + 1) or 1))
    shapley, standard_error = shapley_of_orders(prefix_values, orders, block)
    return Game(shapley, nobody, everyone, standard_error)


def check_tabled(n_players: int, what: str) -> None:
    """Refuse a table of 2^n entries that would not end; sampling is asked for, never chosen."""
    if n_players > MOST_EXACT:
        raise ParameterError(
            f"{what} is exact for at most {MOST_EXACT} channels (2^n coalitions); these journeys "
            f"have {n_players}. Give n_permutations (say 1000) to sample orders of arrival, with "
            'standard errors, or use characteristic_function="conversions", which has a closed form'
        )


def _table(values: Values, n_players: int) -> Floats:
    table = np.empty(1 << n_players)
    step = max(1, _CHUNK // max(n_players, 1))
    for start in range(0, len(table), step):
        coalition = np.arange(start, min(start + step, len(table)))
        table[start : start + step] = values((coalition[:, None] >> np.arange(n_players)) & 1 > 0)
    return table


def _players(table: Floats) -> int:
    return int(table.shape[-1]).bit_length() - 1
