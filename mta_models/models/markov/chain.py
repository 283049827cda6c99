"""An absorbing Markov chain over recent channels, and exact solutions.

Notation (Kemeny & Snell 1960, "Finite Markov Chains", ch. 3): Q holds the probabilities among
transient states, r those of going to the conversion, N = (I − Q)⁻¹ the expected visits, and
B = N r the probability (or expected value) of converting from each state. State 0 is the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import ConvergenceWarning, warn
from mta_models.models.markov.transitions import Counts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Numbers in the dense chains of coalitions in memory at once.
_AT_ONCE = 1 << 24
# States up to which one dense inverse is faster than an iteration.
_DENSE = 1024
# Sweeps on larger chains before a solver is used that takes fewer but slower steps.
_SWEEPS = 2000


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
        step = max(1, _AT_ONCE // n**2)
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


def _warn_not_converged(residual: float) -> None:
    warn(
        f"the chain was solved only to a residual of {residual:.1e}, so credits have an error of "
        "that size. Use a lower order, or merge channels",
        ConvergenceWarning,
    )
