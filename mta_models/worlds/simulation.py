"""What a tracker logs in a world, and what experiments in it measure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, Numbers
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import ParameterError
from mta_models.worlds import engine, state
from mta_models.worlds.base import BaseWorld, Simulation
from mta_models.worlds.state import Noise, State

if TYPE_CHECKING:
    import polars as pl

    from mta_models.worlds.mechanism import Mechanism

START = datetime(2024, 1, 1)
# Of a day: when its touchpoints end, and when its decisions have become conversions.
_EVENING, _NIGHT = 0.8, 0.9
_ORDER, _SPREAD = 50.0, 0.6  # median and log-s.d. of what a conversion is worth


class Rows:
    """The rows of a log under construction, in pieces."""

    def __init__(self, n_channels: int) -> None:
        self.conversion = n_channels  # the code of a conversion
        empty = np.zeros(0, dtype=np.int64)
        self.pieces: list[tuple[Numbers, ...]] = [(empty, np.zeros(0), empty, np.zeros(0))]

    def touchpoints(self, first: int, touched: Mask, time: Numbers) -> None:
        """Touchpoints of today, `(C, n)`, at times in days since the log's start, `(C, n)`."""
        code, user = np.nonzero(touched)
        self.pieces.append((first + user, time[code, user], code, np.zeros(len(user))))

    def conversions(self, user: Ints, time: Floats, value: Floats) -> None:
        """Conversions, each argument of shape `(n_conversions,)`."""
        self.pieces.append((user, time, np.full(len(user), self.conversion), value))

    def columns(self) -> tuple[Numbers, ...]:
        """User, time, code and value of all rows, in time order."""
        columns = [np.concatenate(column) for column in zip(*self.pieces, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        return tuple(column[order] for column in columns)


def simulate(
    world: Mechanism, doses: Floats, tested: tuple[str, ...], n_test_users: int | None
) -> Simulation:
    """As `World.simulate`, with doses of shape `(1, C)`."""
    world.check_channels(tested)
    n_users = world.whole(world.n_users)
    rows, known = Rows(len(world.channels)), []
    for first, n, noise in state.blocks(state.SIMULATED, world.seed, n_users):
        now, _ = live(world, doses, n, noise, rows, first)
        known.append(world.covariates(now.people, noise))
    return log_of(world, rows, known, tested, n_test_users)


def log_of(
    world: Mechanism,
    rows: Rows,
    known: list[dict[str, Numbers]],
    tested: tuple[str, ...],
    n_test_users: int | None,
) -> Simulation:
    """What a tracker makes of rows, and of what it knows of each block of users."""
    import polars as pl

    world.check_channels(tested)
    events, costs = _events(world, rows)
    users = pl.DataFrame(
        {"user": np.arange(world.whole(world.n_users))}
        | {name: np.concatenate([each[name] for each in known]) for name in known[0]}
    )
    if users.width > 1:
        events = events.join(users, on="user", maintain_order="left")
    events, observed = world.track(events, users)
    bounds = {"start": START, "end": START + timedelta(days=world.days)}
    return Simulation(
        world=world,
        events=events,
        observed=observed.with_columns(**{name: pl.lit(at) for name, at in bounds.items()}),
        costs=costs,
        lift_tests=tuple(
            holdout(world, name, n_test_users, lambda *given: live(world, *given)[1])
            for name in tested
        ),
    )


def _events(world: Mechanism, rows: Rows) -> tuple[pl.DataFrame, dict[str, float]]:
    """All that happened, as a table in time order, and what each channel cost."""
    import polars as pl

    user, time, code, value = rows.columns()
    spent = np.append(world.costs, 0.0)  # a conversion costs nothing
    names = pl.Series([*world.channels, None], dtype=pl.String)
    events = pl.DataFrame(
        {
            "user": user,
            "time": clock_times(time),
            "channel": names.gather(code),
            "conversion": (code == rows.conversion).astype(np.int8),
            "value": value,
            "cost": spent[code],
        }
    )
    costs = np.bincount(code, minlength=len(spent)) * spent
    return events, dict(zip(world.channels, costs[:-1].tolist(), strict=True))


def live(
    world: Mechanism, doses: Floats, n: int, noise: Noise, rows: Rows | None = None, first: int = 0
) -> tuple[State, Floats]:
    """Live through a block of users, day by day, and add what happens to `rows`.

    Returns the last state, and the conversions logged of each user, shape `(n,)`.
    """
    now = engine.begin(world, 1, n, noise)
    doses, frozen = doses.astype(np.float32), np.zeros(1, dtype=bool)
    logged = np.zeros(n)
    for day in range(world.days):
        now.day = day
        world.move(now)
        touched = engine.touch(world, now, doses, frozen)[0]
        converts = world.convert_today(now)
        lag = world.lag(now)
        when = day + (np.zeros(n, dtype=np.int64) if lag is None else lag)
        buyers = np.flatnonzero(converts & (when < world.days))
        logged[buyers] += 1
        if rows is None:
            continue
        rows.touchpoints(first, touched, day + _EVENING * _wide(now, "time of day", touched.shape))
        late = world.close(now, converts)
        if late is not None:
            late &= now.uniform("closing dose", *late.shape) < doses[0][:, None]
            at = day + _EVENING + (_NIGHT - _EVENING) * _wide(now, "closing time", late.shape)
            rows.touchpoints(first, late, at)
        at = when + _NIGHT + (1 - _NIGHT) * _wide(now, "conversion time", (n,))
        worth = noise.on("value", day).lognormal(np.log(_ORDER), _SPREAD, n)
        rows.conversions(first + buyers, at[buyers], np.round(worth[buyers], 2))
    return now, logged


# Lives through n users under doses of shape `(1, C)`: the conversions logged of each, `(n,)`.
Lives = Callable[[Floats, int, Noise], Floats]


def holdout(world: BaseWorld, channel: str, n_users: int | None, lives: Lives) -> LiftTest:
    """A randomised holdout of a channel, on users of its own, scaled to the world's population.

    Half of the users (accounts, where those convert) live with the channel, half without. The
    lift is the difference of their conversion rates times the population; its error is that of a
    difference of two means (Welch). An arm in which nobody converts is taken to have the variance
    of one conversion, so that the error is never 0.

    Args:
        world: gives the population.
        channel: held out.
        n_users: of both arms; None: as many as the world has.
        lives: simulates the users of an arm.
    """
    per_arm = world.whole((n_users or world.n_users) // 2)
    if per_arm < 2 * world.group:
        raise ParameterError(
            f"a lift test needs at least {4 * world.group} users; got {n_users or world.n_users}"
        )
    means, variances = [], []
    for arm, dose in enumerate((1.0, 0.0)):
        doses = world.dose({channel: dose})
        stream = crc32(f"{channel}/{arm}".encode())
        each = np.concatenate(
            [
                lives(doses, n, Noise((state.TESTED, stream, *noise.key[1:])))
                for _, n, noise in state.blocks(state.TESTED, world.seed, per_arm)
            ]
        )
        each = each.reshape(-1, world.group).sum(axis=1)
        means.append(each.mean())
        variances.append(max(each.var(ddof=1), 1 / len(each)) / len(each))
    return LiftTest(
        channel,
        lift=float(means[0] - means[1]) * world.n_units,
        standard_error=float(np.sqrt(sum(variances))) * world.n_units,
    )


def _wide(now: State, mechanism: str, shape: tuple[int, ...]) -> Floats:
    """Today's noise of a mechanism in double precision: a day has more instants than 2^24."""
    return now.noise.on(mechanism, now.day).random(shape)


def clock_times(days: Floats) -> Any:
    """Days since the log's start as times."""
    import polars as pl

    start = np.datetime64(START, "us")
    return pl.Series(start + np.round(days * 86_400e6).astype("timedelta64[us]"))
