"""The arrays that `Journeys` are made of, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass

from mta_models.core.ragged import Floats, Ints, Numbers, lengths
from mta_models.data.ledger import Ledger
from mta_models.data.timeline import Timeline


@dataclass(frozen=True, eq=False, repr=False)
class JourneyArrays:
    """The fields of `Journeys`, unchecked; `Journeys` says what each holds."""

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
        """Rows, each standing for `conversions + nulls` users."""
        return len(self.offsets) - 1

    @property
    def n_touchpoints(self) -> int:
        """Touchpoints over all rows, each row counted once."""
        return len(self.codes)

    @property
    def n_channels(self) -> int:
        """Channels declared, met or not."""
        return len(self.channels)

    @property
    def lengths(self) -> Ints:
        """Touchpoints of each journey, shape `(n_journeys,)`."""
        return lengths(self.offsets)
