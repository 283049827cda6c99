"""Results of a benchmark: its rows, and the tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mta_models.benchmark.controls import CONTROLS
from mta_models.benchmark.purpose import Purpose, check_purpose
from mta_models.benchmark.rows import ABOUT, COST, FIELDS, METRICS, TEXTS, VERDICT, Row
from mta_models.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_N_RESAMPLES = 2_000


@dataclass(frozen=True, eq=False)
class Results:
    """One row per run, as `rows.FIELDS` names them.

    Attributes:
        rows: cells as texts, empty where there is no number.
        purpose: as in `Suite`. Results for a report cannot be made from rows of other logs.

    Raises:
        ParameterError: a row is of a log for development, and the purpose is `"report"`.
    """

    rows: Sequence[Row]
    purpose: Purpose = "development"

    def __post_init__(self) -> None:
        check_purpose(self.purpose, ((row["world"], int(row["seed"])) for row in self.rows))

    @cached_property
    def table(self) -> pl.DataFrame:
        """The rows with their types; missing numbers are null."""
        import polars as pl

        whole = ("n_users", "seed", "truth_users", "draws", *VERDICT)
        frame = pl.DataFrame(
            {name: [row[name] for row in self.rows] for name in FIELDS},
            schema=dict.fromkeys(FIELDS, pl.String),
        )
        numbers = [name for name in FIELDS if name not in TEXTS]
        return frame.with_columns(
            pl.col(name).replace("", None).cast(pl.Int64 if name in whole else pl.Float64)
            for name in numbers
        )

    def to_polars(self) -> pl.DataFrame:
        """One row per run."""
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """One row per run."""
        import pandas as pd

        return pd.DataFrame(self.table.to_dict(as_series=False))

    def leaderboard(self, metric: str = "total_variation") -> pl.DataFrame:
        """Mean of a metric over seeds, model × world.

        Models in the order of the rows, the controls last. There is no mean and no rank over
        worlds: it would depend on which worlds were chosen, so compare models within a world. A
        model that has no number on some log of a world has none for the world (null): a mean over
        the logs it did answer would be of easier logs than the others'. Columns are `model`,
        `estimand` and the worlds, with strength and size where a world has several.

        Args:
            metric: one of `rows.METRICS`.

        Raises:
            ParameterError: `metric` is not a metric.
        """
        import polars as pl

        check_metric(metric)
        means = self._means(metric)
        worlds = means["setting"].unique(maintain_order=True).to_list()
        wide = means.pivot("setting", index="model", values="mean", maintain_order=True)
        estimands = (
            self.table.filter(pl.col("estimand") != "")
            .group_by("model")
            .agg(pl.col("estimand").first())
        )
        return (
            wide.join(estimands, on="model", how="left", maintain_order="left")
            .sort(pl.col("model").is_in(CONTROLS), maintain_order=True)
            .select("model", "estimand", *worlds)
        )

    def differences(
        self, than: str, metric: str = "total_variation", *, prob: float = 0.95, seed: int = 0
    ) -> pl.DataFrame:
        """Each model's mean difference to another one, on the same logs, with its interval.

        Columns `setting`, `model`, `difference`, `lower`, `upper`, `n_seeds`. The interval is a
        bootstrap over seeds of the paired difference: it says how far the choice of seeds
        matters, not how far the choice of worlds does.

        Args:
            than: the model that the others are compared with.
            metric: name of a metric, a column of `table()`.
            prob: probability inside the interval.
            seed: of the bootstrap.

        Raises:
            ParameterError: there is no such metric or model.
        """
        import polars as pl

        check_metric(metric)
        held = self._settings().filter(pl.col(metric).is_not_null())
        if than not in held["model"]:
            raise ParameterError(
                f"than must be a model with a {metric}: {', '.join(held['model'].unique().sort())}"
                f"; got {than!r}"
            )
        on = ["setting", "seed"]
        other = held.filter(pl.col("model") == than).select(*on, other=pl.col(metric))
        paired = held.filter(pl.col("model") != than).join(other, on=on, maintain_order="left")
        apart = paired.group_by("setting", "model", maintain_order=True).agg(
            pl.col(metric) - pl.col("other")
        )
        found = []
        for setting, model, each in apart.iter_rows():
            values, n = np.array(each), len(each)
            picked = np.random.default_rng(seed).integers(0, n, (_N_RESAMPLES, n))
            tails = (1 - prob) / 2, (1 + prob) / 2
            lower, upper = np.quantile(values[picked].mean(axis=1), tails)
            found.append((setting, model, float(values.mean()), float(lower), float(upper), n))
        schema = ["setting", "model", "difference", "lower", "upper", "n_seeds"]
        return pl.DataFrame(found, schema=schema, orient="row")

    def errors(self) -> pl.DataFrame:
        """Models that failed, and why: columns `model`, `world`, `error`, and `n`, logs."""
        import polars as pl

        failed = self.table.filter(pl.col("error") != "")
        return failed.group_by("model", "world", "error", maintain_order=True).agg(n=pl.len())

    def _settings(self) -> pl.DataFrame:
        """The rows with `setting`: the world, with strength and size where they vary."""
        import polars as pl

        words = [pl.col("world")]
        if self.table["strength"].n_unique() > 1:
            words.append(pl.format("strength {}", pl.col("strength")))
        if self.table["n_users"].n_unique() > 1:
            words.append(pl.format("{} users", pl.col("n_users")))
        return self.table.with_columns(setting=pl.concat_str(words, separator=", "))

    def _means(self, metric: str) -> pl.DataFrame:
        import polars as pl

        column = pl.col(metric)
        whole = pl.when(column.is_not_null().all()).then(column.mean())
        return self._settings().group_by("setting", "model", maintain_order=True).agg(mean=whole)


def check_metric(metric: str) -> None:
    """Refuse a name that is not a metric's."""
    if metric not in (*METRICS, *VERDICT, *ABOUT, *COST):
        raise ParameterError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
