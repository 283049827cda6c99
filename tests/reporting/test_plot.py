"""Pictures show the numbers of the results they are drawn from, and no others."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.reporting import plot
from mta_models.reporting.styles import channel_styles, model_styles

matplotlib.use("Agg")
from matplotlib import colors, pyplot  # after the backend is chosen

COLUMNS = {"user": "user", "time": "day", "channel": "channel", "conversion": "bought"}


@pytest.fixture
def ax():
    figure, axes = pyplot.subplots()
    yield axes
    figure.canvas.draw()  # whatever was put on the axes can be drawn
    pyplot.close(figure)


@pytest.fixture
def journeys():
    paths = [["Search", "Email"], ["Email"], ["Display", "Search"], []]
    return mta.Journeys.from_paths(paths, [40, 20, 6, 10], nulls=[60, 90, 30, 100])


@pytest.fixture
def log():
    return pl.DataFrame(
        {
            "user": ["a", "a", "a", "a", "b", "b"],
            "day": [0, 30, 40, 50, 10, 60],
            "channel": ["TV", "Search", None, "TV", "Search", None],
            "bought": [0, 0, 1, 0, 0, 1],
        }
    )


def points(collection) -> list[tuple[float, float]]:
    return [tuple(point) for point in np.asarray(collection.get_offsets()).tolist()]


def row_names(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def marks(axes):
    """Point sets by label, those that only stand for a legend's entry left out."""
    return {each.get_label(): each for each in axes.collections if len(each.get_offsets())}


def test_credits_has_a_mark_per_model_where_its_credit_is(ax, journeys):
    comparison = mta.compare(["FirstTouch", "Markov"], journeys)
    assert mta.plot.credits(comparison, ax) is ax
    names = row_names(ax)
    assert names[-1] == "(baseline)"
    mean = comparison.to_frame().mean(axis=1)
    assert names[:-1] == mean.drop("(baseline)").sort_values(ascending=False).index.tolist()
    for label, credit in comparison.to_frame().items():
        drawn = {names[round(y)]: x for x, y in points(marks(ax)[label])}
        assert drawn == pytest.approx(credit.to_dict())
    assert ax.get_xlabel() == "conversions credited"


def test_credits_leaves_out_a_baseline_that_nobody_has(ax):
    journeys = mta.Journeys.from_paths([["A"], ["B"]], conversions=[2, 1])
    mta.plot.credits(mta.compare(["LastTouch"], journeys), ax)
    assert row_names(ax) == ["A", "B"]


def test_intervals_are_those_of_the_draws(ax, journeys):
    drawn = mta.bootstrap(mta.LastTouch(), journeys, n_draws=40, random_state=0)
    mta.plot.intervals(drawn, ax, prob=0.8)
    names = row_names(ax)
    table = drawn.to_frame(prob=0.8).set_index("channel")
    bars = next(each for each in ax.collections if hasattr(each, "get_segments"))
    for (low, y), (high, _) in bars.get_segments():
        row = table.loc[names[round(y)]]
        assert (low, high) == pytest.approx((row["lower"], row["upper"]))
    credit = {names[round(y)]: x for each in marks(ax).values() for x, y in points(each)}
    assert credit == pytest.approx(table["credit"].to_dict())


def test_intervals_of_several_results_stand_apart_in_their_row(ax, journeys):
    models = {"last": mta.LastTouch(), "first": mta.FirstTouch()}
    drawn = {
        label: mta.bootstrap(model, journeys, n_draws=10, random_state=0)
        for label, model in models.items()
    }
    mta.plot.intervals(drawn, ax)
    heights = {label: sorted(y for _, y in points(each)) for label, each in marks(ax).items()}
    rows = np.arange(4)
    np.testing.assert_allclose(heights["last"], rows - 0.15)
    np.testing.assert_allclose(heights["first"], rows + 0.15)


def test_intervals_without_draws_are_refused(ax, journeys):
    with pytest.raises(mta.MTAError, match="needs draws"):
        mta.plot.intervals(mta.LastTouch().fit_attribute(journeys), ax)


def test_sensitivity_has_a_line_per_channel_and_session(ax, log):
    found = mta.sensitivity(
        "Linear", log, lookbacks=["5d", "15d", None], sessions=[None, "30d"], **COLUMNS
    )
    mta.plot.sensitivity(found, ax)
    table = found.to_frame().pivot_table("credit", "lookback", ["session", "channel"])
    table = table.loc[["5d", "15d", "unlimited"]]
    drawn = sorted(line.get_ydata().tolist() for line in ax.lines)
    assert drawn == sorted(column.tolist() for _, column in table.items())
    assert [each.get_text() for each in ax.get_xticklabels()] == table.index.tolist()
    assert {each.get_text() for each in ax.texts} == {"Search", "TV", "(baseline)"}


def test_names_keep_their_distance_and_their_order():
    values = np.array([5.0, 1.0, 1.0, 20.0, 1.5])
    apart = plot._spread(values, 2.0)
    rising = np.sort(apart)
    assert np.diff(rising).min() >= 2 - 1e-12
    assert apart[3] == 20  # who has room stays
    assert np.all(np.diff(apart[np.argsort(values, kind="stable")]) > 0)
    np.testing.assert_allclose(apart.mean(), values.mean())


def test_timelines_show_journeys_touchpoints_and_what_the_lookback_left_out(ax, log):
    journeys = mta.read_events(log, lookback="20d", **COLUMNS)
    mta.plot.timelines(journeys, [1, 0], ax)
    assert row_names(ax) == ["user b", "user a"]
    spans = {
        (path.vertices[:, 0].min(), path.vertices[:, 0].max(), round(path.vertices[:, 1].mean()))
        for each in ax.collections
        for path in each.get_paths()
        if _is_band(each)
    }
    # a bought on day 40 and was seen to the end of the log, day 60, with a TV ad on the way.
    assert spans == {(0, 60, 0), (0, 40, 1), (40, 60, 1)}
    hollow, filled = set(), set()
    for each in ax.collections:
        white = _is_white(each)
        for point in points(each) if not _is_band(each) else []:
            (hollow if white else filled).add(point)
    assert hollow == {(0, 1), (10, 0)}  # TV 40 and Search 50 days before the conversion
    assert filled == {(30, 1), (50, 1), (40, 1), (60, 0)}


def _is_band(collection) -> bool:
    return type(collection).__name__ in {"PolyCollection", "FillBetweenPolyCollection"}


def _is_white(collection) -> bool:
    faces = collection.get_facecolors()
    return len(faces) > 0 and colors.same_color(faces[0], "white")


def test_timelines_need_a_timeline(ax, journeys):
    with pytest.raises(mta.JourneyError, match="journeys must have a timeline, for"):
        mta.plot.timelines(journeys, [0], ax)


def test_chain_draws_its_states_and_its_likely_arrows(ax, journeys):
    graph = mta.Markov().fit(journeys).to_graph()
    mta.plot.chain(graph, ax, at_least=0.3)
    labels = {each.get_text() for each in ax.texts}
    assert labels == {"start", "Display", "Email", "Search", "conversion", "null"}
    likely = [each for *_, each in graph.edges(data="probability") if each >= 0.3]
    assert len(ax.patches) == len(likely) < graph.number_of_edges()
    widths = sorted(each.get_linewidth() for each in ax.patches)
    np.testing.assert_allclose(widths, sorted(0.4 + 6 * each for each in likely))


def drawings(journeys, log):
    """Every picture, by name, to be drawn on axes."""
    drawn = mta.bootstrap(mta.LastTouch(), journeys, n_draws=10, random_state=0)
    reading = mta.sensitivity("Linear", log, lookbacks=["5d", None], **COLUMNS)
    timed = mta.read_events(log, lookback="20d", **COLUMNS)
    return {
        "credits": lambda ax: plot.credits(mta.compare(["Linear", "Markov"], journeys), ax),
        "intervals": lambda ax: plot.intervals({"a": drawn, "b": drawn}, ax),
        "sensitivity": lambda ax: plot.sensitivity(reading, ax),
        "timelines": lambda ax: plot.timelines(timed, [0, 1], ax),
        "chain": lambda ax: plot.chain(mta.Markov().fit(journeys).to_graph(), ax),
    }


@pytest.mark.parametrize("name", ["credits", "intervals", "sensitivity", "timelines", "chain"])
def test_a_plain_savefig_cuts_nothing_off(name):
    channels = ["a channel with a very long name indeed", "Search", "Email"]
    journeys = mta.Journeys.from_paths([channels, channels[1:], []], [4, 3, 2], nulls=[9, 9, 9])
    log = pl.DataFrame(
        {
            "user": ["a", "a", "b"],
            "day": [0, 40, 60],
            "channel": ["a channel with a very long name indeed", None, "TV"],
            "bought": [0, 1, 0],
        }
    )
    figure, axes = pyplot.subplots(figsize=(6, 3))
    drawings(journeys, log)[name](axes)
    figure.canvas.draw()
    inner, outer = axes.get_tightbbox(), figure.bbox
    assert inner.x0 >= outer.x0 - 1
    assert inner.y0 >= outer.y0 - 1
    assert inner.x1 <= outer.x1 + 1
    assert inner.y1 <= outer.y1 + 1
    assert axes.get_title()
    legend = axes.get_legend()
    if legend is not None:
        assert legend.get_window_extent().x0 >= axes.get_window_extent().x1 - 1
    pyplot.close(figure)


def test_a_figure_keeps_its_own_layout_engine(journeys):
    figure, axes = pyplot.subplots(layout="constrained")
    engine = figure.get_layout_engine()
    plot.credits(mta.compare(["Linear"], journeys), axes)
    assert figure.get_layout_engine() is engine
    pyplot.close(figure)


def test_colours_follow_the_model_and_the_channel_not_their_places():
    labels = ["Hazard", "Markov", "LastTouch", "Markov(order=3)", "SelfControlled(lag='12h')"]
    styles = model_styles(labels)
    assert styles == model_styles(labels[::-1])
    assert styles["Hazard"] == model_styles(["Hazard"])["Hazard"]
    assert len({style["color"] for style in styles.values()}) == len(labels)
    alone = model_styles(["Markov(order=3)"])["Markov(order=3)"]
    assert alone == model_styles(["Markov"])["Markov"]  # a variant alone has its class's colour
    names = [f"channel {i}" for i in range(12)]
    colours = channel_styles(names)
    assert colours == channel_styles(names[::-1])
    assert len({style["color"] for style in colours.values()}) == len(names)
    assert len(channel_styles([f"channel {i}" for i in range(30)])) == 30


def test_intervals_say_what_they_hold(ax, journeys):
    drawn = mta.bootstrap(mta.LastTouch(), journeys, n_draws=10, random_state=0)
    plot.intervals(drawn, ax)
    assert ax.get_title() == "Credit, 95% intervals"
    sampling = "sampling only: chance in who was observed, not bias"
    assert ax.get_xlabel() == f"conversions credited\nIntervals: {sampling}"
    bias = "sampling, and bias as far as lift tests identify it"
    with_bias = replace(
        drawn,
        interval_holds=bias,
        sampling_draws=drawn.draws,
        sampling_baseline_draws=drawn.baseline_draws,
    )
    both = {"a": with_bias, "b": drawn}
    assert plot.intervals(both).get_xlabel() == (f"conversions credited\na: {bias}\nb: {sampling}")
    same = plot.intervals(both, holds="sampling")
    assert same.get_xlabel() == f"conversions credited\nIntervals: {sampling}"


def test_numbers_have_their_thousands_apart():
    assert [plot._thousands(x) for x in (12_500, 0.25, -3, 1e6)] == [
        *("12,500", "0.25", "-3", "1,000,000")
    ]


def test_a_chain_of_many_states_draws_twelve_and_says_so(ax):
    rng = np.random.default_rng(0)
    paths = [[f"c{code}" for code in rng.integers(0, 30, 3)] for _ in range(200)]
    journeys = mta.Journeys.from_paths(paths, conversions=[1] * 200, nulls=[1] * 200)
    plot.chain(mta.Markov().fit(journeys).to_graph(), ax, at_least=0.0)
    assert len(ax.texts) == 12 + 3
    assert ax.get_title().endswith("; 12 of 30 states, by removal effect")


def test_the_current_axes_are_drawn_on_where_none_are_given(ax, journeys):
    assert mta.plot.credits(mta.compare(["LastTouch"], journeys)) is ax
