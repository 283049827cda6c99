"""Ledger: amounts read, kept and set aside, which add up to the last conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ledger:
    """The account of one reading: the amounts in the source and those in the journeys.

    `read` and `kept` have the same keys (`"conversions"`, `"value"`, `"touchpoints"` …); entries of
    `set_aside` explain each difference. `print` shows all but the costs. It is the `report` of
    `Journeys`.

    Attributes:
        read: totals of the source, by name.
        kept: totals of the journeys, under the same names.
        set_aside: amounts of the source that are not in the journeys, by name and reason.
        noted: counts of rows and conversions that were kept and should be checked (ties, refunds,
            conversions without a touchpoint).
        cost: total cost of each channel, if the source has costs. It includes every row within
            observation, even if its touchpoint was not kept.

    Example:
        >>> import polars as pl
        >>> from mta_models import read_paths
        >>> table = pl.DataFrame({"path": ["Search > Email", ""], "conversions": [2, 1]})
        >>> ledger = read_paths(table).report
        >>> print(ledger)
        read      rows 2, touchpoints 2, conversions 3
        kept      rows 2, touchpoints 2, conversions 3
        noted     rows without a touchpoint 1, rows without an outcome 0
    """

    read: Mapping[str, float]
    kept: Mapping[str, float]
    set_aside: Mapping[str, float] = field(default_factory=dict)
    noted: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """One row per entry: `side` (read, kept, set aside, noted, cost), `what`, `amount`."""
        import pandas as pd

        sides = {
            "read": self.read,
            "kept": self.kept,
            "set aside": self.set_aside,
            "noted": self.noted,
            "cost": self.cost,
        }
        rows = [(side, what, amount) for side, of in sides.items() for what, amount in of.items()]
        return pd.DataFrame(rows, columns=["side", "what", "amount"])

    def __str__(self) -> str:
        def line(title: str, of: Mapping[str, float]) -> str:
            amounts = (f"{name} {amount:,.12g}" for name, amount in of.items())
            return f"{title:<10}" + ", ".join(amounts)

        parts = [line("read", self.read), line("kept", self.kept)]
        if self.set_aside:
            parts.append(line("set aside", self.set_aside))
        if self.noted:
            parts.append(line("noted", self.noted))
        return "\n".join(parts)
