"""Running a suite in this process or several; resumable, because rows are written log by log."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mta_models.benchmark import rows
from mta_models.benchmark.results import Results
from mta_models.benchmark.rows import Row
from mta_models.benchmark.scoring import score, versions
from mta_models.benchmark.suite import Log, Suite
from mta_models.benchmark.truths import cached_truth
from mta_models.core import files
from mta_models.errors import MTAError, ParameterError
from mta_models.worlds.truth import Truth

Progress = Callable[[int, int], None]

# One thread per process: there are as many processes as cores, and threads would change the order
# of sums.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


def run(
    suite: Suite,
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    cache: str | Path | None = None,
) -> Results:
    """Every model of a suite on every log, scored against the truth.

    A log is simulated once for all models. A model that fails has a row with the reason. The same
    suite gives the same rows to the last digit, except for seconds and peak memory.

    Args:
        suite: worlds, models, seeds and sizes to run.
        out: a CSV file. Each log's rows are added as soon as they are computed. Rows that the file
            already holds are not run again, including rows with errors: delete a row to repeat
            it. At the end the suite's rows are in its order, after those of other suites.
        jobs: number of processes. With more than one, models and worlds are pickled, so a class of
            your own must be in a module, and your script needs `if __name__ == "__main__":`.
        progress: called with the number of logs done and the number of logs to run.
        cache: a folder for truths of the catalogue's worlds, reused by further runs.

    Returns:
        The suite's rows, with tables made from them.

    Raises:
        ParameterError: `jobs` is not 1 or more, or `out` holds rows of another version.
        MTAError: `out` cannot be read or written, or a process died.

    Example:
        >>> from mta_models import benchmark
        >>> suite = benchmark.Suite(["micro_intent"], ["LastTouch"], users=[1_000], seeds=1)
        >>> table = benchmark.run(suite).to_polars()
        >>> table.select("model", "total_variation", "over_credit").rows()
        [('LastTouch', 1.0, inf), ('Uniform', 1.0, inf), ('ExposureShare', 1.0, inf), ...]
    """
    if jobs < 1:
        raise ParameterError(f"jobs must be 1 or more; got {jobs!r}")
    file = None if out is None else Path(out)
    if file:
        files.check_writable(file)
    before = rows.read(file) if file else []
    kept = {rows.key(row): row for row in before}
    _check_versions(kept.values(), file)
    every = list(suite.logs())
    wanted = [log.key(label) for log in every for label in log.labels]
    todo = [
        log.only(missing)
        for log in every
        if (missing := [label for label in log.labels if log.key(label) not in kept])
    ]
    folder = None if cache is None else Path(cache)
    scored = _here(todo, folder) if jobs == 1 else _abroad(todo, folder, jobs)
    try:
        if file and before:
            rows.write(file, before)  # with the columns of today, so that rows can be added
        for done, new in enumerate(scored, 1):
            kept |= {rows.key(row): row for row in new}
            if file:
                rows.append(file, new)
            if progress:
                progress(done, len(todo))
        if file:
            ours = set(wanted)
            others = [row for key, row in kept.items() if key not in ours]
            rows.write(file, [*others, *(kept[key] for key in wanted)])
    except OSError as error:
        raise MTAError(f"cannot write {str(file)!r}: {error.strerror}") from error
    return Results([kept[key] for key in wanted], suite.purpose)


def _check_versions(kept: Any, file: Path | None) -> None:
    now = versions().split()[:2]
    for row in kept:
        if row["versions"].split()[:2] != now:
            raise ParameterError(
                f"rows of one file must be of one version, now {' '.join(now)}; {str(file)!r} has "
                f"rows of {row['versions']!r}. Name another file"
            )


def _here(todo: Sequence[Log], folder: Path | None) -> Iterator[list[Row]]:
    truths: dict[Any, Truth] = {}
    for log in todo:
        if log.setting not in truths:
            truths[log.setting] = _per_unit(log, folder)
        yield score(log, truths[log.setting].scaled(log.world.n_units))


def _abroad(todo: Sequence[Log], folder: Path | None, jobs: int) -> Iterator[list[Row]]:
    """Rows of each log, in several processes: each setting's truth first, and then its logs."""
    logs: dict[Any, list[Log]] = {}
    for log in todo:
        logs.setdefault(log.setting, []).append(log)
    _check_travels(todo)
    spawn = multiprocessing.get_context("spawn")
    with _one_thread(), ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        waiting: dict[Future[Any], Any] = {
            pool.submit(_per_unit, group[0], folder): setting for setting, group in logs.items()
        }
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    setting, result = waiting.pop(future), future.result()
                    if setting is None:
                        yield result
                        continue
                    for log in logs[setting]:
                        scaled = result.scaled(log.world.n_units)
                        waiting[pool.submit(score, log, scaled)] = None
        except BrokenProcessPool as error:
            raise MTAError(
                "a process of the benchmark died, perhaps because memory ran out. Run again with "
                "fewer jobs: rows already written are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _per_unit(log: Log, folder: Path | None) -> Truth:
    return cached_truth(log, folder).scaled(1 / log.world.n_units)


def _check_travels(todo: Sequence[Log]) -> None:
    try:
        pickle.dumps(todo)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ParameterError(
            "with jobs above 1 models and worlds must be of classes in a module, so that they can "
            f"be pickled; got {error}. Move them into a module, or use jobs=1"
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
