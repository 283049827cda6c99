"""An absorbing Markov chain over recent channels: its counts, and exact solutions.

Notation (Kemeny & Snell 1960, "Finite Markov Chains", ch. 3): Q holds the probabilities among
transient states, r those of going to the conversion, N = (I − Q)⁻¹ the expected visits, and
B = N r the probability (or expected value) of converting from each state. State 0 is the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mta_models.core.ragged import Floats, Ints, Mask, Numbers, last, owner, predecessor, spread
from mta_models.data.journeys import Journeys
from mta_models.errors import ConvergenceWarning, warn
from mta_models.models.distinct_channels import users_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Cells of a table over (recent channels, next channel) up to which it is faster than sorting.
_TABLE = 1 << 24
# Touchpoints counted at once, so that temporary arrays stay small for a log of any length.
_CHUNK = 1 << 20
# States up to which one dense inverse is faster than an iteration.
_DENSE = 1024
# Sweeps on larger chains before a solver is used that takes fewer but slower steps.
_SWEEPS = 2000


@dataclass(frozen=True, eq=False)
class Counts:
    """Transitions counted in users. State 0 is the start.

    Attributes:
        recent: shape `(n_states, order)`, each state's channel codes, newest first, -1 where the
            path is shorter; row 0 is all -1. The order is that of `order_in_use`.
        source: shape `(n_transitions,)`, the state before.
        target: shape `(n_transitions,)`, the state after.
        users: shape `(n_transitions,)`, users who made the transition.
        conversions: shape `(n_states,)`, users who converted from the state.
        nulls: shape `(n_states,)`, users who ended without converting.
        value: shape `(n_states,)`, value of the conversions, or None.
    """

    recent: Numbers
    source: Ints
    target: Ints
    users: Floats
    conversions: Floats
    nulls: Floats
    value: Floats | None


def count_transitions(journeys: Journeys, order: int) -> Counts:
    """Transitions of the order-`order` chain, in one pass over the touchpoints.

    A context (the last `order` channels) is a number in base K + 1; the digit 0 means "none yet".
    Where a table of all contexts is small enough they are counted chunk by chunk with `bincount`;
    else they are sorted and numbered.
    """
    order = order_in_use(journeys, order)
    if (journeys.n_channels + 1) ** order * journeys.n_channels <= _TABLE:
        return _count_tabled(journeys, order)
    return without_unseen(Steps(journeys, order).count(journeys))


def order_in_use(journeys: Journeys, order: int) -> int:
    """The order, but at most the touchpoints of the longest journey plus one.

    From there on every context is the whole path so far, and a higher order changes nothing. (At
    the length itself smoothing still adds transitions between contexts of full length.)
    """
    return min(order, int(journeys.lengths.max(initial=0)) + 1)


def _count_tabled(journeys: Journeys, order: int) -> Counts:
    base = journeys.n_channels + 1
    users = users_of(journeys)
    pair_users = np.zeros(base**order * journeys.n_channels)
    exits = np.zeros((3, base**order))
    for rows in _chunks(journeys.offsets):
        offsets = journeys.offsets[rows.start : rows.stop + 1]
        codes = journeys.codes[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        context = digit = codes.astype(np.int64) + 1
        for _ in range(order - 1):
            context = predecessor(context, offsets) * base + digit
        pair = predecessor(context, offsets) * journeys.n_channels + codes
        pair_users += np.bincount(pair, spread(users[rows], offsets), len(pair_users))
        for total, outcome in zip(exits, _outcomes(journeys), strict=False):
            total += np.bincount(last(context, offsets), outcome[rows], len(total))
    pair = np.flatnonzero(pair_users)
    before, code = pair // journeys.n_channels, pair % journeys.n_channels
    entered = (before * base + code + 1) % base**order
    met = np.unique(np.concatenate([[0], before, entered, np.flatnonzero(exits[:2].any(axis=0))]))
    return Counts(
        recent=met[:, None] // base ** np.arange(order) % base - 1,
        source=np.searchsorted(met, before),
        target=np.searchsorted(met, entered),
        users=pair_users[pair],
        conversions=exits[0, met],
        nulls=exits[1, met],
        value=None if journeys.value is None else exits[2, met],
    )


class Steps:
    """The steps of some journeys, numbered once, so that any weights can be counted quickly.

    Contexts are sorted and numbered, for any order and any number of channels; a table over all
    possible contexts (`_count_tabled`) is faster where it is small enough.
    """

    def __init__(self, journeys: Journeys, order: int) -> None:
        codes, offsets = journeys.codes.astype(np.int64), journeys.offsets
        order = order_in_use(journeys, order)
        context = codes + 1
        for _ in range(order - 1):
            longer = predecessor(context, offsets) * (journeys.n_channels + 1) + codes + 1
            context = np.unique(longer, return_inverse=True)[1].reshape(-1) + 1
        pair = predecessor(context, offsets) * journeys.n_channels + codes
        pair, example, which = np.unique(pair, return_index=True, return_inverse=True)
        met = np.unique(np.concatenate([[0], context]))
        # A product with this matrix counts all steps in a third of the time of `bincount`.
        steps = (np.ones(len(codes)), (which.reshape(-1), owner(offsets)))
        self.steps = sparse.csr_array(steps, shape=(len(pair), journeys.n_journeys))
        self.source = np.searchsorted(met, pair // journeys.n_channels)
        self.target = np.searchsorted(met, context[example])
        self.exit = np.searchsorted(met, last(context, offsets))
        self.recent = _recent(context, met, codes, offsets, order)

    def count(self, journeys: Journeys) -> Counts:
        """Counts with the outcomes of `journeys`, which must have the same paths."""
        conversions, nulls, *value = (
            np.bincount(self.exit, outcome, len(self.recent)).astype(np.float64, copy=False)
            for outcome in _outcomes(journeys)
        )
        return Counts(
            recent=self.recent,
            source=self.source,
            target=self.target,
            users=self.steps @ users_of(journeys),
            conversions=conversions,
            nulls=nulls,
            value=value[0] if value else None,
        )


def _recent(context: Ints, met: Ints, codes: Ints, offsets: Ints, order: int) -> Ints:
    """Channels of the contexts `met`, newest first, -1 for none, shape `(n_met, order)`."""
    if not len(codes):
        return np.full((1, order), -1)
    # The channels of a context are read off any one touchpoint that ends it.
    example = np.zeros(int(met[-1]) + 1, dtype=np.int64)
    example[context] = np.arange(len(context))
    start = np.repeat(offsets[:-1], np.diff(offsets))[example[met]]
    at = example[met][:, None] - np.arange(order)
    recent = np.where(at >= start[:, None], codes[np.maximum(at, 0)], -1)
    recent[0] = -1
    return recent


def without_unseen(counts: Counts) -> Counts:
    """The counts without transitions and contexts of 0 users."""
    made = counts.users > 0
    source, target = counts.source[made], counts.target[made]
    ended = np.flatnonzero(counts.conversions + counts.nulls)
    met = np.unique(np.concatenate([[0], source, target, ended]))
    return Counts(
        recent=counts.recent[met],
        source=np.searchsorted(met, source),
        target=np.searchsorted(met, target),
        users=counts.users[made],
        conversions=counts.conversions[met],
        nulls=counts.nulls[met],
        value=None if counts.value is None else counts.value[met],
    )


def _outcomes(journeys: Journeys) -> list[Numbers]:
    """Conversions, nulls and, if there are any, values, each of shape `(n_journeys,)`."""
    value = [] if journeys.value is None else [journeys.value]
    return [journeys.conversions, journeys.nulls, *value]


@dataclass(frozen=True, eq=False)
class Chain:
    """Probabilities of moving among and out of transient states; state 0 is the start.

    Attributes:
        q: shape `(n_states, n_states)`, sparse.
        reward: shape `(n_states,)`, expected conversions (or value) on leaving from each state.
        newest: shape `(n_states,)`, code of the newest channel, -1 for the start.
    """

    q: csr_array
    reward: Floats
    newest: Ints

    def expected(self) -> Floats:
        """B: expected conversions (or value) from each state, shape `(n_states,)`."""
        return self._solve(np.ones(len(self.newest), dtype=bool), self.reward)

    def removal_effects(self, n_channels: int) -> Floats:
        """The part of B[start] lost when entering a state whose newest channel is c ends in null.

        Shape `(n_channels,)`; 0 for a channel that is never entered. With s the start and T the
        states whose newest channel is c, it equals N[s, T] N[T, T]⁻¹ B[T] / B[s]; at order 1,
        N[s, c] / N[c, c] · B[c] / B[s]. One inverse gives all channels.
        """
        if len(self.newest) <= _DENSE:
            return dense_effects(self.q.toarray(), self.reward, self.newest, n_channels)
        return self.swept_effects(n_channels)

    def swept_effects(self, n_channels: int) -> Floats:
        """`removal_effects` by iteration: less work than an inverse for many states."""
        effects, expected = np.zeros(n_channels), self.expected()
        for channel in np.unique(self.newest[1:]):
            stays = self.newest != channel
            effects[channel] = expected[0] - self._solve(stays, expected)[0]
        return effects / expected[0] if expected[0] else effects

    def coalition_values(self, kept: Mask) -> Floats:
        """B[start] of chains in which entering a channel that is not kept ends in null.

        Args:
            kept: shape `(n_coalitions, n_channels)`.

        Returns:
            Shape `(n_coalitions,)`.
        """
        stays = np.column_stack([kept, np.ones(len(kept), dtype=bool)])[:, self.newest]
        n = len(self.newest)
        if n > _DENSE:
            return np.array([self._solve(row, self.reward)[0] for row in stays])
        dense, values = self.q.toarray(), np.empty(len(kept))
        step = max(1, _TABLE // n**2)
        for start in range(0, len(kept), step):
            # States that are not kept are never entered, so their rows do not matter.
            system = np.eye(n) - dense * stays[start : start + step, None, :]
            solved = np.linalg.solve(
                system, np.broadcast_to(self.reward[:, None], (len(system), n, 1))
            )
            values[start : start + step] = solved[:, 0, 0]
        return values

    def _solve(self, stays: Mask, guess: Floats) -> Floats:
        """The fixed point of x = stays ∘ (Q x + reward), from `guess`.

        Repeating the equation converges in about as many steps as the longest journeys have. Where
        it does not, GMRES continues from there: it needs fewer steps but much more time for each,
        up to minutes where many processes share the cores.
        """
        from scipy.sparse.linalg import LinearOperator, gmres

        n, right = len(stays), stays * self.reward
        swept = stays * guess
        for _ in range(_SWEEPS):
            step = stays * (self.q @ swept) + right - swept
            swept += step
            if np.abs(step).max() <= 1e-13 * np.abs(swept).max():
                return swept
        system = LinearOperator((n, n), matvec=lambda x: x - stays * (self.q @ x), dtype=np.float64)
        solution, failed = gmres(system, right, x0=swept, rtol=1e-12, restart=40, maxiter=50)
        if failed:
            _warn_not_converged(float(np.abs(system @ solution - right).max()))
        return np.asarray(solution)


def dense_effects(q: Floats, reward: Floats, newest: Ints, n_channels: int) -> Floats:
    """`Chain.removal_effects` from dense matrices, for one chain or many with the same states.

    Args:
        q: shape `(..., n_states, n_states)`.
        reward: shape `(..., n_states)`.
        newest: shape `(n_states,)`, as in `Chain`.
        n_channels: number of all channels, including those that no state has.

    Returns:
        Shape `(..., n_channels)`.
    """
    visits = np.linalg.inv(np.eye(len(newest)) - q)
    expected = (visits @ reward[..., None])[..., 0]
    effects = np.zeros((*reward.shape[:-1], n_channels))
    if len(np.unique(newest)) == len(newest):
        returns = np.diagonal(visits, axis1=-2, axis2=-1)[..., 1:]
        effects[..., newest[1:]] = visits[..., 0, 1:] * expected[..., 1:] / returns
    else:
        for channel in np.unique(newest[1:]):
            states = np.flatnonzero(newest == channel)
            within = visits[..., states[:, None], states]
            lost = np.linalg.solve(within, expected[..., states, None])[..., 0]
            effects[..., channel] = (visits[..., 0, states] * lost).sum(axis=-1)
    whole = expected[..., :1]
    return np.divide(effects, whole, out=effects, where=whole != 0)


def make_chain(counts: Counts, *, of: str = "conversions", smoothing: float = 0.0) -> Chain:
    """A chain with maximum-likelihood rows; `smoothing` users are added to every exit of a state.

    The exits of a state are the conversion, the null, and each channel that leads to a state with
    users.
    """
    n = len(counts.recent)
    gained = counts.conversions if of == "conversions" else counts.value
    assert gained is not None  # the model has checked
    source, target, users = counts.source, counts.target, counts.users
    if smoothing:
        source, target, users = _smoothed(counts, smoothing)
    leaving = np.bincount(source, users, n) + counts.conversions + counts.nulls + 2 * smoothing
    leaving[leaving == 0] = 1  # a context that has no users after reweighting leads nowhere
    extra = 0.0
    if smoothing:
        # A converting user added by smoothing has the mean value of all conversions.
        extra = smoothing * gained.sum() / counts.conversions.sum()
    q = sparse.csr_array((users / leaving[source], (source, target)), shape=(n, n))
    return Chain(q=q, reward=(gained + extra) / leaving, newest=counts.recent[:, 0])


def _smoothed(counts: Counts, smoothing: float) -> tuple[Ints, Ints, Floats]:
    """All possible transitions between states with users, each with `smoothing` users added."""
    n, recent = len(counts.recent), counts.recent
    # A state is entered from the contexts that match all its channels but the newest.
    _, tail = np.unique(np.vstack([recent[1:, 1:], recent[:, :-1]]), axis=0, return_inverse=True)
    tail = tail.reshape(-1)
    wanted, offered = tail[: n - 1], tail[n - 1 :]
    by_tail = np.argsort(offered, kind="stable")
    low = np.searchsorted(offered[by_tail], wanted, side="left")
    many = np.searchsorted(offered[by_tail], wanted, side="right") - low
    target = np.repeat(np.arange(1, n), many)
    place = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    source = by_tail[np.repeat(low, many) + place]
    seen = sparse.coo_array((counts.users, (counts.source, counts.target)), shape=(n, n))
    possible = sparse.coo_array((np.full(len(source), smoothing), (source, target)), shape=(n, n))
    merged = (seen.tocsr() + possible.tocsr()).tocoo()
    return merged.row.astype(np.int64), merged.col.astype(np.int64), merged.data


def _chunks(offsets: Ints) -> Iterator[slice]:
    """Slices of whole journeys with about `_CHUNK` touchpoints each."""
    start, n = 0, len(offsets) - 1
    while start < n:
        stop = int(np.searchsorted(offsets, offsets[start] + _CHUNK, side="right")) - 1
        # Journeys may have no touchpoints, so the number of journeys is bounded too.
        stop = min(max(stop, start + 1), start + _CHUNK, n)
        yield slice(start, stop)
        start = stop


def _warn_not_converged(residual: float) -> None:
    warn(
        f"the chain was solved only to a residual of {residual:.1e}; credits carry that error. "
        "A lower order, or fewer channels, is easier to solve",
        ConvergenceWarning,
    )
