"""One coalition game, solved exactly or along sampled orders of arrival."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mta_models.core.coalitions import shapley_of_table
from mta_models.core.orders import coalitions_along, gains_along, mean_and_error, pair_gains
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import ParameterError

# Largest number of players of a game given in full: 2^20 numbers are 8 MB, and each further player
# doubles it.
MAX_TABLE_PLAYERS = 20
# Maximum of entries of a mask (coalitions × players) handled at once.
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
        everyone: value of the coalition of all players.
        standard_error: shape `(n_players,)`, of sampling; zeros for an exact solution.
    """

    shapley: Floats
    nobody: float
    everyone: float
    standard_error: Floats


def shapley_of_orders(
    prefix_values: PrefixValues, orders: Ints, block: int
) -> tuple[Floats, Floats]:
    """Shapley values of one game from sampled orders of arrival and their reverses.

    Args:
        prefix_values: as `PrefixValues`.
        orders: shape `(n_pairs, n_players)`.
        block: number of orders handled at once.

    Returns:
        Shapley values and their standard errors, both of shape `(n_players,)`.
    """
    blocks = (orders[start : start + block] for start in range(0, len(orders), block))
    pairs = pair_gains(blocks, lambda each: gains_along(each, prefix_values(each)))
    return mean_and_error(np.concatenate(list(pairs)))


def solve(values: Values, n_players: int, orders: Ints | None) -> Game:
    """The game with these values: solved exactly, or along `orders` where they are given."""
    nobody, everyone = (
        float(each) for each in values(np.array([[False] * n_players, [True] * n_players]))
    )
    if orders is None:
        shapley = shapley_of_table(_table(values, n_players))
        return Game(shapley, nobody, everyone, np.zeros(n_players))

    def prefix_values(some: Ints) -> Floats:
        members = coalitions_along(some).reshape(-1, n_players)
        return values(members).reshape(len(some), n_players + 1)

    block = max(1, _CHUNK // (n_players * (n_players + 1) or 1))
    shapley, standard_error = shapley_of_orders(prefix_values, orders, block)
    return Game(shapley, nobody, everyone, standard_error)


def check_tabled(n_players: int, what: str) -> None:
    """Refuse more players than a table can hold: sampling is never chosen automatically."""
    if n_players > MAX_TABLE_PLAYERS:
        raise ParameterError(
            f"{what} is exact for at most {MAX_TABLE_PLAYERS} channels (2^n coalitions); these "
            f"journeys have {n_players}. Give n_permutations (say 1000) to sample orders, with "
            'standard errors, or characteristic_function="conversions" (a closed form)'
        )


def _table(values: Values, n_players: int) -> Floats:
    table = np.empty(1 << n_players)
    step = max(1, _CHUNK // max(n_players, 1))
    for start in range(0, len(table), step):
        coalition = np.arange(start, min(start + step, len(table)))
        table[start : start + step] = values((coalition[:, None] >> np.arange(n_players)) & 1 > 0)
    return table
