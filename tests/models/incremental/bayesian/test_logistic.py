"""The Bayesian logistic: its parts against slow definitions, its posterior on a small log."""

from __future__ import annotations

import pickle
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mta_models as mta
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis
from mta_models.models.incremental.bayesian.lift_likelihood import LIFT_DF, LiftCalibration
from mta_models.models.incremental.bayesian.logistic_data import (
    LogFit,
    LogisticHorizonUsers,
    LogisticLikelihood,
    arrivals,
    orders,
    responses,
)
from mta_models.models.incremental.bayesian.logistic_model import build
from mta_models.models.incremental.bayesian.priors import BiasPrior, prior_from, sample_prior
from tests.contract.test_models_on_timelines import CHANNELS, log, read

HALF_LIFE = np.full(4, 3.0)
PRIOR = prior_from(None, 0.0, float(np.exp(-1)))


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return read(log()).recode(CHANNELS)


def likelihood_of(journeys: mta.Journeys) -> LogisticLikelihood:
    basis, rng = HalfLifeBasis.from_given(HALF_LIFE), np.random.default_rng(0)
    return LogisticLikelihood.from_histories(journeys.histories, basis, HALF_LIFE, "log", rng)


def test_the_point_fit_is_the_regression_on_the_whole_sample(journeys: mta.Journeys) -> None:
    """The point fit is Logistic's, though person-time is binned and each draws times of its own."""
    likelihood = likelihood_of(journeys)
    same = mta.Logistic(
        half_life=3.0, saturation="log", interactions=None, penalty=1e-8, random_state=0
    ).fit(journeys)
    np.testing.assert_allclose(likelihood.point.coef, same.coef_, rtol=0.08)
    assert likelihood.total == journeys.total
    assert len(likelihood.weight) - likelihood.n_cases <= 1 << 12
    assert 0 < likelihood.binning_error < 0.08


def test_density_is_that_of_scipy(journeys: mta.Journeys) -> None:
    likelihood = likelihood_of(journeys)
    calibration = LiftCalibration(
        channel=np.array([0, 2]),
        lift=np.array([-4.0, 2.0]),
        standard_error=np.array([9.0, 5.0]),
        curve=np.array([[0.8, 1e-3, 0.0], [0.9, 0.0, 1e-6]]),
        bias=BiasPrior(
            mean=np.array([20.0, 0.0, 5.0, 1.0]),
            scale=np.array([30.0, 10.0, 8.0, 9.0]),
            slope=(1.0, 0.5),
        ),
    )
    model = build(likelihood, PRIOR, calibration, nonnegative=False)
    observed, own = np.array([0.6, 0.4, 0.1, 0.2]), np.array([0.3, -1.0, 0.5, 0.2])
    slope, bias_spread, common, spread, baseline = 0.8, 0.2, 0.1, 0.4, -0.9
    point = {
        "baseline": baseline,
        "common_effect": common,
        "effect_spread_log__": np.log(spread),
        "bias_slope": slope,
        "bias_spread_log__": np.log(bias_spread),
        "own_bias": own,
        "observed_effect": observed,
    }
    per_effect, n = likelihood.conversions_per_effect, likelihood.n_cases
    bias = slope * calibration.bias.mean + bias_spread * calibration.bias.scale * own
    effect = observed - bias / per_effect
    ratio = np.log(likelihood.total / likelihood.weight[n:].sum())
    p = 1 / (1 + np.exp(-(baseline + ratio + observed @ likelihood.at(HALF_LIFE))))
    tested = (effect * per_effect)[[0, 2]]
    implied = (calibration.curve * tested[:, None] ** [1, 2, 3]).sum(axis=1)
    expected = (
        stats.norm.logpdf(baseline, -1.0, 1.5)
        + stats.norm.logpdf(common, 0.0, 1.0)
        + stats.norm.logpdf(np.log(spread), np.log(0.6), 0.3)
        + stats.norm.logpdf(slope, 1.0, 0.5)
        + stats.halfnorm.logpdf(bias_spread, scale=0.4)
        + np.log(bias_spread)
        + stats.t.logpdf(own, 3).sum()
        + stats.t.logpdf(effect, 4, common, spread).sum()
        + stats.t.logpdf([-4.0, 2.0], LIFT_DF, implied, [9.0, 5.0]).sum()
        + likelihood.weight[:n] @ np.log(p[:n])
        + likelihood.weight[n:] @ np.log(1 - p[n:])
    )
    assert float(model.compile_logp()(point)) == pytest.approx(float(expected), rel=1e-9)


def test_arrivals_in_all_orders_are_shapley_values() -> None:
    rng = np.random.default_rng(0)
    base, effect = rng.random((5, 2)), rng.normal(size=(5, 2, 3))

    def value(hazard: Any) -> Any:
        return -np.expm1(-hazard.sum(axis=1))

    every = np.array(list(permutations(range(3))))
    order = np.repeat(every[:, None], 5, axis=1)
    found = arrivals(base, effect, order, value)
    by_hand = np.zeros((5, 3))
    for each in every.tolist():
        inside: list[int] = []
        for channel in each:
            before = value(base * np.exp(effect[..., inside].sum(axis=2)))
            inside.append(channel)
            by_hand[:, channel] += value(base * np.exp(effect[..., inside].sum(axis=2))) - before
    np.testing.assert_allclose(found, by_hand / 6)
    sampled = arrivals(base, effect, orders(5, 3), value)
    np.testing.assert_allclose(sampled.sum(axis=1), found.sum(axis=1))


def test_sampled_users_stand_for_all(journeys: mta.Journeys) -> None:
    """The game of sampled users against the sum over every half day of every user."""
    histories, fit = journeys.histories, likelihood_of(journeys).point
    rough = np.full(histories.n_users, 0.5)
    basis = HalfLifeBasis.from_given(HALF_LIFE)
    users = LogisticHorizonUsers.from_histories(histories, basis, "log", rough, repeat=False)
    assert users.weight.sum() == pytest.approx(histories.n_users, rel=0.01)
    user = np.repeat(np.arange(histories.n_users), 80)
    time = np.tile(np.arange(80) / 2 + 0.25, histories.n_users)
    response = responses(histories.adstock_at(user, time, HALF_LIFE), "log")

    def conversions(coef: np.ndarray) -> float:
        hazard = np.exp(fit.intercept + response @ coef).reshape(-1, 80).sum(axis=1) / 2
        return float(-np.expm1(-hazard).sum())

    game = users.game(fit)
    assert game.everyone == pytest.approx(conversions(fit.coef), rel=0.03)
    assert game.nobody == pytest.approx(conversions(np.zeros(4)), rel=0.03)
    assert game.shapley.sum() == pytest.approx(game.everyone - game.nobody)
    without = conversions(fit.coef * [0, 1, 1, 1])
    assert game.removal[0] == pytest.approx(conversions(fit.coef) - without, rel=0.1)
    # The lift of a channel that causes all it seems to is its ablation.
    lift = users.lift(fit, 0, float(fit.coef[0]))
    assert lift == pytest.approx(game.removal[0] * journeys.total / game.everyone)
    # The bias remains without any touchpoint.
    biased = LogFit(np.zeros(4), fit.coef, fit.intercept, HALF_LIFE)
    assert users.game(biased).nobody == pytest.approx(game.everyone)


def test_prior_and_parameters(journeys: mta.Journeys) -> None:
    likelihood, rng = likelihood_of(journeys), np.random.default_rng(0)
    effect = sample_prior(likelihood, PRIOR, None, False, 2_000, rng)["effect"]
    assert np.abs(np.median(effect)) < 0.1
    assert np.quantile(effect, 0.95) > 1
    assert (sample_prior(likelihood, PRIOR, None, True, 50, rng)["effect"] >= 0).all()
    with pytest.raises(mta.ParameterError, match="saturation"):
        mta.BayesianLogistic(saturation="ratio").fit(journeys)
    with pytest.raises(mta.UnknownChannelError, match="Pigeon"):
        mta.BayesianLogistic([mta.LiftTest("Pigeon", 1.0, 1.0)], half_life=3).fit(journeys)


def test_sampled(journeys: mta.Journeys) -> None:
    tests = [mta.LiftTest("Search", -5.0, 20.0)]
    with pytest.warns(mta.IdentifiabilityWarning, match="the same for all users"):
        model = mta.BayesianLogistic(tests, random_state=1, half_life=3).fit(journeys)
    result = model.attribute(journeys)
    assert result.estimand == "incremental:horizon"
    assert model.diagnostics_.problem == ""
    assert result.draws is not None
    np.testing.assert_allclose(result.draws.mean(axis=0), result.credit)
    plain = mta.Logistic(half_life=3, saturation="log", interactions=None).fit_attribute(journeys)
    assert result.credit[0] < 0.75 * plain.credit[0]
    again = pickle.loads(pickle.dumps(model)).attribute(journeys)
    np.testing.assert_array_equal(again.draws, result.draws)
    each = model.touchpoint_credit(journeys)
    np.testing.assert_allclose(np.bincount(journeys.codes, each, 4), result.credit)
    table = model.posterior_predictive(journeys)
    inside = (table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])
    assert inside.mean() > 0.6
    before = model.prior_predictive(journeys)
    assert (before["upper"] - before["lower"] > table["upper"] - table["lower"]).all()
    assert (model.expected_conversions(journeys, 0.0, 40.0) > 0).all()
