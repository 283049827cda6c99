"""The verdict on each channel: whether the log identifies its effect, and by what assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mta_models.core.ragged import Mask
from mta_models.models.incremental.one_answer.results import Estimate, Settings

Status = Literal["identified", "bounded", "not identified"]


@dataclass(frozen=True)
class ChannelVerdict:
    """What the log says about one channel, in conversions.

    Attributes:
        channel: its name.
        status: `"identified"`: the log gives the effect, under the assumption; `"bounded"`: it
            gives bounds; `"not identified"`: it does not even give bounds.
        assumption: what carries the number, in one sentence.
        credit: of the answer.
        lower: bound of the 90% interval.
        upper: bound of the 90% interval.
        other_reading: the credit if the assumption is false, or None where there is no other
            reading.
    """

    channel: str
    status: Status
    assumption: str
    credit: float
    lower: float
    upper: float
    other_reading: float | None = None


def verdict_of(
    channels: tuple[str, ...], met: Mask, estimate: Estimate, settings: Settings
) -> tuple[ChannelVerdict, ...]:
    """The verdict on each channel, in their order.

    Args:
        channels: names.
        met: shape `(n_channels,)`, whether any user met the channel.
        estimate: the answer; its second reading, if there is one, is that entrances cause.
        settings: which channels are entrances.
    """
    if len(estimate.draws):
        lower, upper = np.quantile(estimate.draws, (0.05, 0.95), axis=0)
    else:
        lower = upper = estimate.credit
    other = estimate.readings[1].credit if len(estimate.readings) > 1 else None
    verdicts = []
    for code, channel in enumerate(channels):
        status: Status = "identified"
        assumption = (
            f"What else makes people buy shows equally in touchpoints of {channel} before and "
            "after a day."
        )
        if not met[code]:
            status, assumption = "not identified", f"Nobody met {channel}."
        elif settings.entrances[code]:
            status = "bounded"
            assumption = (
                f"People who came through {channel} within 12 hours before a purchase had decided "
                "to buy."
            )
        verdicts.append(
            ChannelVerdict(
                channel,
                status,
                assumption,
                float(estimate.credit[code]),
                float(lower[code]),
                float(upper[code]),
                float(other[code]) if other is not None and settings.entrances[code] else None,
            )
        )
    return tuple(verdicts)
