"""Code that the measured jobs and their yardsticks share: a watch, and the journeys.

Only the standard library is imported at the top: the jobs time the imports of the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Output = dict[str, Any]  # of a job: seconds by name, and `answer`


class Watch:
    """Seconds by name, each since the previous lap."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """Store the seconds since the previous lap, or since the watch was made."""
        now = time.perf_counter()
        self.laps[name] = now - self._since
        self._since = now

    def again(self, name: str, work: Callable[[], Any], times: int = 3) -> Any:
        """The mean of some runs, after a first run for imports that is not counted."""
        work()
        start = time.perf_counter()
        for _ in range(times):
            answer = work()
        self._since = time.perf_counter()
        self.laps[name] = (self._since - start) / times
        return answer


def by_channel(attribution: Any) -> dict[str, float]:
    """The credits by name."""
    return dict(zip(attribution.channels, attribution.credit.tolist(), strict=True))


def load(file: str, example: bool = False) -> Any:
    """Journeys of a path table; with `example`, of the one that `mta` ships."""
    import mta_models as mta

    if example:
        return mta.read_paths(file, conversions="total_conversions", nulls="total_null")
    return mta.read_paths(file, nulls="nulls")


def journeys(n: int, n_channels: int, empty: float = 0.0) -> Any:
    """Journeys made from the seed, in memory; a part `empty` of them without a touchpoint."""
    import mta_models as mta
    from benchmarks.data import SEED, flat_paths, outcomes

    codes, offsets = flat_paths(n, n_channels, SEED, empty)
    names = [f"c{i}" for i in range(n_channels)]
    return mta.Journeys.from_arrays(
        names, codes, offsets, *outcomes(codes, offsets, n_channels, SEED)
    )


def histories(n: int, n_channels: int, rate: float) -> Any:
    """Journeys of n users over 60 days, some five touchpoints each, of whom `rate` convert."""
    import numpy as np
    import polars as pl

    import mta_models as mta
    from benchmarks.data import SEED

    rng, days = np.random.default_rng(SEED), 60.0
    user = rng.integers(0, n, 5 * n)
    buyers = np.flatnonzero(rng.random(n) < rate)
    code = np.concatenate([rng.integers(0, n_channels, 5 * n), np.full(len(buyers), n_channels)])
    names = pl.Series([*(f"c{i}" for i in range(n_channels)), None], dtype=pl.String)
    events = pl.DataFrame(
        {
            "user": np.concatenate([user, buyers]),
            "time": days * rng.random(len(code)),
            "channel": names.gather(code),
            "conversion": (code == n_channels).astype(np.int8),
        }
    )
    users = pl.DataFrame({"user": np.arange(n)})
    observed = users.with_columns(start=pl.lit(0.0), end=pl.lit(days))
    columns = {name: name for name in events.columns}
    return mta.read_events(events, **columns, observed=observed)  # type: ignore[arg-type]  # names
