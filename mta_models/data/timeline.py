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

    The lookback is not applied, and touchpoints after a user's last conversion are here too: time
    models need all exposure. A user's conversions are the rows of the `Journeys` to which this
    timeline belongs (`users`, `end`, `conversions`); they are not stored twice.

    Times are in days since the log's first instant, `origin`.

    Attributes:
        offsets: shape `(n_users + 1,)`; user u's touchpoints are `offsets[u]:offsets[u + 1]`.
        time: shape `(n_touchpoints,)`, days since `origin`.
        codes: shape `(n_touchpoints,)`, index into the journeys' `channels`.
        keys: shape `(n_touchpoints,)`, row of the source; None where it has no row numbers.
        start: shape `(n_users,)`, days since `origin` when observation of the user began.
        end: shape `(n_users,)`, days since `origin` when it ended.
        ids: shape `(n_users,)`, the source's own user identifiers, in code order, of the source's
            type (a polars Series, or a range where they are numbers without a gap).
        origin: the log's first instant, ISO 8601 in UTC, or the number that the source gives.
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
        """Users observed, those without a touchpoint included."""
        return len(self.offsets) - 1

    @cached_property
    def user_ids(self) -> Numbers:
        """The source's own user identifiers, shape `(n_users,)`; texts are Python objects."""
        ids = self.ids.to_numpy() if hasattr(self.ids, "to_numpy") else np.asarray(self.ids)
        return ids.astype(object) if ids.dtype.kind not in "iuO" else ids
