"""The trial of ads against placebos: what last touch credits, and what the ads changed.

Of 588,101 people, most were shown the ad in question, the others a public service announcement in
its place: a placebo. Both are counted by the number of ads that people saw.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import polars as pl

import mta_models as mta
from mta_models.core import files

Row = dict[str, Any]

COLUMNS = ("what", "ads", "arm", "value", "standard_error")


def rows(table: pl.DataFrame) -> list[Row]:
    """Rates by arm and number of ads, and what four ways of counting make of them.

    Rates are of people who convert; all else is conversions of people who were shown the arm's ads:
    `converted`: all of them; `by dose`: those above the rate of people who saw the smallest number
    of ads; `last touch`: what `LastTouch` credits; `contrast`: those above the rate of the
    placebo's people, which is the effect.

    Args:
        table: columns total_ads, group (ad, psa), users, converted.
    """
    found: list[Row] = []
    arms = {"ad": table.filter(group="ad"), "placebo": table.filter(group="psa")}
    for arm, of in arms.items():
        for ads, n, converted in of.select("total_ads", "users", "converted").iter_rows():
            found.append(_row("rate", ads, arm, converted / n, _error(converted, n)))
        least = of["converted"][0] / of["users"][0]
        n, converted = _all(of)
        found.append(_row("people", "", arm, n))
        found.append(_row("converted", "", arm, converted))
        found.append(_row("by dose", "", arm, converted - n * least))
    (n, ads), (m, placebos) = map(_all, arms.values())
    journeys = mta.Journeys.from_paths(
        [["ad"], []], conversions=[ads, placebos], nulls=[n - ads, m - placebos]
    )
    last_touch = mta.LastTouch().fit_attribute(journeys)
    error = n * math.hypot(_error(ads, n), _error(placebos, m))
    found.append(_row("last touch", "", "ad", float(last_touch.credit[0])))
    found.append(_row("contrast", "", "ad", ads - n * placebos / m, error))
    return found


def _row(what: str, ads: str, arm: str, value: float, error: float = 0.0) -> Row:
    return {"what": what, "ads": ads, "arm": arm, "value": value, "standard_error": error}


def _all(arm: pl.DataFrame) -> tuple[int, int]:
    """People and conversions."""
    return int(arm["users"].sum()), int(arm["converted"].sum())


def _error(converted: int, n: int) -> float:
    rate = converted / n
    return math.sqrt(rate * (1 - rate) / n)


def write(table: Path, out: Path) -> None:
    """The rows of a table, as a file."""
    lines = [[_text(row[name]) for name in COLUMNS] for row in rows(pl.read_csv(table))]
    files.write_csv(out, [COLUMNS, *lines])


def _text(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def read(file: Path) -> list[dict[str, str]]:
    """The rows as committed; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
