"""The figures of the page of experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AD, _PLACEBO, _GREY = "#C0392B", "#2C7FB8", "#777777"
# What the second panel counts, its words and colour.
_COUNTS = {
    "last touch": ("credited by\nlast touch", _GREY),
    "by dose": ("credited by\nnumber of ads", _GREY),
    "contrast": ("caused by\nthe ads", _AD),
}
# By whom a channel goes to.
_MARKS = {
    "at random": ("o", _GREY),
    "to likely": ("^", _AD),
    "to unlikely": ("v", _PLACEBO),
    "to likely, Men's not": ("D", "#8E44AD"),
}
# Of the axis, in multiples of what the channel changed.
_LEAST, _MOST = -3.5, 6.5


def placebo(table: pl.DataFrame) -> Figure:
    """Conversion by the number of ads, of the ad and of the placebo; and two counts of the effect.

    Args:
        table: the rows of results/placebo.csv.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    rates, counts = figure.subplots(1, 2, width_ratios=(3, 2))
    rate = table.filter(what="rate")
    doses = rate["ads"].unique(maintain_order=True).to_list()
    for arm, colour, label in (
        ("ad", _AD, "shown the ad"),
        ("placebo", _PLACEBO, "shown a placebo in its place"),
    ):
        of = rate.filter(arm=arm)
        rates.errorbar(
            range(len(doses)),
            100 * of["value"],
            1.96 * 100 * of["standard_error"],
            color=colour,
            marker="o",
            capsize=3,
            label=label,
        )
    rates.set_xticks(range(len(doses)), list(map(in_words, doses)))
    rates.set_xlim(-0.3, len(doses) - 0.7)
    rates.set_ylim(0, None)
    rates.set_xlabel("ads that a person saw")
    rates.set_title("people who convert, %", fontsize=10, loc="left")
    rates.legend(frameon=False, fontsize=9, loc="upper left")

    for place, (what, (_, colour)) in enumerate(_COUNTS.items()):
        row = table.filter(what=what, arm="ad").row(0, named=True)
        half = 1.96 * row["standard_error"]
        counts.bar(place, row["value"], color=colour, width=0.6)
        if half:
            counts.errorbar(place, row["value"], half, color="black", capsize=4)
        above = (place, row["value"] + half)
        counts.annotate(
            f"{row['value']:,.0f}", above, (0, 4), textcoords="offset points", ha="center"
        )
    counts.set_xticks(range(len(_COUNTS)), [words for words, _ in _COUNTS.values()], fontsize=9)
    counts.yaxis.set_major_formatter("{x:,.0f}")
    counts.margins(y=0.12)
    counts.set_title("conversions", fontsize=10, loc="left")
    for ax in (rates, counts):
        _plain(ax, "y")
    return figure


def in_words(ads: str) -> str:
    """A number of ads, "1-4" or ">30"."""
    return ads.replace("-", " to ").replace(">", "more than ")


def trials(table: pl.DataFrame, panels: tuple[tuple[str, str], ...]) -> Figure:
    """What each model credits as a multiple of what the channel changed, by selection.

    Args:
        table: a row for each trial, selection, channel and model: `label`, `ratio` (of the mean
            credit to the trial's answer) and `half_ratio` (of half the answer's 95 % interval).
        panels: trials and channels.
    """
    from matplotlib.figure import Figure

    labels = table["label"].unique(maintain_order=True).to_list()
    figure = Figure(figsize=(10, 0.9 + 0.27 * len(labels)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (trial, channel) in zip(axes, panels, strict=True):
        of = table.filter(trial=trial, channel=channel)
        selections = of["selection"].unique(maintain_order=True).to_list()
        half = of.filter(selection=selections[0])["half_ratio"][0]
        ax.axvspan(1 - half, 1 + half, color="#EEEEEE", linewidth=0)
        ax.axvline(1, color="#999999", linewidth=1)
        ax.axvline(0, color="#CCCCCC", linewidth=1, linestyle=":")
        for selection in selections:
            own, whom = of.filter(selection=selection), _whom(selection, channel)
            mark, colour = _MARKS[whom]
            rows = [labels.index(label) for label in own["label"]]
            shown = np.clip(own["ratio"].to_numpy(), _LEAST, _MOST)
            ax.plot(shown, rows, mark, color=colour, markersize=5, label=whom)
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_xlim(_LEAST, _MOST)
        ax.set_xticks([-2, 0, 1, 2, 4, 6])
        ax.set_title(f"{channel}: {trial.partition(', ')[2]}", fontsize=10, loc="left")
        _plain(ax, "both")
    named = {
        name: handle
        for ax in axes
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        named.values(),
        named,
        loc="outside upper right",
        ncols=len(named),
        frameon=False,
        fontsize=9,
    )
    figure.supxlabel("credit, as a multiple of what the whole trial says", fontsize=10)
    return figure


def _whom(selection: str, channel: str) -> str:
    """The people a channel goes to; in "split" the first goes to unlikely ones."""
    if selection != "split":
        return selection
    return "to unlikely" if channel.startswith("Men") else "to likely, Men's not"


def _plain(ax: Any, axis: str) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=axis, color="#F2F2F2")
    ax.set_axisbelow(True)
