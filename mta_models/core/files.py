"""Writing files whole or not at all; everything that the toolkit writes is written here.

An interrupted write (`kill -9`, SIGTERM, Ctrl-C, a full disk, a power cut) leaves the old file or
the new one, never a part of it, and no other file. On Linux the content goes to a file without a
name (`O_TMPFILE`), which the kernel removes when the process ends for any reason. It gets its
name after it was flushed to the disk. There are two exceptions:

- Linux cannot give a file the name of another one. Where there is an old file, the new one gets a
  temporary name, which replaces the old name in the next system call. `kill -9` between the two
  calls leaves the old file and, under the temporary name, the whole new one.
- Without `O_TMPFILE` (macOS, Windows, some network file systems) the file has its temporary name
  from the start, so that `kill -9` leaves it.

The next write into the folder removes such files. A living writer holds a lock on its file before
others can see the name; the kernel drops the lock when the process ends. Windows has no such lock,
so there the files stay.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.errors import MTAError

if TYPE_CHECKING:
    import polars as pl

if sys.platform != "win32":
    import fcntl

_PREFIX = ".mta-models-"
_ENDING = ".part"
_DEFERRED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def write_text(file: Path, text: str) -> None:
    """Write `text` to `file`, in UTF-8 and with its line ends as they are; see `write_files`."""
    write_files({file: text.encode()})


def write_csv(file: Path, rows: Iterable[Iterable[Any]]) -> None:
    r"""Write rows of cells to `file` as CSV, lines ending in `\n`; see `write_files`."""
    write_text(file, csv_text(rows))


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    r"""Rows of cells as CSV, lines ending in `\n`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def encoded(file: Path, table: pl.DataFrame, document: Mapping[str, Any]) -> bytes:
    """The table as CSV or Parquet, or the document as JSON: the ending of `file` decides."""
    ending = file.suffix.lower()
    if ending == ".json":
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()
    buffer = io.BytesIO()
    if ending == ".csv":
        table.write_csv(buffer)
    else:
        table.write_parquet(buffer)
    return buffer.getvalue()


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write each content to its file; all are on the disk before the first gets its name.

    A link is followed: its target is replaced, the link stays. A new file has the mode that the
    umask gives; an old one keeps its mode and, where the system permits, its owner, but neither
    access lists nor its other hard links, which keep the old content. A pipe or a device is written
    to directly.

    Contents are complete in memory before the first is written. SIGINT, SIGTERM and SIGHUP wait
    while a file has a temporary name, so that they leave none; only the main thread can do that.

    Raises:
        MTAError: a file cannot be written, or two names are one file. No file has changed then,
            except if it is giving a name that fails: files that got theirs earlier stay.
    """
    targets = _targets(contents)
    with ExitStack() as stack:
        parts = {}
        for file, content in contents.items():
            with _explained(file):
                _check(file)
                if _is_stream(file):
                    file.write_bytes(content)
                else:
                    parts[file] = stack.enter_context(_NewFile(targets[file]))
                    parts[file].write(content)
        for file, part in parts.items():
            with _explained(file), _deferred_signals():
                part.give_name()


def check_writable(*files: Path) -> None:
    """Check, before the work is done, that `write_files` can write these files; changes none.

    Raises:
        MTAError: a file cannot be written (no such folder, a folder itself, no permission), or two
            names are one file.
    """
    targets = _targets(files)
    for file in files:
        with _explained(file):
            _check(file)
            if not _is_stream(file):
                with _NewFile(targets[file]):
                    pass


def _targets(files: Iterable[Path]) -> dict[Path, Path]:
    """The path of each file with all links followed."""
    targets: dict[Path, Path] = {}
    for file in files:
        target = Path(os.path.realpath(file))
        for other, taken in targets.items():
            if taken == target:
                raise MTAError(
                    f"files written together must be different; {str(other)!r} and {str(file)!r} "
                    "are one file. Remove the link, or choose another name"
                )
        targets[file] = target
    return targets


def _check(file: Path) -> None:
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    # Replacing it would bypass its protection.
    if file.exists() and not os.access(file, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _is_stream(file: Path) -> bool:
    return file.exists() and not file.is_file()


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MTAError(
            f"cannot write {str(file)!r}: {error.strerror}. Remove the cause, or name another file"
        ) from error


class _NewFile:
    """A new file that will replace `target`; on entry it is open and empty.

    On exit before `give_name` has succeeded, nothing is left of it.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.name: Path | None = None  # the temporary one
        self.cleanup = ExitStack()

    def __enter__(self) -> _NewFile:
        with ExitStack() as stack:
            folder = self.target.parent
            self.folder = None
            if os.open in os.supports_dir_fd:  # Windows cannot open a folder
                self.folder = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, self.folder)
            _remove_abandoned(folder)
            self.old = self.target.stat() if self.target.exists() else None
            # Only the owner may read it until it has the mode of the old file.
            mode = 0o666 if self.old is None else 0o600
            handle = _open_unnamed(folder, mode)
            if handle is None:
                stack.enter_context(_deferred_signals())
                handle, self.name = _open_named(folder, mode)
                stack.callback(self._remove)
            self.out = stack.enter_context(open(handle, "wb"))
            self.cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup.close()

    def write(self, content: bytes) -> None:
        """Write the content, and return when it is on the disk."""
        self.out.write(content)
        self.out.flush()
        if self.old is not None and sys.platform != "win32":
            with suppress(PermissionError):  # only root may give files away
                os.fchown(self.out.fileno(), self.old.st_uid, self.old.st_gid)
            os.fchmod(self.out.fileno(), self.old.st_mode & 0o777)
        os.fsync(self.out.fileno())

    def give_name(self) -> None:
        """Replace the target; to be called with signals deferred."""
        if not (self.name is None and self._is_linked()):
            if self.name is None:
                self.name = _free_name(self.target.parent)
                self.cleanup.callback(self._remove)
                self._link(self.name)
            elif sys.platform == "win32":
                self.out.close()  # Windows renames no open file
            os.replace(self.name, self.target)
            self.name = None
        if self.folder is not None:
            os.fsync(self.folder)

    def _is_linked(self) -> bool:
        """Give the file the target's name directly, if there is no old file; whether it did."""
        if self.target.exists():
            return False
        try:
            self._link(self.target)
        except FileExistsError:  # another process has just made it
            return False
        return True

    def _link(self, name: Path) -> None:
        # Python makes the kernel follow the link in /proc only if it gets the handle of a folder.
        os.link(f"/proc/self/fd/{self.out.fileno()}", name.name, dst_dir_fd=self.folder)

    def _remove(self) -> None:
        if self.name is not None:
            self.name.unlink(missing_ok=True)


def _open_unnamed(folder: Path, mode: int) -> int | None:
    """The handle of a file without a name, locked; None where such files are not supported."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, mode)
    except OSError:  # no such files here; any other fault is reported by `_open_named`
        return None
    if not os.path.exists(f"/proc/self/fd/{handle}"):  # then it could not be named
        os.close(handle)
        return None
    _lock(handle)
    return handle


def _open_named(folder: Path, mode: int) -> tuple[int, Path]:
    """The handle and the temporary name of a new file, locked."""
    while True:
        name = _free_name(folder)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        handle = os.open(name, flags, mode)
        _lock(handle)
        # Another writer may have removed it as abandoned before it was locked.
        if name.exists():
            return handle, name
        os.close(handle)


def _free_name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.urandom(8).hex()}{_ENDING}"


def _lock(handle: int) -> None:
    if sys.platform != "win32":
        with suppress(OSError):  # no locks on this file system: abandoned files stay
            fcntl.flock(handle, fcntl.LOCK_EX)


def _remove_abandoned(folder: Path) -> None:
    """Remove files with a temporary name and without a lock: their writers have ended."""
    if sys.platform == "win32":
        return
    for name in folder.glob(f"{_PREFIX}*{_ENDING}"):
        with suppress(OSError):  # locked, already gone, or not permitted
            handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                name.unlink()
            finally:
                os.close(handle)


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Delay SIGINT, SIGTERM and SIGHUP until the end, where they have their usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread set handlers
        return
    waiting: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    try:
        for number in _DEFERRED:
            # SIGINT is set first and restored last, so that no KeyboardInterrupt comes between.
            # A handler of None was not set by Python and cannot be restored.
            if signal.getsignal(number) is not None:
                handlers[number] = signal.signal(number, lambda which, _: waiting.append(which))
        yield
    finally:
        for number in reversed(handlers):
            signal.signal(number, handlers[number])
        for which in waiting:
            signal.raise_signal(which)
