"""The account of an event log: amounts read, kept, and set aside with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.data.journeys import Journeys
from mta_models.data.ledger import Ledger
from mta_models.errors import InvariantError
from mta_models.sources.events.columns import EventLog

Amounts = dict[str, float]


def exact_sum(values: Floats) -> float:
    """The sum, rounded once, so that it does not depend on the order."""
    return math.fsum(values[(values != 0) & ~np.isnan(values)])


def amounts(log: EventLog, mask: Mask | None = None) -> Amounts:
    """Totals of the rows under `mask`, or of all rows."""
    rows = slice(None) if mask is None else mask
    converts = log.converts[rows]
    totals: Amounts = {
        "rows": float(len(converts)),
        "touchpoints": float(np.count_nonzero(log.code[rows])),
        "conversions": float(np.count_nonzero(converts)),
    }
    for name in ("value", "cost"):
        values = getattr(log, name)
        if values is not None:
            totals[name] = exact_sum(values[rows])
    return totals


def set_aside(reason: str, lost: Mapping[str, float]) -> Amounts:
    """Entries of the ledger for amounts set aside for one reason; an amount of 0 has none."""
    return {f"{what}: {reason}": amount for what, amount in lost.items() if amount}


def channel_costs(log: EventLog) -> Amounts:
    """Total cost of each channel."""
    if log.cost is None:
        return {}
    return {
        channel: exact_sum(log.cost[log.code == code])
        for code, channel in enumerate(log.channels, start=1)
    }


def count_idle(log: EventLog) -> int:
    """Number of observed users without a row."""
    idle = np.ones(len(log.user_ids), dtype=bool)
    idle[log.user] = False
    return int(np.count_nonzero(idle))


def notes(log: EventLog, journeys: Journeys, ties: int) -> Amounts:
    """Counts of rows kept that should be checked; a count of 0 only for conversions."""
    converts = journeys.conversions > 0
    bare = int(np.count_nonzero(converts & (journeys.lengths == 0)))
    totals: Amounts = {
        "conversions with a touchpoint": float(np.count_nonzero(converts) - bare),
        "conversions without a touchpoint": float(bare),
    }
    optional: Amounts = {
        "users without an event": float(count_idle(log)),
        "rows neither touchpoint nor conversion": float(
            np.count_nonzero((log.code == 0) & ~log.converts)
        ),
        "rows tied in time with the row before": float(ties),
    }
    if log.value is not None and log.priced is not None:
        optional["refunds"] = float(np.count_nonzero(log.value < 0))
        optional["value of refunds"] = exact_sum(log.value[log.value < 0])
        optional["conversions without a value"] = float(
            np.count_nonzero(log.converts & ~log.priced)
        )
    if log.cost is not None:
        optional["touchpoints without a cost"] = float(
            np.count_nonzero((log.code > 0) & np.isnan(log.cost))
        )
    return totals | {name: amount for name, amount in optional.items() if amount}


def check(ledger: Ledger, tolerance: float = 1e-12) -> Ledger:
    """The ledger, checked: every amount read is kept or set aside."""
    for what, amount in ledger.read.items():
        lost = (each for name, each in ledger.set_aside.items() if name.startswith(f"{what}: "))
        gap = math.fsum([amount, -ledger.kept[what], *(-each for each in lost)])
        # Each amount is a correctly rounded sum, so the gap is in the last digits at most.
        if abs(gap) > tolerance * max(1.0, abs(amount)):
            raise InvariantError(
                f"{what} read must be kept or set aside; {gap!r} are neither. This is a bug: "
                f"please report it with this ledger:\n{ledger}"
            )
    return ledger
