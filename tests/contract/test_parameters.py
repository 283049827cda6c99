"""Whatever is given as a parameter, a fit succeeds or names the parameter that it refuses."""

from __future__ import annotations

import warnings
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import mta_models as mta
from mta_models.models.base import AttributionModel

CHANNELS = ("Search", "Email", "Direct", "Social")
# Sampled from a posterior, which takes many seconds: only what they refuse at once is tried.
UNFITTED = {"BayesianHazard", "BayesianLogistic"}
# What a class cannot be made without.
NEEDED: dict[str, dict[str, Any]] = {
    "CustomRule": {"weights": [2, 1]},
    "MilestoneBased": {"weights": {"first": 0.5, "lead": 0.5}},
}
# A second form of models whose parameters exclude one another.
ALSO = {
    "Shapley": [
        {"characteristic_function": "rate", "n_permutations": 4},
        {"characteristic_function": "model", "model": mta.Markov()},
    ]
}
FORMS = [
    (cls, NEEDED.get(cls.__name__, {}) | form)
    for cls in mta.ALL_MODELS
    for form in [{}, *ALSO.get(cls.__name__, [])]
]
PARAMETERS = [
    pytest.param(cls, form, name, id="-".join([cls.__name__, *map(str, form), name]))
    for cls, form in FORMS
    for name in cls._parameter_defaults()
]
ANYTHING = [
    *(None, True, False, 0, 1, 2, 3, -1, 7, 50, 10**9, 10**12, 10**400, -(10**400)),
    *(0.0, 0.5, 1.0, 2.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), 1j),
    *("", " ", "auto", "all", "rate", "model", "Search", "7d", "0d", "-3h", "1e9d", "12 parsecs"),
    *("horizon", "thirds", "no such word", b"7d", "\0", "9" * 400 + "d"),
    *([], [1], [3, 2, 1], [0, 0], [-1], [None], ["Search"], ["Search", "Email"], [[1]], [[]]),
    *([("Search", "Email")], [("Search", "Search")], [("Search", "Nobody")], [("Search", 1)]),
    *((), ("Direct",), set(), {"Search"}, frozenset(), range(3), iter([1, 2]), slice(1)),
    *({}, {"first": 1}, {"Search": 1}, {1: 2}, dict.fromkeys(CHANNELS, "4d"), {"first": "a"}),
    *({"first": 0.5, "lead": float("nan")}, {"first": 1, "x": 10**400}),
    dict.fromkeys(CHANNELS, -1),
    *(object(), object, int, dict, len, lambda journeys: None, NotImplemented, ...),
    *(np.int8(3), np.int64(-3), np.float64(0.5), np.float32("nan"), np.bool_(True), np.str_("7d")),
    *(np.array(0.5), np.array([0.5, 1.0]), np.zeros((2, 2)), np.array(["a"]), np.datetime64("NaT")),
    *(timedelta(days=2), timedelta(0), timedelta(days=-1), timedelta.max, Fraction(1, 2)),
    *(np.random.default_rng(0), np.random.SeedSequence(0), np.random.RandomState(0)),
    *(mta.Markov(), mta.Markov, mta.Linear(), mta.LogisticCounts(), mta.Markov(order=-1)),
    *(LogisticRegression(), LogisticRegression, LogisticRegression(C=-1)),
    *(pd.DataFrame(), pl.DataFrame({"user": [1]}), pl.DataFrame({"user": range(60), "x": "text"})),
    *(pl.DataFrame({"user": range(60), "x": range(60)}), pd.DataFrame({"user": [1, 1], "x": 0})),
    *(mta.LiftTest("Search", lift=1.0, standard_error=1.0), mta.Journeys.from_paths([["A"]], [1])),
]  # fmt: skip
VALUES = (
    st.sampled_from(ANYTHING)
    | st.integers(-5, 60)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.lists(st.integers(-1, 3) | st.floats(0, 1) | st.sampled_from(CHANNELS), max_size=3)
)


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    """Sixty users over thirty days, with stages and values."""
    rng = np.random.default_rng(2)
    rows = []
    for user in range(60):
        for day in np.sort(rng.uniform(0, 28, rng.integers(0, 5))):
            rows.append((user, float(day), CHANNELS[rng.integers(4)], 0, 0.0))
            if rng.random() < 0.3:
                rows.append((user, float(day) + 1, None, 1, float(rng.integers(1, 9))))
    events = pl.DataFrame(
        rows, schema=["user", "day", "channel", "bought", "value"], orient="row"
    ).sort("day")
    everyone = pl.DataFrame({"user": range(60)}).with_columns(start=0.0, end=30.0)
    read = mta.read_events(
        events,
        user="user",
        time="day",
        channel="channel",
        conversion="bought",
        value="value",
        observed=everyone,
    )
    stages = dict.fromkeys(("lead", "opportunity", "close"), np.minimum(read.lengths, 1) - 1)
    return read.recode(CHANNELS)._with(milestones=stages)


def fits(model: AttributionModel, journeys: mta.Journeys) -> None:
    model._check_parameters()
    if type(model).__name__ not in UNFITTED:
        model.fit_attribute(journeys)


@pytest.mark.parametrize(("cls", "form"), FORMS)
def test_each_form_can_be_fitted(
    cls: type[AttributionModel], form: dict[str, Any], journeys: mta.Journeys
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.MTAWarning)
        fits(cls(**form), journeys)


@pytest.mark.parametrize(("cls", "form", "name"), PARAMETERS)
@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=VALUES)
def test_a_parameter_does_or_is_refused_by_its_name(
    cls: type[AttributionModel], form: dict[str, Any], name: str, value: Any, journeys: mta.Journeys
) -> None:
    model = cls(**form | {name: value})
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.MTAWarning)
        try:
            fits(model, journeys)
        except mta.MTAError as error:
            refusal = str(error)
    assert not refusal or name in refusal


CARRYING = [cls for cls in mta.ALL_MODELS if "half_life" in cls._parameter_defaults()]


@pytest.mark.parametrize("cls", [cls for cls in CARRYING if cls.__name__ not in UNFITTED])
@pytest.mark.filterwarnings("ignore::mta_models.MTAWarning")
def test_a_half_life_means_the_same_in_every_model(
    cls: type[AttributionModel], journeys: mta.Journeys
) -> None:
    expected = cls(half_life=4).fit_attribute(journeys)
    mixed = dict(zip(CHANNELS, ("4d", 4, timedelta(days=4), np.float64(4)), strict=True))
    for half_life in ("4d", "96h", 4.0, timedelta(days=4), mixed):
        actual = cls(half_life=half_life).fit_attribute(journeys)
        np.testing.assert_allclose(actual.credit, expected.credit, rtol=1e-9, atol=1e-12)
    other = cls(half_life=mixed | {"Email": "12h"}).fit_attribute(journeys)
    assert np.abs(other.credit - expected.credit).max() > 1e-3


@pytest.mark.parametrize("cls", CARRYING)
def test_a_half_life_that_does_not_say_whose_it_is_is_refused(
    cls: type[AttributionModel], journeys: mta.Journeys
) -> None:
    for several in ([4, 4, 4, 4], np.full(4, 4.0), ("4d",)):
        with pytest.raises(mta.ParameterError, match=r"`half_life` must be .* does not say whose"):
            cls(half_life=several).fit(journeys)
    with pytest.raises(mta.ParameterError, match=r"half_life\['Email'\]` must be a span of time"):
        cls(half_life=dict.fromkeys(CHANNELS, 4) | {"Email": "soon"}).fit(journeys)


@pytest.mark.parametrize("cls", CARRYING)
def test_a_mapping_of_half_lives_must_name_every_channel(
    cls: type[AttributionModel], journeys: mta.Journeys
) -> None:
    with pytest.raises(mta.ParameterError, match=r"`half_life` must name every channel.*'Social'"):
        cls(half_life=dict.fromkeys(CHANNELS[:3], 4)).fit_attribute(journeys)
