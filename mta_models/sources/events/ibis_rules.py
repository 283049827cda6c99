"""The Ibis engine: the rules of `read_events` as window functions, run where the data live.

One relation marks every row of the log: its journey, whether it is a touchpoint after sessions are
merged, whether it is within the lookback. One query fetches the touchpoints and conversions in
order or, for compressed journeys, the unique paths with their counts; another aggregates the same
relation for the account. No query needs an ordered `collect`, which some engines lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from mta_models.errors import JourneyError, MissingExtraError, ParameterError
from mta_models.sources import tables
from mta_models.sources.events.observation import FIRST_EVENT, ObservedTable, read_observed
from mta_models.sources.events.options import EventOptions
from mta_models.sources.events.times import MICROSECONDS, Clock

REASONS = (
    "kept",
    "repeated event id",
    "user not observed",
    "before observation",
    "after observation",
)
# Stands between the channels of a path while it is one text; no channel may contain it.
SEPARATOR = "\x1f"


def import_ibis() -> Any:
    """The module, or an error that names the extra to install."""
    try:
        import ibis  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise MissingExtraError.from_extra("an Ibis table", "Ibis", "ibis") from error
    return ibis


@dataclass(frozen=True)
class MarkedLog:
    """The relation of marked rows, not yet run, and the clock and users to read its results.

    Attributes:
        rows: columns user, time, channel, converts, value, cost, event_id, kind, reason, kept, and
            for kept rows place, journey, tied, touched (a touchpoint, its session's first), within
            (not older than the lookback).
        known: the table of `observed=`; with it, users are its row numbers. Or None.
    """

    rows: Any
    clock: Clock
    known: ObservedTable | None


def mark(source: Any, options: EventOptions, observed: Any) -> MarkedLog:
    """Mark every row of the log by the rules."""
    ibis = import_ibis()
    log, clock = _columns(source, options)
    log = _first_of_ids(ibis, log, options)
    log, known = _observed(ibis, log, observed, clock, options)
    log = log.mutate(kept=log.reason == 0)
    users = ibis.window(group_by=[log.user, log.kept], order_by=_order(log, options))
    log = log.mutate(place=ibis.row_number().over(users))
    inside = ibis.window(group_by=[log.user, log.kept], order_by=log.place)
    so_far = ibis.cumulative_window(group_by=[log.user, log.kept], order_by=log.place)
    log = log.mutate(
        journey=log.converts.sum().over(so_far) - log.converts,
        tied=(log.time.lag().over(inside) == log.time).fill_null(False),
        touched=log.channel.notnull() & log.kept,
    )
    if options.session is not None:
        log = _merge_sessions(ibis, log, options, clock)
    journey = ibis.window(group_by=[log.user, log.kept, log.journey])
    log = log.mutate(end=log.time.max(where=log.converts == 1).over(journey))
    return MarkedLog(log.mutate(within=_within(log, options, clock)), clock, known)


def _columns(source: Any, options: EventOptions) -> tuple[Any, Clock]:
    """The columns by role, and the kind of clock."""
    tables.check_columns(list(source.columns), options.columns.values())
    log = source.select(**{role: source[name] for role, name in options.columns.items()})
    user, channel, time = log.user.type(), log.channel.type(), log.time.type()
    if not (user.is_string() or user.is_integer()):
        raise JourneyError(f"users must be texts or whole numbers; the column is {user}. Cast it")
    if not (channel.is_string() or channel.is_integer() or channel.is_null()):
        raise JourneyError(f"channels must be texts; the column is {channel}. Cast it to text")
    if not log.conversion.type().is_numeric() and not log.conversion.type().is_boolean():
        raise JourneyError(
            f"the column {options.conversion!r} must say 0 or 1 (or a boolean) on every row; it "
            f"holds {log.conversion.type()}. Cast it in the database"
        )
    if time.is_numeric():
        # Whole ticks, so that comparisons at the edge are exact.
        log = log.mutate(time=(log.time.cast("float64") * MICROSECONDS).round().cast("int64"))
        clock = Clock("number")
    elif time.is_timestamp() or time.is_date():
        log = log.mutate(time=log.time.cast("timestamp")) if time.is_date() else log
        clock = Clock("aware" if getattr(time, "timezone", None) else "naive")
    else:
        raise JourneyError(
            f"times must be timestamps, dates or numbers of days; the column {options.time!r} is "
            f"{time}. Cast it in the database"
        )
    log = log.mutate(channel=log.channel.cast("string"))
    for role in ("value", "cost"):
        if getattr(options, role) is not None:
            kind = log[role].type()
            if not (kind.is_numeric() or kind.is_boolean() or kind.is_null()):
                raise JourneyError(
                    f"the column {getattr(options, role)!r} must hold numbers; it holds {kind}. "
                    "Cast it in the database"
                )
            # NaN is missing, as in files and frames.
            number = log[role].cast("float64")
            log = log.mutate(**{role: number.isnan().ifelse(None, number)})
    sure = log.conversion if log.conversion.type().is_boolean() else log.conversion == 1
    converts = sure.fill_null(False).ifelse(1, 0).cast("int64")
    log = log.mutate(converts=converts)
    return log.mutate(wrong=_wrong(log, options)).drop("conversion"), clock


WRONG = {
    1: "every event must have a user",
    2: "every event must have a time",
    3: "a conversion must be 0 or 1 (or a boolean) on every row",
    4: "a channel must be a non-blank text, or missing on a row that is no touchpoint",
    5: "no channel may hold the character U+001F",
    6: "a row that does not convert must have the value 0 or none",
    7: "a value must be a finite number, or missing",
    8: "a cost must be a finite number, or missing",
    9: "every row must have a rank in `order`",
    10: "the kind of every touchpoint must be one that `interaction` names",
}


def _wrong(log: Any, options: EventOptions) -> Any:
    """The number of the first rule that a row breaks, 0 if none."""
    ibis = import_ibis()
    broken = {1: log.user.isnull(), 2: log.time.isnull(), 3: log.conversion.isnull()}
    if not log.conversion.type().is_boolean():
        broken[3] = ~log.conversion.isin([0, 1]).fill_null(False)
    broken[4] = log.channel.strip() == ""
    broken[5] = log.channel.contains(SEPARATOR)
    if options.value is not None:
        broken[6] = (log.value != 0) & (log.converts == 0)
        broken[7] = log.value.isinf()
    if options.cost is not None:
        broken[8] = log.cost.isinf()
    if options.order is not None:
        broken[9] = log.order.isnull()
    if options.kind is not None:
        known = log.kind.isin(list(options.windows)).fill_null(False)
        broken[10] = log.channel.notnull() & ~known
    cases = [(rule.fill_null(False), number) for number, rule in broken.items()]
    return ibis.cases(*cases, else_=0).cast("int8")


def _order(log: Any, options: EventOptions) -> list[Any]:
    """Sort keys of a user's rows: the documented ones, then every column that may differ."""
    keys = [log.time, *([log.order] if options.order is not None else [])]
    keys += [log.converts, log.channel.fill_null("")]
    if options.kind is not None:
        keys.append(log.kind.fill_null(""))
    if options.value is not None:
        keys.append(log.value.fill_null(0.0))
    if options.event_id is not None:
        keys.append(log.event_id.cast("string").fill_null(""))
    return keys


def _first_of_ids(ibis: Any, log: Any, options: EventOptions) -> Any:
    if options.event_id is None:
        return log.mutate(reason=ibis.literal(0, type="int8"))
    same = ibis.window(group_by=log.event_id, order_by=[*_order(log, options), log.user])
    repeated = log.event_id.notnull() & (ibis.row_number().over(same) > 0)
    return log.mutate(reason=repeated.ifelse(1, 0).cast("int8"))


def _observed(
    ibis: Any, log: Any, observed: Any, clock: Clock, options: EventOptions
) -> tuple[Any, ObservedTable | None]:
    """The log with the reason of each row that is outside observation."""
    if observed is None:
        return log, None
    if isinstance(observed, str) and observed == FIRST_EVENT:
        everything = ibis.window(group_by=log.user)
        return log.mutate(first_event=log.time.min().over(everything)), None
    if isinstance(observed, tuple) and len(observed) == 2:
        bounds = [None if each is None else _literal(ibis, clock, each) for each in observed]
        return _outside(log, *bounds), None
    if isinstance(observed, str | tuple | list):
        raise ParameterError(
            "`observed` must be None, a pair (start, end), a table with the columns user, start "
            f'and end, or "first_event"; got {observed!r}'
        )
    if type(observed).__module__.partition(".")[0] == "ibis":
        observed = observed.to_pyarrow()
    known = read_observed(observed, clock, options.user)
    if (known.users.dtype == pl.String) != log.user.type().is_string():
        raise JourneyError(
            f"users must be of one type; they are {log.user.type()} in the log and "
            f"{known.users.dtype} in the table of `observed`. Cast one of the two"
        )
    table = ibis.memtable(
        pl.DataFrame(
            {
                "known_user": known.users,
                "known_code": range(len(known.users)),
                "starts": _times(known.start, clock),
                "stops": _times(known.stop, clock),
            }
        ).to_arrow()
    )
    joined = log.left_join(table, log.user == table.known_user)
    unknown = joined.known_code.isnull() & (joined.reason == 0)
    joined = joined.mutate(reason=unknown.ifelse(2, joined.reason).cast("int8"))
    joined = _outside(joined, joined.starts, joined.stops)
    return joined.mutate(user=joined.known_code).drop(
        "known_user", "known_code", "starts", "stops"
    ), known


def _outside(log: Any, start: Any, stop: Any) -> Any:
    for reason, edge in ((3, start), (4, stop)):
        if edge is not None:
            beyond = (log.time < edge) if reason == 3 else (log.time > edge)
            fresh = (beyond & (log.reason == 0)).fill_null(False)
            log = log.mutate(reason=fresh.ifelse(reason, log.reason).cast("int8"))
    return log


def _times(ticks: Any, clock: Clock) -> pl.Series:
    """Ticks as times, in the type of the database."""
    if clock.kind == "number":
        return pl.Series(ticks)
    zone = "UTC" if clock.kind == "aware" else None
    return pl.Series(ticks).cast(pl.Datetime("us")).dt.replace_time_zone(zone)


def _literal(ibis: Any, clock: Clock, bound: Any) -> Any:
    ticks = clock.read(pl.Series([bound]), "`observed`")
    if clock.kind == "number":
        return ibis.literal(int(ticks[0]))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(ticks[0]))
    return ibis.literal(instant if clock.kind == "aware" else instant.replace(tzinfo=None))


def _later(ibis: Any, time: Any, days: float, clock: Clock) -> Any:
    """The time `days` later, added in seconds, as a day in a time zone may have 23 hours."""
    seconds, rest = divmod(clock.ticks(days), 1_000_000)
    if clock.kind == "number":
        return time + clock.ticks(days)
    later = time + ibis.interval(seconds=seconds) if seconds else time
    return later + ibis.interval(microseconds=rest) if rest else later


def _merge_sessions(ibis: Any, log: Any, options: EventOptions, clock: Clock) -> Any:
    """Unmark a touchpoint that continues the session of the one before it in its journey."""
    mine = ibis.window(group_by=[log.user, log.kept, log.journey, log.touched], order_by=log.place)
    assert options.session is not None  # checked by the caller
    continues = log.channel.lag().over(mine) == log.channel
    near = _later(ibis, log.time.lag().over(mine), options.session, clock) >= log.time
    continues = continues & near
    if options.kind is not None:
        continues = continues & (log.kind.lag().over(mine) == log.kind)
    return log.mutate(touched=log.touched & ~continues.fill_null(False))


def _within(log: Any, options: EventOptions, clock: Clock) -> Any:
    """Whether a row is within the lookback; all rows of null journeys are."""
    ibis = import_ibis()
    reached = ibis.literal(True)
    if options.lookback is not None:
        reached = reached & (_later(ibis, log.time, options.lookback, clock) >= log.end)
    if options.kind is not None:
        of_kind = ibis.literal(False)
        for kind, days in options.windows.items():
            near = _later(ibis, log.time, days, clock) >= log.end
            of_kind = of_kind | ((log.kind == kind) & near)
        reached = reached & of_kind
    return log.end.isnull() | reached.fill_null(True)
