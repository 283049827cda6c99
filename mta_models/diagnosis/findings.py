"""What `diagnose` answers with: findings, each with its weight, its meaning and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SEVERITIES = ("problem", "caution", "note")


@dataclass(frozen=True)
class Finding:
    """One thing to know about the journeys before believing a number made of them.

    Attributes:
        name: short and stable, as `"no_nulls"`.
        severity: `"problem"` (some results cannot be had or will mislead), `"caution"` (read
            them with this in mind) or `"note"`.
        found: what was found, with its numbers.
        means: what that means for results.
        do: what can be done.
        channels: the channels concerned, none where all are.
    """

    name: str
    severity: str
    found: str
    means: str
    do: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """The findings on some journeys, gravest first, and what was looked at without one.

    Attributes:
        findings: gravest first.
        silent: names of the checks that found nothing.
        skipped: by name, why a check could not be made.
        verdict: which channels' effects the journeys can tell and which experiment would help
            most, in a few sentences.
        experiments: by channel, conversions that a perfect lift test of it is worth when a tenth
            of the touchpoints is moved to where they do most, most first; see
            `experiments.value_of_tests`. Empty without times.
    """

    findings: tuple[Finding, ...]
    silent: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    experiments: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings, gravest first."""
        return tuple(each.name for each in self.findings)

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why checks could not be made, each reason with the names of its checks."""
        found: dict[str, list[str]] = {}
        for name, why in self.skipped.items():
            found.setdefault(why, []).append(name)
        return found

    def to_frame(self) -> pd.DataFrame:
        """One row per finding: `severity`, `name`, `found`, `means`, `do`, `channels`."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def to_polars(self) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        columns = self._columns()
        types = dict.fromkeys(columns, pl.String()) | {"channels": pl.List(pl.String())}
        return pl.DataFrame(columns, schema=types)

    def __str__(self) -> str:
        lines = []
        for each in self.findings:
            lines.append(f"[{each.severity}] {each.name}: {each.found}")
            lines += [f"    It means: {each.means}", f"    What to do: {each.do}"]
        if self.silent:
            lines.append(f"Nothing found by: {', '.join(self.silent)}")
        lines += [f"Not checked: {', '.join(names)} ({why})" for why, names in self.reasons.items()]
        lines += [f"Verdict: {self.verdict}"] * bool(self.verdict)
        return "\n".join(lines)

    def _columns(self) -> dict[str, list[Any]]:
        names = ("severity", "name", "found", "means", "do")
        columns = {name: [getattr(each, name) for each in self.findings] for name in names}
        return columns | {"channels": [list(each.channels) for each in self.findings]}
