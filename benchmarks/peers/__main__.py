"""`python -m benchmarks.peers`: every package's credits against exact definitions."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.data import ROOT, SEED, UnavailableError
from benchmarks.peers import exactness, journeys, traps
from benchmarks.peers.catalogue import EVERYONE, OURS, PEERS
from benchmarks.peers.environments import install
from benchmarks.peers.running import Result, run


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        choices=list(EVERYONE),
        default=list(PEERS),
        metavar="NAME",
        help="renew these packages' rows, and ours",
    )
    add("--install", action="store_true", help="make the environments, and no more")
    add("--seeds", type=int, default=5, help="tables of random journeys")
    add("--rows", type=int, default=300, help="paths in each of them")
    add("--channels", type=int, default=6, help="channels in each of them")
    add("--limit", type=float, default=120.0, help="seconds that a model may take")
    add("--trap-limit", type=float, default=30.0, help="the same, over 15 channels")
    add("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the tables")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = _options(given)
    for name in options.only:
        environment = install(name)
        _say(f"{name}: {environment.reason or 'installed'}")
    if not options.install:
        with tempfile.TemporaryDirectory() as folder:
            _measure(options, Path(folder))
    return 0


def _measure(options: argparse.Namespace, folder: Path) -> None:
    kept: dict[tuple[str, Path], list[Result]] = {}

    def on(limit: float, name: str, file: Path) -> list[Result]:
        _say(f"{name} on {file.name}")
        kept[name, file] = run(name, file, limit=limit)
        return kept[name, file]

    patient, brief = partial(on, options.limit), partial(on, options.trap_limit)
    files = [
        journeys.write(
            journeys.random_rows(options.rows, options.channels, SEED + i),
            folder / f"random-{i}.csv",
        )
        for i in range(options.seeds)
    ]
    found = exactness.measure(patient, options.only, files)
    described = (
        f"{options.seeds} tables of {options.rows} random paths, {options.channels} channels"
    )
    table = exactness.rows(described, found)
    try:
        example = exactness.measure(patient, options.only, [journeys.example(folder)])
        table += exactness.rows("the 10,000 paths of the package mta, 12 channels", example)
    except UnavailableError as error:
        _say(f"no example: {error}")
    exactness.write(table, options.out / "exactness.csv")

    trapped = traps.sums(found)
    for name in (OURS, *(each for each in options.only if each != OURS)):
        trapped += traps.renaming(brief, name, files[0], kept[name, files[0]])
        trapped += traps.fifteen(brief, name, folder)
        trapped += traps.never_all(brief, name, folder)
    exactness.write(trapped, options.out / "peer_traps.csv")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
