"""`mta-models`: attribution from a terminal. Heavy imports wait until a command runs."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_models import __version__
from mta_models.cli.benchmark_command import benchmark
from mta_models.cli.options import OutOption, known_ending, reads
from mta_models.cli.run_config import Run
from mta_models.cli.running import Output, carry_out, misuse, one_line_errors, working
from mta_models.core import files
from mta_models.errors import ParameterError
from mta_models.worlds.catalogue import names as world_names

if TYPE_CHECKING:
    from pathlib import Path

    from mta_models.data.journeys import Journeys
    from mta_models.models.base import AttributionModel

# Plain help: importing rich would double the time that a command's help takes.
app = typer.Typer(
    name="mta-models",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MODEL_HELP = "Model by name, with parameters in brackets: Markov, 'Markov(order=2)'."
_BOOKS = (
    "note: these journeys have no times, so the model is {}: it divides the conversions among "
    "channels and cannot estimate effects. Read an event log to estimate how many conversions "
    "would be gone without a channel"
)


class Of(StrEnum):
    """The outcome to credit."""

    conversions = "conversions"
    value = "value"


LogOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        callback=known_ending,
        help="File for the log, in the format of its ending: .csv or .parquet.",
        show_default=False,
    ),
]
OfOption = Annotated[
    Of | None, typer.Option(help="What to credit.  [default: conversions]", show_default=False)
]
TopOption = Annotated[
    int, typer.Option(min=1, help="Channels with a row of their own in the terminal.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]


def _examples(*lines: str) -> str:
    """The end of a command's help; the backspace keeps its line breaks."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Multi-touch attribution: the credit of each model, and what it measures."""
    if version:
        typer.echo(f"mta-models {__version__}")
        raise typer.Exit


@app.command(
    epilog=_examples(
        "mta-models compare --example",
        "mta-models example --paths --out paths.csv",
        'mta-models compare paths.csv --model LastTouch --model "Markov(order=2)"',
        "mta-models compare paths.csv --of value --out comparison.csv",
        "mta-models example --out log.csv",
        "mta-models compare log.csv --user user --time time --channel channel \\",
        "  --conversion conversion --model LastTouch --model Hazard --validate",
    )
)
@reads
def compare(
    run: Run,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"{_MODEL_HELP} Repeat it for more.", show_default=False),
    ] = None,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Also score how well incremental models predict the last third of the log.",
        ),
    ] = False,
    of: OfOption = None,
    top: TopOption = 25,
    out: OutOption = None,
) -> None:
    """Credit per channel by several models, side by side.

    Without --model: the usual models that the data allow, Incremental first for an event log and
    Markov first for paths; with --validate, Hazard too. CSV and Parquet files have one row per
    model and channel and one for each model's baseline, with the columns model, estimand, of,
    channel, credit, share, and for models with intervals lower, upper, interval_holds. JSON files
    also have the scores of --validate.
    """

    def work(journeys: Journeys) -> Output:
        from mta_models.analysis.comparison import compare as compare_models
        from mta_models.analysis.comparison import usual_models
        from mta_models.reporting import documents, terminal

        usual = (*usual_models(journeys), *(("Hazard",) if validate else ()))
        result = compare_models(
            asked or usual, journeys, of=run.of, skip_refused=not asked, validate=validate
        )
        return Output(
            show=lambda console: terminal.show_comparison(console, result, top=top),
            table=result.long,
            document=lambda: documents.comparison_document(result),
            notes=[f"{label} left out: {why}" for label, why in result.refusals.items()],
        )

    run = replace(run, of=of or run.of)
    asked = [_model(name) for name in model or run.models]
    carry_out(run, out, work)


@app.command(
    epilog=_examples(
        "mta-models attribute --example",
        "mta-models attribute --example --model Shapley --draws 200",
        "mta-models example --out log.csv",
        "mta-models attribute log.csv --user user --time time --channel channel \\",
        "  --conversion conversion --value value --out credit.json",
    )
)
@reads
def attribute(
    run: Run,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"{_MODEL_HELP}  [default: Incremental for an event log, Markov for paths]",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            min=0,
            help="Bootstrap draws for 95% intervals, of sampling only; try 200. Not for "
            "Incremental, which has intervals of its own.",
        ),
    ] = 0,
    seed: SeedOption = 0,
    of: OfOption = None,
    top: TopOption = 25,
    out: OutOption = None,
) -> None:
    """Credit per channel by one model, with intervals if it has them or --draws is above 0.

    Without --model: for an event log Incremental, which estimates how many conversions would be
    gone without each channel; for paths Markov, which divides the conversions among channels. CSV
    and Parquet files have the columns that compare writes; with intervals also lower, upper and
    interval_holds, which says what uncertainty the bounds cover.
    """
    if model is None and len(run.models) > 1:
        misuse(f"attribute must have one model; the run has {len(run.models)}. Name one by --model")
    run = replace(run, of=of or run.of)
    name = model or next(iter(run.models), None)
    asked = None if name is None else _model(name)

    def work(journeys: Journeys) -> Output:
        from mta_models.analysis.comparison import Comparison, default_model
        from mta_models.analysis.resampling import bootstrap
        from mta_models.models.names import label_of
        from mta_models.reporting import documents, terminal

        used = asked or _model(default_model(journeys))
        if draws and type(used).__name__ == "Incremental":
            raise ParameterError(
                "--draws must be left out for Incremental: it has intervals of its own, which "
                "cover more than a bootstrap's. Name another model by --model to bootstrap it"
            )
        result = (
            bootstrap(used, journeys, n_draws=draws, random_state=seed, of=run.of)
            if draws
            else used.fit_attribute(journeys, of=run.of)
        )
        if asked is None and not result.estimand.startswith("incremental"):
            typer.echo(_BOOKS.format(label_of(used)), err=True)
        label, verdict = label_of(used), getattr(used, "verdict_", ())
        return Output(
            show=lambda console: terminal.show_attribution(
                console, result, label, top=top, verdict=verdict
            ),
            table=Comparison({label: result}).long,
            document=lambda: documents.attribution_document(result, verdict),
        )

    carry_out(run, out, work)


@app.command(
    epilog=_examples(
        "mta-models diagnose --example",
        "mta-models example --paths --out paths.csv",
        "mta-models diagnose paths.csv --out findings.json",
    )
)
@reads
def diagnose(run: Run, out: OutOption = None) -> None:
    """Check which effects these journeys can show, and what to do if they cannot."""

    def work(journeys: Journeys) -> Output:
        from mta_models.diagnosis.checking import diagnose as diagnose_journeys
        from mta_models.reporting import documents, terminal

        result = diagnose_journeys(journeys)
        return Output(
            show=lambda console: terminal.show(console, result.blocks()),
            table=lambda: documents.diagnosis_table(result),
            document=lambda: documents.diagnosis_document(result),
        )

    carry_out(run, out, work)


@app.command(
    epilog=_examples(
        "mta-models example --out log.csv",
        "mta-models example --paths --out paths.parquet",
    )
)
def example(
    out: LogOption = None,
    paths: Annotated[
        bool, typer.Option("--paths", help="Write the log's journeys as a table of paths.")
    ] = False,
    users: Annotated[int, typer.Option(min=1, help="Users simulated.")] = 20_000,
    seed: SeedOption = 0,
) -> None:
    """Write the example log, a simulated shop."""
    out = _table_file(out)
    with one_line_errors():
        from mta_models.cli.run_config import read_example
        from mta_models.worlds.mechanisms.shop import example_events

        files.check_writable(out)
        log = example_events(users, seed)
        table = read_example(log).compress().to_polars() if paths else log
        files.write_files({out: files.encoded(out, table, {})})


@app.command(
    epilog=_examples(
        "mta-models simulate micro_synergy --users 10000 --out events.parquet",
        "mta-models attribute events.parquet --model Linear --user user --time time \\",
        "  --channel channel --conversion conversion",
        "mta-models simulate repeat --users 2000 --lift-test Search --out repeat.csv",
        "mta-models simulate visits_clicks --draw 2 --users 2000 --out visits.parquet",
    )
)
def simulate(
    world: Annotated[str, typer.Argument(metavar="WORLD", help=f"{', '.join(world_names())}.")],
    out: LogOption = None,
    users: Annotated[int, typer.Option(min=1, help="Users simulated.")] = 20_000,
    strength: Annotated[
        float,
        typer.Option(min=0, max=1, help="Strength of the mechanism that the world is named after."),
    ] = 0.5,
    seed: SeedOption = 0,
    draw: Annotated[
        int,
        typer.Option(min=0, help="Draw of channels, effects and volumes, in worlds of visits."),
    ] = 0,
    lift_test: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="Channel to test by a randomised holdout. Repeat it for more.",
        ),
    ] = None,
) -> None:
    """Write the log of a simulated world, and the true effects of its channels.

    It writes three files: the events; all users with the start and end of their observation, in a
    file with .observed before its ending; and the truth, costs and lift tests, in .truth.json.
    """
    out = _table_file(out)
    if world not in world_names():
        misuse(f"a world must be one of {', '.join(world_names())}; got {world!r}")
    with one_line_errors():
        from mta_models.reporting.simulation_files import write_simulation
        from mta_models.worlds.catalogue import make

        made = make(world, n_users=users, strength=strength, seed=seed, draw=draw)
        made.check_channels(lift_test or ())
        with working(f"simulating {world} and intervening on it"):
            write_simulation(made, out, lift_tests=lift_test or ())


app.command(
    epilog=_examples(
        "mta-models benchmark --world micro_intent --world micro_upstream --seeds 2 --jobs 1",
        "mta-models benchmark --world micro_synergy --model LastTouch --model Markov \\",
        "  --draws 100 --metric coverage_95 --jobs 1 --out rows.csv",
        "mta-models benchmark --quick",
    )
)(benchmark)


def _table_file(out: Path | None) -> Path:
    """The file to write a log to; a missing file, or one for JSON, is a misuse."""
    if out is None or out.suffix.lower() == ".json":
        misuse("name a file to write by --out, ending in .csv or .parquet")
    return out


def _model(name: str) -> AttributionModel:
    """The model of that name; an unknown name is a misuse, reported before anything is read."""
    from mta_models.models.names import model_from_name

    try:
        return model_from_name(name)
    except ParameterError as error:
        misuse(str(error))


if __name__ == "__main__":
    app()
