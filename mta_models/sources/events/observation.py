"""Observation: the users observed, each with its start and end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mta_models.core.ragged import Ints, Mask
from mta_models.errors import IdentifiabilityWarning, JourneyError, ParameterError, warn
from mta_models.sources import tables
from mta_models.sources.events.columns import EventLog, narrow, read_users
from mta_models.sources.events.times import Clock

FIRST_EVENT = "first_event"


@dataclass(frozen=True)
class Observation:
    """Bounds of observation in ticks, both inclusive, shape `(n_users,)`."""

    start: Ints
    stop: Ints


def warn_of_first_event() -> None:
    """Warn of the bias from observation that starts at the first event."""
    warn(
        'with observed="first_event" users are observed only from their first exposure: users '
        "without exposure are missing, and so is the time before it. Effects shrink and the "
        "baseline grows. Give the true bounds, or a table of users with theirs, if you have them",
        IdentifiabilityWarning,
    )


def observe(
    log: EventLog, observed: Any, user_column: str
) -> tuple[EventLog, Observation, dict[str, Mask]]:
    """The log with the codes of observed users, their bounds, and masks of rows outside, by reason.

    With a table of users, codes follow the table; a mask marks the rows of other users.

    Raises:
        ParameterError: `observed` has a wrong type.
        JourneyError: bounds have another type than the log's times, or a start is after its end.
    """
    last = int(log.ticks.max())
    n_users = len(log.user_ids)
    if observed is None:
        return log, Observation(_same(0, n_users), _same(last, n_users)), {}
    if isinstance(observed, str) and observed == FIRST_EVENT:
        first = np.full(n_users, last)
        np.minimum.at(first, log.user, log.ticks)
        return log, Observation(first, _same(last, n_users)), {}
    if isinstance(observed, tuple) and len(observed) == 2:
        start, stop = bounds(observed, log.clock, last)
        outside = {}
        if start > 0:
            outside["before observation"] = log.ticks < start
        if stop < last:
            outside["after observation"] = log.ticks > stop
        return log, Observation(_same(start, n_users), _same(stop, n_users)), outside
    is_word = isinstance(observed, str) and not tables.is_file_name(observed)
    if is_word or isinstance(observed, tuple | list):
        raise ParameterError(
            "`observed` must be None, a pair (start, end), a table (or a CSV or Parquet file of "
            f'one) with the columns user, start and end, or "first_event"; got {observed!r}'
        )
    return _of_table(log, observed, user_column)


def bounds(observed: tuple[Any, Any], clock: Clock, last: int) -> tuple[int, int]:
    """A pair of bounds in ticks; None means the first or the last instant of the log."""
    start, stop = (
        own if given is None else int(clock.read(pl.Series([given]), "`observed`")[0])
        for given, own in zip(observed, (0, last), strict=True)
    )
    if start > stop:
        raise ParameterError(
            f"observation must start before it ends; `observed` starts at {observed[0]!r} and ends "
            f"at {observed[1]!r}. Swap them"
        )
    return start, stop


@dataclass(frozen=True)
class ObservedTable:
    """The table of `observed=`, checked: one row per user, bounds in ticks."""

    users: pl.Series
    start: Ints
    stop: Ints


def read_observed(observed: Any, clock: Clock, user_column: str) -> ObservedTable:
    """The table of users with their start and end of observation.

    Raises:
        JourneyError: a repeated user, a missing bound, or a start after its end.
    """
    query = tables.open_table(observed)
    names = query.collect_schema().names()
    user = user_column if user_column in names else "user"
    tables.check_columns(names, (user, "start", "end"))
    table = tables.collect(query.select(user, "start", "end"), observed)
    if not len(table):
        raise JourneyError("the table of `observed` must name at least one user; it has no rows")
    codes, users = read_users(table[user])
    if len(users) < len(codes):
        row = int(np.argmax(~table[user].is_first_distinct().to_numpy()))
        raise JourneyError(
            f"every user must have one row in the table of `observed`; row {row} repeats a user. "
            "Merge the two rows"
        )
    start = clock.read(table["start"], "'start' of `observed`")
    stop = clock.read(table["end"], "'end' of `observed`")
    if (start > stop).any():
        raise JourneyError(
            f"observation must start before it ends; row {int(np.argmax(start > stop))} of "
            "`observed` does not. Fix the row"
        )
    users = table[user]
    return ObservedTable(
        users.cast(pl.String) if not users.dtype.is_integer() else users, start, stop
    )


def _of_table(
    log: EventLog, observed: Any, user_column: str
) -> tuple[EventLog, Observation, dict[str, Mask]]:
    table = read_observed(observed, log.clock, user_column)
    if (table.users.dtype == pl.String) != (log.user_ids.dtype == pl.String):
        raise JourneyError(
            f"users must be of one type; they are {log.user_ids.dtype} in the log and "
            f"{table.users.dtype} in the table of `observed`. Cast one of the two (a CSV file is "
            "read as text)"
        )
    kind = pl.String if table.users.dtype == pl.String else pl.Int128
    known = pl.DataFrame({"id": table.users.cast(kind)}).with_row_index("code")
    met = pl.DataFrame({"id": log.user_ids.cast(kind)})
    joined = met.join(known, on="id", how="left", maintain_order="left")["code"]
    unknown = joined.is_null().to_numpy()
    code = joined.fill_null(0).to_numpy().astype(narrow(len(table.users)))
    outside = {"user not observed": unknown[log.user]}
    log = replace(log, user=code[log.user], user_ids=table.users)
    seen = ~outside["user not observed"]
    outside["before observation"] = seen & (log.ticks < table.start[log.user])
    outside["after observation"] = seen & (log.ticks > table.stop[log.user])
    return log, Observation(table.start, table.stop), outside


def _same(tick: int, n: int) -> Ints:
    """The same number for all users, broadcast, so that it takes no memory."""
    return np.broadcast_to(np.int64(tick), n)
