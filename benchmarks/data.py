"""Inputs of the benchmarks: made from a seed in a separate process, kept in a cache folder.

The measuring process never loads numpy or polars: a child's peak memory, as the kernel counts it,
starts from that of the process it was forked from.
"""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SEED = 20
# Rows at scale 1.
PATHS, EVENTS, EVENTS_PER_USER = 1_000_000, 20_000_000, 5


class UnavailableError(Exception):
    """Something that a benchmark needs is not available; the message says what and why."""


@dataclass(frozen=True)
class Data:
    """The inputs at one scale, made when first asked for.

    Attributes:
        folder: where the inputs are kept.
        paths: rows of the path table.
        events: rows of the event log.
    """

    folder: Path
    paths: int = PATHS
    events: int = EVENTS

    def file(self, name: str) -> Path:
        """The file of the input `name`.

        Raises:
            UnavailableError: the input cannot be made.
        """
        made = self.folder / self.called(name)
        if not made.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # An interrupted run must not leave half a file under this name. core.files writes
            # contents from memory; this file may be larger, and is made in another process.
            part = made.with_name(f"part-{made.name}")
            _make(name, part, self._rows(name))
            part.rename(made)
        return made

    def called(self, name: str) -> str:
        """The file's name, which has every value that its content depends on."""
        if name == "mta_paths":
            return "mta_paths.csv"
        ending = "csv" if name == "paths" else "parquet"
        return f"{name}-{self._rows(name)}-seed{SEED}.{ending}"

    def _rows(self, name: str) -> int:
        return self.paths if name == "paths" else self.events


def _make(name: str, file: Path, rows: int) -> None:
    if name == "mta_paths":
        unpack_example(file)
        return
    command = [sys.executable, "-m", "benchmarks.data", name, str(file), str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise UnavailableError(f"{name} could not be made: {reason}")


def unpack_example(file: Path) -> None:
    """The 10,000 paths of the PyPI package `mta` (MIT), found without importing it."""
    spec = importlib.util.find_spec("mta")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError("the package mta, whose example this reads, is not installed")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "data.csv.gz"
    file.write_bytes(gzip.decompress(packed.read_bytes()))


# What follows runs in a child process.


def flat_paths(n: int, n_channels: int, seed: int, empty: float = 0.0) -> tuple[Any, Any]:
    """Codes and offsets of `n` paths of 5.5 touchpoints on average, a part of them `empty`.

    Channel popularity falls by a power law, so that the last channels are small. The probability of
    the next channel depends on the one before, so touchpoints are not independent draws.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.geometric(1 / 5.5, n), 40) * (rng.random(n) >= empty)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    popular = np.arange(1, n_channels + 1) ** -0.7
    codes = rng.choice(n_channels, int(offsets[-1]), p=popular / popular.sum())
    # A quarter of the touchpoints come from the neighbourhood of the one before.
    follow = np.flatnonzero(rng.random(len(codes)) < 0.25)
    follow = follow[follow > 0]
    codes[follow] = (codes[follow - 1] + rng.integers(0, 3, len(follow))) % n_channels
    return codes, offsets


def outcomes(codes: Any, offsets: Any, n_channels: int, seed: int) -> tuple[Any, Any]:
    """Conversions and nulls of paths, shape `(n,)` each; conversion rates depend on channels."""
    import numpy as np

    rng = np.random.default_rng(seed + 1)
    pull = rng.uniform(0.0, 0.06, n_channels)
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    chance = 0.01 + np.bincount(owner, pull[codes], len(offsets) - 1)
    users = 1 + rng.poisson(1.0, len(chance))
    conversions = rng.binomial(users, np.minimum(chance, 0.9))
    return conversions, users - conversions


def write_paths(file: Path, rows: int) -> None:
    """A path table of 10 channels, 30 bytes a row: `path,conversions,nulls`."""
    import numpy as np
    import polars as pl

    codes, offsets = flat_paths(rows, 10, SEED)
    conversions, nulls = outcomes(codes, offsets, 10, SEED)
    names = pl.Series([f"c{i}" for i in range(10)])
    touched = pl.DataFrame(
        {"row": np.repeat(np.arange(rows), np.diff(offsets)), "path": names.gather(codes)}
    )
    joined = touched.group_by("row", maintain_order=True).agg(pl.col("path").str.join(" > "))
    joined.select("path", conversions=conversions, nulls=nulls).write_csv(file)


def write_events(file: Path, rows: int, *, text_users: bool = False) -> None:
    """An unsorted event log, 5 rows per user; 1 row in 20 is a conversion without a channel."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(SEED)
    n_users = max(1, rows // EVENTS_PER_USER)
    user = _every_user(rng, n_users, rows)
    converts = rng.random(rows) < 0.05
    popular = np.arange(1, 11) ** -0.7
    code = rng.choice(10, rows, p=popular / popular.sum()).astype(np.uint32)
    span = 90 * 86_400_000_000
    channel = pl.Series([f"channel {i}" for i in range(10)]).gather(code)
    table = pl.DataFrame(
        {
            "user": user,
            "time": pl.Series(rng.integers(0, span, rows) + 1_700_000_000_000_000).cast(
                pl.Datetime("us", "UTC")
            ),
            "channel": channel,
            "conversion": converts.astype(np.int8),
        }
    )
    if text_users:
        # As long as the identifiers that web analytics hands out.
        table = table.with_columns(
            user="GA1.2." + (pl.col("user") * 48_271 % 2_147_483_647 + 10**9).cast(pl.String)
        )
    table = table.with_columns(pl.when(pl.col("conversion") == 0).then("channel").alias("channel"))
    table.write_parquet(file, compression="snappy")


def _every_user(rng: np.random.Generator, n_users: int, rows: int) -> Any:
    import numpy as np

    return np.concatenate([rng.permutation(n_users), rng.integers(0, n_users, rows - n_users)])[
        rng.permutation(rows)
    ]


def write_events_text(file: Path, rows: int) -> None:
    """As `write_events`, with texts as identifiers of users."""
    write_events(file, rows, text_users=True)


MAKERS: dict[str, Callable[[Path, int], None]] = {
    "paths": write_paths,
    "events": write_events,
    "events_text": write_events_text,
}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
