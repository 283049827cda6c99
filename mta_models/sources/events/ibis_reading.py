"""Journeys, or unique paths with counts, from a database, with the account of the reading."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from mta_models.core.ragged import Ints, Numbers
from mta_models.data.journeys import Journeys
from mta_models.data.ledger import Ledger
from mta_models.errors import JourneyError
from mta_models.sources.events import account, ibis_rules, sorting
from mta_models.sources.events.assembly import assemble
from mta_models.sources.events.columns import EventLog, narrow
from mta_models.sources.events.ibis_rules import REASONS, SEPARATOR, WRONG, MarkedLog
from mta_models.sources.events.observation import FIRST_EVENT, Observation
from mta_models.sources.events.observation import bounds as read_bounds
from mta_models.sources.events.options import EventOptions
from mta_models.sources.events.times import Clock, read_times

# A database adds floats in any order.
_TOLERANCE = 1e-9


def read_ibis(source: Any, options: EventOptions, observed: Any, compress: bool) -> Journeys:
    """Journeys of an Ibis table, by one query for the account and one for the journeys.

    Raises:
        JourneyError: the log breaks a rule. The message names the time of the first such row,
            because a database has no row numbers.
    """
    marked = ibis_rules.mark(source, options, observed)
    summary = _summary(marked, options)
    if isinstance(observed, tuple):
        # Read to check them only: compressed journeys have no times.
        clock, ends = _ticks([_ends(summary)], marked)
        read_bounds(observed, clock, int(ends[1]))
    if compress:
        journeys, idle = _fetch_paths(marked, options, summary)
    else:
        journeys, idle = _fetch_journeys(marked, options, observed, summary)
    return journeys._with(report=_report(journeys, summary, options, idle))


def _polars(expression: Any) -> pl.DataFrame:
    frame = pl.from_arrow(expression.to_pyarrow())
    assert isinstance(frame, pl.DataFrame)  # a table was converted
    return frame


def _summary(marked: MarkedLog, options: EventOptions) -> pl.DataFrame:
    """Amounts by reason and channel, for the account; a broken rule is an error."""
    rows = marked.rows

    def count(mask: Any) -> Any:
        return mask.fill_null(False).cast("int64").sum()

    amounts = {
        "rows": rows.count(),
        "touchpoints": count(rows.channel.notnull()),
        "conversions": rows.converts.sum(),
        "first": rows.time.min(),
        "last": rows.time.max(),
        "ties": count(rows.tied & rows.kept),
        "merged": count(rows.channel.notnull() & rows.kept & ~rows.touched),
        "cut": count(rows.touched & ~rows.within),
        "neither": count(rows.channel.isnull() & (rows.converts == 0)),
    }
    if options.value is not None:
        refund = rows.value < 0
        amounts |= {
            "value": rows.value.sum(),
            "refunds": count(refund),
            "refunded": rows.value.sum(where=refund),
            "unpriced": count(rows.value.isnull() & (rows.converts == 1)),
        }
    if options.cost is not None:
        amounts |= {"cost": rows.cost.sum(), "uncosted": count(rows.cost.isnull())}
    by = rows.group_by("wrong", "reason", "channel").agg(**amounts)
    summary = _polars(by)
    if not len(summary):
        raise JourneyError("there must be at least one event; the source has no rows")
    broken = summary.filter(pl.col("wrong") > 0).sort("wrong")
    if len(broken):
        rule = broken["wrong"][0]
        same = broken.filter(pl.col("wrong") == rule)
        raise JourneyError(
            f"{WRONG[rule]}; {same['rows'].sum()} row(s) break this, the first at "
            f"{same['first'].sort().to_list()[0]}. Repair them in the database, or filter them out"
        )
    return summary


def _rows_wanted(marked: MarkedLog) -> Any:
    """Touchpoints, conversions, and each user's first row, kept or not, to know the user."""
    rows = marked.rows
    ibis = ibis_rules.import_ibis()
    user = ibis.window(group_by=rows.user)
    rows = rows.mutate(seen=rows.kept.cast("int8").max().over(user))
    if marked.known is not None:
        rows = rows.filter(rows.user.notnull())
    first = (rows.place == 0) & (rows.kept | (rows.seen == 0))
    return rows.filter((rows.kept & (rows.touched | (rows.converts == 1))) | first)


def _fetch_journeys(
    marked: MarkedLog, options: EventOptions, observed: Any, summary: pl.DataFrame
) -> tuple[Journeys, int]:
    rows = _rows_wanted(marked)
    wanted = ["user", "time", "channel", "converts", "touched", "within", "kept"]
    wanted += [name for name in ("value", "event_id") if getattr(options, name) is not None]
    by_first_event = isinstance(observed, str) and observed == FIRST_EVENT
    if by_first_event:
        wanted.append("first_event")
    table = _polars(rows.order_by("user", "kept", "place").select(*wanted))
    log, bounds = _as_log(table, marked, summary)
    n_users = len(log.user_ids)
    if marked.known is not None:
        scale = log.clock.per_day // marked.clock.per_day
        start = marked.known.start * scale - log.clock.origin
        observation = Observation(start, marked.known.stop * scale - log.clock.origin)
    elif by_first_event:
        first = sorting.starts(log.user)
        observation = Observation(bounds[2:][first], np.broadcast_to(bounds[1], n_users))
    else:
        own = read_bounds(observed or (None, None), log.clock, int(bounds[1]))
        observation = Observation(*(np.broadcast_to(np.int64(each), n_users) for each in own))
    kept = table["kept"].to_numpy()
    touched = table["touched"].to_numpy()[kept]
    within = table["within"].to_numpy()[kept][touched]
    log = log.take(kept)
    idle = account.count_idle(log)
    events = _as_sorted(log, touched)
    results = sorting.outcomes(events, observation.stop)
    keys = None
    if options.event_id is not None:
        keys = table["event_id"].to_numpy()[kept][touched]
    return assemble(log, events, results, observation, within, keys), idle


def _as_log(table: pl.DataFrame, marked: MarkedLog, summary: pl.DataFrame) -> tuple[EventLog, Any]:
    """The rows as arrays; ticks of the log's bounds, and of the first event of each row's user."""
    times = [_ends(summary), table["time"]]
    if "first_event" in table.columns:
        times.insert(1, table["first_event"])
    clock, ticks = _ticks(times, marked)
    user, ids = _users(table["user"], marked)
    names = summary["channel"].drop_nulls().unique().sort()
    kind = np.min_scalar_type(len(names))
    code = table["channel"].replace_strict(
        names, pl.Series(range(1, len(names) + 1), dtype=pl.UInt32), default=0
    )
    log = EventLog(
        user=user,
        user_ids=ids,
        ticks=ticks[len(ticks) - len(table) :],
        clock=clock,
        code=code.fill_null(0).to_numpy().astype(kind),
        channels=tuple(names.to_list()),
        converts=table["converts"].to_numpy() == 1,
        value=table["value"].fill_null(0).to_numpy() if "value" in table.columns else None,
    )
    return log, ticks[: len(ticks) - len(table)]


def _ends(summary: pl.DataFrame) -> pl.Series:
    """The log's first and last instant."""
    first, last = summary["first"].sort()[:1], summary["last"].sort()[-1:]
    return pl.concat([first.alias("time"), last.alias("time")])


def _ticks(times: list[pl.Series], marked: MarkedLog) -> tuple[Clock, Ints]:
    """Times in ticks since the first time; read together, so that all have the same unit."""
    together = pl.concat([each.alias("time") for each in times])
    if marked.clock.kind == "number":
        clock, ticks = marked.clock, together.to_numpy()
    else:
        clock, ticks = read_times(together, "the database")
    clock = replace(clock, origin=int(ticks[0]))
    return clock, ticks - clock.origin


def _users(given: pl.Series, marked: MarkedLog) -> tuple[Numbers, pl.Series]:
    if marked.known is not None:
        users = marked.known.users
        return given.to_numpy().astype(narrow(len(users))), users
    change = np.ones(len(given), dtype=bool)
    change[1:] = given[1:].ne(given[:-1]).to_numpy()
    return (np.cumsum(change) - 1).astype(narrow(len(given))), given.filter(pl.Series(change))


def _as_sorted(log: EventLog, touched: Any) -> sorting.Sorted:
    """The rows, which the database has ordered and marked, as `Sorted`."""
    last = log.converts.copy()
    last[-1:] = True
    last[:-1] |= log.user[1:] != log.user[:-1]
    index = np.arange(len(log), dtype=narrow(len(log)))
    return sorting.Sorted(log.user, log.ticks, log.code, log.converts, index, touched, last)


def _fetch_paths(
    marked: MarkedLog, options: EventOptions, summary: pl.DataFrame
) -> tuple[Journeys, int]:
    """Unique paths with their counts; lists are sorted, as not every engine collects in order."""
    ibis = ibis_rules.import_ibis()
    rows = _rows_wanted(marked)
    value = rows.value.fill_null(0.0) if options.value is not None else ibis.literal(0.0)
    rows = rows.mutate(
        step=ibis.struct({"place": rows.place, "channel": rows.channel}),
        counted=rows.kept.cast("int64"),
        worth=rows.kept.ifelse(value, 0.0),
        bought=rows.kept.ifelse(rows.converts, 0),
    )
    journeys = rows.group_by("user", "kept", "journey").agg(
        steps=rows.step.collect(where=rows.touched & rows.within),
        touched=rows.touched.cast("int64").sum(),
        conversions=rows.bought.sum(),
        value=rows.worth.sum(),
        idle=1 - rows.counted.max(),
    )
    real = (journeys.conversions > 0) | (journeys.touched > 0) | (journeys.journey == 0)
    journeys = journeys.filter(real | ~journeys.kept)
    path = journeys.steps.sort().map(lambda step: step.channel).join(SEPARATOR)
    journeys = journeys.mutate(path=path.fill_null(""))
    paths = _polars(
        journeys.group_by("path").agg(
            conversions=journeys.conversions.sum(),
            journeys=journeys.count(),
            value=journeys.value.sum(),
            idle=journeys.idle.sum(),
            users=(journeys.journey == 0).cast("int64").sum(),
        )
    )
    idle = int(paths["idle"].sum() or 0)
    if marked.known is not None:
        # Users without a row in the log: each other user has one journey numbered 0.
        unseen = len(marked.known.users) - int(paths["users"].sum() or 0)
        row = {"path": "", "conversions": 0, "journeys": unseen, "value": 0.0}
        paths = pl.concat([paths, pl.DataFrame([row])], how="diagonal_relaxed")
        counts = pl.col("conversions", "journeys", "value")
        paths = paths.group_by("path").agg(counts.sum()).filter(pl.col("journeys") > 0)
        idle += unseen
    return _paths(paths.sort("path"), options, summary), idle


def _paths(paths: pl.DataFrame, options: EventOptions, summary: pl.DataFrame) -> Journeys:
    split = paths["path"].str.split(SEPARATOR)
    split = split.list.eval(pl.element().filter(pl.element() != ""))
    names = tuple(summary["channel"].drop_nulls().unique().sort().to_list())
    code_of = {name: code for code, name in enumerate(names)}
    codes = split.explode().drop_nulls().replace_strict(code_of, return_dtype=pl.UInt32)
    return Journeys.from_arrays(
        names,
        codes.to_numpy().astype(np.min_scalar_type(max(len(names) - 1, 0))),
        np.concatenate(([0], np.cumsum(split.list.len().to_numpy().astype(np.int64)))),
        paths["conversions"].to_numpy().astype(float),
        (paths["journeys"] - paths["conversions"]).to_numpy().astype(float),
        paths["value"].to_numpy() if options.value is not None else None,
    )


def _report(journeys: Journeys, summary: pl.DataFrame, options: EventOptions, idle: int) -> Ledger:
    """The account, with the same names as for files and frames."""
    names = ["rows", "touchpoints", "conversions"]
    names += [name for name in ("value", "cost") if getattr(options, name) is not None]

    def total(frame: pl.DataFrame) -> dict[str, float]:
        return {name: math.fsum(frame[name].drop_nulls()) for name in names}

    kept = summary.filter(pl.col("reason") == 0)
    aside: dict[str, float] = {}
    for code, reason in enumerate(REASONS[1:], start=1):
        lost = total(summary.filter(pl.col("reason") == code))
        aside |= account.set_aside(reason, lost)
    for column, reason in (("merged", "merged into a session"), ("cut", "older than the lookback")):
        aside |= account.set_aside(reason, {"touchpoints": float(kept[column].sum())})
    journey_count = journeys.conversions.astype(np.float64)
    bare = float(journey_count[journeys.lengths == 0].sum())
    weight = (journeys.conversions + journeys.nulls).astype(np.int64)
    made = total(kept) | {
        "touchpoints": float((journeys.lengths * weight).sum()),
        "conversions": journeys.total,
    }
    costs: dict[str, float] = {}
    if options.value is not None:
        made["value"] = account.exact_sum(journeys.outcome("value"))
    if options.cost is not None:
        costs = {
            channel: math.fsum(kept.filter(pl.col("channel") == channel)["cost"].drop_nulls())
            for channel in journeys.channels
        }
        made["cost"] = math.fsum(costs.values())
        bare_cost = math.fsum(kept.filter(pl.col("channel").is_null())["cost"].drop_nulls())
        aside |= account.set_aside("on rows without a channel", {"cost": bare_cost})
    noted = {
        "conversions with a touchpoint": journeys.total - bare,
        "conversions without a touchpoint": bare,
    }
    optional = {
        "users without an event": float(idle),
        "rows neither touchpoint nor conversion": float(kept["neither"].sum()),
        "rows tied in time with the row before": float(kept["ties"].sum()),
    }
    if options.value is not None:
        optional |= {
            "refunds": float(kept["refunds"].sum()),
            "value of refunds": math.fsum(kept["refunded"].drop_nulls()),
            "conversions without a value": float(kept["unpriced"].sum()),
        }
    if options.cost is not None:
        touched = kept.filter(pl.col("channel").is_not_null())
        optional["touchpoints without a cost"] = float(touched["uncosted"].sum())
    noted |= {name: amount for name, amount in optional.items() if amount}
    ledger = Ledger(read=total(summary), kept=made, set_aside=aside, noted=noted, cost=costs)
    return account.check(ledger, _TOLERANCE)
