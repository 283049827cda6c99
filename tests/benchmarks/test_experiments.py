"""Models on experiments: confounding by construction, the trials' known counts, the page."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from benchmarks.experiments import __main__ as command
from benchmarks.experiments import findings, placebo, report, running, trials
from benchmarks.experiments.selection import Selection, chances, effects, kept, selections

_EFFECT = 0.08


def made(n: int = 60_000, seed: int = 0) -> trials.Trial:
    """A trial in which the channel adds .08 to everyone's chance; a score adds to its log odds."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    arm = rng.integers(0, 2, n)
    chance = 1 / (1 + np.exp(2 - 0.7 * score)) + _EFFECT * arm
    known = pl.DataFrame({"user": range(n), "score": score})
    return trials.Trial("made", ("Letter",), arm, rng.random(n) < chance, score, known)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small tables of the same columns as the published ones, all made."""
    folder, rng, n = tmp_path_factory.mktemp("experiments"), np.random.default_rng(1), 3_000
    spent = np.exp(rng.normal(5, 1, n))
    arm = rng.choice(["No E-Mail", "Mens E-Mail", "Womens E-Mail"], n)
    visit = rng.random(n) < 0.1 + 0.1 * (arm != "No E-Mail")
    emails = pl.DataFrame(
        {"recency": rng.integers(1, 13, n), "history": spent}
        | {name: rng.integers(0, 2, n) for name in ("mens", "womens", "newbie")}
        | {"zip_code": rng.choice(["Rural", "Urban", "Surburban"], n)}
        | {"channel": rng.choice(["Web", "Phone", "Multichannel"], n), "treatment": arm}
        | {"visit": visit.astype(int), "conversion": (visit & (rng.random(n) < 0.5)).astype(int)}
    )
    letters = pl.DataFrame(
        {"treatment": (rng.random(n) < 2 / 3).astype(int)}
        | {"treat_ratio2": 0, "treat_ratio3": 0, "out_amountgive": 1.0}
        | {"out_gavedum": (rng.random(n) < 0.2).astype(int)}
        | {name: rng.exponential(30, n).round(1) for name in ("hpa", "ltmedmra", "freq")}
        | {"years": rng.integers(0, 9, n), "mrm2": rng.integers(0, 60, n)}
        | {"female": np.where(rng.random(n) < 0.05, -999, rng.integers(0, 2, n))}
        | {"median_hhincome": rng.normal(50_000, 9_000, n).round()}
    ).with_columns(mrm2=pl.when(pl.int_range(pl.len()) == 7).then(-999).otherwise("mrm2"))
    ads = pl.DataFrame(
        {
            "total_ads": ["1-4", "1-4", ">30", ">30"],
            "group": ["ad", "psa", "ad", "psa"],
            "users": [2_000, 1_000, 2_000, 1_000],
            "converted": [20, 5, 200, 80],
        }
    )
    for name, table in (("hillstrom_emails", emails), ("karlan_list_letters", letters)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table.write_csv(file)
        _pack(folder / f"{name}.csv")
    ads.write_csv(folder / "placebo_ads_table.csv")
    return folder


def _pack(file: Path) -> None:
    import gzip

    file.with_suffix(".csv.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()


@pytest.fixture(scope="module")
def experiments() -> Path:
    """The published ones."""
    data = os.environ.get("MTA_TEST_DATA")
    if not data:
        pytest.skip("MTA_TEST_DATA names no folder of reference data")
    return Path(data) / "experiments"


# What is committed.


def test_nothing_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check"]) == 0, capsys.readouterr().err


def test_every_model_has_rows_of_every_seed() -> None:
    rows = running.read(report.RESULTS / "experiments.csv")
    seeds = {str(seed) for seed in command.SEEDS}
    models = {("", model) for model in (*running.TIMELESS, *running.REFERENCES)}
    models |= {(times, model) for times in running.TIMES for model in running.TIMED}
    cells: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for row in rows:
        cell = (row["trial"], row["selection"], row["seed"], row["channel"])
        cells.setdefault(cell, set()).add((row["times"], row["model"]))
    assert all(found == models for found in cells.values())
    assert len(cells) == 3 * (2 + 2 + 1) * len(seeds)
    assert {seed for _, _, seed, _ in cells} == seeds
    assert min(map(int, seeds)) >= 100  # nothing was tuned on them
    assert not [row["error"] for row in rows if row["error"]]


def test_the_page_says_what_the_rows_say() -> None:
    means, chance = report.Report().means, {"selection": "at random"}
    counted = means.of("ratio", findings.COUNTING, **chance)
    assert min(counted) > 1.5
    # They are one line of the tables.
    assert len({round(ratio, 9) for ratio in counted}) == 5
    visits = {"trial": findings.VISITS}
    assert min(means.of("ratio", findings.COMPARING, **visits, selection="to likely")) > 1.2
    for column, turned in (("truth", False), ("credit", True)):
        men, women = (
            means.of(column, findings.COMPARING, **visits, selection="split", channel=channel)
            for channel in ("Men's e-mail", "Women's e-mail")
        )
        assert all((m < w) == turned for m, w in zip(men, women, strict=True))
    assert max(means.of("ratio", ("Logistic, one day",), **chance)) < 0
    held, of = means.held(["Incremental, one day", "Incremental, any day"])
    assert held == of  # its intervals hold anything up to all conversions
    adjusted = means.of("ratio", (findings.ADJUSTED,), **visits)
    assert 0.7 < min(adjusted) <= max(adjusted) < 1.2
    known = means.of("ratio", running.REFERENCES[1:], **visits)
    assert 0.8 < min(known) <= max(known) < 1.2
    assert report.Report().text().startswith("## What fails")


# Confounding.


def test_selection_confounds_and_known_chances_undo_it() -> None:
    trial = made()
    likely = Selection("to likely", (1,))
    effect, error = effects(trial, likely)
    assert abs(effect[0] - _EFFECT) < 3 * error[0]
    naive, undone, adjusted = [], [], []
    for seed in range(5):
        stays = kept(trial, likely, seed)
        of = [trial.converted[stays & (trial.arm == arm)].mean() for arm in (0, 1)]
        naive.append(of[1] - of[0])
        reached = int((stays & (trial.arm == 1)).sum())
        undone.append(running.by_known_chances(trial, stays, likely)[0] / reached)
        adjusted.append(running.by_regression(trial, stays)[0] / reached)
    assert min(naive) > 1.5 * _EFFECT
    assert np.mean(undone) == pytest.approx(effect[0], rel=0.1)
    assert np.mean(adjusted) == pytest.approx(effect[0], rel=0.1)


def test_rows_that_stay_are_as_a_whole_those_of_the_trial() -> None:
    trial = made()
    for selection in selections(trial):
        stays = kept(trial, selection, 3)
        assert abs(trial.score[stays].mean()) < 0.03
        of = [trial.score[stays & (trial.arm == arm)].mean() for arm in (0, 1)]
        assert np.sign(np.round(of[1] - of[0], 1)) == selection.direction[0]
        assert chances(trial, selection).sum(axis=1) == pytest.approx(1)
    assert (kept(trial, selections(trial)[1], 3) == kept(trial, selections(trial)[1], 3)).all()


def test_with_one_touchpoint_rules_credit_every_conversion_of_the_reached() -> None:
    trial = made(4_000)
    found = list(running.rows(trial, selections(trial)[1], 0))
    by_model = {row["model"]: row for row in found if not row["times"]}
    for model in tuple(running.TIMELESS)[:6]:
        assert by_model[model]["credit"] == pytest.approx(by_model[model]["converted"])
    assert len(found) == len(running.TIMELESS) + 2 * len(running.TIMED) + len(running.REFERENCES)
    assert {row["truth"] for row in found} == {found[0]["truth"]}


def test_the_log_is_of_the_people_who_stay() -> None:
    trial = made(500)
    stays = kept(trial, selections(trial)[0], 0)
    for times in running.TIMES:
        journeys = running.journeys(trial, stays, times, 0)
        assert journeys.total == trial.converted[stays].sum()
        assert journeys.n_touchpoints == (stays & (trial.arm == 1)).sum()
        assert journeys.timeline is not None
        assert journeys.timeline.n_users == stays.sum()


# Tables.


def test_minus_999_is_missing(folder: Path) -> None:
    raw = pl.read_csv(folder / "karlan_list_letters.csv.gz")
    known = trials.gifts(raw).covariates
    assert known["user"].to_list() == list(range(raw.height))
    assert known.drop("user").min_horizontal().min() > -1
    # Many of `female`, which has a column for it; one of `mrm2`, which has none.
    assert known["female_missing"].sum() == (raw["female"] == -999).sum()
    assert "mrm2_missing" not in known.columns
    assert known["mrm2"][7] == raw.filter(pl.col("mrm2") >= 0)["mrm2"].median()
    assert not [name for name in known.columns if name.startswith(("treat", "out_"))]


def test_a_run_resumes_and_its_page_is_not_stale(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "experiments.md"
    page.write_text("a\n<!-- experiments:begin -->\n<!-- experiments:end -->\nb\n")
    monkeypatch.setattr(report, "PAGE", page)
    few = {name: running.TIMED[name] for name in ("Hazard", "Logistic with covariates")}
    monkeypatch.setattr(running, "TIMED", few)
    given = ["--data", str(folder), "--results", str(tmp_path), "--seeds", "7"]
    monkeypatch.setattr(report, "failures", lambda _: [])  # of models that are not run here
    assert command.main([*given, "--only", "letters"]) == 0
    first = (tmp_path / "experiments.csv").read_text()
    monkeypatch.setattr(running, "credit_of", lambda *_: pytest.fail("it is done"))
    assert command.main([*given, "--only", "letters"]) == 0
    assert (tmp_path / "experiments.csv").read_text() == first
    assert "### Letters: gifts" in page.read_text()
    assert "E-mails: visits" not in page.read_text()
    assert command.main(["--check", "--results", str(tmp_path)]) == 0
    (tmp_path / "experiments.csv").write_text(first.replace(",7,", ",8,"))
    assert command.main(["--check", "--results", str(tmp_path)]) == 1


def test_a_model_that_refuses_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(known: pl.DataFrame) -> mta.AttributionModel:
        raise mta.JourneyError("not here")

    monkeypatch.setattr(running, "TIMED", {"Refuser": refuse})
    trial = made(2_000)
    rows = [row for row in running.rows(trial, selections(trial)[0], 0) if row["times"]]
    assert [(row["credit"], row["error"]) for row in rows] == [("", "not here")] * 2


def test_the_contrast_of_ads_and_placebos(folder: Path) -> None:
    rows = placebo.rows(pl.read_csv(folder / "placebo_ads_table.csv"))
    value = {(row["what"], row["arm"], row["ads"]): row["value"] for row in rows}
    assert value["last touch", "ad", ""] == 220
    assert value["contrast", "ad", ""] == pytest.approx(220 - 4_000 * 85 / 2_000)
    assert value["by dose", "ad", ""] == pytest.approx(220 - 4_000 * 20 / 2_000)
    assert value["rate", "placebo", ">30"] == 0.08
    # The game of rates has the same answer: who saw no ad is its empty coalition.
    journeys = mta.Journeys.from_paths([["ad"], []], conversions=[220, 85], nulls=[3_780, 1_915])
    game = mta.Shapley("rate").fit_attribute(journeys)
    assert game.credit.sum() == pytest.approx(value["contrast", "ad", ""])


# With the published tables.


def test_the_trials_have_their_known_counts(experiments: Path) -> None:
    visits, purchases, gifts = trials.read(experiments)
    assert np.bincount(purchases.arm).tolist() == [21_306, 21_307, 21_387]
    assert np.bincount(purchases.arm, purchases.converted).tolist() == [122, 267, 189]
    assert visits.converted.sum() == 9_394
    assert np.bincount(gifts.arm).tolist() == [16_687, 33_396]
    assert np.bincount(gifts.arm, gifts.converted).tolist() == [298, 736]
    effect, error = effects(purchases, selections(purchases)[0])
    people = np.bincount(purchases.arm)[1:]
    assert np.round(people * effect).tolist() == [145, 67]
    assert np.round(1.96 * people * error).tolist() == [38, 34]
    for trial in (visits, purchases, gifts):
        assert trial.covariates.null_count().sum_horizontal()[0] == 0
        assert trial.covariates.drop("user").min_horizontal().min() >= 0
    rows = placebo.rows(pl.read_csv(experiments / "placebo_ads_table.csv"))
    (contrast,) = (row for row in rows if row["what"] == "contrast")
    assert round(contrast["value"]) == 4_343
    assert round(1.96 * contrast["standard_error"]) == 983


def test_committed_rows_come_out_again(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TIMED", {})  # estimates may change; a run adds them anew
    trial = trials.read(experiments)[2]
    seed = command.SEEDS[3]
    running.run([trial], [seed], tmp_path / "again.csv")
    with (report.RESULTS / "experiments.csv").open(newline="", encoding="utf-8") as file:
        kept_rows = {tuple(row[name] for name in running.KEY): row for row in csv.DictReader(file)}
    for row in running.read(tmp_path / "again.csv"):
        old = kept_rows[tuple(row[name] for name in running.KEY)]
        for name in ("credit", "truth", "truth_se", "people"):
            assert float(row[name]) == pytest.approx(float(old[name]), rel=1e-3, abs=1e-3)
    placebo.write(experiments / "placebo_ads_table.csv", tmp_path / "placebo.csv")
    committed = (report.RESULTS / "placebo.csv").read_text(encoding="utf-8")
    assert (tmp_path / "placebo.csv").read_text(encoding="utf-8") == committed
