"""Each model on confounded rows of a trial, and the trial's own answer beside it."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import mta_models as mta
from benchmarks.experiments.selection import Selection, chances, effects, kept, selections
from benchmarks.experiments.trials import Trial
from mta_models.core import files
from mta_models.core.ragged import Floats, Mask
from mta_models.models.incremental.doubly_robust.doubly_robust import DoublyRobust

# Trials have no times. Everyone is observed for DAYS, and channels are met on day 0.
DAYS, DAY = 14.0, 7.0
# When those who convert do: all on DAY, or each on a day drawn evenly from all days.
TIMES = ("one day", "any day")
COLUMNS = (
    *("trial", "selection", "seed", "times", "model", "channel", "credit", "truth", "truth_se"),
    *("low_90", "high_90", "reached", "converted", "people", "warnings", "error"),
)
KEY = COLUMNS[:5]

Row = dict[str, Any]
# Credits, and 90 % intervals of a model that has them without a bootstrap.
Answer = tuple[Floats, Floats | None]
Make = Callable[[pl.DataFrame], mta.AttributionModel]

# Models that read no times: one answer, whatever is assumed of them.
TIMELESS: dict[str, Make] = {
    "FirstTouch": lambda _: mta.FirstTouch(),
    "LastTouch": lambda _: mta.LastTouch(),
    "Linear": lambda _: mta.Linear(),
    "Markov": lambda _: mta.Markov(),
    "Shapley": lambda _: mta.Shapley(),
    "SimpleProbabilistic": lambda _: mta.SimpleProbabilistic(),
    "Shapley('rate')": lambda _: mta.Shapley("rate"),
}
TIMED: dict[str, Make] = {
    "Hazard": lambda _: mta.Hazard(),
    "Logistic": lambda _: mta.Logistic(),
    "Logistic with covariates": lambda known: mta.Logistic(covariates=known),
    "DoublyRobust": lambda _: DoublyRobust(history="past"),
    "DoublyRobust with covariates": lambda known: DoublyRobust(history="past", covariates=known),
    "SelfControlled": lambda _: mta.SelfControlled(),
    "Incremental": lambda _: mta.Incremental(),
}
# Not models of this package: what can be reached with the covariates, or with the selection known.
REFERENCES = ("regression on covariates", "weights of the known selection")


def read(file: Path) -> list[dict[str, str]]:
    """The rows of a file; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def forget(file: Path, trials: list[Trial], models: list[str]) -> None:
    """Take the rows of these models on these trials out of the file."""
    rows, names = read(file), {trial.name for trial in trials}
    stay = [row for row in rows if row["model"] not in models or row["trial"] not in names]
    if len(stay) < len(rows):
        files.write_csv(file, [COLUMNS, *([row[name] for name in COLUMNS] for row in stay)])


def run(trials: list[Trial], seeds: list[int], out: Path) -> None:
    """Add the rows that the file lacks, log by log."""
    done = {tuple(row[name] for name in KEY) for row in read(out)}
    for trial in trials:
        for selection in selections(trial):
            for seed in seeds:
                found = [
                    {name: text(row[name]) for name in COLUMNS}
                    for row in rows(trial, selection, seed, done)
                ]
                if found:
                    table = [[row[name] for name in COLUMNS] for row in (*read(out), *found)]
                    files.write_csv(out, [COLUMNS, *table])


def text(value: Any) -> str:
    """As it stands in the file."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def rows(
    trial: Trial, selection: Selection, seed: int, done: set[tuple[str, ...]] | None = None
) -> Iterator[Row]:
    """A row for each model and channel, without the models that are done."""
    stays = kept(trial, selection, seed)
    effect, error = effects(trial, selection)
    arm, converted = trial.arm[stays], trial.converted[stays]
    reached = np.bincount(arm, minlength=len(trial.share))[1:]
    of = np.bincount(arm, converted, len(trial.share))[1:].astype(int)

    def about(times: str, model: str, answer: Callable[[], Answer]) -> list[Row]:
        key: Row = {"trial": trial.name, "selection": selection.name, "seed": seed}
        key |= {"times": times, "model": model}
        if done and tuple(map(text, key.values())) in done:
            return []
        credit: Any = [""] * len(trial.channels)
        bounds, refused = None, ""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", mta.MTAWarning)
            try:
                credit, bounds = answer()
            except mta.MTAError as reason:
                refused = str(reason)
        said = " | ".join(dict.fromkeys(str(each.message) for each in warned))
        if bounds is None:
            bounds = [("", "")] * len(trial.channels)
        return [
            key
            | {"channel": channel, "credit": credit[i]}
            | {"truth": float(effect[i] * reached[i]), "truth_se": float(error[i] * reached[i])}
            | {"low_90": bounds[i][0], "high_90": bounds[i][1]}
            | {"reached": reached[i], "converted": of[i], "people": len(arm)}
            | {"warnings": said, "error": refused}
            for i, channel in enumerate(trial.channels)
        ]

    yield from about("", REFERENCES[0], lambda: (by_regression(trial, stays), None))
    known = by_known_chances(trial, stays, selection)
    yield from about("", REFERENCES[1], lambda: (known, None))
    for times in ("", *TIMES):
        log = journeys(trial, stays, times or TIMES[0], seed)
        for model, make in (TIMED if times else TIMELESS).items():
            yield from about(times, model, lambda make=make, log=log: credit_of(make, log, trial))


def journeys(trial: Trial, stays: Mask, times: str, seed: int) -> mta.Journeys:
    """The people who stay, as a log: the channel on day 0, then the conversion, if there is one."""
    user = np.flatnonzero(stays)
    day = np.full(len(stays), DAY)
    if times == "any day":
        day = DAYS * np.random.default_rng([seed, 1]).random(len(stays))
    names = np.array(["", *trial.channels])
    met, bought = user[trial.arm[user] > 0], user[trial.converted[user]]
    touchpoints = pl.DataFrame(
        {"user": met, "day": np.zeros(len(met)), "channel": names[trial.arm[met]], "converts": 0}
    )
    conversions = pl.DataFrame(
        {"user": bought, "day": day[bought], "channel": None, "converts": 1},
        schema=touchpoints.schema,
    )
    return mta.read_events(
        pl.concat([touchpoints, conversions]),
        user="user",
        time="day",
        channel="channel",
        conversion="converts",
        observed=pl.DataFrame({"user": user}).with_columns(start=0.0, end=DAYS),
    )


def credit_of(make: Make, log: mta.Journeys, trial: Trial) -> Answer:
    """By the trial's order of channels."""
    found = make(trial.covariates).fit_attribute(log)
    place = [found.channels.index(channel) for channel in trial.channels]
    bounds = None if found.draws is None else found.interval(0.9)[: len(found.channels)][place]
    return found.credit[place], bounds


def by_regression(trial: Trial, stays: Mask) -> Floats:
    """Conversions of the reached less those that a regression on the others expects of them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = trial.covariates.drop("user").to_numpy()
    others = stays & (trial.arm == 0)
    learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    learner.fit(known[others], trial.converted[others])
    expected = learner.predict_proba(known)[:, 1]
    over = np.where(stays, trial.converted - expected, 0.0)
    credit: Floats = np.bincount(trial.arm, over, len(trial.share))[1:]
    return credit


def by_known_chances(trial: Trial, stays: Mask, selection: Selection) -> Floats:
    """Conversions of the reached less those of the others, weighted to be people like these."""
    chance = chances(trial, selection)
    others = stays & (trial.arm == 0)
    credit = np.zeros(len(trial.channels))
    for channel in range(len(trial.channels)):
        rows = stays & (trial.arm == channel + 1)
        weight = chance[others, channel + 1] / chance[others, 0]
        rate = weight @ trial.converted[others] / weight.sum()
        credit[channel] = trial.converted[rows].sum() - rows.sum() * rate
    return credit
