"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from mta_models.cli.run_config import Run, run_from_toml
from mta_models.cli.running import misuse, one_line_errors
from mta_models.cli.source_kinds import KINDS, OPTIONS, Option, kind_of
from mta_models.errors import ParameterError

ENDINGS = (".csv", ".parquet", ".json")


_FILE_HELP = (
    "CSV or Parquet file, a quoted glob of them, or an address such as s3://bucket/log.parquet."
)
_SOURCE_HELP = (
    "Kind of source.  [default: the kind that has the other options; without options, paths]"
)
_CONFIG_HELP = (
    "File with the source, models, of, and the options of the source under "
    f"{' or '.join(f'[{name}]' for name in KINDS)}. Options on the command line come first."
)


def known_ending(out: Path | None) -> Path | None:
    """Refuse a file name without a known ending: a misuse, exit code 2."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"must end in {', '.join(ENDINGS)}; got {str(out)!r}")
    return out


OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=known_ending,
        help="File for the result, in the format of its ending: .csv, .parquet or .json.",
        show_default=False,
    ),
]


def reads(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a source to a command, which gets them as its first argument, a `Run`.

    An `MTAError` in the command becomes one line on stderr and exit code 1.
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

    def of_source(each: Option) -> Parameter:
        kinds = ", ".join(kind.name for kind in KINDS.values() if each.argument in kind.flags)
        text = f"{kinds.capitalize()}: {each.help}"
        if each.switch:
            return option(each.argument, bool, typer.Option(each.switch, help=text), False)
        how = typer.Option(each.flag, metavar="TEXT", help=text, show_default=False)
        return option(each.argument, list[str] | None if each.several else str | None, how)

    names = StrEnum("SourceName", [*KINDS])  # type: ignore[misc]  # its members are the registry's
    file = typer.Argument(metavar="FILE", help=_FILE_HELP, show_default=False)
    example = typer.Option("--example", help="Run on the example log instead of a FILE.")
    config = typer.Option("--config", metavar="TOML", help=_CONFIG_HELP, show_default=False)
    source = typer.Option("--source", help=_SOURCE_HELP, show_default=False)
    return [
        option("file", str | None, file),
        option("example", bool, example, False),
        option("config", Path | None, config),
        option("source", names | None, source),
        *map(of_source, OPTIONS.values()),
    ]


def _run(
    *, file: str | None, example: bool, config: Path | None, source: str | None, **options: Any
) -> Run:
    """The run that the options and the TOML file describe together."""
    given = {
        name: False if OPTIONS[name].switch else value
        for name, value in options.items()
        if value not in (None, False, [])
    }
    if example:
        if file or config or source or given:
            misuse("--example takes no FILE, no --config and no options of a source")
        return Run(None)
    run = run_from_toml(config) if config else Run(None)
    file = file or run.source
    if file is None:
        misuse("name a FILE to read, or try --example")
    reading = {**run.reading, **given}
    try:
        kind = kind_of(reading, source or run.kind)
    except ParameterError as error:
        misuse(str(error))
    missing = [kind.flags[name] for name in kind.required if name not in reading]
    if missing:
        misuse(f"{kind.what} also needs {', '.join(missing)}")
    return replace(run, source=file, kind=kind.name, reading=reading)
