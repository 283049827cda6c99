"""Dirichlet rows against scipy; intervals of the chain against the truth and a bootstrap."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import mta_models as mta
from mta_models.models.markov.bayesian import _DENSE, draw_rows, effect_draws, with_prior
from mta_models.models.markov.chain import make_chain
from mta_models.models.markov.transitions import Counts, count_transitions

# A chain over three channels whose removal effects are known; the last two columns are exits.
ROWS = np.array(
    [
        [0.50, 0.25, 0.15, 0.01, 0.09],  # from the start
        [0.30, 0.20, 0.05, 0.10, 0.35],
        [0.15, 0.20, 0.10, 0.20, 0.35],
        [0.10, 0.30, 0.10, 0.05, 0.45],
    ]
)


def true_shares() -> np.ndarray:
    """Removal by its definition: a column of zeros, and the system solved again."""
    q = np.column_stack([np.zeros(4), ROWS[:, :3]])

    def rate(removed: int | None) -> float:
        kept = q.copy()
        if removed is not None:
            kept[:, removed + 1] = 0
        return float(np.linalg.solve(np.eye(4) - kept, ROWS[:, 3])[0])

    effects = np.array([1 - rate(c) / rate(None) for c in range(3)])
    return effects / effects.sum()


def simulate(n_users: int, seed: int) -> mta.Journeys:
    """Users simulated through the chain, all of them one step at a time."""
    rng = np.random.default_rng(seed)
    edges = ROWS.cumsum(axis=1)
    state, here = np.zeros(n_users, dtype=int), np.arange(n_users)
    steps, converts = [], np.zeros(n_users, dtype=np.int8)
    while len(here):
        nxt = (rng.random(len(here))[:, None] > edges[state[here]]).sum(axis=1)
        converts[here[nxt == 3]] = 1
        here, nxt = here[nxt < 3], nxt[nxt < 3]
        steps.append((here, nxt))
        state[here] = nxt + 1
    user, code = (np.concatenate(each) for each in zip(*steps, strict=True))
    order = np.argsort(user, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=n_users))))
    return mta.Journeys.from_arrays(["A", "B", "C"], code[order], offsets, converts, 1 - converts)


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return simulate(2000, 0)


# Three states: ordinary weights, one far below 1, and a state that nobody goes on from.
BELIEVED = Counts(
    recent=np.array([[-1], [0], [1]]),
    source=np.array([0, 0, 1]),
    target=np.array([1, 2, 2]),
    users=np.array([5.0, 0.4, 2.0]),
    conversions=np.array([1.5, 0.01, 3.0]),
    nulls=np.array([3.0, 1.0, 4.0]),
    value=None,
)


def test_rows_are_dirichlet() -> None:
    onward, converting = draw_rows(BELIEVED, 20_000, np.random.default_rng(0))
    first = np.column_stack([onward[:, :2], converting[:, 0]])
    first = np.column_stack([first, 1 - first.sum(axis=1)])
    exact = stats.dirichlet([5, 0.4, 1.5, 3])
    np.testing.assert_allclose(first.mean(axis=0), exact.mean(), atol=0.006)
    np.testing.assert_allclose(np.cov(first.T), exact.cov(), atol=0.001)
    for drawn, (a, b) in (
        (onward[:, 1], (0.4, 9.5)),
        (onward[:, 2], (2.0, 1.01)),
        (converting[:, 1], (0.01, 3.0)),
        (converting[:, 2], (3.0, 4.0)),
    ):
        assert stats.kstest(drawn, stats.beta(a, b).cdf).pvalue > 0.001
    # Rows are independent.
    between = np.corrcoef(np.column_stack([first[:, :3], onward[:, 2], converting[:, 2]]).T)
    assert np.abs(between[:3, 3:]).max() < 0.03


def test_tiny_weights_make_rows_too() -> None:
    names = ("users", "conversions", "nulls")
    tiny = replace(BELIEVED, **{name: getattr(BELIEVED, name) / 1e4 for name in names})
    onward, converting = draw_rows(tiny, 4000, np.random.default_rng(0))
    assert np.isfinite(onward).all()
    # In the limit one exit has all the probability, each with a frequency equal to its weight.
    np.testing.assert_allclose((onward[:, 0] > 0.5).mean(), 5 / 9.9, atol=0.03)
    np.testing.assert_allclose((converting[:, 2] > 0.5).mean(), 3 / 7, atol=0.03)


paths = st.lists(
    st.tuples(st.lists(st.sampled_from("ABC"), max_size=5), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=7,
).filter(lambda rows: any(c for _, c, _ in rows) and any(n for _, _, n in rows))


@settings(max_examples=50)
@given(rows=paths, order=st.integers(1, 3), prior=st.sampled_from([0.0, 0.5, 1.0, 7.0]))
def test_the_prior_adds_its_users_to_each_state_and_no_state(
    rows: list[tuple[list[str], int, int]], order: int, prior: float
) -> None:
    names, conversions, nulls = zip(*rows, strict=True)
    counts = count_transitions(
        mta.Journeys.from_paths(names, conversions, nulls, channels=list("ABC")), order
    )
    believed = with_prior(counts, prior)

    def leaving(of: Counts) -> np.ndarray:
        onward = np.bincount(of.source, of.users, len(of.recent))
        return onward + of.conversions + of.nulls

    np.testing.assert_allclose(leaving(believed), leaving(counts) + prior)
    np.testing.assert_array_equal(believed.recent, counts.recent)
    np.testing.assert_array_equal(believed.target, counts.target)
    exits = believed.conversions - counts.conversions, believed.nulls - counts.nulls
    np.testing.assert_allclose(exits[0] * counts.nulls.sum(), exits[1] * counts.conversions.sum())


def test_the_prior_has_the_documented_mean() -> None:
    # 8 steps: A twice, B once, 2 conversions, 3 nulls. B leads nowhere.
    rows = mta.Journeys.from_paths([["A"], ["A", "B"], []], [1, 0, 1], [0, 1, 2])
    believed = with_prior(count_transitions(rows, 1), 4.0)
    np.testing.assert_allclose(believed.users - [2, 1], [4 * 3 / 8, 4 * 3 / 8])
    np.testing.assert_allclose(believed.conversions - [1, 1, 0], [1, 1, 4 * 2 / 5])
    np.testing.assert_allclose(believed.nulls - [2, 0, 1], [1.5, 1.5, 4 * 3 / 5])


def test_the_prior_does_not_make_rare_states_convert() -> None:
    """A flat prior of the same weight does: with hundreds of states it adds a quarter."""
    rng = np.random.default_rng(1)
    offsets = np.concatenate(([0], np.cumsum(rng.geometric(0.35, 2000) - 1)))
    converts = (rng.random(2000) < 0.05).astype(np.int8)
    rows = mta.Journeys.from_arrays(
        "ABCDEF", rng.integers(0, 6, offsets[-1]), offsets, converts, 1 - converts
    )
    model = mta.BayesianMarkov(3, n_draws=1).fit(rows)
    assert len(model.states_) > 200
    np.testing.assert_allclose(model.conversion_probability_, converts.mean(), rtol=0.01)
    flat = mta.Markov(3, smoothing=1 / 8).fit(rows)  # eight ways out of each state
    assert flat.conversion_probability_ > 1.2 * converts.mean()


@pytest.mark.parametrize("order", [1, 2])
def test_the_posterior_mean_chain_is_a_chain(journeys: mta.Journeys, order: int) -> None:
    model = mta.BayesianMarkov(order, prior=5, n_draws=4000, random_state=0).fit(journeys)
    np.testing.assert_allclose(model.transition_matrix_.sum(axis=1), 1)
    onward, _ = draw_rows(with_prior(model.counts_, 5), 4000, np.random.default_rng(1))
    mean = model.transition_matrix_[model.counts_.source, model.counts_.target]
    np.testing.assert_allclose(onward.mean(axis=0), mean, atol=0.01)
    assert model.to_graph().nodes[("A",)]["removal_effect"] == model.removal_effect_[0]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_without_a_prior_the_point_is_that_of_markov(journeys: mta.Journeys, order: int) -> None:
    plain = mta.Markov(order).fit(journeys)
    model = mta.BayesianMarkov(order, prior=0, n_draws=20).fit(journeys)
    np.testing.assert_allclose(model.removal_effect_, plain.removal_effect_)
    np.testing.assert_allclose(model.conversion_probability_, plain.conversion_probability_)
    np.testing.assert_allclose(
        model.transition_matrix_.toarray(), plain.transition_matrix_.toarray()
    )


@pytest.mark.parametrize("order", [1, 2])
def test_draws_are_the_effects_of_drawn_chains(journeys: mta.Journeys, order: int) -> None:
    believed = with_prior(count_transitions(journeys, order), 1.0)
    effects = effect_draws(believed, 3, 4, np.random.default_rng(5))
    onward, reward = draw_rows(believed, 4, np.random.default_rng(5))
    for i in range(4):
        # Counts in proportion to a row's probabilities make that row.
        rest = 1 - np.bincount(believed.source, onward[i], len(reward[i])) - reward[i]
        drawn = replace(believed, users=onward[i], conversions=reward[i], nulls=rest)
        expected = make_chain(drawn).removal_effects(3)
        np.testing.assert_allclose(effects[i], expected, rtol=1e-8)


def test_many_states_are_solved_as_few_are() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 7, 3000)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    converts = rng.integers(0, 2, 3000)
    many = mta.Journeys.from_arrays(
        "ABCDEFG", rng.integers(0, 7, offsets[-1]), offsets, converts, 1 - converts
    )
    believed = with_prior(count_transitions(many, 3), 1.0)
    assert len(believed.recent) > _DENSE
    effects = effect_draws(believed, 7, 3, np.random.default_rng(5))
    onward, reward = draw_rows(believed, 3, np.random.default_rng(5))
    for i in range(3):
        rest = 1 - np.bincount(believed.source, onward[i], len(reward[i])) - reward[i]
        drawn = replace(believed, users=onward[i], conversions=reward[i], nulls=rest)
        np.testing.assert_allclose(effects[i], make_chain(drawn).removal_effects(7), rtol=1e-8)


def test_draws_share_out_what_was_observed(journeys: mta.Journeys) -> None:
    value = np.where(journeys.conversions > 0, np.arange(journeys.n_journeys) % 7 + 1.0, 0.0)
    valued = journeys.reweighted(journeys.conversions, journeys.nulls, value)
    model = mta.BayesianMarkov(n_draws=50, random_state=0).fit(valued)
    conversions, revenue = (model.attribute(valued, of=of) for of in ("conversions", "value"))
    for result in (conversions, revenue):
        assert result.draws is not None
        assert result.baseline_draws is not None
        np.testing.assert_allclose(
            result.draws.sum(axis=1) + result.baseline_draws, result.total, rtol=1e-12
        )
        assert (result.baseline_draws == result.baseline).all()
    # The same effects share out the value.
    np.testing.assert_allclose(conversions.share, revenue.share)
    np.testing.assert_allclose(
        conversions.draws / conversions.credit.sum(), revenue.draws / revenue.credit.sum()
    )


def test_a_seed_makes_the_same_draws(journeys: mta.Journeys) -> None:
    def draws(seed: int | np.random.Generator) -> np.ndarray:
        result = mta.BayesianMarkov(n_draws=30, random_state=seed).fit_attribute(journeys)
        assert result.draws is not None
        return result.draws

    np.testing.assert_array_equal(draws(3), draws(3))
    np.testing.assert_array_equal(draws(3), draws(np.random.default_rng(3)))
    assert (draws(3) != draws(4)).all()


def test_draws_approach_the_point_estimate_with_more_users() -> None:
    gaps, widths = [], []
    for n_users in (200, 20_000):
        result = mta.BayesianMarkov(random_state=0).fit_attribute(simulate(n_users, 1))
        assert result.draws is not None
        shares = result.draws / result.credit.sum()
        gaps.append(np.abs(shares.mean(axis=0) - result.share).max())
        widths.append(shares.std(axis=0))
    assert gaps[1] < 0.001 < 0.05 > gaps[0]
    # A hundred times the users, a tenth of the standard deviation.
    np.testing.assert_allclose(widths[0] / widths[1], 10, rtol=0.35)


def test_few_transitions_make_wide_intervals() -> None:
    rows = [["A"], ["B"], ["C"]]
    result = mta.BayesianMarkov(random_state=0).fit_attribute(
        mta.Journeys.from_paths(rows, [400, 40, 4], [3600, 360, 36])
    )
    relative = np.ptp(result.interval(), axis=1) / result.credit
    assert relative[0] < relative[1] < relative[2]
    # Counts of 40 and 4 conversions are known to about 1/√40 and 1/√4 of themselves.
    np.testing.assert_allclose(relative[1:] / 3.92, 1 / np.sqrt([40, 4]), rtol=0.25)


def test_a_channel_without_conversions_may_have_an_effect() -> None:
    rows = mta.Journeys.from_paths([["A"], ["B"]], [50, 0], [500, 20])
    result = mta.BayesianMarkov(random_state=0).fit_attribute(rows)
    assert 0 < result.credit[1] < 1
    low, high = result.interval()[1]
    assert low < 0.01
    assert high > result.credit[1]
    assert mta.BayesianMarkov(prior=0).fit_attribute(rows).credit[1] == 0


@pytest.mark.parametrize("prior", [0, 1.0])
def test_agrees_with_a_bootstrap_where_steps_are_independent(
    journeys: mta.Journeys, prior: float
) -> None:
    posterior = mta.BayesianMarkov(prior=prior, random_state=0).fit_attribute(journeys)
    resampled = mta.bootstrap(mta.Markov(), journeys, n_draws=1000, random_state=0)
    assert posterior.draws is not None
    assert resampled.draws is not None
    # A bootstrap also moves how many convert, so shares are compared.
    shares = [each / each.sum(axis=1, keepdims=True) for each in (posterior.draws, resampled.draws)]
    ours, theirs = (np.quantile(each, [0.025, 0.25, 0.5, 0.75, 0.975], axis=0) for each in shares)
    np.testing.assert_allclose(ours, theirs, atol=0.15 * np.ptp(theirs, axis=0).min())
    np.testing.assert_allclose(shares[0].std(axis=0), shares[1].std(axis=0), rtol=0.1)


@pytest.mark.parametrize(("n_users", "n_worlds"), [(150, 200), (1500, 200)])
def test_intervals_have_their_nominal_coverage(n_users: int, n_worlds: int) -> None:
    truth, held = true_shares(), np.zeros((2, 3))
    for seed in range(n_worlds):
        result = mta.BayesianMarkov(n_draws=400, random_state=seed).fit_attribute(
            simulate(n_users, seed)
        )
        for i, prob in enumerate((0.5, 0.9)):
            bounds = result.interval(prob) / result.credit.sum()
            held[i] += (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    # Three standard errors of a share of `n_worlds` worlds.
    for rate, prob in zip(held / n_worlds, (0.5, 0.9), strict=True):
        np.testing.assert_allclose(rate, prob, atol=3 * np.sqrt(prob * (1 - prob) / n_worlds))


def test_can_be_bootstrapped_with_its_prior(journeys: mta.Journeys) -> None:
    """Draws of a bootstrap are those of the point estimate, prior included."""
    model = mta.BayesianMarkov(prior=30.0, n_draws=2, random_state=0)
    result = mta.bootstrap(model, journeys, n_draws=200, random_state=0)
    assert result.draws is not None
    np.testing.assert_allclose(
        result.draws.mean(axis=0), result.credit, atol=4 * result.draws.std(axis=0).max() / 200**0.5
    )


def test_journeys_without_a_null_warn_as_they_do_for_markov() -> None:
    rows = mta.Journeys.from_paths([["A"], ["A", "B"]], [3, 4])
    with pytest.warns(mta.IdentifiabilityWarning, match="should be users without a conversion"):
        result = mta.BayesianMarkov(random_state=0).fit_attribute(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        plain = mta.Markov().fit_attribute(rows)
    np.testing.assert_allclose(result.credit, plain.credit, rtol=0.2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"order": 0}, "`order` is the number"),
        ({"prior": -1}, "`prior` must be a number of users of at least 0 and finite; got -1"),
        ({"prior": float("inf")}, "`prior` must be"),
        ({"prior": "flat"}, "`prior` must be"),
        ({"n_draws": 0}, "`n_draws` must be a whole number from 1 to 1,000,000; got 0"),
        ({"n_draws": True}, "`n_draws` must be"),
        ({"n_draws": 2.5}, "`n_draws` must be"),
    ],
)
def test_refuses_parameters(
    journeys: mta.Journeys, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        mta.BayesianMarkov(**parameters).fit(journeys)  # type: ignore[arg-type]
