"""World: a structural causal model of who meets which channel and who converts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.worlds.base import Simulation
from mta_models.worlds.interventions import expected, truth_of
from mta_models.worlds.mechanism import Mechanism
from mta_models.worlds.simulation import simulate
from mta_models.worlds.truth import Truth


class World(Mechanism):
    """The base of all worlds, and the world `randomised`: exposure is random.

    **Mechanism.** Every day t each user u meets each channel c at most once, by chance alone, and
    a touchpoint's effect fades by half every half-life H_c:

        P(x_uct = 1) = rate_c        a_uct = 2^(−1/H_c) a_uc,t−1 + x_uct
        h_ut = base + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct

    h is the chance that u converts on day t, if u has not yet; `effect_c` is so normalised that it
    is the number of conversions that one touchpoint causes, to first order. Nobody converts twice
    (unless `repeatable`). At most 15% do within 90 days.

    **Strength** dials nothing here; in every other world it dials that world's one mechanism, from
    0 (as here, wherever that means anything) to 1.

    **Who wins.** Models that compare the exposed with the unexposed over time. Rules lose: they
    credit the baseline's conversions to channels, by volume: the Affiliate does nothing.

    A world of your own is a subclass that overrides a hook (`tune`, `traits`, `begin`, `move`,
    `exposure`, `remember`, `pressure`, `base`, `response`, `hazard`; and what the tracker sees:
    `close`, `lag`, `covariates`, `track`) and calls `super()`, so that mechanisms can be combined
    by inheriting from several.

    Args:
        n_users: users of the log; the truth is scaled to them.
        strength: 0 to 1.
        seed: of the log. The truth does not depend on it.

    Raises:
        ParameterError: one of these is not what it may be.

    Example:
        >>> from mta_models import worlds
        >>> simulation = worlds.make("randomised", n_users=1_000, seed=1).simulate()
        >>> simulation.events.columns
        ['user', 'time', 'channel', 'conversion', 'value', 'cost']
    """

    name: ClassVar[str] = "randomised"
    channels: ClassVar[tuple[str, ...]] = (
        *("Search", "Social", "Display", "Retargeting", "Email", "Affiliate"),
    )

    def tune(self) -> None:
        """Set the parameters, each array of shape `(C,)` and in the order of `channels`."""
        self.rates = np.array([0.010, 0.020, 0.040, 0.015, 0.020, 0.020])  # touchpoints a day
        self.effects = np.array([0.020, 0.010, 0.003, 0.008, 0.006, 0.0])  # conversions each
        self.costs = np.array([1.0, 0.5, 0.1, 0.4, 0.05, 0.3])  # of a touchpoint
        self.half_lives = np.full(6, 4.0)  # days
        self.base_rate = 0.0006  # conversions a day

    def simulate(
        self,
        *,
        doses: Mapping[str, float] | None = None,
        lift_tests: Iterable[str] = (),
        n_test_users: int | None = None,
    ) -> Simulation:
        """The log of a tracker in this world.

        Args:
            doses: by channel, what its daily chance is multiplied by: `{"Display": 0}` switches it
                off and leaves all other noise as it was. Channels not named: 1.
            lift_tests: channels to test by a randomised holdout.
            n_test_users: users of each test, half of them held out; None: `n_users`. They are not
                users of the log, which stays as it is without tests.

        Raises:
            UnknownChannelError: a channel is none of this world's.
            ParameterError: a dose is negative, or a test has fewer than four users.
        """
        return simulate(self, self.dose(doses or {}), tuple(lift_tests), n_test_users)

    def truth(self, *, users: int | None = None) -> Truth:
        """What removing, adding and reducing channels would do here, per `n_users`.

        It belongs to the world and its strength, not to a seed: it is computed once, on users of
        its own, and kept for the life of the process.

        Args:
            users: how many users to compute it on; None: 20,480. The error falls with its root.
        """
        return truth_of(self, users or self.truth_users).scaled(self.n_units)

    def expected(self, doses: Iterable[Iterable[float]], *, users: int | None = None) -> Floats:
        """Expected conversions of `n_users` under each of m allocations, shape `(m,)`.

        All have the same noise, that of `truth()`, so their differences have little error.

        Args:
            doses: shape `(m, C)`, in the order of `channels`: what each channel's daily chance is
                multiplied by. No user meets a channel twice a day, however high the dose.
            users: as in `truth`.

        Raises:
            ParameterError: `doses` has another shape, or holds what is not a number >= 0.
        """
        return expected(self, self.check_doses(doses), users or self.truth_users) * self.n_units
