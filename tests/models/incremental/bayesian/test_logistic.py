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
from mta_models.models.incremental.bayesian.lift_likelihood import LIFT_DF, Calibration
from mta_models.models.incremental.bayesian.logistic_data import (
    LogFit,
    LogisticEvidence,
    Paths,
    arrivals,
    orders,
    responses,
)
from mta_models.models.incremental.bayesian.logistic_model import PRIOR, build, prior_draws
from mta_models.models.incremental.bayesian.priors import BIAS_DF
from tests.contract.test_models_on_timelines import CHANNELS, log, read

HALF_LIFE = np.full(4, 3.0)


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return read(log()).recode(CHANNELS)


def evidence_of(journeys: mta.Journeys) -> LogisticEvidence:
    rng = np.random.default_rng(0)
    return LogisticEvidence.of(
        journeys.histories, HalfLifeBasis.at(HALF_LIFE), HALF_LIFE, "log", rng
    )


def test_likeliest_is_the_regression_on_all_moments(journeys: mta.Journeys) -> None:
    """The likeliest hazard is Logistic's, within a twentieth though moments are taken together."""
    evidence = evidence_of(journeys)
    same = mta.Logistic(
        half_life=3.0, saturation="log", interactions=None, penalty=1e-8, random_state=0
    ).fit(journeys)
    found = evidence.likeliest()
    np.testing.assert_allclose(found.coef, same.coef_, rtol=0.05)
    assert evidence.total == journeys.total
    assert len(evidence.weight) - evidence.n_cases <= 1 << 12
    assert 0 < evidence.binning_error < 0.08


def test_density_is_that_of_scipy(journeys: mta.Journeys) -> None:
    evidence = evidence_of(journeys)
    calibration = Calibration(
        channel=np.array([0, 2]),
        lift=np.array([-4.0, 2.0]),
        standard_error=np.array([9.0, 5.0]),
        curve=np.array([[0.8, 1e-3, 0.0], [0.9, 0.0, 1e-6]]),
        suspect=np.array([20.0, 0.0, 5.0, 1.0]),
        doubt=np.array([30.0, 10.0, 8.0, 9.0]),
        slope=(1.0, 0.5),
    )
    model = build(evidence, calibration, nonnegative=False)
    together, own = np.array([0.6, 0.4, 0.1, 0.2]), np.array([0.3, -1.0, 0.5, 0.2])
    slope, apart, pooled, spread, level = 0.8, 0.2, 0.1, 0.4, -0.9
    point = {
        "baseline": level,
        "pooled": pooled,
        "spread_log__": np.log(spread),
        "slope": slope,
        "doubt_log__": np.log(apart),
        "own_bias": own,
        "together": together,
    }
    carried, n = evidence.carried, evidence.n_cases
    effect = together - (slope * calibration.suspect + apart * calibration.doubt * own) / carried
    ratio = np.log(evidence.total / evidence.weight[n:].sum())
    p = 1 / (1 + np.exp(-(level + ratio + together @ evidence.at(HALF_LIFE))))
    tested = (effect * carried)[[0, 2]]
    implied = (calibration.curve * tested[:, None] ** [1, 2, 3]).sum(axis=1)
    expected = (
        stats.norm.logpdf(level, *PRIOR.baseline)
        + stats.norm.logpdf(pooled, *PRIOR.pooled)
        + stats.norm.logpdf(np.log(spread), *PRIOR.spread)
        + stats.norm.logpdf(slope, 1.0, 0.5)
        + stats.halfnorm.logpdf(apart, scale=PRIOR.bias)
        + np.log(apart)
        + stats.t.logpdf(own, BIAS_DF).sum()
        + stats.t.logpdf(effect, PRIOR.df, pooled, spread).sum()
        + stats.t.logpdf([-4.0, 2.0], LIFT_DF, implied, [9.0, 5.0]).sum()
        + evidence.weight[:n] @ np.log(p[:n])
        + evidence.weight[n:] @ np.log(1 - p[n:])
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
    """The game of sampled users against the integral over every user's every half day."""
    histories, fit = journeys.histories, evidence_of(journeys).likeliest()
    rough = np.full(histories.n_users, 0.5)
    paths = Paths.of(histories, HalfLifeBasis.at(HALF_LIFE), "log", rough, repeat=False)
    assert paths.weight.sum() == pytest.approx(histories.n_users, rel=0.01)
    user = np.repeat(np.arange(histories.n_users), 80)
    time = np.tile(np.arange(80) / 2 + 0.25, histories.n_users)
    response = responses(histories.adstock_at(user, time, HALF_LIFE), "log")

    def conversions(coef: np.ndarray) -> float:
        hazard = np.exp(fit.intercept + response @ coef).reshape(-1, 80).sum(axis=1) / 2
        return float(-np.expm1(-hazard).sum())

    game = paths.game(fit)
    assert game.everyone == pytest.approx(conversions(fit.coef), rel=0.03)
    assert game.nobody == pytest.approx(conversions(np.zeros(4)), rel=0.03)
    assert game.shapley.sum() == pytest.approx(game.everyone - game.nobody)
    without = conversions(fit.coef * [0, 1, 1, 1])
    assert game.removal[0] == pytest.approx(conversions(fit.coef) - without, rel=0.1)
    # The lift of a channel that causes all it seems to is its ablation.
    lift = paths.lift(fit, 0, float(fit.coef[0]))
    assert lift == pytest.approx(game.removal[0] * journeys.total / game.everyone)
    # What is bias is there with nobody's touchpoints.
    biased = LogFit(np.zeros(4), fit.coef, fit.intercept, HALF_LIFE)
    assert paths.game(biased).nobody == pytest.approx(game.everyone)


def test_prior_and_parameters(journeys: mta.Journeys) -> None:
    rng = np.random.default_rng(0)
    drawn = prior_draws(evidence_of(journeys), None, False, 2_000, rng)
    assert np.abs(np.median(drawn.effect)) < 0.1
    assert np.quantile(drawn.effect, 0.95) > 1
    assert (prior_draws(evidence_of(journeys), None, True, 50, rng).effect >= 0).all()
    with pytest.raises(mta.ParameterError, match="saturation"):
        mta.BayesianLogistic(saturation="ratio").fit(journeys)
    with pytest.raises(mta.UnknownChannelError, match="Pigeon"):
        mta.BayesianLogistic([mta.LiftTest("Pigeon", 1.0, 1.0)], half_life=3).fit(journeys)


def test_sampled(journeys: mta.Journeys) -> None:
    tests = [mta.LiftTest("Search", -5.0, 20.0)]
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
