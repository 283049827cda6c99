"""Results as plain values for JSON files, and tables for CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import Attribution

if TYPE_CHECKING:
    import polars as pl

    from mta_models.analysis.comparison import Comparison
    from mta_models.diagnosis.findings import Diagnosis
    from mta_models.models.incremental.one_answer.verdict import ChannelVerdict


def attribution_document(
    attribution: Attribution, verdict: Sequence[ChannelVerdict] = ()
) -> dict[str, Any]:
    """The attribution as an object of plain values; a missing number is null.

    Keys: `model`, `estimand`, `of`, `total`, `baseline`, `checks` (sentences on the fit), and
    `channels`, a list of objects with `channel`, `credit`, `share`. With draws, channels also have
    `lower` and `upper`; `baseline_interval` has the bounds of the baseline, `interval` is the
    probability inside the bounds, and `interval_holds` says which uncertainty they cover (a
    bootstrap: sampling only). With a verdict, `verdict` is a list of objects, whose keys are the
    attributes of `ChannelVerdict`.
    """
    columns: dict[str, Any] = {
        "channel": attribution.channels,
        "credit": attribution.credit,
        "share": attribution.share,
    }
    bounds: dict[str, Any] = {}
    if attribution.draws is not None:
        lower, upper = attribution.interval().T
        columns |= {"lower": lower, "upper": upper}
        ends = [_plain(each) for each in attribution.baseline_interval()]
        bounds = {
            "interval": 0.95,
            "interval_holds": attribution.interval_holds,
            "baseline_interval": ends,
        }
    return {
        "model": attribution.model,
        "estimand": attribution.estimand,
        "of": attribution.of,
        "total": _plain(attribution.total),
        "baseline": _plain(attribution.baseline),
        "checks": list(attribution.checks),
        **({"verdict": [asdict(each) for each in verdict]} if verdict else {}),
        **bounds,
        "channels": [
            {name: _plain(value) for name, value in zip(columns, row, strict=True)}
            for row in zip(*columns.values(), strict=True)
        ],
    }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as an object of plain values.

    Keys: `of`, `total`, `models`, a list of the `attribution_document` of each model, and, if there
    is a validation, `validation` with `since`, `until` and a list of scores.
    """
    document: dict[str, Any] = {
        "of": comparison.of,
        "total": _plain(comparison.total),
        "models": [attribution_document(each) for each in comparison.attributions.values()],
    }
    if comparison.validation is not None:
        validation = comparison.validation
        rows = validation.to_polars().iter_rows(named=True)
        document["validation"] = {
            "since": validation.since,
            "until": validation.until,
            "scores": [{name: _plain(value) for name, value in row.items()} for row in rows],
        }
    return document


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as an object of plain values, whose keys are the attributes of `Diagnosis`."""
    return {
        "findings": [asdict(each) for each in diagnosis.findings],
        "silent": list(diagnosis.silent),
        "skipped": dict(diagnosis.skipped),
        "verdict": diagnosis.verdict,
        "experiments": dict(diagnosis.experiments),
    }


def diagnosis_table(diagnosis: Diagnosis) -> pl.DataFrame:
    """One row per finding; its channels are joined to one text, because CSV has no lists."""
    import polars as pl

    return diagnosis.to_polars().with_columns(pl.col("channels").list.join("; "))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None
