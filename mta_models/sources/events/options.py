"""The options of `read_events`, checked in one place for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from mta_models.core.checks import shown
from mta_models.core.durations import as_days
from mta_models.errors import ParameterError

Duration = str | timedelta
Interaction = tuple[str, Mapping[str, Duration]]


@dataclass(frozen=True)
class EventOptions:
    """Columns by role, and the rules, with durations in days.

    Attributes:
        kind: the column of `interaction=`; its entries are the keys of `windows`.
        windows: by kind of touchpoint, the days before a conversion within which it counts.
    """

    user: str
    time: str
    channel: str
    conversion: str
    value: str | None = None
    cost: str | None = None
    event_id: str | None = None
    order: str | None = None
    kind: str | None = None
    lookback: float | None = None
    session: float | None = None
    windows: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """The columns by role, for roles that have one."""
        roles = ("user", "time", "channel", "conversion", "value", "cost", "event_id", "order")
        named = {role: getattr(self, role) for role in (*roles, "kind")}
        return {role: name for role, name in named.items() if name is not None}

    @property
    def cuts(self) -> bool:
        """Whether a lookback or a window can cut touchpoints."""
        return self.lookback is not None or bool(self.windows)


def make_options(
    columns: Mapping[str, str | None],
    lookback: Duration | None,
    session: Duration | None,
    interaction: Interaction | None,
) -> EventOptions:
    """The options, checked.

    Raises:
        ParameterError: a column name is no text, or a duration is not valid.
    """
    for role, name in columns.items():
        optional = role not in ("user", "time", "channel", "conversion")
        if not (isinstance(name, str) or (optional and name is None)):
            raise ParameterError(f"`{role}` must be the name of a column; got {shown(name)}")
    kind, windows = _interaction(interaction)
    return EventOptions(
        **columns,  # type: ignore[arg-type]  # the required ones were checked above
        kind=kind,
        windows=windows,
        lookback=None if lookback is None else as_days(lookback, "lookback"),
        session=None if session is None else as_days(session, "session"),
    )


def _interaction(given: Any) -> tuple[str | None, dict[str, float]]:
    if given is None:
        return None, {}
    pair = isinstance(given, tuple) and len(given) == 2
    if not pair or not isinstance(given[0], str) or not isinstance(given[1], Mapping):
        raise ParameterError(
            "`interaction` must be a column and the window of each kind in it, as "
            f'("kind", {{"click": "7d", "view": "1d"}}); got {shown(given)}'
        )
    if not given[1] or not all(isinstance(kind, str) for kind in given[1]):
        raise ParameterError(
            "`interaction` must have one kind or more, and kinds must be texts; got "
            f"{shown(given[1])}"
        )
    windows = {kind: as_days(span, f"interaction {kind!r}") for kind, span in given[1].items()}
    return given[0], windows
