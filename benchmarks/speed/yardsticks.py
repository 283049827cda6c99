"""The minimum work that any program must do: numpy, scipy and polars, with nothing checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import inputs
from benchmarks.inputs import Output, Watch, load

if TYPE_CHECKING:
    from mta_models import Journeys


def plain_rules(file: str) -> Output:
    """First, last and linear as one `bincount` each."""
    journeys, watch = load(file), Watch()
    credit = watch.again("model", lambda: _rule_passes(journeys))
    return watch.laps | {"answer": dict(zip(journeys.channels, credit.tolist(), strict=True))}


def _rule_passes(journeys: Journeys) -> Any:
    import numpy as np

    codes, offsets, outcome = journeys.codes, journeys.offsets, journeys.conversions
    sizes = np.diff(offsets)
    full = sizes > 0
    np.bincount(codes[offsets[:-1][full]], outcome[full], journeys.n_channels)
    np.bincount(codes[offsets[1:][full] - 1], outcome[full], journeys.n_channels)
    each = np.repeat(outcome / np.maximum(sizes, 1), sizes)
    return np.bincount(codes, each, journeys.n_channels)


def plain_markov(file: str, order: int) -> Output:
    """The transitions of an order-k chain, and its exits, as one `bincount` each."""
    journeys, watch = load(file), Watch()
    users = watch.again("model", lambda: _step_passes(journeys, order))
    users = users[users > 0]
    return watch.laps | {"answer": {"steps": len(users), "square": float((users**2).sum())}}


def _step_passes(journeys: Journeys, order: int) -> Any:
    import numpy as np

    codes, offsets, base = journeys.codes, journeys.offsets, journeys.n_channels + 1
    context = codes.astype(np.int64) + 1
    digit = context
    for _ in range(order - 1):
        context = _before(context, offsets) * base + digit
    users = np.repeat(journeys.conversions + journeys.nulls, np.diff(offsets))
    step = _before(context, offsets) * journeys.n_channels + codes
    ends = context[offsets[1:] - 1]
    np.bincount(ends, journeys.conversions, base**order)
    np.bincount(ends, journeys.nulls, base**order)
    return np.bincount(step, users, base**order * journeys.n_channels)


def _before(context: Any, offsets: Any) -> Any:
    import numpy as np

    before = np.empty_like(context)
    before[1:] = context[:-1]
    before[offsets[:-1]] = 0
    return before


def plain_removal(n: int, n_channels: int, order: int) -> Output:
    """All channels removed in one iteration: X ← (Q X + r) ∘ mask until it converges."""
    import numpy as np
    import scipy.sparse.linalg  # noqa: F401 (as the job that this is held against)

    from mta_models.models.markov.chain import make_chain
    from mta_models.models.markov.transitions import count_transitions

    journeys, watch = inputs.journeys(n, n_channels), Watch()
    chain = make_chain(count_transitions(journeys, order))
    watch.lap("count")
    # The last column removes nothing: it is the full chain.
    mask = (chain.newest[:, None] != np.arange(n_channels + 1)).astype(float)
    worth = np.zeros_like(mask)
    while True:
        moved = (chain.q @ worth + chain.reward[:, None]) * mask
        still = np.abs(moved - worth).max() < 1e-12
        worth = moved
        if still:
            break
    effects = 1 - worth[0, :-1] / worth[0, -1]
    watch.lap("iterate")
    answer = dict(zip(journeys.channels, effects.tolist(), strict=True))
    return {"model": sum(watch.laps.values()), "answer": answer, "states": len(mask)}


def plain_shapley_rate(n: int, n_channels: int) -> Output:
    """Subset sums over all 2^K coalitions, and each dividend shared by its coalition's members."""
    import numpy as np

    journeys, watch = inputs.journeys(n, n_channels, empty=0.02), Watch()
    sets = np.bitwise_or.reduceat(
        np.append(1 << journeys.codes.astype(np.int64), 0), journeys.offsets[:-1]
    )
    sets[np.diff(journeys.offsets) == 0] = 0
    size = 1 << n_channels
    won = np.bincount(sets, journeys.conversions, size)
    users = np.bincount(sets, journeys.conversions + journeys.nulls, size)
    for table in (won, users):
        for channel in range(n_channels):
            halves = table.reshape(-1, 2, 1 << channel)
            halves[:, 1] += halves[:, 0]
    dividend = won / users * users[-1]
    members = np.zeros(size, dtype=np.int64)
    for channel in range(n_channels):
        halves = dividend.reshape(-1, 2, 1 << channel)
        halves[:, 1] -= halves[:, 0]
        members.reshape(-1, 2, 1 << channel)[:, 1] += 1
    shared = dividend / np.maximum(members, 1)
    credit = [shared.reshape(-1, 2, 1 << channel)[:, 1].sum() for channel in range(n_channels)]
    watch.lap("model")
    answer = dict(zip(journeys.channels, map(float, credit), strict=True))
    return watch.laps | {"answer": answer}


def plain_shapley_conversions(n: int, n_channels: int) -> Output:
    """Distinct (journey, channel) pairs by a sort, and each conversion shared by its pairs."""
    import numpy as np

    journeys, watch = inputs.journeys(n, n_channels), Watch()

    def passes() -> Any:
        owner = np.repeat(np.arange(journeys.n_journeys), np.diff(journeys.offsets))
        pairs = np.unique(owner * n_channels + journeys.codes)
        row, channel = np.divmod(pairs, n_channels)
        many = np.bincount(row, minlength=journeys.n_journeys)
        each = journeys.conversions[row] / many[row]
        return np.bincount(channel, each, n_channels)

    credit = watch.again("model", passes)
    return watch.laps | {"answer": dict(zip(journeys.channels, credit.tolist(), strict=True))}


def plain_time_model(n: int, n_channels: int, rate: float, model: str) -> Output:
    """The exposure of each channel at the seven half-lives of the grid: one pass for each."""
    import numpy as np

    journeys, watch = inputs.histories(n, n_channels, rate), Watch()
    line: Any = journeys.timeline
    watch.lap("read")
    for half in (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 7.0):
        left = np.repeat(line.end, np.diff(line.offsets)) - line.time
        each = (1 - np.exp2(-left / half)) * half / np.log(2)
        totals = np.bincount(line.codes, each, n_channels)
    watch.lap("model")
    return watch.laps | {"answer": dict(zip(journeys.channels, totals.tolist(), strict=True))}


def plain_events(file: str) -> Output:
    """Each user's channels in order of time, by polars' streaming engine; nothing else is kept."""
    import polars as pl

    lists = (
        pl.scan_parquet(file)
        .group_by("user")
        .agg(pl.col("channel").sort_by("time"))
        .collect(engine="streaming")
    )
    return {"answer": {"users": len(lists), "rows": float(lists["channel"].list.len().sum())}}
