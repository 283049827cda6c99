"""Where warnings point, whose name they carry, and that they work in threads."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.core.ragged import Floats
from mta_models.errors import IdentifiabilityWarning, collected_warnings, warn, warnings_of
from mta_models.models.base import AttributionModel

PACKAGE = Path(mta.__file__).parent
# Without nulls every conversion rate is 1: Markov and Shapley("rate") warn of it when fitted.
CONVERTERS = mta.Journeys.from_paths([["A"], ["B"], ["A", "B"], []], [3, 4, 2, 1])
EVENTS = pl.DataFrame(
    {
        "user": [1, 1, 2, 2],
        "day": [0.0, 2.0, 1.0, 5.0],
        "channel": ["A", None, "B", "A"],
        "bought": [0, 1, 0, 0],
    }
)
TIMED = mta.worlds.make("randomised", n_users=400, seed=0).simulate().journeys
PATHS = pl.DataFrame({"path": ["a>b", "a"], "conversions": [1, 1]})
COLUMNS = {"user": "user", "time": "day", "channel": "channel", "conversion": "bought"}


class Uneasy(AttributionModel):
    """Warns at every step."""

    estimand = "rule"

    def _fit(self, journeys: mta.Journeys) -> None:
        warn("fitting", IdentifiabilityWarning)

    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        warn("crediting", IdentifiabilityWarning)
        credit = np.zeros(journeys.n_channels)
        credit[0] = journeys.outcome(of)[journeys.lengths > 0].sum()
        return credit

    def _touchpoint_credit(self, journeys: mta.Journeys, of: str) -> Floats:
        warn("splitting", IdentifiabilityWarning)
        return np.zeros(journeys.n_touchpoints)


FITTED = Uneasy()
with collected_warnings():
    FITTED.fit(CONVERTERS)

# Each on a line of its own, to which its warnings must point.
CALLS: dict[str, Callable[[], object]] = {
    "fit": lambda: mta.Markov().fit(CONVERTERS),
    "fit_attribute": lambda: mta.Markov().fit_attribute(CONVERTERS),
    "fit_histories": lambda: mta.SelfControlled().fit_histories(TIMED.histories),
    "validate_forward": lambda: mta.validate_forward([mta.SelfControlled()], TIMED),
    "deep in a fit": lambda: mta.Shapley("rate").fit(CONVERTERS),
    "compare": lambda: mta.compare(["Markov"], CONVERTERS),
    "bootstrap": lambda: mta.bootstrap(mta.Markov(), CONVERTERS, n_draws=3, random_state=0),
    "touchpoint_frame": lambda: mta.touchpoint_frame("Markov", CONVERTERS),
    "attribute": lambda: FITTED.attribute(CONVERTERS),
    "touchpoint_credit": lambda: FITTED.touchpoint_credit(CONVERTERS),
    "touchpoint_polars": lambda: mta.touchpoint_polars(FITTED, CONVERTERS),
    "a model in a model": lambda: mta.Shapley("model", model=mta.Markov()).fit(CONVERTERS),
    "read_paths": lambda: mta.read_paths(PATHS),
    "read_events": lambda: mta.read_events(EVENTS, **COLUMNS, observed="first_event"),
}
# Those in which no model is at work.
NAMELESS = {"read_paths", "read_events"}


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_points_to_the_callers_line(name: str) -> None:
    call = CALLS[name]
    with pytest.warns(mta.MTAWarning) as caught:
        call()
    assert {Path(each.filename) for each in caught} == {Path(__file__)}
    assert {each.lineno for each in caught} == {call.__code__.co_firstlineno}


@pytest.mark.parametrize("name", [name for name in CALLS if name not in NAMELESS])
def test_a_models_warning_names_the_model(name: str) -> None:
    with pytest.warns(mta.MTAWarning) as caught:
        CALLS[name]()
    for each in caught:
        assert re.match(r"(Markov|Shapley|SelfControlled|Uneasy): [a-z0-9]", str(each.message)), (
            each.message
        )


def test_a_model_inside_another_warns_in_the_outer_ones_name() -> None:
    with pytest.warns(mta.IdentifiabilityWarning, match="^Shapley: there should be users without"):
        mta.Shapley("model", model=mta.Markov()).fit(CONVERTERS)
    with collected_warnings() as notices, warnings_of("Outer"), warnings_of("Inner"):
        warn("twice named", IdentifiabilityWarning)
    assert [each.message for each in notices] == ["twice named"]
    outer = pytest.warns(mta.IdentifiabilityWarning, match=r"^Outer: twice named")
    with outer, warnings_of("Outer"), warnings_of("Inner"):
        warn("twice named", IdentifiabilityWarning)


def test_a_name_ends_with_its_model() -> None:
    with pytest.raises(ZeroDivisionError), warnings_of("Broken"):
        raise ZeroDivisionError
    with pytest.warns(mta.IdentifiabilityWarning, match="^afterwards"):
        warn("afterwards", IdentifiabilityWarning)


def test_diagnose_says_it_in_findings_not_in_warnings() -> None:
    nulls = CONVERTERS.reweighted(CONVERTERS.conversions, CONVERTERS.nulls)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mta.diagnose(nulls).findings


def test_the_filters_of_the_caller_decide() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            CALLS["fit"]()  # one line warns once
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        CALLS["compare"]()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", mta.IdentifiabilityWarning)
        with pytest.raises(mta.IdentifiabilityWarning, match=r"^Markov: "):
            CALLS["fit"]()


def test_bootstraps_in_threads_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    nulls = CONVERTERS.reweighted(CONVERTERS.conversions, np.array([1.0, 2, 3, 4]))
    start, failed = threading.Barrier(4), []

    def work(seed: int) -> None:
        try:
            start.wait()
            for _ in range(5):
                mta.bootstrap(mta.Markov(), nulls, n_draws=20, random_state=seed)
        except Exception as error:  # a thread cannot fail a test by itself
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed
    assert warnings.filters == before


def test_one_place_warns_and_no_frame_is_counted() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if file.name != "errors.py":
            assert "warnings.warn(" not in text, file
            assert "stacklevel" not in text, file
