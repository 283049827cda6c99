"""The arrays that `Journeys` consist of, and the properties that follow from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mta_models.core.arrays import read_only
from mta_models.core.checks import shown
from mta_models.core.ragged import Floats, Ints, Numbers, lengths, spread
from mta_models.data.ledger import Ledger
from mta_models.data.timeline import Timeline
from mta_models.errors import JourneyError, ParameterError


@dataclass(frozen=True, eq=False, repr=False)
class JourneyArrays:
    """The fields of `Journeys`, without checks, and their properties; `Journeys` describes them."""

    channels: tuple[str, ...]
    codes: Numbers
    offsets: Ints
    conversions: Numbers
    nulls: Numbers
    value: Floats | None = None
    time: Floats | None = None
    given_age: Floats | None = None
    given_at_risk: Floats | None = None
    keys: Numbers | None = None
    users: Numbers | None = None
    end: Floats | None = None
    milestones: dict[str, Ints] | None = None
    timeline: Timeline | None = None
    report: Ledger | None = None

    @property
    def n_journeys(self) -> int:
        """Number of rows; a row stands for `conversions + nulls` users."""
        return len(self.offsets) - 1

    @property
    def n_touchpoints(self) -> int:
        """Number of touchpoints in all rows; each row is counted once."""
        return len(self.codes)

    @property
    def n_channels(self) -> int:
        """Number of channels, with or without touchpoints."""
        return len(self.channels)

    @property
    def lengths(self) -> Ints:
        """Number of touchpoints of each journey, shape `(n_journeys,)`."""
        return lengths(self.offsets)

    @cached_property
    def age(self) -> Floats | None:
        """Days from each touchpoint to its journey's end, shape `(n_touchpoints,)`, or None.

        From an event log it is `end - time`. It is computed on first use, because models that do
        not use times do not need it.
        """
        if self.given_age is not None or self.time is None or self.end is None:
            return self.given_age
        age: Floats = read_only(spread(self.end, self.offsets) - self.time)
        return age

    @cached_property
    def at_risk(self) -> Floats | None:
        """Days each journey was observed, shape `(n_journeys,)`, or None.

        From an event log: the days from the start of the user's observation, or from the user's
        previous conversion, to the journey's end. Computed on first use, like `age`.
        """
        if self.given_at_risk is not None or self.timeline is None:
            return self.given_at_risk
        if self.users is None or self.end is None:
            return None
        begin = self.timeline.start[self.users]
        again = np.flatnonzero(self.users[1:] == self.users[:-1])
        begin[again + 1] = self.end[again]
        days: Floats = read_only(self.end - begin)
        return days

    @property
    def total(self) -> float:
        """Number of all conversions."""
        return float(self.conversions.sum(dtype=np.float64))

    @property
    def total_value(self) -> float:
        """The value of all conversions.

        Raises:
            JourneyError: the source gave no values.
        """
        return float(self.outcome("value").sum())

    def outcome(self, of: str) -> Floats:
        """The outcome to credit on each row, `(n_journeys,)`: its `"conversions"` or its `"value"`.

        Raises:
            ParameterError: `of` is neither.
            JourneyError: the source gave no values.
        """
        if not isinstance(of, str) or of not in ("conversions", "value"):
            raise ParameterError(f'`of` must be "conversions" or "value"; got {shown(of)}')
        if of == "conversions":
            return self.conversions.astype(np.float64, copy=False)
        if self.value is None:
            raise JourneyError(
                'of="value" needs the value of each row, and these journeys have none. '
                'Name the value column when reading, or use of="conversions"'
            )
        return self.value
