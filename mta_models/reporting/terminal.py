"""Results as tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from mta_models.analysis.comparison import Comparison
from mta_models.attribution import ESTIMANDS, Attribution, meanings
from mta_models.benchmark.controls import CONTROLS
from mta_models.core.tables import Block, Entries, Table, printable
from mta_models.models.names import model_from_name

if TYPE_CHECKING:
    from mta_models.benchmark.results import Results
    from mta_models.data.journeys import Journeys
    from mta_models.models.incremental.one_answer.verdict import ChannelVerdict

_NARROWEST = 40
_AS_PERCENT = ("total_variation", "total_variation_removal", "share_mae", "budget_regret")
_TITLES = {
    "total_variation": "Share error: the part of all credit that is on the wrong channel",
    "budget_regret": "Budget regret: conversions lost by moving the budget by the credit, not by "
    "the truth",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command report it; rich would exit without a message."""
        raise BrokenPipeError


def console() -> Console:
    """A console on standard output that prints any channel name in any encoding."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    out = _Console(highlight=False, markup=False, emoji=False)
    out.width = max(out.width, _NARROWEST)  # a longer line wraps; a cut number would be wrong
    return out


def show_journeys(out: Console, journeys: Journeys, source: str) -> None:
    """Print what was read and what was set aside."""
    untouched = journeys.outcome("conversions")[journeys.lengths == 0].sum()
    nulls = journeys.nulls.sum(dtype=np.float64)
    report = journeys.report
    rows = None if report is None else report.read.get("rows")
    out.print(Text(printable(source), "bold"))
    out.print(
        Text(
            ("" if rows is None else f"{rows:,.10g} rows: ")
            + f"{journeys.n_touchpoints:,} touchpoints of {journeys.n_channels:,} channels; "
            f"{journeys.total:,.10g} conversions ({untouched:,.10g} without a touchpoint) and "
            f"{nulls:,.10g} journeys without one."
        )
    )
    if report is not None and any(report.set_aside.values()):
        aside = [f"{amount:,.10g} {what}" for what, amount in report.set_aside.items() if amount]
        out.print(Text(printable(f"Set aside: {'; '.join(aside)}.")))


def show(out: Console, blocks: Iterable[Block]) -> None:
    """Print tables and sentences of a result, with titles in bold."""
    for block in blocks:
        if isinstance(block, str):
            out.print(Text(printable(block)))
            continue
        out.print()
        out.print(Text(printable(block.title), "bold"))
        for line in block.lines(out.width):
            out.print(Text(line), no_wrap=True, overflow="ignore", crop=False)


def show_attribution(
    out: Console,
    attribution: Attribution,
    label: str,
    *,
    top: int,
    verdict: Sequence[ChannelVerdict] = (),
) -> None:
    """Print credit, share and, with draws, the 95% interval of channels and baseline.

    And the verdict on each channel, where the model gives one. It is in conversions, whatever the
    attribution is in.
    """
    show(out, attribution.tables(top=top))
    if verdict:
        show(out, [verdict_entries(verdict, top)])
    show(out, _answers({label: attribution.estimand}))


def verdict_entries(verdict: Sequence[ChannelVerdict], top: int) -> Entries:
    """What the log says of the channels with the most credit, and by what assumption.

    Args:
        verdict: on all channels.
        top: maximum of channels; the title says if there are more.
    """
    rows = []
    for each in sorted(verdict, key=lambda one: -one.credit)[:top]:
        other = each.other_reading
        if_not = "" if other is None else f" If not: {other + 0.0:,.0f} conversions."
        rows.append((each.channel, each.status, each.assumption + if_not))
    title = "What the log identifies, and by what assumption"
    if len(rows) < len(verdict):
        title += f"; {len(rows)} of {len(verdict)} channels, by credit"
    return Entries(title, rows)


def show_comparison(out: Console, comparison: Comparison, *, top: int) -> None:
    """Print credit and share, channel × model, in blocks that fit the terminal's width."""
    show(out, comparison.tables(top=top))
    show(out, _answers(comparison.estimands))


def show_leaderboard(out: Console, results: Results, metric: str) -> None:
    """Print a metric's mean over seeds, model × world, then the reasons for missing numbers.

    Models stand in the suite's order: a rank over worlds would depend on which worlds were chosen.
    """
    board = results.leaderboard(metric)
    percent = metric in _AS_PERCENT
    columns = {
        world: ["" if x is None else f"{x:.1%}" if percent else f"{x:.3g}" for x in board[world]]
        for world in board.columns[2:]
    }
    # Names are cut to a maximum width, and the parameter's value matters more than its name.
    names = [name.replace("characteristic_function=", "") for name in board["model"]]
    what = _TITLES.get(metric, metric.replace("_", " ").capitalize())
    n_seeds, purpose = results.table["seed"].n_unique(), results.purpose
    title = f"{what}; mean of {n_seeds} seeds" + ", for development" * (purpose == "development")
    show(out, [Table(title, names, columns, len(CONTROLS), first="model")])
    out.print()
    models: dict[str, list[str]] = {}
    for name, estimand in zip(names, board["estimand"], strict=True):
        if estimand and name not in CONTROLS:
            models.setdefault(estimand.partition(":")[0], []).append(name)
    for kind, names_of_kind in models.items():
        text = f"{kind} ({ESTIMANDS[kind]}): {', '.join(names_of_kind)}."
        out.print(Text(printable(text)))
    show_notes(
        out,
        (
            f"{row['model']} failed on {row['n']} logs of {row['world']}: {row['error']}"
            for row in results.errors().iter_rows(named=True)
        ),
    )


def show_notes(out: Console, notes: Iterable[str]) -> None:
    """Print notes, one per line."""
    for note in notes:
        out.print(Text(f"Note: {printable(note)}"))


def _answers(estimands: Mapping[str, str]) -> list[Block]:
    title = "What each column answers" if len(estimands) > 1 else "What it answers"
    rows = [(label, each, _first_sentence(label)) for label, each in estimands.items()]
    return [Entries(title, rows), "", *meanings(estimands.values())]


def _first_sentence(label: str) -> str:
    """The first line of the docstring of the model."""
    return (type(model_from_name(label)).__doc__ or "").partition("\n")[0]
