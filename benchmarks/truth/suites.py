"""The suites whose results are committed, as data.

Every world at strength ½, the strength that `worlds.make` takes by default and at which each
world's docstring gives its numbers; then how errors grow with strength, what more users change,
and whether intervals hold what they should.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.truth.rivals import RIVALS
from mta_models.benchmark import Suite
from mta_models.benchmark.suite import USUAL
from mta_models.worlds import names

# Models that a marketer chooses between: two rules, Markov, Shapley values of Markov, the model
# that compares users, and incremental models that take seconds.
FEW = (
    *("LastTouch", "Linear", "Markov", "Shapley('model', model=Markov())", "SimpleProbabilistic"),
    *("Hazard", "SelfControlled"),
)


@dataclass(frozen=True)
class Committed:
    """A suite and the file of its rows.

    Attributes:
        suite: its seeds are 0, 1, 2 …, except for logs on which no model was tuned.
        passes: numbers of seeds after which all rows are written; a run that ends early has
            whole passes.
    """

    name: str
    suite: Suite
    passes: tuple[int, ...]

    def up_to(self, seeds: int) -> Suite:
        """The suite with its first seeds only."""
        return replace(self.suite, seeds=tuple(self.suite.seeds)[:seeds])  # type: ignore[arg-type]  # a tuple by now


LAGGED = "SelfControlled(lag='12h')"
VISITS = Committed(
    "visits",
    # Two draws of each world; seeds on which nothing was tuned, and worlds no model was made for.
    Suite(
        tuple(
            f"{name}{draw}"
            for name in names()
            if name.startswith("visits_")
            for draw in ("", "_draw_1")
        ),
        (
            *("LastTouch", "Linear", "Markov", "Hazard", "Hazard(lag='12h')", "Logistic"),
            *("SelfControlled", LAGGED),
        ),
        users=(20_000,),
        seeds=range(100, 103),
    ),
    (1, 3),
)
# Worlds that differ from `randomised` in one thing each.
ONE_THING = tuple(name for name in names() if not name.startswith("visits_"))
MAIN = Committed("main", Suite(ONE_THING, (*USUAL, LAGGED), seeds=30), (3, 10, 20, 30))
STRENGTH = Committed(
    "strength",
    Suite(
        ("intent", "bursts", "retargeting", "null_channel", "upstream", "everything"),
        (*FEW, "Logistic"),
        strengths=(0.0, 0.25, 0.5, 0.75, 1.0),
        seeds=10,
    ),
    (3, 10),
)
SIZE = Committed(
    "size",
    Suite(
        ("randomised", "intent", "null_channel"),
        (*FEW, "Logistic"),
        users=(1_000, 2_000, 5_000, 10_000, 20_000, 50_000),
        seeds=10,
    ),
    (3, 10),
)
# About 5,000 conversions, for which the goals of the incremental models are set.
LARGE = Committed(
    "large",
    Suite(
        (
            *("randomised", "intent", "bursts", "retargeting", "suppression"),
            *("null_channel", "everything"),
        ),
        ("LastTouch", "Hazard", "SelfControlled", LAGGED),
        strengths=(0.5, 1.0),
        users=(50_000,),
        seeds=range(100, 110),
    ),
    (3, 5, 10),
)
# This model takes ten times as long as the others, and has intervals of its own.
DOUBLY_ROBUST = Committed(
    "doubly_robust",
    Suite(ONE_THING, ("Hazard", "SelfControlled", LAGGED, "DoublyRobust"), seeds=10),
    (2, 5, 10),
)
INTERVALS = Committed(
    "intervals",
    Suite(
        ("micro_synergy", "randomised", "intent", "upstream", "organic"),
        ("FirstTouch", *FEW, "BayesianMarkov(random_state=0)", "DoublyRobust"),
        users=(2_000, 20_000),
        seeds=30,
        draws=100,
    ),
    (5, 15, 30),
)
# Few logs: a rival's model takes seconds to start.
PEERS = Committed(
    "rivals",
    Suite(
        ("micro_synergy", "micro_upstream", "randomised", "intent", "null_channel", "everything"),
        (
            *("Markov", "Markov(order=3)", "Markov(removal='fail')"),
            *("Shapley", "Shapley('rate')", "SimpleProbabilistic"),
            *RIVALS,
        ),
        seeds=5,
    ),
    (1, 3, 5),
)
SUITES = {
    each.name: each
    for each in (VISITS, MAIN, LARGE, DOUBLY_ROBUST, STRENGTH, SIZE, INTERVALS, PEERS)
}
