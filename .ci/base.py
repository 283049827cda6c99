"""What the base alone can do, asked of an environment that has no extra: `python .ci/base.py`.

Run by `.ci/run` after `pip install .`, from outside the checkout. Its last line says what failed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import mta_models as mta

# What the extras bring and what the tests need: none of it may be here, or this shows nothing.
ABSENT = ("pymc", "nutpie", "arviz", "shap", "ibis", "duckdb", "numba", "pytest", "hypothesis")
# Models that must be given something, or that are shown with something else than their defaults.
GIVEN = {
    "CustomRule": mta.CustomRule([3, 2, 1]),
    "WShaped": mta.WShaped(milestones="thirds"),
    "FullPath": mta.FullPath(milestones="thirds"),
}
# Needs a stage of the sale, which no world records.
STAGED = mta.MilestoneBased({"first": 0.4, "lead": 0.4, "rest": 0.2})
REFUSED = {"BayesianHazard": "bayes", "BayesianLogistic": "bayes"}


def refusal(extra: str, of: Callable[[], object]) -> str:
    """What a call that needs a missing extra says, which must be the line that installs it."""
    said: mta.MTAError | None = None
    try:
        of()
    except mta.MissingExtraError as error:
        said = error
    line = f'pip install "mta_models[{extra}]"'
    assert line in str(said), f"must be refused with {line}, got {said!r}"
    return str(said)


def main() -> int:
    """Print a line for each thing tried; return how many failed."""
    failed: list[str] = []

    def attempt(name: str, of: Callable[[], object]) -> None:
        try:
            shown = of()
        except Exception as error:  # whatever it is, it is counted and the rest is tried
            failed.append(name)
            shown = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name:24}{shown}", flush=True)

    def nothing_else() -> str:
        here = [name for name in ABSENT if importlib.util.find_spec(name)]
        assert not here, f"must not be installed with the base, got {here}"
        assert "site-packages" in mta.__file__, f"must be the installed package, got {mta.__file__}"
        return "no extra is installed"

    attempt("environment", nothing_else)

    folder = tempfile.mkdtemp()
    command = Path(sys.executable).with_name("mta-models")
    for line in (
        "compare --example",
        "simulate intent --users 2000 --out shop.csv",
        "benchmark --world micro_intent --seeds 1 --users 1000 --jobs 1",
    ):

        def run(line: str = line) -> str:
            done = subprocess.run(
                [command, *line.split()], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return f"{len(done.stdout.splitlines())} lines"

        attempt(f"mta-models {line}", run)

    # One row a touchpoint and one a conversion, of users whose whole timelines were observed.
    simulation = mta.worlds.make("intent", n_users=4_000, strength=1, seed=1).simulate()
    journeys = simulation.journeys

    staged = mta.Journeys.from_arrays(
        ("Email", "Search"), [0, 1, 1], [0, 3], [2], [0], milestones={"lead": [1]}
    )

    def fit(model: mta.AttributionModel, journeys: mta.Journeys = journeys) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a model warns of is asked for in the tests
            result = model.fit_attribute(journeys)
        return f"baseline {result.baseline:.1f} of {result.total:.0f}"

    for kind in mta.ALL_MODELS:
        name = kind.__name__
        if name in REFUSED:
            model = kind()
            attempt(name, lambda e=REFUSED[name], m=model: refusal(e, lambda: m.fit(journeys)))
        elif name == "MilestoneBased":
            attempt(name, lambda: fit(STAGED, staged))
        else:
            model = GIVEN[name] if name in GIVEN else kind()
            attempt(name, lambda m=model: fit(m))

    logistic = mta.Logistic().fit(journeys)
    attempt("Logistic.explain", lambda: refusal("explain", lambda: logistic.explain(journeys)))
    table = type("Table", (), {"__module__": "ibis.expr.types"})()
    columns = {"user": "u", "time": "t", "channel": "c", "conversion": "k"}
    attempt("an Ibis table", lambda: refusal("ibis", lambda: mta.read_events(table, **columns)))

    attempt("diagnose", lambda: f"{len(mta.diagnose(journeys).findings)} findings")
    attempt("bootstrap", lambda: mta.bootstrap(mta.Markov(), journeys, n_draws=20).draws.shape)

    def picture() -> str:
        import matplotlib as mpl

        mpl.use("Agg")
        return str(mta.plot.credits(mta.compare(["LastTouch", "Markov"], journeys)).get_xlabel())

    attempt("mta.plot.credits", picture)
    attempt("Markov.to_graph", lambda: mta.Markov().fit(journeys).to_graph())
    shares = mta.metrics.total_variation(mta.Hazard().fit_attribute(journeys), simulation.truth)
    attempt("mta.metrics", lambda: f"{shares:.2f}")

    print(f"the base alone: {len(failed)} failed {failed or ''}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
