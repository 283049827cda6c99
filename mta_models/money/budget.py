"""Moving a budget by credit: the total stays, channels with the best return get more."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError

# Bounds of a channel's new spend over its present spend.
LEAST, MOST = 0.5, 2.0

# Returns are equal if they differ by less than this fraction of the largest.
_TIE = 1e-9


def reallocate(credit: Floats, spend: Floats) -> Floats:
    """Move a budget to the channels with the highest return, credit per spend.

    Total spend stays the same. Every bought channel gets at least 0.5 and at most 2 times its
    present spend; the money above the minimum goes to channels in order of their return. Channels
    of equal return get the same factor.

    Args:
        credit: shape `(n_channels,)`; results depend on the order of `credit / spend` only.
        spend: shape `(n_channels,)`, >= 0, in money; 0 marks a channel that is not bought.

    Returns:
        New spend over present spend, shape `(n_channels,)`; 1 for a channel that is not bought.

    Raises:
        ParameterError: the shapes differ, or an amount is negative or not finite.

    Example:
        Three channels cost 100 each. Spend on the best is doubled, on the worst it is halved, and
        the third gets the rest of the budget.

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
    # Channels with a better return are filled first; channels that tie share the rest.
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
