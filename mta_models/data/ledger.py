"""Ledger: what was read and what became of it, which agree to the last conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Ledger:
    """The account of one reading: source on one side, journeys on the other.

    `read` and `kept` have the same keys (`"conversions"`, `"value"`, `"touchpoints"` …); each
    difference is explained by entries of `set_aside`. `noted` counts what was kept and should be
    checked (ties, refunds, conversions without a touchpoint).

    Attributes:
        read: totals of the source, by name.
        kept: totals of the journeys made of it, under the same names.
        set_aside: what is in the source and not in the journeys, by reason.
        noted: counts of what was kept and may be unexpected.
        cost: total cost of each channel, where the source has costs; every row within observation
            counts, whether or not its touchpoint was kept.
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
