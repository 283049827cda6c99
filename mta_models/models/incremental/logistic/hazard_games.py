"""Games of channels whose value is the hazard with only some channels' touchpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mta_models.core.coalitions import MAX_PLAYERS, shapley_of_table
from mta_models.core.orders import gains_along, mean_gains, random_orders
from mta_models.core.quadrature import points_within
from mta_models.core.ragged import Floats, Ints, Mask, chunks, owner
from mta_models.data.case_base import ages_after, density_after
from mta_models.data.histories import Histories
from mta_models.models.incremental.horizon_games import HorizonGame
from mta_models.models.incremental.logistic.features import Responses
from mta_models.models.incremental.logistic.learners import LogHazard

# Orders of arrival drawn for each user of more channels, each with its reverse.
_PAIRS = 8
# Hazards (times × coalitions) computed at once, and their maximum in total for a linear learner and
# for any other.
_AT_ONCE = 1 << 20
_BUDGET, _SLOW_BUDGET = 30_000_000, 2_000_000
# Times at which each user's hazard is evaluated to integrate it over their observation.
_PIECES = 24


@dataclass(frozen=True, eq=False)
class Solved:
    """Solutions of n games, of users or of conversions, each among the d channels that were met.

    Attributes:
        shapley: shape `(n, d)`.
        removal: shape `(n, d)`, what is lost without each channel alone.
        nobody: shape `(n,)`, the value without any channel.
        everyone: shape `(n,)`, the value with all of them.
    """

    shapley: Floats
    removal: Floats
    nobody: Floats
    everyone: Floats


@dataclass(frozen=True, eq=False)
class CoalitionHazard:
    """A fitted hazard as a function of the channels whose touchpoints are kept.

    Attributes:
        log_hazard: the log hazard as a function of the columns.
        responses: how touchpoints become columns.
        half_life: shape `(n_channels,)`, days.
    """

    log_hazard: LogHazard
    responses: Responses
    half_life: Floats

    def columns(self, histories: Histories, user: Ints, time: Floats) -> Floats:
        """Columns of users at times, shape `(n, n_columns)`."""
        adstock = histories.adstock_at(user, time, self.half_life)
        rest = self.responses.rest(histories, user, time)
        return np.hstack([self.responses.columns_of(adstock), rest])

    def columns_at_conversions(self, histories: Histories) -> tuple[Floats, Floats]:
        """Columns at each conversion, shape `(n_events, n_columns)`, and the adstock there."""
        adstock = histories.adstock(self.half_life)
        rest = self.responses.rest(histories, histories.event_user, histories.event_time)
        return np.hstack([self.responses.columns_of(adstock), rest]), adstock

    def kept(self, columns: Floats, keep: Mask) -> Floats:
        """The hazard with only the touchpoints of some channels, shape `(n,)`.

        Args:
            columns: shape `(n, n_columns)`.
            keep: shape `(n, n_channels)`.
        """
        left_out = (~keep).astype(np.float64) @ self.responses.needs.T.astype(np.float64) > 0
        hazard: Floats = np.exp(self.log_hazard(np.where(left_out, 0, columns)))
        return hazard

    def table(self, columns: Floats, own: Ints) -> Floats:
        """The hazard for every subset of each row's own channels, shape `(2^d, n)`.

        Args:
            columns: shape `(n, n_columns)`; 0 for channels that are not `own`.
            own: shape `(n, d)`, codes.
        """
        n, d = own.shape
        coef, k = self.log_hazard.coef, len(self.responses.channels)
        table = np.empty((1 << d, n))
        if coef is None:
            # One prediction for each coalition.
            keep = np.zeros((n, k), dtype=bool)
            for coalition in range(1 << d):
                inside = (coalition >> np.arange(d)) & 1 > 0
                np.put_along_axis(keep, own, np.broadcast_to(inside, own.shape), axis=1)
                table[coalition] = self.kept(columns, keep)
            return table
        # Effects add up on the log scale and multiply the hazard: each channel doubles the table,
        # and its interactions multiply the entries that hold the other channel too.
        m = self.responses.n_responses
        table[0] = np.exp(columns[:, m:] @ coef[m:] + self.log_hazard.intercept)
        column = np.full((k, k), -1)
        for pair, (a, b) in enumerate(self.responses.pairs, start=k):
            column[a, b] = column[b, a] = pair
        effect = np.append(columns * coef, np.zeros((n, 1)), axis=1)
        rows = np.arange(n)
        for j in range(d):
            half = 1 << j
            new = np.multiply(
                table[:half], np.exp(effect[rows, own[:, j]]), out=table[half : 2 * half]
            )
            for i in range(j if len(self.responses.pairs) else 0):
                crossed = np.exp(effect[rows, column[own[:, i], own[:, j]]])
                new.reshape(-1, 2, 1 << i, n)[:, 1] *= crossed
        return table

    def solve(
        self, columns: Floats, days: Floats, own: Ints, once: bool, rng: np.random.Generator
    ) -> Solved:
        """Games of v(S) = the hazard with S's touchpoints, integrated; exact for few channels.

        Args:
            columns: shape `(n, n_pieces, n_columns)`, at the times to integrate over.
            days: shape `(n, n_pieces)`, days that each time stands for.
            own: shape `(n, d)`, codes of the players.
            once: whether v is the chance of converting at all, 1 − exp(−integral).
            rng: draws orders of arrival where there are many channels.
        """
        n, d = own.shape
        if d > MAX_PLAYERS:
            return self._sampled(columns, days, own, once, rng)
        pieces = columns.shape[1]
        flat = self.table(columns.reshape(n * pieces, -1), np.repeat(own, pieces, axis=0))
        integral = np.einsum("snp,np->ns", flat.reshape(-1, n, pieces), days)
        value = _chance(integral, once)
        full = (1 << d) - 1
        without = value[:, full ^ (1 << np.arange(d))]
        return Solved(
            shapley_of_table(value), value[:, full:] - without, value[:, 0], value[:, full]
        )

    def _sampled(
        self, columns: Floats, days: Floats, own: Ints, once: bool, rng: np.random.Generator
    ) -> Solved:
        """Games of many channels along random orders of arrival and their reverses."""
        n, d = own.shape
        pieces = columns.shape[1]
        flat = columns.reshape(n * pieces, -1)

        def value(inside: Mask) -> Floats:
            keep = np.zeros((n, len(self.responses.channels)), dtype=bool)
            np.put_along_axis(keep, own, inside, axis=1)
            hazard = self.kept(flat, np.repeat(keep, pieces, axis=0))
            return _chance((hazard.reshape(n, pieces) * days).sum(axis=1), once)

        nobody, everyone = value(np.zeros(own.shape, dtype=bool)), value(np.ones(own.shape, bool))

        def gains(order: Ints) -> Floats:
            arrival = np.argsort(order, axis=1)
            between = [value(arrival < size) for size in range(1, d)]
            return gains_along(order, np.stack([nobody, *between, everyone], axis=1))

        # A uniform permutation read as times of arrival: its inverse, the order, is uniform too.
        orders = (np.argsort(random_orders(d, (n,), rng), axis=1) for _ in range(_PAIRS))
        shapley = mean_gains(orders, gains)
        removal = np.stack([everyone - value(np.arange(d) != np.full((n, 1), j)) for j in range(d)])
        return Solved(shapley, removal.T, nobody, everyone)


def _chance(integral: Floats, once: bool) -> Floats:
    return -np.expm1(-integral) if once else integral


def by_size(present: Mask) -> Iterator[tuple[Ints, Ints]]:
    """Rows grouped by their number of channels, with the codes of these, shape `(n_rows, d)`.

    Args:
        present: shape `(n, n_channels)`.
    """
    size = present.sum(axis=1)
    for d in np.unique(size).tolist():
        rows = np.flatnonzero(size == d)
        yield rows, np.nonzero(present[rows])[1].reshape(len(rows), d)


def coalition_cost(d: int) -> int:
    """Number of hazards needed to solve a game of d channels."""
    return 1 << d if d <= MAX_PLAYERS else 2 * _PAIRS * d + d


def moment_game(
    model: CoalitionHazard, histories: Histories, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Each conversion's hazard as a game of the channels its user had met.

    Returns:
        Shapley values and removals, shape `(n_events, n_channels)`, and v(∅), shape `(n_events,)`,
        all as fractions of the hazard.
    """
    columns, adstock = model.columns_at_conversions(histories)
    shapley, removal = np.zeros(adstock.shape), np.zeros(adstock.shape)
    nobody = np.zeros(len(adstock))
    for rows, own in by_size(adstock > 0):
        for part in chunks(np.full(len(rows), coalition_cost(own.shape[1])), _AT_ONCE):
            here = rows[part]
            one = np.ones((len(here), 1))
            solved = model.solve(columns[here][:, None], one, own[part], False, rng)
            shapley[here[:, None], own[part]] = solved.shapley / solved.everyone[:, None]
            removal[here[:, None], own[part]] = solved.removal / solved.everyone[:, None]
            nobody[here] = solved.nobody / solved.everyone
    return shapley, removal, nobody


def horizon_game(
    model: CoalitionHazard, histories: Histories, rng: np.random.Generator
) -> tuple[HorizonGame, Floats]:
    """Conversions over all observation as a game: v(S) = Σ_u w_u (1 − exp(−Λ_u(S))).

    Λ is integrated at times drawn in equal pieces of each user's observation. Where all users would
    take too long, they are sampled, in strata by their number of channels.

    Returns:
        The game, and the standard error of its Shapley values from sampling, `(n_channels,)`.
    """
    k = histories.n_channels
    offsets, codes = histories.cells
    present = np.zeros((histories.n_users, k), dtype=bool)
    present[owner(offsets), codes] = True
    present[histories.weight <= 0] = False
    totals = np.zeros(2)
    sums = np.zeros((2, k))
    variance = np.zeros(k)
    budget = _SLOW_BUDGET if model.log_hazard.coef is None else _BUDGET
    cost = np.array([coalition_cost(d) for d in range(k + 1)])
    size = present.sum(axis=1)
    part_taken = min(1.0, budget / max(float(cost[size].sum()) * _PIECES, 1))
    place = np.empty(histories.n_users, dtype=np.int64)
    place[histories.by_content] = np.arange(histories.n_users)
    for rows, own in by_size(present):
        # Users in an order that names do not change, since random numbers go by it.
        order = np.argsort(place[rows])
        rows, own = rows[order], own[order]
        alive = histories.weight[rows] > 0
        rows, own = rows[alive], own[alive]
        if not len(rows):
            continue
        n = min(len(rows), max(int(np.ceil(part_taken * len(rows))), 100))
        drawn = n < len(rows)
        taken = np.sort(rng.choice(len(rows), n, replace=False)) if drawn else np.arange(n)
        weight = histories.weight[rows]
        weight = weight[taken] * (weight.sum() / weight[taken].sum())
        solved = _over_horizon(model, histories, rows[taken], own[taken], rng)
        totals += weight @ solved.nobody, weight @ solved.everyone
        for row, each in zip(sums, (solved.shapley, solved.removal), strict=True):
            row += np.bincount(own[taken].ravel(), (weight[:, None] * each).ravel(), k)
        if drawn and n > 1:
            each = np.zeros((n, k))
            np.put_along_axis(each, own[taken], weight[:, None] * solved.shapley, axis=1)
            variance += n * each.var(axis=0, ddof=1) * (1 - n / len(rows))
    return HorizonGame(sums[0], sums[1], totals[0], totals[1]), np.sqrt(variance)


def _times(
    histories: Histories, users: Ints, met: bool, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Times at which users' hazards are evaluated, and the days each stands for, `(n, _PIECES)`.

    Two thirds of them are one in each of equal pieces of the observation, one third are drawn after
    the user's touchpoints, where hazards are high and change fast; the days are 1 by the density of
    both.
    """
    start, end = histories.start[users], histories.end[users]
    if not met:
        time, days = points_within(start, end, _PIECES, rng)
        return time, np.repeat(days[:, None], _PIECES, axis=1)
    n_after = _PIECES // 3
    n_even = _PIECES - n_after
    even, days = points_within(start, end, n_even, rng)
    n, first = len(users), histories.offsets[:-1][users].astype(np.int64)
    count = histories.offsets[1:][users].astype(np.int64) - first
    place = (np.arange(n_after) + rng.random((n, n_after))) / n_after * count[:, None]
    touched = first[:, None] + np.minimum(place.astype(np.int64), count[:, None] - 1)
    after = histories.time[touched] + ages_after(n * n_after, rng).reshape(n, n_after)
    time = np.hstack([even, after])
    inside = (time >= start[:, None]) & (time < end[:, None])
    dense = density_after(histories, np.repeat(users, _PIECES), time.ravel()).sum(axis=1)
    density = 1 / np.maximum(days, 1e-300)[:, None]
    density = density + n_after * dense.reshape(n, -1) / count[:, None]
    each = np.where(inside, 1 / density, 0.0)
    # Scaled to the days observed, so that a constant hazard is integrated exactly.
    each *= (end - start)[:, None] / np.maximum(each.sum(axis=1, keepdims=True), 1e-300)
    return time, each


def _over_horizon(
    model: CoalitionHazard, histories: Histories, users: Ints, own: Ints, rng: np.random.Generator
) -> Solved:
    solved: list[Solved] = []
    cost = np.full(len(users), coalition_cost(min(own.shape[1], MAX_PLAYERS)) * _PIECES)
    for part in chunks(cost, _AT_ONCE):
        here = users[part]
        time, days = _times(histories, here, own.shape[1] > 0, rng)
        user = np.repeat(here, _PIECES)
        columns = model.columns(histories, user, time.ravel()).reshape(len(here), _PIECES, -1)
        solved.append(model.solve(columns, days, own[part], not histories.repeats, rng))
    return Solved(
        np.concatenate([each.shapley for each in solved]),
        np.concatenate([each.removal for each in solved]),
        np.concatenate([each.nobody for each in solved]),
        np.concatenate([each.everyone for each in solved]),
    )
