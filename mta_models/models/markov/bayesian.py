"""A Markov chain whose rows are not known but believed: intervals without a bootstrap.

Rows of a chain under Dirichlet priors have Dirichlet posteriors, so a draw of the whole chain is a
draw of Gamma variables, one for each way out of each state, and its removal effects are as exact as
those of the chain that was counted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from mta_models.core.ragged import Floats
from mta_models.data.journeys import Journeys
from mta_models.models.markov.chain import Chain, Counts, dense_effects, make_chain, seen
from mta_models.models.markov.markov import Markov, check_order
from mta_models.models.parameters import check_number, check_seed, check_whole_number

# Numbers in the dense chains held at once, 32 MB.
_AT_ONCE = 1 << 22
# States up to which dense inverses of all draws beat an iteration for each.
_DENSE = 256
_MOST_DRAWS = 1_000_000


class BayesianMarkov(Markov):
    """Removal effects of a Markov chain with a posterior over its rows: draws, and so intervals.

    The chain is that of `Markov`; each row has a Dirichlet prior over its ways out, the counts are
    multinomial, and so each row's posterior is a Dirichlet distribution of counts plus prior,
    independent of the others. The point estimate comes from the posterior mean chain, in which
    `prior` counts as much as in the draws; its removal effects are `removal_effect_`. A draw of
    all rows has its own removal effects. In every draw the conversions observed are shared out,
    so a draw adds up to the same total, and the baseline, observed too, does not vary.

    The prior is worth `prior` users in each state. Its mean is what is common to all states: of all
    steps counted, the part that were conversions and the part that were nulls are the prior's exits
    from each state; the rest is spread evenly over the channels that were seen to come next. So no
    state is invented, a channel that nobody converted from is not held to be without effect, and
    the rare states of a high order do not convert more than the rest, as under a flat prior. With
    the default of one user, it is forgotten in states that many users were in. With 0 it is
    Haldane's improper prior: the point estimate is that of `Markov`, and what was never seen is
    impossible.

    Estimand: `removal_effect`, as `Markov` with `removal="to_null"`; the other two meanings of
    removal there depend on no row of the chain, so `bootstrap` is the way to their intervals.

    Assumptions: those of `Markov`, and they matter more: the posterior takes steps to be
    independent given the last `order` channels. Where they are not, intervals are too narrow, or
    too wide, at any number of users; `bootstrap(Markov(), journeys)` draws whole journeys instead.

    Blind spots: those of `Markov`. Value is shared out by the effects on conversions, since what a
    conversion is worth is no part of the chain; `Markov` has effects on value of its own.

    Source: Yalamanchi & Spedicato (2015), "Bayesian Inference of First Order Markov Chains", in the
    R package markovchain, for independent Dirichlet rows; Strelioff, Crutchfield & Hübler (2007),
    "Inferring Markov chains: Bayesian estimation, model comparison, entropy rate, and out-of-class
    modeling", Physical Review E 76, 011106, for any order; Anderl et al. (2016), as `Markov`, for
    removal effects. The prior's mean is our choice.

    Args:
        order: channels remembered, >= 1.
        prior: users that each state's prior is worth, >= 0.
        n_draws: draws of the posterior, >= 1, made by `fit`.
        random_state: seed or `numpy.random.Generator` of the draws.

    Attributes:
        removal_effect_: shape `(n_channels,)`, of the posterior mean chain, not normalised.
        removal_effect_draws_: shape `(n_draws, n_channels)`, likewise.
        transition_matrix_, conversion_probability_: of the posterior mean chain.
        states_, counts_: as `Markov`; the prior is in neither.

    Example:
        >>> from mta_models import BayesianMarkov, Journeys
        >>> paths = [["Search", "Email"], ["Search"], ["Email"], []]
        >>> journeys = Journeys.from_paths(paths, [30, 10, 5, 2], nulls=[300, 400, 90, 500])
        >>> BayesianMarkov(random_state=0).fit_attribute(journeys).to_frame().round(1)
              channel  credit  share  lower  upper
        0       Email    21.8    0.5   19.5   23.7
        1      Search    23.2    0.5   21.3   25.5
        2  (baseline)     2.0    NaN    2.0    2.0
    """

    # What `Markov` lets be chosen and a posterior over rows does not.
    removal = "to_null"
    smoothing = 0.0

    removal_effect_draws_: Floats

    def __init__(
        self,
        order: int = 1,
        prior: float = 1.0,
        n_draws: int = 1000,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.order = order
        self.prior = prior
        self.n_draws = n_draws
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_order(self.order, "order")
        check_number(self.prior, "prior", of="a number of users")
        check_whole_number(self.n_draws, "n_draws", 1, _MOST_DRAWS)
        check_seed(self.random_state)

    def _fit(self, journeys: Journeys) -> None:
        super()._fit(journeys)
        believed = with_prior(self.counts_, self.prior)
        rng = np.random.default_rng(self.random_state)
        self.removal_effect_draws_ = effect_draws(
            believed, journeys.n_channels, int(self.n_draws), rng
        )

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats]:
        effects = self.removal_effect_draws_
        whole = effects.sum(axis=1, keepdims=True)
        # No effects at all are those of a chain whose conversions no channel touched.
        shares = np.divide(effects, whole, out=np.zeros_like(effects), where=whole > 0)
        credit = shares * self._credit(journeys, of).sum()
        return credit, np.full(len(credit), self._baseline(journeys, of))

    def _effects_of(self, of: str) -> Floats:
        return self.removal_effect_

    def _chain_from(self, counts: Counts, of: str) -> Chain:
        return make_chain(with_prior(counts, self.prior))


def with_prior(counts: Counts, prior: float) -> Counts:
    """The parameters of the Dirichlet rows: counts of users, and `prior` users more in each state.

    Where nobody went on from a state, its prior is of the two exits alone.
    """
    counts = seen(counts)
    n = len(counts.recent)
    onward = counts.users.sum()
    exits = np.array([counts.conversions.sum(), counts.nulls.sum()])
    ways = np.bincount(counts.source, minlength=n)
    steps = np.where(ways > 0, onward + exits.sum(), exits.sum())
    return replace(
        counts,
        users=counts.users + prior * onward / (steps * ways)[counts.source],
        conversions=counts.conversions + prior * exits[0] / steps,
        nulls=counts.nulls + prior * exits[1] / steps,
    )


def effect_draws(
    believed: Counts, n_channels: int, n_draws: int, rng: np.random.Generator
) -> Floats:
    """Removal effects of chains drawn from the posterior, shape `(n_draws, n_channels)`."""
    n, newest = len(believed.recent), believed.recent[:, 0]
    effects = np.empty((n_draws, n_channels))
    step = max(1, _AT_ONCE // (n * n if n <= _DENSE else len(believed.users) + 2 * n))
    for start in range(0, n_draws, step):
        here = slice(start, min(start + step, n_draws))
        onward, reward = draw_rows(believed, here.stop - here.start, rng)
        if n <= _DENSE:
            q = np.zeros((len(onward), n, n))
            q[:, believed.source, believed.target] = onward
            effects[here] = dense_effects(q, reward, newest, n_channels)
            continue
        for i, (row, exits) in enumerate(zip(onward, reward, strict=True), start):
            drawn = sparse.csr_array((row, (believed.source, believed.target)), shape=(n, n))
            effects[i] = Chain(drawn, exits, newest).swept_effects(n_channels)
    return effects


def draw_rows(believed: Counts, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Rows from their Dirichlet distributions, all at once.

    Returns the probabilities of the transitions, shape `(n_draws, n_transitions)`, and of
    converting, shape `(n_draws, n_states)`; the rest of each row goes to null.

    Gamma variables are drawn in logs, as G(a) = G(a + 1) U^(1/a): for a of a few thousandths G(a)
    itself is often too small a number to hold, and a row of zeros is no distribution.
    """
    n, m = len(believed.recent), len(believed.users)
    weight = np.concatenate([believed.users, believed.conversions, believed.nulls])
    row = np.concatenate([believed.source, np.arange(n), np.arange(n)])
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(n))
    with np.errstate(divide="ignore"):  # a weight of 0 has probability 0, and log 0 is right
        drawn = np.log(rng.standard_gamma(weight + 1, (n_draws, len(weight))))
        drawn -= rng.standard_exponential(drawn.shape) / weight
    drawn -= np.maximum.reduceat(drawn[:, order], starts, axis=1)[:, row]
    np.exp(drawn, out=drawn)
    drawn /= np.add.reduceat(drawn[:, order], starts, axis=1)[:, row]
    return drawn[:, :m], drawn[:, m : m + n]
