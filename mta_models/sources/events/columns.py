"""Columns of an event log as plain arrays; every error names the row."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from mta_models.core.arrays import is_name
from mta_models.core.number_columns import as_number, checked_numbers, is_missing
from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.errors import InvariantError, JourneyError
from mta_models.sources import tables
from mta_models.sources.events.options import EventOptions
from mta_models.sources.events.times import Clock, check_objects, first_true, read_times

_TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class EventLog:
    """An event log as arrays of the shape `(n_rows,)`, in the order of the source.

    Attributes:
        user: code of the user, an index into `user_ids`.
        user_ids: the source's own identifiers.
        ticks: time since the clock's origin.
        code: 0 on a row that is no touchpoint, else 1 + the index into `channels`.
        channels: names, sorted.
        converts: whether the row is a conversion.
        value: the conversion's value, 0 without one; or None.
        priced: whether the row has a value; or None.
        cost: the cost of the row, NaN if it is missing; or None.
        kind: index into the interaction windows, or None.
        rank: order of rows at the same time, by `order=`, or None.
        first_of_id: False on the later rows of an event id, or None.
        row: the row of the source; None: the index itself.
    """

    user: Numbers
    user_ids: pl.Series
    ticks: Ints
    clock: Clock
    code: Numbers
    channels: tuple[str, ...]
    converts: Mask
    value: Floats | None = None
    priced: Mask | None = None
    cost: Floats | None = None
    kind: Numbers | None = None
    rank: Numbers | None = None
    first_of_id: Mask | None = None
    row: Numbers | None = None

    def __len__(self) -> int:
        return len(self.ticks)

    def take(self, index: Numbers) -> EventLog:
        """Some of the rows, or all in another order; `index` is a mask or positions."""
        per_row = ("user", "ticks", "code", "converts", "value", "priced", "cost", "kind", "rank")
        changes: dict[str, Any] = {}
        for name in per_row:
            array = getattr(self, name)
            changes[name] = None if array is None else array[index]
        rows = np.arange(len(self), dtype=narrow(len(self))) if self.row is None else self.row
        return replace(self, **changes, first_of_id=None, row=rows[index])


def narrow(n: int) -> Any:
    """The narrowest unsigned type, of 32 bits or more, for numbers up to `n`."""
    return np.uint32 if n <= 2**32 else np.uint64


def gather(values: Numbers, index: Numbers) -> Numbers:
    """`values[index]`, twice as fast as numpy, which would first widen the narrow positions."""
    if index.dtype != np.uint32 or values.dtype.kind not in "iuf":
        return values[index]
    taken: Numbers = pl.Series(values).gather(pl.Series(index)).to_numpy()
    return taken


def read_log(source: Any, options: EventOptions) -> EventLog:
    """Read and check the needed columns, and free each one as soon as it is an array.

    Raises:
        JourneyError: there are no rows, or an entry is not of the type of its column.
    """
    columns = _collect(source, options)
    n = len(columns["user"])
    if not n:
        raise JourneyError("there must be at least one event; the source has no rows")
    user, user_ids = read_users(columns.pop("user"))
    clock, ticks = read_times(columns["time"], repr(options.time))
    clock = replace(clock, origin=int(ticks.min()))
    ticks = ticks - clock.origin
    del columns["time"]
    code, channels = _channels(columns.pop("channel"))
    converts = _conversions(columns.pop("conversion"), options.conversion)
    value, priced = _values(columns.pop("value", None), options.value, converts)
    return EventLog(
        user=user,
        user_ids=user_ids,
        ticks=ticks,
        clock=clock,
        code=code,
        channels=channels,
        converts=converts,
        value=value,
        priced=priced,
        cost=_amounts(columns.pop("cost", None), options.cost),
        kind=_kinds(columns.pop("kind", None), code > 0, tuple(options.windows)),
        rank=_ranks(columns.pop("order", None)),
        first_of_id=_first_of_id(columns.pop("event_id", None)),
    )


def _collect(source: Any, options: EventOptions) -> dict[str, pl.Series]:
    query = tables.open_table(source, options.columns.values())
    if type(source).__module__.partition(".")[0] == "pandas" and source[options.time].dtype == "O":
        check_objects(source[options.time].tolist(), repr(options.time))
    schema = query.collect_schema()
    is_csv = isinstance(source, str | os.PathLike) and not tables.is_parquet(source)
    if is_csv:
        # An empty CSV cell is missing, quoted or not.
        query = query.with_columns(pl.col(pl.String).replace("", None))
    channel = options.channel
    if schema[channel].is_integer():
        query = query.with_columns(pl.col(channel).cast(pl.String))
    elif schema[channel] not in (*_TEXT, pl.Null):
        raise JourneyError(
            f"channels must be texts; the column {channel!r} is {schema[channel]}. Cast it to text"
        )
    roles = [pl.col(name).alias(role) for role, name in options.columns.items()]
    # Categorical: 4 bytes per row instead of a text, and equal texts are detected while reading.
    selected = query.select(roles).with_columns(pl.col("channel").cast(pl.Categorical))
    frame = tables.collect(selected, source)
    return dict(zip(frame.columns, frame.get_columns(), strict=True))


def read_users(given: pl.Series) -> tuple[Numbers, pl.Series]:
    """The user code of each row, and the user of each code.

    Whole numbers are coded in ascending order, texts in the order of their first row.

    Raises:
        JourneyError: a user is missing, or neither text nor whole number.
    """
    if given.null_count():
        raise JourneyError(
            f"every event must have a user; row {first_true(given.is_null())} has none. "
            "Drop the row, or give its user an identifier"
        )
    if given.dtype in (pl.Categorical, pl.Enum):
        given = given.cast(pl.String)
    if given.dtype == pl.String:
        return _encode(given)
    if not given.dtype.is_integer():
        raise JourneyError(
            f"users must be texts or whole numbers; the column is {given.dtype}. Cast it"
        )
    ids: Numbers = given.to_numpy()
    low, high = int(ids.min()), int(ids.max())
    if high - low > 8 * len(ids) + 1_000_000:
        codes, met = _encode(given)
        order = met.arg_sort().to_numpy()
        rank = np.empty(len(order), dtype=codes.dtype)
        rank[order] = np.arange(len(order), dtype=codes.dtype)
        return rank[codes], met.gather(order)
    wide = np.uint64 if ids.dtype == np.uint64 else np.int64
    offset = np.subtract(ids, wide(low), dtype=wide).astype(narrow(high - low))
    seen = np.zeros(high - low + 1, dtype=bool)
    seen[offset] = True
    met_ids = np.flatnonzero(seen).astype(wide) + wide(low)
    narrowest = np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high))
    met_ids = met_ids.astype(narrowest)
    if not seen.all():
        offset = gather(np.cumsum(seen, dtype=offset.dtype) - offset.dtype.type(1), offset)
    return offset, pl.Series(met_ids)


def _encode(given: pl.Series) -> tuple[Numbers, pl.Series]:
    """Codes by first appearance: sort hashes, then compare every row with the first of its code.

    The comparison detects colliding hashes; these rows are hashed again, so the result is exact. It
    is faster than a hash table, which misses the CPU cache at every row.
    """
    n = len(given)
    codes = np.zeros(n, dtype=narrow(n))
    left = np.arange(n, dtype=narrow(n))
    leaders: list[Numbers] = []
    count = 0
    for seed in range(64):
        part = given if len(left) == n else given.gather(left)
        code, leader = _group_hashes(part.hash(seed).to_numpy())
        codes[left] = code + codes.dtype.type(count)
        leaders.append(left[leader])
        count += len(leader)
        wrong = part.gather(gather(leader, code)).ne(part).to_numpy()
        if not wrong.any():
            break
        left = left[wrong]
    else:
        raise InvariantError("64 hashes collided: report this log to us")
    first = np.concatenate(leaders)
    order = np.argsort(first)
    rank = np.empty(count, dtype=codes.dtype)
    rank[order] = np.arange(count, dtype=codes.dtype)
    return gather(rank, codes), given.gather(first[order])


def _group_hashes(hashes: Numbers) -> tuple[Numbers, Numbers]:
    """Groups of rows with equal leading bits of hashes: a row's group, a group's first row."""
    n = len(hashes)
    bits = np.uint64(max(int(n - 1).bit_length(), 1))
    low = (np.uint64(1) << bits) - np.uint64(1)
    key = (hashes & ~low) | np.arange(n, dtype=np.uint64)
    key.sort()
    row = (key & low).astype(narrow(n))
    starts = np.concatenate(([True], (key[1:] ^ key[:-1]) > low))
    code = np.empty(n, dtype=narrow(n))
    code[row] = np.cumsum(starts, dtype=code.dtype) - code.dtype.type(1)
    return code, row[starts]


def _channels(given: pl.Series) -> tuple[Numbers, tuple[str, ...]]:
    physical = given.to_physical()
    met = physical.unique().drop_nulls()
    # One row of each channel, to read its name from.
    rows = np.zeros(int(met.max() or 0) + 2, dtype=narrow(len(given)))  # type: ignore[arg-type]  # of integers
    numbers = physical.fill_null(len(rows) - 1).to_numpy()
    rows[numbers] = np.arange(len(given), dtype=rows.dtype)
    names = given.gather(rows[met.to_numpy()]).cast(pl.String).to_list()
    blank = next((name for name in names if not is_name(name)), None)
    if blank is not None:
        row = first_true((given.cast(pl.String) == blank).fill_null(False))
        raise JourneyError(
            f"a channel must be a non-blank text, or missing on a row that is no touchpoint; row "
            f"{row} has {blank!r}. Name it, or set it to missing"
        )
    order = sorted(range(len(names)), key=names.__getitem__)
    channels = tuple(names[each] for each in order)
    kind = np.min_scalar_type(len(channels))
    code_of = np.zeros(len(rows), dtype=kind)
    code_of[met.to_numpy()[order]] = np.arange(1, len(channels) + 1, dtype=kind)
    return gather(code_of, numbers), channels


def _conversions(given: pl.Series, column: str) -> Mask:
    yes: pl.Series
    if given.dtype == pl.Boolean:
        yes, legal = given, given.is_not_null()
    elif given.dtype.is_numeric():
        yes, legal = given == 1, (given == 0) | (given == 1)
    elif given.dtype not in (*_TEXT, pl.Null):
        raise JourneyError(
            f"the column {column!r} must say 0 or 1 (or a boolean) on every row; it holds "
            f"{given.dtype}. Convert it"
        )
    else:
        words = given.cast(pl.String).str.strip_chars().str.to_lowercase()
        yes = words.is_in(["1", "1.0", "true"])
        legal = yes | words.is_in(["0", "0.0", "false"])
    _refuse(
        given,
        ~legal.fill_null(False),
        "a conversion must be 0 or 1 (or a boolean) on every row",
        "Write 1 where the row converts and 0 where not; use one row per conversion, "
        "or give their number as `value`",
    )
    mask: Mask = yes.to_numpy()
    return mask


def _values(
    given: pl.Series | None, column: str | None, converts: Mask
) -> tuple[Floats | None, Mask | None]:
    value = _amounts(given, column)
    if given is None or value is None:
        return None, None
    priced = ~np.isnan(value)
    value = np.where(priced, value, 0.0)
    _refuse(
        given,
        pl.Series((value != 0) & ~converts),
        "a row that does not convert must have the value 0 or none",
        "Mark the row as a conversion, or remove its value",
    )
    return value, priced


def _amounts(given: pl.Series | None, column: str | None) -> Floats | None:
    """Float64, NaN where the entry is missing (null, NaN or a blank text)."""
    if given is None or column is None:
        return None
    read = (
        as_number(column, given.dtype).alias("number"),
        is_missing(column, given.dtype).alias("missing"),
    )
    number, missing = given.to_frame(column).select(*read).get_columns()
    return checked_numbers(number, column, partial(_entry, given), missing=missing)


def _kinds(given: pl.Series | None, touched: Mask, kinds: tuple[str, ...]) -> Numbers | None:
    if given is None:
        return None
    index = given.cast(pl.String).replace_strict(
        list(kinds), list(range(len(kinds))), default=None, return_dtype=pl.Int16
    )
    _refuse(
        given,
        index.is_null() & pl.Series(touched),
        f"the kind of every touchpoint must be one of {', '.join(map(repr, kinds))}",
        "Give each kind its window in `interaction`",
    )
    return index.fill_null(0).to_numpy()


def _ranks(given: pl.Series | None) -> Numbers | None:
    if given is None:
        return None
    if given.null_count():
        raise JourneyError(
            f"every row must have a rank in `order`; row {first_true(given.is_null())} has none. "
            "Fill it in, or leave `order` out"
        )
    return given.rank("dense").to_numpy()


def _first_of_id(given: pl.Series | None) -> Mask | None:
    if given is None:
        return None
    # Rows without an id are all kept.
    return (given.is_first_distinct() | given.is_null()).to_numpy()


def _refuse(given: pl.Series, wrong: pl.Series, must: str, advice: str) -> None:
    if wrong.any():
        row = first_true(wrong)
        raise JourneyError(f"{must}; row {row} has {_entry(given, row)}. {advice}")


def _entry(given: pl.Series, row: int) -> str:
    """One entry as a message shows it."""
    return "nothing" if given[row] is None else repr(given[row])
