"""Whatever is given to a public function, it answers or raises an `MTAError` of one line."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mta_models as mta

LOG = pl.DataFrame(
    {
        "user": [0, 0, 0, 1, 1, 2, 3, 3],
        "time": [0.0, 2.0, 5.0, 1.0, 8.0, 3.0, 4.0, 9.0],
        "channel": ["Search", "Email", None, "Search", None, "Email", "Search", None],
        "conversion": [0, 0, 1, 0, 1, 0, 0, 1],
    }
)
COLUMNS = {name: name for name in LOG.columns}
PATHS = pl.DataFrame({"path": ["A > B", "B"], "conversions": [1, 2], "nulls": [3, 4]})
WIDE = pl.DataFrame({"s1": ["A", "B"], "s2": ["B", None], "end": ["won", "lost"]})
ENDS = {"outcome": "end", "converted": "won", "null": "lost"}
FEW = mta.Journeys.from_paths([["A", "B"], ["B"], ["A"]], [3, 1, 2], [7, 9, 1])
TIMED = mta.read_events(LOG, **COLUMNS)
FITTED = mta.LastTouch().fit(FEW)
DRAWN = mta.bootstrap(mta.LastTouch(), FEW, n_draws=5, random_state=0)
ODD = [
    *(None, True, -1, 0, 1.5, float("nan"), float("inf"), 10**400, -(10**400), 1j),
    *("x", "", "4 days", b"x", [], ["x"], {}, {"x": 1}, {1: 2}, (1, 2, 3), {1, 2}, iter([1])),
    *(object(), len, mta.Markov, mta.Markov(), dt.timedelta(0), dt.datetime(2020, 1, 1)),
    *(np.array([1, 2]), np.array("a"), pl.Series([1]), pd.DataFrame({"a": [1]})),
    pl.DataFrame({"a": [1]}),
]  # fmt: skip
CALLS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (mta.bootstrap, {"model": "LastTouch", "journeys": FEW, "n_draws": 2}, "random_state of"),
    (mta.compare, {"models": ["Linear"], "journeys": FEW}, "of skip_refused validate"),
    (mta.diagnose, {"journeys": FEW}, "random_state"),
    (mta.sensitivity, {"model": "Linear", "source": LOG, **COLUMNS}, "lookbacks sessions of other"),
    (
        mta.validate_forward,
        {"models": ["Hazard"], "journeys": TIMED},
        "train_days horizon skip_refused",
    ),
    (mta.touchpoint_frame, {"models": FITTED, "journeys": FEW}, "of"),
    (mta.touchpoint_polars, {"models": FITTED, "journeys": FEW}, "of"),
    (mta.participation, {"journeys": FEW}, "of"),
    (mta.until, {"journeys": TIMED, "day": 5}, ""),
    (mta.LiftTest, {"channel": "A", "lift": 1, "standard_error": 1}, ""),
    (mta.Prior, {}, " ".join(mta.Prior.__annotations__)),
    (mta.worlds.make, {"name": "randomised"}, "n_users strength seed draw"),
    (mta.benchmark.Suite, {"worlds": ["randomised"]}, "models strengths users seeds draws"),
    (mta.benchmark.Suite, {"worlds": ["randomised"]}, "truth_users"),
    (mta.read_events, {"source": LOG, **COLUMNS}, "value cost lookback event_id session observed"),
    (mta.read_events, {"source": LOG, **COLUMNS}, "order compress interaction"),
    (mta.read_paths, {"source": PATHS}, "path conversions nulls value separator"),
    (mta.read_wide, {"source": WIDE, **ENDS}, "touchpoints value header"),
    (mta.example_events, {"n_users": 5}, "seed"),
    (mta.preset, {"name": "hubspot_u_shaped"}, ""),
    (mta.Journeys.from_paths, {"paths": [["A"]], "conversions": [1]}, "nulls value channels"),
    (
        mta.Journeys.from_arrays,
        {"channels": ["A"], "codes": [0], "offsets": [0, 1], "conversions": [1]},
        "nulls value age at_risk keys milestones",
    ),
    (FEW.recode, {"channels": ("B", "A")}, ""),
    (FEW.outcome, {"of": "conversions"}, ""),
    (FITTED.fit, {"journeys": FEW}, ""),
    (FITTED.attribute, {"journeys": FEW}, "of"),
    (FITTED.touchpoint_credit, {"journeys": FEW}, "of"),
    (DRAWN.interval, {"prob": 0.9}, ""),
    (DRAWN.to_frame, {}, "prob"),
]
ARGUMENTS = [
    pytest.param(function, needed, name, id=f"{function.__qualname__}-{name}")
    for function, needed, more in CALLS
    for name in (*needed, *more.split())
]


@pytest.mark.parametrize(("function", "needed", "name"), ARGUMENTS)
def test_an_argument_does_or_is_refused(
    function: Callable[..., Any], needed: dict[str, Any], name: str
) -> None:
    refusals = []
    for value in ODD:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mta.MTAWarning)
            try:
                function(**needed | {name: value})
            except mta.MTAError as error:
                refusals.append(str(error))
    assert refusals
    assert not [refusal for refusal in refusals if "\n" in refusal]
