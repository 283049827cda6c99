"""Rows of the benchmark as CSV: one per run, in the suite's order, with stable digits."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mta_models.core import files
from mta_models.errors import MTAError

# Columns that identify a row. `truth_users` is the number of users for which the truth was
# computed; the budget regret is computed for a quarter of them.
IDENTITY = ("world", "strength", "n_users", "seed", "truth_users", "draws", "model")
METRICS = (
    *("total_variation", "share_mae", "jensen_shannon", "kendall_tau_b", "absolute_error"),
    *("relative_error", "over_credit", "credit_to_null_channels", "null_share", "sign_errors"),
    *("baseline_error", "relative_baseline_error"),
    *("coverage_50", "width_50", "winkler_50", "coverage_80", "width_80", "winkler_80"),
    *("coverage_90", "width_90", "winkler_90", "coverage_95", "width_95", "winkler_95"),
    # Of channels with effect, of channels without, of the baseline; and of all channels.
    *("coverage_90_effect", "coverage_90_null", "coverage_90_baseline", "width_90_channels"),
    # Against the conversions lost without each channel, which removal effects estimate.
    "total_variation_removal",
    "budget_regret",
)
# Of models with a verdict on each channel (`verdict_`): numbers of channels, of those that it calls
# identified, of those whose 90% interval does not hold the truth, of both; and whether it calls all
# identified, and with them the baseline, 0 or 1.
VERDICT = ("n_channels", "n_identified", "n_missed", "n_missed_identified", "baseline_identified")
# Of the log: conversions observed, conversions expected, and the fraction without any channel.
ABOUT = ("conversions", "true_total", "true_baseline_share")
# The only columns that differ between runs. CPU seconds depend less on what else the machine does.
COST = ("seconds", "cpu_seconds", "peak_mb")
TEXTS = ("world", "model", "estimand", "warnings", "versions", "error")
FIELDS = (*IDENTITY, "estimand", *METRICS, *VERDICT, *ABOUT, *COST, "warnings", "versions", "error")

Row = dict[str, str]


def as_text(values: dict[str, Any]) -> Row:
    """A row's cells: numbers to six digits, empty where a value is missing or NaN."""
    return {name: _cell(values.get(name)) for name in FIELDS}


def key(row: Row) -> tuple[str, ...]:
    """The cells that identify a row, as texts."""
    return tuple(row[name] for name in IDENTITY)


def read(file: Path) -> list[Row]:
    """The rows of a file; none if it is not there. A last line that was cut off is left out.

    Rows written before a column was there have it empty.

    Raises:
        MTAError: `file` is not a file of benchmark rows, or cannot be read.
    """
    try:
        content = file.read_bytes()
        text = content[: content.rfind(b"\n") + 1].decode()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise MTAError(f"cannot read {str(file)!r}: {error}") from error
    if not text and files.csv_text([FIELDS]).encode().startswith(content):
        return []  # empty, or cut off while the header was written
    lines = csv.reader(io.StringIO(text))
    header = tuple(next(lines, ()))
    if not (set(IDENTITY) <= set(header) <= set(FIELDS) and len(set(header)) == len(header)):
        raise MTAError(
            f"{str(file)!r} must be a table of benchmark rows of this version, or not exist; it "
            "has other columns. Name another file"
        )
    empty = dict.fromkeys(FIELDS, "")
    return [empty | dict(zip(header, line, strict=True)) for line in lines]


def append(file: Path, rows: Iterable[Row]) -> None:
    """Add rows at the end: all of them, or on a full disk none.

    Unlike every other file this one grows during a run, because finished rows must be kept if the
    run is killed. `kill -9` may cut off the last line, which `read` leaves out and the next
    `append` removes.
    """
    with file.open("a+b", buffering=0) as out:
        _remove_cut_line(out)
        end = out.tell()
        header = [] if end else [FIELDS]
        content = files.csv_text([*header, *(row.values() for row in rows)]).encode()
        try:
            while content:
                content = content[out.write(content) :]
            os.fsync(out.fileno())
        except BaseException:  # Ctrl-C too
            out.truncate(end)
            raise


def write(file: Path, rows: Sequence[Row]) -> None:
    """Replace the file's content by these rows."""
    files.write_csv(file, [FIELDS, *(row.values() for row in rows)])


def _remove_cut_line(out: BinaryIO) -> None:
    """Cut the file after its last line end and seek to it; no cell holds a line end."""
    out.seek(max(out.seek(0, io.SEEK_END) - 1, 0))
    if out.read(1) in (b"", b"\n"):
        return
    out.seek(0)
    out.truncate(out.read().rfind(b"\n") + 1)
    out.seek(0, io.SEEK_END)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # + 0.0: no −0
    # A reason on one line, without characters that a table cannot hold.
    return " ".join(str(value).split())
