"""A Markov chain with a posterior over its rows: intervals without a bootstrap.

Rows of a chain with Dirichlet priors have Dirichlet posteriors, so a draw of the chain is one draw
of a Gamma variable for each exit of each state, and its removal effects are exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from mta_models.core.checks import check_number, check_seed, check_whole_number
from mta_models.core.ragged import Floats
from mta_models.data.journeys import Journeys
from mta_models.models.markov.chain import Chain, dense_effects, make_chain
from mta_models.models.markov.markov import Markov, check_order
from mta_models.models.markov.transitions import Counts, without_unseen

# Maximum of numbers in the dense chains in memory at once: 32 MB.
_AT_ONCE = 1 << 22
# States up to which dense inverses of all draws are faster than one iteration for each.
_DENSE = 256
_MOST_DRAWS = 1_000_000


class BayesianMarkov(Markov):
    """Removal effects of a Markov chain with a posterior over its rows, with draws and intervals.

    The chain is that of `Markov`. Each row has a Dirichlet prior over its exits and the counts are
    multinomial, so each row's posterior is a Dirichlet distribution of counts plus prior,
    independent of the other rows. The point estimate comes from the posterior mean chain, which
    includes the prior; its removal effects are `removal_effect_`. A draw of all rows has its own
    removal effects. Every draw shares out the conversions observed, so all draws have the same
    total, and the baseline, which is observed, does not vary.

    The prior weighs as much as `prior` users in each state. Its mean is the same for all states.
    The prior probability of converting is the fraction of conversions among all steps counted, and
    that of the null likewise; the rest is divided equally among the channels that came next in the
    data. So the prior adds no state, and a channel that nobody converted from can still have an
    effect. Rare states of a high order do not convert more than others; under a flat prior they
    would. The default of one user hardly matters in states with many users. 0 is Haldane's improper
    prior: the point estimate is that of `Markov`, and transitions that were never observed are
    impossible.

    Estimand: `removal_effect`, as `Markov` with `removal="to_null"`. The other two kinds of removal
    do not depend on the rows of the chain; use `bootstrap` for their intervals.

    Assumptions: those of `Markov`, and they matter more: the posterior takes steps as independent
    given the last `order` channels. Where they are not, intervals are too narrow or too wide at
    any number of users; `bootstrap(Markov(), journeys)` draws whole journeys instead.

    Blind spots: those of `Markov`. Value is shared out by the effects on conversions, since the
    chain does not include value; `Markov` has separate effects on value.

    Source: Yalamanchi & Spedicato (2015), "Bayesian Inference of First Order Markov Chains", in the
    R package markovchain, for independent Dirichlet rows; Strelioff, Crutchfield & Hübler (2007),
    "Inferring Markov chains: Bayesian estimation, model comparison, entropy rate, and out-of-class
    modeling", Physical Review E 76, 011106, for any order; Anderl et al. (2016), as `Markov`, for
    removal effects. The prior's mean is our choice.

    Args:
        order: channels remembered, >= 1.
        prior: weight of each state's prior in users, >= 0.
        n_draws: number of draws of the posterior in `fit`, >= 1.
        random_state: seed or `numpy.random.Generator` of the draws.

    Attributes:
        removal_effect_: shape `(n_channels,)`, of the posterior mean chain, not normalised.
        removal_effect_draws_: shape `(n_draws, n_channels)`, of each draw, not normalised.
        transition_matrix_, conversion_probability_: of the posterior mean chain.
        states_, counts_: as `Markov`, without the prior.

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

    # Parameters of `Markov` that are fixed here.
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
        posterior = with_prior(self.counts_, self.prior)
        rng = np.random.default_rng(self.random_state)
        self.removal_effect_draws_ = effect_draws(
            posterior, journeys.n_channels, int(self.n_draws), rng
        )

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats]:
        effects = self.removal_effect_draws_
        whole = effects.sum(axis=1, keepdims=True)
        # All effects are 0 where all conversions are of journeys without a touchpoint.
        shares = np.divide(effects, whole, out=np.zeros_like(effects), where=whole > 0)
        credit = shares * self._credit(journeys, of).sum()
        return credit, np.full(len(credit), self._baseline(journeys, of))

    def _effects_of(self, of: str) -> Floats:
        return self.removal_effect_

    def _chain_from(self, counts: Counts, of: str) -> Chain:
        return make_chain(with_prior(counts, self.prior))


def with_prior(counts: Counts, prior: float) -> Counts:
    """The parameters of the Dirichlet posteriors: counts plus `prior` users in each state.

    Where nobody went on to another channel, the prior is on the conversion and the null only.
    """
    counts = without_unseen(counts)
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
    posterior: Counts, n_channels: int, n_draws: int, rng: np.random.Generator
) -> Floats:
    """Removal effects of chains drawn from the posterior, shape `(n_draws, n_channels)`."""
    n, newest = len(posterior.recent), posterior.recent[:, 0]
    effects = np.empty((n_draws, n_channels))
    step = max(1, _AT_ONCE // (n * n if n <= _DENSE else len(posterior.users) + 2 * n))
    for start in range(0, n_draws, step):
        here = slice(start, min(start + step, n_draws))
        onward, reward = draw_rows(posterior, here.stop - here.start, rng)
        if n <= _DENSE:
            q = np.zeros((len(onward), n, n))
            q[:, posterior.source, posterior.target] = onward
            effects[here] = dense_effects(q, reward, newest, n_channels)
            continue
        for i, (row, exits) in enumerate(zip(onward, reward, strict=True), start):
            drawn = sparse.csr_array((row, (posterior.source, posterior.target)), shape=(n, n))
            effects[i] = Chain(drawn, exits, newest).swept_effects(n_channels)
    return effects


def draw_rows(posterior: Counts, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draws of all rows from their Dirichlet distributions.

    Gamma variables are drawn as logs, by G(a) = G(a + 1) U^(1/a): for a of a few thousandths G(a)
    itself often underflows to 0, and a row of zeros is not a distribution.

    Returns:
        Probabilities of the transitions, shape `(n_draws, n_transitions)`, and of converting, shape
        `(n_draws, n_states)`; the rest of each row goes to null.
    """
    n, m = len(posterior.recent), len(posterior.users)
    weight = np.concatenate([posterior.users, posterior.conversions, posterior.nulls])
    row = np.concatenate([posterior.source, np.arange(n), np.arange(n)])
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(n))
    with np.errstate(divide="ignore"):  # a weight of 0 has probability 0, and log 0 is right
        drawn = np.log(rng.standard_gamma(weight + 1, (n_draws, len(weight))))
        drawn -= rng.standard_exponential(drawn.shape) / weight
    drawn -= np.maximum.reduceat(drawn[:, order], starts, axis=1)[:, row]
    np.exp(drawn, out=drawn)
    drawn /= np.add.reduceat(drawn[:, order], starts, axis=1)[:, row]
    return drawn[:, :m], drawn[:, m : m + n]
