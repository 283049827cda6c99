"""What every public model keeps, whatever it computes. A new model is a line in `CASES`."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest

import mta_models as mta
from mta_models.analysis.resampling import _plan
from mta_models.attribution import ESTIMANDS
from mta_models.core.ragged import segment_sum
from mta_models.models.base import AttributionModel, clone
from mta_models.models.incremental.base import TimedModel

CHANNELS = ("Search", "Email", "Direct", "Social")
# LogisticCounts warns at every fit; its own tests hold it to that.
pytestmark = pytest.mark.filterwarnings("ignore:LogisticCounts. a regression on touchpoint counts")

# By label: a model to hold to the contract. Every class of ALL_MODELS must be among them.
CASES: dict[str, AttributionModel] = {
    "CustomRule": mta.CustomRule([3, 2, 1]),
    "CustomRule last": mta.CustomRule([0, 1], count_from="last"),
    "LastNonDirect Email": mta.LastNonDirect(direct=("Direct", "Email")),
    "Linear unique": mta.Linear(unique=True),
    "MilestoneBased": mta.MilestoneBased({"first": 0.5, "lead": 0.25, "rest": 0.25}),
    "PositionBased .3 .5": mta.PositionBased(first=0.3, last=0.5),
    "TimeDecay 12h": mta.TimeDecay(half_life="12h"),
    "WShaped thirds": mta.WShaped(milestones="thirds"),
    "Markov 2": mta.Markov(order=2),
    "Markov fail": mta.Markov(removal="fail"),
    "Markov smoothed": mta.Markov(smoothing=0.5),
    "Shapley rate": mta.Shapley("rate"),
    "Shapley rate sampled": mta.Shapley("rate", n_permutations=40, random_state=1),
    "Shapley model": mta.Shapley("model", model=mta.Markov()),
}
# Need event logs; their own tests hold them to the contract.
EVENT_LOGS = {"DoublyRobust", "Incremental"}
CASES |= {
    model.__name__: model()
    for model in mta.ALL_MODELS
    # Those that cannot be made without parameters are above; timed models need an event log.
    if model.__name__ not in CASES.keys() | EVENT_LOGS and not issubclass(model, TimedModel)
}
# Sampled orders are over channels by first appearance; a fixed number of smoothing or prior users
# weighs less among more; some parameters are names of channels; a model of conversions knows no
# value.
SAMPLED = {"Shapley rate sampled"}
NOT_SCALE_FREE = {"Markov smoothed", "BayesianMarkov"}
NAMED = {"LastNonDirect", "LastNonDirect Email"}
NO_VALUE = {"Shapley model"}
# Its baseline comes from a regression, not from the journeys without a touchpoint.
REGRESSED = {"LogisticCounts"}


def without(labels: set[str]) -> list[str]:
    assert labels <= set(CASES)
    return [label for label in CASES if label not in labels]


@pytest.fixture(params=list(CASES))
def label(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(label: str) -> AttributionModel:
    return copy.deepcopy(CASES[label])


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    """Times, milestones, value, repeats, rows for many users, untouched rows, every coalition."""
    rng = np.random.default_rng(0)
    n = 240
    sizes = np.where(np.arange(n) % 8 == 0, 0, rng.integers(1, 6, n))
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    codes = rng.integers(0, 4, offsets[-1])
    age = np.concatenate([np.sort(rng.exponential(5, size))[::-1] for size in sizes])
    conversions, nulls = rng.integers(0, 4, n), rng.integers(0, 6, n)
    value = np.where(conversions > 0, rng.integers(1, 500, n), 0)
    stages = {}
    for stage in ("lead", "opportunity", "close"):
        stages[stage] = np.where(
            rng.random(n) < 0.7, rng.integers(0, 9, n) % np.maximum(sizes, 1), -1
        )
        stages[stage][sizes == 0] = -1
    return mta.Journeys.from_arrays(
        CHANNELS, codes, offsets, conversions, nulls, value, age=age, milestones=stages
    )


def take(journeys: mta.Journeys, rows: np.ndarray) -> mta.Journeys:
    """The journeys of some rows, in that order; a row may come twice."""
    sizes = journeys.lengths[rows]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    where = np.repeat(journeys.offsets[rows] - offsets[:-1], sizes) + np.arange(offsets[-1])

    def of_rows(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[rows]

    def of_touchpoints(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[where]

    return replace(
        journeys,
        codes=journeys.codes[where],
        offsets=offsets,
        conversions=journeys.conversions[rows],
        nulls=journeys.nulls[rows],
        value=of_rows(journeys.value),
        given_age=of_touchpoints(journeys.given_age),
        milestones={k: v[rows] for k, v in (journeys.milestones or {}).items()} or None,
    )


def outcomes_of(label: str) -> Iterator[str]:
    yield "conversions"
    if label not in NO_VALUE:
        yield "value"


def close(actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def splits_touchpoints(fitted: AttributionModel) -> bool:
    return type(fitted)._touchpoint_credit is not AttributionModel._touchpoint_credit and not (
        isinstance(fitted, mta.Shapley) and fitted.resampling != "linear"
    )


def reads_paths_only(model: AttributionModel) -> bool:
    """Whether rows of equal paths may be merged before a fit."""
    if model.resampling != "linear":
        return model.resampling != "journeys"
    whole_rows = getattr(model, "milestones", None) == "journeys"
    return not (model.needs_times or whole_rows or callable(getattr(model, "weights", None)))


def test_every_public_model_is_held_to_the_contract() -> None:
    timeless = {model for model in mta.ALL_MODELS if not issubclass(model, TimedModel)}
    elsewhere = {model for model in timeless if model.__name__ in EVENT_LOGS}
    assert {type(model) for model in CASES.values()} == timeless - elsewhere
    assert {model.__name__ for model in elsewhere} == EVENT_LOGS
    assert len(set(mta.ALL_MODELS)) == len(mta.ALL_MODELS) > 0
    for each in mta.ALL_MODELS:
        assert getattr(mta, each.__name__) is each


def test_parameters(model: AttributionModel) -> None:
    given = model.get_params(deep=False)
    other = type(model)(**given)
    assert {k: repr(v) for k, v in other.get_params().items()} == {
        k: repr(v) for k, v in model.get_params().items()
    }
    assert model.set_params(**given) is model
    assert all(getattr(model, name) is value for name, value in given.items())
    with pytest.raises(mta.ParameterError, match="no_such_parameter"):
        model.set_params(no_such_parameter=1)


def test_clones_as_scikit_learn_does(model: AttributionModel, journeys: mta.Journeys) -> None:
    from sklearn.base import clone as sklearn_clone

    model.fit(journeys)
    for copied in (sklearn_clone(model), clone(model)):
        assert type(copied) is type(model)
        assert repr(copied) == repr(model)
        assert not hasattr(copied, "channels_")


def test_repr_makes_the_model_again(model: AttributionModel) -> None:
    again = eval(repr(model), dict(vars(mta)) | {k: getattr(mta, k) for k in mta.__all__})
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    assert {k: repr(v) for k, v in again.get_params().items()} == {
        k: repr(v) for k, v in model.get_params().items()
    }


def test_fit_returns_itself_and_leaves_parameters_alone(
    model: AttributionModel, journeys: mta.Journeys
) -> None:
    before = {name: (value, repr(value)) for name, value in model.get_params(deep=False).items()}
    assert model.fit(journeys) is model
    for name, value in model.get_params(deep=False).items():
        assert value is before[name][0]
        assert repr(value) == before[name][1]
    assert model.channels_ == journeys.channels


def test_asks_to_be_fitted_first(model: AttributionModel, journeys: mta.Journeys) -> None:
    for ask in (model.attribute, model.touchpoint_credit):
        with pytest.raises(mta.NotFittedError, match="must be fitted"):
            ask(journeys)


def test_credit_and_baseline_add_up(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    for of in outcomes_of(label):
        result = model.attribute(journeys, of=of)
        assert result.channels == journeys.channels
        assert result.credit.shape == (4,)
        assert result.credit.dtype == np.float64
        assert result.total == journeys.outcome(of).sum()
        close(result.credit.sum() + result.baseline, result.total)
        assert result.estimand.partition(":")[0] in ESTIMANDS
        assert (result.model, result.of) == (repr(model), of)
        assert result.credit.any()
        if result.estimand in ("rule", "removal_effect"):
            close(result.baseline, journeys.outcome(of)[journeys.lengths == 0].sum())


def test_says_what_it_estimates(model: AttributionModel) -> None:
    words = type(model).__doc__ or ""
    assert "stimand" in words
    assert ">>> " in words
    if model.estimand != "rule":
        assert "Assumptions:" in words
        assert "Source:" in words


def test_survives_pickle(model: AttributionModel, journeys: mta.Journeys) -> None:
    expected = model.fit_attribute(journeys)
    again = pickle.loads(pickle.dumps(model)).attribute(journeys)
    np.testing.assert_array_equal(again.credit, expected.credit)
    assert again.baseline == expected.baseline


def test_a_second_fit_forgets_the_first(model: AttributionModel, journeys: mta.Journeys) -> None:
    fresh = clone(model).fit_attribute(journeys)
    half = take(journeys, np.arange(0, journeys.n_journeys, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.MTAWarning)  # half the journeys may lack a coalition
        model.fit(half._with(value=None))
    again = model.fit_attribute(journeys)
    np.testing.assert_array_equal(again.credit, fresh.credit)


def test_leaves_the_journeys_alone(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    before = {
        each.name: np.array(getattr(journeys, each.name))
        for each in fields(journeys)
        if isinstance(getattr(journeys, each.name), np.ndarray)
    }
    model.fit(journeys)
    for of in outcomes_of(label):
        model.attribute(journeys, of=of)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(journeys, name), array)


@pytest.mark.parametrize("of", ["nonsense", "", None])
def test_refuses_another_outcome(
    model: AttributionModel, journeys: mta.Journeys, of: str | None
) -> None:
    model.fit(journeys)
    for ask in (model.attribute, model.touchpoint_credit):
        with pytest.raises(mta.ParameterError, match='"conversions" or "value"'):
            ask(journeys, of=of)  # type: ignore[arg-type]


def test_refuses_value_where_there_is_none(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    with pytest.raises(mta.MTAError, match="value"):
        model.attribute(journeys._with(value=None), of="value")


def test_refuses_what_is_not_journeys_or_has_no_conversion(
    model: AttributionModel, journeys: mta.Journeys
) -> None:
    with pytest.raises(mta.JourneyError, match="must be given Journeys; got list"):
        model.fit([["Search"]])  # type: ignore[arg-type]
    with pytest.raises(mta.JourneyError, match="must be given Journeys; got NoneType"):
        clone(model).fit(journeys).attribute(None)  # type: ignore[arg-type]
    zeros = np.zeros(journeys.n_journeys)
    with pytest.raises(mta.JourneyError, match="there must be a conversion"):
        model.fit(journeys.reweighted(zeros, journeys.nulls, zeros))


def test_refuses_a_channel_it_was_not_fitted_on(
    model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    stranger = journeys._with(channels=("Search", "Email", "Direct", "Pigeon"))
    with pytest.raises(mta.UnknownChannelError, match=r"row \d+ has 'Pigeon'"):
        model.attribute(stranger)


def test_refuses_journeys_without_times_only_if_it_needs_them(
    model: AttributionModel, journeys: mta.Journeys
) -> None:
    timeless = journeys._with(given_age=None)
    if model.needs_times:
        with pytest.raises(mta.JourneyError, match="needs the age of each touchpoint"):
            model.fit(timeless)
    else:
        close(model.fit_attribute(timeless).credit, clone(model).fit_attribute(journeys).credit)


@pytest.mark.parametrize("label", without(SAMPLED))
def test_permuted_channels_permute_credit(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    order = [2, 0, 3, 1]
    permuted = journeys.recode(tuple(CHANNELS[i] for i in order))
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        actual = clone(model).fit_attribute(permuted, of=of)
        close(actual.credit, expected.credit[order])


@pytest.mark.parametrize("label", without(NAMED))
def test_names_of_channels_do_not_matter(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    renamed = journeys._with(channels=("zz", "(null)", "start", "1"))
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        close(clone(model).fit_attribute(renamed, of=of).credit, expected.credit)


@pytest.mark.parametrize("label", without(SAMPLED))
def test_order_of_journeys_does_not_matter(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    shuffled = take(journeys, np.random.default_rng(1).permutation(journeys.n_journeys))
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        actual = clone(model).fit_attribute(shuffled, of=of)
        close(actual.credit, expected.credit)
        close(actual.baseline, expected.baseline)


def test_a_row_in_two_halves_is_the_row(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    twice = take(journeys, np.repeat(np.arange(journeys.n_journeys), 2))
    halves = twice.reweighted(twice.conversions / 2, twice.nulls / 2, twice.value / 2)
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        close(clone(model).fit_attribute(halves, of=of).credit, expected.credit)


@pytest.mark.parametrize("label", without(NOT_SCALE_FREE))
def test_three_times_the_users_are_three_times_the_credit(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    more = journeys.reweighted(journeys.conversions * 3, journeys.nulls * 3, journeys.value * 3)
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        close(clone(model).fit_attribute(more, of=of).credit, 3 * expected.credit)


def test_narrow_counts_are_counts(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    narrow = journeys._with(
        codes=journeys.codes.astype(np.uint8),
        conversions=journeys.conversions.astype(np.int8),
        nulls=journeys.nulls.astype(np.int8),
    )
    wide = journeys._with(
        conversions=journeys.conversions.astype(float), nulls=journeys.nulls.astype(float)
    )
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(wide, of=of)
        actual = clone(model).fit_attribute(narrow, of=of)
        close(actual.credit, expected.credit)
        assert actual.credit.dtype == np.float64


def test_a_channel_never_met_gets_nothing(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    more = journeys.recode(("Pigeon", *CHANNELS))
    for of in outcomes_of(label):
        result = clone(model).fit_attribute(more, of=of)
        assert result.credit[0] == 0
        if label not in NOT_SCALE_FREE:  # smoothing adds users who meet it
            close(result.credit[1:], clone(model).fit_attribute(journeys, of=of).credit)


def test_some_of_the_journeys_fitted(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    some = take(journeys, np.flatnonzero(segment_sum(journeys.codes > 1, journeys.offsets) == 0))
    some = some._with(channels=CHANNELS[:2])  # over two of the four channels
    for of in outcomes_of(label):
        result = model.attribute(some, of=of)
        assert result.channels == CHANNELS
        close(result.credit.sum() + result.baseline, some.outcome(of).sum())


def test_conversions_that_no_channel_touched_are_baseline(model: AttributionModel) -> None:
    untouched = mta.Journeys.from_arrays(CHANNELS, [], [0, 0, 0], [3, 0], [0, 5], [30, 0])
    result = model.fit_attribute(untouched)
    assert not result.credit.any()
    close(result.baseline, 3)


@pytest.mark.parametrize("label", without(REGRESSED))
def test_one_channel_takes_what_is_not_baseline(model: AttributionModel) -> None:
    stages = {"lead": [0, 0, -1], "opportunity": [0, 0, -1], "close": [0, 0, -1]}
    alone = mta.Journeys.from_arrays(
        ["Search"], [0, 0, 0], [0, 1, 3, 3], [4, 2, 0], [6, 8, 9], age=[0, 2, 1], milestones=stages
    )
    close(model.fit_attribute(alone).credit, [6])


def test_touchpoints_share_their_rows_outcome(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    model.fit(journeys)
    if not splits_touchpoints(model):
        with pytest.raises(mta.MTAError, match="does not split a conversion"):
            model.touchpoint_credit(journeys)
        return
    for of in outcomes_of(label):
        credit = model.touchpoint_credit(journeys, of=of)
        assert credit.shape == (journeys.n_touchpoints,)
        touched = journeys.lengths > 0
        close(segment_sum(credit, journeys.offsets)[touched], journeys.outcome(of)[touched])
        if model.estimand == "rule":
            by_channel = np.bincount(journeys.codes, credit, 4)
            close(by_channel, model.attribute(journeys, of=of).credit)


def test_same_result_every_time(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    for of in outcomes_of(label):
        first = clone(model).fit_attribute(journeys, of=of)
        second = clone(model).fit_attribute(journeys, of=of)
        np.testing.assert_array_equal(first.credit, second.credit)


@pytest.mark.parametrize(
    "label", [label for label, model in CASES.items() if reads_paths_only(model)]
)
def test_reads_no_more_than_it_says(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        close(clone(model).fit_attribute(journeys.compress(), of=of).credit, expected.credit)


@pytest.mark.parametrize(
    "label", [label for label, model in CASES.items() if model.resampling == "sets"]
)
def test_order_and_repeats_do_not_matter_where_it_says_so(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    backwards = np.argsort(-np.repeat(np.arange(240), journeys.lengths), kind="stable")[::-1]
    reversed_ = mta.Journeys.from_arrays(
        CHANNELS,
        journeys.codes[backwards],
        journeys.offsets,
        journeys.conversions,
        journeys.nulls,
        journeys.value,
    ).transform("first")
    for of in outcomes_of(label):
        expected = clone(model).fit_attribute(journeys, of=of)
        close(clone(model).fit_attribute(reversed_, of=of).credit, expected.credit)


def test_reweighting_is_refitting(
    label: str, model: AttributionModel, journeys: mta.Journeys
) -> None:
    """The short cut that a bootstrap takes, against a fit on the same outcomes."""
    rng = np.random.default_rng(3)
    for of in outcomes_of(label):
        plan = _plan(clone(model).fit(journeys), journeys, of)
        converts, fails = journeys.conversions > 0, journeys.nulls > 0
        picked = rng.poisson(4, len(plan.cell))  # picks of each row's converting, then other, users
        conversions, nulls = np.zeros((2, journeys.n_journeys))
        conversions[converts] = picked[: converts.sum()]
        nulls[fails] = picked[converts.sum() :]
        value = journeys.value / np.maximum(journeys.conversions, 1) * conversions
        credit, baseline = plan.answer(np.bincount(plan.cell, picked).astype(float))
        expected = clone(model).fit_attribute(journeys.reweighted(conversions, nulls, value), of=of)
        close(credit, expected.credit)
        close(baseline, expected.baseline)


def test_can_be_bootstrapped(label: str, model: AttributionModel, journeys: mta.Journeys) -> None:
    for of in outcomes_of(label):
        result = mta.bootstrap(model, journeys, n_draws=5, random_state=0, of=of)
        np.testing.assert_array_equal(
            result.credit, clone(model).fit_attribute(journeys, of=of).credit
        )
        assert result.draws.shape == (5, 4)
        assert np.ptp(result.draws, axis=0).all()
        assert len(result.to_frame()) == 5
