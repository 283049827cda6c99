"""Journeys: ragged touchpoints as flat arrays, with their outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.core.arrays import is_name, read_only
from mta_models.core.checks import as_list, shown
from mta_models.core.number_columns import entries, integers, numbers
from mta_models.core.ragged import Floats, Ints, Mask, Numbers, group_equal, keep, spread
from mta_models.data import transforms
from mta_models.data.histories import Histories
from mta_models.data.history_building import histories_from
from mta_models.data.journey_arrays import JourneyArrays
from mta_models.data.journeys_checks import check_journeys
from mta_models.errors import JourneyError, UnknownChannelError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True, eq=False, repr=False)
class Journeys(JourneyArrays):
    """Journeys: ordered touchpoints and their outcomes. A frozen value, checked when it is made.

    Row i is one path of channels, which `conversions[i]` users ended with a conversion and
    `nulls[i]` users without one. Rows without a touchpoint are allowed: the baseline is estimated
    from them.
    Arrays are read-only; a changed copy is a new `Journeys`.

    Make one with `read_paths`, `read_wide`, `read_events`, `from_paths` or `from_arrays`.

    Attributes:
        channels: names; `codes` index into it.
        codes: shape `(n_touchpoints,)`, integers.
        offsets: shape `(n_journeys + 1,)`; journey i is `codes[offsets[i]:offsets[i + 1]]`.
        conversions: shape `(n_journeys,)`, users who converted at the journey's end.
        nulls: shape `(n_journeys,)`, users who did not.
        value: shape `(n_journeys,)`, total value of the row's conversions, or None.
        time: shape `(n_touchpoints,)`, days from the log's start to the touchpoint, or None.
        given_age: `age` if the source gives it instead of times, or None.
        given_at_risk: `at_risk` if the source gives it instead of a timeline, or None.
        keys: shape `(n_touchpoints,)`, the source row of each touchpoint, or None.
        users: shape `(n_journeys,)`, integer code of the user, or None.
        end: shape `(n_journeys,)`, days from the log's start to the journey's end, or None.
        milestones: for each stage ("lead", "opportunity", "close" …) an array of shape
            `(n_journeys,)`: the position in the journey, from 0, of the touchpoint to which the
            stage is credited, -1 if the journey lacks it. Or None.
        timeline: every touchpoint of every user, without a lookback, or None.
        report: the `Ledger` of the reading, or None.

    Raises:
        JourneyError: an array breaks one of these rules; names the row.

    Example:
        >>> from mta_models import Journeys
        >>> journeys = Journeys.from_paths([["Search", "Email"], ["Email"]], conversions=[2, 1])
        >>> journeys
        Journeys(2 journeys, 3 touchpoints, 2 channels, 3 conversions, 0 nulls)
    """

    def __post_init__(self) -> None:
        check_journeys(self)
        self._freeze()

    def __getstate__(self) -> dict[str, Any]:
        # Only fields: properties that were computed from them can be computed again.
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # An array that numpy pickles or copies is no longer read-only.
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._freeze()

    def _freeze(self) -> None:
        for each in fields(self):
            array = getattr(self, each.name)
            if isinstance(array, np.ndarray) and array.flags.writeable:
                object.__setattr__(self, each.name, read_only(array))
        if self.milestones is not None:
            frozen = {stage: read_only(at) for stage, at in self.milestones.items()}
            object.__setattr__(self, "milestones", frozen)

    @classmethod
    def from_arrays(
        cls,
        channels: Sequence[str],
        codes: Iterable[int],
        offsets: Iterable[int],
        conversions: Iterable[float],
        nulls: Iterable[float] | None = None,
        value: Iterable[float] | None = None,
        age: Iterable[float] | None = None,
        at_risk: Iterable[float] | None = None,
        keys: Iterable[Any] | None = None,
        milestones: Mapping[str, Iterable[int]] | None = None,
    ) -> Journeys:
        """Journeys from flat arrays, as described on the class.

        Args:
            channels: names, without repeats.
            codes: shape `(n_touchpoints,)`, index into `channels`.
            offsets: shape `(n_journeys + 1,)`, from 0 to n_touchpoints, never decreasing.
            conversions: shape `(n_journeys,)`, counts >= 0.
            nulls: shape `(n_journeys,)`, counts >= 0; None: 0 in every row.
            value: shape `(n_journeys,)`, the row's total, 0 in rows without a conversion.
            age: shape `(n_touchpoints,)`, days >= 0 from each touchpoint to its journey's end.
            at_risk: shape `(n_journeys,)`, days >= 0 each journey was observed.
            keys: shape `(n_touchpoints,)`, source row of each touchpoint.
            milestones: by stage, shape `(n_journeys,)`, as described on the class.

        Raises:
            JourneyError: an array breaks one of these rules; names the row.

        Example:
            >>> from mta_models import Journeys
            >>> paths = {"codes": [0, 1, 1], "offsets": [0, 2, 3]}  # A > B, and B
            >>> Journeys.from_arrays(["A", "B"], **paths, conversions=[1, 2])
            Journeys(2 journeys, 3 touchpoints, 2 channels, 3 conversions, 0 nulls)
        """
        counts = numbers(conversions, "conversions")
        if milestones is not None and not isinstance(milestones, Mapping):
            raise JourneyError(
                "`milestones` must be a mapping of stages to positions, one of each journey; got "
                f"{shown(milestones)}"
            )
        return cls(
            channels=_names(channels),
            codes=integers(codes, "codes"),
            offsets=integers(offsets, "offsets").astype(np.int64, copy=False),
            conversions=counts,
            nulls=np.zeros(len(counts)) if nulls is None else numbers(nulls, "nulls"),
            value=None if value is None else numbers(value, "value").astype(np.float64),
            given_age=None if age is None else numbers(age, "age").astype(np.float64),
            given_at_risk=None
            if at_risk is None
            else numbers(at_risk, "at_risk").astype(np.float64),
            keys=None if keys is None else np.array(entries(keys, "keys")),
            milestones=None
            if milestones is None
            else {stage: integers(at, stage) for stage, at in milestones.items()},
        )

    @classmethod
    def from_paths(
        cls,
        paths: Sequence[Sequence[str]],
        conversions: Iterable[float],
        nulls: Iterable[float] | None = None,
        value: Iterable[float] | None = None,
        channels: Sequence[str] | None = None,
    ) -> Journeys:
        """Journeys from lists of channel names.

        Args:
            paths: one sequence of channel names per journey; `[]` is a journey without touchpoints.
            conversions: shape `(n_journeys,)`, users who converted after each path.
            nulls: shape `(n_journeys,)`, users who did not; None: 0 in every row.
            value: shape `(n_journeys,)`, the row's total value.
            channels: the channels and their order; None: the channels of the paths, sorted.

        Raises:
            JourneyError: a path is text instead of a list, or has a blank or unknown channel.

        Example:
            >>> from mta_models import Journeys
            >>> Journeys.from_paths([["A", "B"], []], conversions=[3, 1], nulls=[7, 9])
            Journeys(2 journeys, 2 touchpoints, 2 channels, 4 conversions, 16 nulls)
        """
        paths = as_list(paths, "paths", "paths, each a list of channel names")
        for row, path in enumerate(paths):
            if isinstance(path, str) or not isinstance(path, Sequence | np.ndarray):
                kind = "text" if isinstance(path, str) else type(path).__name__
                raise JourneyError(
                    f"every path must be a sequence of channel names; row {row} is the {kind} "
                    f"{shown(path)}. Split it, or read a table of texts with read_paths"
                )
        sizes = np.fromiter((len(path) for path in paths), dtype=np.int64, count=len(paths))
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        touched = list(chain.from_iterable(paths))
        wrong = next((i for i, name in enumerate(touched) if not is_name(name)), None)
        if wrong is not None:
            row = int(np.searchsorted(offsets, wrong, side="right")) - 1
            raise JourneyError(
                f"every channel must be a non-blank text; row {row} has {touched[wrong]!r}. "
                "Drop it or name it"
            )
        names = tuple(sorted(set(touched))) if channels is None else _names(channels)
        index = {name: code for code, name in enumerate(names)}
        unknown = next((i for i, name in enumerate(touched) if name not in index), None)
        if unknown is not None:
            row = int(np.searchsorted(offsets, unknown, side="right")) - 1
            raise JourneyError(
                f"every channel of a path must be among `channels`; row {row} has "
                f"{touched[unknown]!r}. Add it, or leave `channels` out"
            )
        codes = np.fromiter((index[name] for name in touched), dtype=np.int64, count=len(touched))
        return cls.from_arrays(names, codes, offsets, conversions, nulls, value)

    @cached_property
    def histories(self) -> Histories:
        """The same journeys as models on timelines read them, computed on first use.

        Raises:
            JourneyError: the journeys have neither a timeline nor ages and times at risk.
        """
        return histories_from(self)

    def compress(self) -> Journeys:
        """Equal paths merged into one row; their conversions, nulls and values are summed.

        Rows are in the order in which their path first appears. Arrays that belong to a single user
        (times, users, source rows, milestones, timeline) are left out.

        Example:
            >>> from mta_models import Journeys
            >>> paths = [["A"], ["A", "B"], ["A"]]
            >>> Journeys.from_paths(paths, conversions=[1, 1, 0], nulls=[0, 0, 1]).compress()
            Journeys(2 journeys, 3 touchpoints, 2 channels, 2 conversions, 1 nulls)
        """
        return self.merge(*group_equal(self.codes, self.offsets))

    def merge(self, group: Ints, leader: Ints) -> Journeys:
        """As `compress`, with the result of `ragged.group_equal` as arguments.

        Args:
            group: shape `(n_journeys,)`, the group of each row.
            leader: shape `(n_groups,)`, the first row of each group, ascending.
        """

        def merged(amounts: Numbers) -> Floats:
            return np.bincount(group, amounts, len(leader)).astype(np.float64, copy=False)

        kept = np.zeros(self.n_journeys, dtype=bool)
        kept[leader] = True
        touched = spread(kept, self.offsets)
        return Journeys(
            channels=self.channels,
            codes=self.codes[touched],
            offsets=np.concatenate(([0], np.cumsum(self.lengths[leader]))),
            conversions=merged(self.conversions),
            nulls=merged(self.nulls),
            value=None if self.value is None else merged(self.value),
            report=self.report,
        )

    def transform(self, *steps: transforms.Step) -> Journeys:
        """Journeys with path transforms applied, left to right.

        Times, source rows and milestones follow their touchpoints; a milestone whose touchpoint is
        dropped moves to the latest one kept before it. Outcomes do not change. The timeline is left
        out, because it would still have the dropped touchpoints: fit models on timelines before
        transforming.

        Args:
            steps: `"exposure"`, `"first"`, `"unique"`, `"frequency"`, or with arguments
                `("remove_if_not_all", "Direct")`, `("remove_if_last_and_not_all", "Direct")`,
                `("trim", 20)`.

        Raises:
            ParameterError: a step is none of these.

        Example:
            >>> from mta_models import Journeys
            >>> journeys = Journeys.from_paths([list("DABBCDCC")], conversions=[1])
            >>> journeys.transform("exposure", ("trim", 3)).to_frame()["path"][0]
            'C > D > C'
        """
        result = self
        for step in steps:
            name, arguments = transforms.parse(step)
            if name == "frequency":
                mask, codes, channels = transforms.frequency(
                    result.codes, result.offsets, result.channels
                )
                result = result._keep(mask)._with(codes=read_only(codes), channels=channels)
            else:
                function = transforms.MASKS[name]
                mask = function(result.codes, result.offsets, result.channels, *arguments)
                result = result._keep(mask)
        return result

    def recode(self, channels: tuple[str, ...]) -> Journeys:
        """The same journeys over another list of channels, which must have every channel met.

        Raises:
            UnknownChannelError: a journey has a channel that is not in the list.
        """
        names = _names(channels)
        if names == self.channels:
            return self
        index = {name: code for code, name in enumerate(names)}
        new_code = np.array([index.get(name, -1) for name in self.channels], dtype=np.int64)
        codes = new_code[self.codes]
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            row = int(np.searchsorted(self.offsets, unknown[0], side="right")) - 1
            raise UnknownChannelError(
                f"every channel must be one the model was fitted on; row {row} has "
                f"{self.channels[self.codes[unknown[0]]]!r}. Fit on journeys that have it, "
                "or drop its touchpoints"
            )
        timeline = self.timeline
        if timeline is not None:
            # A lookback may have cut every touchpoint of a channel that the timeline still has.
            lost = np.flatnonzero(new_code[timeline.codes] < 0)
            if len(lost):
                raise UnknownChannelError(
                    f"every channel must be one the model was fitted on; the timeline has "
                    f"{self.channels[timeline.codes[lost[0]]]!r}. Fit on journeys that have it"
                )
            timeline = replace(timeline, codes=read_only(new_code[timeline.codes]))
        return self._with(channels=names, codes=read_only(codes), timeline=timeline)

    def reweighted(
        self, conversions: Numbers, nulls: Numbers, value: Floats | None = None
    ) -> Journeys:
        """The same paths with other outcomes, all of shape `(n_journeys,)`; arrays are shared."""
        return self._with(conversions=conversions, nulls=nulls, value=value)

    def to_frame(self, *, separator: str = " > ") -> pd.DataFrame:
        """One row per journey: `path`, `conversions`, `nulls` and the other arrays per journey.

        Args:
            separator: text between two channels of a path.

        Raises:
            JourneyError: a channel contains the separator, so paths would be ambiguous.
        """
        import pandas as pd

        return pd.DataFrame(self._columns(separator))

    def to_polars(self, *, separator: str = " > ") -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.DataFrame(self._columns(separator))

    def __repr__(self) -> str:
        counts = {
            "journeys": self.n_journeys,
            "touchpoints": self.n_touchpoints,
            "channels": self.n_channels,
            "conversions": self.total,
            "nulls": float(self.nulls.sum(dtype=np.float64)),
        }
        return f"Journeys({', '.join(f'{count:,.10g} {what}' for what, count in counts.items())})"

    def _columns(self, separator: str) -> dict[str, Any]:
        clash = next((name for name in self.channels if separator in name), None)
        if clash is not None:
            raise JourneyError(
                f"no channel may contain the separator, {separator!r}; the channel {clash!r} "
                "contains it. Give another separator"
            )
        names = np.array(self.channels, dtype=object)[self.codes].tolist()
        cuts = self.offsets.tolist()
        columns: dict[str, Any] = {
            "path": [separator.join(names[a:b]) for a, b in pairwise(cuts)],
            "conversions": self.conversions,
            "nulls": self.nulls,
        }
        optional = {"value": self.value, "users": self.users, "end": self.end}
        optional |= {"at_risk": self.at_risk, **(self.milestones or {})}
        return columns | {name: array for name, array in optional.items() if array is not None}

    def _keep(self, mask: Mask) -> Journeys:
        """Only the touchpoints under `mask`, with the arrays per touchpoint."""
        if mask.all():
            return self._without_timeline()
        before = np.concatenate(([0], np.cumsum(mask)))
        starts, filled = self.offsets[:-1], self.lengths > 0
        milestones = {
            stage: np.where(filled & (at >= 0), before[starts + at + 1] - before[starts] - 1, -1)
            for stage, at in (self.milestones or {}).items()
        }

        def pick(array: Numbers | None) -> Numbers | None:
            return None if array is None else read_only(array[mask])

        return self._without_timeline(
            codes=pick(self.codes),
            offsets=read_only(keep(mask, self.offsets)),
            time=pick(self.time),
            given_age=pick(self.given_age),
            keys=pick(self.keys),
            milestones=milestones or None,
        )

    def _without_timeline(self, **changes: Any) -> Journeys:
        """A changed copy without the timeline; the days at risk that follow from it are kept."""
        return self._with(given_at_risk=self.at_risk, timeline=None, **changes)

    def _with(self, **changes: Any) -> Journeys:
        """A changed copy without checks, which take time: the caller must keep the rules."""
        copy = object.__new__(Journeys)
        for each in fields(self):
            object.__setattr__(copy, each.name, changes.get(each.name, getattr(self, each.name)))
        copy._freeze()
        return copy


def require_journeys(given: object, user: str) -> None:
    """Refuse what is not `Journeys`, on behalf of the function or model `user`.

    Raises:
        JourneyError: names `user`, the type given, and how journeys are made.
    """
    if not isinstance(given, Journeys):
        raise JourneyError(
            f"{user} must be given Journeys; got {type(given).__name__}. "
            "Make them with read_paths, read_events or Journeys.from_paths"
        )


def _names(channels: Sequence[str]) -> tuple[str, ...]:
    """The names in a list; of a text its letters, as of any sequence of texts.

    They are checked here, before they are looked up: what is no name may have no hash.
    """
    several = list(channels) if isinstance(channels, str) else channels
    names = tuple(as_list(several, "channels", "channel names"))
    wrong = next((name for name in names if not is_name(name)), None)
    if wrong is not None:
        raise JourneyError(f"every channel must be a non-blank text; got {shown(wrong)}")
    return names
