"""Worlds of other sizes: small effects, many channels, and all mechanisms at once."""

from __future__ import annotations

import numpy as np

from mta_models.worlds.mechanisms.effects import CarryOver, Saturation
from mta_models.worlds.mechanisms.exposure import (
    Bursts,
    Intent,
    NullChannel,
    Retargeting,
    Season,
    Suppression,
    Trend,
    Upstream,
)
from mta_models.worlds.world import World


class Organic(World):
    """Nine in ten would convert anyway.

        base = (1 + 10 strength) times as high, every effect (1 − 0.8 strength) times

    **Strength** dials it: at ½ the baseline is 90% of all conversions.

    **Who wins.** Models with a baseline, and intervals wide enough for such small effects. Rules
    credit channels with about ten times what they cause.
    """

    name = "organic"

    def tune(self) -> None:
        """A strong brand, weak ads."""
        super().tune()
        self.base_rate *= 1 + 10 * self.dial
        self.effects = self.effects * (1 - 0.8 * self.dial)


class Rare(World):
    """One user in a thousand converts, and thirty channels of unequal reach share them.

        rate_c ∝ rank_c^(−2 strength), 12 touchpoints per user in all
        effect_c = 0.00003 times 2, 0, 1, 3, 0 and so on;  base = 0.0000055

    Shapley values are sampled, their standard errors reported.

    **Strength** dials how unequal reach is: at ½ the second channel has half the reach of the
    first, the thirtieth a thirtieth.

    **Who wins.** Models that shrink. 20,000 users have about 20 conversions; differences between
    channels are then chance, which only intervals show.
    """

    name = "rare"
    channels = tuple(f"Channel {rank:02d}" for rank in range(1, 31))

    def tune(self) -> None:
        """Thirty channels."""
        n = len(self.channels)
        reach = np.arange(1, n + 1) ** (-2 * self.dial)
        self.rates = 12 / self.days * reach / reach.sum()
        self.effects = 0.00003 * np.resize([2.0, 0.0, 1.0, 3.0, 0.0], n)
        self.costs = np.resize([0.5, 0.2, 1.0, 0.3], n)
        self.half_lives = np.full(n, 4.0)
        self.base_rate = 0.0000055


class Everything(
    NullChannel,
    Suppression,
    Retargeting,
    Upstream,
    Intent,
    Bursts,
    Season,
    Trend,
    Saturation,
    CarryOver,
):
    """Most of what misleads, at once, as in real logs.

    The mechanisms of `null_channel`, `suppression`, `retargeting`, `upstream`, `intent`, `bursts`,
    `season`, `trend`, `saturation` and `carry_over`, each with half of this world's strength.

    **Strength** dials all of them.

    **Who wins.** No model can be expected to. Look at intervals, and at lift tests.
    """

    name = "everything"

    @property
    def dial(self) -> float:
        """Half, since there are many."""
        return self.strength / 2
