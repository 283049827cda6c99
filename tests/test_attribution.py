"""The result type: it adds up or it is not made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.attribution import BASELINE, SAMPLING_ONLY
from mta_models.models.incremental.self_controlled.leads import REJECTION_LEVEL

DRAWS = np.arange(303, dtype=float).reshape(101, 3)


def attribution(**changes: Any) -> mta.Attribution:
    given: dict[str, Any] = {
        "channels": ("A", "B", "C"),
        "credit": np.array([6.0, 3.0, 0.0]),
        "baseline": 1.0,
        "total": 10.0,
        "estimand": "rule",
        "model": "LastTouch()",
    }
    return mta.Attribution(**given | changes)


def with_draws() -> mta.Attribution:
    return attribution(draws=DRAWS, baseline_draws=np.linspace(0, 1, 101))


@pytest.mark.parametrize("gap", [1e-6, -0.5, 10.0, np.nan, np.inf])
def test_what_does_not_add_up_is_not_made(gap: float) -> None:
    with pytest.raises(mta.InvariantError, match=r"LastTouch\(\) is off by"):
        attribution(baseline=1.0 + gap)
    with pytest.raises(mta.InvariantError, match="must equal the total"):
        attribution(total=10.0 + gap)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(-1e6, 1e6))
def test_rounding_is_forgiven(credit: list[float], baseline: float) -> None:
    names = tuple(f"c{i}" for i in range(len(credit)))
    # Added up from the other end, so the last digits differ.
    total = baseline + sum(reversed(credit))
    made = attribution(channels=names, credit=np.array(credit), baseline=baseline, total=total)
    assert made.total == total


def test_nothing_at_all_adds_up_too() -> None:
    empty = attribution(channels=(), credit=np.zeros(0), baseline=0.0, total=0.0)
    assert empty.share.shape == (0,)
    assert empty.to_frame()["channel"].tolist() == [BASELINE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"credit": np.array([9.0])}, r"credit must have the shape \(3,\); got \(1,\)"),
        ({"estimand": "importance"}, "estimand must be one of"),
        ({"estimand": ""}, "estimand must be one of"),
        ({"draws": DRAWS}, "must come together"),
        ({"baseline_draws": np.zeros(4)}, "must come together"),
        ({"draws": DRAWS, "baseline_draws": np.zeros(4)}, r"draws must have the shape \(4, 3\)"),
        ({"draws": np.zeros(4), "baseline_draws": np.zeros(4)}, "draws must have the shape"),
        ({"draws": np.full((4, 3), np.nan), "baseline_draws": np.zeros(4)}, "finite"),
        ({"draws": np.zeros((4, 3)), "baseline_draws": np.full(4, np.inf)}, "finite"),
    ],
)
def test_shapes_and_words_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(mta.InvariantError, match=words):
        attribution(**changes)


def test_an_estimand_may_be_qualified() -> None:
    assert attribution(estimand="incremental:horizon").estimand == "incremental:horizon"


def test_share_is_among_channels() -> None:
    np.testing.assert_allclose(attribution().share, [2 / 3, 1 / 3, 0])
    nothing = attribution(credit=np.zeros(3), baseline=10.0)
    assert np.isnan(nothing.share).all()


def test_nothing_of_it_can_be_changed() -> None:
    made = with_draws()
    with pytest.raises(FrozenInstanceError):
        made.baseline = 2.0  # type: ignore[misc]
    for array in (made.credit, made.draws, made.baseline_draws):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1  # type: ignore[index]


def test_interval_is_the_central_part_of_the_draws() -> None:
    made = with_draws()
    # Draws of each channel are 101 even steps of 3, so quantiles are exact.
    np.testing.assert_allclose(made.interval(0.9), [[15, 285], [16, 286], [17, 287]])
    np.testing.assert_allclose(made.baseline_interval(0.9), [0.05, 0.95])
    np.testing.assert_allclose(made.interval(), np.quantile(DRAWS, [0.025, 0.975], axis=0).T)


@pytest.mark.parametrize("prob", [0, 1, -0.1, 95, float("nan")])
def test_a_probability_lies_between_0_and_1(prob: float) -> None:
    for ask in (with_draws().interval, with_draws().baseline_interval):
        with pytest.raises(mta.ParameterError, match="`prob` must be a number between 0 and 1"):
            ask(prob)


def test_no_interval_without_draws() -> None:
    for ask in (attribution().interval, attribution().baseline_interval):
        with pytest.raises(mta.MTAError, match="bootstrap"):
            ask()


# What an interval holds.

WIDE = "sampling and the spread between models"


def with_both() -> mta.Attribution:
    """Draws of all uncertainty, three times as wide as those of sampling."""
    return attribution(
        draws=3 * DRAWS,
        baseline_draws=np.linspace(0, 3, 101),
        interval_holds=WIDE,
        sampling_draws=DRAWS,
        sampling_baseline_draws=np.linspace(0, 1, 101),
    )


def test_an_interval_holds_what_is_asked_for() -> None:
    both = with_both()
    for holds in (None, "all"):
        np.testing.assert_allclose(both.interval(0.9, holds), 3 * with_draws().interval(0.9))
        np.testing.assert_allclose(both.baseline_interval(0.9, holds), [0.15, 2.85])
        assert both.covered_by(holds) == WIDE
    np.testing.assert_allclose(both.interval(0.9, "sampling"), with_draws().interval(0.9))
    np.testing.assert_allclose(both.baseline_interval(0.9, holds="sampling"), [0.05, 0.95])
    assert both.covered_by("sampling") == SAMPLING_ONLY
    for frame in (both.to_frame(prob=0.9, holds="sampling"), both.to_polars(holds="sampling")):
        assert frame["upper"][0] < 300 < both.to_frame(prob=0.9)["upper"][0]
    assert both.to_frame().attrs == {"interval_holds": WIDE}
    assert both.to_frame(holds="sampling").attrs == {"interval_holds": SAMPLING_ONLY}
    assert f"Intervals: {WIDE}." in " ".join(str(both).split())


def test_what_the_draws_do_not_hold_is_refused() -> None:
    sampling = with_draws()
    np.testing.assert_array_equal(sampling.interval(holds="sampling"), sampling.interval())
    for ask in (sampling.interval, sampling.baseline_interval, sampling.covered_by):
        with pytest.raises(
            mta.MTAError, match=r"must cover bias too; those of LastTouch\(\) cover"
        ):
            ask(holds="all")
    wide = replace(with_draws(), interval_holds=WIDE)
    with pytest.raises(mta.MTAError, match=f"sampling alone; .* cover {WIDE}"):
        wide.interval(holds="sampling")
    for holds in ("everything", 1, True):
        with pytest.raises(mta.ParameterError, match='`holds` must be one of "sampling", "all"'):
            with_both().interval(holds=holds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampling_draws": DRAWS}, "must come together"),
        ({"sampling_draws": DRAWS, "sampling_baseline_draws": np.zeros(101)}, "come with draws"),
    ],
)
def test_draws_of_sampling_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(mta.InvariantError, match=words):
        attribution(**changes)
    with pytest.raises(mta.InvariantError, match="sampling_draws must have the shape"):
        replace(with_both(), sampling_baseline_draws=np.zeros(4))


def test_a_bootstrap_leaves_no_draws_of_the_model() -> None:
    journeys = mta.worlds.make("randomised", n_users=2_000).simulate().journeys
    drawn = mta.bootstrap(mta.Incremental(), journeys, n_draws=2, random_state=0)
    assert drawn.interval_holds == SAMPLING_ONLY
    assert drawn.sampling_draws is None
    assert drawn.draws is not None
    assert len(drawn.draws) == 2


# Differences and groups.


def test_one_channel_more_than_another_by_joint_draws() -> None:
    draws = np.array([[1.0, 0, 5], [2, 1, 5], [3, 4, 5], [4, 4, 5]])
    made = attribution(draws=draws, baseline_draws=np.zeros(4))
    # Two draws in which A has more, one with less, one equal.
    assert made.probability_more("A", "B") == 0.625
    assert made.probability_more("B", "A") == 0.375
    assert made.probability_more("C", "A") == 1
    assert made.probability_more("A") == 1
    assert made.probability_more("B") == 0.875
    assert made.probability_more("A", 2.5) == 0.5
    both = replace(
        made,
        interval_holds=WIDE,
        sampling_draws=draws[:, ::-1],
        sampling_baseline_draws=np.zeros(4),
    )
    assert both.probability_more("A", "B", holds="sampling") == 1
    for names in (("A", "D"), ("D", "A"), ("A", BASELINE), ([], "A")):
        with pytest.raises(mta.UnknownChannelError, match="a channel must be one of A, B, C; got"):
            made.probability_more(*names)
    with pytest.raises(mta.MTAError, match="needs draws"):
        attribution().probability_more("A", "B")


def test_groups_are_sums_draw_by_draw() -> None:
    both = with_both()
    made = both.grouped({"Paid": ["C", "A"]})
    assert made.channels == ("Paid", "B")
    np.testing.assert_array_equal(made.credit, [6, 3])
    assert (made.baseline, made.total, made.model) == (both.baseline, both.total, both.model)
    np.testing.assert_array_equal(
        made.draws, 3 * np.column_stack([DRAWS[:, 0] + DRAWS[:, 2], DRAWS[:, 1]])
    )
    assert made.sampling_draws is not None
    np.testing.assert_allclose(3 * made.sampling_draws, made.draws)
    np.testing.assert_array_equal(made.baseline_draws, both.baseline_draws)
    whole = both.grouped({"All": both.channels})
    np.testing.assert_array_equal(whole.credit, [9])
    assert both.grouped({}).channels == both.channels
    assert attribution().grouped({"B": ["B", "A"]}).channels == ("B", "C")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (["A"], "`groups` must be a mapping"),
        ({"X": "A"}, "`groups` must be a list of channels"),
        ({"X": []}, "a group must have a channel; 'X' has none"),
        ({"X": ["A"], "Y": ["B", "A"]}, "'A' is in `groups` twice"),
        ({"X": ["A", "A"]}, "'A' is in `groups` twice"),
        ({"X": ["D"]}, "a channel must be one of A, B, C; got 'D'"),
        ({"B": ["A"]}, "must not have the name of a channel outside it"),
    ],
)
def test_groups_that_are_none_are_refused(groups: Any, words: str) -> None:
    with pytest.raises(mta.MTAError, match=words):
        attribution().grouped(groups)


def test_tables_hold_channels_and_baseline() -> None:
    frame, table = attribution().to_frame(), attribution().to_polars()
    assert list(frame.columns) == table.columns == ["channel", "credit", "share"]
    assert frame["channel"].tolist() == table["channel"].to_list() == ["A", "B", "C", BASELINE]
    assert frame["credit"].tolist() == table["credit"].to_list() == [6, 3, 0, 1]
    assert frame["credit"].sum() == 10
    assert frame["share"].isna().tolist() == [False, False, False, True]
    assert table["share"].null_count() == 1


def test_tables_hold_intervals_where_there_are_draws() -> None:
    made = with_draws()
    frame, table = made.to_frame(prob=0.9), made.to_polars(prob=0.9)
    assert list(frame.columns) == table.columns == ["channel", "credit", "share", "lower", "upper"]
    np.testing.assert_allclose(frame["lower"], [15, 16, 17, 0.05])
    np.testing.assert_allclose(table["upper"], [285, 286, 287, 0.95])
    with pytest.raises(mta.ParameterError, match="prob"):
        made.to_frame(prob=2)


def test_a_changed_copy_is_checked_like_a_new_one() -> None:
    with pytest.raises(mta.InvariantError):
        replace(attribution(), baseline=5.0)


# What print and notebooks show.


def printed() -> dict[str, Any]:
    """One result of each kind."""
    log = mta.example_events(n_users=3_000, seed=3)
    columns = {name: name for name in ("user", "time", "channel", "conversion")}
    journeys = mta.read_events(log, **columns)
    linear = mta.Linear().fit_attribute(journeys)
    return {
        "Attribution": linear,
        "Comparison": mta.compare(["Linear", "Markov"], journeys),
        "Diagnosis": mta.diagnose(journeys.compress()),
        "ForwardValidation": mta.validate_forward(["Hazard(half_life=4)"], journeys),
        "Sensitivity": mta.sensitivity("Linear", log, **columns, lookbacks=["7d", None]),
        "OrderSelection": mta.Markov.select_order(journeys, max_order=2, random_state=0),
    }


def test_print_shows_tables_and_repr_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    heads = {
        "Attribution": "Credit in conversions, by Linear",
        "Comparison": "Share of credit, the baseline left out",
        "Diagnosis": "Findings",
        "ForwardValidation": "Good predictions do not show causal effects",
        "Sensitivity": "of credit moves",
        "OrderSelection": "has the highest score",
    }
    for name, result in printed().items():
        text, html = str(result), result._repr_html_()
        assert heads[name] in " ".join(text.split()), name
        assert max(map(len, text.splitlines())) <= 80, name
        assert html.startswith("<table"), name
        assert repr(result).startswith(f"{name}("), name
        assert len(repr(result)) < 200, name
        assert "\n" not in repr(result), name


def test_print_says_what_intervals_hold_and_what_the_estimand_is() -> None:
    journeys = mta.Journeys.from_paths(
        [["A", "B"], ["A"], []], conversions=[3, 2, 1], nulls=[9, 9, 9]
    )
    plain = " ".join(str(mta.Linear().fit_attribute(journeys)).split())
    assert "Intervals" not in plain
    assert "None of this says how many conversions would be lost" in plain
    drawn = mta.bootstrap(mta.Linear(), journeys, n_draws=20, random_state=0)
    text = " ".join(str(drawn).split())
    assert "Intervals: sampling only: chance in who was observed, not bias." in text
    assert repr(drawn) == (
        "Attribution(Linear(), 2 channels, of='conversions', credit 5.00 + baseline 1.00 = 6.00)"
    )


def test_only_lift_tests_put_bias_into_intervals() -> None:
    lift = mta.LiftTest("A", lift=120, standard_error=35)
    for model in (mta.BayesianHazard, mta.BayesianLogistic):
        assert model()._interval_holds() == SAMPLING_ONLY
        assert "bias as far as lift tests identify it" in model(lift_tests=[lift])._interval_holds()


def test_the_lead_test_stands_under_the_credit_that_it_checks() -> None:
    """One threshold for the sentence, the warning and the diagnosis."""
    journeys = mta.worlds.make("randomised", n_users=3_000).simulate().journeys
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    result = model.attribute(journeys)
    assert result.checks == (model.lead_test_.sentence(),)
    assert "Lead test passed (p = " in " ".join(str(result).split())
    assert "incremental: estimates the conversions" in " ".join(str(result).split())
    comparison = " ".join(str(mta.Comparison({"SelfControlled": result})).split())
    assert "SelfControlled: Lead test passed" in comparison
    failed = replace(model.lead_test_, p_value=0.0099)
    assert failed.rejects
    assert not replace(failed, p_value=REJECTION_LEVEL).rejects
    assert "Lead test failed (p = 0.0099)" in failed.sentence()
