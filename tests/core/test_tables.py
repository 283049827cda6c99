"""Tables as text and as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_models.core.tables import (
    Entries,
    Printed,
    Table,
    TopRows,
    _width,
    amounts,
    as_text,
    percent,
    printable,
)

TABLE = Table(
    "Credit",
    ["Search", "中文", "total"],
    {"Last Touch": ["1.0", "22.0", "23.0"], "n": ["", "5", ""]},
    1,
)


class Result(Printed):
    def blocks(self) -> list[Table | Entries | str]:
        return [TABLE, "A <sentence>.", Entries("Notes", [("a", "b\nc")])]


class Cells(HTMLParser):
    """The texts of an HTML document, and that its tags close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_table_is_aligned_and_its_last_rows_are_set_off() -> None:
    assert as_text([TABLE], 80).splitlines() == [
        "Credit",
        "          Last",
        "channel  Touch  n",
        "─────────────────",
        "Search     1.0",
        "中文      22.0  5",
        "",
        "total     23.0",
    ]


def test_columns_that_do_not_fit_follow_below() -> None:
    columns = {f"column {i}": ["1,000,000.00"] for i in range(5)}
    lines = Table("", ["row"], columns).lines(40)
    assert max(map(len, lines)) <= 40
    assert sum("1,000,000.00" in line for line in lines) == 3
    assert " ".join(lines).count("1,000,000.00") == 5


@given(
    st.lists(st.text(max_size=60), min_size=1, max_size=4, unique=True),
    st.lists(st.text(st.characters(codec="ascii", categories=["N", "L"]), max_size=9), min_size=1),
    st.integers(1, 100),
)
def test_every_cell_is_whole_at_any_width(names: list[str], cells: list[str], width: int) -> None:
    columns = {f"heading {i}": [cell] * len(names) for i, cell in enumerate(cells)}
    lines = Table("", names, columns).lines(width)
    shown = [part for line in lines for part in line.split()]
    for cell in cells:
        assert not cell or shown.count(cell) >= len(names)
    assert all(line.isprintable() for line in lines)
    assert len({_width(line) for line in lines if line.startswith("─")}) <= len(cells)


def test_entries_break_and_stand_under_each_other() -> None:
    rows = [("caution", "one two three four five six seven\nDo: nothing"), ("note", "short")]
    assert as_text([Entries("Findings", rows, spaced=True)], 30).splitlines() == [
        "Findings",
        "caution  one two three four",
        "         five six seven",
        "         Do: nothing",
        "",
        "note     short",
    ]
    assert as_text([Entries("No findings", [])], 30) == "No findings"


def test_a_result_prints_its_blocks_at_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert str(Result()) == as_text(Result().blocks(), 60)
    assert f"{Result()}".endswith("A <sentence>.\n\nNotes\na  b\n   c")


def test_html_holds_every_text_escaped() -> None:
    html = Result()._repr_html_()
    texts = Cells(html).texts
    assert texts == [
        *("Credit", "channel", "Last Touch", "n"),
        *("Search", "1.0", "中文", "22.0", "5", "total", "23.0"),
        *("A <sentence>.", "Notes", "a", "b", "c"),
    ]
    odd = Table("<b>", ["<script>x</script>"], {"&": ["<1>"]}, first="<i>")
    assert not re.search("<(b|i|script)>", odd.html())
    assert Cells(odd.html()).texts == ["<b>", "<i>", "&", "<script>x</script>", "<1>"]


def test_the_rows_beyond_the_top_are_one_that_adds_up() -> None:
    values = np.arange(10.0)
    rows = TopRows([f"c{i}" for i in range(10)], values, 3)
    assert rows.names == ["c9", "c8", "c7", "(7 others)"]
    assert rows.sums(values).tolist() == [9, 8, 7, 21]
    assert TopRows(["a", "b"], np.array([1.0, 2.0]), 1).names == ["b", "a"]


@pytest.mark.parametrize(
    ("total", "shown"), [(1_000, "1,234"), (-2_000, "1,234"), (100, "1,234.5"), (1, "1,234.50")]
)
def test_amounts_have_the_decimals_that_their_total_asks_for(total: float, shown: str) -> None:
    assert amounts(total)(1234.5) in (shown, "1,234")
    assert amounts(total)(-0.0).strip("0.") == ""


def test_shares_and_names() -> None:
    assert percent(0.1234) == "12.3%"
    assert percent(float("nan")) == ""
    assert printable("a\x1b[31m\n b") == "a\N{REPLACEMENT CHARACTER}[31m b"
