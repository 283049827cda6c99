"""An attribution and a truth on the same channels, from which every metric is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mta_models.attribution import Attribution
from mta_models.core.ragged import Floats, Mask
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    from mta_models.worlds.truth import Truth

Against = Literal["shapley", "removal", "marginal", "direct"]
# Sums of many floats differ in their last digits: differences below this fraction of the total are
# taken as 0.
ROUNDING = 1e-9


def aligned(attribution: Attribution, truth: Truth, against: Against) -> tuple[Floats, Floats]:
    """Credit and true effect, each `(n_channels,)` in the truth's order.

    Raises:
        ParameterError: no such effect, or the credit is not of conversions.
        UnknownChannelError: a credited channel is not one of the truth's.
    """
    if against not in get_args(Against):
        raise ParameterError(f"against must be one of {get_args(Against)}; got {against!r}")
    if attribution.of != "conversions":
        raise ParameterError(
            "the attribution must be of conversions, as the truth is; got one of "
            f'{attribution.of}. Attribute with of="conversions"'
        )
    effect: Floats = getattr(truth, against)
    return truth.credit_of(attribution), effect


def shares(credit: Floats) -> Floats:
    """Parts of positive credit, `(n_channels + 1,)`: sums to 1; the last is "no channel"."""
    positive = np.append(np.maximum(credit, 0), 0.0)
    if not positive.any():
        positive[-1] = 1.0
    share: Floats = positive / positive.sum()
    return share


def is_null(effect: Floats, truth: Truth) -> Mask:
    """Which channels have no effect at all, `(n_channels,)`.

    Noise that interventions share makes that an exact 0, but for rounding: a small effect with a
    large standard error is not null.
    """
    null: Mask = np.abs(effect) <= ROUNDING * truth.total
    return null


def bounds(
    attribution: Attribution, truth: Truth, prob: float, against: Against
) -> tuple[Floats, Floats, Floats]:
    """Lower and upper bound and truth of each channel and, last, of the baseline."""
    _, effect = aligned(attribution, truth, against)
    n = len(effect)
    interval = np.zeros((n + 1, 2))
    places = [truth.channels.index(name) for name in attribution.channels]
    interval[places] = attribution.interval(prob)
    interval[n] = attribution.baseline_interval(prob)
    return interval[:, 0], interval[:, 1], np.append(effect, truth.baseline)
