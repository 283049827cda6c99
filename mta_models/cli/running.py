"""What every command shares: what to read, where the result goes, how errors and waits show."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from mta_models.cli.run_config import Run
from mta_models.core import files
from mta_models.errors import MTAError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from mta_models.data.journeys import Journeys


_PATIENCE = 1.0  # seconds before a wait is worth a word
_LONGEST = 600  # characters of an error: a broken file's one line may be the whole file


@dataclass(frozen=True)
class Output:
    """What a command found, in each form it may be asked for.

    Attributes:
        show: print it for a reader.
        table: as rows, for CSV and Parquet.
        document: as an object, for JSON.
        notes: what a reader should know beside it.
    """

    show: Callable[[Console], None]
    table: Callable[[], pl.DataFrame]
    document: Callable[[], dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def carry_out(run: Run, out: Path | None, work: Callable[[Journeys], Output]) -> None:
    """Read the run's journeys, work on them, and show the result or write it to `out`.

    Whether `out` can be written is found out first.
    """
    if out is not None:
        run.refuse_to_write(out)
        files.check_writable(out)
    with working(f"reading {run.name}"):
        journeys, notes = run.journeys()
    with working("working"):
        output = work(journeys)
    notes = [*notes, *output.notes]
    if out is not None:
        document = output.document() | {"notes": notes}
        files.write_files({out: files.encoded(out, output.table(), document)})
        return
    from mta_models.reporting import terminal

    console = terminal.console()
    terminal.show_journeys(console, journeys, run.name)
    output.show(console)
    terminal.show_notes(console, notes)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Errors that are not bugs as one line on stderr and exit code 1; warnings as a line each."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning
            yield
            if sys.stdout is not None:  # as in a shell's `>&-`
                sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has gone; the interpreter must not flush to them again on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("the output was closed before all of it was written")
    except MTAError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except MemoryError:
        _fail("not enough memory for this much data; compress it to unique paths first")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say on stderr what is going on, if it takes more than a second and somebody is watching."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    status = Console(stderr=True).status(Text(f"{what} …"))
    later = threading.Timer(_PATIENCE, status.start)
    later.start()
    try:
        yield
    finally:
        later.cancel()
        later.join()
        status.stop()


def misuse(message: str) -> NoReturn:
    """Exit code 2: the options do not go together."""
    typer.echo(f"mta-models: {message}. See --help", err=True)
    raise typer.Exit(2)


def _fail(message: str) -> NoReturn:
    typer.echo(f"mta-models: {_line(message)}", err=True)
    raise typer.Exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {_line(str(message))}", err=True)


def _line(text: str) -> str:
    """On one line, not a page long, without the control characters that a terminal would obey."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
