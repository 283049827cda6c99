"""The suites whose results are committed, as data.

First the answer of the default model on logs for reporting, which were never tuned on. Then every
world at strength ½, the strength that `worlds.make` takes by default and at which each world's
docstring gives its numbers; how errors grow with strength, what more users change, and whether
intervals hold what they should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.truth.rivals import RIVALS
from mta_models.benchmark import Suite
from mta_models.benchmark.purpose import REPORTING_DRAWS
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
        suite: of logs for development, or with the purpose `"report"` of others, on which no model
            was tuned; the report says which.
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
# The model that answers by default.
ANSWER = "Incremental"
# Models that give other numbers since CPU seconds are in the rows. Rows without these are of the
# models as they were before; `run --again MODEL` renews them, and the pages say so until then.
CHANGED = ("Hazard", "Logistic", "SelfControlled", LAGGED, "DoublyRobust")
VISIT_WORLDS = tuple(name for name in names() if name.startswith("visits_"))
# Worlds that differ from `randomised` in one thing each.
ONE_THING = tuple(name for name in names() if name not in VISIT_WORLDS)
# Those with times, which models of when users convert need.
TIMED = tuple(name for name in ONE_THING if not name.startswith("micro_"))
# Three draws of each world of visits, none of which a model was tuned on.
DRAWN = tuple(
    f"{name}_draw_{draw}"
    for name in VISIT_WORLDS
    for draw in range(REPORTING_DRAWS, REPORTING_DRAWS + 3)
)


# The truth's standard error is then some 3 to 4 % of what channels cause, summed over channels and
# halved: it adds less than half a point to a share error of 10 points.
_TRUTH_USERS = 20 * 1024


def _reported(
    name: str, worlds: Sequence[str], models: Sequence[str], users: int, passes: tuple[int, ...]
) -> Committed:
    """Logs for reporting, of one size, without the budget regret, which takes long."""
    suite = Suite(
        worlds,
        models,
        users=(users,),
        seeds=passes[-1],
        truth_users=_TRUTH_USERS,
        purpose="report",
        regret=False,
    )
    return Committed(name, suite, passes)


# Most worlds have 4,000 to 7,000 conversions at this size; 21 logs a world.
_LARGE = 35_000
ANSWERS = _reported(
    "answer",
    DRAWN,
    (ANSWER, "LastTouch", "Linear", "Hazard", "Hazard(lag='12h')"),
    _LARGE,
    (1, 3, 7),
)
# Models that take longer, and the answer if no channel is declared or guessed to be an entrance, on
# the first of the same logs.
UNDECLARED = f"{ANSWER}(entrances=())"
VISITS = _reported(
    "visits",
    DRAWN,
    (UNDECLARED, "Markov", "SelfControlled", LAGGED),
    _LARGE,
    (1, 2),
)
# Some 1,500 conversions, the size for which the goals of intervals are set; 51 logs a world.
ANSWER_INTERVALS = _reported("answer_intervals", DRAWN, (ANSWER,), 10_000, (1, 4, 10, 17))
# Some 800 conversions.
ANSWER_FEW = _reported("answer_few", DRAWN, (ANSWER, "LastTouch", "Linear"), 5_300, (1, 3, 7))
ANSWER_ONE_THING = _reported(
    "answer_one_thing", TIMED, (ANSWER, "LastTouch", "Linear", "Hazard"), 20_000, (2, 5, 10, 20)
)
# The other models that did best in some world of MAIN, on the first of the same logs.
ONE_THING_RIVALS = _reported(
    "one_thing_rivals",
    TIMED,
    ("Markov(order=3)", "Logistic", "SelfControlled", LAGGED),
    20_000,
    (2, 5),
)
# On seeds for development, where the other models are chosen that the default one is held against.
MAIN = Committed(
    "main",
    Suite(ONE_THING, (*(name for name in USUAL if name != ANSWER), LAGGED), seeds=30),
    (3, 10, 20, 30),
)
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
        seeds=10,
        purpose="report",
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
    for each in (
        *(ANSWERS, ANSWER_INTERVALS, ANSWER_ONE_THING, ANSWER_FEW, VISITS, ONE_THING_RIVALS),
        *(MAIN, LARGE, DOUBLY_ROBUST, STRENGTH, SIZE, INTERVALS, PEERS),
    )
}
