"""Timeline: every touchpoint of each user, before any rule of journeys is applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers


@dataclass(frozen=True, eq=False)
class Timeline:
    """Every touchpoint of every user, in time order, with the bounds of observation.

    No lookback is applied, and touchpoints after a user's last conversion are included: models on
    timelines need all exposure. A user's conversions are rows of the `Journeys` to which the
    timeline belongs (`users`, `end`, `conversions`); they are not stored here again.

    Times are in days since the log's first instant, `origin`.

    Attributes:
        offsets: shape `(n_users + 1,)`; user u's touchpoints are `offsets[u]:offsets[u + 1]`.
        time: shape `(n_touchpoints,)`, days since `origin`.
        codes: shape `(n_touchpoints,)`, index into the journeys' `channels`.
        keys: shape `(n_touchpoints,)`, row of the source; None if it has no row numbers.
        start: shape `(n_users,)`, days since `origin` when observation of the user began.
        end: shape `(n_users,)`, days since `origin` when it ended.
        ids: shape `(n_users,)`, the source's own user identifiers, in code order, of the source's
            type (a polars Series, or a range if they are numbers without a gap).
        origin: the log's first instant, ISO 8601 in UTC, or the number in the source.

    Example:
        >>> import polars as pl
        >>> from mta_models import read_events
        >>> log = pl.DataFrame({
        ...     "user": ["a", "a", "b"],
        ...     "time": ["2024-05-01", "2024-05-03", "2024-05-02"],
        ...     "channel": ["Search", None, "Email"],
        ...     "conversion": [0, 1, 0],
        ... })
        >>> timeline = read_events(log, **{name: name for name in log.columns}).timeline
        >>> timeline.origin, timeline.time, timeline.offsets
        ('2024-05-01T00:00:00', array([0., 1.]), array([0, 1, 2], dtype=int32))
    """

    offsets: Ints
    time: Floats
    codes: Numbers
    keys: Numbers | None
    start: Floats
    end: Floats
    ids: Any
    origin: str = ""

    @property
    def n_users(self) -> int:
        """Number of users observed, including users without a touchpoint."""
        return len(self.offsets) - 1

    @cached_property
    def user_ids(self) -> Numbers:
        """The source's own user identifiers, shape `(n_users,)`; texts are Python objects."""
        ids = self.ids.to_numpy() if hasattr(self.ids, "to_numpy") else np.asarray(self.ids)
        return ids.astype(object) if ids.dtype.kind not in "iuO" else ids
