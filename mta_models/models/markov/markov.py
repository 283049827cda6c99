"""Markov-chain attribution with exact removal effects, at any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.checks import check_number, check_one_of, check_seed, check_whole_number
from mta_models.core.ragged import Floats, Mask, first_occurrence, owner, segment_sum, spread
from mta_models.data.journeys import Journeys
from mta_models.errors import (
    IdentifiabilityWarning,
    JourneyError,
    ParameterError,
    warn,
    warnings_of,
)
from mta_models.models.base import AttributionModel, Refitter, Resampling
from mta_models.models.distinct_channels import participation_of, users_of
from mta_models.models.markov.chain import Chain, make_chain
from mta_models.models.markov.order_selection import OrderSelection, held_out_scores
from mta_models.models.markov.transitions import Counts, Steps, count_transitions

if TYPE_CHECKING:
    import networkx as nx
    from scipy.sparse import csr_array

REMOVALS = ("to_null", "fail", "detour")
_MAX_FOLDS = 1_000
State = tuple[str, ...] | str


class Markov(AttributionModel):
    """Removal effects of a Markov chain over the last `order` channels, solved exactly.

    The state of a journey is its last `order` channels; rows of the transition matrix are
    maximum-likelihood estimates weighted by users (conversions + nulls). The removal effect of
    channel c is the part of all conversions lost when c is removed. The credit of c is its part of
    the sum of removal effects, times the conversions of journeys with a touchpoint.

    There are three definitions of removal, which answer different questions:

    - `"to_null"` (default; Anderl et al. 2016): entering c ends the journey in null. The effect is
      the probability, in the fitted chain, that a converting journey passes through c.
    - `"fail"`: journeys that contain c no longer convert. The effect is the share of conversions
      whose journey contains c, at any order; no chain is needed.
    - `"detour"`: c is deleted from all paths and outcomes stay the same; journeys that then have no
      touchpoint are not counted. Since a chain reproduces the conversion rate it was fitted on, the
      effect at any order is 1 − (conversion rate of the journeys still counted) / (conversion rate
      of all). It may be negative.

    Estimand: `removal_effect`, a property of the fitted chain: the share of conversions that pass
    through a channel, normalised. It is not the number of sales that would be lost.

    Assumptions: given the last `order` channels, the past does not matter; who meets which channel
    is not confounded with who would buy anyway; removing a channel changes no other step.

    Blind spots: times are not used; an order >= the longest path gives plain participation, so a
    higher order is not "more causal"; the baseline is only the conversions without a touchpoint.

    Source: Anderl, Becker, von Wangenheim & Schumann (2016), "Mapping the customer journey",
    International Journal of Research in Marketing 33(3), 457-474.

    Args:
        order: channels remembered, >= 1. All orders beyond the longest journey give the same chain.
        removal: `"to_null"`, `"fail"` or `"detour"`.
        smoothing: users added to every exit of every state, >= 0. With 0 the chain reproduces the
            observed conversion rate exactly.

    Attributes:
        states_: `()` for the start, then tuples of up to `order` channels, oldest first, then the
            words `"conversion"` and `"null"`.
        transition_matrix_: sparse, shape `(n_states, n_states)`, in the order of `states_`.
        conversion_probability_: from the start.
        removal_effect_: shape `(n_channels,)`, not normalised.
        counts_: counts of transitions, in users.

    Example:
        >>> from mta_models import Journeys, Markov
        >>> paths = [["c1", "c2", "c3"], ["c1"], ["c2", "c3"]]
        >>> journeys = Journeys.from_paths(paths, conversions=[1, 0, 0], nulls=[0, 1, 1])
        >>> model = Markov().fit(journeys)
        >>> model.removal_effect_.round(6).tolist()
        [0.5, 1.0, 1.0]
        >>> model.attribute(journeys).credit.round(6).tolist()
        [0.2, 0.4, 0.4]
    """

    estimand = "removal_effect"
    resampling: Resampling = "paths"

    states_: tuple[State, ...]
    transition_matrix_: csr_array
    conversion_probability_: float
    removal_effect_: Floats
    counts_: Counts

    def __init__(self, order: int = 1, removal: str = "to_null", smoothing: float = 0.0) -> None:
        self.order = order
        self.removal = removal
        self.smoothing = smoothing

    def _check_parameters(self) -> None:
        check_order(self.order, "order")
        check_one_of(self.removal, "removal", REMOVALS)
        check_number(self.smoothing, "smoothing", of="a number of users")

    def _fit(self, journeys: Journeys) -> None:
        if not journeys.nulls.any():
            warn(
                "there should be users without a conversion; these journeys hold none, so the "
                "chain converts with probability 1 and removal effects are shares of conversions "
                "through a channel. Read the null journeys too",
                IdentifiabilityWarning,
            )
        self.counts_ = count_transitions(journeys, int(self.order))
        chain = self._chain("conversions")
        self.conversion_probability_ = float(chain.expected()[0])
        self._effects = {"conversions": self._removal_effects(journeys, "conversions", chain)}
        if journeys.value is not None and journeys.value.sum():
            chain_of_value = self._chain("value")
            self._effects["value"] = self._removal_effects(journeys, "value", chain_of_value)
        self.removal_effect_ = self._effects["conversions"]
        names = journeys.channels
        self.states_ = (
            *(tuple(names[c] for c in row[::-1] if c >= 0) for row in self.counts_.recent.tolist()),
            "conversion",
            "null",
        )
        self.transition_matrix_ = self._with_exits(chain)

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        if not journeys.outcome(of).any():
            return np.zeros(journeys.n_channels)
        return self._shared(self._effects_of(of), journeys, of)

    def _shared(self, effects: Floats, journeys: Journeys, of: str) -> Floats:
        """The outcomes of journeys with a touchpoint, in proportion to the effects."""
        touched = float(journeys.outcome(of)[journeys.lengths > 0].sum())
        if touched == 0:
            return np.zeros(len(effects))
        if effects.sum() <= 0:
            raise JourneyError(
                f"credit shares need removal effects with a positive sum; they sum to "
                f"{effects.sum():.3g} with removal={self.removal!r}. Look at removal_effect_, or "
                'use removal="to_null"'
            )
        credit: Floats = effects / effects.sum() * touched
        return credit

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`."""
        if self.removal != "to_null" or self.smoothing:
            # Smoothing depends on which contexts have users, and that changes with the weights.
            return super().prepare(journeys, of)
        steps = Steps(journeys, int(self.order))

        def recount(weighted: Journeys) -> tuple[Floats, float]:
            chain = self._chain_from(steps.count(weighted), of)
            effects = chain.removal_effects(journeys.n_channels)
            return self._shared(effects, weighted, of), self._baseline(weighted, of)

        return recount

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """Each journey's outcome over its distinct channels in proportion to their removal effects.

        A channel's part is shared equally by its touchpoints in the journey (effects at order 1 do
        not depend on repeats). Parts are equal where all effects are 0; negative effects count
        as 0.
        """
        weight = np.maximum(self._effects_of(of), 0.0)[journeys.codes]
        distinct = first_occurrence(journeys.codes, journeys.offsets, journeys.n_channels)
        all_zero = segment_sum(weight, journeys.offsets) == 0
        weight = np.where(spread(all_zero, journeys.offsets), 1.0, weight)
        whole = segment_sum(weight * distinct, journeys.offsets)
        cell = owner(journeys.offsets) * journeys.n_channels + journeys.codes
        _, which, repeats = np.unique(cell, return_inverse=True, return_counts=True)
        outcome = spread(journeys.outcome(of), journeys.offsets)
        credit: Floats = outcome * weight / spread(whole, journeys.offsets) / repeats[which]
        return credit

    def coalition_value(self, kept: Mask) -> Floats:
        """Probability of converting when entering any channel that is not kept ends in null.

        The characteristic function of `Shapley("model", model=Markov())`.

        Args:
            kept: shape `(n_coalitions, n_channels)`, over `channels_`.

        Returns:
            Shape `(n_coalitions,)`.
        """
        with warnings_of(type(self).__name__):
            return self._chain("conversions").coalition_values(kept)

    @staticmethod
    def select_order(
        journeys: Journeys,
        max_order: int = 4,
        *,
        n_folds: int = 5,
        smoothing: float = 1.0,
        random_state: int | np.random.Generator | None = None,
    ) -> OrderSelection:
        """The order that best predicts the next step of held-out users.

        Orders are compared by the log-likelihood of the next state (a channel, the conversion or
        the null) in cross-validation over users; the rows of each order are smoothed by a symmetric
        Dirichlet prior.

        Args:
            journeys: folds are of whole users where `users` is known, else of single outcomes.
            max_order: orders from 1 to `max_order` are tried, but none greater than the number of
                touchpoints of the longest journey, since these all give the same chain.
            n_folds: number of folds, 2 to 1,000.
            smoothing: users added to every next step, > 0.
            random_state: seed or `numpy.random.Generator` of the folds.

        Raises:
            ParameterError: an argument has a wrong type or is out of range.
        """
        check_order(max_order, "max_order")
        check_whole_number(n_folds, "n_folds", 2, _MAX_FOLDS)
        check_number(smoothing, "smoothing", above=True, of="a number of users")
        check_seed(random_state)
        rng = np.random.default_rng(random_state)
        return held_out_scores(journeys, max_order, n_folds, smoothing, rng)

    def to_graph(self) -> nx.DiGraph[Any]:
        """The fitted chain as a `networkx.DiGraph`; its nodes are `states_`.

        Edges carry `probability`. Nodes carry `label`, `kind` (`"start"`, `"channels"`,
        `"conversion"` or `"null"`), `channel` (the newest; None where there is none) and
        `removal_effect` (that of the newest channel). The graph carries `order` and
        `conversion_probability`.
        """
        import networkx as nx

        self._check_fitted()
        graph: nx.DiGraph[Any] = nx.DiGraph(
            order=self.order, conversion_probability=self.conversion_probability_
        )
        effect = dict(zip(self.channels_, self.removal_effect_.tolist(), strict=True))
        for state in self.states_:
            newest = state[-1] if isinstance(state, tuple) and state else None
            graph.add_node(
                state,
                label=state if isinstance(state, str) else " > ".join(state) or "start",
                kind=state if isinstance(state, str) else "channels" if state else "start",
                channel=newest,
                removal_effect=None if newest is None else effect[newest],
            )
        matrix = self.transition_matrix_.tocoo()
        n_transient = len(self.states_) - 2  # loops of the absorbing states are not drawn
        ends = zip(matrix.row.tolist(), matrix.col.tolist(), matrix.data.tolist(), strict=True)
        for left, entered, probability in ends:
            if left < n_transient:
                graph.add_edge(self.states_[left], self.states_[entered], probability=probability)
        return graph

    def _chain(self, of: str) -> Chain:
        return self._chain_from(self.counts_, of)

    def _chain_from(self, counts: Counts, of: str) -> Chain:
        return make_chain(counts, of=of, smoothing=float(self.smoothing))

    def _effects_of(self, of: str) -> Floats:
        if of not in self._effects:
            raise JourneyError(
                f"credit of {of!r} needs removal effects on {of}, and the journeys that this model "
                f"was fitted on have no {of}. Fit it on journeys with value"
            )
        return self._effects[of]

    def _removal_effects(self, journeys: Journeys, of: str, chain: Chain) -> Floats:
        if self.removal == "to_null":
            return chain.removal_effects(journeys.n_channels)
        outcome, users = journeys.outcome(of), users_of(journeys)
        offsets, codes = journeys.offsets, journeys.codes
        if self.removal == "fail":
            share: Floats = participation_of(journeys, outcome) / outcome.sum()
            return share
        if not len(codes):
            return np.zeros(journeys.n_channels)
        # Deleting a channel leaves journeys of that channel alone without a touchpoint.
        first = codes[np.minimum(offsets[:-1], len(codes) - 1)]
        alone = (segment_sum(codes != spread(first, offsets), offsets) == 0) & (
            journeys.lengths > 0
        )
        gone = [
            np.bincount(first[alone], each[alone], journeys.n_channels) for each in (outcome, users)
        ]
        left, left_users = outcome.sum() - gone[0], users.sum() - gone[1]
        rate = np.divide(left, left_users, out=np.zeros_like(left), where=left_users > 0)
        effects: Floats = 1 - rate / (outcome.sum() / users.sum())
        return effects

    def _with_exits(self, chain: Chain) -> csr_array:
        """Q with the two absorbing states added: rows sum to 1."""
        from scipy import sparse

        into_null = 1 - np.asarray(chain.q.sum(axis=1)) - chain.reward
        exits = np.column_stack([chain.reward, np.where(np.abs(into_null) < 1e-15, 0, into_null)])
        stacked = sparse.block_array(
            [[chain.q, sparse.csr_array(exits)], [None, sparse.eye_array(2)]], format="csr"
        )
        return sparse.csr_array(stacked)


def check_order(order: int, name: str) -> None:
    """Refuse an order that is not a whole number >= 1."""
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 1:
        raise ParameterError(
            f"`{name}` is the number of channels a state remembers and must be a whole number "
            f">= 1; got {order!r}"
        )
