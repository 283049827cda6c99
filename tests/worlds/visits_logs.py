"""Worlds of visits for tests, and what tests read off their logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

import mta_models as mta
from mta_models.worlds.state import Noise
from mta_models.worlds.visits.engine import live
from mta_models.worlds.visits.interventions import parameters_of
from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.world import VisitWorld

VISITS = [name for name in mta.worlds.names() if name.startswith("visits_")]
HOUR = 1 / 24


def make(name: str, **options: Any) -> VisitWorld:
    world = mta.worlds.make(name, **{"n_users": 3_000, **options})
    assert isinstance(world, VisitWorld)
    return world


def lives(mechanisms: Mechanisms, doses: Any = None, n: int = 4_000, draw: int = 0) -> Any:
    """Purchases under doses of shape `(m, C)`, of n users of the world of these mechanisms."""
    p = parameters_of("test", mechanisms, draw)
    doses = np.ones((1, len(p.channels))) if doses is None else np.asarray(doses, dtype=float)
    still = np.zeros(len(doses), dtype=bool)
    return p, live(p, doses[:, :, None], still, n, Noise((99, 1, 0)))


def days_between(events: pl.DataFrame) -> pl.DataFrame:
    """Events with `day`, and `next`: days from each to its user's next conversion."""
    day = (pl.col("time") - pl.col("time").min()).dt.total_microseconds() / 86_400e6
    bought = pl.when(pl.col("conversion") == 1).then(pl.col("day"))
    return (
        events.with_columns(day=day)
        .with_columns(next=bought.fill_null(strategy="backward").over("user"))
        .with_columns(next=pl.col("next") - pl.col("day"))
    )
