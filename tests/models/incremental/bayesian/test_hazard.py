"""The Bayesian hazard: its parts against slow definitions, its posterior on small logs."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mta_models as mta
from mta_models.models.base import clone
from mta_models.models.incremental.bayesian.binning import bin_means, bin_rows
from mta_models.models.incremental.bayesian.half_life_interpolation import (
    LONGEST,
    SHORTEST,
    HalfLifeBasis,
)
from mta_models.models.incremental.bayesian.hazard_data import (
    HazardHorizonUsers,
    HazardLikelihood,
    PointFit,
)
from mta_models.models.incremental.bayesian.hazard_model import (
    FLOOR,
    HazardDraws,
    build,
    hazard_draws,
)
from mta_models.models.incremental.bayesian.lift_likelihood import (
    LIFT_DF,
    LiftCalibration,
    population_of,
)
from mta_models.models.incremental.bayesian.priors import prior_from, sample_prior
from mta_models.models.incremental.negative_controls import future_credit
from tests.contract.test_models_on_timelines import CHANNELS, log, read

LN2 = np.log(2)
PRIOR = prior_from(None, 0.3, 0.5)
POINT = PointFit(np.array([0.08, 0.05, 0.01, 0.02]), 0.003, np.array([3.0, 3.0, 5.0, 2.0]))


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return read(log()).recode(CHANNELS)


def likelihood_of(journeys: mta.Journeys, learn: bool = False) -> HazardLikelihood:
    histories = journeys.histories
    basis = HalfLifeBasis.from_range(4) if learn else HalfLifeBasis.from_given(POINT.half_life)
    return HazardLikelihood.from_histories(histories, histories.until_first, basis, POINT)


# What is tabulated.


def test_interpolated_carry_over() -> None:
    """At worst 0.4% of a touchpoint, at any age and half-life."""
    basis = HalfLifeBasis.from_range(1)
    half_life = np.geomspace(SHORTEST, LONGEST, 101)
    age = np.append(0.0, np.geomspace(0.01, 400, 300))
    exact = np.exp2(-age / half_life[:, None])
    at_nodes = np.exp2(-age / basis.nodes)
    assert np.abs(basis.weights(half_life) @ at_nodes - exact).max() < 0.0045
    np.testing.assert_allclose(basis.weights(half_life).sum(axis=1), 1)
    np.testing.assert_allclose(basis.weights(basis.nodes[:, 0]), np.eye(7), atol=1e-9)


def test_interpolated_likelihood(journeys: mta.Journeys) -> None:
    """Between nodes as on them, to less than a thousandth per conversion."""
    table, exact = likelihood_of(journeys, learn=True), likelihood_of(journeys)

    def log_likelihood(likelihood: HazardLikelihood) -> float:
        hazard = POINT.beta @ likelihood.rates(POINT.half_life) + POINT.baseline
        cost = POINT.beta @ likelihood.exposure_at(POINT.half_life)
        return float(likelihood.weight @ np.log(hazard) - cost)

    assert log_likelihood(table) == pytest.approx(log_likelihood(exact), abs=2.5e-4 * exact.total)
    np.testing.assert_allclose(
        table.exposure_at(POINT.half_life), exact.exposure_at(POINT.half_life), rtol=2e-3
    )


def test_bins_are_of_equal_size_and_near() -> None:
    rng = np.random.default_rng(0)
    rows, weight = rng.random((5_000, 3)), rng.random(5_000)
    group = bin_rows(rows, 600)
    sizes = np.bincount(group)
    assert len(sizes) == 512
    assert set(sizes.tolist()) <= {9, 10}
    middle = bin_means(group, weight, rows)
    np.testing.assert_allclose(np.bincount(group, weight) @ middle, weight @ rows)
    assert np.abs(rows - middle[group]).mean() < 0.05
    np.testing.assert_array_equal(bin_rows(rows[:10], 10), np.arange(10))


def test_binning_loses_little_and_reports_it(journeys: mta.Journeys) -> None:
    whole = likelihood_of(journeys)
    binned = whole.binned(64)
    assert len(binned.weight) == 64 < len(whole.weight)
    assert binned.total == pytest.approx(whole.total)
    # By Jensen's inequality the likelihood of means is larger.
    assert 0 < binned.binning_error < 0.03
    hazard = POINT.beta @ whole.rates(POINT.half_life) + POINT.baseline
    middle = POINT.beta @ binned.rates(POINT.half_life) + POINT.baseline
    gained = binned.weight @ np.log(middle) - whole.weight @ np.log(hazard)
    assert binned.binning_error == pytest.approx(gained / whole.total)


# The density.


def test_density_is_that_of_scipy(journeys: mta.Journeys) -> None:
    """Priors, bias, likelihood and lifts at fixed parameters, each written out once more."""
    likelihood = likelihood_of(journeys)
    tests = (mta.LiftTest("Search", -4.0, 9.0), mta.LiftTest("Direct", 2.0, 5.0))
    calibration = calibrated(tests, journeys, likelihood)
    model = build(likelihood, PRIOR, calibration, nonnegative=False)
    observed, own = np.array([0.6, 0.4, 0.1, 0.2]), np.array([0.3, -1.0, 0.5, 0.2])
    slope, bias_spread, common, spread, portion = 0.8, 0.2, 0.1, 0.4, -0.9
    point = {
        "baseline": portion,
        "common_effect": common,
        "effect_spread_log__": np.log(spread),
        "bias_slope": slope,
        "bias_spread_log__": np.log(bias_spread),
        "own_bias": own,
        "observed_effect": observed,
    }
    unit, exposed = likelihood.effect_unit, likelihood.exposure_at(POINT.half_life)
    bias = slope * calibration.bias.mean + bias_spread * calibration.bias.scale * own
    bias = bias / exposed / unit
    effect = observed - bias
    mu = np.exp(portion) * likelihood.total / likelihood.days
    beta = unit * observed
    hazard = mu + beta @ likelihood.rates(POINT.half_life)
    floor = FLOOR * likelihood.total / likelihood.days
    fresh = beta * LN2 / POINT.half_life / mu
    expected = (
        stats.norm.logpdf(portion, np.log(0.5), 1.5)
        + stats.norm.logpdf(common, 0.3, 1.0)
        + stats.norm.logpdf(np.log(spread), np.log(0.6), 0.3)  # of the logarithm: no Jacobian
        + stats.norm.logpdf(slope, *calibration.bias.slope)
        + stats.halfnorm.logpdf(bias_spread, scale=0.4)
        + np.log(bias_spread)  # the Jacobian
        + stats.t.logpdf(own, 3).sum()
        + stats.t.logpdf(effect, 4, common, spread).sum()
        + stats.t.logpdf(
            calibration.lift,
            LIFT_DF,
            calibration.implied(unit * effect * exposed),
            calibration.standard_error,
        ).sum()
        + likelihood.weight @ np.log(floor * np.logaddexp(0, hazard / floor))
        - mu * likelihood.days
        - beta @ exposed
        - (np.logaddexp(0, -20 * (1 + fresh)) ** 2).sum()
    )
    # A constant is all that scaling hazards by their mean adds.
    constant = likelihood.total * np.log(likelihood.total / likelihood.days)
    actual = float(model.compile_logp()(point)) + constant
    assert actual == pytest.approx(float(expected), rel=1e-9)


# Lift tests.


def users_of(journeys: mta.Journeys, test: mta.LiftTest | None = None) -> HazardHorizonUsers:
    histories = journeys.histories
    if test is not None:
        histories = population_of(test, histories)
    basis = HalfLifeBasis.from_given(POINT.half_life)
    return HazardHorizonUsers.from_histories(histories, basis, POINT, repeat=False)


def lift_in(users: HazardHorizonUsers) -> Any:
    return lambda code, effect: users.lift(POINT, code, effect)


def calibrated(
    tests: tuple[mta.LiftTest, ...], journeys: mta.Journeys, likelihood: HazardLikelihood
) -> LiftCalibration:
    histories = journeys.histories
    lifts = [lift_in(users_of(journeys, test)) for test in tests]
    future = future_credit(histories, histories.until_first, POINT.half_life)
    return LiftCalibration.from_tests(tests, histories.channels, lifts, likelihood, future)


def test_implied_lift_is_the_ablation_of_every_user(journeys: mta.Journeys) -> None:
    """Users' hazards are as observed, less what the channel causes."""
    likelihood, histories = likelihood_of(journeys), journeys.histories
    users = users_of(journeys)
    credit = 30.0
    caused = credit / likelihood.exposure_at(POINT.half_life)[1]
    converts = without = 0.0
    for user, (first, last) in enumerate(pairwise(histories.offsets.tolist())):
        code, time = histories.codes[first:last], histories.time[first:last]
        grown = 1 - np.exp2(-(histories.end[user] - time) / POINT.half_life[code])
        hazard = POINT.baseline * (histories.end[user] - histories.start[user])
        hazard += (POINT.beta[code] * grown).sum()
        converts += 1 - np.exp(-hazard)
        without += 1 - np.exp(-(hazard - caused * grown[code == 1].sum()))
    expected = (converts - without) * journeys.total / converts
    assert users.lift(POINT, 1, caused) == pytest.approx(expected)


def test_cubics_are_near_the_lifts_in_full(journeys: mta.Journeys) -> None:
    likelihood = likelihood_of(journeys)
    tests = (mta.LiftTest("Search", 50.0, 9.0), mta.LiftTest("Email", -20.0, 9.0, journeys))
    calibration = calibrated(tests, journeys, likelihood)
    lift, per_effect = lift_in(users_of(journeys)), likelihood.conversions_per_effect
    most = float((POINT.beta * likelihood.exposure_at(POINT.half_life))[0])
    for part in (-0.3, 0.0, 0.1, 0.7, 1.0):
        credit = np.full(4, part * most)
        full = [lift(code, part * most / per_effect[code]) for code in (0, 1)]
        np.testing.assert_allclose(calibration.implied(credit), full, atol=0.01 * most)
    assert calibration.error([lift, lift], likelihood, np.full(4, 0.5 * most)) < 0.05
    assert calibration.implied(np.full(4, -0.3 * most)).max() < 0


def test_a_population_of_its_own(journeys: mta.Journeys) -> None:
    """Ten times the users, ten times the lift, though the model is fitted on others."""
    likelihood = likelihood_of(journeys)
    many = journeys.reweighted(journeys.conversions * 10.0, journeys.nulls * 10.0)
    tests = (mta.LiftTest("Search", 50.0, 9.0), mta.LiftTest("Search", 500.0, 90.0, many))
    found = calibrated(tests, journeys, likelihood).implied(np.full(4, 25.0))
    assert found[1] == pytest.approx(10 * found[0])


def test_a_lift_test_must_be_of_a_channel_with_touchpoints(journeys: mta.Journeys) -> None:
    model = mta.BayesianHazard([mta.LiftTest("Pigeon", 1.0, 1.0)], half_life=3)
    with pytest.raises(mta.UnknownChannelError, match="Pigeon"):
        model.fit(journeys)
    with pytest.raises(mta.ParameterError, match="LiftTest objects"):
        mta.BayesianHazard(["Search"]).fit(journeys)
    with pytest.raises(mta.ParameterError, match="n_chains"):
        mta.BayesianHazard(n_chains=1).fit(journeys)


def test_future_touchpoints_show_that_a_channel_is_targeted() -> None:
    """Half the users buy ten times as often and are shown Ads three times as often, to no effect.

    Post is shown to all users equally and works.
    """
    rng = np.random.default_rng(3)
    n, days = 4_000, 60
    eager = rng.random(n) < 0.5
    rate = np.stack([np.where(eager, 0.06, 0.02), np.full(n, 0.04)])
    met = rng.random((days, 2, n)) < rate
    hazard = np.where(eager, 0.004, 0.0004) + np.zeros((days, n))
    adstock = np.zeros(n)
    for day in range(days):
        adstock = adstock * 2 ** (-1 / 3) + met[day, 1]
        hazard[day] += 0.01 * adstock
    buys = rng.random((days, n)) < hazard
    buys &= np.cumsum(buys, axis=0) == 1
    day, code, user = np.nonzero(np.concatenate([met, buys[:, None]], axis=1))
    order = np.lexsort((code, day, user))
    import polars as pl

    events = pl.DataFrame(
        {
            "user": user[order],
            "time": (day + code / 3)[order],
            "channel": pl.Series(["Ads", "Post", None]).gather(code[order]),
            "conversion": (code[order] == 2).astype(np.int8),
        }
    )
    observed = pl.DataFrame({"user": range(n)}).with_columns(
        start=pl.lit(0.0), end=pl.lit(float(days))
    )
    names = {"user": "user", "time": "time", "channel": "channel", "conversion": "conversion"}
    histories = mta.read_events(events, observed=observed, **names).histories
    ads, post = future_credit(histories, histories.until_first, np.array([3.0, 3.0]))
    assert ads > 0.05 * histories.total
    assert post < ads / 10
    cut = mta.read_events(events, **names).histories  # nobody is observed after the last event
    short = np.full(2, 40.0)
    assert future_credit(cut, cut.until_first, short) is None


# From a posterior to credit.


def fitted(journeys: mta.Journeys, draws: HazardDraws, **parameters: Any) -> mta.BayesianHazard:
    """A model with a posterior made by hand."""
    model = mta.BayesianHazard(half_life=3, **parameters)
    model._likelihood, model._calibration = likelihood_of(journeys), None
    model.draws_, model.half_life_, model.repeat_ = draws, draws.mean.half_life[0], False
    model.channels_ = journeys.channels
    return model


def handmade(bias: float, baseline: float = POINT.baseline, n: int = 2) -> HazardDraws:
    """Draws equal to the point fit, of which a part is bias."""
    beta = np.tile(POINT.beta, (n, 1))
    return HazardDraws(
        effect=(1 - bias) * beta,
        bias=bias * beta,
        half_life=np.tile(POINT.half_life, (n, 1)),
        baseline=np.full(n, baseline),
    )


def test_a_posterior_without_bias_is_the_hazard(journeys: mta.Journeys) -> None:
    same = mta.Hazard(half_life=dict(zip(CHANNELS, POINT.half_life.tolist(), strict=True)))
    same.fit(journeys)
    same.beta_, same.baseline_hazard_ = POINT.beta, POINT.baseline
    for counterfactual in ("horizon", "moment"):
        expected = same.set_params(counterfactual=counterfactual).attribute(journeys)
        model = fitted(journeys, handmade(0.0), counterfactual=counterfactual)
        actual = model.attribute(journeys)
        # The mean hazard is floored softly here, which costs a conversion at most.
        np.testing.assert_allclose(actual.credit, expected.credit, rtol=1e-4)
        np.testing.assert_allclose(actual.draws, [actual.credit] * 2)
    np.testing.assert_allclose(
        fitted(journeys, handmade(0.0)).expected_conversions(journeys, 3.0, 20.0),
        same.expected_conversions(journeys, 3.0, 20.0),
    )


def test_bias_belongs_to_the_baseline(journeys: mta.Journeys) -> None:
    moment = fitted(journeys, handmade(0.0), counterfactual="moment").attribute(journeys)
    half = fitted(journeys, handmade(0.5), counterfactual="moment").attribute(journeys)
    np.testing.assert_allclose(half.credit, moment.credit / 2)
    everything = fitted(journeys, handmade(1.0)).attribute(journeys)
    np.testing.assert_allclose(everything.credit, 0)
    assert everything.baseline == pytest.approx(everything.total)


def test_credit_is_the_mean_of_draws_and_every_draw_adds_up(journeys: mta.Journeys) -> None:
    one, other = handmade(0.0, n=1), handmade(0.8, 0.006, n=1)
    both = HazardDraws(**{k: np.concatenate([v, vars(other)[k]]) for k, v in vars(one).items()})
    for of in ("conversions", "value"):
        result = fitted(journeys, both).attribute(journeys, of=of)
        assert result.draws is not None
        np.testing.assert_allclose(result.draws.sum(axis=1) + result.baseline_draws, result.total)
        np.testing.assert_allclose(result.draws.mean(axis=0), result.credit)
        first = fitted(journeys, one).attribute(journeys, of="conversions").credit
        if of == "conversions":
            np.testing.assert_allclose(result.draws[0], first)


@pytest.mark.filterwarnings("ignore::mta_models.errors.ConvergenceWarning")  # of 100 draws
def test_credit_kept_by_draw_is_not_that_of_another_question(journeys: mta.Journeys) -> None:
    """`attribute` needs it twice; another counterfactual or another fit must not be given it."""
    model = fitted(journeys, handmade(0.9), n_draws=100, random_state=1)
    horizon = model.attribute(journeys)
    moment = model.set_params(counterfactual="moment").attribute(journeys)
    assert moment.baseline < horizon.baseline
    model.set_params(counterfactual="horizon").attribute(journeys)
    assert model.fit(journeys).attribute(journeys).credit.sum() > 3 * horizon.credit.sum()


def test_prior_is_wide(journeys: mta.Journeys) -> None:
    def drawn(likelihood: HazardLikelihood, nonnegative: bool, n_draws: int) -> HazardDraws:
        rng = np.random.default_rng(0)
        sampled = sample_prior(likelihood, PRIOR, None, nonnegative, n_draws, rng)
        return hazard_draws(sampled, likelihood)

    unit = likelihood_of(journeys).effect_unit
    wide = drawn(likelihood_of(journeys, learn=True), False, 4_000)
    low, middle, high = np.quantile(wide.effect / unit, [0.05, 0.5, 0.95])
    assert low < -1 < 0 < middle < 1 < high
    assert (np.quantile(wide.half_life, [0.05, 0.95]) - [2.0, 20.0] < [0.0, 10.0]).all()
    assert (drawn(likelihood_of(journeys), True, 100).effect >= 0).all()


# Chains.


@pytest.fixture(scope="module")
def sampled(journeys: mta.Journeys) -> mta.BayesianHazard:
    tests = [mta.LiftTest("Search", -5.0, 20.0)]
    with pytest.warns(mta.IdentifiabilityWarning, match="the same for all users"):
        return mta.BayesianHazard(tests, random_state=1).fit(journeys)


def test_sampled(sampled: mta.BayesianHazard, journeys: mta.Journeys) -> None:
    result = sampled.attribute(journeys)
    assert result.estimand == "incremental:horizon"
    assert sampled.diagnostics_.problem == ""
    assert result.draws is not None
    assert (np.diff(result.interval(0.9)) > 0).all()
    assert sampled.half_life_.shape == (4,)
    assert sampled.prior_ == PRIOR
    assert ((sampled.half_life_ > SHORTEST) & (sampled.half_life_ < LONGEST)).all()
    # A test that found less than nothing pulls the credit of its channel far down.
    assert result.credit[0] < 0.75 * mta.Hazard().fit_attribute(journeys).credit[0]
    assert sampled.lift_error_ < 0.5
    again = pickle.loads(pickle.dumps(sampled)).attribute(journeys)
    np.testing.assert_array_equal(again.draws, result.draws)
    each = sampled.touchpoint_credit(journeys)
    np.testing.assert_allclose(np.bincount(journeys.codes, each, 4), result.credit)


def test_predictions(sampled: mta.BayesianHazard, journeys: mta.Journeys) -> None:
    table = sampled.posterior_predictive(journeys)
    assert table["observed"].sum() == journeys.total
    inside = (table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])
    assert inside.mean() > 0.6
    assert table["mean"].sum() == pytest.approx(journeys.total, rel=0.1)
    before = sampled.prior_predictive(journeys)
    assert (before["upper"] - before["lower"] > table["upper"] - table["lower"]).all()
    expected = sampled.expected_conversions(journeys, 0.0, 40.0)
    assert (expected > 0).all()


@pytest.mark.slow
def test_posteriors_cover_the_true_effects() -> None:
    """80% intervals hold about 80% of the effects that the logs were simulated with, over seeds.

    A day's hazard of 0.03 times an adstock that halves in 3 days is 0.03 / (1 − 2^(−1/3))
    conversions per touchpoint in all.
    """
    truth = np.array([0.03, 0.015, 0.0, 0.005]) / (1 - 2 ** (-1 / 3))
    inside = []
    for seed in range(10):
        model = mta.BayesianHazard(random_state=seed, half_life=3, n_draws=400)
        draws = model.fit(read(log(1_500, seed=seed), 1_500).recode(CHANNELS)).draws_
        low, high = np.quantile(draws.effect, [0.1, 0.9], axis=0)
        inside.append((low <= truth) & (truth <= high))
    # 40 intervals: fewer than 25 or all have a chance of less than 1 in 100 at 80%.
    assert 25 <= np.sum(inside) < 40


@pytest.mark.slow
def test_two_lift_tests_halve_the_error_where_targeting_follows_intent() -> None:
    world = mta.worlds.make("intent", n_users=40_000, strength=1.0, seed=0)
    simulated = world.simulate(lift_tests=("Affiliate", "Search"))
    journeys, truth = simulated.journeys, simulated.truth
    plain = mta.BayesianHazard(random_state=0).fit_attribute(journeys)
    informed = mta.BayesianHazard(simulated.lift_tests, random_state=0).fit_attribute(journeys)
    before = mta.metrics.total_variation(plain, truth)
    assert mta.metrics.total_variation(informed, truth) < before / 2
    width = np.diff(informed.interval(0.9)).mean() / journeys.total
    assert width < 0.25
    true = truth.shapley[[truth.channels.index(each) for each in informed.channels]]
    low, high = informed.interval(0.9).T
    assert ((low <= true) & (true <= high)).mean() >= 0.8
    assert informed.baseline > 2 * plain.baseline


@pytest.mark.parametrize("kind", [mta.BayesianHazard, mta.BayesianLogistic])
def test_conversions_that_no_channel_touched_are_baseline(kind: Any) -> None:
    """Nothing is sampled by Monte Carlo: only the rate is unknown, with the error of a count."""
    import polars as pl

    untouched = read(log().filter(pl.col("conversion") == 1))
    model = kind(random_state=0).fit(untouched)
    result = model.attribute(untouched)
    assert result.channels == ()
    assert result.baseline == untouched.total > 0
    expected = model.expected_conversions(untouched, -5.0, 50.0).sum()
    at_risk = untouched.histories
    rate = untouched.total / at_risk.days(at_risk.until_first)
    assert expected == pytest.approx(rate * at_risk.days(), rel=0.02)


@pytest.mark.parametrize("kind", [mta.BayesianHazard, mta.BayesianLogistic])
def test_repr_and_clone_make_the_same_model(kind: Any) -> None:
    model = kind([mta.LiftTest("Search", 1.0, 2.0)], random_state=1, half_life="3d")
    again = eval(repr(model), {kind.__name__: kind, "LiftTest": mta.LiftTest})
    assert repr(again) == repr(model)
    assert repr(clone(model)) == repr(model)
