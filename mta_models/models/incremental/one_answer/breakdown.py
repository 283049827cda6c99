"""An attribution divided between periods or segments of users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import BASELINE, Attribution
from mta_models.core.checks import shown
from mta_models.core.ragged import Floats, Ints
from mta_models.core.tables import Block, Printed, Table, TopRows, amounts
from mta_models.data.journeys import Journeys
from mta_models.errors import JourneyError, ParameterError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_EVERY = re.compile(r"[1-9]\d{0,3}(d|w|mo|q|y)")
_DAYS = {"d": 1.0, "w": 7.0}
# Characters of an instant in ISO 8601 to the microsecond.
_TO_MICROSECONDS = 26


@dataclass(frozen=True, eq=False, repr=False)
class Breakdown(Printed):
    """An attribution divided between groups of conversions, which add up to it.

    Attributes:
        attributions: by group, in their order.
        by: what the groups are: `"period"` or `"segment"`.
    """

    attributions: Mapping[str, Attribution]
    by: str

    def to_frame(self, *, prob: float = 0.95) -> pd.DataFrame:
        """One row per group and channel, and one per group for its baseline.

        Columns: `period` or `segment`, `channel`, `credit`, `share`, and `lower` and `upper` of the
        `prob` interval. `frame.attrs["interval_holds"]` says what the interval covers.
        """
        import pandas as pd

        tables = {label: each.to_frame(prob=prob) for label, each in self.attributions.items()}
        frame = pd.concat(tables, names=[self.by, None]).reset_index(level=0).reset_index(drop=True)
        frame.attrs["interval_holds"] = self._first.interval_holds
        return frame

    def to_polars(self, *, prob: float = 0.95) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.concat(
            [
                each.to_polars(prob=prob).select(pl.lit(label).alias(self.by), pl.all())
                for label, each in self.attributions.items()
            ]
        )

    def blocks(self, *, top: int = 25) -> list[Block]:
        """The blocks that `print` shows: credit by channel and group.

        Args:
            top: number of channels with a row of their own: those with the most credit.
        """
        each = list(self.attributions.values())
        rows = TopRows(self._first.channels, np.sum([one.credit for one in each], axis=0), top)
        amount = amounts(max(one.total for one in each))
        columns = {
            label: [amount(x) for x in np.append(rows.sums(one.credit), (one.baseline, one.total))]
            for label, one in self.attributions.items()
        }
        title = f"Credit in {self._first.of}, by {self._first.model.removesuffix('()')}"
        return [Table(title, [*rows.names, BASELINE, "total"], columns, n_last=2)]

    def __repr__(self) -> str:
        return f"Breakdown({len(self.attributions)} groups, by={self.by!r}, of={self._first.of!r})"

    @property
    def _first(self) -> Attribution:
        return next(iter(self.attributions.values()))


def divided(
    whole: Attribution, parts: Floats, labels: tuple[str, ...], group: Ints, by: str
) -> Breakdown:
    """The attribution divided between groups of conversions by each channel's part in them.

    Args:
        whole: what is divided.
        parts: shape `(n_events, n_channels + 1)`, each channel's part of each conversion's outcome,
            and the outcome itself.
        labels: of the groups.
        group: shape `(n_events,)`, index into `labels`.
        by: `"period"` or `"segment"`.
    """
    sums = np.zeros((len(labels), parts.shape[1]))
    np.add.at(sums, group, parts)
    totals, whole_sums = sums[:, -1], sums.sum(axis=0)
    # A channel that has a part in no conversion is divided as the outcomes are.
    empty = whole_sums == 0
    sums = np.where(empty, totals[:, None], sums)
    whole_sums = np.where(empty, totals.sum(), whole_sums)
    share = np.divide(sums, whole_sums, out=np.zeros_like(sums), where=whole_sums != 0)[:, :-1]
    holds = f"{whole.interval_holds}; credit is divided between {by}s as the estimate divides it"

    def one(row: int) -> Attribution:
        total = float(totals[row])
        credit = whole.credit * share[row]

        def drawn(draws: Floats | None) -> tuple[Floats, Floats] | tuple[None, None]:
            if draws is None:
                return None, None
            mine: Floats = draws * share[row]
            return mine, total - mine.sum(axis=1)

        draws, baseline_draws = drawn(whole.draws)
        sampling, sampling_baseline = drawn(whole.sampling_draws)
        return replace(
            whole,
            credit=credit,
            baseline=total - float(credit.sum()),
            total=total,
            draws=draws,
            baseline_draws=baseline_draws,
            sampling_draws=sampling,
            sampling_baseline_draws=sampling_baseline,
            interval_holds=holds,
        )

    return Breakdown({label: one(row) for row, label in enumerate(labels)}, by)


def periods_of(journeys: Journeys, every: str) -> tuple[tuple[str, ...], Ints]:
    """The periods of conversions: the first day of each, and the index of each conversion's own.

    Raises:
        ParameterError: `every` is no length of time, or one of months in a log of plain numbers.
        JourneyError: the journeys have no timeline.
    """
    if not (isinstance(every, str) and _EVERY.fullmatch(every)):
        raise ParameterError(
            "`every` must be a number of days, weeks, months, quarters or years, such as "
            f'"7d", "1w", "1mo", "1q" or "1y"; got {shown(every)}'
        )
    timeline, time = journeys.timeline, journeys.histories.event_time
    if timeline is None:
        raise JourneyError(
            "journeys must have a timeline, to be divided into periods; these have none. Read an "
            "event log with read_events"
        )
    if "T" not in timeline.origin:
        return _numbered(float(timeline.origin), time, every)
    import polars as pl

    micro = np.rint(time * 86_400_000_000).astype("timedelta64[us]")
    origin = np.datetime64(timeline.origin.removesuffix("+00:00")[:_TO_MICROSECONDS], "us")
    at = pl.DataFrame({"at": origin + micro}).select(pl.col("at").dt.truncate(every).dt.date())
    spans = pl.date_range(pl.col("at").min(), pl.col("at").max(), every)
    place = {day: i for i, day in enumerate(at.select(spans.alias("at"))["at"].to_list())}
    group = np.array([place[day] for day in at["at"].to_list()], dtype=np.int64)
    return tuple(map(str, place)), group


def _numbered(origin: float, time: Floats, every: str) -> tuple[tuple[str, ...], Ints]:
    """Periods of a log whose times are plain numbers: their first days."""
    unit = every.lstrip("0123456789")
    if unit not in _DAYS:
        raise ParameterError(
            "`every` must be a number of days or weeks where a log's times are plain numbers; got "
            f"{every!r}. Write it in days"
        )
    length = float(every.removesuffix(unit)) * _DAYS[unit]
    number = np.floor((origin + time) / length).astype(np.int64)
    first = int(number.min(initial=0))
    count = int(number.max(initial=first)) - first + 1
    return tuple(f"{(first + i) * length:g}" for i in range(count)), number - first


def segments_of(
    journeys: Journeys, segments: Mapping[Any, Any] | Any
) -> tuple[tuple[str, ...], Ints]:
    """The segments of users who converted, sorted, and the index of each conversion's own.

    Raises:
        ParameterError: `segments` is neither a mapping nor a frame with `user` and one more column.
        JourneyError: the journeys have no timeline, or a user who converted has no segment.
    """
    known = _as_mapping(segments)
    histories = journeys.histories
    ids = histories.user_ids[histories.event_user].tolist()
    given = [known.get(user) for user in ids]
    lacking = next((user for user, each in zip(ids, given, strict=True) if _missing(each)), None)
    if lacking is not None:
        raise JourneyError(
            "every user who converted must have a segment in `segments`; user "
            f'{lacking!r} has none. Add it, or give it a segment of its own such as "other"'
        )
    names = [str(each) for each in given]
    labels = tuple(sorted(set(names)))
    place = {label: i for i, label in enumerate(labels)}
    return labels, np.array([place[name] for name in names], dtype=np.int64)


def _missing(segment: object) -> bool:
    """Whether it is None, or the NaN of pandas."""
    return segment is None or (isinstance(segment, float) and segment != segment)


def _as_mapping(segments: Any) -> Mapping[Any, Any]:
    if isinstance(segments, Mapping):
        return segments
    columns = list(getattr(segments, "columns", ()))
    if "user" not in columns or len(columns) != 2:
        raise ParameterError(
            "`segments` must be a mapping of users to segments, or a pandas or polars frame with "
            f"the column `user` and one more; got {type(segments).__name__}"
            + (f" with the columns {columns}" if columns else "")
        )
    (other,) = (each for each in columns if each != "user")
    users, given = (np.asarray(segments[each]).tolist() for each in ("user", other))
    known = dict(zip(users, given, strict=True))
    if len(known) < len(users):
        raise ParameterError(
            "`segments` must have one row for each user; a user has several. Keep one of them"
        )
    return known
