"""Rows of results/experiments.csv, averaged over the draws of rows that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from benchmarks.experiments.running import REFERENCES, TIMED, TIMELESS, TIMES

# Texts, which a file may have in no row.
_TEXTS = ("times", "warnings", "error")


def label(model: str, times: str) -> str:
    """A model and where conversions were put, as tables and figures name it."""
    return f"{model}, {times}" if times else model


def read(file: Path, texts: Sequence[str] = ()) -> pl.DataFrame:
    """The rows of a file, with empty cells of `texts` as empty texts; none if there is no file."""
    if not file.exists():
        return pl.DataFrame()
    as_text = dict.fromkeys(texts, pl.String())
    rows = pl.read_csv(file, infer_schema_length=None, schema_overrides=as_text)
    return rows.with_columns(pl.col(list(texts)).fill_null(""))


@dataclass(frozen=True)
class Means:
    """Credits beside the trials' answers.

    Attributes:
        file: of the rows.
    """

    file: Path

    @cached_property
    def rows(self) -> pl.DataFrame:
        """As in the file, with a column `label`, in the order of the page."""
        rows = read(self.file, _TEXTS)
        if rows.is_empty():
            return rows
        known = [
            *(("", model) for model in TIMELESS),
            *((times, model) for times in TIMES for model in TIMED),
            *(("", model) for model in REFERENCES),
        ]
        order = {label(model, times): place for place, (times, model) in enumerate(known)}
        comma = pl.when(pl.col("times") == "").then(pl.lit("")).otherwise(pl.lit(", "))
        named = rows.with_columns(pl.concat_str("model", comma, "times").alias("label"))
        place = pl.col("label").replace_strict(order, default=len(order), return_dtype=pl.Int64)
        return named.sort(place, maintain_order=True)

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row for each trial, selection, channel and `label`.

        `credit`, `spread` (s.d. over draws), `truth`, `half` (of the truth's 95 % interval),
        `ratio` and `half_ratio` (of credit and half to truth), `draws`.
        """
        if self.rows.is_empty():
            return self.rows
        keys = ("trial", "selection", "channel", "label")
        return (
            self.rows.group_by(keys, maintain_order=True)
            .agg(
                pl.col("credit").mean(),
                pl.col("credit").std().fill_null(0.0).alias("spread"),
                pl.col("truth").mean(),
                (1.96 * pl.col("truth_se").mean()).alias("half"),
                pl.col("seed").n_unique().alias("draws"),
            )
            .with_columns(
                (pl.col("credit") / pl.col("truth")).alias("ratio"),
                (pl.col("half") / pl.col("truth")).alias("half_ratio"),
            )
        )

    def of(self, column: str, labels: Sequence[str], **where: str) -> list[float]:
        """A column of the table: of these models, and of one trial, selection or channel."""
        found = self.table.filter(pl.col("label").is_in(list(labels)), **where)
        return found[column].to_list()

    def warned(self, labels: Sequence[str]) -> int:
        """How many rows of these models have a warning."""
        found = self.rows.filter(pl.col("label").is_in(list(labels)))
        return found.filter(pl.col("warnings") != "").height

    def held(self, labels: Sequence[str]) -> tuple[int, int]:
        """How many of the models' own 90 % intervals hold the trial's answer, and of how many."""
        found = self.rows.filter(
            pl.col("label").is_in(list(labels)), pl.col("low_90").is_not_null()
        )
        held = found["truth"].is_between(found["low_90"], found["high_90"])
        return int(held.sum()), found.height
