"""Moving a budget by credit: the same total, best return first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    pass


LEAST, MOST = 0.5, 2.0


# Returns that differ by less than this, of the largest, are equal.
_TIE = 1e-9


def reallocate(credit: Floats, spend: Floats) -> Floats:
    """New spend over present spend of each channel, `(n_channels,)`, by the policy above.

    Args:
        credit: shape `(n_channels,)`; only its ratio to `spend` and its order matter.
        spend: shape `(n_channels,)`, >= 0, in money; 0 marks a channel that is not bought.

    Raises:
        ParameterError: the shapes differ, or an amount is negative or not finite.

    Example:
        Three channels cost 100 each. The best return is doubled, the worst halved, the budget
        kept: the one between takes what is left.

        >>> import numpy as np
        >>> reallocate(np.array([30.0, 10.0, 20.0]), np.array([100.0, 100.0, 100.0]))
        array([2. , 0.5, 0.5])
    """
    _check(credit, spend)
    paid = spend > 0
    rate: Floats = np.ones(len(spend))
    if not paid.any():
        return rate
    back, room = credit[paid] / spend[paid], (MOST - LEAST) * spend[paid]
    apart = back[:, None] - back
    tie = np.abs(apart) <= _TIE * np.abs(back).max()
    to_spend = (1 - LEAST) * spend[paid].sum()
    # What better channels take first, then the tied ones share what is left.
    before = ((apart < 0) & ~tie) @ room
    filled = np.clip((to_spend - before) / (tie @ room), 0, 1)
    rate[paid] = LEAST + (MOST - LEAST) * filled
    return rate


def _check(credit: Floats, spend: Floats) -> None:
    if credit.shape != spend.shape or credit.ndim != 1:
        raise ParameterError(
            f"credit and spend must have the same shape (n_channels,); got {credit.shape} and "
            f"{spend.shape}"
        )
    if not np.isfinite(credit).all():
        raise ParameterError(f"every credit must be finite; got {credit}")
    if not (np.isfinite(spend) & (spend >= 0)).all():
        raise ParameterError(f"every spend must be a finite amount >= 0; got {spend}")
