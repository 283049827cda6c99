"""The measured jobs, each in a fresh process: `python -m benchmarks.speed.jobs NAME '{…}'`.

A job prints one line of JSON: the seconds of its parts by name, and `answer`, numbers by which
the two sides of a comparison are checked against each other. Jobs called `plain_…` are yardsticks:
the minimum work that any program must do, in numpy, scipy or polars, with nothing checked.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks import inputs
from benchmarks.inputs import Output, Watch, by_channel, load

# From a file to credits, the whole process counted.


def rules(file: str) -> Output:
    watch = Watch()
    import mta_models as mta

    models = [mta.FirstTouch(), mta.LastTouch(), mta.Linear()]
    journeys_of = mta.read_paths
    watch.lap("import")
    journeys = journeys_of(file, nulls="nulls")
    watch.lap("read")
    credit = [model.fit_attribute(journeys) for model in models]
    watch.lap("model")
    answer = {
        f"{type(model).__name__} {name}": amount
        for model, given in zip(models, credit, strict=True)
        for name, amount in by_channel(given).items()
    }
    return watch.laps | {"answer": answer}


def markov(file: str, order: int) -> Output:
    watch = Watch()
    import mta_models as mta

    model, journeys_of = mta.Markov(order=order), mta.read_paths
    watch.lap("import")
    journeys = journeys_of(file, nulls="nulls")
    watch.lap("read")
    credit = model.fit_attribute(journeys)
    watch.lap("model")
    return watch.laps | {"answer": by_channel(credit)}


# Models alone, on journeys that are there already.


def rules_alone(file: str) -> Output:
    import mta_models as mta

    journeys, watch = load(file), Watch()
    models = [mta.FirstTouch(), mta.LastTouch(), mta.Linear()]
    credit = watch.again("model", lambda: [model.fit_attribute(journeys) for model in models])
    return watch.laps | {"answer": by_channel(credit[-1])}


def markov_alone(file: str, order: int) -> Output:
    import mta_models as mta

    journeys, model, watch = load(file), mta.Markov(order=order), Watch()
    watch.again("model", lambda: model.fit_attribute(journeys))
    users = model.counts_.users
    return watch.laps | {"answer": {"steps": len(users), "square": float((users**2).sum())}}


def removal(n: int, n_channels: int, order: int) -> Output:
    import scipy.sparse.linalg  # noqa: F401 (so that its import is not timed)

    import mta_models as mta

    journeys, model, watch = inputs.journeys(n, n_channels), mta.Markov(order=order), Watch()
    watch.again("model", lambda: model.fit(journeys))
    answer = dict(zip(journeys.channels, model.removal_effect_.tolist(), strict=True))
    return watch.laps | {"answer": answer, "states": len(model.states_)}


def shapley_rate(n: int, n_channels: int) -> Output:
    import mta_models as mta

    journeys, watch = inputs.journeys(n, n_channels, empty=0.02), Watch()
    credit = mta.Shapley("rate").fit_attribute(journeys)
    watch.lap("model")
    return watch.laps | {"answer": by_channel(credit)}


def shapley_conversions(n: int, n_channels: int) -> Output:
    import mta_models as mta

    journeys, watch = inputs.journeys(n, n_channels), Watch()
    credit = watch.again("model", lambda: mta.Shapley().fit_attribute(journeys))
    return watch.laps | {"answer": by_channel(credit)}


def _model(name: str) -> Any:
    import mta_models as mta

    return {"linear": mta.Linear(), "markov": mta.Markov(), "rate": mta.Shapley("rate")}[name]


def fit(file: str, model: str, example: bool = False) -> Output:
    journeys, watch = load(file, example), Watch()
    credit = watch.again("model", lambda: _model(model).fit_attribute(journeys), times=5)
    return watch.laps | {"answer": by_channel(credit)}


def bootstrap(file: str, model: str, example: bool = False) -> Output:
    import mta_models as mta

    journeys = load(file, example)
    _model(model).fit_attribute(journeys)  # imports are paid for, as in `fit`
    watch = Watch()
    drawn = mta.bootstrap(_model(model), journeys, n_draws=200, random_state=0)
    watch.lap("model")
    return watch.laps | {"answer": by_channel(drawn)}


# Event logs.


def events(file: str) -> Output:
    import mta_models as mta

    journeys = mta.read_events(
        file, user="user", time="time", channel="channel", conversion="conversion"
    )
    timeline: Any = journeys.timeline
    held = held_bytes(journeys) / max(1, journeys.n_touchpoints)
    answer = {"users": timeline.n_users, "rows": len(timeline.codes) + journeys.total}
    return {"held": held, "answer": answer}


def time_model(n: int, n_channels: int, rate: float, model: str) -> Output:
    """A model of when users convert; its answer is a number that the yardstick computes too."""
    import numpy as np

    import mta_models as mta

    journeys = inputs.histories(n, n_channels, rate)
    watch = Watch()
    getattr(mta, model)().fit_attribute(journeys)
    watch.lap("model")
    totals = journeys.histories.totals(np.full(n_channels, 7.0))
    return watch.laps | {"answer": dict(zip(journeys.channels, totals.tolist(), strict=True))}


def held_bytes(journeys: Any) -> int:
    """Bytes of all arrays of the journeys and their timeline, each array counted once.

    Text identifiers are a polars series and are counted by polars' own estimate.
    """
    import numpy as np
    import polars as pl

    found: dict[int, int] = {}
    for holder in (journeys, journeys.timeline):
        for each in vars(holder).values() if holder is not None else ():
            if isinstance(each, pl.Series):
                found[id(each)] = int(each.estimated_size())
                continue
            if not isinstance(each, np.ndarray):
                continue
            while isinstance(each.base, np.ndarray):
                each = each.base
            found[each.__array_interface__["data"][0]] = each.nbytes
    return sum(found.values())


def main() -> None:
    from benchmarks.speed import yardsticks

    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    job = getattr(yardsticks if name.startswith("plain_") else sys.modules[__name__], name)
    print(json.dumps(job(**arguments)))


if __name__ == "__main__":
    main()
