"""Parts of all commands: reading, showing or writing the result, errors, long waits."""

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


_PATIENCE = 1.0  # seconds before a wait is shown
_LONGEST = 600  # characters of an error, which may quote a whole broken file


@dataclass(frozen=True)
class Output:
    """The result of a command, in the forms in which it is shown or written.

    Attributes:
        show: prints the result in the terminal.
        table: gives it as rows, for CSV and Parquet.
        document: gives it as an object, for JSON.
        notes: sentences for the reader of the result.
    """

    show: Callable[[Console], None]
    table: Callable[[], pl.DataFrame]
    document: Callable[[], dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def carry_out(run: Run, out: Path | None, work: Callable[[Journeys], Output]) -> None:
    """Read the run's journeys, work on them, and show the result or write it to `out`.

    Whether `out` can be written is checked first.
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
    """Turn `MTAError` and system errors into one line and exit code 1, warnings into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning
            yield
            if sys.stdout is not None:  # as in a shell's `>&-`
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has gone; the interpreter must not flush to it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("the output was closed before all of it was written")
    except MTAError as error:
        _fail(str(error))
    except OSError as error:
        reason = error.strerror or str(error)
        _fail(f"{reason}: {error.filename}" if error.filename else reason)
    except MemoryError:
        _fail("not enough memory for this much data; compress it to unique paths first")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show `what` on stderr if it takes more than a second and stderr is a terminal."""
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
    """Exit with code 2 and a message: the options are wrong or contradict each other."""
    typer.echo(f"mta-models: {message}. See --help", err=True)
    raise typer.Exit(2)


def _fail(message: str) -> NoReturn:
    typer.echo(f"mta-models: {_line(message)}", err=True)
    raise typer.Exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"warning: {_line(str(message))}", err=True)


def _line(text: str) -> str:
    """The text on a line of limited length, without control characters for the terminal."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
