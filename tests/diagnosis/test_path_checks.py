"""Every finding both where it must fire and where it must stay silent."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.timeline import Timeline
from mta_models.diagnosis.exposure_ratios import exposure_before
from mta_models.diagnosis.path_checks import PathContext, phrase
from mta_models.diagnosis.time_checks import TIME_CHECKS

CHANNELS = ("A", "B", "C")


def balanced(
    *, channels: tuple[str, ...] = CHANNELS, conversions: int = 100, nulls: int = 300
) -> mta.Journeys:
    """Every set of channels equally often, the empty one too: only times are missing."""
    sets = [s for k in range(len(channels) + 1) for s in combinations(channels, k)]
    n = len(sets)
    return mta.Journeys.from_paths(sets, [conversions] * n, [nulls] * n, channels=channels)


def diagnose(journeys: mta.Journeys) -> mta.Diagnosis:
    return mta.diagnose(journeys)


def finding(journeys: mta.Journeys, name: str) -> mta.Finding:
    (found,) = [each for each in diagnose(journeys).findings if each.name == name]
    return found


def test_nothing_is_found_where_there_is_nothing() -> None:
    diagnosis = diagnose(balanced())
    assert diagnosis.names == ("no_times",)
    assert set(diagnosis.skipped) == {check.__name__ for check in TIME_CHECKS} | {
        "placebo",
        "lead_test",
    }
    assert set(diagnosis.skipped.values()) == {"it needs the timeline of an event log"}
    assert not diagnosis.experiments
    assert diagnosis.verdict.startswith("Without the timelines of users no channel's effect")
    assert set(diagnosis.silent) == {
        "no_conversions",
        "no_nulls",
        "never_varies",
        "always_together",
        "collinear",
        "unseen_coalitions",
        "untouched",
        "thin_channels",
        "order_matters",
    }


def test_no_conversions() -> None:
    diagnosis = diagnose(balanced(conversions=0))
    assert diagnosis.findings[0].name == "no_conversions"
    assert diagnosis.findings[0].severity == "problem"
    assert "2,400 users" in diagnosis.findings[0].found
    assert "order_matters" in diagnosis.skipped  # Markov's own refusal is the reason
    assert "there must be a conversion" in diagnosis.skipped["order_matters"]


def test_no_nulls() -> None:
    found = finding(balanced(nulls=0), "no_nulls")
    assert found.severity == "problem"
    assert "800 users" in found.found


def test_no_times_is_silent_with_times() -> None:
    journeys = mta.Journeys.from_arrays(["A"], [0], [0, 1, 1], [1, 0], [0, 1], age=[2.0])
    assert "no_times" not in diagnose(journeys).names


def test_a_channel_in_every_journey() -> None:
    paths = [["A"], ["A", "B"], ["B", "A", "A"]]
    found = finding(mta.Journeys.from_paths(paths, [50] * 3, [90] * 3), "never_varies")
    assert (found.severity, found.channels) == ("problem", ("A",))


def test_a_channel_in_no_journey_and_rows_that_count_for_nothing() -> None:
    paths = [["A"], ["B"], [], ["C"]]
    journeys = mta.Journeys.from_paths(paths, [50, 50, 9, 0], [90, 90, 90, 0])
    found = finding(journeys, "never_varies")
    assert (found.severity, found.channels) == ("note", ("C",))


def test_channels_always_together() -> None:
    paths = [["A", "B"], ["B", "C", "A"], ["C"], []]
    journeys = mta.Journeys.from_paths(paths, [50] * 4, [90] * 4)
    found = finding(journeys, "always_together")
    assert found.channels == ("A", "B")
    assert "A with B" in found.found
    assert "collinear" not in diagnose(journeys).names  # said once


def test_collinear_by_nearly_equal_presence() -> None:
    # A without B and B without A one user each in 3,000: correlation near 1.
    paths = [["A", "B"], ["A"], ["B"], ["C"], []]
    journeys = mta.Journeys.from_paths(paths, [500, 1, 1, 100, 100], [500, 0, 0, 800, 900])
    found = finding(journeys, "collinear")
    assert found.channels == ("A", "B")


def test_collinear_numbers_are_those_of_a_regression() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((400, 3)) < 0.5
    table[:, 1] = table[:, 0] ^ (rng.random(400) < 0.01)
    paths = [[CHANNELS[c] for c in np.flatnonzero(row)] for row in table]
    journeys = mta.Journeys.from_paths(paths, np.ones(400), channels=CHANNELS)
    words = finding(journeys, "collinear").found
    x = np.column_stack([np.ones(400), table[:, 1:]]).astype(float)
    left = table[:, 0] - x @ np.linalg.lstsq(x, table[:, 0].astype(float), rcond=None)[0]
    inflation = table[:, 0].var() / left.var()  # 1 / (1 − R²)
    assert f"A ({inflation:.1f} times)" in words
    assert f"{np.linalg.cond(np.corrcoef(table.T.astype(float))) ** 0.5:.1f};" in words


def test_collinear_where_channels_exclude_each_other() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"], ["C"]], [50, 60, 70], [90, 80, 70])
    found = finding(journeys, "collinear")
    assert found.channels == CHANNELS
    assert "over 1,000" in found.found


def test_unseen_coalitions() -> None:
    paths = [["A"], ["A", "B"], ["B", "C"], []]
    found = finding(mta.Journeys.from_paths(paths, [50] * 4, [90] * 4), "unseen_coalitions")
    # {B} and {C}: any larger coalition holds A's users or those of B and C.
    assert found.channels == ("B", "C")
    assert "inside 2 of the 7 coalitions" in found.found


@given(st.lists(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=4), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_unseen_coalitions_are_counted_as_by_hand(paths: list[list[str]]) -> None:
    journeys = mta.Journeys.from_paths(paths, [1] * len(paths))
    met = sorted({name for path in paths for name in path})
    without = [
        set(s)
        for k in range(1, len(met) + 1)
        for s in combinations(met, k)
        if not any(set(path) <= set(s) for path in paths)
    ]
    names = diagnose(journeys).names
    assert ("unseen_coalitions" in names) == bool(without)
    if without:
        found = finding(journeys, "unseen_coalitions").found
        assert f"inside {len(without)} of the {2 ** len(met) - 1} " in found


def test_unseen_coalitions_of_many_channels_are_bounded_instead() -> None:
    names = [f"c{i:02d}" for i in range(20)]
    journeys = mta.Journeys.from_paths([names, []], [50, 5], [50, 90])
    found = finding(journeys, "unseen_coalitions").found
    assert "inside at least 20 of the 1,048,575 coalitions" in found
    assert "or only 15 more" in found


@pytest.mark.parametrize(
    ("conversions", "nulls", "words"),
    [
        ([50, 50, 0], [90, 90, 0], "every user has a touchpoint"),
        ([50, 50, 30], [90, 90, 0], "all 30 journeys without a touchpoint end in a conversion"),
        ([50, 50, 300], [90, 90, 900], "75% of the 400 conversions"),
        ([50, 50, 30], [90, 90, 900], None),
    ],
)
def test_untouched(conversions: list[int], nulls: list[int], words: str | None) -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"], []], conversions, nulls)
    if words is None:
        assert "untouched" not in diagnose(journeys).names
    else:
        assert words in finding(journeys, "untouched").found


def test_thin_channels() -> None:
    paths = [["A"], ["B"], ["A", "B"], []]
    journeys = mta.Journeys.from_paths(paths, [50, 9, 20, 5], [90] * 4)
    found = finding(journeys, "thin_channels")
    assert found.channels == ("B",)
    assert "B (29)" in found.found
    enough = mta.Journeys.from_paths(paths, [50, 10, 20, 5], [90] * 4)
    assert "thin_channels" not in diagnose(enough).names


def test_order_matters() -> None:
    # What follows B depends on what came before it: after A it converts, after C hardly ever.
    # Order 1 forgets that, and lends C half of B's conversions.
    paths = [["A", "B"], ["C", "B"], []]
    journeys = mta.Journeys.from_paths(paths, [400, 40, 10], [40, 400, 100])
    found = finding(journeys, "order_matters")
    assert found.channels[0] in ("A", "C")
    even = mta.Journeys.from_paths(paths, [200, 200, 10], [200, 200, 100])
    assert "order_matters" not in diagnose(even).names


def event_journeys(
    touches: list[list[tuple[float, int]]], conversions: list[float | None], days: float = 30.0
) -> mta.Journeys:
    """One journey a user, observed from day 0 to its conversion or to the end; no lookback."""
    n, sizes = len(touches), [len(each) for each in touches]
    flat = [item for each in touches for item in sorted(each)]
    time = np.array([t for t, _ in flat], dtype=float)
    codes = np.array([c for _, c in flat], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    end = np.array([days if each is None else each for each in conversions])
    converts = np.array([each is not None for each in conversions]).astype(np.int8)
    timeline = Timeline(
        offsets=offsets,
        time=time,
        codes=codes,
        keys=np.arange(len(time)),
        start=np.zeros(n),
        end=np.full(n, days),
        ids=np.arange(n),
    )
    return mta.Journeys(
        channels=("Ads", "Chasing"),
        codes=codes,
        offsets=offsets,
        conversions=converts,
        nulls=(1 - converts).astype(np.int8),
        time=time,
        given_at_risk=end,
        users=np.arange(n),
        end=end,
        timeline=timeline,
    )


def chased(factor: float, seed: int = 0) -> mta.Journeys:
    """Ads fall evenly; Chasing falls `factor` times as often on the day before a conversion."""
    rng = np.random.default_rng(seed)
    touches, conversions = [], []
    for user in range(400):
        end = 20.0 if user % 2 else None
        even = [(t, c) for c in (0, 1) for t in rng.uniform(0, 20, rng.poisson(6))]
        more = rng.uniform(19, 20, rng.poisson(0.3 * (factor - 1)))
        touches.append(even + [(t, 1) for t in more if end])
        conversions.append(end)
    return event_journeys(touches, conversions)


def test_rising_exposure() -> None:
    found = finding(chased(6.0), "rising_exposure")
    assert found.channels == ("Chasing",)
    silent = diagnose(chased(1.0))
    assert "rising_exposure" in silent.silent
    assert "rising_exposure" not in silent.names


def test_exposure_before_a_conversion_is_counted_to_the_next_one() -> None:
    journeys = event_journeys(
        [[(1.0, 0), (9.5, 0), (10.0, 1), (12.0, 1)], [(3.0, 0)], [(0.5, 1)]], [10.0, None, 0.5]
    )
    near, far, near_days, far_days = exposure_before(journeys)
    assert near.tolist() == [1, 2]  # 9.5; 10.0 itself and user 2's 0.5; 12.0 is after
    assert far.tolist() == [0, 0]  # 1.0 lies nine days before
    assert (near_days, far_days) == (1.5, 7.0)


def test_exposure_of_those_never_observed_long_enough_says_nothing() -> None:
    for journeys in (event_journeys([[(0.5, 0)], []], [0.75, None]), event_journeys([[]], [None])):
        assert "more than a day" in diagnose(journeys).skipped["rising_exposure"]


def test_rising_exposure_of_a_channel_met_only_on_the_last_day() -> None:
    # The example's Coupon Site is met minutes before the conversion and at no other time; its
    # Display ads fall by chance and convert few of those who see them.
    log = mta.example_events(8000)
    columns = {name: name for name in ("user", "time", "channel", "conversion", "value")}
    journeys = mta.read_events(log, **columns, lookback="1d")
    found = finding(journeys, "rising_exposure")
    assert "Coupon Site" in found.channels
    assert "Display" not in found.channels
    again = mta.read_events(log, **columns)
    assert finding(again, "rising_exposure").found == found.found  # whatever the lookback


def test_gravest_first_and_everything_in_the_table_and_the_text() -> None:
    journeys = mta.Journeys.from_paths([["A", "B"], ["A", "B", "B"]], [5, 4])
    diagnosis = diagnose(journeys)
    frame, table = diagnosis.to_frame(), diagnosis.to_polars()
    order = ["problem", "caution", "note"]
    assert list(frame["severity"]) == sorted(frame["severity"], key=order.index)
    assert tuple(frame["name"]) == diagnosis.names == tuple(table["name"])
    assert list(frame.columns) == table.columns
    text = " ".join(str(diagnosis).split())
    for each in diagnosis.findings:
        assert f"{each.severity} {each.name}: {each.found}" in text
        assert each.means in text
        assert each.do in text
    assert re.search("Note: .*rising_exposure.* not checked: ", text)
    assert "Nothing found by: " in text
    assert diagnose(balanced()).to_polars().schema == table.schema


def test_an_empty_diagnosis_is_a_table_too() -> None:
    assert mta.Diagnosis(()).to_frame().empty
    assert mta.Diagnosis(()).to_polars().is_empty()
    assert str(mta.Diagnosis(())) == "No findings"


def test_same_answer_for_compressed_and_for_narrow_journeys() -> None:
    rng = np.random.default_rng(1)
    paths = [[CHANNELS[c] for c in rng.integers(0, 3, rng.integers(0, 4))] for _ in range(500)]
    converts = (rng.random(500) < 0.3).astype(np.int8)
    journeys = mta.Journeys.from_paths(paths, converts, 1 - converts, channels=CHANNELS)
    assert diagnose(journeys) == diagnose(journeys.compress())


def test_only_journeys_are_diagnosed() -> None:
    with pytest.raises(mta.JourneyError, match="must be given Journeys; got list"):
        mta.diagnose([["A"]])  # type: ignore[arg-type]


def test_phrases() -> None:
    assert phrase([]) == ""
    assert phrase(["a"]) == "a"
    assert phrase(["a", "b", "c"]) == "a, b and c"
    assert phrase(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_what_is_shared_matches_its_plain_definition() -> None:
    journeys = mta.Journeys.from_paths([["A", "A", "B"], ["A"], [], ["A"]], [1, 2, 3, 4])
    seen = PathContext(journeys)
    assert seen.together.tolist() == [[7, 1], [1, 1]]
    assert seen.n_users == 10
