"""Journeys from tables: one path with its counts per row, or one touchpoint per column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from mta_models.core.checks import as_list, check_flag, shown
from mta_models.core.number_columns import as_number, checked_numbers, is_missing
from mta_models.core.ragged import Floats, Ints, Numbers
from mta_models.data.journeys import Journeys
from mta_models.data.ledger import Ledger
from mta_models.errors import JourneyError, MTAWarning, ParameterError, warn
from mta_models.sources.tables import cell, check_columns, collect, open_table

# Paths split at a time: the pieces of a million paths would take the most memory of all.
_CHUNK = 250_000


def read_paths(
    source: Any,
    *,
    path: str = "path",
    conversions: str = "conversions",
    nulls: str | None = None,
    value: str | None = None,
    separator: str = " > ",
) -> Journeys:
    """Journeys from a table with one path per row.

    Blanks around a channel's name are dropped. No name has a special meaning: `null`, `NA` and
    `(start)` are channels like any other. Channels are sorted. An error counts rows from 0, without
    the header; row i of the table is row i of the journeys.

    Args:
        source: path, glob or address (`s3://…`, `https://…`) of CSV or Parquet files; a pandas,
            polars or Arrow table. CSV is UTF-8 text delimited by commas (`.tsv`: tabs), with or
            without a byte-order mark.
        path: column of texts such as `"Search > Email"`, or of lists of names. `""` and `[]` are
            journeys without touchpoints; so is an empty CSV cell, which in CSV is the same as `""`.
        conversions: column of counts >= 0, the users who converted after the path.
        nulls: column of counts >= 0, the users who did not; None: 0 in every row.
        value: column of the total value of a row's conversions, 0 or missing in rows without a
            conversion; None: no values.
        separator: the text between two channels, taken literally.

    Returns:
        `Journeys` with one row per row of the table; `report` counts what was read. Rows with 0
        conversions and 0 nulls are kept and have no influence.

    Raises:
        JourneyError: no such file or column, no rows, a missing path, a blank channel, an amount
            that is not a number, missing, infinite or negative; names the row.
        ParameterError: the separator is empty.

    Example:
        >>> import polars as pl
        >>> import mta_models as mta
        >>> table = pl.DataFrame({"path": ["Search > Email", "Email", ""], "n": [2, 1, 1]})
        >>> mta.read_paths(table, conversions="n")
        Journeys(3 journeys, 3 touchpoints, 2 channels, 4 conversions, 0 nulls)
    """
    if not isinstance(separator, str) or not separator:
        raise ParameterError(
            f"`separator` must be a text of one character or more; got {shown(separator)}"
        )
    if not isinstance(conversions, str):
        raise ParameterError(
            f"`conversions` must be the name of a column; got {shown(conversions)}"
        )
    given = (("conversions", conversions), ("nulls", nulls), ("value", value))
    columns = {role: name for role, name in given if name is not None}
    table = open_table(source, [path, *columns.values()], blank_is_missing=False)
    rows = _rows(table.select(pl.col(path).alias("path"), *_amounts(table, columns)), source)
    numbers = _numbers(rows, table, columns)
    return _journeys(*_split(_as_text(rows["path"], path), separator), numbers)


def read_wide(
    source: Any,
    *,
    outcome: str | int,
    converted: Any,
    null: Any,
    touchpoints: str | Sequence[str | int] | None = None,
    value: str | int | None = None,
    header: bool = True,
) -> Journeys:
    """Journeys from a table with one journey per row and one touchpoint per column.

    An empty cell (missing in a data frame, or blank) is no touchpoint. Most empty cells come after
    a journey's last touchpoint. Empty cells between two touchpoints may be lost touchpoints;
    `report` counts them. Blanks around names are dropped and channels sorted, as by `read_paths`.

    Args:
        source: as for `read_paths`.
        outcome: the column that says how the journey ended, by name or position.
        converted: the word, or words, for a conversion in that column. None means an empty cell.
        null: the word, or words, for no conversion. None means an empty cell; the text `"null"` is
            a word like any other.
        touchpoints: the touchpoint columns in order; or the prefix of their names, which a number
            follows (`"T_"`: T_1, T_2, … in order of number); None: all columns except the outcome
            and the value, in the table's order.
        value: column of the conversion's value, 0 or missing in rows without a conversion; None:
            no values.
        header: whether the first row of a CSV file names the columns. Columns may always be given
            by position: from 0, or from the end by -1, -2 …

    Returns:
        `Journeys` with one row per row of the table, of 1 conversion or 1 null; `report` counts
        what was read.

    Raises:
        JourneyError: no such file or column, no rows, an outcome that is none of the words, or a
            value that is not a number; names the row.
        ParameterError: a word means both outcomes.

    Example:
        >>> import polars as pl
        >>> import mta_models as mta
        >>> table = pl.DataFrame({"T_1": ["A", "B"], "T_2": ["B", None], "end": ["won", "lost"]})
        >>> mta.read_wide(table, outcome="end", converted="won", null="lost")
        Journeys(2 journeys, 3 touchpoints, 2 channels, 1 conversions, 1 nulls)
    """
    check_flag(header, "header")
    table = open_table(source, header=header)
    names = table.collect_schema().names()
    end = _named(outcome, names)
    columns = {} if value is None else {"value": _named(value, names)}
    touched = _touchpoint_columns(touchpoints, names, {end, *columns.values()})
    ends = _ends(end, _words(converted), _words(null))
    rows = _rows(
        table.select(
            *(pl.col(name).alias(f"touchpoint {i}") for i, name in enumerate(touched)),
            ends.alias("conversions"),
            *_amounts(table, columns, ends),
        ),
        source,
    )
    if rows["conversions"].null_count():
        row = int(rows["conversions"].is_null().arg_max() or 0)
        raise JourneyError(
            f"every outcome must be one of the words for a conversion, {_words(converted)}, or for "
            f"none, {_words(null)}; row {row} has {cell(table, end, row)}. Name its word too"
        )
    conversions = rows["conversions"].to_numpy()
    numbers = {"conversions": conversions, "nulls": 1 - conversions}
    numbers |= _numbers(rows, table, columns)
    cells = [_as_text(rows[f"touchpoint {i}"], name) for i, name in enumerate(touched)]
    channels, codes, offsets, skipped = _gather(cells)
    noted = {"empty cells between touchpoints": skipped}
    return _journeys(channels, codes, offsets, numbers, noted)


def _rows(query: pl.LazyFrame, source: Any) -> pl.DataFrame:
    rows = collect(query, source)
    if not len(rows):
        raise JourneyError(
            "a table must have at least one row; this one has a header only. Check the source"
        )
    return rows


def _amounts(
    table: pl.LazyFrame, columns: Mapping[str, str], converts: pl.Expr | None = None
) -> list[pl.Expr]:
    """The number columns by role; a missing value is 0 in rows without a conversion."""
    schema = table.collect_schema()
    amounts = {role: as_number(name, schema[name]) for role, name in columns.items()}
    if "value" in columns:
        empty = is_missing(columns["value"], schema[columns["value"]])
        none_converts = (amounts["conversions"] if converts is None else converts) == 0
        amounts["value"] = pl.when(empty & none_converts).then(0.0).otherwise(amounts["value"])
    return [number.alias(role) for role, number in amounts.items()]


def _numbers(
    rows: pl.DataFrame, table: pl.LazyFrame, columns: Mapping[str, str]
) -> dict[str, Floats]:
    """The number columns by role, checked."""
    return {
        role: checked_numbers(rows[role], name, partial(cell, table, name))
        for role, name in columns.items()
    }


def _as_text(names: pl.Series, column: str) -> pl.Series:
    """A column of texts as `pl.String`, a column of lists of texts as lists of `pl.String`."""
    kind = names.dtype
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
    if inner not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise JourneyError(
            f"channels must be text, and the column {column!r} holds {kind}. "
            "Convert it to text, or name the column that holds channels"
        )
    if isinstance(kind, pl.List | pl.Array):
        return names.cast(pl.List(pl.String))
    return names.cast(pl.String)


def _split(path: pl.Series, separator: str) -> tuple[tuple[str, ...], Numbers, Ints]:
    """Channels, codes and offsets of a column of paths, which are texts or lists."""
    if path.null_count():
        raise JourneyError(
            f"every row must have a path; row {path.is_null().arg_max()} has none. Write a journey "
            "without touchpoints as an empty text or list, or drop the row"
        )
    known: list[str] = []
    codes, sizes = [], np.zeros(len(path), dtype=np.int64)
    for start in range(0, len(path), _CHUNK):
        part = path.slice(start, _CHUNK)
        filled = part != "" if part.dtype == pl.String else part.list.len() > 0
        pieces = part.filter(filled)
        if part.dtype == pl.String:
            pieces = pieces.str.split(separator)
        sizes[start + np.flatnonzero(filled.to_numpy())] = pieces.list.len().to_numpy()
        codes.append(_encode(pieces.explode(), known))
    offsets = _offsets(sizes)
    joined = np.concatenate(codes)
    wrong = _blank_names(known, separator if path.dtype == pl.String else None)
    if len(wrong):
        entry = int(np.argmax(np.isin(joined, wrong)))
        row = int(np.searchsorted(offsets, entry, side="right")) - 1
        raise JourneyError(
            f"every channel of a path must be a non-blank text; row {row} has a blank one, in "
            f"{path[row] if path.dtype == pl.String else path[row].to_list()!r}. Name it, drop it, "
            "or check the separator"
        )
    return *_sorted(known, joined), offsets


def _blank_names(known: Sequence[str], separator: str | None) -> Ints:
    """Indices of blank names; warns of a name that looks like a path with another separator."""
    sign = (separator or "").strip()
    if not sign or sign == separator:
        return np.flatnonzero([not name.strip() for name in known])
    odd = next((name for name in known if sign in name), None)
    # "a > > b" and "a > b >" have a blank channel, whose blanks the separator took.
    blank = re.compile(rf"\s*|{re.escape(sign)}(\s.*)?|.*\s{re.escape(sign)}", re.DOTALL)
    wrong = np.flatnonzero([blank.fullmatch(name.strip()) is not None for name in known])
    if odd is not None and not len(wrong):
        warn(
            f"channels are split at {separator!r}, and the channel {odd!r} contains {sign!r}. "
            f"If it is a path, read it with separator={sign!r}",
            MTAWarning,
        )
    return wrong


def _gather(columns: Sequence[pl.Series]) -> tuple[tuple[str, ...], Numbers, Ints, int]:
    """Channels, codes and offsets of touchpoint columns; the number of empty cells between them."""
    known: list[str] = []
    grid = np.stack([_encode(column, known) for column in columns], axis=1)
    filled = np.array([bool(name.strip()) for name in known])[grid]
    followed = np.logical_or.accumulate(filled[:, ::-1], axis=1)[:, ::-1]
    skipped = int((followed & ~filled).sum())
    return *_sorted(known, grid[filled]), _offsets(filled.sum(axis=1)), skipped


def _encode(names: pl.Series, known: list[str]) -> Numbers:
    """Indices into `known`, to which new names are added; a missing name is `""`."""
    names = names.cast(pl.String).fill_null("")
    codes = names.cast(pl.Enum(known), strict=False)
    if codes.null_count():
        known += sorted(names.filter(codes.is_null()).unique())
        codes = names.cast(pl.Enum(known))
    return codes.to_physical().to_numpy()


def _sorted(known: Sequence[str], codes: Numbers) -> tuple[tuple[str, ...], Numbers]:
    """Names without the blanks around them, sorted, and the codes that index them.

    The codes are as narrow as the number of channels allows.
    """
    trimmed = [name.strip() for name in known]
    channels = tuple(sorted({name for name in trimmed if name}))
    index = {name: code for code, name in enumerate(channels)}
    narrow = np.min_scalar_type(max(len(channels) - 1, 0))
    return channels, np.array([index.get(name, 0) for name in trimmed], dtype=narrow)[codes]


def _offsets(sizes: Ints) -> Ints:
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _journeys(
    channels: tuple[str, ...],
    codes: Numbers,
    offsets: Ints,
    numbers: Mapping[str, Floats],
    noted: Mapping[str, float] | None = None,
) -> Journeys:
    """The journeys, with the report on their reading."""
    conversions, nulls = numbers["conversions"], numbers.get("nulls")
    totals: dict[str, float] = {"rows": len(conversions), "touchpoints": len(codes)}
    totals |= {role: float(amounts.sum()) for role, amounts in numbers.items()}
    idle = conversions == 0 if nulls is None else (conversions == 0) & (nulls == 0)
    counted = {
        "rows without a touchpoint": int((np.diff(offsets) == 0).sum()),
        "rows without an outcome": int(idle.sum()),
        **(noted or {}),
    }
    return Journeys(
        channels=channels,
        codes=codes,
        offsets=offsets,
        conversions=conversions,
        nulls=np.zeros(len(conversions)) if nulls is None else nulls,
        value=numbers.get("value"),
        report=Ledger(read=totals, kept=totals, noted=counted),
    )


def _named(column: str | int, names: Sequence[str]) -> str:
    """A column by its name or its position."""
    if isinstance(column, str):
        check_columns(names, [column])
        return column
    place: object = column  # its type says what is meant, not what is given
    if not isinstance(place, int | np.integer) or isinstance(place, bool):
        raise ParameterError(f"a column must be a name or a position; got {shown(column)}")
    if not -len(names) <= column < len(names):
        raise JourneyError(
            f"a position must be one of the {len(names)} columns; got {column}. Count from 0"
        )
    return names[column]


def _touchpoint_columns(
    touchpoints: str | Sequence[str | int] | None, names: Sequence[str], others: set[str]
) -> list[str]:
    if touchpoints is None:
        columns = [name for name in names if name not in others]
    elif isinstance(touchpoints, str):
        pattern = re.compile(re.escape(touchpoints) + r"(\d+)")
        matches = [(int(match[1]), name) for name in names if (match := pattern.fullmatch(name))]
        columns = [name for _, name in sorted(matches)]
    else:
        given = as_list(touchpoints, "touchpoints", "columns, or the prefix of their names")
        columns = [_named(column, names) for column in given]
    if not columns:
        raise JourneyError(
            f"there must be a touchpoint column; touchpoints={touchpoints!r} matches none of "
            f"{', '.join(map(repr, names))}. Give their prefix, or list them"
        )
    return columns


def _words(words: Any) -> list[str]:
    """One word or several, as the texts of cells; None is an empty cell, `""`."""
    scalar = isinstance(words, np.ndarray) and words.ndim == 0
    one = scalar or isinstance(words, str) or not isinstance(words, Iterable)
    several = [words] if one else words
    return ["" if word is None else _text(word) for word in several]


def _text(word: Any) -> str:
    return str(word).lower() if isinstance(word, bool | np.bool_) else str(word).strip()


def _ends(column: str, converted: list[str], null: list[str]) -> pl.Expr:
    """1 for an outcome that means a conversion, 0 for one that means none, else missing."""
    both = set(converted) & set(null)
    if both:
        raise ParameterError(
            f"a word must mean either a conversion or none; {min(both)!r} is in both lists. "
            "Leave it out of one"
        )
    word = pl.col(column).cast(pl.String).str.strip_chars().fill_null("")
    return pl.when(word.is_in(converted)).then(1.0).when(word.is_in(null)).then(0.0)
