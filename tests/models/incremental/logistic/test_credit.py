"""Credit of a fitted hazard against loops over coalitions; SHAP; the regression on counts."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import mta_models as mta
from mta_models.data.histories import Histories
from mta_models.models.base import clone
from mta_models.models.incremental.logistic.features import pairs_of, plain_responses
from mta_models.models.incremental.logistic.hazard_games import (
    CoalitionHazard,
    horizon_game,
    moment_game,
)
from mta_models.models.incremental.logistic.learners import LogHazard

CHANNELS = ("A", "B", "C", "D")


def some_journeys(channels: tuple[str, ...] = CHANNELS, n: int = 60, most: int = 6) -> mta.Journeys:
    rng = np.random.default_rng(7)
    sizes = rng.integers(0, most, n)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    at_risk = rng.uniform(5, 30, n)
    age = rng.uniform(0, 1, offsets[-1]) * np.repeat(at_risk, sizes)
    age = age[np.lexsort((-age, np.repeat(np.arange(n), sizes)))]
    return mta.Journeys.from_arrays(
        channels, rng.integers(0, len(channels), offsets[-1]), offsets, rng.integers(0, 3, n),
        rng.integers(0, 4, n), np.zeros(n), age=age, at_risk=at_risk,
    )  # fmt: skip


def model_of(histories: Histories, pairs: bool, saturation: str | None = "log") -> CoalitionHazard:
    """A log-linear hazard with random coefficients."""
    k = histories.n_channels
    plain = plain_responses(histories, None, None)
    crossed = pairs_of("all" if pairs else None, histories.channels)
    responses = type(plain)(plain.channels, saturation, crossed, None, None, plain.span)
    rng = np.random.default_rng(3)
    coef = np.concatenate([rng.normal(0.4, 0.4, k), rng.normal(-0.2, 0.2, len(crossed))])
    log_hazard = LogHazard((), (), np.ones(len(coef)), 0.0, coef, math.log(0.02))
    return CoalitionHazard(log_hazard, responses, np.linspace(2, 6, k))


def hazard_at(
    model: CoalitionHazard, histories: Histories, user: int, time: float, kept: set[int]
) -> float:
    """λ of one user at one time with the touchpoints of some channels, touchpoint by touchpoint.

    Touchpoints at that very time count.
    """
    k = histories.n_channels
    adstock = [0.0] * k
    for at in range(histories.offsets[user], histories.offsets[user + 1]):
        code = int(histories.codes[at])
        if histories.time[at] <= time and code in kept:
            adstock[code] += 2 ** ((histories.time[at] - time) / model.half_life[code])
    grow = {None: lambda a: a, "log": math.log1p, "ratio": lambda a: a / (1 + a)}
    columns = [grow[model.responses.saturation](a) for a in adstock]
    columns += [columns[a] * columns[b] for a, b in model.responses.pairs]
    return math.exp(model.log_hazard.intercept + float(np.dot(model.log_hazard.coef, columns)))


def shapley(value: Callable[[set[int]], float], players: list[int], k: int) -> np.ndarray:
    """The mean gain over all orders."""
    found = np.zeros(k)
    orders = list(itertools.permutations(players))
    for order in orders:
        inside: set[int] = set()
        for player in order:
            found[player] += (value(inside | {player}) - value(inside)) / len(orders)
            inside = inside | {player}
    return found


@pytest.mark.parametrize("saturation", [None, "log", "ratio"])
@pytest.mark.parametrize("pairs", [False, True])
def test_moment_credit_is_the_shapley_value_of_the_hazard(
    pairs: bool, saturation: str | None
) -> None:
    histories = some_journeys().histories
    model = model_of(histories, pairs, saturation)
    parts, removal, nobody = moment_game(model, histories, np.random.default_rng(0))
    for event in range(histories.n_events):
        user = int(histories.event_user[event])
        own = sorted(set(histories.codes[slice(*histories.offsets[user : user + 2])].tolist()))

        def value(kept: set[int], user: int = user) -> float:
            return hazard_at(model, histories, user, 0.0, kept)

        whole = value(set(own))
        np.testing.assert_allclose(parts[event], shapley(value, own, 4) / whole, atol=1e-12)
        assert nobody[event] == pytest.approx(value(set()) / whole)
        for channel in own:
            lost = 1 - value(set(own) - {channel}) / whole
            assert removal[event, channel] == pytest.approx(lost)
    np.testing.assert_allclose(parts.sum(axis=1), 1 - nobody)


@pytest.mark.parametrize("pairs", [False, True])
def test_horizon_credit_is_the_shapley_value_of_who_converts(pairs: bool) -> None:
    """Against the same integral on a fine grid; pieces are drawn, with many copies of each user."""
    journeys = some_journeys(n=6)
    histories = journeys.histories
    model = model_of(histories, pairs)
    games = [horizon_game(model, histories, np.random.default_rng(seed))[0] for seed in range(60)]
    expected, nobody = np.zeros(4), 0.0
    for user in range(histories.n_users):
        own = sorted(set(histories.codes[slice(*histories.offsets[user : user + 2])].tolist()))
        grid = np.linspace(histories.start[user], histories.end[user], 401)
        grid = (grid[1:] + grid[:-1]) / 2
        step = (histories.end[user] - histories.start[user]) / 400

        def value(
            kept: set[int], user: int = user, grid: np.ndarray = grid, step: float = step
        ) -> float:
            each = [hazard_at(model, histories, user, time, kept) for time in grid.tolist()]
            return 1 - math.exp(-sum(each) * step)

        table = {
            frozenset(some): value(set(some))
            for size in range(len(own) + 1)
            for some in itertools.combinations(own, size)
        }
        weight = histories.weight[user]
        expected += weight * shapley(lambda kept, t=table: t[frozenset(kept)], own, 4)
        nobody += weight * table[frozenset()]
    np.testing.assert_allclose(
        np.mean([game.shapley for game in games], axis=0), expected, atol=0.02 * expected.sum()
    )
    for game in games:
        assert game.nobody == pytest.approx(nobody)
        assert game.shapley.sum() == pytest.approx(game.everyone - game.nobody)


def test_a_table_by_doubling_is_a_table_by_predicting() -> None:
    """The faster way for a linear log hazard, against one prediction for each coalition."""
    histories = some_journeys().histories
    model = model_of(histories, pairs=True)
    columns, adstock = model.columns_at_conversions(histories)
    rows = np.flatnonzero((adstock > 0).sum(axis=1) == 3)
    own = np.nonzero(adstock[rows] > 0)[1].reshape(-1, 3)
    quick = model.table(columns[rows], own)
    for coalition in range(8):
        keep = np.zeros((len(rows), 4), dtype=bool)
        for j in range(3):
            keep[np.arange(len(rows)), own[:, j]] = bool(coalition >> j & 1)
        np.testing.assert_allclose(quick[coalition], model.kept(columns[rows], keep))


def test_many_channels_are_sampled_and_still_add_up() -> None:
    names = tuple("ABCDEFGHIJKLMN")
    histories = some_journeys(names, 30, 60).histories
    model = model_of(histories, pairs=False)
    columns, adstock = model.columns_at_conversions(histories)
    rows = np.flatnonzero((adstock > 0).sum(axis=1) == 14)
    assert len(rows) > 3
    own = np.tile(np.arange(14), (len(rows), 1))
    rng = np.random.default_rng(0)
    one = np.ones((len(rows), 1))
    solved = model.solve(columns[rows][:, None], one, own, once=True, rng=rng)
    np.testing.assert_allclose(solved.shapley.sum(axis=1), solved.everyone - solved.nobody)
    from mta_models.core.coalitions import shapley_of_table

    value = -np.expm1(-model.table(columns[rows], own).T)
    exact = shapley_of_table(value)
    scale = np.abs(exact).sum(axis=1).mean()
    np.testing.assert_allclose(solved.shapley, exact, atol=0.05 * scale)
    full = (1 << 14) - 1
    lost = value[:, [full]] - value[:, full ^ (1 << np.arange(14))]
    np.testing.assert_allclose(solved.removal, lost)


def test_backward_takes_touchpoints_away_from_the_last() -> None:
    journeys = some_journeys(n=25)
    days = dict(zip(journeys.channels, (2, 3, 4, 5), strict=True))
    fitted = mta.Logistic(half_life=days, counterfactual="backward", penalty=0.01)
    fitted.fit(journeys)
    histories = journeys.histories
    model = fitted._hazard
    credit = np.zeros(len(histories.time))
    for event in range(histories.n_events):
        user = int(histories.event_user[event])
        first, stop = int(histories.offsets[user]), int(histories.event_stop[event])

        def value(upto: int, user: int = user, first: int = first) -> float:
            some = histories.time.copy()
            some[upto:] = np.inf
            cut = replace(histories, time=some)
            return hazard_at(model, cut, user, 0.0, {0, 1, 2, 3})

        whole = value(stop)
        for at in range(first, stop):
            gain = (value(at + 1) - value(at)) / whole
            credit[at] += gain * histories.event_weight[event]
    ours = fitted.touchpoint_credit(journeys)
    np.testing.assert_allclose(
        ours, np.bincount(histories.touchpoint, credit, journeys.n_touchpoints), atol=1e-9
    )
    by_channel = np.bincount(journeys.codes, ours, 4)
    np.testing.assert_allclose(by_channel, fitted.attribute(journeys).credit)
    assert fitted.estimand == "incremental:backward"


def test_removal_shares_out_what_is_lost() -> None:
    journeys = some_journeys()
    for kind in ("horizon", "moment"):
        split = mta.Logistic(half_life=3, penalty=0.1, split="removal", counterfactual=kind)
        result = split.fit_attribute(journeys)
        plain = mta.Logistic(half_life=3, penalty=0.1, counterfactual=kind)
        other = plain.fit_attribute(journeys)
        assert result.baseline == pytest.approx(other.baseline)
        assert result.estimand == f"incremental:{kind}:removal"
        if kind == "horizon":
            np.testing.assert_allclose(split.removal_, plain.removal_)
            share = split.removal_ / split.removal_.sum()
            np.testing.assert_allclose(result.share, share)


def test_a_sample_of_users_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys = some_journeys(n=6000)
    model = mta.Logistic(half_life=3, penalty=0.1).fit(journeys)
    whole = model.attribute(journeys)
    assert not model.standard_error_.any()
    monkeypatch.setattr("mta_models.models.incremental.logistic.hazard_games._BUDGET", 400_000)
    some = model.attribute(journeys)
    assert model.standard_error_.all()
    assert (np.abs(some.credit - whole.credit) < 4 * model.standard_error_).all()
    assert model.standard_error_.max() < 0.05 * whole.total


@pytest.mark.parametrize("interactions", [None, "all"])
def test_shap_values_reconcile_with_moment_credit(interactions: str | None) -> None:
    journeys = some_journeys()
    model = mta.Logistic(
        half_life=3, penalty=0.1, interactions=interactions, counterfactual="moment"
    ).fit(journeys)
    found = model.explain(journeys)
    histories = journeys.histories
    columns, adstock = model._hazard.columns_at_conversions(histories)
    np.testing.assert_allclose(found.values, columns * model.coef_, atol=1e-12)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, found.log_hazard)
    parts = model._parts(histories)
    np.testing.assert_allclose(found.parts.sum(axis=1), parts.sum(axis=1), atol=1e-12)
    single = (adstock > 0).sum(axis=1) == 1
    assert single.any()
    np.testing.assert_allclose(found.parts[single], parts[single], atol=1e-12)
    credit = histories.event_weight @ found.parts
    assert credit.sum() == pytest.approx(model.attribute(journeys).credit.sum())
    frame = found.to_frame()
    assert list(frame.columns) == list(model.features_)
    assert frame.index.tolist() == np.flatnonzero(journeys.conversions).tolist()


def test_shap_values_of_boosted_trees_reconcile_too() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.naive_bayes import GaussianNB

    journeys = some_journeys(n=150)
    trees = HistGradientBoostingClassifier(max_iter=15, max_depth=2)
    model = mta.Logistic(
        half_life=3, learner=trees, interactions=None, counterfactual="moment"
    ).fit(journeys)
    found = model.explain(journeys)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, found.log_hazard, atol=1e-6)
    parts = model._parts(journeys.histories)
    np.testing.assert_allclose(found.parts.sum(axis=1), parts.sum(axis=1), atol=1e-6)
    bayes = mta.Logistic(half_life=3, learner=GaussianNB()).fit(journeys)
    with pytest.raises(mta.ParameterError, match="exact for logistic regression and for gradient"):
        bayes.explain(journeys)


def test_counting_makes_what_works_look_harmful() -> None:
    """A world in which every effect is positive or 0: counts make them negative."""
    simulation = mta.worlds.make("randomised", n_users=4000, seed=0).simulate()
    journeys = simulation.journeys
    with pytest.warns(mta.IdentifiabilityWarning, match="a conversion ends it"):
        counted = mta.LogisticCounts().fit_attribute(journeys)
    timed = mta.Logistic(counterfactual="moment").fit_attribute(journeys)
    assert counted.credit.sum() < 0
    assert counted.baseline > counted.total
    assert timed.credit.sum() > 0.3 * timed.total
    assert timed.baseline < 0.7 * timed.total


def test_counts_are_scikit_learns_regression_on_rows() -> None:
    from sklearn.linear_model import LogisticRegression

    journeys = some_journeys()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        model = mta.LogisticCounts(penalty=1e-9).fit(journeys)
        again = clone(model).fit(journeys)
    counts = np.zeros((journeys.n_journeys, 4))
    for row in range(journeys.n_journeys):
        for code in journeys.codes[slice(*journeys.offsets[row : row + 2])]:
            counts[row, code] += 1
    rows = np.vstack([counts, counts])
    weight = np.concatenate([journeys.conversions, journeys.nulls])
    plain = LogisticRegression(C=1e9, tol=1e-12, max_iter=10_000)
    plain.fit(rows, np.arange(len(rows)) < len(counts), sample_weight=weight)
    np.testing.assert_allclose(model.coef_, plain.coef_[0], atol=1e-4)
    chance = model.predict_proba(journeys)
    np.testing.assert_allclose(chance, plain.predict_proba(counts)[:, 1], atol=1e-4)
    np.testing.assert_array_equal(again.coef_, model.coef_)


def test_counts_refuse_what_cannot_be_regressed() -> None:
    converted = mta.Journeys.from_paths([["A"], []], [1, 2])
    with pytest.raises(mta.JourneyError, match="journeys without a conversion"):
        mta.LogisticCounts().fit(converted)
    with pytest.raises(mta.ParameterError, match="`penalty` must be a number above 0"):
        mta.LogisticCounts(penalty=-1).fit(converted)


def test_counts_of_many_channels_are_sampled() -> None:
    journeys = some_journeys(tuple("ABCDEFGHIJKLMN"), 40, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        result = mta.LogisticCounts(penalty=0.1).fit_attribute(journeys)
        assert result.credit.sum() + result.baseline == pytest.approx(journeys.total)
        # Channels numbered from the other end, as other names would: the same orders are sampled.
        renamed = mta.Journeys.from_arrays(
            journeys.channels[::-1],
            13 - journeys.codes.astype(np.int64),
            journeys.offsets,
            journeys.conversions,
            journeys.nulls,
        )
        other = mta.LogisticCounts(penalty=0.1).fit_attribute(renamed)
    np.testing.assert_allclose(other.credit[::-1], result.credit, rtol=1e-9)


@pytest.mark.slow
def test_recovers_the_truth_of_randomised_exposure() -> None:
    """Seed 0: share error .014, baseline 5% high (seeds 0 to 2: .014 to .057, 5 to 10%)."""
    simulation = mta.worlds.make("randomised", n_users=20_000, seed=0).simulate()
    result = mta.Logistic().fit_attribute(simulation.journeys)
    assert mta.metrics.total_variation(result, simulation.truth) < 0.06
    assert result.baseline == pytest.approx(simulation.truth.baseline, rel=0.15)


@pytest.mark.slow
def test_a_covariate_of_intent_brings_credit_nearer_to_the_truth() -> None:
    simulation = mta.worlds.make("intent", n_users=20_000, seed=0).simulate()
    known = simulation.observed.select("user", "engagement")
    errors = [
        mta.metrics.total_variation(
            mta.Logistic(covariates=each).fit_attribute(simulation.journeys), simulation.truth
        )
        for each in (None, known)
    ]
    assert errors[1] < errors[0] - 0.02
