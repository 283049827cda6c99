"""Conversions lost when a budget is moved by a model's credit, in a world that is run again.

The policy, for every model and for the oracle: the total budget does not change, every paid channel
keeps between half and double its spend, and within these bounds money goes first to the channels
with the most credit per unit of spend. Channels of equal return get equal multiples of their spend,
so credit that is equal per unit of spend moves nothing. Channels without a cost do not change.

Why not "spend in proportion to credit": where effects are linear in exposure, this policy is the
best one within the bounds, so no credit does better than the true one. Where effects are not linear
or channels cause each other's touchpoints, another credit may do better: regret is then negative
(in the committed rows down to -3.6%, in `upstream`). With spend in proportion to credit, uniform
credit may beat the truth by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mta_models.attribution import Attribution
from mta_models.metrics.alignment import Against, aligned
from mta_models.money.budget import reallocate

if TYPE_CHECKING:
    from mta_models.worlds.base import Simulation
    from mta_models.worlds.truth import Truth


def budget_regret(
    attribution: Attribution,
    simulation: Simulation,
    *,
    against: Against = "marginal",
    users: int | None = None,
    truth: Truth | None = None,
) -> float:
    """Conversions lost by moving the budget by this credit rather than by the true effects.

    (conversions after the oracle's move − conversions after this credit's move) / conversions now.
    The policy: the total budget does not change, every paid channel keeps between half and double
    its spend, and within these bounds money goes first to the channels with the most credit per
    unit of spend in the log. A channel's new spend multiplies its chance of exposure, and the world
    is run again with the noise of its truth, so that the difference has little Monte Carlo error.
    0 is best; 0.02 means 2% of conversions lost. Below 0, the credit's move did better than the
    oracle's; that can happen where effects are not linear (saturation, synergy) between half and
    double the spend.

    Where exposures follow other channels or conversions (retargeting, suppression), a multiplied
    chance of exposure multiplies the spend only approximately.

    Args:
        attribution: of the simulation's journeys.
        simulation: gives the world, the spend and the truth.
        against: the effect by which the oracle moves the budget; `"marginal"`, the effect of the
            last tenth of exposure, is the effect of the first step of a move.
        users: number of users for which to run the world; None: as many as for its truth.
        truth: the simulation's truth, if it is known already; None: it is computed.

    Raises:
        UnknownChannelError: a credited channel is not one of the world's.

    Example:
        Both channels of this world cost the same. A causes more than twice as many conversions as
        B, and last touch credits B with more than A.

        >>> import mta_models as mta
        >>> simulation = mta.worlds.make("micro_synergy", n_users=10_000).simulate()
        >>> last_touch = mta.LastTouch().fit_attribute(simulation.journeys)
        >>> mta.metrics.budget_regret(last_touch, simulation) > 0.1
        True
    """
    return budget_regrets([attribution], simulation, against=against, users=users, truth=truth)[0]


def budget_regrets(
    attributions: Sequence[Attribution],
    simulation: Simulation,
    *,
    against: Against = "marginal",
    users: int | None = None,
    truth: Truth | None = None,
) -> list[float]:
    """`budget_regret` of several models' credit on one log, the world run once for all of them."""
    world, truth = simulation.world, truth or simulation.truth
    spend = np.array([simulation.costs[name] for name in world.channels])
    every = [aligned(each, truth, against)[0] for each in attributions]
    moves = [reallocate(credit, spend) for credit in (getattr(truth, against), *every)]
    # Credits in the same order lead to the same move, which need not run twice.
    rows, which = np.unique([np.ones(len(spend)), *moves], axis=0, return_inverse=True)
    now, oracle, *after = world.expected(rows, users=users)[which.ravel()]
    return [float((oracle - each) / now) for each in after]
