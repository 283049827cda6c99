"""Groups of converters by their volume of touchpoints, each with its own depletion."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories

# Conversions for each group with its own depletion, and maximum of groups.
_PER_GROUP, _MAX_GROUPS = 400.0, 12


def volume(histories: Histories) -> Floats:
    """Touchpoints a day of each user, shape `(n_users,)`."""
    days = np.maximum(histories.end - histories.start, 1e-9)
    volumes: Floats = np.diff(histories.offsets) / days
    return volumes


def group_edges(histories: Histories) -> Floats:
    """Volumes that divide converters into groups of about the same size, `(n_groups - 1,)`."""
    n = n_groups(histories)
    volumes = volume(histories)[histories.event_user]
    return np.quantile(volumes, np.arange(1, n) / n)


def n_groups(histories: Histories) -> int:
    """The number of groups for which there are enough conversions."""
    return int(np.clip(histories.total / _PER_GROUP, 1, _MAX_GROUPS))
