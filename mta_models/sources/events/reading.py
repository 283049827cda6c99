"""Event logs, one row per event, read as journeys."""

from __future__ import annotations

from typing import Any

import numpy as np

from mta_models.core.checks import check_flag
from mta_models.data.journeys import Journeys
from mta_models.data.ledger import Ledger
from mta_models.sources.events import account, sorting
from mta_models.sources.events.assembly import assemble
from mta_models.sources.events.columns import EventLog, read_log
from mta_models.sources.events.observation import (
    FIRST_EVENT,
    observe,
    warn_of_first_event,
)
from mta_models.sources.events.options import Duration, EventOptions, Interaction, make_options


def read_events(
    source: Any,
    *,
    user: str,
    time: str,
    channel: str,
    conversion: str,
    value: str | None = None,
    cost: str | None = None,
    lookback: Duration | None = None,
    event_id: str | None = None,
    session: Duration | None = None,
    observed: Any = None,
    order: str | None = None,
    compress: bool = False,
    interaction: Interaction | None = None,
) -> Journeys:
    """Journeys from a log with one row per event.

    A row with a channel is a touchpoint; a row marked as a conversion is a conversion. A row may be
    neither, or both: then the touchpoint comes first and belongs to the journey that the conversion
    ends. A conversion ends a journey, and the touchpoints after it begin the next one: users may
    convert several times. Touchpoints after a user's last conversion form a null journey. A user
    without a touchpoint or conversion has an empty null journey. A user without a touchpoint after
    the last conversion has no null journey, so that `nulls` counts what the log shows. A conversion
    without a touchpoint is an empty journey.

    `at_risk` is the number of days from the start of observation, or from the user's previous
    conversion, to the conversion or, in a null journey, to the end of observation. If no touchpoint
    follows the last conversion, the time after it belongs to no journey; the days of a user in
    total are `timeline.end - timeline.start`.

    Nothing is lost silently: `report` has the amounts read, kept and set aside, which add up.

    Args:
        source: a path or glob of CSV or Parquet files; a pandas, polars or Arrow table; or an Ibis
            table, on which one query runs where the data are.
        user: column of texts or whole numbers, none missing.
        time: column of datetimes, dates, ISO 8601 texts or numbers of days. Times with a zone
            become UTC. Rows of a user at the same time stay in the source's order. A database has
            no order of rows: there `order` decides, then conversions come last, then rows are
            sorted by the channel's name.
        channel: column of texts (whole numbers become texts); missing in a row that is no
            touchpoint. An empty CSV cell is missing.
        conversion: column of 0 and 1, or booleans.
        value: column of the value of each conversion; 0 or missing in other rows. Negative values
            are refunds: they are kept, and counted in the report.
        cost: column of the cost of each row. The report has the total per channel, over all rows
            within observation, including touchpoints that the lookback drops.
        lookback: a touchpoint counts if it is at most this long before its conversion, as `"30d"`.
            It cuts neither null journeys nor `at_risk` nor the timeline. None: no limit.
        event_id: column that identifies events: only the first row of each id is kept, and every
            row without an id. None: every row is kept.
        session: consecutive touchpoints of a channel in a journey are merged if each follows the
            one before within this time, as `"30min"`. The first one is kept. None: no merging.
        observed: who was observed, and when. None: every user of the log, from its first instant to
            its last. `(start, end)`: every user of the log, between these instants, both included;
            either may be None. A table, or a CSV or Parquet file, with the columns user (or the
            log's name for it), `start` and `end`: the users of this table and no others.
            `"first_event"`: each user from their first event; warns.
        order: column that orders rows of a user at the same time.
        compress: whether to merge equal paths, as `Journeys.compress` does; for an Ibis table the
            database does it.
        interaction: a column with the kind of each touchpoint, and the lookback of each kind, as
            `("kind", {"click": "7d", "view": "1d"})`; `lookback` applies too. Sessions then merge
            touchpoints of the same kind only.

    Returns:
        One row per journey, by user and then time, with `users`, `time`, `end`, `at_risk`, `keys`,
        `timeline` and `report`, as described on `Journeys`. User codes follow
        `timeline.user_ids`: whole numbers ascending, texts by first appearance, or in the order of
        the table of `observed`. From an Ibis table, `keys` are the `event_id`, or None.

    Raises:
        JourneyError: the log breaks one of these rules; the message names the row.
        ParameterError: an option is of a wrong type or outside its range.
        MissingExtraError: the source is an Ibis table, and Ibis is not installed.

    Example:
        >>> import polars as pl
        >>> from mta_models import read_events
        >>> log = pl.DataFrame({
        ...     "who": ["a", "a", "a", "b"],
        ...     "when": ["2024-05-01", "2024-05-03", "2024-05-04", "2024-05-02"],
        ...     "channel": ["Search", "Email", None, "Search"],
        ...     "bought": [0, 0, 1, 0],
        ... })
        >>> journeys = read_events(
        ...     log, user="who", time="when", channel="channel", conversion="bought"
        ... )
        >>> journeys.to_frame()[["path", "conversions", "nulls", "at_risk"]]
                     path  conversions  nulls  at_risk
        0  Search > Email            1      0      3.0
        1          Search            0      1      3.0
    """
    columns = {"user": user, "time": time, "channel": channel, "conversion": conversion}
    columns_or_none = {"value": value, "cost": cost, "event_id": event_id, "order": order}
    check_flag(compress, "compress")
    options = make_options(columns | columns_or_none, lookback, session, interaction)
    if isinstance(observed, str) and observed == FIRST_EVENT:
        warn_of_first_event()
    if type(source).__module__.partition(".")[0] == "ibis":
        from mta_models.sources.events.ibis_reading import read_ibis

        journeys: Journeys = read_ibis(source, options, observed, compress)
        return journeys
    journeys = _read_arrays(read_log(source, options), options, observed)
    return journeys.compress() if compress else journeys


def _read_arrays(log: EventLog, options: EventOptions, observed: Any) -> Journeys:
    """The local engine, from columns in memory."""
    read = account.amounts(log)
    aside: dict[str, float] = {}
    log, observation, outside = observe(log, observed, options.user)
    if log.first_of_id is not None:
        outside = {"repeated event id": ~log.first_of_id} | outside
    gone = np.zeros(len(log), dtype=bool) if outside else np.zeros(0, dtype=bool)
    for reason, mask in outside.items():
        aside |= account.set_aside(reason, account.amounts(log, mask & ~gone))
        gone |= mask
    if gone.any():
        log = log.take(~gone)
    if log.rank is not None:
        log = log.take(np.argsort(log.rank, kind="stable"))
    events = sorting.sort_log(log)
    ties = sorting.count_ties(events)
    if options.session is not None:
        merged = sorting.merge_sessions(events, log.clock.ticks(options.session))
        aside |= account.set_aside("merged into a session", {"touchpoints": merged})
    results = sorting.outcomes(events, observation.stop)
    within = sorting.within_reach(events, results, options, log.clock.per_day)
    index = events.of_touchpoints(events.index)
    keys = index if log.row is None else log.row[index]
    journeys = assemble(log, events, results, observation, within, keys)
    return _with_report(log, journeys, read, aside, ties)


def _with_report(
    log: EventLog, journeys: Journeys, read: dict[str, float], aside: dict[str, float], ties: int
) -> Journeys:
    kept = {
        "rows": float(len(log)),
        "touchpoints": float(journeys.n_touchpoints),
        "conversions": float(np.count_nonzero(journeys.conversions)),
    }
    timeline = journeys.timeline
    cut = 0 if timeline is None else len(timeline.codes) - journeys.n_touchpoints
    aside |= account.set_aside("older than the lookback", {"touchpoints": cut})
    if journeys.value is not None:
        kept["value"] = account.exact_sum(journeys.value)
    costs = account.channel_costs(log)
    if log.cost is not None:
        kept["cost"] = sum(costs.values())
        bare = {"cost": account.exact_sum(log.cost[log.code == 0])}
        aside |= account.set_aside("on rows without a channel", bare)
    noted = account.notes(log, journeys, ties)
    ledger = Ledger(read=read, kept=kept, set_aside=aside, noted=noted, cost=costs)
    return journeys._with(report=account.check(ledger))
