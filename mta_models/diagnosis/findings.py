"""The result of `diagnose`: findings, each with its severity, its meaning and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mta_models.core.tables import Block, Entries, Printed, printable

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SEVERITIES = ("problem", "caution", "note")


@dataclass(frozen=True)
class Finding:
    """A problem, caution or note about journeys, with its consequence and a remedy.

    Attributes:
        name: of the check, short and stable, as `"no_nulls"`.
        severity: `"problem"` (some results are impossible or will mislead), `"caution"` (read
            results with this in mind) or `"note"`.
        found: the observation, with its numbers.
        means: the consequence for results.
        do: the remedy.
        channels: the channels concerned; empty if it concerns all.

    Example:
        >>> from mta_models import Journeys, diagnose
        >>> finding = diagnose(Journeys.from_paths([["TV"]], [40])).findings[0]
        >>> finding.name, finding.severity
        ('no_nulls', 'problem')
        >>> finding.do
        'read the users who did not convert too'
    """

    name: str
    severity: str
    found: str
    means: str
    do: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Diagnosis(Printed):
    """The findings of `diagnose`, and the checks that found nothing or could not be made.

    Attributes:
        findings: most severe first.
        silent: names of the checks that found nothing.
        skipped: by name, why a check could not be made.
        verdict: a few sentences: the channels whose effects `Incremental` identifies, what carries
            the other numbers, and the experiment with the highest expected value.
        experiments: by channel, highest first, the expected value of a perfect lift test of it: the
            conversions gained if a tenth of the touchpoints, or of the cost where the log has
            costs, is then moved to the channels where they do most; see
            `worth_of_tests.value_of_tests`. Empty without times.

    Example:
        >>> from mta_models import Journeys, diagnose
        >>> diagnosis = diagnose(Journeys.from_paths([["TV"], []], conversions=[3, 2]))
        >>> diagnosis.to_frame()["name"].tolist()
        ['no_nulls', 'untouched', 'thin_channels', 'no_times']
    """

    findings: tuple[Finding, ...]
    silent: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    experiments: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings, most severe first."""
        return tuple(each.name for each in self.findings)

    @property
    def reasons(self) -> dict[str, list[str]]:
        """By reason, the names of the checks that could not be made."""
        names: dict[str, list[str]] = {}
        for name, why in self.skipped.items():
            names.setdefault(why, []).append(name)
        return names

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

    def blocks(self) -> list[Block]:
        """The blocks that `print` shows: findings, checks without a finding, and the verdict."""
        rows = [
            (
                each.severity,
                f"{each.name}: {printable(each.found)}\nMeans: {printable(each.means)}\n"
                f"Do: {printable(each.do)}",
            )
            for each in self.findings
        ]
        blocks: list[Block] = [Entries("Findings" if rows else "No findings", rows, spaced=True)]
        if self.silent:
            blocks.append(f"Nothing found by: {', '.join(self.silent)}")
        for why, names in self.reasons.items():
            blocks.append(f"Note: {', '.join(names)} not checked: {why}")
        if self.verdict:
            blocks.append(Entries("Verdict", [(printable(self.verdict),)]))
        return blocks

    def __repr__(self) -> str:
        return (
            f"Diagnosis({', '.join(self.names) or 'no findings'}; {len(self.silent)} checks found "
            f"nothing, {len(self.skipped)} could not be made)"
        )

    def _columns(self) -> dict[str, list[Any]]:
        names = ("severity", "name", "found", "means", "do")
        columns = {name: [getattr(each, name) for each in self.findings] for name in names}
        return columns | {"channels": [list(each.channels) for each in self.findings]}
