"""Tables and texts of printed results: aligned text in a terminal, HTML in notebooks."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from mta_models.core.ragged import Floats, Ints

_NAME_WIDTH = 28
_GAP = "  "  # between columns
_NARROWEST = 20  # the minimum width of a long text


@dataclass(frozen=True)
class Table:
    """Rows by name, columns by heading; cells are texts.

    Attributes:
        title: in one line.
        names: of the rows.
        columns: by heading, one cell per row.
        n_last: number of last rows that an empty line or a border separates from the others.
        first: heading of the names.
    """

    title: str
    names: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    n_last: int = 0
    first: str = "channel"

    def lines(self, width: int) -> list[str]:
        """The lines below the title; columns beyond `width` follow in further blocks."""
        names = [_short(name) for name in self.names]
        room = width - max(_width(name) for name in (*names, self.first))
        blocks: list[dict[str, Sequence[str]]] = [{}]
        used = 0
        for heading, cells in self.columns.items():
            needed = _column_width(heading, cells) + len(_GAP)
            if blocks[-1] and used + needed > room:
                blocks.append({})
                used = 0
            blocks[-1][heading] = cells
            used += needed
        lines: list[str] = []
        for block in blocks:
            lines += [""] * bool(lines) + self._block(names, block)
        return lines

    def _block(self, names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[str]:
        first = max(_width(name) for name in (*names, self.first))
        widths = [_column_width(heading, cells) for heading, cells in columns.items()]
        headings = [_wrapped(each, width) for each, width in zip(columns, widths, strict=True)]
        height = max((len(heading) for heading in headings), default=1)
        # Headings end on the same line.
        padded = [[""] * (height - len(each)) + each for each in ([self.first], *headings)]
        rows: list[Sequence[str]] = [*zip(*padded, strict=True)]
        rows.append(["─" * (first + sum(widths) + len(_GAP) * len(widths))])
        for place, name in enumerate(names):
            if self.n_last and place == len(names) - self.n_last:
                rows.append([""])
            rows.append([name, *(cells[place] for cells in columns.values())])
        return [_aligned(row, first, widths) for row in rows]

    def html(self) -> str:
        """As an HTML table, everything escaped."""
        head = "".join(f"<th>{escape(each)}</th>" for each in (self.first, *self.columns))
        rows = [
            f"<tr><th>{escape(printable(name))}</th>"
            + "".join(f"<td>{escape(cells[place])}</td>" for cells in self.columns.values())
            + "</tr>"
            for place, name in enumerate(self.names)
        ]
        split = len(rows) - self.n_last
        return (
            f'<table class="dataframe"><caption>{escape(printable(self.title))}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows[:split])}</tbody>"
            f"<tbody>{''.join(rows[split:])}</tbody></table>"
        )


@dataclass(frozen=True)
class Entries:
    """Rows of texts; the last text of a row is long and may have several lines.

    Attributes:
        title: in one line.
        rows: tuples of texts, all of the same length.
        spaced: whether an empty line follows each row.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    spaced: bool = False

    def lines(self, width: int) -> list[str]:
        """The lines below the title; the last text of a row is broken to the width that is left."""
        if not self.rows:
            return []
        *short, _ = zip(*self.rows, strict=True)
        widths = [max(map(_width, column)) for column in short]
        indent = sum(widths) + len(_GAP) * len(widths)
        lines: list[str] = []
        for *texts, last in self.rows:
            padded = [
                f"{text}{' ' * (w - _width(text))}{_GAP}"
                for text, w in zip(texts, widths, strict=True)
            ]
            wrapped = _wrapped(last, max(width - indent, _NARROWEST))
            lines.append("".join(padded) + wrapped[0])
            lines += [" " * indent + line for line in wrapped[1:]] + [""] * self.spaced
        return lines

    def html(self) -> str:
        """As an HTML table, everything escaped."""
        rows = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align: left">{escape(cell).replace(chr(10), "<br>")}</td>'
                for cell in row
            )
            + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape(printable(self.title))}</caption>"
        return f'<table class="dataframe">{caption}<tbody>{rows}</tbody></table>'


Block = Table | Entries | str


class Printed(ABC):
    """A result whose tables are shown by `print` and in notebooks."""

    @abstractmethod
    def blocks(self) -> list[Block]:
        """The blocks that `print` shows: tables and sentences."""

    def __str__(self) -> str:
        return as_text(self.blocks(), shutil.get_terminal_size().columns)

    def _repr_html_(self) -> str:
        return "".join(
            f"<p>{escape(printable(each))}</p>" if isinstance(each, str) else each.html()
            for each in self.blocks()
        )


def as_text(blocks: Iterable[Block], width: int) -> str:
    """Tables and sentences below each other, broken to `width`; numbers are never broken."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, str):
            lines += _wrapped(printable(block), width)
        else:
            lines += [""] * bool(lines) + [printable(block.title), *block.lines(width)]
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text on one line, without the control characters that a terminal would obey."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class TopRows:
    """The rows with the largest amounts by name, and the others as one row."""

    def __init__(self, names: Sequence[str], by: Floats, top: int) -> None:
        order = np.argsort(-by, kind="stable")
        # A single other row is shown by name: "1 other" would be no shorter.
        n = len(order) if len(order) <= top + 1 else top
        self.shown: Ints = order[:n]
        self.others: Ints = order[n:]
        self.has_others = len(self.others) > 0
        self.names = [names[i] for i in self.shown]
        if self.has_others:
            self.names.append(f"({len(self.others):,} others)")

    def sums(self, values: Floats) -> Floats:
        """The values of the rows shown, and the sum over the others if there are any."""
        return np.append(values[self.shown], [values[self.others].sum()] * self.has_others)


def amounts(total: float) -> Callable[[float], str]:
    """A formatter of amounts that sum to `total`: the larger the total, the fewer decimals."""
    decimals = 0 if abs(total) >= 1_000 else 1 if abs(total) >= 100 else 2
    return lambda amount: f"{amount + 0.0:,.{decimals}f}"


def percent(share: float) -> str:
    """A share as a percentage; empty where it is missing."""
    return "" if share != share else f"{share:.1%}"


def _aligned(row: Sequence[str], first: int, widths: Sequence[int]) -> str:
    """The first cell aligned left, the others, if the row has any, aligned right."""
    line = row[0] + " " * (first - _width(row[0]))
    for cell, width in zip(row[1:], widths, strict=len(row) > 1):
        line += _GAP + " " * (width - _width(cell)) + cell
    return line.rstrip()


def _column_width(heading: str, cells: Sequence[str]) -> int:
    """The width of a column; its heading breaks between words, its cells do not break."""
    return max(_width(word) for word in (*heading.split(), *cells))


def _wrapped(text: str, width: int) -> list[str]:
    lines = [
        textwrap.wrap(line, width, break_on_hyphens=False) or [""] for line in text.split("\n")
    ]
    return [each for line in lines for each in line]


def _short(name: str) -> str:
    text = printable(name)
    if _width(text) <= _NAME_WIDTH:
        return text
    while _width(text) > _NAME_WIDTH - 1:
        text = text[:-1]
    return f"{text}…"


def _width(text: str) -> int:
    """Terminal columns that the text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1
        for c in text
    )
