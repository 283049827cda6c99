"""Pictures of results: functions of a result and an `ax` that draw and compute nothing else.

Every function draws on `ax` (None: the current axes) and returns it. The title says what is drawn;
`ax.set_title` replaces it. A figure without a layout engine gets the one called "tight", so that
`savefig` cuts off no name. A model has the same colour in every picture, and so does a channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import BASELINE, Attribution
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.errors import JourneyError
from mta_models.reporting.styles import COLOURS as COLOURS
from mta_models.reporting.styles import MARKERS as MARKERS
from mta_models.reporting.styles import channel_styles, model_styles

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

    from mta_models.analysis.comparison import Comparison
    from mta_models.analysis.reading_sensitivity import Sensitivity
    from mta_models.data.journeys import Journeys
    from mta_models.data.timeline import Timeline

_PALE, _LINE, _BASELINE_COLOUR = "#E6E6E6", "#BBBBBB", "#444444"
_MOST_STATES = 12  # of a chain; the arrows of more states could not be read


def credits(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Credit by model: a row per channel, a mark per model.

    Channels are sorted by their mean credit; a grey line spans the models. The baseline is the last
    row; it is left out if no model has one.

    Args:
        comparison: a comparison of any models.
        ax: the axes to draw on; None: the current ones.
    """
    axes = _axes(ax)
    credit, names = comparison.credit, list(comparison.channels)
    rows = np.argsort(-credit.mean(axis=1), kind="stable")
    credit, names = credit[rows], [names[row] for row in rows]
    baseline = np.array([each.baseline for each in comparison.attributions.values()])
    if baseline.any():
        credit, names = np.vstack([credit, baseline]), [*names, BASELINE]
    place = np.arange(len(names))
    axes.hlines(place, credit.min(axis=1), credit.max(axis=1), colors=_LINE, linewidth=2, zorder=1)
    styles = _styles(comparison.attributions)
    for i, label in enumerate(comparison.attributions):
        # Later marks are smaller, so that marks of models that agree all stay visible.
        size = 90 - 50 * i / max(credit.shape[1] - 1, 1)
        axes.scatter(
            *(credit[:, i], place),
            s=size,
            label=label,
            edgecolors="white",
            linewidths=0.6,
            **styles[label],
        )
    _rows(axes, names, comparison.of)
    axes.set_title("Credit by model")
    return _finished(axes, legend=True)


def intervals(
    attributions: Attribution | Mapping[str, Attribution],
    ax: Axes | None = None,
    *,
    prob: float = 0.95,
    holds: str | None = None,
) -> Axes:
    """Credit with its central interval over the draws: a row per channel, a mark per result.

    Channels are sorted by the first result's credit. The baseline is the last row; it is left out
    if no result has one. The text under the axis says what the intervals cover.

    Args:
        attributions: a result with draws, or several results of the same channels, by label.
        ax: the axes to draw on; None: the current ones.
        prob: probability inside the interval, between 0 and 1.
        holds: the uncertainty that the intervals cover, as in `Attribution.interval`.

    Raises:
        MTAError: a result has no draws, or none that cover what `holds` asks for.
    """
    axes = _axes(ax)
    several = {"": attributions} if isinstance(attributions, Attribution) else dict(attributions)
    first = next(iter(several.values()))
    rows = np.argsort(-first.credit, kind="stable")
    names = [first.channels[row] for row in rows]
    bounds = {
        label: np.vstack([each.interval(prob, holds)[rows], each.baseline_interval(prob, holds)])
        for label, each in several.items()
    }
    with_baseline = any(each.baseline or bounds[label][-1].any() for label, each in several.items())
    names = [*names, BASELINE] if with_baseline else names
    n = len(names)
    styles = _styles(several)
    for i, (label, each) in enumerate(several.items()):
        place = np.arange(n) + 0.6 * ((i + 0.5) / len(several) - 0.5)
        low, high = bounds[label][:n].T
        style = styles[label]
        axes.hlines(place, low, high, colors=style["color"], linewidth=2)
        credit = np.append(each.credit[rows], each.baseline)[:n]
        axes.scatter(credit, place, s=22, label=label or None, **style)
    _rows(axes, names, first.of)
    axes.set_title(f"Credit, {prob:.0%} intervals")
    # From the right, so that long names on the left do not push it out of the figure.
    lines = [_unit(first.of), *_coverage(several, holds)]
    axes.set_xlabel("\n".join(lines), loc="right", fontsize="small")
    return _finished(axes, legend=len(several) > 1)


def sensitivity(result: Sensitivity, ax: Axes | None = None) -> Axes:
    """Credit by lookback: a line per channel, dashed for the baseline, named at its right end.

    Lines of the first session setting are the widest; those of later settings are thinner.

    Args:
        result: of `mta.sensitivity`, for any model.
        ax: the axes to draw on; None: the current ones.
    """
    axes = _axes(ax)
    lookbacks = list(dict.fromkeys(lookback for lookback, _ in result.attributions))
    sessions = list(dict.fromkeys(session for _, session in result.attributions))
    names = [*result.channels, BASELINE]
    ends = np.zeros(len(names))
    colours = {name: style["color"] for name, style in channel_styles(result.channels).items()}
    colours[BASELINE] = _BASELINE_COLOUR
    for i, session in enumerate(sessions):
        results = [result.attributions[lookback, session] for lookback in lookbacks]
        credit = np.array([np.append(each.credit, each.baseline) for each in results])
        ends = credit[-1] if i == 0 else ends
        for row, line in enumerate(credit.T):
            style = "--" if row == len(names) - 1 else "-"
            axes.plot(line, style, color=colours[names[row]], linewidth=2 / (i + 1))
    low, high = axes.get_ylim()
    places = _spread(ends, (high - low) / max(22, len(names)))
    places -= max(places.max() - high, 0)
    places += max(low - places.min(), 0)  # inside the axes, or the layout makes them small
    size = min(_text_size(axes, len(names)), 8)
    for name, y in zip(names, places, strict=True):
        where = (len(lookbacks) - 1 + 0.04 * len(lookbacks), y)
        axes.text(*where, name, color=colours[name], va="center", fontsize=size)
    words = ["unlimited" if each is None else str(each) for each in lookbacks]
    axes.set_xticks(range(len(lookbacks)), words)
    axes.set_xlabel("lookback")
    first = next(iter(result.attributions.values()))
    axes.set_ylabel(_unit(first.of))
    axes.yaxis.set_major_formatter(_thousands)
    axes.set_ylim(bottom=min(low, 0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"Credit by lookback: {first.model.removesuffix('()')}")
    return _finished(axes)


def timelines(journeys: Journeys, users: Sequence[int], ax: Axes | None = None) -> Axes:
    """Some users' touchpoints, and the journeys they were cut into: a row per user.

    A band is a journey, from the start of its time at risk to its end: blue if it ends in a
    conversion, else grey. Dots are touchpoints; a hollow dot is not in the journey, for example
    because it is older than the lookback. A star is a conversion.

    Args:
        journeys: journeys of an event log.
        users: a few codes of users, as in `journeys.users`.
        ax: the axes to draw on; None: the current ones.

    Raises:
        JourneyError: the journeys have no timeline.
    """
    line = journeys.timeline
    if line is None or journeys.users is None or journeys.end is None or journeys.at_risk is None:
        raise JourneyError(
            "journeys must have a timeline, for the timelines of users to be drawn; these do not. "
            "Read an event log with read_events, without compress"
        )
    axes = _axes(ax)
    styles = [channel_styles(journeys.channels)[name] for name in journeys.channels]
    for place, user in enumerate(users):
        rows = np.flatnonzero(journeys.users == user)
        end, converts = journeys.end[rows], journeys.conversions[rows] > 0
        for stop, days, converted in zip(end, journeys.at_risk[rows], converts, strict=True):
            colour = "#CFE3F1" if converted else _PALE
            band = [(stop - days, days)]
            axes.broken_barh(band, (place - 0.38, 0.76), facecolors=colour, edgecolors="white")
        axes.scatter(end[converts], np.full(converts.sum(), place), s=150, **_STAR)
        _dots(axes, journeys, line, user, place, styles)
    met = np.unique(np.concatenate([line.codes[_span(line, user)] for user in users]))
    for code in met.tolist():
        axes.scatter([], [], s=34, label=journeys.channels[code], **styles[code])
    axes.scatter([], [], s=110, label="conversion", **_STAR)
    axes.set_yticks(range(len(users)), [f"user {line.user_ids[user]}" for user in users])
    axes.set_ylim(len(users) - 0.5, -0.5)
    axes.set_xlabel("days since the log began")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Users' journeys")
    return _finished(axes, legend=True)


_STAR: dict[str, Any] = {"marker": "*", "color": "black", "edgecolors": "white", "zorder": 3}


def _dots(
    axes: Axes,
    journeys: Journeys,
    line: Timeline,
    user: int,
    place: int,
    styles: Sequence[Mapping[str, Any]],
) -> None:
    """A user's touchpoints; those that no journey keeps are hollow."""
    span = _span(line, user)
    codes, time = line.codes[span], line.time[span]
    kept: Mask = np.ones(len(codes), dtype=bool)
    if line.keys is not None and journeys.keys is not None:
        kept = np.isin(line.keys[span], journeys.keys)
    for code in np.unique(codes).tolist():
        for mask, filled in ((kept, {}), (~kept, {"facecolors": "white"})):
            at = time[mask & (codes == code)]
            axes.scatter(at, np.full(len(at), place), s=34, **styles[code] | filled)


def _span(line: Timeline, user: int) -> slice:
    return slice(int(line.offsets[user]), int(line.offsets[user + 1]))


def chain(graph: nx.DiGraph[Any], ax: Axes | None = None, *, at_least: float = 0.05) -> Axes:
    """A fitted chain: from the start on the left to the conversion and the null on the right.

    Channels stand on a ring. Their size shows their removal effect; the width of an arrow shows its
    probability. If there are more than twelve states (many channels, or an order above 1), the
    twelve with the largest removal effect are drawn, and the title says so.

    Args:
        graph: the result of `Markov.to_graph()`.
        ax: the axes to draw on; None: the current ones.
        at_least: minimum probability of the arrows that are drawn.
    """
    import networkx as nx

    axes = _axes(ax)
    kinds = nx.get_node_attributes(graph, "kind")
    middle = [node for node, kind in kinds.items() if kind == "channels"]
    effect = nx.get_node_attributes(graph, "removal_effect")
    middle.sort(key=lambda node: -effect[node])
    n_states = len(middle)
    middle = middle[:_MOST_STATES]
    angle = np.pi - 2 * np.pi * np.arange(len(middle)) / max(len(middle), 1)
    ring = zip(np.cos(angle).tolist(), np.sin(angle).tolist(), strict=True)
    at: dict[Any, tuple[float, float]] = dict(zip(middle, ring, strict=True))
    at |= {(): (-1.7, 0.0), "conversion": (1.7, 0.45), "null": (1.7, -0.45)}
    sizes = {node: 700 + 3000 * float(effect[node] or 0.0) for node in graph}
    ends = {"start": "#F2F2F2", "conversion": COLOURS[2], "null": _LINE, "channels": "#A9CDE6"}
    order = [node for node in graph if node in at]
    size = [sizes[node] for node in order]
    colours = [ends[kinds[node]] for node in order]
    nx.draw_networkx_nodes(graph, at, order, size, colours, ax=axes, edgecolors="#777777")
    for node in order:
        # Below the node, because a long name does not fit into its circle.
        below = -(sizes[node] ** 0.5 / 2 + 2)
        axes.annotate(
            _wrapped(graph.nodes[node]["label"]),
            at[node],
            xytext=(0, below),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9 if len(middle) <= _MOST_STATES // 2 else 7,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
        )
    edges: list[tuple[Any, Any, float]] = list(graph.edges(data="probability"))
    shown = [each for each in edges if each[2] >= at_least and each[0] in at and each[1] in at]
    nx.draw_networkx_edges(
        graph,
        at,
        [(left, right) for left, right, _ in shown],
        width=[0.4 + 6 * chance for *_, chance in shown],
        edge_color="#55555588",
        connectionstyle="arc3,rad=0.12",
        nodelist=order,
        node_size=size,
        ax=axes,
    )
    axes.margins(0.08)
    axes.set_axis_off()
    title = f"Steps of probability {at_least:g} or more"
    if n_states > len(middle):
        title += f"; {len(middle)} of {n_states} states, by removal effect"
    axes.set_title(title)
    return _finished(axes)


def _axes(ax: Axes | None) -> Axes:
    from matplotlib import pyplot

    return pyplot.gca() if ax is None else ax


def _styles(attributions: Mapping[str, Attribution]) -> dict[str, dict[str, Any]]:
    """The style of each result, by its model, or by its label if two results have one model."""
    models = [each.model for each in attributions.values()]
    names = models if len(set(models)) == len(models) else list(attributions)
    styles = model_styles(names)
    return {label: styles[name] for label, name in zip(attributions, names, strict=True)}


def _finished(axes: Axes, *, legend: bool = False) -> Axes:
    """The axes, with a legend beside the data and a layout that cuts nothing off."""
    if legend:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    figure = axes.figure.figure
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("tight")
    return axes


def _thousands(value: float, place: float = 0.0) -> str:
    """A tick's label: 12,500 or 0.25."""
    return f"{value:,.10g}"


def _rows(axes: Axes, names: Sequence[str], of: str) -> None:
    """One row per name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color=_LINE, linewidth=1, zorder=0)  # credit of 0
    axes.set_xlabel(_unit(of))
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="x", color=_PALE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=_text_size(axes, len(names)))


def _text_size(axes: Axes, n_lines: int) -> float:
    """Points of a text of which `n_lines` lines fit into the height of the axes; 4 to 10."""
    height = 72 * axes.figure.figure.get_figheight() * axes.get_position().height
    return float(np.clip(0.75 * height / n_lines, 4, 10))


def _wrapped(label: str) -> str:
    """A state's name in short lines: a new one for each channel, long names cut at spaces."""
    steps = label.split(" > ")
    return " >\n".join("\n".join(wrap(step, 14, break_long_words=False)) for step in steps)


def _coverage(several: Mapping[str, Attribution], holds: str | None) -> list[str]:
    """Lines that say what intervals cover; with the labels where they cover different things."""
    words = {label: each.covered_by(holds) for label, each in several.items()}
    if len(set(words.values())) == 1:
        words = {"Intervals": next(iter(words.values()))}
    texts = (f"{label}: {text}" for label, text in words.items())
    return [line for text in texts for line in wrap(text, 70)]


def _unit(of: str) -> str:
    return f"{of} credited"


def _spread(values: Floats, gap: float) -> Floats:
    """Positions closest to the values, in the same order and at least `gap` from each other."""
    from scipy.optimize import isotonic_regression

    order: Ints = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    places = np.empty(len(values))
    places[order] = isotonic_regression(values[order] - steps).x + steps
    return places
