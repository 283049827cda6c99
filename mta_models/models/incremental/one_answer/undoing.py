"""Exposure after a purchase as it would have been without the purchase.

The days after a purchase are fair controls only if exposure on them is what it would have been
without it. Ads that stop for buyers, visits that end with the need, retargeting after the visit in
which was bought, and messages that a purchase triggers all change it. By how much is measured
directly (`purchase_changes`), and undone: touchpoints are counted for less where there are more of
them, and for more where there are fewer; where few are left, touchpoints at the user's own earlier
rate are added. The likelihood is linear in the exposure of control days, so expected touchpoints
need not be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.after_purchase import SPANS, purchase_changes
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays

# A channel is changed if its touchpoints within 7 days, over those expected, are above this
# multiple of the channels' median, or those within 28 days below this part, each with this z.
_MORE, _MORE_Z, _FEWER, _FEWER_Z = 1.15, 6.0, 0.9, -4.5
# Touchpoints expected within 28 days, below which a channel is left as it is.
_FEWEST = 30.0
# Touchpoints of the mean change that are added to those of each span.
_INERTIA = 5.0
# Part of touchpoints left, below which new ones are added instead of counting those left for more.
_LEFT, _SMALLEST = 0.5, 0.25
# Days that one added pair stands for.
_EVERY = 3
# Days before the conversion that are no reference, as in `purchase_changes`; minimum of days.
_NEAR, _DAYS = 21.0, 7.0


@dataclass(frozen=True, eq=False)
class Changes:
    """What a purchase changes of the touchpoints after it, and how it is undone.

    Attributes:
        ratio: shape `(n_channels,)`, touchpoints in the 28 days after a purchase over those
            expected; 1 where they cannot be compared.
        z: shape `(n_channels,)`, of ratio = 1.
        more: shape `(n_channels,)`, whether a purchase brings about more touchpoints.
        fewer: shape `(n_channels,)`, whether it stops some.
        scale: shape `(n_channels, n_spans)`, what a touchpoint counts for.
        missing: shape `(n_channels, n_spans)`, part of the user's own earlier rate that is added.
    """

    ratio: Floats
    z: Floats
    more: Mask
    fewer: Mask
    scale: Floats
    missing: Floats

    @property
    def any(self) -> bool:
        """Whether a purchase changes the touchpoints of any channel."""
        return bool((self.more | self.fewer).any())


def changes_of(histories: Histories) -> Changes:
    """What purchases change in a log of all users, before entrances are treated."""
    spans = purchase_changes(histories)
    month = purchase_changes(histories, (0.0, 28.0))
    week = purchase_changes(histories, (0.0, 7.0))
    ratio, z = _ratio(month.ratio[:, 0]), month.z[:, 0]
    soon, soon_z = _ratio(week.ratio[:, 0]), week.z[:, 0]
    expected = spans.expected
    compared = month.expected[:, 0] > _FEWEST
    # Where all channels are met more, users have changed, and not what a purchase brings about.
    usual = max(float(np.median(soon[compared])), 1.0) if compared.any() else 1.0
    more = compared & (soon > _MORE * usual) & (soon_z > _MORE_Z)
    fewer = compared & ~more & (ratio < _FEWER) & (z < _FEWER_Z)
    scale, missing = np.ones_like(spans.ratio), np.zeros_like(spans.ratio)
    for c in np.flatnonzero(more):
        shrunk = (spans.seen[c] + _INERTIA) / (expected[c] + _INERTIA)
        scale[c] = 1 / np.maximum(shrunk / usual, 1.0)
        scale[c, -1] = 1.0  # a month later nothing is left of it
    for c in np.flatnonzero(fewer):
        shrunk = (spans.seen[c] + _INERTIA * ratio[c]) / (expected[c] + _INERTIA)
        left = np.minimum(np.append(shrunk[:-1], _ratio(spans.ratio[c, -1:])), 1.0)
        if ratio[c] >= _LEFT:
            scale[c] = 1 / np.maximum(left, _SMALLEST)
        else:
            missing[c] = 1 - left
    return Changes(ratio, z, more, fewer, scale, missing)


def _ratio(ratio: Floats) -> Floats:
    return np.where(np.isfinite(ratio), ratio, 1.0)


def undone(block: ControlDays, changes: Changes) -> ControlDays:
    """Conversions with their control days, whose later exposure is as if nobody had bought."""
    if not changes.any:
        return block
    edges = np.asarray(SPANS)
    since = block.slot - block.delay - block.case[block.row]
    after = block.slot > block.case[block.row]
    span = np.clip(np.searchsorted(edges, since) - 1, 0, len(edges) - 2)
    after &= since <= edges[-1]
    scale = np.where(after, changes.scale[block.code, span], 1.0)
    block = replace(block, scale=scale)
    for channel in np.flatnonzero(changes.missing.any(axis=1)):
        block = _filled(block, int(channel), changes.missing[channel], edges)
    return block


def _filled(block: ControlDays, channel: int, missing: Floats, edges: Floats) -> ControlDays:
    """The block with one channel's missing touchpoints, one pair for every three later days."""
    assert block.scale is not None
    rate = _earlier_rate(block, channel)
    count = (block.size - 1 - block.case + _EVERY // 2) // _EVERY
    row = np.repeat(np.arange(block.n_rows), count)
    ahead = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    ahead = _EVERY // 2 + 1 + _EVERY * ahead
    some = np.flatnonzero(ahead <= (block.size - 1 - block.case)[row])
    row, ahead = row[some], ahead[some]
    span = np.searchsorted(edges, ahead - 0.5) - 1
    amount = _EVERY * rate[row] * np.where(span < len(missing), np.append(missing, 0.0)[span], 0.0)
    some = np.flatnonzero(amount > 0)
    row, ahead = row[some], ahead[some]
    return replace(
        block,
        row=np.concatenate([block.row, row]),
        code=np.concatenate([block.code, np.full(len(row), channel)]),
        slot=np.concatenate([block.slot, block.case[row] + ahead]),
        delay=np.concatenate([block.delay, np.full(len(row), 0.5)]),
        scale=np.concatenate([block.scale, amount[some]]),
    )


def _earlier_rate(block: ControlDays, channel: int) -> Floats:
    """Touchpoints a day of each row's user until 21 days before the conversion, `(n_rows,)`.

    The mean of a Gamma distribution that is fitted to all rows by the method of moments and updated
    by the user's own count.
    """
    days = np.maximum(block.case - _NEAR, 0.0)
    long = days >= _DAYS
    if not long.any():
        return np.zeros(block.n_rows)
    met: Ints = np.flatnonzero(
        (block.code == channel) & (block.slot <= (block.case - _NEAR)[block.row])
    )
    seen = np.bincount(block.row[met], minlength=block.n_rows).astype(np.float64)
    n, t = seen[long], days[long]
    mean = float(n.sum() / t.sum())
    if mean == 0:
        return np.zeros(block.n_rows)
    spread = float(((n - mean * t) ** 2 - mean * t).sum() / (t**2).sum())
    per_day = float(np.clip(mean / max(spread, 1e-4 * mean), 1.0, 1e4))
    rate: Floats = (mean * per_day + np.where(long, seen, 0)) / (per_day + np.where(long, days, 0))
    return rate
