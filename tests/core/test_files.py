"""The writer of files, interrupted for real: the old file or the new one, and nothing else."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from mta_models.benchmark import rows
from mta_models.core import files
from mta_models.errors import MTAError

OLD = b"the old content"
SIZE = 16 << 20  # bytes: long enough on any disk to be interrupted

# Files that have their temporary name while the content is written, as on macOS.
NAMED = "files._open_unnamed = lambda folder, mode: None\n"
WRITE = """
import os, signal, sys
from pathlib import Path
from mta_models.core import files
{before}
print("ready", flush=True)
files.write_files({{Path(sys.argv[1]): bytes({size})}})
"""
# The process gets the signal when half of the content is written.
HALFWAY = """
whole = files._NewFile.write
def write(self, content):
    self.out.write(content[: len(content) // 2])
    self.out.flush()
    os.kill(os.getpid(), signal.{number})
    self.out.seek(0)
    whole(self, content)
files._NewFile.write = write
"""
# It gets it when the new file has its temporary name, and the old file still has its own.
BETWEEN = """
replace = os.replace
def between(*names):
    os.kill(os.getpid(), signal.{number})
    replace(*names)
os.replace = between
"""
CLI = "\nfrom mta_models.cli.app import app\nprint('ready', flush=True)\napp(sys.argv[2:])\n"


@pytest.fixture(params=["unnamed", "named"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files without a name and without them."""
    if request.param == "named":
        monkeypatch.setattr(files, "_open_unnamed", lambda folder, mode: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder of its own, with the old content."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file.csv").write_bytes(OLD)
    return folder / "file.csv"


def write(file: Path, content: bytes) -> None:
    files.write_files({file: content})


def run(code: str, *arguments: str) -> int:
    """The exit code of Python code in a process of its own, which is negative for a signal."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False
    ).returncode


def interrupted(file: Path, number: int, delay: float) -> int:
    """The exit code of a process that gets the signal `delay` seconds into a large write."""
    command = [sys.executable, "-c", WRITE.format(before="", size=SIZE), str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(number)
    return process.returncode


def duration(folder: Path) -> float:
    """Of the large write, in seconds."""
    start = time.perf_counter()
    write(folder / "timed", bytes(SIZE))
    took = time.perf_counter() - start
    (folder / "timed").unlink()
    return took


# Interrupted.


@pytest.mark.parametrize("old", [None, OLD], ids=["new", "over"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_old_file_or_the_new_one_and_nothing_else(
    tmp_path: Path, number: signal.Signals, old: bytes | None
) -> None:
    file = tmp_path / "folder" / "file.csv"
    file.parent.mkdir()
    took = duration(tmp_path)
    ended = []
    for part in (0.0, 0.1, 0.3, 0.5, 0.7):  # of the write; its end is tested below
        if old is not None:
            write(file, old)
        ended.append(interrupted(file, number, part * took))
        content = file.read_bytes() if file.exists() else None
        assert content in (old, bytes(SIZE))
        assert [*file.parent.iterdir()] == ([] if content is None else [file])
        file.unlink(missing_ok=True)
    assert -number in ended  # some write was interrupted


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_signal_halfway_leaves_the_old_file(file: Path, number: str) -> None:
    before = HALFWAY.format(number=number)
    ended = run(WRITE.format(before=before, size=1_000), str(file))
    assert ended == -getattr(signal, number)
    assert file.read_bytes() == OLD
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("before", [BETWEEN, NAMED + HALFWAY, NAMED + BETWEEN])
def test_a_signal_waits_while_there_is_a_temporary_name(
    file: Path, before: str, number: str
) -> None:
    ended = run(WRITE.format(before=before.format(number=number), size=1_000), str(file))
    assert ended == -getattr(signal, number)
    assert file.read_bytes() == bytes(1_000)
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("before", [BETWEEN, NAMED + HALFWAY, NAMED + BETWEEN])
def test_what_kill_9_leaves_under_a_temporary_name_the_next_write_removes(
    file: Path, before: str
) -> None:
    code = WRITE.format(before=before.format(number="SIGKILL"), size=1_000)
    assert run(code, str(file)) == -signal.SIGKILL
    assert file.read_bytes() == OLD
    (left,) = {*file.parent.iterdir()} - {file}
    assert left.name.startswith(".mta-models-")
    write(file.with_name("other.csv"), b"")
    assert {*file.parent.iterdir()} == {file, file.with_name("other.csv")}


def test_what_a_living_writer_has_under_a_temporary_name_stays(file: Path, either: None) -> None:
    """Another writer in the same folder takes it for abandoned neither before nor after."""
    other = file.with_name("other.csv")
    with files._NewFile(file) as part:
        part.write(b"new")
        part.name = part.name or files._free_name(file.parent)
        if not part.name.exists():
            part._link(part.name)
        write(other, b"")
        assert part.name.exists()
        os.replace(part.name, file)
        part.name = None
    assert file.read_bytes() == b"new"
    assert {*file.parent.iterdir()} == {file, other}


def test_a_signal_that_waited_does_what_it_would_have_done() -> None:
    deferred = files._deferred_signals()
    deferred.__enter__()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        deferred.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_writes_as_well(file: Path, either: None) -> None:
    thread = threading.Thread(target=write, args=(file, b"new"))
    thread.start()
    thread.join()
    assert file.read_bytes() == b"new"


# A full disk.


@pytest.fixture(params=["small disk", "small files"])
def full_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 256 KiB, or with files of at most 256 KiB.

    Where no disk may be mounted, both are the second.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    mounted = request.param == "small disk" and shutil.which("mount") is not None
    if mounted:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, limits[1]))  # Python ignores SIGXFSZ
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("old", [None, OLD], ids=["new", "over"])
def test_a_full_disk_leaves_the_old_file(full_disk: Path, old: bytes | None, either: None) -> None:
    file = full_disk / "file.csv"
    if old is not None:
        write(file, old)
    with pytest.raises(MTAError, match=r"cannot write .*: (No space left|File too large)"):
        write(file, bytes(1 << 20))
    assert [each.read_bytes() for each in full_disk.iterdir()] == ([] if old is None else [old])


def test_a_full_disk_leaves_the_rows_of_a_benchmark(full_disk: Path) -> None:
    file, row = full_disk / "rows.csv", rows.as_text({"world": "intent", "seed": 1})
    rows.append(file, [row])
    before = file.read_bytes()
    with pytest.raises(OSError, match=r"No space left|File too large"):
        rows.append(file, [{**row, "error": "e" * 300_000}])
    assert file.read_bytes() == before


def test_a_disk_too_full_for_all_of_several_files_changes_none(
    full_disk: Path, either: None
) -> None:
    small, large = full_disk / "small", full_disk / "large"
    write(small, OLD)
    with pytest.raises(MTAError, match="large"):
        files.write_files({small: b"new", large: bytes(1 << 20)})
    assert small.read_bytes() == OLD
    assert [*full_disk.iterdir()] == [small]


# Through the command line.


@pytest.mark.parametrize(
    ("number", "ending"), [("SIGKILL", ".csv"), ("SIGTERM", ".parquet"), ("SIGINT", ".json")]
)
def test_a_command_interrupted_halfway_leaves_the_old_file(
    file: Path, number: str, ending: str
) -> None:
    source = file.parent.with_name("paths.csv")
    source.write_text("path,conversions,nulls\nA > B,3,5\n")
    out = file.rename(file.with_suffix(ending))
    before = WRITE.partition("print")[0].format(before=HALFWAY.format(number=number))
    arguments = ("compare", str(source), "--model", "Linear", "--out", str(out))
    ended = run(before + CLI, "", *arguments)
    # A command ends by itself after Ctrl-C, with the code that shells give for it.
    assert ended == (130 if number == "SIGINT" else -getattr(signal, number))
    assert out.read_bytes() == OLD
    assert [*out.parent.iterdir()] == [out]


def test_a_command_on_a_full_disk_leaves_the_old_file(
    full_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mta_models.cli.app import app

    out = full_disk / "log.csv"
    write(out, OLD)
    with pytest.raises(SystemExit, match="1"):
        app(["example", "--users", "5000", "--out", str(out)])
    assert "cannot write" in capsys.readouterr().err
    assert [each.read_bytes() for each in full_disk.iterdir()] == [OLD]


# Nothing else writes.

WRITERS = {"write_text", "write_bytes", "write_csv", "write_parquet", "savefig", "to_csv", "dump"}
# Rows are appended; the other two are inputs that a benchmark makes anew, in a folder of its own.
OTHERS = {"mta_models/benchmark/rows.py", "benchmarks/data.py", "benchmarks/truth/rivals.py"}
IN_MEMORY = {"drawn", "buffer"}  # what these receive goes to the writer afterwards


def writes(call: ast.Call) -> bool:
    """Whether a call writes to a file other than by `core.files`."""
    if not isinstance(call.func, ast.Attribute | ast.Name):
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
    modes = [each.value for each in call.args if isinstance(each, ast.Constant)]
    if name == "open":
        return any(
            isinstance(mode, str) and re.fullmatch("[rwxabt+]*[wxa+][bt+]*", mode) for mode in modes
        )
    if name not in WRITERS or isinstance(call.func, ast.Name):
        return False
    target = call.args[0] if call.args else None
    in_memory = target is None or (isinstance(target, ast.Name) and target.id in IN_MEMORY)
    # `ast.dump` makes a text.
    return not in_memory and ast.unparse(call.func.value) not in ("files", "ast")


def test_everything_is_written_by_the_one_writer() -> None:
    root = Path(__file__).parents[2]
    files_with_writes = set()
    for folder in ("mta_models", "benchmarks", "notebooks"):
        for file in (root / folder).rglob("*.py"):
            calls = (
                each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.Call)
            )
            if any(writes(call) for call in calls):
                files_with_writes.add(file.relative_to(root).as_posix())
    # The lock of an environment is a file without content.
    assert files_with_writes == OTHERS | {
        "mta_models/core/files.py",
        "benchmarks/peers/environments.py",
    }


# Names, links, modes.


def test_a_link_stays_and_its_target_is_replaced(file: Path, either: None) -> None:
    link = file.parent.parent / "link.csv"
    link.symlink_to(file)
    write(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert not file.is_symlink()
    missing = file.with_name("missing.csv")
    link.unlink()
    link.symlink_to(missing)
    write(link, b"new")
    assert link.is_symlink()
    assert missing.read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o755])
def test_the_mode_of_the_old_file_stays(file: Path, mode: int, either: None) -> None:
    file.chmod(mode)
    write(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_every_new_file(tmp_path: Path, either: None) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_old_file_stays(file: Path, either: None) -> None:
    os.chown(file, 1234, 1234)
    write(file, b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)


def test_other_hard_links_keep_the_old_content(file: Path, either: None) -> None:
    os.link(file, file.with_name("other.csv"))
    write(file, b"new")
    assert file.with_name("other.csv").read_bytes() == OLD


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write(pipe, b"new")
        assert reader.communicate()[0] == b"new"
    assert pipe.is_fifo()


def test_two_names_of_one_file_are_refused(file: Path) -> None:
    link = file.with_name("link.csv")
    link.symlink_to(file)
    for refuse in (files.check_writable, lambda *both: files.write_files(dict.fromkeys(both, b""))):
        with pytest.raises(MTAError, match=r"must be different; .*'.*link\.csv' are one file"):
            refuse(file, link)
    assert file.read_bytes() == OLD


# The early check.


def test_the_check_changes_nothing(file: Path, either: None) -> None:
    before = file.stat()
    files.check_writable(file, file.with_name("new.csv"))
    assert file.stat() == before
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such/folder.csv", "No such file"),
        ("", "Is a directory"),
        ("file.csv/x.csv", "Not a dir"),
    ],
)
def test_the_check_refuses_what_a_write_would(file: Path, name: str, message: str) -> None:
    for refuse in (files.check_writable, lambda name: write(name, b"")):
        with pytest.raises(MTAError, match=f"cannot write .*{message}"):
            refuse(file.parent / name)
    assert file.read_bytes() == OLD
    assert [*file.parent.iterdir()] == [file]


def test_a_protected_file_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever its mode is
    with pytest.raises(MTAError, match="Permission denied"):
        write(file, b"new")
    assert file.read_bytes() == OLD


# Contents.


def test_the_ending_says_how_to_write(tmp_path: Path) -> None:
    table = pl.DataFrame({"channel": ["Müsli", "中文"], "credit": [1.5, 2.0]})
    for ending, read in ((".csv", pl.read_csv), (".PARQUET", pl.read_parquet)):
        file = tmp_path / f"file{ending}"
        write(file, files.encoded(file, table, {}))
        assert read(file).equals(table)
    file = tmp_path / "file.json"
    assert files.encoded(file, table, {"a": "ü"}).decode() == '{\n  "a": "ü"\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        files.encoded(file, table, {"a": float("nan")})


def test_rows_and_texts(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "rows.csv", [["a", "b"], ["1,5", 2]])
    assert (tmp_path / "rows.csv").read_bytes() == b'a,b\n"1,5",2\n'
    files.write_text(tmp_path / "text", "ü\r\n")
    assert (tmp_path / "text").read_bytes() == "ü\r\n".encode()
