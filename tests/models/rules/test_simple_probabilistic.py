"""The simple probabilistic model against its published definition, in plain loops."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta

NAMES = ("A", "B", "C", "D")

rows = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), max_size=6), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=8,
).filter(lambda table: any(c for _, c, _ in table))


def journeys_of(table, channels=NAMES, value=None) -> mta.Journeys:
    paths, conversions, nulls = zip(*table, strict=True)
    return mta.Journeys.from_paths(paths, conversions, nulls, value, channels=channels)


def quiet_fit(journeys) -> mta.SimpleProbabilistic:
    """Fit without the warning of pairs that nobody met."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        return mta.SimpleProbabilistic().fit(journeys)


def slow(table) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """C(i) of Shao & Li (2011), equation by equation, and the pairs nobody met."""

    def rate(*names) -> float:
        met = [(c, n) for path, c, n in table if set(names) <= set(path)]
        users = sum(c + n for c, n in met)
        return sum(c for c, _ in met) / users if users else math.nan

    known = [name for name in NAMES if not math.isnan(rate(name))]
    score = dict.fromkeys(NAMES, math.nan)
    for i in known:
        gains = [rate(i, j) - rate(i) - rate(j) for j in known if j != i]
        gains = [gain for gain in gains if not math.isnan(gain)]
        score[i] = rate(i) + (sum(gains) / (2 * (len(known) - 1)) if gains else 0)
    return score, [pair for pair in combinations(known, 2) if math.isnan(rate(*pair))]


@given(rows)
@settings(max_examples=60, deadline=None)
def test_equals_the_definition(table):
    journeys = journeys_of(table)
    model = quiet_fit(journeys)
    score, unseen = slow(table)
    np.testing.assert_allclose(model.score_, list(score.values()), atol=1e-12)
    assert model.unseen_pairs_ == unseen
    credit, booked = dict.fromkeys(NAMES, 0.0), []
    for path, conversions, _ in table:
        weight = {name: max(score[name], 0) if score[name] > 1e-12 else 0 for name in set(path)}
        if not any(weight.values()):
            weight = dict.fromkeys(weight, 1.0)
        part = {name: conversions * each / sum(weight.values()) for name, each in weight.items()}
        for k, name in enumerate(path):
            booked.append(part[name] if name not in path[:k] else 0.0)
        for name, each in part.items():
            credit[name] += each
    result = model.attribute(journeys)
    np.testing.assert_allclose(result.credit, list(credit.values()), atol=1e-9)
    np.testing.assert_allclose(model.touchpoint_credit(journeys), booked, atol=1e-9)
    assert result.baseline == sum(c for path, c, _ in table if not path)
    assert result.estimand == "rule"


def test_two_channels_by_hand():
    # A 10/90, B 20/80, AB 50/50: P(A) = 60/200, P(B) = 70/200, P(AB) = .5, so
    # C(A) = .3 + (.5 − .65) / 2 = .225 and C(B) = .35 + (.5 − .65) / 2 = .275.
    journeys = journeys_of(
        [(["A"], 10, 90), (["B"], 20, 80), (["A", "B"], 50, 50)], channels=("A", "B")
    )
    model = mta.SimpleProbabilistic().fit(journeys)
    np.testing.assert_allclose(model.score_, [0.225, 0.275])
    assert model.unseen_pairs_ == []
    # 50 · .225 / .5 = 22.5 and 27.5 of the journeys through both.
    np.testing.assert_allclose(model.attribute(journeys).credit, [32.5, 47.5])


def test_a_pair_nobody_met_is_reported():
    journeys = journeys_of([(["A", "B"], 1, 3), (["B", "C"], 1, 1), (["C"], 1, 4), (["D"], 0, 0)])
    with pytest.warns(mta.IdentifiabilityWarning, match=r"1 of 3 pairs were not .*A and C"):
        model = mta.SimpleProbabilistic().fit(journeys)
    assert model.unseen_pairs_ == [("A", "C")]
    assert np.isnan(model.score_[3])


def test_equal_parts_where_no_score_is_positive():
    # P(A) = P(B) = .5 and P(AB) = 0: C = .5 + (0 − 1) / 2 = 0 for both.
    fitted = journeys_of([(["A"], 2, 0), (["B"], 2, 0), (["A", "B"], 0, 2)])
    model = quiet_fit(fitted)
    np.testing.assert_allclose(model.score_[:2], 0)
    result = model.attribute(journeys_of([(["A", "B", "A"], 6, 0), (["A", "D"], 2, 0)]))
    np.testing.assert_allclose(result.credit, [4, 3, 0, 1])


def test_value_and_narrow_types():
    journeys = mta.Journeys.from_arrays(
        ["A", "B"],
        np.array([0, 1, 0, 1], dtype=np.uint64),
        [0, 1, 2, 4],
        np.array([100, 100, 100], dtype=np.int8),
        np.array([100, 100, 100], dtype=np.int8),
        value=[10.0, -20.0, 30.0],
    )
    result = mta.SimpleProbabilistic().fit_attribute(journeys, of="value")
    # P = .5 throughout: C = .25 for both, so the pair's 30 is halved.
    np.testing.assert_allclose(result.credit, [25, -5])


def test_without_nulls_it_warns():
    journeys = journeys_of([(["A", "B"], 1, 0), (["A"], 2, 0)], channels=("A", "B"))
    with pytest.warns(mta.IdentifiabilityWarning, match="should be users without a conversion"):
        mta.SimpleProbabilistic().fit(journeys)


def test_renaming_and_unused_channels_change_nothing():
    table = [(["A"], 1, 9), (["B"], 2, 8), (["A", "B"], 5, 5)]
    two = mta.SimpleProbabilistic().fit(journeys_of(table, channels=("A", "B")))
    four = mta.SimpleProbabilistic().fit(journeys_of(table, channels=("D", "B", "C", "A")))
    np.testing.assert_allclose(four.score_[[3, 1]], two.score_)


def test_many_channels_and_no_touchpoint():
    rng = np.random.default_rng(0)
    names = [f"channel {i}" for i in range(500)]
    journeys = mta.Journeys.from_arrays(
        names, rng.integers(0, 500, 8000), np.arange(0, 8001, 4), np.ones(2000), np.ones(2000)
    )
    assert quiet_fit(journeys).attribute(journeys).credit.sum() == pytest.approx(2000)
    empty = journeys_of([([], 3, 1)])
    result = mta.SimpleProbabilistic().fit_attribute(empty)
    np.testing.assert_array_equal([*result.credit, result.baseline], [0, 0, 0, 0, 3])


def test_bootstrap_scores_every_draw_anew():
    # Only the pair converts, so a share moves between draws only as the scores do.
    journeys = journeys_of(
        [(["A"], 0, 90), (["B"], 0, 40), (["A", "B"], 50, 50)], channels=("A", "B")
    )
    drawn = mta.bootstrap(mta.SimpleProbabilistic(), journeys, n_draws=50, random_state=0)
    share = drawn.draws[:, 0] / drawn.draws.sum(axis=1)
    assert share.std() > 1e-4
    assert share.min() < drawn.share[0] < share.max()
