"""Credit of single touchpoints as a long table that joins to users, times and source rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import BASELINE
from mta_models.core.checks import as_list
from mta_models.core.ragged import Floats, Ints, Mask, Numbers, owner, position, segment_sum, spread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.errors import ParameterError
from mta_models.models.base import AttributionModel
from mta_models.models.names import as_model, label_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Model = AttributionModel | type[AttributionModel] | str
Models = Model | Iterable[Model]

# A rest below this fraction of a journey's outcome is rounding, not a baseline.
_ROUNDING = 1e-9


def touchpoint_frame(
    models: Models, journeys: Journeys, *, of: str = "conversions"
) -> pd.DataFrame:
    """One row per model, journey that converts, and touchpoint, with the credit of each.

    The rows of a model are its touchpoints in the journeys' order, then one baseline row for each
    journey whose baseline is not 0, with `"(baseline)"` as `channel` and no touchpoint. A journey's
    baseline is its outcome minus the credit of its touchpoints. So for every model, `credit` sums
    to the outcome of each journey, and over all rows to `total`.

    Columns:
        `model`: the model's repr without empty brackets.
        `journey`: row of the journeys, from 0.
        `position`: place of the touchpoint in its journey, from 0; missing for a baseline.
        `channel`: name.
        `credit`: in conversions or in value. A row that stands for several conversions has their
            sum.

        And if the journeys have them:

        `user`: the source's own identifier (without a timeline, the journeys' `users`).
        `key`: row of the source; missing for a baseline.
        `age`: days from the touchpoint to the journey's end; missing for a baseline.
        `time`: days from the log's start to the touchpoint; missing for a baseline.
        `end`: days from the log's start to the journey's end.
        `touched_at`, `ended_at`: `time` and `end` as timestamps in UTC, to the microsecond.

    Summed by channel, `credit` is the channel's credit for every rule and for Shapley
    `"conversions"`, which split each journey by itself. For models that learn from all journeys at
    once it can differ: Markov's removal effects are shares of a fitted model's conversions, and
    splits of single journeys do not add up to them. The model's docstring says how it splits.
    Compare channels by `attribute`; use this table to see how credit is split within journeys.
    Estimand and assumptions are those of the model.

    Args:
        models: a model or several, or their classes or names. A fitted model is used as it is; an
            unfitted one is cloned, and the clone fitted on `journeys`.
        journeys: journeys with at least one conversion.
        of: `"conversions"`, or `"value"` for revenue.

    Returns:
        A pandas table with the columns above; `touchpoint_polars` gives the same as polars.

    Raises:
        ParameterError: no model, or two models with the same label.
        MTAError: a model does not define touchpoint credit.
        JourneyError, UnknownChannelError: as `attribute`.

    Example:
        >>> from mta_models import Journeys, Linear, touchpoint_frame
        >>> journeys = Journeys.from_paths([["Search", "Email"], []], conversions=[4, 1])
        >>> touchpoint_frame(Linear(), journeys)
            model  journey  position     channel  credit
        0  Linear        0         0      Search     2.0
        1  Linear        0         1       Email     2.0
        2  Linear        1      <NA>  (baseline)     1.0
    """
    import pandas as pd

    return pd.DataFrame(
        {name: each.to_pandas() for name, each in _columns(models, journeys, of).items()}
    )


def touchpoint_polars(
    models: Models, journeys: Journeys, *, of: str = "conversions"
) -> pl.DataFrame:
    """One row per model, journey that converts, and touchpoint, as a polars table.

    Arguments, columns, sums and errors are those of `touchpoint_frame`; missing entries are null.

    Args:
        models: a model or several, or their classes or names.
        journeys: journeys with at least one conversion.
        of: `"conversions"`, or `"value"` for revenue.

    Returns:
        A polars table with the columns of `touchpoint_frame`.

    Raises:
        ParameterError, MTAError, JourneyError, UnknownChannelError: as `touchpoint_frame`.

    Example:
        >>> from mta_models import Journeys, Linear, touchpoint_polars
        >>> journeys = Journeys.from_paths([["Search", "Email"], []], conversions=[4, 1])
        >>> touchpoint_polars(Linear(), journeys).drop("model").rows()
        [(0, 0, 'Search', 2.0), (0, 1, 'Email', 2.0), (1, None, '(baseline)', 1.0)]
    """
    import polars as pl

    return pl.DataFrame(
        [each.to_polars(name) for name, each in _columns(models, journeys, of).items()]
    )


@dataclass(frozen=True)
class _Column:
    """Values of a column, and a mask of the missing ones."""

    values: Numbers
    missing: Mask | None = None

    def to_pandas(self) -> Any:
        import pandas as pd

        if self.missing is not None and self.values.dtype.kind in "iu":
            return pd.arrays.IntegerArray(self.values.astype(np.int64), self.missing)
        series: pd.Series[Any] = pd.Series(self.values)
        if self.values.dtype.kind == "M":
            series = series.dt.tz_localize("UTC")
        return series if self.missing is None else series.mask(self.missing)

    def to_polars(self, name: str) -> pl.Series:
        import polars as pl

        series = pl.Series(name, self.values)
        if self.values.dtype.kind == "M":
            series = series.dt.replace_time_zone("UTC")
        if self.missing is None or not self.missing.any():
            return series
        # Not `Series.set`, which in polars 1.28 cannot set all types of integers to missing.
        kept = pl.when(pl.lit(pl.Series(~self.missing))).then(pl.lit(series))
        return pl.select(kept.alias(name)).to_series()


def _columns(models: Models, journeys: Journeys, of: str) -> dict[str, _Column]:
    """The table's columns, models one below the other."""
    require_journeys(journeys, "a table of touchpoints")
    fitted = _fitted(models, journeys)
    parts = [_credited(model, journeys, of) for model in fitted.values()]
    touched, rows, credit = (np.concatenate(each) for each in zip(*parts, strict=True))
    no_touch = touched < 0
    # Rows without a touchpoint take the values of touchpoint 0, and are marked as missing.
    at = np.where(no_touch, 0, touched)

    def per_touchpoint(array: Numbers) -> _Column:
        padded = array if len(array) else np.zeros(1, dtype=array.dtype)
        return _Column(padded[at], no_touch)

    labels = np.array(list(fitted), dtype=object)
    names = np.array([*journeys.channels, BASELINE], dtype=object)
    codes = per_touchpoint(journeys.codes).values
    columns = {
        "model": _Column(np.repeat(labels, [len(part[0]) for part in parts])),
        "journey": _Column(rows),
        "position": per_touchpoint(position(journeys.offsets)),
        "channel": _Column(names[np.where(no_touch, journeys.n_channels, codes)]),
        "credit": _Column(credit),
    }
    if journeys.users is not None:
        users, line = journeys.users[rows], journeys.timeline
        columns["user"] = _Column(users if line is None else np.asarray(line.user_ids)[users])
    for name, array in (("key", journeys.keys), ("age", journeys.age), ("time", journeys.time)):
        if array is not None:
            columns[name] = per_touchpoint(array)
    if journeys.end is not None:
        columns["end"] = _Column(journeys.end[rows])
    return columns | dict(_timestamps(columns, journeys))


def _fitted(models: Models, journeys: Journeys) -> dict[str, AttributionModel]:
    """The models by label, each fitted."""
    several: list[Any] = (
        [models]
        if isinstance(models, AttributionModel | type | str)
        else as_list(models, "models", "models")
    )
    made: dict[str, AttributionModel] = {}
    for each in several:
        if isinstance(each, AttributionModel) and hasattr(each, "channels_"):
            model = each
        else:
            model = as_model(each).fit(journeys)
        if label_of(model) in made:
            raise ParameterError(
                f"models of one table must differ; {label_of(model)} is there twice. Drop one"
            )
        made[label_of(model)] = model
    if not made:
        raise ParameterError(
            'there must be a model to credit touchpoints with; got none. Give one, as ["Linear"]'
        )
    return made


def _credited(model: AttributionModel, journeys: Journeys, of: str) -> tuple[Ints, Ints, Floats]:
    """Touchpoint (-1 for a baseline), journey and credit of each row of one model."""
    credit, outcome = model.touchpoint_credit(journeys, of=of), journeys.outcome(of)
    # A model on timelines may credit a touchpoint with the conversion of a later journey.
    converts = (journeys.conversions > 0) | (segment_sum(np.abs(credit), journeys.offsets) > 0)
    touched = np.flatnonzero(spread(converts, journeys.offsets))
    left = outcome - segment_sum(credit, journeys.offsets)
    scale = np.maximum(np.abs(outcome), segment_sum(np.abs(credit), journeys.offsets))
    bases = np.flatnonzero(converts & (np.abs(left) > _ROUNDING * scale))
    return (
        np.concatenate([touched, np.full(len(bases), -1)]),
        np.concatenate([owner(journeys.offsets)[touched], bases]),
        np.concatenate([credit[touched], left[bases]]),
    )


def _timestamps(columns: dict[str, _Column], journeys: Journeys) -> Iterator[tuple[str, _Column]]:
    """`time` and `end` as timestamps, where the timeline has the log's start as one."""
    origin = journeys.timeline.origin if journeys.timeline is not None else ""
    try:
        start = datetime.fromisoformat(origin)
    except ValueError:  # times are numbers, or there are none
        return
    utc = start.astimezone(UTC).replace(tzinfo=None) if start.tzinfo else start
    for name, days in (("touched_at", "time"), ("ended_at", "end")):
        if days in columns:
            micros = np.rint(columns[days].values * 86_400e6).astype("timedelta64[us]")
            yield name, _Column(np.datetime64(utc, "us") + micros, columns[days].missing)
