"""Several models on the same journeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.analysis.comparison import USUAL_MODELS, Comparison

PATHS = [["Search", "Email"], ["Email"], ["Social", "Search", "Social"], []]


@pytest.fixture
def journeys() -> mta.Journeys:
    return mta.Journeys.from_paths(PATHS, [4, 2, 1, 3], [10, 5, 20, 50], value=[40.0, 30, 5, 9])


@pytest.mark.parametrize("of", ["conversions", "value"])
def test_each_column_is_what_the_model_says_by_itself(journeys: mta.Journeys, of: str) -> None:
    models = [mta.FirstTouch(), mta.PositionBased(first=0.5, last=0.3), mta.Markov(order=2)]
    comparison = mta.compare(models, journeys, of=of)
    frame = comparison.to_frame()
    assert list(frame.columns) == [repr(model).removesuffix("()") for model in models]
    assert list(frame.index) == [*journeys.channels, "(baseline)"]
    for model, label in zip(models, frame.columns, strict=True):
        alone = model.__sklearn_clone__().fit_attribute(journeys, of=of)
        np.testing.assert_array_equal(frame[label][:-1], alone.credit)
        assert frame[label].iloc[-1] == alone.baseline
        assert comparison.estimands[label] == alone.estimand


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("ABC"), max_size=4), st.integers(1, 9)),
        min_size=1,
        max_size=6,
    )
)
def test_every_column_sums_to_the_total_and_every_share_to_one(
    rows: list[tuple[list[str], int]],
) -> None:
    paths, counts = zip(*rows, strict=True)
    journeys = mta.Journeys.from_paths(paths, counts, np.ones(len(counts)))
    comparison = mta.compare(["FirstTouch", "LastTouch", "Linear"], journeys)
    assert comparison.total == sum(counts)
    np.testing.assert_allclose(comparison.to_frame().sum(), sum(counts))
    if any(paths):
        np.testing.assert_allclose(comparison.shares().sum(), 1)
    else:
        assert comparison.shares().isna().all(axis=None)


def test_a_model_its_class_and_its_name_are_the_same(journeys: mta.Journeys) -> None:
    frames = [mta.compare([m], journeys).to_frame() for m in (mta.Linear(), mta.Linear, "linear")]
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


def test_models_handed_in_stay_unfitted(journeys: mta.Journeys) -> None:
    model = mta.Linear()
    mta.compare([model], journeys)
    with pytest.raises(mta.NotFittedError):
        model.attribute(journeys)


def test_a_model_that_refuses_raises_or_is_left_out_with_its_reason(journeys: mta.Journeys) -> None:
    with pytest.raises(mta.JourneyError, match="TimeDecay needs the age"):
        mta.compare(USUAL_MODELS, journeys)
    comparison = mta.compare(USUAL_MODELS, journeys, skip_refused=True)
    assert list(comparison.attributions) == [m for m in USUAL_MODELS if m != "TimeDecay"]
    assert list(comparison.refusals) == ["TimeDecay"]
    assert "needs the age of each touchpoint" in comparison.refusals["TimeDecay"]


def test_the_usual_models_are_those_that_the_data_allow(journeys: mta.Journeys) -> None:
    comparison = mta.compare(journeys=journeys)
    others = [name for name in USUAL_MODELS if name not in ("Markov", "TimeDecay")]
    assert list(comparison.attributions) == ["Markov", *others]
    assert list(comparison.refusals) == ["TimeDecay"]
    timed = mta.worlds.make("randomised", n_users=1_000).simulate().journeys
    assert list(mta.compare(None, timed).attributions) == ["Incremental", *USUAL_MODELS]
    for nothing in ((), (None, None), (["Linear"],)):
        with pytest.raises(mta.JourneyError, match="compare must be given Journeys; got NoneType"):
            mta.compare(*nothing)


def test_what_no_model_can_serve_raises_even_if_refusals_are_skipped() -> None:
    plain = mta.Journeys.from_paths([["A"]], [1], [1])
    with pytest.raises(mta.JourneyError, match="needs the value of each row"):
        mta.compare(["Linear"], plain, of="value", skip_refused=True)
    with pytest.raises(mta.JourneyError, match="there must be a conversion"):
        mta.compare(["Linear"], mta.Journeys.from_paths([["A"]], [0], [1]), skip_refused=True)
    with pytest.raises(mta.JourneyError, match="TimeDecay needs the age"):
        mta.compare(["TimeDecay"], plain, skip_refused=True)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "there must be a model"),
        ("Linear", "must be a list"),
        (["Linear", mta.Linear()], "Linear is there twice"),
        ([3], "must be a model, its class or its name; got int"),
        ([int], "must be a model, its class or its name; got type"),
        ([mta.CustomRule], "CustomRule cannot be made without .* Give the model itself"),
    ],
)
def test_lists_that_are_none_are_refused(
    journeys: mta.Journeys, models: list[mta.AttributionModel], message: str
) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        mta.compare(models, journeys)


def test_tables_agree(journeys: mta.Journeys) -> None:
    comparison = mta.compare(["FirstTouch", "Linear(unique=True)"], journeys)
    frame, long = comparison.to_frame(), comparison.long()
    assert comparison.to_polars().drop("channel").to_numpy().tolist() == frame.to_numpy().tolist()
    assert long.columns == ["model", "estimand", "of", "channel", "credit", "share"]
    wide = long.to_pandas().pivot(index="channel", columns="model", values="credit")
    assert wide.loc[frame.index, frame.columns].to_numpy().tolist() == frame.to_numpy().tolist()
    baseline = long.filter(long["channel"] == "(baseline)")
    assert baseline["share"].null_count() == 2
    assert comparison.credit.tolist() == frame.to_numpy()[:-1].tolist()


def test_intervals_are_shown_with_what_they_hold(journeys: mta.Journeys) -> None:
    drawn = mta.bootstrap(mta.Linear(), journeys, n_draws=20, random_state=0)
    plain = mta.FirstTouch().fit_attribute(journeys)
    comparison = Comparison({"FirstTouch": plain, "Linear": drawn})
    text = " ".join(str(comparison).split())
    assert "95% interval of credit channel Linear" in text
    low, high = drawn.baseline_interval()
    assert f"(baseline) {low:.2f} to {high:.2f}" in text
    assert f"Intervals of Linear: {drawn.interval_holds}." in text
    few = [each.title for each in comparison.blocks(top=1) if hasattr(each, "title")]
    assert "95% interval of credit" in few
    assert "interval" not in str(Comparison({"FirstTouch": plain}))


def test_long_has_bounds_where_there_are_draws(journeys: mta.Journeys) -> None:
    drawn = mta.bootstrap(mta.Linear(), journeys, n_draws=20, random_state=0)
    plain = mta.FirstTouch().fit_attribute(journeys)
    long = Comparison({"FirstTouch": plain, "Linear": drawn}).long()
    assert long.columns[-3:] == ["lower", "upper", "interval_holds"]
    assert long["lower"].null_count() == len(journeys.channels) + 1
    assert long["upper"].to_list()[-4:-1] == drawn.interval()[:, 1].tolist()
