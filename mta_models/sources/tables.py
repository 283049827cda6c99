"""Files and data frames as polars queries."""

from __future__ import annotations

import csv
import difflib
import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mta_models.core.checks import shown
from mta_models.errors import JourneyError, ParameterError

_FILE = "file://"


def open_table(
    source: Any,
    columns: Iterable[str] | None = None,
    *,
    header: bool = True,
    blank_is_missing: bool = True,
) -> pl.LazyFrame:
    """The named columns of a table, as a query that has read the header only.

    All cells of a CSV file are read as texts, without guesses at numbers, dates or missing cells:
    channels may be called `null` or `NA`. `as_number` reads the numbers. CSV does not distinguish a
    missing cell from an empty text; `blank_is_missing` decides. Other sources keep their types.

    Args:
        source: path, glob or address (`s3://`, `gs://`, `az://`, `hf://`, `https://`, `file://`,
            whatever polars reads) of CSV (UTF-8, with or without byte-order mark; `.tsv`: tabs) or
            Parquet files; a pandas, polars (lazy too) or Arrow table. Remote CSV files of one glob
            must have the same columns. Credentials come from the environment, as polars documents.
        columns: the columns needed; None: all.
        header: whether the first row of a CSV file names the columns. If not, they are called
            `column_0`, `column_1` …
        blank_is_missing: whether an empty CSV cell, quoted or not, is missing; else it is `""`.

    Raises:
        JourneyError: no such file or column, a repeated column name, a source of another kind.
    """
    if isinstance(source, str | os.PathLike):
        files = files_of(source)
        opened = [_open_file(file, columns, header, blank_is_missing) for file in files]
        return opened[0] if len(opened) == 1 else pl.concat(opened, how="vertical_relaxed")
    frame = _open_frame(source, columns)
    return frame if columns is None else frame.select(list(dict.fromkeys(columns)))


def collect(query: pl.LazyFrame, source: Any) -> pl.DataFrame:
    """The rows of a query on `source`, in its order; an unreadable file is a `JourneyError`."""
    try:
        return query.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(source, str | os.PathLike):
            for file in files_of(source):
                _check_text(file)
            if is_remote(source):
                raise _unreachable(os.fspath(source), error) from error
        raise _unreadable("the source", error) from error


def is_remote(source: str | os.PathLike[str]) -> bool:
    """Whether it is an address such as `s3://bucket/log.csv`, which polars opens itself."""
    path = os.fspath(source)
    return is_address(path) and local_path(path) == path


def is_address(path: str) -> bool:
    """Whether it names where it is, `file://` too, so that no folder can come before it."""
    return "://" in path


def local_path(path: str) -> str:
    """A path as it is; the path of an address that starts with `file://`."""
    return path[len(_FILE) :] if path.lower().startswith(_FILE) else path


def is_parquet(source: str | os.PathLike[str]) -> bool:
    """Whether the name says Parquet; other names are read as CSV."""
    return name_of(source).endswith((".parquet", ".pq"))


def is_file_name(text: str) -> bool:
    """Whether a text has the ending of a file of a table."""
    return name_of(text).endswith((".csv", ".csv.gz", ".tsv", ".parquet", ".pq"))


def name_of(source: str | os.PathLike[str]) -> str:
    """The name in lower case, without the query of a web address, so that its ending counts."""
    name = os.fspath(source)
    if name.startswith(("http://", "https://")):
        name = name.partition("?")[0]
    return name.lower()


def files_of(source: str | os.PathLike[str]) -> list[str]:
    """The local files of a path or glob, sorted; an address is left to polars as it is.

    Raises:
        JourneyError: there is none.
    """
    path = local_path(os.fspath(source))
    if is_remote(path) or Path(path).is_file():
        return [path]
    files = sorted(file for file in glob.glob(path, recursive=True) if Path(file).is_file())
    if not files:
        raise JourneyError(
            f"the source must be a file or a glob that matches one; {path!r} is neither. "
            "Check the path; for a folder give a glob such as 'folder/*.parquet'"
        )
    return files


def check_columns(present: Sequence[str], needed: Iterable[str] | None) -> None:
    """Refuse a column that is missing (the message suggests the nearest name) or repeated."""
    for name in present if needed is None else needed:
        if not isinstance(name, str):
            raise ParameterError(f"a column must be named by a text; got {shown(name)}")
        if present.count(name) > 1:
            raise JourneyError(
                f"the columns read must have different names; {name!r} is there "
                f"{present.count(name)} times. Rename them"
            )
        if name in present:
            continue
        if len(present) == 1 and ";" in present[0]:
            raise JourneyError(
                f"a CSV file must have commas between its cells; its one column is {present[0]!r}. "
                "Save it with commas, or read it into a data frame first"
            )
        if any("\r" in str(each) for each in present):
            raise JourneyError(
                "lines of a CSV file must end with a line feed; those of this one end with a "
                "carriage return alone. Save it with the line ends of Unix or Windows"
            )
        near = difflib.get_close_matches(str(name), [str(each) for each in present], 1, 0.5)
        hint = f"Did you mean {near[0]!r}?" if near else "Name the column that holds it"
        listed = ", ".join(repr(each) for each in present[:20])
        more = f" … ({len(present)} in all)" if len(present) > 20 else ""
        raise JourneyError(f"there must be a column {name!r}; there are {listed}{more}. {hint}")


def cell(table: pl.LazyFrame, column: str, row: int) -> str:
    """One cell, as messages show it."""
    given = table.select(column).slice(row, 1).collect().item()
    return "nothing" if given in (None, "") else repr(given)


def _open_file(
    file: str, columns: Iterable[str] | None, header: bool, blank_is_missing: bool
) -> pl.LazyFrame:
    try:
        if is_parquet(file):
            query = pl.scan_parquet(file, glob=_has_glob(file))
            present = query.collect_schema().names()
        else:
            query, present = _scan_csv(file, header)
    except (pl.exceptions.PolarsError, OSError) as error:
        _check_text(file)
        if is_remote(file):
            raise _unreachable(file, error) from error
        if is_parquet(file):
            raise JourneyError(
                f"a file called .parquet must be a whole Parquet file; reading {file!r} failed: "
                f"{_first_line(error)}. Write it again, or call it .csv if it is one"
            ) from error
        raise _unreadable(repr(file), error) from error
    check_columns(present, columns)
    if columns is not None:
        query = query.select(list(dict.fromkeys(columns)))
    if is_parquet(file):
        return query
    every = pl.all()
    return query.with_columns(
        pl.when(every != "").then(every) if blank_is_missing else every.fill_null("")
    )


def _has_glob(file: str) -> bool:
    """Whether polars must expand a glob: local ones are expanded here, web addresses have none."""
    return is_remote(file) and not file.startswith(("http://", "https://"))


def _scan_csv(file: str, header: bool) -> tuple[pl.LazyFrame, list[str]]:
    """The query, and the names in the file: polars renames repeated ones."""
    options: dict[str, Any] = {
        "separator": _delimiter(file),
        "infer_schema": False,
        "glob": _has_glob(file),
    }
    first = pl.scan_csv(file, has_header=False, n_rows=1, **options).collect().row(0)
    names = [str(name or "") for name in first] if header else numbered(len(first))
    query = pl.scan_csv(file, has_header=header, **options)
    given = query.collect_schema().names()
    if len(set(names)) == len(names):
        query = query.rename(
            {old: new for old, new in zip(given, names, strict=True) if new != old}
        )
    return query, names


def numbered(n: int) -> list[str]:
    """Names of the columns of a file without a header."""
    return [f"column_{i}" for i in range(n)]


def _delimiter(file: str) -> str:
    return "\t" if name_of(file).removesuffix(".gz").endswith((".tsv", ".tab")) else ","


def _check_text(file: str) -> None:
    """Refuse a CSV file with a row longer than the first, or with text that is not UTF-8."""
    if is_parquet(file) or is_remote(file) or file.lower().endswith(".gz"):
        return
    line, width = 0, None
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=_delimiter(file))
            for cells in reader:
                line, width = reader.line_num, len(cells) if width is None else width
                if len(cells) > width:
                    raise JourneyError(
                        f"no row may have more cells than the first, {width}; line {line} of "
                        f"{file!r} has {len(cells)}. Quote the cell that holds the delimiter"
                    )
    except UnicodeDecodeError as error:
        raise JourneyError(
            f"a CSV file must be text in UTF-8; {file!r} is not, somewhere after line {line}. "
            "Save it as UTF-8"
        ) from error


def _open_frame(source: Any, columns: Iterable[str] | None) -> pl.LazyFrame:
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        check_columns(source.lazy().collect_schema().names(), columns)
        return source.lazy()
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        check_columns(list(source.columns), columns)
        needed = source if columns is None else source[list(dict.fromkeys(columns))]
        try:
            taken: pl.DataFrame = pl.from_pandas(needed)
        except Exception as error:  # pyarrow's and polars' own kinds, which differ by version
            raise _unreadable_pandas(needed, error) from error
        return taken.lazy()
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        if hasattr(source, "column_names"):
            check_columns(list(source.column_names), columns)
        elif hasattr(source, "schema") and hasattr(source.schema, "names"):
            check_columns(list(source.schema.names), columns)
        if columns is not None and hasattr(source, "select"):
            source = source.select(list(dict.fromkeys(columns)))
        try:
            frame = pl.DataFrame(source)
        except (Exception, pl.exceptions.PanicException) as error:  # types that polars lacks
            raise _unreadable("the Arrow table", error) from error
        check_columns(frame.columns, columns)
        return frame.lazy()
    raise JourneyError(
        "the source must be a path of CSV or Parquet files or a pandas, polars or Arrow table; "
        f"got {type(source).__name__}. Make it one of these"
    )


def _unreadable_pandas(frame: Any, error: Exception) -> JourneyError:
    """The error for a pandas table; it names the first column that cannot be read."""
    for name in frame.columns:
        try:
            pl.from_pandas(frame[[name]])
        except Exception as reason:  # as where the whole table is read
            return JourneyError(
                f"every column read must hold entries of one type; reading the column {name!r} "
                f"failed: {_first_line(reason)}. Convert it"
            )
    return _unreadable("the pandas table", error)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _unreadable(what: str, error: Exception) -> JourneyError:
    reason = _first_line(error)
    return JourneyError(
        f"{what} must be a readable table whose rows have the same number of cells, with text in "
        f"UTF-8; reading it failed: {reason}. Correct it, or convert it to Parquet"
    )


def _unreachable(address: str, error: Exception) -> JourneyError:
    reason = _first_line(error)
    return JourneyError(
        f"the address of a source must be one that polars can read; {address!r} failed: {reason}. "
        "Check the address and the credentials, or download the file first"
    )
