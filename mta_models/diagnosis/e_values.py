"""E-values: how strong a confounder must be to explain an association."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats


def e_value(ratio: Floats) -> Floats:
    """The strength of a confounder that would explain rate ratios without any effect.

    The minimum rate ratio that an unmeasured confounder would need with both exposure and
    conversion, beyond what was adjusted for, if the exposure had no effect:
    R + √(R (R − 1)), for R = ratio or, below 1, its inverse.

    Source: VanderWeele and Ding 2017, Annals of Internal Medicine 167(4):268–274.

    Args:
        ratio: rate ratios > 0, any shape; for the bound of an interval that includes 1, give 1.

    Returns:
        E-values >= 1, in the shape of `ratio`.

    Example:
        >>> e_value(np.array([3.9, 1 / 3.9, 1.0])).round(2)
        array([7.26, 7.26, 1.  ])
    """
    above = np.maximum(ratio, 1 / np.asarray(ratio, dtype=np.float64))
    value: Floats = above + np.sqrt(above * (above - 1))
    return value
