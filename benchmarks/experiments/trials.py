"""Two experiments with real people, as arms, outcomes, and what was known of people before.

The data are other people's and are read from a folder that the caller names; nothing of them is
kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from mta_models.core.ragged import Floats, Ints, Mask

_MISSING = -999  # how the letters' table writes a missing number
_FEW = 0.01  # of people; fewer missing numbers need no column of their own


@dataclass(frozen=True, eq=False)
class Trial:
    """A randomised experiment, a row a person.

    Attributes:
        name: of the experiment and its outcome.
        channels: names of the arms that got something; arm 0 got nothing.
        arm: shape `(n,)`; 0, or 1 plus the index of a channel.
        converted: shape `(n,)`.
        score: shape `(n,)`, from covariates alone, mean 0 and s.d. 1; people with a high one
            convert more often.
        covariates: a column `user` (0 to n − 1) and numeric columns without missing values, known
            before anyone was assigned.
        share: shape `(n_channels + 1,)`, of people, by arm.
    """

    name: str
    channels: tuple[str, ...]
    arm: Ints
    converted: Mask
    score: Floats
    covariates: pl.DataFrame
    share: Floats = field(init=False)

    def __post_init__(self) -> None:
        count = np.bincount(self.arm, minlength=len(self.channels) + 1)
        object.__setattr__(self, "share", count / count.sum())


def read(folder: Path) -> list[Trial]:
    """All trials of the folder: e-mails and visits, e-mails and purchases, letters and gifts."""
    mailed = pl.read_csv(folder / "hillstrom_emails.csv.gz")
    letters = pl.read_csv(folder / "karlan_list_letters.csv.gz")
    return [
        emails(mailed, "visit", "e-mails, visits"),
        emails(mailed, "conversion", "e-mails, purchases"),
        gifts(letters),
    ]


def emails(table: pl.DataFrame, outcome: str, name: str) -> Trial:
    """Hillstrom's e-mails: customers who spent more, and more recently, have a high score."""
    arms = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
    arm = table["treatment"].replace_strict(arms, [0, 1, 2], return_dtype=pl.Int64)
    spent, recency = np.log(table["history"].to_numpy()), table["recency"].to_numpy()
    known = table.select(
        pl.int_range(pl.len()).alias("user"),
        pl.col("history").log(),
        "recency",
        "mens",
        "womens",
        "newbie",
        (pl.col("zip_code") == "Rural").cast(pl.Int64).alias("rural"),
        (pl.col("zip_code") == "Urban").cast(pl.Int64).alias("urban"),
        (pl.col("channel") == "Web").cast(pl.Int64).alias("by_web"),
        (pl.col("channel") == "Multichannel").cast(pl.Int64).alias("by_both"),
    )
    return Trial(
        name,
        ("Men's e-mail", "Women's e-mail"),
        arm.to_numpy(),
        table[outcome].to_numpy() > 0,
        _standard(_standard(spent) - _standard(recency)),
        known,
    )


def gifts(table: pl.DataFrame) -> Trial:
    """Karlan and List's letters: who gave more often, and more recently, has a high score.

    Everyone got a letter; the channel is the offer in it to match a gift.
    """
    outcomes = [name for name in table.columns if name.startswith(("treat", "out_"))]
    known = completed(table.drop(outcomes)).with_columns(
        pl.col("hpa", "ltmedmra", "freq", "median_hhincome").log1p()
    )
    often, months = known["freq"].to_numpy(), known["mrm2"].to_numpy()
    return Trial(
        "letters, gifts",
        ("Matching offer",),
        table["treatment"].to_numpy(),
        table["out_gavedum"].to_numpy() > 0,
        _standard(_standard(often) - _standard(months)),
        known.select(pl.int_range(pl.len()).alias("user"), pl.all()),
    )


def completed(table: pl.DataFrame) -> pl.DataFrame:
    """Numbers, a missing one (−999) by the median; where many are, a column says which."""
    known = table.with_columns(pl.all().cast(pl.Float64).replace(_MISSING, None))
    gaps = [name for name in known.columns if known[name].null_count()]
    many = [name for name in gaps if known[name].null_count() > _FEW * known.height]
    return known.with_columns(
        *(pl.col(name).is_null().cast(pl.Float64).alias(f"{name}_missing") for name in many),
        *(pl.col(name).fill_null(pl.col(name).median()) for name in gaps),
    )


def _standard(values: Floats) -> Floats:
    standard: Floats = (values - values.mean()) / values.std()
    return standard
