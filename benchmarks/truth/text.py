"""Markdown: tables that are readable as plain text, and parts of a file between markers."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers and stand to the right."""
    lines = [list(header), *map(list, rows)]
    wide = [max(len(line[i]) for line in lines) for i in range(len(header))]
    shown = [
        "| "
        + " | ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, wide, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = [
        ("-" if not i else "") + "-" * width + ("-" if not i else "-:")
        for i, width in enumerate(wide)
    ]
    shown.insert(1, "|" + "|".join(rule) + "|")
    return "\n".join(shown)


def replaced(old: str, name: str, new: str) -> str:
    """The text `old` with `new` between its markers called `name`.

    Raises:
        ValueError: `old` does not hold both markers once, in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed or begin in tail or end in head + tail:
        raise ValueError(f"the file must hold {begin} and then {end}, once each")
    return f"{head}{begin}\n{new.strip()}\n{end}{tail}"
