"""The path tables on which packages are compared with definitions."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from benchmarks import data
from benchmarks.peers.definitions import SEPARATOR, Row, read
from mta_models.core import files

COLUMNS = ("path", "conversions", "nulls")
# The smallest case in which a game over exact channel sets has no grand coalition.
_NEVER_ALL: tuple[Row, ...] = (
    (("A",), 1, 9),
    (("B",), 2, 8),
    (("A", "B"), 5, 5),
    (("B", "C"), 4, 6),
    (("C", "A"), 3, 7),
)


def write(rows: Iterable[Row], file: Path) -> Path:
    """Rows as a CSV of whole users."""
    cells = ([SEPARATOR.join(path), int(won), int(lost)] for path, won, lost in rows)
    files.write_csv(file, [COLUMNS, *cells])
    return file


def random_rows(n: int, n_channels: int, seed: int) -> list[Row]:
    """`n` paths whose conversion rates depend on the channels; `benchmarks.data` says how.

    A path that was drawn twice is one row, as in a table that a user would give to a package.
    """
    codes, offsets = data.flat_paths(n, n_channels, seed)
    conversions, nulls = data.outcomes(codes, offsets, n_channels, seed)
    names = [f"c{code}" for code in codes]
    users: dict[tuple[str, ...], list[int]] = {}
    for i in range(n):
        found = users.setdefault(tuple(names[offsets[i] : offsets[i + 1]]), [0, 0])
        found[0] += int(conversions[i])
        found[1] += int(nulls[i])
    return [(path, float(won), float(lost)) for path, (won, lost) in users.items()]


def example(folder: Path) -> Path:
    """The 10,000 paths of the package mta, with our names of its columns.

    Raises:
        UnavailableError: the package is not installed.
    """
    packed = folder / "mta_paths.csv"
    data.unpack_example(packed)
    made = folder / "example.csv"
    ours = {"total_conversions": "conversions", "total_null": "nulls"}
    with packed.open(newline="", encoding="utf-8") as lines:
        rows = [
            {ours.get(name, name): amount for name, amount in row.items()}
            for row in csv.DictReader(lines)
        ]
    files.write_csv(made, [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])
    return made


def renamed(file: Path, made: Path) -> dict[str, str]:
    """The same journeys with channel names in the reverse alphabetical order.

    Returns:
        New name by old name.
    """
    rows = read(file)
    names = sorted({channel for path, _, _ in rows for channel in path})
    new = dict(zip(names, reversed(names), strict=True))
    write(((tuple(new[each] for each in path), won, lost) for path, won, lost in rows), made)
    return new


def fifteen_channels(file: Path) -> Path:
    """Random journeys over 15 channels; one journey has all channels."""
    rows = random_rows(200, 15, data.SEED)
    everything = tuple(f"c{code}" for code in range(15))
    return write([*rows, (everything, 1.0, 1.0)], file)


def never_all(file: Path) -> Path:
    """Journeys of which none has all channels."""
    return write(_NEVER_ALL, file)
