"""The command `mta-models benchmark`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mta_models.cli.running import misuse, one_line_errors
from mta_models.errors import MTAError, ParameterError

if TYPE_CHECKING:
    from mta_models.benchmark.suite import Suite

_STEP = 0.05  # of all logs, between two lines of progress
_SEEDS = 5


def benchmark(
    quick: Annotated[
        bool, typer.Option("--quick", help="Five small worlds, three seeds, a less exact truth.")
    ] = False,
    world: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="World by name, or module:name of your own. Repeat it for more.  [default: all]",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model by name, with parameters in brackets, or module:name of your own. Repeat "
            "it for more.  [default: the usual ones]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            max=1,
            help="Strength of the worlds' mechanisms.  [default: 0.5]",
            show_default=False,
        ),
    ] = None,
    users: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Users in a log.  [default: 10000]", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help=f"Logs of each world.  [default: {_SEEDS}]", show_default=False),
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Seeds from 100 on, and in worlds of visits draws from 2 on, which are kept for "
            "reports; without it seeds from 0 on, which are for choosing and tuning models.",
        ),
    ] = False,
    draws: Annotated[
        int, typer.Option(min=0, help="Bootstrap draws, to measure the coverage of intervals.")
    ] = 0,
    metric: Annotated[str, typer.Option(help="Metric that the table shows.")] = "total_variation",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes.  [default: as many as cores]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .csv file for all rows; the same command continues an interrupted run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Distance of models from the truth, on logs of worlds whose causal truth is known.

    Every model is fitted to the same logs. Three rows are references, not models: Uniform gives
    every channel the same credit, ExposureShare its share of touchpoints, Oracle the true credit.
    """
    if out is not None and out.suffix.lower() != ".csv":
        misuse(f"--out must end in .csv; got {str(out)!r}")
    with one_line_errors():
        from mta_models.benchmark.purpose import for_reporting
        from mta_models.benchmark.results import check_metric
        from mta_models.benchmark.running import run
        from mta_models.benchmark.suite import Suite
        from mta_models.benchmark.suite import quick as quick_suite
        from mta_models.reporting import terminal
        from mta_models.worlds.catalogue import names

        if any(":" in name for name in (*(world or ()), *(model or ()))):
            # Installed commands do not search the current folder, where users have their modules.
            sys.path.append(os.getcwd())
        try:
            check_metric(metric)
            suite = quick_suite() if quick else Suite(names(), seeds=_SEEDS)
            if report:
                # Worlds that have draws come with one for reporting, if no world is named.
                suite = replace(
                    suite,
                    worlds=for_reporting(each.name for each in suite.worlds),  # type: ignore[union-attr]  # worlds by now
                    seeds=len(tuple(suite.seeds)),  # type: ignore[arg-type]  # a tuple by now
                    purpose="report",
                )
            given: dict[str, Any] = {
                "worlds": world,
                "models": model,
                "strengths": strength,
                "users": users,
                "seeds": seeds,
                "draws": draws or None,
            }
            suite = replace(suite, **{name: each for name, each in given.items() if each})
        except ParameterError as error:
            misuse(str(error))
        results = run(suite, out=out, jobs=jobs or os.cpu_count() or 1, progress=_Progress(suite))
        terminal.show_leaderboard(terminal.console(), results, metric)
        if results.errors().height == len(results.rows):
            raise MTAError(
                "at least one model must have a result; none has one. See the reasons above"
            )


class _Progress:
    """Shows progress on stderr: in a terminal on one line, else a line for every 5% of logs."""

    def __init__(self, suite: Suite) -> None:
        self.start, self.said, self.watched = time.monotonic(), 0.0, sys.stderr.isatty()
        typer.echo(
            f"{sum(1 for _ in suite.logs()):,} logs; the truth of each world first", err=True
        )

    def __call__(self, done: int, of: int) -> None:
        part = done / of
        if not self.watched and part < 1 and part - self.said < _STEP:
            return
        self.said = part
        left = (time.monotonic() - self.start) * (1 / part - 1)
        text = f"{done:,} of {of:,} logs, about {left:.0f} s left"
        end = "\n" if part == 1 or not self.watched else ""
        sys.stderr.write(f"\r\x1b[K{text}{end}" if self.watched else f"{text}{end}")
        sys.stderr.flush()
