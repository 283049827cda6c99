"""Responses: the columns from which a learner predicts the hazard of a user at a time."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mta_models.core.checks import items_of, shown
from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError, ParameterError, UnknownChannelError

SATURATIONS = (None, "log", "ratio")
TRENDS = (None, "linear", "weeks")


@dataclass(frozen=True, eq=False)
class Responses:
    """How adstock, covariates and the calendar become columns.

    First one column per channel, then one per pair of channels that interact; these are 0 without
    the channels' touchpoints. The columns after them (covariates, trend) do not depend on
    touchpoints.

    Attributes:
        channels: names.
        saturation: None; `"log"`: adstock a enters as log(1 + a); or `"ratio"`: a / (1 + a).
        pairs: shape `(n_pairs, 2)`, codes of channels that interact, by the product of their
            columns.
        covariates: a frame with a column `user`, or None.
        trend: None, `"linear"` or `"weeks"`.
        span: first and last day of the log, for the trend.
    """

    channels: tuple[str, ...]
    saturation: str | None
    pairs: Ints
    covariates: Any
    trend: str | None
    span: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        names = [*self.channels]
        names += [f"{self.channels[a]} x {self.channels[b]}" for a, b in self.pairs]
        if self.covariates is not None:
            names += [name for name in self.covariates.columns if name != "user"]
        if self.trend is not None:
            names += [f"trend {i}" for i in range(self._n_trend)]
        return tuple(names)

    @property
    def needs(self) -> Mask:
        """Which channels each column is computed from, shape `(n_columns, n_channels)`."""
        needs = np.zeros((len(self.names), len(self.channels)), dtype=bool)
        k = len(self.channels)
        needs[:k] = np.eye(k, dtype=bool)
        for row, pair in enumerate(self.pairs, start=k):
            needs[row, pair] = True
        return needs

    @property
    def n_responses(self) -> int:
        """Number of columns that depend on touchpoints."""
        return len(self.channels) + len(self.pairs)

    def columns_of(self, adstock: Floats) -> Floats:
        """The columns that depend on touchpoints, shape `(n, n_responses)`.

        Args:
            adstock: shape `(n, n_channels)`.
        """
        each = adstock
        if self.saturation == "log":
            each = np.log1p(adstock)
        elif self.saturation == "ratio":
            each = adstock / (1 + adstock)
        if not len(self.pairs):
            return each
        return np.hstack([each, each[:, self.pairs[:, 0]] * each[:, self.pairs[:, 1]]])

    def rest(self, histories: Histories, user: Ints, time: Floats) -> Floats:
        """The columns that do not depend on touchpoints, shape `(n, n_columns - n_responses)`."""
        columns = [np.empty((len(user), 0))]
        if self.covariates is not None:
            columns.append(aligned_covariates(self.covariates, histories)[user])
        if self.trend is not None:
            if histories.timeline is None:
                raise JourneyError(
                    "a trend needs the calendar, and rows without a timeline have none. Read an "
                    "event log with read_events, or leave `trend` out"
                )
            columns.append(self._trend(time))
        return np.hstack(columns)

    @property
    def _n_trend(self) -> int:
        first, last = self.span
        # The first week is the reference that the others are compared with.
        return 1 if self.trend == "linear" else max(int(np.ceil((last - first) / 7)) - 1, 0)

    def _trend(self, time: Floats) -> Floats:
        first, last = self.span
        if self.trend == "linear":
            return ((time - first) / max(last - first, 1e-9))[:, None]
        # A day after the end of the log counts as one of its last week.
        week = np.clip((time - first) // 7, 0, self._n_trend).astype(np.int64)
        return np.eye(self._n_trend + 1)[week][:, 1:]


def plain_responses(histories: Histories, covariates: Any, trend: str | None) -> Responses:
    """Responses without saturation or interactions, over the channels and days of histories."""
    span = (float(histories.start.min(initial=0)), float(histories.end.max(initial=0)))
    none = np.zeros((0, 2), dtype=np.int64)
    return Responses(histories.channels, None, none, covariates, trend, span)


def pairs_of(interactions: Any, channels: tuple[str, ...]) -> Ints:
    """Codes of pairs of channels, shape `(n_pairs, 2)`.

    Args:
        interactions: pairs of names, `"all"`, or None for none; checked before.
        channels: names, in the order of their codes.

    Raises:
        UnknownChannelError: a name is not among the channels.
    """
    index = {name: code for code, name in enumerate(channels)}
    named: list[Any] = []
    if isinstance(interactions, str) and interactions == "all":
        named = list(combinations(channels, 2))
    elif interactions is not None:
        named = list(interactions)
    for pair in named:
        for name in pair:
            if name not in index:
                raise UnknownChannelError(
                    f"`interactions` must be pairs of channels of the journeys; {name!r} is not a "
                    "channel of theirs"
                )
    return np.array([[index[a], index[b]] for a, b in named], dtype=np.int64).reshape(-1, 2)


def check_interactions(interactions: Any) -> None:
    """Refuse interactions that are not pairs of channel names.

    Raises:
        ParameterError: shows the first item that is not a pair.
    """
    if interactions is None or (isinstance(interactions, str) and interactions in ("all", "auto")):
        return
    given = items_of(interactions)
    for pair in [interactions] if given is None else given:
        names = items_of(pair) or ()
        texts = {name for name in names if isinstance(name, str)}
        if not len(texts) == len(names) == 2:
            raise ParameterError(
                f"`interactions` must be pairs of two channels each; got {shown(pair)}. "
                'Give a list of pairs, "all", "auto" or None'
            )


def check_covariates(frame: Any) -> None:
    """Refuse covariates that are not a frame with a column `user` and at least one other column.

    Raises:
        ParameterError: it is not a frame, or lacks a column.
    """
    if frame is None:
        return
    known = [sys.modules[name] for name in ("pandas", "polars") if name in sys.modules]
    is_frame = isinstance(frame, tuple(module.DataFrame for module in known))
    columns = list(frame.columns) if is_frame else None
    if columns is None or "user" not in columns or len(columns) < 2:
        raise ParameterError(
            "`covariates` must be a pandas or polars DataFrame with a column `user` and numeric "
            f"columns; got {type(frame).__name__}"
            + ("" if columns is None else f" with the columns {columns}")
        )


def aligned_covariates(frame: Any, histories: Histories) -> Floats:
    """The covariates of each history, shape `(n_users, n_covariates)`."""
    import pandas as pd

    names = [name for name in frame.columns if name != "user"]
    values = np.column_stack([_as_numbers(frame[name], name) for name in names])
    index = pd.Index(np.asarray(frame["user"]))
    if not index.is_unique:
        raise JourneyError(
            "`covariates` must have one row per user; "
            f"{index[index.duplicated()][0]} has several. Aggregate them first"
        )
    ids = histories.user_ids
    row = index.get_indexer(pd.Index(ids))
    if (row < 0).any():
        raise JourneyError(
            "`covariates` must have a row for every user of the journeys; "
            f"{ids[np.flatnonzero(row < 0)[0]]} is missing. Add the user's row"
        )
    aligned: Floats = values[row]
    if not np.isfinite(aligned).all():
        where = np.argwhere(~np.isfinite(aligned))[0]
        raise JourneyError(
            f"`covariates` must be finite numbers; user {ids[where[0]]} has "
            f"{aligned[tuple(where)]} as {names[where[1]]!r}. Impute it or drop the column"
        )
    return aligned


def _as_numbers(column: Any, name: str) -> Floats:
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"the columns of `covariates` must be numeric; {name!r} is not: {error}. Code its "
            "categories as columns of 0 and 1"
        ) from error
