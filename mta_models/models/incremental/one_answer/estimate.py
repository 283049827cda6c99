"""The estimator of `Incremental`: buyers compared with themselves, after treating entrances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.attribution import SAMPLING_ONLY
from mta_models.core.ragged import Floats
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError, ParameterError, collected_warnings
from mta_models.models.incremental.accounts import account_of
from mta_models.models.incremental.base import TimedModel
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.one_answer.entrances import treat
from mta_models.models.incremental.one_answer.results import (
    Estimate,
    Reading,
    Settings,
    nothing_credited,
)
from mta_models.models.incremental.self_controlled.bootstrap_refit import BootstrapRefit
from mta_models.models.incremental.self_controlled.credit import conversion_parts, horizon_game
from mta_models.models.incremental.self_controlled.self_controlled import SelfControlled

_ACCOMPANY = Reading(
    "entrances accompany",
    "entrances are met on the way to purchases that were decided before",
    np.zeros(0),
    0.0,
)
_CAUSE = Reading(
    "entrances cause",
    "touchpoints of entrances shortly before a purchase count as every other touchpoint",
    np.zeros(0),
    0.0,
)


def estimate_credit(histories: Histories, settings: Settings, rng: np.random.Generator) -> Estimate:
    """How many conversions each channel caused.

    Args:
        histories: with at least one conversion.
        settings: entrances, tests, number of draws.
        rng: of the draws.
    """
    if settings.lift_tests:
        raise ParameterError(
            "`lift_tests` must be None: Incremental does not use them yet. Give them to "
            "BayesianHazard(lift_tests=...)"
        )
    n, k, total = histories.n_events, histories.n_channels, histories.total
    if not len(histories.time):
        return nothing_credited(n, k, total, settings.n_draws)
    treated = treat(histories, settings.entrances)
    model, notes = _fitted(treated)
    credit, baseline = model._account_of(treated, histories.event_weight, "conversions")
    draws, baselines = _draws(model, treated, settings.n_draws, rng)
    readings = [replace(_ACCOMPANY, credit=credit, baseline=baseline)]
    if treated is not histories:
        other, _ = _fitted(histories)
        account = other._account_of(histories, histories.event_weight, "conversions")
        readings.append(replace(_CAUSE, credit=account[0], baseline=account[1]))
    return Estimate(
        credit=credit,
        baseline=baseline,
        removal=model.removal_,
        draws=draws,
        baseline_draws=baselines,
        holds=SAMPLING_ONLY,
        parts=model._parts(treated),
        half_life=model.half_life_,
        readings=tuple(readings),
        notes=notes,
    )


def _fitted(histories: Histories) -> tuple[TimedModel, tuple[str, ...]]:
    """A model fitted to the histories, and what it warned of.

    Where no day after a conversion was observed, users cannot be compared with themselves, and are
    compared with each other.
    """
    with collected_warnings() as notices:
        try:
            model: TimedModel = SelfControlled().fit_histories(histories)
        except JourneyError:
            model = Hazard().fit_histories(histories)
    return model, tuple(each.message for each in notices)


def _draws(
    model: TimedModel, histories: Histories, n_draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draws of credit, `(n_draws, n_channels)`, and baseline from users drawn with replacement."""
    total, k = histories.total, histories.n_channels
    prepared = None
    if isinstance(model, SelfControlled):
        prepared = BootstrapRefit.from_fit(model._fitted_design(histories), model.rate_, free=True)
    credits_, baselines = np.zeros((n_draws, k)), np.full(n_draws, total)
    weight = histories.weight
    for i in range(n_draws):
        picked = np.divide(rng.poisson(weight), weight, out=np.zeros_like(weight), where=weight > 0)
        drawn = replace(
            histories,
            weight=weight * picked,
            event_weight=histories.event_weight * picked[histories.event_user],
            known=histories.derived,
        )
        if not drawn.total:
            continue
        if prepared is None:
            again = Hazard(half_life=dict(zip(histories.channels, model.half_life_, strict=True)))
            again.fit_histories(drawn)
            credit, base = again._account_of(drawn, drawn.event_weight, "conversions")
        else:
            design, rate = prepared.refit(drawn.event_weight)
            account = account_of(
                drawn,
                drawn.event_weight,
                "conversions",
                lambda: conversion_parts(design, rate),  # noqa: B023 (called at once)
                lambda: horizon_game(design, rate, drawn.repeats),  # noqa: B023 (called at once)
            )
            credit, base = account.credit, account.baseline
        credits_[i], baselines[i] = credit * (total / drawn.total), base * (total / drawn.total)
    return credits_, baselines
