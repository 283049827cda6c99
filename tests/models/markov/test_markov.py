"""Markov chains against a slow chain of dictionaries, published numbers and their invariants."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.models.markov import chain as chain_module
from mta_models.models.markov import transitions
from mta_models.models.markov.chain import make_chain
from mta_models.models.markov.transitions import Steps, count_transitions

NAMES = ("A", "B", "C")

rows = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), max_size=6),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
).filter(lambda table: any(c for _, c, _ in table) and any(n for _, _, n in table))


def journeys_of(table: list[tuple[list[str], int, int]]) -> mta.Journeys:
    paths, conversions, nulls = zip(*table, strict=True)
    return mta.Journeys.from_paths(paths, conversions, nulls, channels=NAMES)


def slow_removal(table: list[tuple[list[str], int, int]], order: int) -> tuple[float, list[float]]:
    """The definition, by dictionaries and a dense solve for each channel removed."""
    count: dict[tuple, dict[object, float]] = defaultdict(lambda: defaultdict(float))
    for path, conversions, nulls in table:
        state: tuple = ()
        for name in path:
            entered = (*state, name)[-order:]
            count[state][entered] += conversions + nulls
            state = entered
        count[state]["conversion"] += conversions
        count[state]["null"] += nulls
    states = [s for s, out in count.items() if sum(out.values())]

    def probability(removed: str | None) -> float:
        a, b = np.eye(len(states)), np.zeros(len(states))
        for i, state in enumerate(states):
            for into, weight in count[state].items():
                p = weight / sum(count[state].values())
                if into == "conversion":
                    b[i] += p
                elif into != "null" and p and into[-1] != removed:
                    a[i, states.index(into)] -= p
        return float(np.linalg.solve(a, b)[states.index(())])

    whole = probability(None)
    return whole, [1 - probability(name) / whole for name in NAMES]


@settings(deadline=None, max_examples=60)
@given(table=rows, order=st.integers(1, 4))
def test_removal_effects_are_those_of_the_definition(table, order):
    model = mta.Markov(order=order).fit(journeys_of(table))
    whole, effects = slow_removal(table, order)
    np.testing.assert_allclose(model.conversion_probability_, whole, rtol=1e-9)
    np.testing.assert_allclose(model.removal_effect_, effects, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(table=rows, order=st.integers(1, 4))
def test_the_chain_reproduces_the_conversion_rate_at_every_order(table, order):
    journeys = journeys_of(table)
    model = mta.Markov(order=order).fit(journeys)
    rate = journeys.total / (journeys.total + journeys.nulls.sum())
    np.testing.assert_allclose(model.conversion_probability_, rate, rtol=1e-9)
    sums = np.asarray(model.transition_matrix_.sum(axis=1))
    np.testing.assert_allclose(sums, 1, rtol=1e-12)
    assert model.transition_matrix_.shape == (len(model.states_),) * 2


@settings(deadline=None, max_examples=40)
@given(table=rows)
def test_from_the_longest_path_on_a_removal_effect_is_participation(table):
    longest = max(1, *(len(path) for path, _, _ in table))
    conversions = sum(c for _, c, _ in table)
    through = [sum(c for path, c, _ in table if name in path) / conversions for name in NAMES]
    journeys = journeys_of(table)
    for model in (mta.Markov(order=longest), mta.Markov(removal="fail")):
        np.testing.assert_allclose(model.fit(journeys).removal_effect_, through, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(table=rows)
def test_repeats_in_a_row_do_not_change_order_one(table):
    journeys = journeys_of(table)
    plain, collapsed = (mta.Markov().fit(j) for j in (journeys, journeys.transform("exposure")))
    np.testing.assert_allclose(plain.removal_effect_, collapsed.removal_effect_, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(table=rows, order=st.integers(1, 3))
def test_labelled_and_iterated_paths_give_what_tables_and_inverses_give(table, order):
    journeys = replace(journeys_of(table), value=np.array([c * 2.5 for _, c, _ in table]))
    usual = mta.Markov(order=order).fit(journeys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions, "_TABLE", 0)
        patch.setattr(chain_module, "_DENSE", 0)
        patch.setattr(transitions, "_CHUNK", 2)
        other = mta.Markov(order=order).fit(journeys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions, "_CHUNK", 2)
        chunked = mta.Markov(order=order).fit(journeys)
    assert set(usual.states_) == set(other.states_)
    for model in (other, chunked):
        np.testing.assert_allclose(model.removal_effect_, usual.removal_effect_, atol=1e-9)
        for of in ("conversions", "value"):
            np.testing.assert_allclose(
                model.attribute(journeys, of=of).credit,
                usual.attribute(journeys, of=of).credit,
                atol=1e-9,
            )


@settings(deadline=None, max_examples=40)
@given(table=rows, order=st.integers(1, 3), seed=st.integers(0, 99))
def test_counting_steps_again_equals_a_new_count(table, order, seed):
    journeys = journeys_of(table)
    steps = Steps(journeys, order)
    rng = np.random.default_rng(seed)
    conversions, nulls = rng.integers(0, 4, size=(2, len(table))).astype(float)
    conversions[0] += 1
    weighted = journeys.reweighted(conversions, nulls)
    again = make_chain(steps.count(weighted)).removal_effects(3)
    fresh = make_chain(count_transitions(weighted, order)).removal_effects(3)
    np.testing.assert_allclose(again, fresh, atol=1e-9)


def test_worked_example_of_three_journeys():
    # By hand: P(convert) = 1/3; without c1 half of it is left, without c2 or c3 nothing.
    journeys = mta.Journeys.from_paths(
        [["c1", "c2", "c3"], ["c1"], ["c2", "c3"]], [1, 0, 0], [0, 1, 1]
    )
    model = mta.Markov().fit(journeys)
    np.testing.assert_allclose(model.conversion_probability_, 1 / 3)
    np.testing.assert_allclose(model.removal_effect_, [0.5, 1, 1])
    np.testing.assert_allclose(model.attribute(journeys).credit, [0.2, 0.4, 0.4])
    np.testing.assert_allclose(mta.Markov(3).fit_attribute(journeys).credit, [1 / 3] * 3)


@pytest.fixture
def five_paths() -> mta.Journeys:
    paths = [list("ABAC"), ["B"], list("CA"), list("AAB"), list("CC")]
    return mta.Journeys.from_paths(paths, [3, 2, 4, 1, 2], [5, 7, 1, 9, 2])


def test_five_paths_with_cycles(five_paths):
    # Exact rationals of the definition, rounded: 71/102 … at order 1; shares of conversions after.
    model = mta.Markov().fit(five_paths)
    np.testing.assert_allclose(model.removal_effect_, [0.696078, 0.397844, 0.514069], atol=5e-7)
    np.testing.assert_allclose(
        model.attribute(five_paths).credit, [5.194642, 2.969000, 3.836358], atol=5e-7
    )
    for order in (2, 3):
        np.testing.assert_allclose(
            mta.Markov(order).fit(five_paths).removal_effect_, [2 / 3, 1 / 2, 3 / 4]
        )


def test_micro_synergy_world_at_order_one():
    # Two independent channels, reach .5 and .4, P = .02 + .03 A + .01 B + .04 A B, per 1,000 users:
    # A then B 20 of 200, A alone 15 of 300, B alone 6 of 200 convert. Order 1 on touched journeys:
    # removing A leaves 30/(200+200)·… = exact rationals that round to these credits.
    journeys = mta.Journeys.from_paths(
        [["A", "B"], ["A"], ["B"], []], [20, 15, 6, 6], [180, 285, 194, 294]
    )
    credit = mta.Markov().fit_attribute(journeys)
    np.testing.assert_allclose(credit.credit, [21.259259, 19.740741], atol=5e-7)
    assert credit.baseline == 6


def test_relabelling_channels_permutes_and_scaling_changes_nothing(five_paths):
    renamed = mta.Journeys.from_arrays(
        ["z", "y", "x"],
        five_paths.codes,
        five_paths.offsets,
        five_paths.conversions * 7,
        five_paths.nulls * 7,
    )
    np.testing.assert_allclose(
        mta.Markov(2).fit(renamed).removal_effect_, mta.Markov(2).fit(five_paths).removal_effect_
    )
    turned = five_paths.recode(("C", "A", "B"))
    np.testing.assert_allclose(
        mta.Markov().fit(turned).removal_effect_,
        mta.Markov().fit(five_paths).removal_effect_[[2, 0, 1]],
    )


def test_a_channel_met_only_without_conversion_gets_nothing():
    journeys = mta.Journeys.from_paths([["A"], ["B", "A"], ["D"]], [2, 1, 0], [3, 0, 4])
    assert mta.Markov().fit_attribute(journeys).credit[2] == 0


def test_value_has_its_own_removal_effects():
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [1, 1], [1, 1], value=[10, 30])
    model = mta.Markov().fit(journeys)
    np.testing.assert_allclose(model.attribute(journeys, of="value").credit, [10, 30])
    np.testing.assert_allclose(model.attribute(journeys).credit, [1, 1])


def test_value_asked_of_a_model_fitted_without(five_paths):
    model = mta.Markov().fit(five_paths)
    valued = replace(five_paths, value=five_paths.conversions * 2)
    with pytest.raises(mta.JourneyError, match="Fit it on journeys with value"):
        model.attribute(valued, of="value")


def test_detour_compares_the_rate_of_the_other_journeys():
    # Rate 3/10. Without A the journey of A alone is gone: (3 − 0)/(10 − 4) = 1/2, effect 1 − 5/3.
    journeys = mta.Journeys.from_paths([["A"], ["A", "B"], ["B", "B"]], [0, 1, 2], [4, 1, 2])
    model = mta.Markov(removal="detour").fit(journeys)
    np.testing.assert_allclose(model.removal_effect_, [1 - (3 / 6) / 0.3, 1 - (1 / 6) / 0.3])
    with pytest.raises(mta.JourneyError, match="positive sum"):
        model.attribute(journeys)


def test_journeys_without_nulls_are_allowed_with_a_warning():
    journeys = mta.Journeys.from_paths([["A"], ["A", "B"]], [2, 2])
    with pytest.warns(mta.IdentifiabilityWarning, match="should be users without a conversion"):
        model = mta.Markov().fit(journeys)
    np.testing.assert_allclose(model.conversion_probability_, 1)
    np.testing.assert_allclose(model.removal_effect_, [1, 0.5])


def test_smoothing_by_hand():
    # A: 3 users convert, 1 ends. One user more on each of its ways out: A, conversion, null.
    journeys = mta.Journeys.from_paths([["A"]], [3], [1])
    model = mta.Markov(smoothing=1).fit(journeys)
    assert model.states_ == ((), ("A",), "conversion", "null")
    np.testing.assert_allclose(
        model.transition_matrix_.toarray()[:2], [[0, 5 / 7, 1 / 7, 1 / 7], [0, 1 / 7, 4 / 7, 2 / 7]]
    )


@settings(deadline=None, max_examples=30)
@given(table=rows, order=st.integers(1, 3), smoothing=st.sampled_from([0.5, 2.0]))
def test_smoothed_rows_are_distributions_over_states_seen(table, order, smoothing):
    journeys = journeys_of(table)
    plain, smooth = (mta.Markov(order, smoothing=s).fit(journeys) for s in (0.0, smoothing))
    assert plain.states_ == smooth.states_
    np.testing.assert_allclose(np.asarray(smooth.transition_matrix_.sum(axis=1)), 1)
    matrix = smooth.transition_matrix_.toarray()
    for i, state in enumerate(smooth.states_[:-2]):
        for j, entered in enumerate(smooth.states_[:-2]):
            follows = entered != () and entered == (*state, entered[-1])[-order:]
            assert (matrix[i, j] > 0) == follows


def test_coalition_values_are_the_chain_with_entries_closed(five_paths):
    model = mta.Markov(2).fit(five_paths)
    kept = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=bool)
    values = model.coalition_value(kept)
    p = model.conversion_probability_
    np.testing.assert_allclose(values[0], p)
    np.testing.assert_allclose(1 - values[1:3] / p, model.removal_effect_[:2])
    assert values[3] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_module, "_DENSE", 0)
        np.testing.assert_allclose(model.coalition_value(kept), values, atol=1e-10)
        patch.setattr(chain_module, "_SWEEPS", 0)
        np.testing.assert_allclose(model.coalition_value(kept), values, atol=1e-10)


def test_graph_carries_probabilities_and_effects(five_paths):
    model = mta.Markov().fit(five_paths)
    graph = model.to_graph()
    assert isinstance(graph, nx.DiGraph)
    assert graph.nodes[("A",)]["removal_effect"] == model.removal_effect_[0]
    assert graph.nodes[()]["kind"] == "start"
    out = [graph.edges[edge]["probability"] for edge in graph.out_edges(("B",))]
    np.testing.assert_allclose(sum(out), 1)
    assert graph.out_degree("conversion") == 0
    assert graph.graph["conversion_probability"] == model.conversion_probability_


def test_graph_needs_a_fit():
    with pytest.raises(mta.NotFittedError):
        mta.Markov().to_graph()


def test_the_order_of_a_known_chain_is_found():
    # The next channel repeats the one before last nine times in ten; a path ends at random.
    rng = np.random.default_rng(4)
    paths: list[list[str]] = []
    for length in rng.geometric(0.15, size=1500):
        path = list(rng.choice(["A", "B"], size=2))
        for _ in range(length):
            same, other = path[-2], "AB"[path[-2] == "A"]
            path.append(same if rng.random() < 0.9 else other)
        paths.append(path[2:])
    converts = rng.random(1500) < 0.5
    journeys = mta.Journeys.from_paths(paths, converts, ~converts)
    selection = mta.Markov.select_order(journeys, 4, random_state=0)
    assert selection.order == 2
    frame = selection.to_frame()
    assert frame["chosen"].tolist() == [False, True, False, False]
    again = mta.Markov.select_order(journeys, 4, random_state=0)
    assert again.score == selection.score


@pytest.mark.parametrize(
    "model",
    [
        lambda order: mta.Markov(order=order),
        lambda order: mta.Markov(order=order, smoothing=0.5),
        lambda order: mta.BayesianMarkov(order=order, random_state=0, n_draws=20),
    ],
)
def test_orders_beyond_the_longest_journey_are_all_the_same(model, five_paths):
    longest = int(five_paths.lengths.max())
    wanted = model(longest + 1).fit(five_paths)
    for order in (longest + 2, 10**9):
        fitted = model(order).fit(five_paths)
        assert fitted.order == order
        assert fitted.states_ == wanted.states_
        np.testing.assert_array_equal(fitted.removal_effect_, wanted.removal_effect_)
        np.testing.assert_array_equal(
            fitted.attribute(five_paths).credit, wanted.attribute(five_paths).credit
        )


def test_reweighting_at_an_order_beyond_the_longest_journey_ends(five_paths):
    given, wanted = (
        mta.bootstrap(mta.Markov(order=order), five_paths, n_draws=5, random_state=0)
        for order in (10**9, int(five_paths.lengths.max()) + 1)
    )
    np.testing.assert_array_equal(given.draws, wanted.draws)


def test_order_selection_ends_at_the_longest_journey(five_paths):
    selection = mta.Markov.select_order(five_paths, 10**9, random_state=0)
    assert list(selection.score) == list(range(1, int(five_paths.lengths.max()) + 1))


def test_order_by_user_keeps_a_users_journeys_in_one_part():
    # Each user repeats one path. Within users order 2 predicts well; across users it does not.
    users = np.repeat(np.arange(40), 5)
    paths = [["A", "B"] if u % 2 else ["B", "A"] for u in users]
    journeys = replace(mta.Journeys.from_paths(paths, np.ones(200), np.ones(200)), users=users)
    selection = mta.Markov.select_order(journeys, 2, random_state=1)
    assert set(selection.score) == {1, 2}
    assert all(score < 0 for score in selection.score.values())


def test_touchpoint_credit_splits_each_journey_by_removal_effects(five_paths):
    model = mta.Markov().fit(five_paths)
    credit = model.touchpoint_credit(five_paths)
    a, b, c = model.removal_effect_
    # A B A C, 3 conversions: A's part is shared by its two touchpoints.
    expected = 3 / (a + b + c) * np.array([a / 2, b, a / 2, c])
    np.testing.assert_allclose(credit[:4], expected)
    np.testing.assert_allclose(credit.sum(), five_paths.total)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (mta.Markov(order=0), "whole number >= 1; got 0"),
        (mta.Markov(order=1.5), "got 1.5"),
        (mta.Markov(order=True), "got True"),
        (mta.Markov(removal="delete"), "to_null"),
        (mta.Markov(smoothing=-1), "got -1"),
        (mta.Markov(smoothing=float("nan")), "got nan"),
    ],
)
def test_bad_parameters(model, match, five_paths):
    with pytest.raises(mta.ParameterError, match=match):
        model.fit(five_paths)


@pytest.mark.parametrize(
    "arguments", [{"max_order": 0}, {"n_folds": 1}, {"smoothing": 0.0}, {"n_folds": 2.5}]
)
def test_bad_arguments_of_order_selection(arguments, five_paths):
    with pytest.raises(mta.ParameterError):
        mta.Markov.select_order(five_paths, **arguments)


def test_a_chain_that_does_not_converge_warns(five_paths, monkeypatch):
    import scipy.sparse.linalg as linalg

    monkeypatch.setattr(chain_module, "_DENSE", 0)
    monkeypatch.setattr(chain_module, "_SWEEPS", 0)
    monkeypatch.setattr(linalg, "gmres", lambda system, right, **_: (right, 7))
    with pytest.warns(mta.ConvergenceWarning, match="residual"):
        mta.Markov().fit(five_paths)


def test_the_ten_thousand_paths(ten_thousand_paths):
    # Totals stated by the data's own package: 19,785 conversions, 68,602 nulls, 12 channels.
    journeys = mta.read_paths(
        ten_thousand_paths,
        conversions="total_conversions",
        nulls="total_null",
        value="total_conversion_value",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = mta.Markov().fit(journeys)
    np.testing.assert_allclose(model.conversion_probability_, 19785 / (19785 + 68602))
    credit = model.attribute(journeys)
    np.testing.assert_allclose(credit.credit.sum(), 19785)
    assert len(credit.channels) == 12
