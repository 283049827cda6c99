"""The kinds of source that commands read. A new kind is one more entry of `KINDS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mta_models.errors import JourneyError, MTAError, ParameterError

if TYPE_CHECKING:
    from mta_models.data.journeys import Journeys

Reading = Mapping[str, Any]
Prepare = Callable[[str, Reading, str], tuple[Reading, list[str]]]


@dataclass(frozen=True)
class Option:
    """An option of the command line that is an argument of a reader.

    Attributes:
        argument: of the reader. The option has the same name, unless `switch` is set.
        help: one line; the kinds of source with this option are put before it.
        several: whether the option may be repeated; the reader gets a list.
        switch: name of an option without a value, which sets the argument to False.
    """

    argument: str
    help: str
    several: bool = False
    switch: str = ""

    @property
    def flag(self) -> str:
        """The option as written in a terminal."""
        return self.switch or f"--{self.argument.replace('_', '-')}"


def _as_given(source: str, reading: Reading, of: str) -> tuple[Reading, list[str]]:
    return reading, []


@dataclass(frozen=True)
class SourceKind:
    """A kind of source: its name in `--source` and in TOML files, its options, its reader.

    Attributes:
        name: of `--source`, and of the table in a TOML file that holds the reader's arguments.
        what: description of such a source, with an article.
        reader: the public function that reads it, as `module:function`; imported when it is called.
        options: options of the command line. A TOML file may have any argument of the reader.
        required: arguments that must be set.
        files: arguments that may name further files.
        prepare: completes the arguments of the reader, from the source, the arguments of the user
            and the outcome to credit; also returns notes for the user.
    """

    name: str
    what: str
    reader: str
    options: tuple[Option, ...]
    required: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    prepare: Prepare = _as_given

    @property
    def flags(self) -> dict[str, str]:
        """The option of each argument, as written in a terminal."""
        return {option.argument: option.flag for option in self.options}

    def read(self, source: str, reading: Reading, of: str) -> tuple[Journeys, list[str]]:
        """The journeys of `source`, and notes on the reading for the user.

        Raises:
            MTAError: the source cannot be read as this kind, or the reader lacks an argument.
        """
        module, _, function = self.reader.partition(":")
        reader = getattr(import_module(module), function)
        known = [name for name in inspect.signature(reader).parameters if name != "source"]
        unknown = [name for name in reading if name not in known]
        if unknown:
            raise ParameterError(
                f"options of {self.what} must be {', '.join(known)}; got {', '.join(unknown)}. "
                "Leave it out"
            )
        arguments, notes = self.prepare(source, reading, of)
        return reader(source, **arguments), notes


def kind_of(reading: Reading, name: str | None = None) -> SourceKind:
    """The kind of source called `name`, or without a name the first kind with all arguments.

    Without arguments this is paths.

    Raises:
        ParameterError: no kind has all the arguments, or the named kind does not.
    """
    candidates = [*KINDS.values()] if name is None else [KINDS[name]]
    # Arguments without an option come from a TOML file; `SourceKind.read` checks them.
    asked = [argument for argument in reading if argument in OPTIONS]
    for kind in candidates:
        if all(argument in kind.flags for argument in asked):
            return kind
    owned: dict[str, list[str]] = {}
    for argument in asked:
        owner = " and ".join(kind.name for kind in KINDS.values() if argument in kind.flags)
        owned.setdefault(owner, []).append(OPTIONS[argument].flag)
    stated = [f"{', '.join(each)} (of {owner})" for owner, each in owned.items()]
    here = "" if name is None else f", here {name}"
    raise ParameterError(
        f"options must belong to one kind of source{here}; got {' and '.join(stated)}. "
        "Leave out what does not belong to it, or name another by --source"
    )


def _prepare_paths(source: str, reading: Reading, of: str) -> tuple[Reading, list[str]]:
    """Add the columns of nulls and, to credit value, of values, if they have the usual names."""
    if "path" not in reading:
        _check_path_column(source)
    # Values are read only to credit value: otherwise the column may hold anything.
    usual = ("nulls", "value") if of == "value" else ("nulls",)
    present = {name: name for name in usual if name not in reading and _has(source, name)}
    arguments = {**reading, **present}
    missing = "there is no column of nulls, so only users who converted are in the data"
    return arguments, [] if "nulls" in arguments else [missing]


def _check_path_column(source: str) -> None:
    from mta_models.sources.tables import open_table

    try:
        open_table(source, ["path"])
    except JourneyError as error:
        if "column 'path'" in str(error):
            raise JourneyError(
                f"{error}; for an event log name its columns {', '.join(KINDS['events'].required)},"
                " and for a table with one touchpoint a column say --source wide"
            ) from error
        raise


def _has(source: str, column: str) -> bool:
    from mta_models.sources.tables import open_table

    try:
        open_table(source, [column])
    except MTAError:  # other faults of the source are reported when it is read
        return False
    return True


def _prepare_wide(source: str, reading: Reading, of: str) -> tuple[Reading, list[str]]:
    """`--touchpoints` once is a prefix of columns; several times it lists columns."""
    names = reading.get("touchpoints")
    if isinstance(names, list) and len(names) == 1:
        return {**reading, "touchpoints": names[0]}, []
    return reading, []


_VALUE = Option(
    "value", "column of values, the row's total.  [default, of paths: value, for --of value]"
)

# If options fit several kinds, the first of these is used.
KINDS: dict[str, SourceKind] = {
    kind.name: kind
    for kind in (
        SourceKind(
            "paths",
            "a table of paths",
            "mta_models.sources.paths:read_paths",
            (
                Option("path", "column of paths.  [default: path]"),
                Option("conversions", "column of users who converted.  [default: conversions]"),
                Option("nulls", "column of users who did not.  [default: nulls, if there is one]"),
                Option("separator", "text between two channels.  [default: ' > ']"),
                _VALUE,
            ),
            prepare=_prepare_paths,
        ),
        SourceKind(
            "events",
            "an event log",
            "mta_models.sources.events.reading:read_events",
            (
                Option("user", "column of users."),
                Option("time", "column of times."),
                Option("channel", "column of channels; empty in a row that is no touchpoint."),
                Option("conversion", "column of conversions, 0 or 1."),
                Option(
                    "lookback", "time before a conversion in which touchpoints count, such as 30d."
                ),
                Option("session", "merge repeats of a channel within this time, such as 30min."),
                Option("observed", "file of all observed users, with columns user, start, end."),
                Option("event_id", "column of ids; only the first row of each id is kept."),
                _VALUE,
            ),
            required=("user", "time", "channel", "conversion"),
            files=("observed",),
        ),
        SourceKind(
            "wide",
            "a table with one touchpoint a column",
            "mta_models.sources.paths:read_wide",
            (
                Option("outcome", "column that says how the journey ended."),
                Option(
                    "converted", "word for a conversion there. Repeat it for more.", several=True
                ),
                Option("null", "word for no conversion there. Repeat it for more.", several=True),
                Option(
                    "touchpoints",
                    "prefix of the touchpoint columns, which a number follows; repeated, the "
                    "columns in order.  [default: all others]",
                    several=True,
                ),
                Option(
                    "header",
                    "the file has no header; columns are column_0, column_1 …",
                    switch="--no-header",
                ),
                _VALUE,
            ),
            required=("outcome", "converted", "null"),
            prepare=_prepare_wide,
        ),
    )
}

# By argument. An argument of several kinds is one option, with the help of the first kind.
OPTIONS: dict[str, Option] = {}
for _kind in KINDS.values():
    for _option in _kind.options:
        OPTIONS.setdefault(_option.argument, _option)
