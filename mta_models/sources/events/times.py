"""Times of an event log as whole ticks, so that bounds and ties are exact."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mta_models.core.ragged import Floats, Ints, Numbers
from mta_models.errors import JourneyError

MICROSECONDS = 86_400_000_000
# 27,000 years: larger plain numbers are seconds or milliseconds since 1970, not days.
_MOST_DAYS = 1e7
_EPOCH = dt.datetime(1970, 1, 1)
_ZONE = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


@dataclass(frozen=True)
class Clock:
    """The type and unit of a log's times.

    Attributes:
        kind: `"naive"` or `"aware"` datetimes, or `"number"`: plain numbers, which are days.
        per_day: ticks in a day: microseconds, or nanoseconds if the log has them.
        origin: the log's first instant, in ticks since 1970 (plain numbers: since 0).
    """

    kind: str
    per_day: int = MICROSECONDS
    origin: int = 0

    @property
    def origin_text(self) -> str:
        """The origin as ISO 8601 in UTC, or as a plain number."""
        if self.kind == "number":
            return repr(self.origin / self.per_day)
        whole, rest = divmod(self.origin, self.per_day // 86_400_000_000)
        instant = _EPOCH + dt.timedelta(microseconds=whole)
        digits = f"{instant.microsecond:06d}{rest:03d}".rstrip("0") if rest else ""
        text = instant.replace(microsecond=0).isoformat() + "." + digits if rest else ""
        return (text or instant.isoformat()) + ("+00:00" if self.kind == "aware" else "")

    def days(self, ticks: Ints) -> Floats:
        """Ticks since the origin as days."""
        days: Floats = ticks / self.per_day
        return days

    def ticks(self, days: float) -> int:
        """A span of days as whole ticks."""
        return round(days * self.per_day)

    def read(self, given: pl.Series, what: str) -> Ints:
        """Other times of the same log (bounds of observation) as ticks since the origin.

        Raises:
            JourneyError: the times have another type than those of the log.
        """
        other, ticks = read_times(given, what)
        if other.kind != self.kind:
            raise JourneyError(
                f"the times of {what} must be of the log's type, {_KINDS[self.kind]}; they are "
                f"{_KINDS[other.kind]}. Convert one of the two"
            )
        if other.per_day > self.per_day:
            ticks = ticks // (other.per_day // self.per_day)
        elif other.per_day < self.per_day:
            ticks = ticks * (self.per_day // other.per_day)
        return ticks - self.origin


_KINDS = {
    "naive": "times without a zone",
    "aware": "times with a zone",
    "number": "plain numbers of days",
}


def read_times(given: pl.Series, what: str) -> tuple[Clock, Ints]:
    """The clock of a column of times, and its ticks since 1970 (plain numbers: since 0).

    A date is its first instant; times with a zone become UTC; texts are ISO 8601; plain numbers
    are days, kept to the microsecond.

    Raises:
        JourneyError: a time is missing or invalid, or times with and without a zone are mixed.
    """
    if given.null_count():
        raise JourneyError(
            f"no time of {what} may be missing; row {first_true(given.is_null())} has none. "
            "Fill it in, or drop the row"
        )
    if given.dtype in (pl.Categorical, pl.Enum):
        given = given.cast(pl.String)
    if given.dtype == pl.Object:
        given = _from_objects(given, what)
    if given.dtype == pl.String:
        given = _from_text(given, what)
    if given.dtype.is_numeric():
        return Clock("number"), _from_numbers(given, what)
    if given.dtype == pl.Date:
        given = given.cast(pl.Datetime("us"))
    if not isinstance(given.dtype, pl.Datetime):
        raise JourneyError(
            f"times of {what} must be datetimes, dates, ISO 8601 texts or numbers of days; the "
            f"column is {given.dtype}. Convert it"
        )
    return _from_datetimes(given)


def _from_datetimes(given: pl.Series) -> tuple[Clock, Ints]:
    zone = getattr(given.dtype, "time_zone", None)
    kind = "naive" if zone is None else "aware"
    if getattr(given.dtype, "time_unit", "us") == "ms":
        given = given.cast(pl.Datetime("us", zone))
    ticks = _owned(given.to_physical())
    if getattr(given.dtype, "time_unit", "us") == "us":
        return Clock(kind), ticks
    # Most nanosecond columns have whole microseconds: nanoseconds were pandas' default.
    if not (ticks % 1000).any():
        return Clock(kind), ticks // 1000
    return Clock(kind, per_day=MICROSECONDS * 1000), ticks


def _from_numbers(given: pl.Series, what: str) -> Ints:
    days = given.cast(pl.Float64).to_numpy()
    wrong = np.flatnonzero(~(np.abs(days) <= _MOST_DAYS))
    if len(wrong):
        raise JourneyError(
            f"plain numbers in {what} are days, so they must be finite and within "
            f"±{_MOST_DAYS:,.0f}; row {wrong[0]} has {days[wrong[0]]:.17g}. Seconds or "
            "milliseconds since 1970 must be converted, as with polars.from_epoch"
        )
    return np.round(days * MICROSECONDS).astype(np.int64)


def _from_objects(given: pl.Series, what: str) -> pl.Series:
    values = given.to_list()
    check_objects(values, what)
    if values[0].tzinfo is not None:
        values = [each.astimezone(dt.UTC) for each in values]
    return pl.Series(given.name, values)


def check_objects(values: list[Any], what: str) -> None:
    """Refuse a mix of Python datetimes with and without a zone, and objects that are no times.

    pandas keeps such a mix as objects, and polars would read all of them in one zone.
    """
    # Missing times (NaT and NaN differ from themselves) are refused elsewhere.
    values = [each if each == each else None for each in values]
    for row, each in enumerate(values):
        if each is not None and not isinstance(each, dt.date | str):
            raise JourneyError(
                f"every time of {what} must be a datetime; row {row} has {each!r}. Convert it"
            )
    times = [(row, each) for row, each in enumerate(values) if isinstance(each, dt.datetime)]
    aware = np.array([each.tzinfo is not None for _, each in times])
    _refuse_mixed(aware, what, lambda index: str(times[index][1]))


def _from_text(given: pl.Series, what: str) -> pl.Series:
    text = given.str.strip_chars()
    if text.str.contains(_NUMBER).all():
        return text.cast(pl.Float64)
    dated = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt ]+", "${1} ")
    has_clock = dated.str.contains(":", literal=True)
    zoned = has_clock & dated.str.contains(_ZONE)
    aware = bool(zoned.any())
    plain = dated.str.replace(r"\s*" + _ZONE, "") if aware else dated
    # The last part of a date without a time of day could be mistaken for a zone.
    plain = plain.zip_with(has_clock, dated) if aware else plain
    parsed = _parse(plain)
    if parsed.null_count():
        row = first_true(parsed.is_null())
        raise JourneyError(
            f"every time of {what} must be ISO 8601, as 2024-05-31, 2024-05-31 08:30:00 or "
            f"2024-05-31T08:30:00+02:00; row {row} has {given[row]!r}. Rewrite it, or parse the "
            "column yourself"
        )
    if not aware:
        return parsed
    _refuse_mixed(zoned.to_numpy(), what, lambda row: str(given[row]))
    return (parsed - _zone_offset(dated)).dt.replace_time_zone("UTC")


def _parse(plain: pl.Series) -> pl.Series:
    """Naive datetimes; missing if no format fits. Later formats are for rows that are missing."""
    parsed = plain.str.to_datetime(_FORMATS[0], time_unit="us", strict=False)
    for pattern in (*_FORMATS[1:], None):
        if not parsed.null_count():
            break
        if pattern is None:
            dates = plain.str.to_date("%Y-%m-%d", strict=False)
            again = dates.cast(pl.Datetime("us"))
        else:
            again = plain.str.to_datetime(pattern, time_unit="us", strict=False)
        parsed = parsed.zip_with(parsed.is_not_null(), again)
    return parsed


def _zone_offset(dated: pl.Series) -> pl.Series:
    """The offset to subtract from a local time to get UTC; 0 for Z."""
    frame = dated.to_frame("text").select(
        part=pl.col("text").str.extract_groups(r"([+-])(\d{2}):?(\d{2})?$")
    )
    parts = frame.unnest("part").select(
        sign=pl.col("1").replace_strict({"+": 1, "-": -1}, default=0).fill_null(0),
        hours=pl.col("2").cast(pl.Int64).fill_null(0),
        minutes=pl.col("3").cast(pl.Int64).fill_null(0),
    )
    minutes = pl.col("sign") * (pl.col("hours") * 60 + pl.col("minutes"))
    return parts.select(pl.duration(minutes=minutes, time_unit="us")).to_series()


def _refuse_mixed(aware: Numbers, what: str, text: Any) -> None:
    if aware.all() or not aware.any():
        return
    other = int(np.argmax(aware != aware[0]))
    a, b = (0, other) if aware[0] else (other, 0)
    raise JourneyError(
        f"the times of {what} must all have a zone or all have none; row {a} has one, {text(a)!r}, "
        f"and row {b} has none, {text(b)!r}. Give all of them the zone they were taken in"
    )


def first_true(mask: pl.Series) -> int:
    """The row of the first True."""
    return int(mask.arg_max() or 0)


def _owned(physical: pl.Series) -> Ints:
    ticks: Ints = physical.to_numpy()
    return ticks
