"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mta_models.cli.run_config import EVENT_COLUMNS, PATH_COLUMNS, Run, run_from_toml

if TYPE_CHECKING:
    pass
from mta_models.cli.running import misuse, one_line_errors

ENDINGS = (".csv", ".parquet", ".json")


_FILE_HELP = (
    "CSV or Parquet file, or a quoted glob of them: a table of paths, or an event log if --user, "
    "--time, --channel and --conversion name its columns."
)


_CONFIG_HELP = (
    "A run: source, models, of, and columns under [paths] or [events]. Options win over it."
)


_COLUMN_HELP = {
    "path": "Paths: column of paths.  [default: path]",
    "conversions": "Paths: column of users who converted.  [default: conversions]",
    "nulls": "Paths: column of users who did not.  [default: nulls, if there is one]",
    "separator": "Paths: what stands between channels.  [default: ' > ']",
    "user": "Events: column of users.",
    "time": "Events: column of times.",
    "channel": "Events: column of channels; empty where a row is no touchpoint.",
    "conversion": "Events: column of conversions, 0 or 1.",
    "lookback": "Events: how long before a conversion touchpoints count, such as 30d.",
    "session": "Events: a channel's repeats within this time are one, such as 30min.",
    "observed": "Events: file of all users observed, with columns user, start, end.",
    "event-id": "Events: column of ids; of rows that share one only the first is kept.",
    "value": "Column of values, the row's total.  [default, of paths: value, for --of value]",
}


def known_ending(out: Path | None) -> Path | None:
    """Refuse a file whose name does not say how to write it: a misuse, exit code 2."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"must end in {', '.join(ENDINGS)}; got {str(out)!r}")
    return out


OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=known_ending,
        help="Write here instead of to the terminal, as the name ends: .csv, .parquet, .json.",
        show_default=False,
    ),
]


def reads(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what to read; they arrive as its first argument, a Run.

    Whatever goes wrong in it that is not a bug ends as one line on stderr and exit code 1.
    """
    own = list(signature(command, eval_str=True).parameters.values())[1:]
    shared = _reading_options()

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        with one_line_errors():
            run = _run(**{option.name: given.pop(option.name) for option in shared})
            command(run, **given)

    every = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in (*shared, *own)]
    wrapped.__signature__ = Signature(every)  # type: ignore[attr-defined]  # typer reads it
    wrapped.__annotations__ = {option.name: option.annotation for option in every}
    return wrapped


def _reading_options() -> list[Parameter]:
    def option(name: str, kind: Any, how: Any, default: Any = None) -> Parameter:
        annotation = Annotated[kind, how]
        return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def text(name: str, help_text: str) -> Parameter:
        how = typer.Option(f"--{name}", metavar="TEXT", help=help_text, show_default=False)
        return option(name.replace("-", "_"), str | None, how)

    file = typer.Argument(metavar="FILE", help=_FILE_HELP, show_default=False)
    example = typer.Option("--example", help="Run on the example log instead of a FILE.")
    config = typer.Option("--config", metavar="TOML", help=_CONFIG_HELP, show_default=False)
    return [
        option("file", str | None, file),
        option("example", bool, example, False),
        option("config", Path | None, config),
        *(text(name, help_text) for name, help_text in _COLUMN_HELP.items()),
    ]


def _run(*, file: str | None, example: bool, config: Path | None, **columns: str | None) -> Run:
    """The run that options and TOML describe together."""
    given = {name: column for name, column in columns.items() if column is not None}
    if example:
        if file or config or given:
            misuse("--example takes no FILE, no --config and no columns")
        return Run(None)
    run = run_from_toml(config) if config else Run(None)
    source = file or run.source
    if source is None:
        misuse("name a FILE to read, or try --example")
    run = Run(source, {**run.reading, **given}, run.models, run.of)
    of_paths = [name for name in PATH_COLUMNS if name in run.reading]
    missing = [f"--{name}" for name in EVENT_COLUMNS if name not in run.reading]
    if run.is_events and of_paths:
        misuse(f"--{of_paths[0]} is for tables of paths, and other columns are of an event log")
    if run.is_events and missing:
        misuse(f"an event log also needs {', '.join(missing)}")
    return run
