"""What an event log means, written as slowly and plainly as it can be: one user, one row at a time.

Both engines of `read_events` are held against this. It shares no code with them. Times are whole
numbers of seconds; a row is a dict with the keys user, time, channel (or None), conversion (0 or
1), value, id (or None), kind and place (its `order=`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

DAY = 86_400


@dataclass
class Told:
    """Journeys by user, each a dict; touchpoints are (time, channel, row)."""

    journeys: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    timeline: dict[Any, list[tuple[int, str, int]]] = field(default_factory=dict)
    bounds: dict[Any, tuple[int, int]] = field(default_factory=dict)
    set_aside: dict[str, float] = field(default_factory=dict)
    ties: int = 0

    def lose(self, what: str, reason: str, amount: float = 1) -> None:
        if amount:
            name = f"{what}: {reason}"
            self.set_aside[name] = self.set_aside.get(name, 0) + amount

    def lose_row(self, row: dict[str, Any], reason: str) -> None:
        self.lose("rows", reason)
        self.lose("touchpoints", reason, row["channel"] is not None)
        self.lose("conversions", reason, row["conversion"])
        self.lose("value", reason, row["value"] or 0)


def tell(
    rows: list[dict[str, Any]],
    *,
    lookback: int | None = None,
    session: int | None = None,
    windows: dict[str, int] | None = None,
    observed: Any = None,
    by_id: bool = False,
    by_place: bool = False,
    database: bool = False,
) -> Told:
    """The journeys of a log. `database`: the source has no order of its own."""
    told = Told()
    first, last = min(r["time"] for r in rows), max(r["time"] for r in rows)

    def tie_breaker(i: int) -> tuple[Any, ...]:
        row = rows[i]
        own: tuple[Any, ...] = (i,)
        if database:
            own = (row["conversion"], row["channel"] or "", *((row["kind"],) if windows else ()))
            own += (row["value"] or 0, *((row["id"] or "",) if by_id else ()), row["user"])
        return (row["time"], *((row["place"],) if by_place else ()), *own)

    here = []
    ids = set()
    for i in sorted(range(len(rows)), key=tie_breaker) if database else range(len(rows)):
        if by_id and rows[i]["id"] is not None:
            if rows[i]["id"] in ids:
                told.lose_row(rows[i], "repeated event id")
                continue
            ids.add(rows[i]["id"])
        here.append(i)

    users = {r["user"] for r in rows}
    if observed == "first_event":
        told.bounds = {u: (min(r["time"] for r in rows if r["user"] == u), last) for u in users}
    elif isinstance(observed, dict):
        told.bounds = dict(observed)
    else:
        low, high = observed or (first, last)
        told.bounds = dict.fromkeys(users, (low, high))

    by_user: dict[Any, list[int]] = {u: [] for u in told.bounds}
    for i in here:
        user, time = rows[i]["user"], rows[i]["time"]
        if user not in told.bounds:
            told.lose_row(rows[i], "user not observed")
        elif time < told.bounds[user][0]:
            told.lose_row(rows[i], "before observation")
        elif time > told.bounds[user][1]:
            told.lose_row(rows[i], "after observation")
        else:
            by_user[user].append(i)
    for user, mine in by_user.items():
        mine.sort(key=tie_breaker)
        told.ties += sum(rows[a]["time"] == rows[b]["time"] for a, b in pairwise(mine))
        _tell_user(told, user, [(i, rows[i]) for i in mine], lookback, session, windows)
    return told


def _tell_user(
    told: Told,
    user: Any,
    mine: list[tuple[int, dict[str, Any]]],
    lookback: int | None,
    session: int | None,
    windows: dict[str, int] | None,
) -> None:
    start, stop = told.bounds[user]
    told.timeline[user] = []
    told.journeys[user] = []
    open_path: list[tuple[int, str, int, str]] = []
    before = None  # the touchpoint row just before, merged or not
    since = start
    for i, row in mine:
        if row["channel"] is not None:
            now = (row["time"], row["channel"], i, row["kind"])
            continues = (
                session is not None
                and before is not None
                and before[1] == now[1]
                and (windows is None or before[3] == now[3])
                and now[0] - before[0] <= session
            )
            if continues:
                told.lose("touchpoints", "merged into a session")
            else:
                open_path.append(now)
                told.timeline[user].append(now[:3])
            before = now
        if row["conversion"]:
            path = []
            for touch in open_path:
                age = row["time"] - touch[0]
                within = lookback is None or age <= lookback
                if windows is not None:
                    within = within and age <= windows[touch[3]]
                if within:
                    path.append(touch[:3])
                else:
                    told.lose("touchpoints", "older than the lookback")
            told.journeys[user].append(
                {
                    "path": path,
                    "conversion": 1,
                    "value": row["value"] or 0,
                    "end": row["time"],
                    "at_risk": row["time"] - since,
                }
            )
            since = row["time"]
            open_path, before = [], None
    if open_path or not told.journeys[user]:
        told.journeys[user].append(
            {
                "path": [touch[:3] for touch in open_path],
                "conversion": 0,
                "value": 0,
                "end": stop,
                "at_risk": stop - since,
            }
        )
