"""Sources at an address: read from a server on this machine, or given to polars unchanged."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import mta_models as mta
from mta_models.sources import tables
from tests.sources.server import serving

PATHS = pl.DataFrame({"path": ["A > B", "B", ""], "conversions": [3, 1, 2], "nulls": [1, 1, 0]})


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as address:
        yield address


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.parquet", "p.pq", "p.csv.gz"])
@pytest.mark.parametrize("query", ["", "?signature=a.csv"])
def test_paths_from_a_server(tmp_path: Path, address: str, name: str, query: str) -> None:
    file = tmp_path / name
    if file.suffix in (".parquet", ".pq"):
        PATHS.write_parquet(file)
    elif file.suffix == ".gz":
        file.write_bytes(gzip.compress(PATHS.write_csv().encode()))
    else:
        PATHS.write_csv(file, separator="\t" if file.suffix == ".tsv" else ",")
    journeys = mta.read_paths(f"{address}/{name}{query}", nulls="nulls")
    assert journeys.channels == ("A", "B")
    assert (journeys.total, journeys.nulls.sum()) == (6, 2)


def test_events_and_their_users_from_a_server(tmp_path: Path, address: str) -> None:
    simulation = mta.worlds.make("repeat", n_users=300).simulate()
    columns = {name: name for name in ("user", "time", "channel", "conversion")}
    for ending in ("csv", "parquet"):
        log, users = tmp_path / f"log.{ending}", tmp_path / f"users.{ending}"
        for table, file in ((simulation.events, log), (simulation.observed, users)):
            file.write_bytes(b"")
            getattr(table, "write_parquet" if ending == "parquet" else "write_csv")(file)
        here = mta.read_events(log, **columns, observed=str(users))
        there = mta.read_events(
            f"{address}/{log.name}?x", **columns, observed=f"{address}/{users.name}?y=1"
        )
        assert there.to_polars().equals(here.to_polars())


def test_an_address_that_does_not_answer_is_named(address: str) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(mta.JourneyError, match=f"'{address}/{name}' failed: .*404"):
            mta.read_paths(f"{address}/{name}")


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "abfss", "hf", "https"])
@pytest.mark.parametrize("name", ["log.csv", "2024-*/log.csv", "log.parquet", "*.parquet"])
def test_polars_is_given_the_address_as_it_is(
    monkeypatch: pytest.MonkeyPatch, scheme: str, name: str
) -> None:
    """Polars opens these itself and expands their globs; web addresses have none."""
    given: list[tuple[str, bool]] = []

    def scan(source: str, *, glob: bool, **_: Any) -> pl.LazyFrame:
        given.append((source, glob))
        if source.endswith("csv") and len(given) == 1:  # the header, to see what columns there are
            return pl.LazyFrame([PATHS.columns], orient="row")
        return PATHS.cast(pl.String).lazy() if source.endswith("csv") else PATHS.lazy()

    monkeypatch.setattr(pl, "scan_csv", scan)
    monkeypatch.setattr(pl, "scan_parquet", scan)
    address = f"{scheme}://bucket/{name}"
    assert mta.read_paths(address, nulls="nulls").total == 6
    assert set(given) == {(address, scheme != "https")}
    assert tables.is_remote(address)
