"""Rules against a slow oracle written journey by journey, published examples and identities."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.core.durations import as_days
from mta_models.models.base import clone
from mta_models.models.rules.base import Rule

CHANNELS = ("Search", "Direct", "Email", "Social")


@dataclass
class One:
    """One journey, as the oracle sees it."""

    path: list[str]
    age: list[float]
    stages: dict[str, int]
    conversions: int = 1
    value: float = 0.0


# The oracle: what each rule means, in plain Python. Each gets a journey of n >= 1 touchpoints and
# returns n numbers that sum to 1.


def single(at: int) -> Callable[[One], list[float]]:
    return lambda one: [float(i == at % len(one.path)) for i in range(len(one.path))]


def last_non_direct(one: One) -> list[float]:
    chosen = len(one.path) - 1
    for i, channel in enumerate(one.path):
        if channel not in ("Direct", "Email"):
            chosen = i
    if all(channel in ("Direct", "Email") for channel in one.path):
        chosen = len(one.path) - 1
    return [float(i == chosen) for i in range(len(one.path))]


def linear(one: One) -> list[float]:
    return [1 / len(one.path)] * len(one.path)


def unique_linear(one: One) -> list[float]:
    return [
        1 / len(set(one.path)) if channel not in one.path[:i] else 0.0
        for i, channel in enumerate(one.path)
    ]


def ends(first: float, last: float, pair: tuple[float, float]) -> Callable[[One], list[float]]:
    def weigh(one: One) -> list[float]:
        n = len(one.path)
        if n == 1:
            return [1.0]
        if n == 2:
            return list(pair)
        return [first, *[(1 - first - last) / (n - 2)] * (n - 2), last]

    return weigh


def decay(half_life: float) -> Callable[[One], list[float]]:
    def weigh(one: One) -> list[float]:
        # Exact ratios to the latest touchpoint; the terms may underflow, the latest never does.
        raw = [2.0 ** -((age - min(one.age)) / half_life) for age in one.age]
        return [each / sum(raw) for each in raw]

    return weigh


def stages(
    parts: dict[str, float], thirds: bool = False, between: bool = False
) -> Callable[[One], list[float]]:
    def weigh(one: One) -> list[float]:
        n = len(one.path)
        places = {"first": 0}
        for k, stage in enumerate(("lead", "opportunity", "close"), start=1):
            # round() breaks ties to even, and thirds of a whole number never tie.
            at = round(Fraction(k * (n - 1), 3)) if thirds else one.stages[stage]
            if stage in parts and at >= 0:
                places[stage] = at
        weights = [0.0] * n
        for stage, at in places.items():
            weights[at] += parts[stage]
        rest = [
            i for i in range(n) if weights[i] == 0 and (not between or i < max(places.values()))
        ]
        for i in rest:
            weights[i] = parts.get("rest", 0.0) / len(rest)
        return [each / sum(weights) for each in weights]

    return weigh


def by_place(given: Sequence[float], from_last: bool) -> Callable[[One], list[float]]:
    def weigh(one: One) -> list[float]:
        raw = [given[i] if i < len(given) else 0.0 for i in range(len(one.path))]
        raw = raw if sum(raw) else [1.0] * len(raw)
        raw = raw[::-1] if from_last else raw
        return [each / sum(raw) for each in raw]

    return weigh


W = {"first": 0.3, "lead": 0.3, "opportunity": 0.3, "rest": 0.1}
FULL = {"first": 0.225, "lead": 0.225, "opportunity": 0.225, "close": 0.225, "rest": 0.1}
U = {"first": 0.5, "lead": 0.5}


def later_counts_more(journeys: mta.Journeys) -> Any:
    return 1.0 + np.arange(journeys.n_touchpoints)


RULES: list[tuple[Rule, Callable[[One], list[float]]]] = [
    (mta.FirstTouch(), single(0)),
    (mta.LastTouch(), single(-1)),
    (mta.LastNonDirect(direct=("Direct", "Email", "no such channel")), last_non_direct),
    (mta.Linear(), linear),
    (mta.Linear(unique=True), unique_linear),
    (mta.PositionBased(), ends(0.4, 0.4, (0.5, 0.5))),
    (mta.PositionBased(0.5, 0.1), ends(0.5, 0.1, (5 / 6, 1 / 6))),
    (mta.PositionBased(0.7, 0.3), ends(0.7, 0.3, (0.7, 0.3))),
    (mta.PositionBased(0, 0), ends(0, 0, (0.5, 0.5))),
    (mta.PositionBased(0.2, 0.6, "equal"), ends(0.2, 0.6, (0.3, 0.7))),
    (mta.JShaped(), ends(0.2, 0.6, (0.25, 0.75))),
    (mta.InverseJShaped(), ends(0.6, 0.2, (0.75, 0.25))),
    (mta.TimeDecay(), decay(7)),
    (mta.TimeDecay("12h"), decay(0.5)),
    (mta.WShaped(), stages(W)),
    (mta.WShaped("thirds"), stages(W, thirds=True)),
    (mta.FullPath(), stages(FULL)),
    (mta.FullPath("thirds"), stages(FULL, thirds=True)),
    (mta.MilestoneBased(U), stages(U)),
    (mta.MilestoneBased(W, rest="between"), stages(W, between=True)),
    (mta.CustomRule([3, 0, 1]), by_place([3, 0, 1], from_last=False)),
    (mta.CustomRule((0, 2), count_from="last"), by_place([0, 2], from_last=True)),
]
each_rule = pytest.mark.parametrize("rule", [rule for rule, _ in RULES], ids=repr)


@st.composite
def one_journey(draw: st.DrawFn) -> One:
    path = draw(st.lists(st.sampled_from(CHANNELS), max_size=6))
    ages = st.floats(0, 1e6) | st.sampled_from([0.0, 7.0, 1e6])
    age = draw(st.lists(ages, min_size=len(path), max_size=len(path)))
    places = st.integers(-1, len(path) - 1)
    conversions = draw(st.integers(0, 3))
    return One(
        path=path,
        age=sorted(age, reverse=True),
        stages={stage: draw(places) for stage in ("lead", "opportunity", "close")},
        conversions=conversions,
        value=draw(st.integers(-50, 500)) / 4 if conversions else 0.0,
    )


def table(many: list[One]) -> mta.Journeys:
    # Narrow integers, as event logs give them.
    return mta.Journeys.from_arrays(
        CHANNELS,
        np.array([CHANNELS.index(name) for one in many for name in one.path], dtype=np.uint8),
        np.concatenate([[0], np.cumsum([len(one.path) for one in many])]),
        np.array([one.conversions for one in many], dtype=np.int8),
        np.array([2] * len(many), dtype=np.int8),
        [one.value for one in many],
        [each for one in many for each in one.age],
        milestones={
            stage: np.array([one.stages[stage] for one in many], dtype=np.int64)
            for stage in ("lead", "opportunity", "close")
        },
    )


# The last is there so that there is a conversion, and a journey that reaches the stages.
SURE = One(["Email", "Search"], [3.0, 1.0], {"lead": 0, "opportunity": 1, "close": 1}, 2, 10.0)
some_journeys = st.lists(one_journey(), max_size=6).map(lambda many: [*many, SURE])


@pytest.mark.parametrize(("rule", "weigh"), RULES, ids=[repr(rule) for rule, _ in RULES])
@settings(max_examples=25)
@given(many=some_journeys, of=st.sampled_from(["conversions", "value"]))
def test_a_rule_is_its_oracle(
    rule: Rule, weigh: Callable[[One], list[float]], many: list[One], of: str
) -> None:
    touchpoints: list[float] = []
    channels = dict.fromkeys(CHANNELS, 0.0)
    baseline = 0.0
    for one in many:
        amount = one.conversions if of == "conversions" else one.value
        if not one.path:
            baseline += amount
            continue
        for channel, weight in zip(one.path, weigh(one), strict=True):
            touchpoints.append(weight * amount)
            channels[channel] += weight * amount
    journeys = table(many)
    result = rule.fit_attribute(journeys, of=of)
    np.testing.assert_allclose(result.credit, list(channels.values()), rtol=1e-9, atol=1e-9)
    assert result.baseline == pytest.approx(baseline)
    assert result.estimand == "rule"
    credit = rule.touchpoint_credit(journeys, of=of)
    np.testing.assert_allclose(credit, touchpoints, rtol=1e-9, atol=1e-9)


@each_rule
@settings(max_examples=8)
@given(many=some_journeys, order=st.permutations(range(len(CHANNELS))))
def test_relabelling_channels_permutes_credit(
    rule: Rule, many: list[One], order: list[int]
) -> None:
    journeys = table(many)
    other = journeys.recode(tuple(CHANNELS[i] for i in order))
    before, after = rule.fit_attribute(journeys), clone(rule).fit_attribute(other)
    np.testing.assert_allclose(after.credit, before.credit[order], atol=1e-12)


@each_rule
def test_weights_of_a_journey_sum_to_one_and_do_not_depend_on_outcomes(rule: Rule) -> None:
    many = [SURE, One([], [], dict.fromkeys(SURE.stages, -1)), SURE]
    journeys = table(many)
    weights = rule.fit(journeys)._weights(journeys)
    assert weights.shape == (4,)
    assert (weights >= 0).all()
    np.testing.assert_allclose([weights[:2].sum(), weights[2:].sum()], 1)
    other = journeys.reweighted(np.array([5.0, 0.0, 0.0]), journeys.nulls)
    np.testing.assert_array_equal(rule._weights(other), weights)


@each_rule
def test_a_rule_is_cloned_and_pickled(rule: Rule) -> None:
    journeys = table([SURE])
    expected = rule.fit_attribute(journeys).credit
    assert repr(clone(rule)) == repr(rule)
    copy = pickle.loads(pickle.dumps(rule))
    np.testing.assert_array_equal(copy.attribute(journeys).credit, expected)


@each_rule
def test_journeys_without_touchpoints_are_all_baseline(rule: Rule) -> None:
    result = rule.fit_attribute(mta.Journeys.from_paths([[], []], [2, 1], channels=CHANNELS))
    assert result.baseline == result.total == 3
    assert result.credit.dtype == np.float64
    assert not result.credit.any()


def test_repeats_merge_where_a_rule_reads_paths_alone() -> None:
    paths = [["A", "B", "A"], ["B"], ["A", "B", "A"], []]
    journeys = mta.Journeys.from_paths(paths, [2, 1, 3, 1], [0, 4, 1, 0])
    for rule, _ in RULES:
        if not rule.needs_times and getattr(rule, "milestones", None) != "journeys":
            np.testing.assert_allclose(
                rule.fit_attribute(journeys).credit, rule.fit_attribute(journeys.compress()).credit
            )


# Published numbers.


def test_worked_example_of_adobe() -> None:
    # Adobe Analytics guide, "Attribution models, containers and lookback windows", Example: paid
    # search on 15 September, social on the 18th, e-mail and display on the 24th, a $50 purchase.
    channels = ("Paid search", "Social", "Email", "Display")
    journeys = mta.Journeys.from_arrays(
        channels, range(4), [0, 4], [1], value=[50], age=[9, 6, 0, 0]
    )

    def dollars(name: str) -> list[float]:
        return mta.preset(name).fit_attribute(journeys, of="value").credit.round(2).tolist()

    assert dollars("adobe_first_touch") == [50, 0, 0, 0]
    assert dollars("adobe_linear") == [12.5] * 4
    assert dollars("adobe_j_shaped") == [10, 5, 5, 30]
    assert dollars("adobe_time_decay") == pytest.approx([6.92, 9.32, 16.88, 16.88], abs=0.011)
    table = mta.participation(journeys, of="value")
    assert table["participation"].tolist() == [50] * 4


def test_worked_example_of_amplitude() -> None:
    # Amplitude docs, "Attribute credit to multiple acquisition touch points", "Attribution example
    # calculation": Google, Facebook, TikTok, then Facebook, TikTok alone in a shorter lookback.
    three = mta.Journeys.from_paths([["Google", "Facebook", "TikTok"]], [100])
    two = mta.Journeys.from_paths([["Facebook", "TikTok"]], [100])

    def percent(name: str, journeys: mta.Journeys) -> dict[str, float]:
        result = mta.preset(name).fit_attribute(journeys)
        return dict(zip(result.channels, result.credit.round(6).tolist(), strict=True))

    assert percent("amplitude_j_shaped", three) == {"Google": 20, "Facebook": 20, "TikTok": 60}
    assert percent("amplitude_j_shaped", two) == {"Facebook": 30, "TikTok": 70}
    assert percent("amplitude_inverse_j_shaped", two) == {"Facebook": 70, "TikTok": 30}
    assert percent("amplitude_u_shaped", two) == {"Facebook": 50, "TikTok": 50}
    assert percent("adobe_j_shaped", two) == {"Facebook": 25, "TikTok": 75}


def test_micro_world_of_two_channels_booked_to_the_last_touch() -> None:
    # A ~ .5 before B ~ .4; P(conversion) = .02 + .03A + .01B + .04AB, per 1,000 users. By
    # arithmetic: 300·.02 = 6 untouched, 300·.05 = 15 A, 200·.03 = 6 B, 200·.10 = 20 A > B. Last
    # touch 15/26, equal split over distinct channels 25/16, baseline 6 where truth has 20.
    journeys = mta.Journeys.from_paths(
        [[], ["A"], ["B"], ["A", "B"]], conversions=[6, 15, 6, 20], nulls=[294, 285, 194, 180]
    )
    last = mta.LastTouch().fit_attribute(journeys)
    assert last.credit.tolist() == [15, 26]
    assert last.baseline == 6
    assert mta.Linear(unique=True).fit_attribute(journeys).credit.tolist() == [25, 16]


def test_micro_world_of_intent_credits_a_channel_without_effect() -> None:
    # U ~ .3; P(A | U) = .8/.2; P(conversion) = .01 + .10U, per 1,000 users: 240·.11 + 140·.01 =
    # 27.8 conversions touched by A, which causes none; 40 in all.
    journeys = mta.Journeys.from_paths([["A"], []], [27.8, 12.2], [352.2, 607.8])
    result = mta.LastTouch().fit_attribute(journeys)
    assert result.credit.tolist() == [27.8]
    assert result.total == pytest.approx(40)


# Time decay.


def test_very_old_touchpoints_are_split_as_recent_ones() -> None:
    def credit(age: list[float]) -> list[float]:
        journeys = mta.Journeys.from_arrays("AB", [0, 1], [0, 2], [3], age=age)
        return mta.TimeDecay("7d").fit_attribute(journeys).credit.tolist()

    assert credit([1e6 + 7, 1e6]) == pytest.approx([1, 2])
    assert credit([7, 0]) == pytest.approx([1, 2])
    assert credit([1e6, 0]) == [0, 3]


@pytest.mark.parametrize("half_life", ["7d", "1w", "168h", 7, 7.0, np.float64(7), timedelta(7)])
def test_spans_of_time_that_mean_a_week(half_life: Any) -> None:
    assert as_days(half_life, "half_life") == pytest.approx(7)


@pytest.mark.parametrize(
    "half_life",
    ["0d", 0, -1, "-7d", "7", "7 fortnights", "", None, True, float("nan"), float("inf"), [7]],
)
def test_invalid_spans_of_time(half_life: Any) -> None:
    with pytest.raises(mta.ParameterError, match=r"`half_life` must be a span of time above 0"):
        mta.TimeDecay(half_life).fit(table([SURE]))


def test_time_decay_refuses_journeys_without_times() -> None:
    with pytest.raises(mta.JourneyError, match="no times"):
        mta.TimeDecay().fit(mta.Journeys.from_paths([["A"]], [1]))


# Milestones.


def with_stages(n: int, **at: int) -> mta.Journeys:
    places = {stage: [place] for stage, place in at.items()}
    return mta.Journeys.from_arrays("ABCDEFG"[:n], range(n), [0, n], [1], milestones=places)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ({"lead": 1, "opportunity": 3}, [0.3, 0.3, 0.1, 0.3]),
        ({"lead": 0, "opportunity": 3}, [0.6, 0.05, 0.05, 0.3]),
        ({"lead": 2, "opportunity": 2}, [0.3, 0.05, 0.6, 0.05]),
        # The opportunity is missing: .3, .3 and .1 remain, of .7.
        ({"lead": 3, "opportunity": -1}, [3 / 7, 0.5 / 7, 0.5 / 7, 3 / 7]),
    ],
)
def test_w_by_hand(at: dict[str, int], expected: list[float]) -> None:
    credit = mta.WShaped().fit_attribute(with_stages(4, **at)).credit
    assert credit.tolist() == pytest.approx(expected)


def test_without_a_rest_the_milestones_are_scaled() -> None:
    credit = mta.WShaped().fit_attribute(with_stages(3, lead=1, opportunity=2)).credit
    assert credit.tolist() == pytest.approx([1 / 3] * 3)
    credit = mta.FullPath().fit_attribute(with_stages(2, lead=0, opportunity=1, close=1)).credit
    assert credit.tolist() == pytest.approx([0.5, 0.5])


def test_rest_between_milestones_leaves_out_what_comes_after() -> None:
    journeys = with_stages(5, lead=1, opportunity=3)
    credit = mta.preset("marketo_measure_w_shaped").fit_attribute(journeys).credit
    assert credit.tolist() == pytest.approx([0.3, 0.3, 0.1, 0.3, 0])
    credit = mta.preset("hubspot_w_shaped").fit_attribute(journeys).credit
    assert credit.tolist() == pytest.approx([0.3, 0.3, 0.05, 0.3, 0.05])


def test_what_three_products_call_a_u() -> None:
    journeys = with_stages(4, lead=1)

    def credit(name: str) -> list[float]:
        return mta.preset(name).fit_attribute(journeys).credit.tolist()

    assert credit("google_ads_position_based") == pytest.approx([0.4, 0.1, 0.1, 0.4])
    assert credit("hubspot_u_shaped") == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert credit("marketo_measure_u_shaped") == pytest.approx([0.5, 0.5, 0, 0])


def test_milestones_that_journeys_lack_are_refused() -> None:
    plain = mta.Journeys.from_paths([["A", "B"]], [1])
    with pytest.raises(mta.JourneyError, match=r"WShaped needs the milestone 'lead'.*thirds"):
        mta.WShaped().fit(plain)
    assert mta.WShaped("thirds").fit_attribute(plain).credit.sum() == pytest.approx(1)
    with pytest.raises(mta.JourneyError, match="needs the milestone 'close'"):
        mta.FullPath().fit(with_stages(2, lead=0, opportunity=1))
    with pytest.raises(
        mta.JourneyError, match="reach lead or opportunity; none of the 1 journeys does"
    ):
        mta.WShaped().fit(with_stages(2, lead=-1, opportunity=-1))
    # A model fitted on journeys with stages may be used on journeys that reach none.
    fitted = mta.WShaped().fit(with_stages(2, lead=0, opportunity=1))
    credit = fitted.attribute(with_stages(2, lead=-1, opportunity=-1)).credit
    assert credit.tolist() == pytest.approx([0.75, 0.25])


def test_milestones_follow_a_transform() -> None:
    journeys = with_stages(4, lead=1, opportunity=3).transform(("trim", 3))
    credit = mta.WShaped().fit_attribute(journeys).credit  # A is gone; B is first and lead
    assert credit.tolist() == pytest.approx([0, 0.6, 0.1, 0.3])


# Custom rules.


def test_a_function_sees_the_journeys_and_is_scaled() -> None:
    rule = mta.CustomRule(later_counts_more)
    journeys = mta.Journeys.from_paths([["A", "B"], [], ["A"]], [3, 1, 1])
    assert rule.fit_attribute(journeys).credit.tolist() == pytest.approx([2, 2])
    assert rule.touchpoint_credit(journeys).tolist() == pytest.approx([1, 2, 1])


def test_a_function_may_return_an_array_that_it_keeps() -> None:
    own = np.array([1, 3, 5])
    rule = mta.CustomRule(lambda journeys: own)
    rule.fit_attribute(mta.Journeys.from_paths([["A", "B"], ["A"]], [4, 1]))
    assert own.tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda journeys: [1.0], r"shape \(3,\); got the shape \(1,\)"),
        (lambda journeys: "abc", "must return numbers; got str"),
        (lambda journeys: [1.0, -1.0, 1.0], "row 0 of the journeys got -1"),
        (lambda journeys: [1.0, 1.0, np.nan], "row 1 of the journeys got nan"),
        (lambda journeys: [1.0, 1.0, 0.0], "row 1 got only zeros"),
    ],
)
def test_functions_that_return_no_weights(
    weights: Callable[[mta.Journeys], Any], message: str
) -> None:
    journeys = mta.Journeys.from_paths([["A", "B"], ["A"]], [1, 1])
    with pytest.raises(mta.ParameterError, match=message):
        mta.CustomRule(weights).fit_attribute(journeys)


@pytest.mark.parametrize(
    "rule",
    [
        mta.CustomRule([1, -1]),
        mta.CustomRule([0, 0]),
        mta.CustomRule([]),
        mta.CustomRule("abc"),
        mta.CustomRule(3),  # type: ignore[arg-type] # the wrong type is the point
        mta.CustomRule([[1.0]]),  # type: ignore[list-item] # as above
        mta.CustomRule([1], count_from="middle"),
        mta.PositionBased(0.6, 0.5),
        mta.PositionBased(-0.1, 0.5),
        mta.PositionBased(float("nan")),
        mta.PositionBased(True),
        mta.PositionBased("0.4"),  # type: ignore[arg-type] # as above
        mta.PositionBased(no_middle="half"),
        mta.LastNonDirect("Direct"),
        mta.LastNonDirect(()),
        mta.LastNonDirect((1,)),  # type: ignore[arg-type] # as above
        mta.Linear("yes"),  # type: ignore[arg-type] # as above
        mta.WShaped("halves"),
        mta.MilestoneBased({"lead": 1.0}),
        mta.MilestoneBased({"first": 1.0}),
        mta.MilestoneBased({"first": 1.0, "lead": 0.0}),
        mta.MilestoneBased({"first": True, "lead": 1.0}),
        mta.MilestoneBased([0.5, 0.5]),  # type: ignore[arg-type] # as above
        mta.MilestoneBased(U, rest="none"),
        mta.MilestoneBased({"first": 1.0, "demo": 1.0}, milestones="thirds"),
    ],
    ids=repr,
)
def test_invalid_parameters_are_refused_at_fit(rule: Rule) -> None:
    with pytest.raises(mta.ParameterError, match=r"must|got"):
        rule.fit(table([SURE]))


# Presets and participation.


def test_every_preset_is_a_rule_with_a_source() -> None:
    listed = mta.presets()
    assert listed["preset"].is_unique
    assert (listed["source"].str.len() > 0).all()
    journeys = table([SURE])
    needed: dict[str, dict[str, Any]] = {
        "adobe_custom": {"first": 30, "middle": 40, "last": 30},
        "posthog_time_decay": {"lookback": "30d"},
    }
    for name, shown in zip(listed["preset"], listed["rule"], strict=True):
        rule = mta.preset(name, **needed.get(name, {}))
        assert repr(rule) == shown
        assert rule.fit_attribute(journeys).credit.sum() == pytest.approx(2)


def test_presets_take_the_parameters_of_the_product() -> None:
    # PostHog, attribution_weights.py: half-life = window / 4, and at least a day.
    assert repr(mta.preset("posthog_time_decay", lookback="90d")) == "TimeDecay(half_life=22.5)"
    assert repr(mta.preset("posthog_time_decay", lookback="2d")) == "TimeDecay(half_life=1.0)"
    assert repr(mta.preset("adobe_time_decay", half_life="3d")) == "TimeDecay(half_life='3d')"
    # Adobe scales its custom weights to 100% and drops the middle for two touchpoints.
    custom = mta.preset("adobe_custom", first=1, middle=2, last=1)
    journeys = mta.Journeys.from_paths([["A", "B", "C"], ["A", "C"]], [4, 2])
    assert custom.fit_attribute(journeys).credit.tolist() == pytest.approx([2, 2, 2])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("hubspot_u", {}, "Did you mean hubspot_u_shaped"),
        ("hubspot_u_shaped", {"half_life": 3}, "takes no parameters; got half_life"),
        ("posthog_time_decay", {}, "takes lookback; got none"),
        ("adobe_time_decay", {"half_life": 0}, "half_life"),
        ("adobe_custom", {"first": 0, "middle": 0, "last": 0}, "only zeros"),
        ("adobe_custom", {"first": -1, "middle": 1, "last": 1}, "`first` must be a weight >= 0"),
        ("amplitude_last_non_direct", {"direct": "Direct"}, "`direct` must be channel names"),
    ],
)
def test_presets_that_do_not_exist(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        mta.preset(name, **parameters)


@settings(max_examples=30)
@given(many=some_journeys, of=st.sampled_from(["conversions", "value"]))
def test_participation_gives_every_channel_the_whole(many: list[One], of: str) -> None:
    amounts = [one.conversions if of == "conversions" else one.value for one in many]
    expected = [
        sum(amount for one, amount in zip(many, amounts, strict=True) if channel in one.path)
        for channel in CHANNELS
    ]
    shown = mta.participation(table(many), of=of)
    assert shown["channel"].tolist() == list(CHANNELS)
    np.testing.assert_allclose(shown["participation"], expected)
    if sum(amounts):
        np.testing.assert_allclose(shown["share"], np.array(expected) / sum(amounts))


def test_participation_without_an_outcome_has_no_share() -> None:
    shown = mta.participation(mta.Journeys.from_paths([["A"]], [0], [1]))
    assert shown["participation"].tolist() == [0]
    assert pd.isna(shown["share"][0])


def test_codes_of_any_integer_type() -> None:
    for kind in (np.uint8, np.int16, np.uint64):
        journeys = mta.Journeys.from_arrays("AB", np.array([0, 1], dtype=kind), [0, 2], [1])
        assert mta.Linear().fit_attribute(journeys).credit.tolist() == [0.5, 0.5]
        assert mta.LastNonDirect(("B",)).fit_attribute(journeys).credit.tolist() == [1, 0]
