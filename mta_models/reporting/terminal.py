"""Results as tables in a terminal, for readers who would rather not open Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mta_models.analysis.comparison import Comparison
from mta_models.attribution import BASELINE, Attribution
from mta_models.benchmark.controls import CONTROLS
from mta_models.core.ragged import Floats, Ints
from mta_models.diagnosis.findings import Diagnosis
from mta_models.models.names import model_from_name

if TYPE_CHECKING:
    from mta_models.analysis.forward_validation import ForwardValidation
    from mta_models.benchmark.results import Results
    from mta_models.data.journeys import Journeys

_NAME_WIDTH = 28
_GAP = 2  # between columns
_NARROWEST = 40
_ESTIMANDS = {
    "rule": "books the conversions observed by who was there",
    "removal_effect": "the part of a fitted chain's conversions that pass through the channel",
    "shapley": "the channel's average contribution over all coalitions of channels",
    "incremental": "conversions that would not have happened without the channel",
}
_AS_PERCENT = ("total_variation", "total_variation_removal", "share_mae", "budget_regret")
_MEANINGS = {
    "total_variation": ": the part of all credit that sits on the wrong channel",
    "budget_regret": ": conversions lost by moving the budget by the credit, not by the truth",
}
_NOT_INCREMENTAL = (
    "None of this says how many conversions would be lost without a channel: that takes an "
    "incremental model or an experiment."
)
_PREDICTION_IS_NOT_CAUSE = (
    "Gain is the log-likelihood per conversion over a constant rate. To predict well is not to be "
    "causal: crediting channels that follow intent predicts better than seeing through it."
)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever started us to say so; rich would leave without a word."""
        raise BrokenPipeError


def console() -> Console:
    """A console on standard output that no channel name and no narrow encoding can break."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    out = _Console(highlight=False, markup=False, emoji=False)
    out.width = max(out.width, _NARROWEST)  # a longer line wraps, a cut number lies
    return out


def show_journeys(out: Console, journeys: Journeys, source: str) -> None:
    """What was read and what of it was set aside, before anything is said about it."""
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


def show_attribution(out: Console, attribution: Attribution, label: str, *, top: int) -> None:
    """Credit, share and, with draws, the 95% interval of each channel; then the baseline."""
    top_of = _Top(attribution.channels, attribution.credit, top)
    amount = _amounts(attribution.total)
    credit = np.append(top_of.sums(attribution.credit), (attribution.baseline, attribution.total))
    columns = {
        "Credit": [amount(each) for each in credit],
        "Share": [_percent(each) for each in top_of.sums(attribution.share)],
    }
    if attribution.draws is not None:
        bounds = np.vstack([attribution.interval()[top_of.shown], attribution.baseline_interval()])
        cells = [f"{amount(lower)} to {amount(upper)}" for lower, upper in bounds]
        # The sum of the others has an interval too, but not the sum of theirs.
        cells[-1:-1] = [""] * top_of.has_others
        columns["95% interval"] = cells
    _title(out, f"Credit in {attribution.of}, by {label}")
    _grid(out, [*top_of.names, BASELINE, "total"], columns, 2)
    _show_answers(out, {label: attribution.estimand})


def show_comparison(out: Console, comparison: Comparison, *, top: int) -> None:
    """Credit and share, channel × model, in as many blocks as the terminal's width asks for."""
    top_of = _Top(comparison.channels, np.nan_to_num(comparison.share).mean(axis=1), top)
    amount = _amounts(comparison.total)
    credits, shares = {}, {}
    for label, each in comparison.attributions.items():
        credit = np.append(top_of.sums(each.credit), (each.baseline, each.total))
        credits[_heading(label)] = [amount(x) for x in credit]
        shares[_heading(label)] = [_percent(x) for x in top_of.sums(each.share)]
    _title(out, f"Credit in {comparison.of}")
    _grid(out, [*top_of.names, BASELINE, "total"], credits, 2)
    _title(out, "Share of credit, the baseline left out")
    _grid(out, top_of.names, shares, 0)
    if comparison.validation is not None:
        _show_validation(out, comparison.validation)
    _show_answers(out, comparison.estimands)


def _show_validation(out: Console, validation: ForwardValidation) -> None:
    """How well incremental models foretold held-out days, under the two references."""
    scores = [*validation.scores.values()]
    columns = {
        "Gain in nats": [f"{each.gain:.3f}" for each in scores],
        "Standard error": [f"{each.gain_error:.3f}" for each in scores],
        "AUC": [f"{each.auc:.3f}" for each in scores],
        "Predicted": [f"{each.predicted:,.1f}" for each in scores],
        "Observed": [f"{each.observed:,.10g}" for each in scores],
        "Ratio": [f"{each.ratio:.2f}" for each in scores],
        "Ratio touched": [f"{each.ratio_touched:.2f}" for each in scores],
        "Ratio untouched": [f"{each.ratio_untouched:.2f}" for each in scores],
    }
    _title(
        out,
        f"Fitted until day {validation.since:g}, conversions foretold until day "
        f"{validation.until:.4g}",
    )
    _grid(out, list(validation.scores), columns, 0, first="model")
    out.print(Text(_PREDICTION_IS_NOT_CAUSE))
    reasons = validation.refusals.items()
    show_notes(out, [f"{label} foretold nothing: {why}" for label, why in reasons])


def show_diagnosis(out: Console, diagnosis: Diagnosis) -> None:
    """Each finding with its severity, what it means and what to do; then what was not looked at."""
    _title(out, "Findings" if diagnosis.findings else "No findings")
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in diagnosis.findings:
        words = (
            printable(each.found),
            f"Means: {printable(each.means)}",
            f"Do: {printable(each.do)}",
        )
        table.add_row(Text(each.severity, "bold"), Text("\n".join(words)))
        table.add_row()
    out.print(table)
    if diagnosis.silent:
        out.print(Text(f"Nothing found by: {', '.join(diagnosis.silent)}"))
    show_notes(
        out, [f"{', '.join(names)} not checked: {why}" for why, names in diagnosis.reasons.items()]
    )
    if diagnosis.verdict:
        _title(out, "Verdict")
        out.print(Text(printable(diagnosis.verdict)))


def show_leaderboard(out: Console, results: Results, metric: str) -> None:
    """A metric's mean over seeds, model × world, with mean ranks; then what has no answer."""
    board = results.leaderboard(metric)
    percent = metric in _AS_PERCENT
    columns = {
        world: ["" if x is None else f"{x:.1%}" if percent else f"{x:.3g}" for x in board[world]]
        for world in board.columns[2:-1]
    }
    columns["mean rank"] = ["" if x is None else f"{x:.1f}" for x in board["mean_rank"]]
    # The parameter's name would take the place of its value.
    names = [name.replace("characteristic_function=", "") for name in board["model"]]
    n_seeds, what = results.table["seed"].n_unique(), metric.replace("_", " ").capitalize()
    _title(out, f"{what}, mean of {n_seeds} seeds{_MEANINGS.get(metric, '')}")
    _grid(out, names, columns, len(CONTROLS), first="model")
    out.print()
    models: dict[str, list[str]] = {}
    for name, estimand in zip(names, board["estimand"], strict=True):
        if estimand and name not in CONTROLS:
            models.setdefault(estimand.partition(":")[0], []).append(name)
    for kind, of_it in models.items():
        out.print(Text(printable(f"{kind} ({_ESTIMANDS[kind]}): {', '.join(of_it)}.")))
    show_notes(
        out,
        (
            f"{row['model']} has no answer on {row['n']} logs of {row['world']}: {row['error']}"
            for row in results.errors().iter_rows(named=True)
        ),
    )


def show_notes(out: Console, notes: Iterable[str]) -> None:
    """One note after the other."""
    for note in notes:
        out.print(Text(f"Note: {printable(note)}"))


def printable(text: str) -> str:
    """On one line, without the control characters that a terminal would obey."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class _Top:
    """The channels with most of something by name, and the others as one row."""

    def __init__(self, channels: Sequence[str], by: Floats, top: int) -> None:
        order = np.argsort(-by, kind="stable")
        # One channel alone is no shorter under the name "1 other".
        n = len(order) if len(order) <= top + 1 else top
        self.shown: Ints = order[:n]
        self.others: Ints = order[n:]
        self.has_others = len(self.others) > 0
        self.names = [channels[i] for i in self.shown]
        if self.has_others:
            self.names.append(f"({len(self.others):,} others)")

    def sums(self, values: Floats) -> Floats:
        return np.append(values[self.shown], [values[self.others].sum()] * self.has_others)


def _title(out: Console, text: str) -> None:
    out.print()
    out.print(Text(printable(text), "bold"))


def _grid(
    out: Console,
    names: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    n_last: int,
    first: str = "channel",
) -> None:
    """Rows by name, columns by heading, the `n_last` last rows under a rule; blocks that fit."""
    names = [_short(name) for name in names]
    room = out.width - max(cell_len(name) for name in (*names, first))
    block: dict[str, Sequence[str]] = {}
    used = 0
    for heading, cells in columns.items():
        width = _width(heading, cells) + _GAP
        if block and used + width > room:
            _block(out, names, block, n_last, first)
            out.print()
            block, used = {}, 0
        block[heading] = cells
        used += width
    _block(out, names, block, n_last, first)


def _block(
    out: Console,
    names: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    n_last: int,
    first: str,
) -> None:
    # The box puts one blank between columns, the padding another.
    padding = (0, 0, 0, _GAP - 1)
    table = Table(
        box=box.SIMPLE_HEAD, padding=padding, pad_edge=False, show_edge=False, header_style=""
    )
    table.add_column(first, no_wrap=True, vertical="bottom")
    for heading, cells in columns.items():
        width = _width(heading, cells)
        table.add_column(
            Text(heading), justify="right", vertical="bottom", min_width=width, max_width=width
        )
    for row, name in enumerate(names):
        if n_last and row == len(names) - n_last:
            table.add_section()
        cells = [cells[row] if row < len(cells) else "" for cells in columns.values()]
        table.add_row(Text(name), *(Text(cell) for cell in cells))
    out.print(table)


def _width(heading: str, cells: Sequence[str]) -> int:
    """Of a column whose heading breaks between words and whose cells do not break."""
    return max(len(word) for word in (*heading.split(), *cells))


def _show_answers(out: Console, estimands: Mapping[str, str]) -> None:
    _title(out, "What each column answers" if len(estimands) > 1 else "What it answers")
    table = Table.grid(padding=(0, 2, 0, 0))
    for label, estimand in estimands.items():
        table.add_row(Text(label), Text(estimand), Text(_first_sentence(label)))
    out.print(table)
    out.print()
    kinds = dict.fromkeys(estimand.partition(":")[0] for estimand in estimands.values())
    for kind in kinds:
        out.print(Text(f"{kind}: {_ESTIMANDS[kind]}."))
    if "incremental" not in kinds:
        out.print(Text(_NOT_INCREMENTAL))


def _first_sentence(label: str) -> str:
    """What the model says of itself: the first line of its docstring."""
    return (type(model_from_name(label)).__doc__ or "").partition("\n")[0]


def _heading(label: str) -> str:
    """The label in words, so that it may be broken over lines: `Last Touch`."""
    name, bracket, parameters = label.partition("(")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) + (bracket and f" ({parameters}")


def _short(name: str) -> str:
    text = Text(printable(name))
    text.truncate(_NAME_WIDTH, overflow="ellipsis")
    return text.plain


def _amounts(total: float) -> Callable[[float], str]:
    """How to write amounts of this order: few digits where they are many, more where few."""
    decimals = 0 if abs(total) >= 1_000 else 1 if abs(total) >= 100 else 2
    return lambda amount: f"{amount + 0.0:,.{decimals}f}"


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{share:.1%}"
