"""Three worlds of two channels, small enough to be worked out by hand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.worlds.interventions import exact_plan
from mta_models.worlds.state import Noise, State
from mta_models.worlds.truth import Truth
from mta_models.worlds.world import World

if TYPE_CHECKING:
    from mta_models.data.journeys import Journeys

_A_DAY, _B_DAY, _END = 0, 1, 2


class Micro(World):
    """What the three share: A may come on the first day, B on the second, the outcome on the third.

        P(U) = `unseen`;  P(A | U), P(B | U, A), P(Y | U, A, B) as each world says

    Truth is arithmetic over the 8 cases (U, A, B), without error. `strength` dials nothing.

    Doses multiply P(A | U) and P(B | U, A), which stay at most 1.
    """

    channels: ClassVar[tuple[str, ...]] = ("A", "B")
    days = 3
    reactive = True
    unseen: ClassVar[float] = 0.0

    @abstractmethod
    def chance_of_a(self, u: Numbers) -> Numbers:
        """P(A | U)."""

    @abstractmethod
    def chance_of_b(self, u: Numbers, a: Numbers) -> Numbers:
        """P(B | U, A)."""

    @abstractmethod
    def chance_of_y(self, u: Numbers, a: Numbers, b: Numbers) -> Numbers:
        """P(conversion | U, A, B)."""

    def exact(self, doses: Floats, frozen: Mask) -> Floats:
        """Expected conversions per user under each intervention, shape `(m,)`.

        Args:
            doses: shape `(m, 2)`.
            frozen: shape `(m,)`: whether B comes with the chance it has when the dose of A is that
                of the first row.
        """
        u, a, b = _CASES
        # Where B is none of the channels it is never met, and no dose changes that.
        doses = np.hstack([doses, np.ones((len(doses), 2 - len(self.channels)))])
        met_a = np.minimum(self.chance_of_a(u) * doses[:, :1], 1)
        of_a = np.where(a > 0, met_a, 1 - met_a)
        # The A by which B comes: the one that happened or, where frozen, the one that would have.
        chance = np.broadcast_to(self.chance_of_b(u, a), of_a.shape)
        usual = np.minimum(self.chance_of_a(u) * doses[0, 0], 1)
        without = (usual - met_a) / np.where(met_a < 1, 1 - met_a, 1)  # P(A usually | not A)
        would = self.chance_of_b(u, np.ones(8)) * without + self.chance_of_b(u, a) * (1 - without)
        chance = np.where(frozen[:, None] & (a == 0), would, chance)
        met_b = np.minimum(chance * doses[:, 1:], 1)
        of_b = np.where(b > 0, met_b, 1 - met_b)
        of_u = np.where(u > 0, self.unseen, 1 - self.unseen)
        value: Floats = (of_u * of_a * of_b * self.chance_of_y(u, a, b)).sum(axis=1)
        return value

    def expected_journeys(self) -> Journeys:
        """Every possible path with its expected conversions and nulls, without sampling."""
        from mta_models.data.journeys import Journeys

        u, a, b = _CASES
        of_a = np.where(a > 0, self.chance_of_a(u), 1 - self.chance_of_a(u))
        of_b = np.where(b > 0, self.chance_of_b(u, a), 1 - self.chance_of_b(u, a))
        users = self.n_users * np.where(u > 0, self.unseen, 1 - self.unseen) * of_a * of_b
        convert = users * self.chance_of_y(u, a, b)
        path = (2 * a + b).astype(int)
        conversions, nulls = np.bincount(path, convert), np.bincount(path, users - convert)
        paths: list[list[str]] = [[], ["B"], ["A"], ["A", "B"]]
        met = np.flatnonzero(np.bincount(path, users)).tolist()
        return Journeys.from_paths([paths[i] for i in met], conversions[met], nulls[met])

    def truth(self, *, users: int | None = None) -> Truth:
        """By arithmetic; `users` has no effect."""
        return arithmetic(self).scaled(self.n_users)

    def expected(self, doses: Iterable[Iterable[float]], *, users: int | None = None) -> Floats:
        """By arithmetic; `users` has no effect."""
        rows = self.check_doses(doses)
        return self.exact(rows, np.zeros(len(rows), dtype=bool)) * self.n_users

    def tune(self) -> None:
        """Every touchpoint costs 1."""
        self.costs = np.ones(len(self.channels))

    def traits(self, noise: Noise, n: int) -> dict[str, Numbers]:
        """U."""
        return {"unseen": (noise.on("unseen").random(n) < self.unseen).astype(np.float64)}

    def exposure(self, now: State) -> Numbers:
        """A on the first day, B on the second."""
        u, chance = now.people["unseen"], np.zeros(now.adstock.shape)
        if now.day == _A_DAY:
            chance[:, 0] = self.chance_of_a(u)
        if now.day == _B_DAY and "B" in self.channels:
            chance[:, 1] = self.chance_of_b(u, now.adstock[:, 0])
        return chance

    def remember(self, now: State, touched: Mask) -> None:
        """Nothing fades."""
        now.adstock += touched

    def hazard(self, now: State) -> Numbers:
        """All on the third day."""
        if now.day < _END:
            return np.zeros(now.converted.shape)
        a = now.adstock[:, 0]
        b = now.adstock[:, 1] if "B" in self.channels else np.zeros_like(a)
        return self.chance_of_y(now.people["unseen"], a, b)


_CASES = (np.arange(8)[:, None] >> np.arange(3) & 1).T.astype(np.float64)


class MicroSynergy(Micro):
    """Two channels that do more together than the sum of both alone.

        P(A) = .5    P(B) = .4, independent    P(Y) = .02 + .03 A + .01 B + .04 A B

    Per 1,000 users: total 47, baseline 20, removal 23 and 12, Shapley 19 and 8.

    **Who wins.** No model without a baseline: last touch (A before B) says 15 and 26, the
    sum game 25 and 16, Markov of order 1 21.259259 and 19.740741 of the 41 touched conversions.
    """

    name = "micro_synergy"

    def chance_of_a(self, u: Numbers) -> Numbers:
        """P(A) = .5."""
        return np.full(np.shape(u), 0.5)

    def chance_of_b(self, u: Numbers, a: Numbers) -> Numbers:
        """P(B) = .4."""
        return np.full(np.shape(a), 0.4)

    def chance_of_y(self, u: Numbers, a: Numbers, b: Numbers) -> Numbers:
        """P(Y) = .02 + .03 A + .01 B + .04 A B."""
        return 0.02 + 0.03 * a + 0.01 * b + 0.04 * a * b


class MicroIntent(Micro):
    """A channel that follows intent and does nothing, and no other channel.

        P(U) = .3    P(A | U) = .8, P(A | not U) = .2    P(Y) = .01 + .10 U

    Per 1,000 users: 40 conversions, of which A causes none; last touch gives it 27.8.

    **Who wins.** No model that does not know U.
    """

    name = "micro_intent"
    channels = ("A",)
    unseen = 0.3

    def chance_of_a(self, u: Numbers) -> Numbers:
        """P(A | U) = .8, P(A | not U) = .2."""
        return np.where(u > 0, 0.8, 0.2)

    def chance_of_b(self, u: Numbers, a: Numbers) -> Numbers:
        """P(B) = 0."""
        return np.zeros(np.shape(a))

    def chance_of_y(self, u: Numbers, a: Numbers, b: Numbers) -> Numbers:
        """P(Y) = .01 + .10 U, whatever A and B."""
        return 0.01 + 0.10 * u + 0.0 * a


class MicroUpstream(Micro):
    """A channel that works only by causing another.

        P(A) = .5    P(B | A) = .6, P(B | not A) = .2    P(Y) = .01 + .10 B

    Per 1,000 users: total 50, baseline 10, removal 20 and 40, Shapley 10 and 30, direct 0 and 40.

    **Who wins.** Last touch gives A only what happens without B, though A causes a third of all B.
    """

    name = "micro_upstream"

    def chance_of_a(self, u: Numbers) -> Numbers:
        """P(A) = .5."""
        return np.full(np.shape(u), 0.5)

    def chance_of_b(self, u: Numbers, a: Numbers) -> Numbers:
        """P(B | A) = .6, P(B | not A) = .2."""
        return np.where(a > 0, 0.6, 0.2)

    def chance_of_y(self, u: Numbers, a: Numbers, b: Numbers) -> Numbers:
        """P(Y) = .01 + .10 B."""
        return 0.01 + 0.10 * b + 0.0 * a


def arithmetic(world: Micro) -> Truth:
    """The truth per user of a world that can be worked out."""
    plan = exact_plan(len(world.channels), reactive=True)
    value = plan.weights @ world.exact(plan.doses, plan.frozen)
    return plan.read(world.channels, value, np.zeros(len(value)))
