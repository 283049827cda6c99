"""A run: a source, how to read it, models, and the outcome to credit; by options or TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.cli.source_kinds import KINDS, kind_of
from mta_models.errors import JourneyError, MTAError, ParameterError

if TYPE_CHECKING:
    import polars as pl

    from mta_models.data.journeys import Journeys

EXAMPLE_NOTE = (
    "this shop is simulated. Paid Social, Retargeting, Email and Display cause conversions there; "
    "the Coupon Site, Organic Search, Direct and Brand Search cause none: users who would buy "
    "anyway come through them"
)
_KEYS = ("source", "models", "of", *KINDS)


@dataclass(frozen=True)
class Run:
    """A source to read journeys from, and the models to fit to them.

    Attributes:
        source: path, glob or address of CSV or Parquet files; None: the example log.
        kind: of the source, a key of `KINDS`; None: inferred from `reading`.
        reading: arguments of the kind's reader, by name.
        models: names of models, as `model_from_name` takes them; empty: the usual ones.
        of: `"conversions"` or `"value"`.
        config: the TOML file that describes the run, or None.
    """

    source: str | None
    kind: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    of: str = "conversions"
    config: Path | None = None

    @property
    def name(self) -> str:
        """The name of the source for messages."""
        return "Example log" if self.source is None else self.source

    def journeys(self) -> tuple[Journeys, list[str]]:
        """The journeys of the source, and notes on the reading for the user.

        Raises:
            MTAError: the source cannot be read as its kind.
        """
        if self.source is None:
            from mta_models.worlds.mechanisms.shop import example_events

            return read_example(example_events()), [EXAMPLE_NOTE]
        return kind_of(self.reading, self.kind).read(self.source, self.reading, self.of)

    def refuse_to_write(self, out: Path) -> None:
        """Refuse to write to a file that the run reads by any path, link or glob.

        Raises:
            MTAError: `out` is such a file.
        """
        kind = kind_of(self.reading, self.kind)
        inputs = {
            "FILE": self.source,
            "--config": None if self.config is None else str(self.config),
            **{kind.flags[name]: self.reading.get(name) for name in kind.files},
        }
        for option, given in inputs.items():
            if _reads(given, out):
                raise MTAError(
                    f"--out must not be a file that the run reads; {str(out)!r} is read by "
                    f"{option} {given!r}. Name another file"
                )


def _reads(given: Any, out: Path) -> bool:
    """Whether the path or glob `given` reads `out`, now or once that file exists."""
    from mta_models.sources.tables import files_of, is_remote, local_path

    if not isinstance(given, str) or is_remote(given):
        return False
    given = local_path(given)
    if Path(os.path.abspath(out)).match(os.path.abspath(given)):
        return True
    try:
        files = files_of(given)
    except JourneyError:  # no such file: reading it will say so
        return False
    return out.exists() and any(out.samefile(file) for file in files)


def read_example(log: pl.DataFrame) -> Journeys:
    """Journeys of `example_events`, with a lookback of 30 days."""
    from mta_models.sources.events.reading import read_events

    columns: dict[str, Any] = {name: name for name in (*KINDS["events"].required, "value")}
    return read_events(log, **columns, lookback="30d")


def run_from_toml(file: Path) -> Run:
    """The run that a TOML file describes, such as this one.

    ```toml
    source = "log.csv"                       # in this file's folder, or absolute, or an address
    models = ["LastTouch", "Markov(order=2)"]
    of = "value"

    [events]                                 # the kind of source, and arguments of its reader
    user = "visitor"
    time = "at"
    channel = "channel"
    conversion = "bought"
    value = "amount"
    lookback = "30d"
    ```

    Raises:
        ParameterError: the file is not TOML, or has an unknown key or a value of a wrong type.
        MTAError: the file cannot be read.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{str(file)!r} must be TOML; {error}. Correct it") from error
    except OSError as error:
        raise MTAError(f"cannot read {str(file)!r}: {error.strerror}") from error
    _check_keys(given, file)
    from mta_models.sources.tables import is_file_name

    kind = next((name for name in KINDS if name in given), None)
    files = () if kind is None else KINDS[kind].files
    reading = {
        name: _beside(file, value) if name in files and is_file_name(str(value)) else _plain(value)
        for name, value in ({} if kind is None else given[kind]).items()
    }
    source = given.get("source")
    return Run(
        source=None if source is None else _beside(file, source),
        kind=kind,
        reading=reading,
        models=tuple(given.get("models", ())),
        of=given.get("of", "conversions"),
        config=file,
    )


def _check_keys(given: Mapping[str, Any], file: Path) -> None:
    from mta_models.core.checks import shown

    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise ParameterError(
            f"a run must have only the keys {', '.join(_KEYS)}; {str(file)!r} has {unknown[0]!r}. "
            "Correct it"
        )
    texts, lists, tables = (str, "a text"), (list, "a list"), (dict, "a table")
    types: dict[str, tuple[type, str]] = {"source": texts, "of": texts, "models": lists}
    for key, value in given.items():
        needed, words = types.get(key, tables)
        if not isinstance(value, needed):
            raise ParameterError(
                f"{key} must be {words}; {str(file)!r} has {shown(value)}. Correct it"
            )
    if not all(isinstance(model, str) for model in given.get("models", ())):
        raise ParameterError(f"models must be a list of names; got {shown(given['models'])}")
    kinds = [f"[{name}]" for name in KINDS if name in given]
    if len(kinds) > 1:
        raise ParameterError(
            f"a run must have one kind of source; {str(file)!r} has {' and '.join(kinds)}. "
            "Leave one out"
        )


def _beside(file: Path, value: Any) -> Any:
    """A path, relative to the folder of the TOML file; addresses and other values stay."""
    from mta_models.sources.tables import is_address

    if not isinstance(value, str) or is_address(value):
        return _plain(value)
    return str(file.parent / value)


def _plain(value: Any) -> Any:
    """The value, with a list as a tuple: TOML has no tuples, and a pair of bounds is one."""
    return tuple(value) if isinstance(value, list) else value
