"""Games as tables, with one value for each coalition, and their exact Shapley values.

Players are numbered from 0. A table of a game of n players has 2^n entries; entry S is the value of
the coalition whose members are the bits of S, so entry 0 is that of the empty coalition.
"""

from __future__ import annotations

from math import comb

import numpy as np

from mta_models.core.ragged import Floats

# Maximum of players for a table where there is a game for each user or journey: 2^10 values per
# game. Games with more players are sampled along orders of arrival.
MAX_PLAYERS = 10


def n_players(table: Floats) -> int:
    """Number of players of a game, from the length of its table."""
    return int(table.shape[-1]).bit_length() - 1


def subset_sums(table: Floats) -> Floats:
    """For every S the sum of `table` over all subsets of S, in place (the zeta transform).

    One butterfly per player: n 2^(n-1) additions instead of 3^n.

    Args:
        table: shape `(2^n,)`.

    Example:
        >>> subset_sums(np.array([1.0, 2.0, 3.0, 4.0]))
        array([ 1.,  3.,  4., 10.])
    """
    for player in range(n_players(table)):
        pair = table.reshape(-1, 2, 1 << player)
        pair[:, 1] += pair[:, 0]
    return table


def shapley_of_table(table: Floats) -> Floats:
    """Exact Shapley values of games that are given as tables.

    phi_i = Σ_{S without i} (v(S + i) − v(S)) / (n · C(n−1, |S|)): the average gain over all orders
    of arrival. Equal to the sum of Harsanyi dividends d(S)/|S|, but the weights are all positive,
    so no digits are lost by cancellation.

    Args:
        table: shape `(..., 2^n)`: one game per row.

    Returns:
        Shape `(..., n)`.

    Source: Shapley (1953), "A value for n-person games", Contributions to the Theory of Games II.

    Example:
        >>> shapley_of_table(np.array([0.0, 0.0, 0.0, 1.0]))
        array([0.5, 0.5])
    """
    n, games = n_players(table), table.shape[:-1]
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
