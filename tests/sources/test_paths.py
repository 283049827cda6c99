"""Path tables: whatever holds a list of paths reads back to the same journeys."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.sources import paths

# Any text that CSV can hold, which is not blank and has neither the separator nor blanks round it.
names = st.one_of(
    st.sampled_from(
        ["null", "NA", "NaN", "None", "(start)", "a,b", 'say "hi"', "Ünï", "x\ny", "1"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=">"), max_size=5),
).filter(lambda name: name.strip() and name == name.strip())
tables = st.lists(
    st.tuples(
        st.lists(names, max_size=5),
        st.integers(0, 9),
        st.integers(0, 9),
        st.floats(-1e6, 1e6, allow_nan=False),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Everything that `write` writes goes where pytest cleans up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("paths")))
        yield


def equal(one: mta.Journeys, other: mta.Journeys) -> bool:
    def same(a: Any, b: Any) -> bool:
        return a is b is None or np.array_equal(a, b)

    arrays = ("codes", "offsets", "conversions", "nulls", "value")
    return one.channels == other.channels and all(
        same(getattr(one, name), getattr(other, name)) for name in arrays
    )


def write(text: str | bytes, name: str = "table.csv") -> Path:
    file = Path(tempfile.mkdtemp()) / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def as_csv(columns: dict[str, list[Any]]) -> Path:
    file = write("")
    with open(file, "w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return file


def as_parquet(columns: dict[str, list[Any]]) -> Path:
    file = write("", "table.parquet")
    pl.DataFrame(columns).write_parquet(file)
    return file


def as_lists(columns: dict[str, list[Any]]) -> pl.DataFrame:
    lists = [path.split(" > ") if path else [] for path in columns["path"]]
    return pl.DataFrame(columns | {"path": pl.Series(lists, dtype=pl.List(pl.String))})


FORMS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "polars": pl.DataFrame,
    "lazy": lambda columns: pl.LazyFrame(columns),
    "pandas": pd.DataFrame,
    "arrow": pa.table,
    "polars lists": as_lists,
    "pandas lists": lambda columns: as_lists(columns).to_pandas(),
    "pandas tuples": lambda columns: pd.DataFrame(
        columns | {"path": [tuple(path) for path in as_lists(columns)["path"]]}
    ),
    "arrow lists": lambda columns: as_lists(columns).to_arrow(),
    "parquet lists": lambda columns: as_parquet(as_lists(columns).to_dict(as_series=False)),
    "categories": lambda columns: pd.DataFrame(columns).astype({"path": "category"}),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30)
@given(rows=tables)
def test_any_paths_read_back_from_any_form(form: str, rows: list[Any]) -> None:
    lists, conversions, nulls, value = (list(column) for column in zip(*rows, strict=True))
    value = [amount if n else 0.0 for amount, n in zip(value, conversions, strict=True)]
    expected = mta.Journeys.from_paths(lists, conversions, nulls, value)
    source = FORMS[form](
        {
            "path": [" > ".join(path) for path in lists],
            "conversions": conversions,
            "nulls": nulls,
            "value": value,
        }
    )
    got = mta.read_paths(source, nulls="nulls", value="value")
    assert equal(got, expected)
    assert got.report is not None
    assert got.report.read["rows"] == len(rows)
    assert got.report.noted["rows without a touchpoint"] == lists.count([])
    assert got.report.noted["rows without an outcome"] == sum(
        n == m == 0 for n, m in zip(conversions, nulls, strict=True)
    )
    for what, amount in {
        "touchpoints": sum(map(len, lists)),
        "conversions": sum(conversions),
        "nulls": sum(nulls),
        "value": sum(value),
    }.items():
        assert got.report.read[what] == pytest.approx(amount)
        assert got.report.kept[what] == got.report.read[what]


@given(rows=st.lists(st.lists(st.sampled_from("ABCDE"), max_size=4), min_size=1, max_size=9))
def test_splitting_in_pieces_changes_nothing(rows: list[list[str]]) -> None:
    table = pl.DataFrame({"path": [" > ".join(path) for path in rows], "conversions": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_CHUNK", 2)
        assert equal(mta.read_paths(table), mta.Journeys.from_paths(rows, [1] * len(rows)))


@given(
    separator=st.sampled_from([">", "|", ".", "||", "|*", " -> ", ", ", "\t", "^", "→", ") ("]),
    rows=st.lists(st.lists(st.sampled_from(["A", "b c", "Ä", "1"]), max_size=4), min_size=1),
)
def test_the_separator_is_literal(separator: str, rows: list[list[str]]) -> None:
    columns = {"path": [separator.join(path) for path in rows], "conversions": [1] * len(rows)}
    expected = mta.Journeys.from_paths(rows, columns["conversions"])
    for source in (as_csv(columns), pl.DataFrame(columns)):
        assert equal(mta.read_paths(source, separator=separator), expected)


def test_names_are_trimmed_and_sorted() -> None:
    table = pl.DataFrame({"path": [" b  >  a", "a > B "], "conversions": [1, 2]})
    journeys = mta.read_paths(table)
    assert journeys.channels == ("B", "a", "b")
    assert journeys.to_polars()["path"].to_list() == ["b > a", "a > B"]


def test_names_that_differ_by_blanks_are_one_channel() -> None:
    assert mta.read_paths(write("path,conversions\n a>a >a,1"), separator=">").channels == ("a",)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_marks_and_line_ends(start: bytes, line: bytes, end: bool) -> None:
    rows = [b'"path","n,1"', b'"a > b",1', b",2", b'"",3', b"null,4"]
    file = write(start + line.join(rows) + line * end)
    journeys = mta.read_paths(file, conversions="n,1")
    assert equal(journeys, mta.Journeys.from_paths([["a", "b"], [], [], ["null"]], [1, 2, 3, 4]))


@pytest.mark.parametrize(("n", "dtype"), [(1, "u1"), (256, "u1"), (257, "u2"), (70_000, "u4")])
def test_codes_are_as_narrow_as_the_channels_allow(n: int, dtype: str) -> None:
    table = pl.DataFrame({"path": [f"c{i:05d}" for i in range(n)], "conversions": 1})
    journeys = mta.read_paths(table)
    assert journeys.codes.dtype == np.dtype(dtype)
    assert np.array_equal(journeys.codes, np.arange(n))


def test_files_of_other_endings_and_globs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,conversions\na > b,1\n")
    (tmp_path / "b.csv").write_text("conversions,extra,path\n2,x,b")
    (tmp_path / "c.tsv").write_text("path\tconversions\na,b > c\t1")
    (tmp_path / "d [1].csv.gz").write_bytes(gzip.compress(b"path,conversions\na > b,1\n"))
    both = mta.read_paths(str(tmp_path / "*.csv"))
    assert equal(both, mta.Journeys.from_paths([["a", "b"], ["b"]], [1, 2]))
    assert mta.read_paths(tmp_path / "c.tsv").channels == ("a,b", "c")
    one = mta.Journeys.from_paths([["a", "b"]], [1])
    assert equal(mta.read_paths(tmp_path / "d [1].csv.gz"), one)


def test_a_frame_changed_later_leaves_the_journeys_alone() -> None:
    counts = np.array([1.0, 2.0])
    table = pd.DataFrame({"path": ["a", "b"], "conversions": counts}, copy=False)
    journeys = mta.read_paths(table)
    table.loc[0, "conversions"] = 99.0
    counts[1] = 99.0
    assert journeys.conversions.tolist() == [1.0, 2.0]


def test_a_value_is_needed_only_where_something_converts() -> None:
    head = "path,conversions,value\n"
    journeys = mta.read_paths(write(head + "a,1,-2.5\nb,0,\nc,0,0\n"), value="value")
    assert journeys.value is not None
    assert journeys.value.tolist() == [-2.5, 0.0, 0.0]
    frame = pd.DataFrame({"path": ["a", "b"], "conversions": [1, 0], "value": [2.5, None]})
    assert mta.read_paths(frame, value="value").total_value == 2.5
    with pytest.raises(mta.JourneyError, match=r"'value' must be a finite.* row 1 has noth"):
        mta.read_paths(write(head + "a,1,1\nb,1,"), value="value")


BAD_ROWS = [
    ("a,1\nb,-2", r">= 0; row 1 has -2"),
    ("a,1\nb,", r"'conversions' must be a finite number; row 1 has nothing"),
    ("a,1\nb", r"'conversions' must be a finite number; row 1 has nothing"),
    ("a,1\nb,two", r"'conversions' must be a finite number; row 1 has 'two'"),
    ("a,1\nb,1;2", r"row 1 has '1;2'"),
    ("a,1\nb,inf", r"finite number; row 1 has 'inf'"),
    ("a,1\nb,NaN", r"finite number; row 1 has 'NaN'"),
    ("a,1\na >  > b,1", r"non-blank text; row 1 has a blank one, in 'a >  > b'"),
    ("a,1\na > > b,1", r"row 1 has a blank one"),
    ("a,1\na > b > ,1", r"row 1 has a blank one"),
    ('a,1\n"> b",1', r"row 1 has a blank one"),
    ("a,1\n  ,1", r"row 1 has a blank one, in '  '"),
    ("a,1\nb,1,7", r"no row may have more cells than the first, 2; line 3 of .* has 3"),
    ("", r"a table must have at least one row"),
]


@pytest.mark.parametrize(("rows", "message"), BAD_ROWS)
def test_a_bad_row_is_named(rows: str, message: str) -> None:
    with pytest.raises(mta.JourneyError, match=message):
        mta.read_paths(write("path,conversions\n" + rows))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (["a", None], r"every row must have a path; row 1 has none"),
        ([["a"], None], r"every row must have a path; row 1 has none"),
        ([["a"], ["b", None]], r"non-blank text; row 1 has a blank one, in \['b', None\]"),
        ([["a"], ["b", " "]], r"non-blank text; row 1 has a blank one"),
        ([1, 2], r"channels must be text, and the column 'path' holds Int64"),
        ([[1], [2]], r"channels must be text, and the column 'path' holds List\(Int64\)"),
    ],
)
def test_a_bad_path_in_a_frame_is_named(path: list[Any], message: str) -> None:
    table = pl.DataFrame({"path": path, "conversions": [1, 1]})
    for source in (table, table.to_arrow()):
        with pytest.raises(mta.JourneyError, match=message):
            mta.read_paths(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: write(""), "must be a readable table"),
        (lambda: write("path,conversion\na,1"), "there must be a column 'conversions'.*Did you"),
        (lambda: write("path,n\na,1"), "there are 'path', 'n'. Name the column"),
        (lambda: write("path;conversions\na;1"), "commas between its cells"),
        (lambda: write("path,conversions,path\na,1,b"), "'path' is there 2 times"),
        (lambda: write("path,conversions\na,1\n\xfc,1".encode("latin-1")), "text in UTF-8"),
        (lambda: write('path,conversions\na,1\n"b,1'), "must be a readable table"),
        (lambda: write("no parquet", "table.parquet"), "must be a whole Parquet file"),
        (lambda: "no_such_file.csv", "'no_such_file.csv' is neither"),
        (lambda: tempfile.mkdtemp(), "give a glob"),
        (lambda: [["a"]], "got list"),
        (
            lambda: pd.DataFrame({"path": ["a", ["b"]], "conversions": 1}),
            "reading the column 'path' failed",
        ),
        (
            lambda: pd.DataFrame({"path": [], "conversions": []}),
            "a table must have at least one row",
        ),
        (lambda: pd.DataFrame([["a", "b", 1]], columns=["path", "path", "conversions"]), "2 times"),
        (lambda: pa.table({"path": ["a"], "conv": [1]}), "there must be a column 'conversions'"),
        (
            lambda: pl.DataFrame({"path": ["a"], "conversions": [[1]]}),
            r"must hold numbers; it holds List\(Int64\)",
        ),
        (
            lambda: pd.DataFrame({"path": ["a"], "conversions": pd.to_datetime(["2024-01-01"])}),
            "must hold numbers; it holds Datetime",
        ),
    ],
)
def test_a_bad_source_is_refused(source: Callable[[], Any], message: str) -> None:
    with pytest.raises(mta.JourneyError, match=message):
        mta.read_paths(source())


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(mta.ParameterError, match="separator"):
        mta.read_paths(pl.DataFrame({"path": ["a"], "conversions": [1]}), separator="")


def test_a_path_cut_by_another_separator_is_warned_of() -> None:
    table = pl.DataFrame({"path": ["a>b", "a"], "conversions": [1, 1]})
    with pytest.warns(mta.MTAWarning, match="'a>b' contains '>'.*separator='>'"):
        mta.read_paths(table)


# The three sets below are read as they are; totals counted with csv and collections.Counter.


def test_the_ten_thousand_paths_of_mta(ten_thousand_paths: Path) -> None:
    journeys = mta.read_paths(
        ten_thousand_paths,
        conversions="total_conversions",
        nulls="total_null",
        value="total_conversion_value",
    )
    assert (journeys.n_journeys, journeys.n_channels) == (10_000, 12)
    assert (journeys.total, journeys.nulls.sum()) == (19_785, 68_602)
    assert journeys.lengths.max() == 89
    with open(ten_thousand_paths, newline="") as file:
        rows = list(csv.DictReader(file))
    assert journeys.n_touchpoints == sum(row["path"].count(" > ") + 1 for row in rows)
    assert journeys.total_value == pytest.approx(
        sum(float(row["total_conversion_value"]) for row in rows), rel=1e-12
    )


def test_wide_paths(reference_data: Path) -> None:
    file = reference_data / "paths_wide" / "paths.csv"  # dsearle90/MarkovAttribution, MIT
    journeys = mta.read_wide(file, outcome="conv_flag", converted="conv", null="null")
    assert (journeys.n_journeys, journeys.n_touchpoints) == (1_037, 3_174)
    assert (journeys.total, journeys.nulls.sum()) == (245, 792)
    assert journeys.channels == ("EMAIL", "PROGRAMMATIC", "SEM", "SOCIAL", "YOUTUBE")
    count = np.bincount(journeys.codes).tolist()
    assert count == [1_010, 609, 504, 836, 215]
    assert journeys.report is not None
    assert journeys.report.noted["empty cells between touchpoints"] == 26
    named = mta.read_wide(
        file, touchpoints="T_", outcome="conv_flag", converted=["conv"], null=("null",)
    )
    assert equal(named, journeys)


def test_three_wide_journeys_without_a_header(reference_data: Path) -> None:
    # jakebenn/multi-touch-attribution-markov-chains, MIT: byte-order mark, CRLF, no final newline.
    file = reference_data / "tiny" / "three_journeys_bom_crlf.csv"
    journeys = mta.read_wide(file, outcome=-1, converted="Conversion", null=None, header=False)
    expected = mta.Journeys.from_paths(
        [["C1", "C2", "C3"], ["C1"], ["C2", "C3"]], conversions=[1, 0, 0], nulls=[0, 1, 1]
    )
    assert equal(journeys, expected)


@given(rows=st.lists(st.tuples(st.lists(names, max_size=4), st.booleans()), min_size=1, max_size=8))
def test_any_wide_table_reads_back(rows: list[tuple[list[str], bool]]) -> None:
    width = max(1, *(len(path) for path, _ in rows))
    columns: dict[str, list[Any]] = {
        f"T{i}": [path[i] if i < len(path) else None for path, _ in rows] for i in range(width)
    }
    columns |= {"end": ["null" if won else "NA" for _, won in rows]}
    expected = mta.Journeys.from_paths(
        [path for path, _ in rows], [won for _, won in rows], [not won for _, won in rows]
    )
    for source in (as_csv(columns), pl.DataFrame(columns), pd.DataFrame(columns)):
        got = mta.read_wide(source, outcome="end", converted="null", null="NA")
        assert equal(got, expected)


WIDE = "T_2,T_10,T_1,worth,end\nb,c,a,4,yes\n,,d,,no\n,,,,\n"


def test_wide_columns_by_prefix_name_and_position() -> None:
    words: dict[str, Any] = {"outcome": "end", "converted": "yes", "null": ["no", None]}
    by_prefix = mta.read_wide(write(WIDE), touchpoints="T_", value="worth", **words)
    assert equal(
        by_prefix,
        mta.Journeys.from_paths([["a", "b", "c"], ["d"], []], [1, 0, 0], [0, 1, 1], [4, 0, 0]),
    )
    by_place = mta.read_wide(write(WIDE), touchpoints=["T_1", 0, -4], value=3, **words)
    assert equal(by_place, by_prefix)
    assert by_prefix.report is not None
    assert by_prefix.report.noted["rows without a touchpoint"] == 1


@pytest.mark.parametrize(("kind", "won", "lost"), [(bool, True, False), (int, 1, 0)])
def test_wide_outcomes_that_are_not_text(kind: type, won: Any, lost: Any) -> None:
    table = pd.DataFrame({"a": ["x", None], "end": [kind(1), kind(0)]})
    journeys = mta.read_wide(table, outcome="end", converted=won, null=lost)
    assert equal(journeys, mta.Journeys.from_paths([["x"], []], [1, 0], [0, 1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"null": "no"}, mta.JourneyError, r"for none, \['no'\]; row 2 has nothing"),
        ({"converted": "YES"}, mta.JourneyError, "row 0 has 'yes'"),
        ({"converted": ["yes", "no"]}, mta.ParameterError, "'no' is in both lists"),
        ({"outcome": "ends"}, mta.JourneyError, "Did you mean 'end'"),
        ({"outcome": 9}, mta.JourneyError, "one of the 5 columns; got 9"),
        ({"touchpoints": "X"}, mta.JourneyError, "touchpoints='X' matches none"),
        ({"touchpoints": ["T_3"]}, mta.JourneyError, "there must be a column 'T_3'"),
        ({"value": "T_1"}, mta.JourneyError, "must be a finite number; row 0 has 'a'"),
    ],
)
def test_bad_wide_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"outcome": "end", "converted": "yes", "null": ["no", ""]}
    with pytest.raises(error, match=message):
        mta.read_wide(write(WIDE), **given | options)


def test_to_frame_reads_back() -> None:
    journeys = mta.Journeys.from_paths([["b", "a"], [], ["c"]], [2, 1, 0], [0, 1, 3], [5, 0.5, 0])
    for table in (journeys.to_frame(), journeys.to_polars()):
        assert equal(mta.read_paths(table, nulls="nulls", value="value"), journeys)


def test_offsets_are_counted_by_hand() -> None:
    journeys = mta.read_paths(pl.DataFrame({"path": ["a > b", "", "b"], "conversions": [1, 1, 1]}))
    cuts = [journeys.codes[a:b].tolist() for a, b in pairwise(journeys.offsets.tolist())]
    assert cuts == [[0, 1], [], [1]]
