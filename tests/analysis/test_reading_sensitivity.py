"""Credit by lookback and session: each cell is what reading and fitting by hand gives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mta_models as mta

COLUMNS = {"user": "who", "time": "when", "channel": "channel", "conversion": "bought"}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 600
    minutes = rng.integers(0, 60 * 24 * 60, n)
    times = np.datetime64("2024-01-01") + minutes.astype("timedelta64[m]")
    return pl.DataFrame(
        {
            "who": rng.integers(0, 60, n),
            "when": times.astype("datetime64[us]"),
            "channel": rng.choice(["Search", "Email", "TV"], n),
            "bought": (rng.random(n) < 0.1).astype(np.int64),
            "unused": ["x"] * n,
        }
    ).with_columns(worth=pl.col("bought") * 20.0)


@pytest.mark.parametrize("of", ["conversions", "value"])
def test_every_cell_is_a_reading_of_its_own(log: pl.DataFrame, of: str) -> None:
    lookbacks, sessions = ("1d", timedelta(days=30), None), (None, "12h")
    result = mta.sensitivity(
        mta.Linear(), log, lookbacks=lookbacks, sessions=sessions, of=of, value="worth", **COLUMNS
    )
    assert list(result.attributions) == [(a, b) for a in lookbacks for b in sessions]
    for (lookback, session), actual in result.attributions.items():
        journeys = mta.read_events(
            log, lookback=lookback, session=session, value="worth", **COLUMNS
        )
        expected = mta.Linear().fit_attribute(journeys, of=of)
        np.testing.assert_array_equal(actual.credit, expected.credit)
        assert (actual.baseline, actual.total) == (expected.baseline, expected.total)
    # A shorter lookback leaves more conversions without a touchpoint before them.
    baselines = [result.attributions[each, None].baseline for each in lookbacks]
    assert baselines == sorted(baselines, reverse=True)


def test_the_table_holds_every_setting_and_adds_up(log: pl.DataFrame) -> None:
    result = mta.sensitivity("LastTouch", log, lookbacks=["2d", None], **COLUMNS)
    frame = result.to_frame()
    assert list(frame.columns) == ["lookback", "session", "channel", "credit", "share"]
    assert len(frame) == 2 * 2 * (3 + 1)
    assert set(frame["lookback"]) == {"2d", "unlimited"}
    assert set(frame["session"]) == {"none", "30min"}
    sums = frame.groupby(["lookback", "session"])["credit"].sum()
    np.testing.assert_allclose(sums, log["bought"].sum())
    table = result.to_polars()
    assert table.columns == list(frame.columns)
    assert table["share"].null_count() == 4
    np.testing.assert_array_equal(table["credit"], frame["credit"])
    wide = frame.pivot_table("credit", "channel", ["lookback", "session"])
    assert wide.shape == (4, 4)


def test_largest_move_is_the_greatest_distance_between_shares() -> None:
    rows = [
        ("a", 0.0, "TV", 0),
        ("a", 20.0, "Search", 1),
        ("b", 19.0, "TV", 0),
        ("b", 20.0, "Search", 1),
    ]
    log = pl.DataFrame(rows, schema=list(COLUMNS.values()), orient="row")
    result = mta.sensitivity(
        mta.FirstTouch, log, lookbacks=["12h", "7d", None], sessions=[None], **COLUMNS
    )
    assert result.channels == ("Search", "TV")
    assert result.share.tolist() == [[1, 0.5, 0], [0, 0.5, 1]]
    assert result.largest_move == 1
    late = log.with_columns(channel=pl.when(pl.col("bought") == 0).then(pl.col("channel")))
    nothing = mta.sensitivity(
        mta.FirstTouch, late, lookbacks=["12h", None], sessions=[None], **COLUMNS
    )
    # With 12 hours no channel has credit, so there are no shares to compare.
    assert np.isnan(nothing.share[:, 0]).all()
    assert nothing.largest_move == 0
    short = mta.sensitivity("FirstTouch", late, lookbacks=["12h"], sessions=[None], **COLUMNS)
    assert np.isnan(short.largest_move)


def test_a_file_is_read_once_and_as_read_events_reads_it(
    log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mta_models.sources import tables

    file = tmp_path / "log.csv"
    log.with_columns(channel=pl.col("channel").replace("TV", None)).write_csv(file)
    opened, open_table = [], tables.open_table

    def counting(source: object, *args: object, **kwargs: object) -> pl.LazyFrame:
        opened.append(source)
        return open_table(source, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "open_table", counting)
    options = {"interaction": ("unused", {"x": "5d"})}
    result = mta.sensitivity("Linear", file, lookbacks=["7d", None], **COLUMNS, **options)
    assert [each for each in opened if isinstance(each, Path)] == [file]
    for (lookback, session), actual in result.attributions.items():
        journeys = mta.read_events(file, lookback=lookback, session=session, **COLUMNS, **options)
        np.testing.assert_array_equal(actual.credit, mta.Linear().fit_attribute(journeys).credit)


def test_a_database_table_gives_the_same(log: pl.DataFrame) -> None:
    ibis = pytest.importorskip("ibis")
    table = ibis.memtable(log.drop("worth"))
    settings = {"lookbacks": ["7d", None], "sessions": [None]}
    there = mta.sensitivity("Linear", table, **settings, **COLUMNS)
    here = mta.sensitivity("Linear", log, **settings, **COLUMNS)
    for setting, expected in here.attributions.items():
        np.testing.assert_allclose(there.attributions[setting].credit, expected.credit)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lookbacks": []}, "`lookbacks` must be a list of settings"),
        ({"lookbacks": "30d"}, "`lookbacks` must be a list of settings"),
        ({"lookbacks": ["7d", "1w"]}, "the settings of `lookbacks` must differ"),
        ({"sessions": [None, None]}, "the settings of `sessions` must differ"),
        ({"sessions": ["soon"]}, "`sessions` must be a span of time above 0"),
        ({"lookback": "7d"}, "takes lookbacks="),
        ({"session": "7d"}, "takes sessions="),
    ],
)
def test_settings_must_be_lists_of_different_durations(
    log: pl.DataFrame, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(mta.ParameterError, match=words):
        mta.sensitivity("Linear", log, **COLUMNS, **arguments)  # type: ignore[arg-type]


def test_a_missing_column_is_named(log: pl.DataFrame) -> None:
    with pytest.raises(mta.JourneyError, match="bougth"):
        mta.sensitivity("Linear", log, **COLUMNS | {"conversion": "bougth"})
