"""What no log can tell of a channel's credit, put into the draws.

Two things. Whether a coupon closes sales: who had decided and fetches a code looks like who would
not have bought without it. And what a channel does that is met only at the start of observation, as
in a trial read as a log: no user shows what happens before it, so that its effect cannot be
distinguished from how purchases spread over the time observed.
"""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.models.incremental.one_answer.within_draws import Draws

# Chance that a channel which may close sales does, and the part of the purchases it was met shortly
# before that it then causes, at most. Chosen so that 90% intervals hold what the coupon closes in
# draws 0 and 1 of the world visits_closing_coupon (.37 and .40 of them) and in other logs for
# development (up to .61), and still hold 0.
_CLOSES, _AT_MOST = 0.5, 0.9
# Chance that a channel which looks like an entrance is one.
_ENTRANCE = 0.5
# Of the closed purchases that another channel caused too, half the credit is the other one's.
_SHARED = 0.5
# Even parts from 0 to 1 begin and end this far outside and are cut off, so that 90% intervals have
# both ends.
_BEYOND = 0.06


def with_closing(draws: Draws, closed: Floats, rng: np.random.Generator) -> Draws:
    """The draws with the readings in which channels close sales, and those in which none does.

    Args:
        draws: without.
        closed: shape `(n_channels,)`, how many purchases each channel may close; 0 for channels
            that close none.
        rng: of the draws.
    """
    some = _in_order(closed)
    n = len(draws.credit)
    closes = rng.random((n, len(some))) < _CLOSES
    part = rng.uniform(0, _AT_MOST, (n, len(some)))
    taken = np.zeros_like(draws.credit)
    taken[:, some] = closes * part * closed[some]
    return _given(draws, taken, _SHARED)


def with_unknown(draws: Draws, unknown: Mask, before: Floats, rng: np.random.Generator) -> Draws:
    """The draws with any credit from nothing to all conversions that a channel was met before.

    Args:
        draws: whose credit of these channels is replaced.
        unknown: shape `(n_channels,)`, channels of whose effect the log says nothing.
        before: shape `(n_channels,)`, conversions that each channel was met before.
        rng: of the draws.
    """
    some = _in_order(np.where(unknown, before, 0.0))
    credit = draws.credit.copy()
    baseline = draws.baseline + credit[:, unknown].sum(axis=1)
    credit[:, unknown] = 0.0
    even = np.linspace(-_BEYOND, 1 + _BEYOND, len(credit))
    part = rng.permuted(np.repeat(even[:, None], len(some), axis=1), axis=0)
    taken = np.zeros_like(credit)
    taken[:, some] = np.clip(part, 0, 1) * before[some]
    return _given(Draws(credit, baseline), taken, 1.0)


def with_entrances(draws: Draws, looks: Mask, rng: np.random.Generator) -> Draws:
    """The draws with the reading in which some channels are entrances and cause nothing.

    Args:
        draws: with their credit if they are none.
        looks: shape `(n_channels,)`, which channels.
        rng: of the draws.
    """
    as_entrance = rng.random(len(draws.credit)) < _ENTRANCE
    given = draws.credit[:, looks].sum(axis=1)
    credit = np.where(as_entrance[:, None] & looks, 0.0, draws.credit)
    return Draws(credit, draws.baseline + np.where(as_entrance, given, 0.0))


def _in_order(amount: Floats) -> Ints:
    """Channels with an amount, the largest first, so that draws do not depend on their order."""
    order: Ints = np.argsort(-amount, kind="stable")
    return order[amount[order] > 0]


def _given(draws: Draws, taken: Floats, shared: float) -> Draws:
    """Draws in which some channels get more; others lose `shared` times their part of it.

    The baseline loses the rest; where that is more than there is, all lose in proportion.
    """
    total = draws.credit.sum(axis=1) + draws.baseline
    whole = taken.sum(axis=1)
    taken = taken * np.divide(total, whole, out=np.ones_like(whole), where=whole > total)[:, None]
    left = total - taken.sum(axis=1)
    part = 1 - left / np.maximum(total, 1e-300)
    credit = draws.credit * (1 - shared * part)[:, None]
    most = np.divide(
        left, credit.sum(axis=1), out=np.ones_like(left), where=credit.sum(axis=1) > left
    )
    credit = credit * most[:, None]
    return Draws(credit + taken, np.maximum(left - credit.sum(axis=1), 0.0))
