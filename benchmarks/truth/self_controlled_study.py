"""Where `SelfControlled` wins and loses, on logs it was not tuned on (tuned on seeds 0 to 4).

    python -m benchmarks.truth.self_controlled_study                    # all parts
    python -m benchmarks.truth.self_controlled_study main length        # some parts

Each row of `results/self_controlled_study.csv` is one log: the share error against the truth's
Shapley values, the baseline's error, the credit of channels without an effect, and which
corrections were made. Rows of the parts run replace those parts in the file.
"""

from __future__ import annotations

import csv
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import mta_models as mta
from mta_models import metrics
from mta_models.core import files
from mta_models.worlds.mechanisms.exposure import Bursts, Intent
from mta_models.worlds.simulation import START
from mta_models.worlds.world import World

RESULTS = Path(__file__).parents[1] / "results" / "self_controlled_study.csv"
SEEDS = range(100, 105)
USERS = 50_000


class AdditiveIntent(Intent):
    """Intent raises the baseline alone: h = z base + Σ effect a."""

    name = "additive_intent"

    def hazard(self, now: Any) -> Any:
        """Not in proportion."""
        return self.base(now) * now.people["intent"] + self.response(now)


class BurstsSuppressed(Bursts):
    """Bursts, and ads that stop after the conversion."""

    name = "bursts_suppressed"

    def exposure(self, now: Any) -> Any:
        """No exposure for users who have bought."""
        chance = super().exposure(now)
        return chance * ~now.converted[:, None, :] if now.converted.any() else chance


def shortened(world: type[World], days: int) -> type[World]:
    """The same world, observed for fewer days."""
    return type(f"{world.__name__}{days}", (world,), {"days": days, "name": world.name})


def widened(world: type[World], n: int) -> type[World]:
    """The same world with n channels that share the volume and the effects of six."""

    def tune(self: World) -> None:
        World.tune(self)
        which = np.arange(n) % 6
        for part in ("rates", "effects", "costs", "half_lives"):
            setattr(self, part, getattr(self, part)[which])
        self.rates = self.rates * 6 / n

    names = tuple(f"{World.channels[i % 6]} {i // 6 + 1}" for i in range(n))
    follows = tuple((1.0, 0.5, 0.0, 1.0, 0.5, 1.0)[i % 6] for i in range(n))
    body = {"channels": names, "tune": tune, "follows": follows, "name": world.name}
    return type(f"{world.__name__}Of{n}", (world,), body)


@dataclass(frozen=True)
class Case:
    """One setting: a world, how its log is cut, and the model."""

    part: str
    world: str
    strength: float
    kind: type[World] | None = None
    label: str = ""
    users: int = USERS
    skip: int = 0
    seeds: range = SEEDS
    parameters: dict[str, Any] = field(default_factory=dict)

    def make(self, seed: int) -> World:
        """The world of a seed."""
        given: dict[str, Any] = {"n_users": self.users, "strength": self.strength, "seed": seed}
        return self.kind(**given) if self.kind else mta.worlds.make(self.world, **given)


def cases() -> Iterator[Case]:
    """All settings."""
    few = range(100, 102)
    goals = [("randomised", 0.5), ("intent", 1.0), ("bursts", 0.5), ("bursts", 1.0)]
    goals += [("retargeting", 0.5), ("retargeting", 1.0)]
    for name, strength in goals:
        yield Case("main", name, strength)
    others = [("intent", 0.5), ("trend", 1.0)]
    others += [("season", 0.5), ("repeat", 0.5), ("carry_over", 0.5), ("heterogeneous", 0.5)]
    others += [("null_channel", 0.5), ("upstream", 0.5), ("harmful_channel", 0.5)]
    others += [("synergy", 0.5), ("saturation", 0.5), ("delay", 0.5)]
    for name, strength in others:
        yield Case("others", name, strength, seeds=few)
    yield Case("others", "additive_intent", 1.0, AdditiveIntent, seeds=few)
    for name, strength in (("suppression", 0.25), ("suppression", 0.5), ("suppression", 1.0)):
        yield Case("stopping", name, strength, seeds=few)
    yield Case("stopping", "bursts_suppressed", 1.0, BurstsSuppressed, seeds=few)
    yield Case("stopping", "everything", 0.5, seeds=few)
    core = {"randomised": (World, 0.5), "intent": (Intent, 1.0), "bursts": (Bursts, 1.0)}
    for name, (kind, strength) in core.items():
        for days in (30, 60):
            users = USERS * 90 // days
            short = shortened(kind, days)
            yield Case("length", name, strength, short, f"{days} days", users, seeds=few)
        for n in (10, 30):
            wide = widened(kind, n)
            yield Case("channels", name, strength, wide, f"{n} channels", seeds=few)
        for users in (10_000,):
            yield Case("size", name, strength, kind, f"{users} users", users, seeds=few)
        for label, skip, given in (
            ("starts on day 30", 30, {}),
            ("starts on day 30, burn-in 14 days", 30, {"burn_in": "14d"}),
            ("windows of 28 days", 0, {"window": "28d"}),
        ):
            yield Case("cut", name, strength, kind, label, skip=skip, seeds=few, parameters=given)
        for label, given in (
            ("without moving intent", {"intent": False}),
            ("with moving intent", {"intent": True}),
        ):
            yield Case("switches", name, strength, kind, label, seeds=few, parameters=given)


def journeys_of(case: Case, seed: int) -> mta.Journeys:
    """The log, without its first days where these are to be skipped."""
    log = case.make(seed).simulate()
    if not case.skip:
        return log.journeys
    start = START + timedelta(days=case.skip)
    early = log.events.filter((pl.col("conversion") == 1) & (pl.col("time") < start))["user"]
    later = ~pl.col("user").is_in(early.implode())
    observed = log.observed.filter(later).with_columns(start=pl.lit(start))
    events = log.events.filter(later & (pl.col("time") >= start))
    names = {"user": "user", "time": "time", "channel": "channel", "conversion": "conversion"}
    return mta.read_events(events, observed=observed, **names)


def row(case: Case, seed: int) -> dict[str, Any]:
    """Fit one log and score it."""
    journeys, truth = journeys_of(case, seed), case.make(0).truth()
    model = mta.SelfControlled(**case.parameters)
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mta.MTAWarning)
        found = model.fit_attribute(journeys)
    seconds = time.process_time() - begun
    # A log that is cut has fewer conversions than the truth: only its shares can be judged.
    base = float("nan") if case.skip else (found.baseline - truth.baseline) / truth.baseline
    null = np.isin(found.channels, np.array(truth.channels)[np.asarray(truth.removal) == 0])
    before = model.lead_test_.before
    assert before is not None
    return {
        "part": case.part,
        "world": case.world,
        "strength": case.strength,
        "setting": case.label,
        "seed": seed,
        "conversions": int(journeys.total),
        "share_error": round(metrics.total_variation(found, truth), 4),
        "null_share": round(float(found.share[null].sum()), 4),
        "baseline_error": round(base, 4),
        "lead_p_before": f"{before.p_value:.2g}",
        "lead_p": f"{model.lead_test_.p_value:.2g}",
        "lead_least_z": round(float(before.z.min()), 2),
        "intent_gain": round(model.moving_intent_.gain, 1),
        "intent_kept": int(model.moving_intent_.kept),
        "levels_kept": int(model.baseline_frailty_),
        "suppression": int(model.suppression_),
        "half_lives": " ".join(f"{each:g}" for each in model.half_life_),
        "seconds": round(seconds, 1),
    }


def main(parts: list[str]) -> None:
    """Run the parts named, or all."""
    todo = [case for case in cases() if not parts or case.part in parts]
    names = {case.part for case in todo}
    kept: list[dict[str, Any]] = []
    if RESULTS.exists():
        with RESULTS.open() as file:
            kept = [each for each in csv.DictReader(file) if each["part"] not in names]
    for case in todo:
        for seed in case.seeds:
            kept.append(row(case, seed))
            print(*kept[-1].values(), sep="\t", flush=True)
            columns = list(kept[-1])
            files.write_csv(
                RESULTS, [columns, *([each[name] for name in columns] for each in kept)]
            )


if __name__ == "__main__":
    main(sys.argv[1:])
