"""The figures of the report as SVG. Each carries the digest of the rows that it was drawn from."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.truth.report_tables import RECOMMENDED, Main, means_along, shown
from mta_models.benchmark import CONTROLS, Results
from mta_models.core import files
from mta_models.reporting.styles import model_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PERCENT = "share error, % of credit on the wrong channel"
_MARK = "drawn from rows "


def digest(file: Path) -> str:
    """Of a file of rows."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def drawn_from(figure: Path) -> str:
    """The digest that a figure carries; empty if there is none."""
    if not figure.exists():
        return ""
    match = re.search(f"{_MARK}([0-9a-f]+)", figure.read_text(encoding="utf-8"))
    return match.group(1) if match else ""


def write(figure: Figure, file: Path, rows: Path) -> None:
    """As SVG, the same bytes each time it is drawn, with its text as text."""
    import matplotlib as mpl

    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "mta_models", "svg.fonttype": "none"}):
        about = {"Date": None, "Creator": None, "Description": _MARK + digest(rows)}
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata=about, bbox_inches="tight", facecolor="white")
    lines = drawn.getvalue().splitlines()
    files.write_text(file, "\n".join(line.rstrip() for line in lines) + "\n")


def _figure(rows: int, columns: int, size: tuple[float, float], **given: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **given)


def heat_map(results: Results) -> Figure:
    """Share error by model and world."""
    main = Main(results)
    models = [*main.models, *CONTROLS]
    errors = np.array(
        [
            [np.nan if error is None else 100 * error for error in main.errors(model).values()]
            for model in models
        ]
    ).T
    figure, ((ax,),) = _figure(1, 1, (10, 0.3 * len(main.worlds) + 1.8))
    ax.imshow(errors, cmap="YlOrRd", vmin=0, vmax=60, aspect="auto")
    for (i, j), value in np.ndenumerate(errors):
        text = "none" if np.isnan(value) else f"{value:.0f}"
        ax.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if value > 42 else "black",
        )
    ax.set_xticks(range(len(models)), [shown(model) for model in models], rotation=40, ha="left")
    ax.set_yticks(range(len(main.worlds)), main.worlds)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.axvline(len(main.models) - 0.5, color="white", linewidth=4)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel(f"{_PERCENT}, mean of {main.seeds} seeds; the last three columns are controls")
    return figure  # type: ignore[no-any-return]


def strength(results: Results) -> Figure:
    """Share error against strength, a panel per world."""
    return _lines(results, "strength", "strength of the mechanism", log=False)


def size(results: Results) -> Figure:
    """Share error against the number of users, a panel per world."""
    return _lines(results, "n_users", "users in the log", log=True)


def _lines(results: Results, column: str, label: str, *, log: bool) -> Figure:
    means = means_along(results, column)
    worlds = means["world"].unique(maintain_order=True).to_list()
    columns = min(3, len(worlds))
    n_rows = -(-len(worlds) // columns)
    figure, axes = _figure(n_rows, columns, (10, 0.8 + 2.7 * n_rows), sharey=True, sharex=True)
    models = [m for m in means["model"].unique(maintain_order=True).to_list() if m != "Oracle"]
    styles = _styles(models)
    for ax, world in zip(axes.flat, worlds, strict=False):
        for model in models:
            own = means.filter(world=world, model=model).sort(column)
            ax.plot(own[column], 100 * own["mean"], **styles[model], label=shown(model))
        ax.set_title(world, fontsize=10, loc="left")
        if log:
            _log_users(ax, means[column])
        else:
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        _plain(ax)
    axes.flat[0].set_ylim(0, None)
    figure.supxlabel(f"{label}; {_seeds(results, models)}", fontsize=10)
    figure.supylabel("share error, %", fontsize=10)
    _legend(figure, axes)
    return figure  # type: ignore[no-any-return]


def coverage(results: Results) -> Figure:
    """How often 50, 80 and 95 % intervals hold the truth, a panel per world; large logs solid.

    The legend has each model's number of seeds: models with few seeds were tuned on these.
    """
    import polars as pl

    held = results.table.filter(~pl.col("model").is_in(CONTROLS))
    seeds = dict(held.group_by("model").agg(pl.col("seed").n_unique()).iter_rows())
    worlds = held["world"].unique(maintain_order=True).to_list()
    models = held["model"].unique(maintain_order=True).to_list()
    sizes = sorted(held["n_users"].unique().to_list())
    probs, styles = (50, 80, 95), _styles(models)
    figure, axes = _figure(1, len(worlds), (2.4 * len(worlds), 3.4), sharey=True)
    for ax, world in zip(axes.flat, worlds, strict=True):
        ax.plot([0, 100], [0, 100], color="#BBBBBB", linewidth=1)
        for model in models:
            for n_users in sizes:
                own = held.filter(world=world, model=model, n_users=n_users)
                if not own["coverage_50"].count():
                    continue
                held_by = [100 * own[f"coverage_{prob}"].mean() for prob in probs]  # type: ignore[operator]  # of a polars mean
                large = n_users == sizes[-1]
                ax.plot(
                    probs,
                    held_by,
                    **styles[model] | {"linestyle": "-" if large else ":"},
                    label=f"{shown(model)}, {seeds[model]} seeds" if large else None,
                )
        ax.set_title(world, fontsize=10, loc="left")
        ax.set_xticks(probs)
        ax.set_xlim(45, 100)
        ax.set_ylim(-2, 102)
        _plain(ax)
    lines = f"interval, %; solid {sizes[-1]:,} users, dotted {sizes[0]:,}"
    figure.supxlabel(lines + _not_run(models), fontsize=10)
    figure.supylabel("holds the truth, %", fontsize=10)
    _legend(figure, axes)
    return figure  # type: ignore[no-any-return]


def cost(results: Results) -> Figure:
    """Seconds and peak memory of one fit against users, medians over worlds and seeds."""
    import polars as pl

    held = results.table.filter(~pl.col("model").is_in(CONTROLS))
    medians = held.group_by("n_users", "model", maintain_order=True).agg(
        pl.col("seconds").median(), pl.col("peak_mb").median()
    )
    models = medians["model"].unique(maintain_order=True).to_list()
    figure, axes = _figure(1, 2, (10, 3.4))
    styles = _styles(models)
    words = {
        "seconds": "seconds, one fit and its credits",
        "peak_mb": "peak memory, MB (fits up to a second)",
    }
    for ax, column in zip(axes.flat, words, strict=True):
        for model in models:
            own = medians.filter(model=model).sort("n_users")
            ax.plot(own["n_users"], own[column], **styles[model], label=shown(model))
        _log_users(ax, medians["n_users"])
        ax.set_yscale("log")
        ax.set_title(words[column], fontsize=10, loc="left")
        _plain(ax)
    figure.supxlabel(f"users in the log; {_seeds(results, models, 'medians')}", fontsize=10)
    _legend(figure, axes)
    return figure  # type: ignore[no-any-return]


def _styles(models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The line style of each model, in the colour that the model has in every figure."""
    lines = {
        model: style | {"markersize": 4, "linestyle": "-"}
        for model, style in model_styles(m for m in models if m not in CONTROLS).items()
    }
    for model in models:
        if model in CONTROLS:
            line = "--" if model == "Uniform" else ":"
            lines[model] = {"color": "#777777", "linestyle": line}
    return lines


def _seeds(results: Results, models: Sequence[str], what: str = "means") -> str:
    """How many seeds were run, and which recommended models were not run at all."""
    return f"{what} of {Main(results).seeds} seeds{_not_run(models)}"


def _not_run(models: Sequence[str]) -> str:
    missing = [model for model in RECOMMENDED if model not in models]
    return f"; not run: {', '.join(missing)}" if missing else ""


def _log_users(ax: Any, sizes: Any) -> None:
    """A logarithmic axis with the sizes that were run."""
    ticks = sorted(set(sizes))
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{n // 1000}k" if n >= 1000 else str(n) for n in ticks])
    ax.minorticks_off()


def _plain(ax: Any) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="y", color="#EEEEEE")
    ax.set_axisbelow(True)


def _legend(figure: Any, axes: Any) -> None:
    # A model that refuses one world is drawn in another panel.
    named: dict[str, Any] = {}
    for ax in axes.flat:
        handles, labels = ax.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(
        named.values(), named.keys(), loc="outside right upper", frameon=False, fontsize=9
    )


# The file of each figure, the suite that it is drawn from, and how.
FIGURES: dict[str, tuple[str, Callable[[Results], Figure]]] = {
    "error": ("main", heat_map),
    "strength": ("strength", strength),
    "size": ("size", size),
    "coverage": ("intervals", coverage),
    "cost": ("size", cost),
}
