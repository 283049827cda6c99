"""Checks of the arrays of `Journeys`; every error names the row."""

from __future__ import annotations

import numpy as np

from mta_models.core.arrays import is_name
from mta_models.core.checks import shown
from mta_models.core.ragged import Numbers
from mta_models.data.journey_arrays import JourneyArrays
from mta_models.errors import JourneyError


def check_journeys(journeys: JourneyArrays) -> None:
    """Check the invariants of `Journeys`; each error names the row."""
    _check_channels(journeys.channels)
    offsets, n = journeys.offsets, journeys.n_journeys
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != journeys.n_touchpoints:
        raise JourneyError(
            "`offsets` must have one entry more than there are journeys, start at 0 and end at the "
            f"number of touchpoints, {journeys.n_touchpoints}; got {offsets[:3]} … {offsets[-1:]}"
        )
    falling = np.flatnonzero(np.diff(offsets) < 0)
    if len(falling):
        raise JourneyError(
            f"`offsets` must never decrease; they do after row {falling[0]}. Sort them"
        )
    outside = np.flatnonzero((journeys.codes < 0) | (journeys.codes >= journeys.n_channels))
    if len(outside):
        row = int(np.searchsorted(offsets, outside[0], side="right")) - 1
        raise JourneyError(
            f"every code must be an index into the {journeys.n_channels} channels; row {row} has "
            f"{journeys.codes[outside[0]]}"
        )
    for name in ("conversions", "nulls", "given_at_risk"):
        _check_row_amounts(getattr(journeys, name), name.removeprefix("given_"), n, least=0)
    _check_row_amounts(journeys.value, "value", n, least=None)
    for name in ("users", "end"):
        _check_shape(getattr(journeys, name), name, n)
    for name in ("keys", "time"):
        _check_shape(getattr(journeys, name), name, journeys.n_touchpoints)
    _check_value(journeys)
    _check_age(journeys)
    _check_milestones(journeys)


def _check_channels(channels: tuple[str, ...]) -> None:
    wrong = next((name for name in channels if not is_name(name)), None)
    if wrong is not None:
        raise JourneyError(f"every channel must be a non-blank text; got {shown(wrong)}")
    if len(set(channels)) < len(channels):
        twice = next(name for name in channels if channels.count(name) > 1)
        raise JourneyError(f"channels must differ; {twice!r} is there twice. Merge the two")


def _check_shape(array: Numbers | None, name: str, n: int) -> None:
    if array is not None and array.shape != (n,):
        raise JourneyError(f"`{name}` must have the shape ({n},); got {array.shape}")


def _check_row_amounts(array: Numbers | None, name: str, n: int, least: float | None) -> None:
    """Check that amounts are finite, of shape `(n,)` and at least `least`, if there is one."""
    if array is None:
        return
    _check_shape(array, name, n)
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise JourneyError(
            f"every entry of `{name}` must be a finite number; row {wrong[0]} has "
            f"{array[wrong[0]]}. Fill it in or drop the row"
        )
    if least is not None and len(array) and array.min() < least:
        row = int(np.argmax(array < least))
        raise JourneyError(
            f"every entry of `{name}` must be >= {least:g}; row {row} has {array[row]:g}. "
            "Fix its sign or drop the row"
        )


def _check_value(journeys: JourneyArrays) -> None:
    if journeys.value is None:
        return
    wrong = np.flatnonzero((journeys.value != 0) & (journeys.conversions == 0))
    if len(wrong):
        raise JourneyError(
            f"a row without a conversion must have value 0; row {wrong[0]} has "
            f"{journeys.value[wrong[0]]:g}. Give it its conversions, or set the value to 0"
        )


def _check_age(journeys: JourneyArrays) -> None:
    age = journeys.given_age
    if age is None:
        return
    _check_shape(age, "age", journeys.n_touchpoints)
    wrong = np.flatnonzero(~(age >= 0) | np.isinf(age))
    later = np.flatnonzero(np.diff(age) > 0) + 1
    later = later[~np.isin(later, journeys.offsets)]
    for entries, must in (
        (wrong, "every age must be a finite number of days >= 0"),
        (later, "touchpoints must be in time order, so that ages never rise within a journey"),
    ):
        if len(entries):
            row = int(np.searchsorted(journeys.offsets, entries[0], side="right")) - 1
            raise JourneyError(f"{must}; row {row} has {age[entries[0]]:g} at entry {entries[0]}")


def _check_milestones(journeys: JourneyArrays) -> None:
    for stage, at in (journeys.milestones or {}).items():
        _check_shape(at, f"milestones[{stage!r}]", journeys.n_journeys)
        wrong = np.flatnonzero((at < -1) | (at >= journeys.lengths))
        if len(wrong):
            raise JourneyError(
                f"a milestone must be the position of a touchpoint in its journey, or -1; "
                f"{stage!r} of row {wrong[0]} is {at[wrong[0]]} of {journeys.lengths[wrong[0]]}"
            )
