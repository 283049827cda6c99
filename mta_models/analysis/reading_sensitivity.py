"""How much the settings of reading a log change the credit of a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import BASELINE, Attribution
from mta_models.core.checks import as_list, shown
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats
from mta_models.core.tables import Block, Printed, Table, TopRows, percent
from mta_models.errors import ParameterError
from mta_models.models.base import AttributionModel
from mta_models.models.names import as_model

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd
    import polars as pl

    Duration = str | timedelta

# Arguments of `read_events` that name columns; these are read once for all settings.
_COLUMNS = ("user", "time", "channel", "conversion", "value", "cost", "event_id", "order")


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(Printed):
    """One model's credit under several readings of the same log.

    Attributes:
        attributions: by setting `(lookback, session)`, in the order given; None means unlimited
            lookback or no sessions. Conversions are the same in all settings.

    Example:
        >>> import polars as pl
        >>> from mta_models import sensitivity
        >>> log = pl.DataFrame({
        ...     "user": [1, 1], "time": [0, 20], "channel": ["TV", "Search"], "conversion": [0, 1]
        ... })
        >>> columns = {name: name for name in log.columns}
        >>> sensitivity("Linear", log, lookbacks=["7d", None], sessions=[None], **columns)
        Sensitivity(Linear(), 2 settings, 2 channels, largest_move=0.5)
    """

    attributions: Mapping[tuple[Duration | None, Duration | None], Attribution]

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the log."""
        return self._all[0].channels

    @property
    def share(self) -> Floats:
        """Each channel's share of credit in each setting, shape `(n_channels, n_settings)`."""
        return np.column_stack([each.share for each in self._all])

    @property
    def largest_move(self) -> float:
        """The largest share of credit that moves to other channels between two of the settings.

        It is the total-variation distance between the shares, between 0 and 1. Settings in which
        no channel has credit are left out; NaN if none is left.
        """
        share = self.share[:, ~np.isnan(self.share).any(axis=0)]
        moves = [float(np.abs(share - each[:, None]).sum(axis=0).max()) / 2 for each in share.T]
        return max(moves, default=float("nan"))

    def to_frame(self) -> pd.DataFrame:
        """One row per setting and channel, with a row for its baseline; credits sum to `total`.

        Columns: `lookback` (`"unlimited"` for None), `session` (`"none"` for None), `channel`,
        `credit` and `share` (missing for the baseline). `pivot_table("credit", "channel",
        ["lookback", "session"])` of it has a column per setting.
        """
        import pandas as pd

        return pd.DataFrame(self._columns())

    def to_polars(self) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.DataFrame(self._columns(), nan_to_null=True)

    def blocks(self) -> list[Block]:
        """The blocks that `print` shows: shares of credit by setting, and the largest move."""
        rows = TopRows(self.channels, np.nan_to_num(self.share).mean(axis=1), 25)
        columns = {
            f"lookback {lookback}, session {session}": [percent(x) for x in rows.sums(each.share)]
            for (lookback, session), each in zip(self._words(), self._all, strict=True)
        }
        title = f"Share of credit in {self._all[0].of}, by {self._all[0].model.removesuffix('()')}"
        move = f"Between two of the settings up to {percent(self.largest_move)} of credit moves."
        return [Table(title, rows.names, columns), move]

    def __repr__(self) -> str:
        return (
            f"Sensitivity({self._all[0].model}, {len(self.attributions)} settings, "
            f"{len(self.channels)} channels, largest_move={self.largest_move:.3g})"
        )

    def _words(self) -> list[tuple[str, str]]:
        """Lookback and session of each setting."""
        return [
            ("unlimited" if lookback is None else str(lookback), str(session or "none"))
            for lookback, session in self.attributions
        ]

    @property
    def _all(self) -> list[Attribution]:
        return list(self.attributions.values())

    def _columns(self) -> dict[str, Any]:
        rows = len(self.channels) + 1
        words = self._words()
        return {
            "lookback": [lookback for lookback, _ in words for _ in range(rows)],
            "session": [session for _, session in words for _ in range(rows)],
            "channel": [*self.channels, BASELINE] * len(words),
            "credit": np.concatenate([np.append(each.credit, each.baseline) for each in self._all]),
            "share": np.concatenate([np.append(each.share, np.nan) for each in self._all]),
        }


def sensitivity(
    model: AttributionModel | type[AttributionModel] | str,
    source: Any,
    *,
    lookbacks: Sequence[Duration | None] = ("7d", "30d", "90d", None),
    sessions: Sequence[Duration | None] = (None, "30min"),
    of: str = "conversions",
    **reading: Any,
) -> Sensitivity:
    """Credit of one model under every combination of lookback and session setting.

    Lookback (how long before its conversion a touchpoint counts) and session (the gap below which
    touchpoints of a channel are merged) are set when a log is read, and reports often leave them
    out. They can change credit more than the choice of a model. The model is fitted again for each
    setting; a file is read once. Estimand and assumptions are those of the model.

    Args:
        model: a model, its class or its name; the model itself stays unfitted.
        source: an event log, as for `read_events`.
        lookbacks: as `lookback` of `read_events`; None: unlimited.
        sessions: as `session` of `read_events`; None: every touchpoint counts.
        of: `"conversions"`, or `"value"` for revenue.
        **reading: the other arguments of `read_events`; `user`, `time`, `channel` and
            `conversion` are required.

    Returns:
        A `Sensitivity`: one attribution per setting, `lookbacks` × `sessions`.

    Raises:
        ParameterError: no setting, the same setting twice, or a setting that is no duration.
        JourneyError: as `read_events` and the model.

    Example:
        >>> import polars as pl
        >>> from mta_models import sensitivity
        >>> log = pl.DataFrame({
        ...     "who": ["a", "a", "b"],
        ...     "day": [0, 20, 20],
        ...     "channel": ["TV", "Search", "Search"],
        ...     "bought": [0, 1, 1],
        ... })
        >>> columns = {"user": "who", "time": "day", "channel": "channel", "conversion": "bought"}
        >>> settings = {"lookbacks": ["7d", None], "sessions": [None]}
        >>> result = sensitivity("FirstTouch", log, **settings, **columns)
        >>> result.to_frame()[["lookback", "channel", "credit"]]
            lookback     channel  credit
        0         7d      Search     2.0
        1         7d          TV     0.0
        2         7d  (baseline)     0.0
        3  unlimited      Search     1.0
        4  unlimited          TV     1.0
        5  unlimited  (baseline)     0.0
        >>> result.largest_move
        0.5
    """
    from mta_models.sources.events.reading import read_events

    settings = product(_settings("lookbacks", lookbacks), _settings("sessions", sessions))
    wrong = next((name for name in ("lookback", "session") if name in reading), None)
    if wrong is not None:
        raise ParameterError(f"sensitivity takes {wrong}s=, a list of settings; got {wrong}=")
    known = [*inspect.signature(read_events).parameters][1:]
    unknown = next((name for name in reading if name not in known), None)
    lacking = next((name for name in _COLUMNS[:4] if name not in reading), None)
    if unknown is not None or lacking is not None:
        got = f"no {lacking}" if unknown is None else unknown
        raise ParameterError(
            f"the other arguments must be those of read_events, {', '.join(known)}, among them "
            f"{', '.join(_COLUMNS[:4])}; got {got}. Correct it"
        )
    made = as_model(model)
    log = _read_once(source, reading)
    attributions = {
        (lookback, session): made.fit_attribute(
            read_events(log, lookback=lookback, session=session, **reading), of=of
        )
        for lookback, session in settings
    }
    return Sensitivity(attributions)


def _settings(name: str, given: Sequence[Duration | None]) -> list[Duration | None]:
    settings = as_list(given, name, 'settings, as ["30d", None]')
    if not settings:
        raise ParameterError(f"`{name}` must be a list of settings, one or more; got none")
    days = [None if each is None else as_days(each, name) for each in settings]
    if len(set(days)) < len(days):
        raise ParameterError(
            f"the settings of `{name}` must differ; got {shown(given)}. Drop the repeated one"
        )
    return settings


def _read_once(source: Any, reading: Mapping[str, Any]) -> Any:
    """The columns needed, in memory; a database table is queried for each setting instead."""
    if type(source).__module__.partition(".")[0] == "ibis":
        return source
    from mta_models.sources import tables

    columns = [reading[name] for name in _COLUMNS if reading.get(name) is not None]
    if reading.get("interaction") is not None:
        columns.append(reading["interaction"][0])
    return tables.collect(tables.open_table(source, columns), source)
