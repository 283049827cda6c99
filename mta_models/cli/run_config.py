"""A run: what to read and how, which models, credit of what. From options, a TOML file or both."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.errors import JourneyError, MTAError, ParameterError

if TYPE_CHECKING:
    import polars as pl

    from mta_models.data.journeys import Journeys

EVENT_COLUMNS = ("user", "time", "channel", "conversion")
PATH_COLUMNS = ("path", "conversions", "nulls", "separator")
EXAMPLE_NOTE = (
    "this shop is simulated. Paid Social, Retargeting, Email and Display cause conversions there; "
    "the Coupon Site, Organic Search, Direct and Brand Search cause none, and are met by those who "
    "would buy anyway"
)
_KEYS = ("source", "models", "of", "paths", "events")


@dataclass(frozen=True)
class Run:
    """One repeatable piece of work: journeys from a source, and models to ask about them.

    Attributes:
        source: path or glob of CSV or Parquet files; None: the example log.
        reading: arguments of `read_paths` or `read_events`, by name. It is an event log if the
            columns `user`, `time`, `channel` and `conversion` are named; some of them is an error.
        models: names of models, as `model_from_name` takes them; empty: the usual ones.
        of: `"conversions"` or `"value"`.
    """

    source: str | None
    reading: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    of: str = "conversions"

    @property
    def is_events(self) -> bool:
        """Whether the source is an event log rather than a table of paths."""
        return self.source is None or any(name in self.reading for name in EVENT_COLUMNS)

    @property
    def name(self) -> str:
        """What to call the source."""
        return "Example log" if self.source is None else self.source

    def journeys(self) -> tuple[Journeys, list[str]]:
        """Read the source: its journeys, and what a reader should know about the reading.

        Raises:
            MTAError: the source cannot be read as what it is said to be.
        """
        if self.source is None:
            from mta_models.worlds.mechanisms.shop import example_events

            return read_example(example_events()), [EXAMPLE_NOTE]
        if self.is_events:
            return self._read_events(), []
        return self._read_paths()

    def _read_events(self) -> Journeys:
        from mta_models.sources.events.reading import read_events

        missing = [name for name in EVENT_COLUMNS if name not in self.reading]
        if missing:
            raise ParameterError(
                f"an event log needs its columns {', '.join(EVENT_COLUMNS)} named; "
                f"{', '.join(missing)} is missing. Name it, or leave out all four for a table "
                "of paths"
            )
        _check_arguments(self.reading, read_events, "an event log")
        return read_events(self.source, **self.reading)

    def _read_paths(self) -> tuple[Journeys, list[str]]:
        from mta_models.sources.paths import read_paths

        _check_arguments(self.reading, read_paths, "a table of paths")
        reading, notes = dict(self.reading), []
        # Values that nobody asks for are left alone: they may be anything.
        for column in ("nulls", "value") if self.of == "value" else ("nulls",):
            if column not in reading and self._has(column):
                reading[column] = column
        if "nulls" not in reading:
            notes.append("no column of nulls: only users who converted are known")
        try:
            return read_paths(self.source, **reading), notes
        except JourneyError as error:
            if "path" in reading or self._has("path") or "column 'path'" not in str(error):
                raise
            raise JourneyError(
                f"{error}; for an event log name its columns {', '.join(EVENT_COLUMNS)}"
            ) from error

    def _has(self, column: str) -> bool:
        from mta_models.sources.tables import open_table

        try:
            open_table(self.source, [column])
        except MTAError:  # what else is wrong with the source, reading it will say
            return False
        return True


def read_example(log: pl.DataFrame) -> Journeys:
    """Journeys of `example_events`, with a lookback of 30 days."""
    from mta_models.sources.events.reading import read_events

    columns: dict[str, Any] = {name: name for name in (*EVENT_COLUMNS, "value")}
    return read_events(log, **columns, lookback="30d")


def run_from_toml(file: Path) -> Run:
    """The run that a TOML file describes.

    ```toml
    source = "log.csv"                       # beside the TOML file, unless absolute
    models = ["LastTouch", "Markov(order=2)"]
    of = "value"

    [events]                                 # arguments of read_events; or [paths], of read_paths
    user = "visitor"
    time = "at"
    channel = "channel"
    conversion = "bought"
    value = "amount"
    lookback = "30d"
    ```

    Raises:
        ParameterError: the file is not TOML, or holds a key or a type that a run does not have.
        MTAError: the file cannot be read.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{str(file)!r} must be TOML; {error}. Correct it") from error
    except OSError as error:
        raise MTAError(f"cannot read {str(file)!r}: {error.strerror}") from error
    _check_keys(given, file)
    source = given.get("source")
    return Run(
        source=None if source is None else str(file.parent / source),
        reading={
            name: _plain(value, file.parent) for name, value in given.get("events", {}).items()
        }
        or dict(given.get("paths", {})),
        models=tuple(given.get("models", ())),
        of=given.get("of", "conversions"),
    )


def _check_keys(given: Mapping[str, Any], file: Path) -> None:
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise ParameterError(
            f"a run has the keys {', '.join(_KEYS)}; {str(file)!r} has {unknown[0]!r}. Correct it"
        )
    kinds = {"source": str, "of": str, "models": list, "paths": dict, "events": dict}
    for key, value in given.items():
        if not isinstance(value, kinds[key]):
            raise ParameterError(
                f"{key} must be a {kinds[key].__name__}; {str(file)!r} has {value!r}. Correct it"
            )
    if not all(isinstance(model, str) for model in given.get("models", ())):
        raise ParameterError(f"models must be a list of names; got {given['models']!r}")
    if "paths" in given and "events" in given:
        raise ParameterError(f"{str(file)!r} must have [paths] or [events]; it has both. Drop one")


def _check_arguments(reading: Mapping[str, Any], reader: Any, what: str) -> None:
    known = [name for name in inspect.signature(reader).parameters if name != "source"]
    unknown = [name for name in reading if name not in known]
    if unknown:
        raise ParameterError(
            f"{what} is read with {', '.join(known)}; got {', '.join(unknown)}. Leave it out"
        )


def _plain(value: Any, folder: Path) -> Any:
    """TOML knows lists only; a pair of bounds is a tuple. Files stand beside the TOML file."""
    if isinstance(value, str) and value.lower().endswith((".csv", ".tsv", ".parquet")):
        return str(folder / value)
    return tuple(value) if isinstance(value, list) else value
