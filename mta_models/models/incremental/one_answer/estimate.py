"""The estimator of `Incremental`: a treated log, the within-user fit, its readings and draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.data.histories import Histories
from mta_models.errors import JourneyError, collected_warnings
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.one_answer.entrances import WINDOW, treat
from mta_models.models.incremental.one_answer.lift_answer import (
    FittedLog,
    LiftAnswer,
    meet_lift_tests,
    met_near,
    shown_to_accompany,
)
from mta_models.models.incremental.one_answer.limits.findings_of_log import findings_of
from mta_models.models.incremental.one_answer.limits.open_part import (
    with_closing,
    with_entrances,
    with_unknown,
)
from mta_models.models.incremental.one_answer.limits.stray_dates import without_stray_dates
from mta_models.models.incremental.one_answer.passing_on import passing
from mta_models.models.incremental.one_answer.results import (
    ENTRANCES_CAUSE,
    OWN_EFFECT,
    Estimate,
    Findings,
    Reading,
    Settings,
    nothing_credited,
)
from mta_models.models.incremental.one_answer.within_draws import (
    Draws,
    sampling_draws,
    widened,
    with_missed,
)
from mta_models.models.incremental.one_answer.within_fit import (
    WithinFit,
    design_of,
    fit_within,
    prepare_log,
)
from mta_models.models.incremental.self_controlled.credit import conversion_parts, horizon_game

_TESTED = "sampling, the lift tests' own errors and the bias of channels that they reveal"
_FEWEST_DRAWS = 100  # for the medians of effects, where no draws are asked for
_LEAST = 1e-4  # of all conversions; credit below it is taken as this much
_ALL = "sampling and the spread between models"


def estimate_credit(histories: Histories, settings: Settings, rng: np.random.Generator) -> Estimate:
    """How many conversions each channel caused.

    Args:
        histories: with at least one conversion.
        settings: entrances, tests, number of draws.
        rng: of the draws.
    """
    n, k, total = histories.n_events, histories.n_channels, histories.total
    if not len(histories.time):
        return nothing_credited(n, k, total, settings.n_draws)
    histories, notes = without_stray_dates(histories)
    found = _estimated(histories, settings, rng)
    return replace(found, notes=(*notes, *found.notes))


def _estimated(histories: Histories, settings: Settings, rng: np.random.Generator) -> Estimate:
    """The estimate from dates that are near each other."""
    total = histories.total
    after = histories.end[histories.event_user] - histories.event_time
    if not (after >= 1).any():
        return _between_users(histories, settings, rng)
    fit = fit_within(prepare_log(histories, settings.entrances), settings.entrances)
    game = horizon_game(fit.design, fit.rate, fit.repeat)
    raw, baseline = game.scaled(total)
    matrix = passing(fit.brought)
    if settings.lift_tests:
        return _with_lift_tests(histories, settings, fit, rng)
    drawn = sampling_draws(fit, raw, settings.n_draws, rng)
    sampling = Draws(drawn.credit @ matrix.T, drawn.baseline)
    credit = matrix @ raw
    # Without draws this is one of a bootstrap's fits, of which nobody asks what limits it.
    found = findings_of(histories, settings, fit) if settings.n_draws else None
    wide = widened(sampling, _volume(histories), total, rng)
    wide, holds = _with_open(wide, found, histories.channels, rng)
    parts = conversion_parts(fit.design, fit.rate) @ matrix.T
    removal = game.removal * (total / game.everyone if game.everyone else 0.0)
    return Estimate(
        credit=credit,
        baseline=baseline,
        removal=removal + fit.brought @ raw,
        draws=wide.credit,
        baseline_draws=wide.baseline,
        holds=holds,
        parts=parts,
        half_life=fit.rate.half_life,
        readings=_readings(histories, settings.entrances, credit, baseline),
        notes=_notes(found, settings, histories.channels),
        sampling_draws=sampling.credit,
        sampling_baseline_draws=sampling.baseline,
        found=found,
    )


def _with_lift_tests(
    histories: Histories, settings: Settings, fit: WithinFit, rng: np.random.Generator
) -> Estimate:
    """The answer that meets the tests, with what they reveal about the bias of other channels.

    A channel that its test shows to accompany purchases is taken as an entrance.
    """
    answer = _met(histories, settings, fit, rng)
    shown = shown_to_accompany(answer, histories.channels, settings.lift_tests)
    shown &= ~settings.entrances
    notes: tuple[str, ...] = ()
    if shown.any():
        settings = replace(settings, entrances=settings.entrances | shown)
        fit = fit_within(prepare_log(histories, settings.entrances), settings.entrances)
        answer = _met(histories, settings, fit, rng)
        notes = (
            f"Lift tests show that little of what the log shows of "
            f"{_named(histories.channels, shown)} is an effect: taken as met on the way to "
            "purchases, as entrances are.",
        )
    matrix, total = passing(fit.brought), histories.total
    credit = matrix @ answer.credit
    raw = horizon_game(fit.design, fit.rate, fit.repeat).scaled(total)[0]
    drawn = sampling_draws(fit, raw, settings.n_draws, rng).credit
    # Chance in who converted is that of the fit, smaller where less of it is caused.
    caused = np.minimum(np.abs(answer.credit) / np.maximum(raw, _LEAST * total), 1)
    sampling = credit + ((drawn - raw) * caused) @ matrix.T
    tested = [test.channel for test in settings.lift_tests]
    untested = ~np.isin(np.array(histories.channels, dtype=object), tested)
    met = Draws(answer.draws @ matrix.T, answer.baseline_draws)
    wide = with_missed(met, untested, _volume(histories), total, rng)
    return Estimate(
        credit=credit,
        baseline=answer.baseline,
        removal=answer.removal + fit.brought @ answer.credit,
        draws=wide.credit[: settings.n_draws],
        baseline_draws=wide.baseline[: settings.n_draws],
        holds=_TESTED,
        parts=answer.parts @ matrix.T,
        half_life=fit.rate.half_life,
        readings=_readings(histories, settings.entrances, credit, answer.baseline),
        notes=notes,
        sampling_draws=sampling,
        sampling_baseline_draws=total - sampling.sum(axis=1),
        found=findings_of(histories, settings, fit) if settings.n_draws else None,
    )


def _met(
    histories: Histories, settings: Settings, fit: WithinFit, rng: np.random.Generator
) -> LiftAnswer:
    """What the tests make of a fit."""
    entrances, free = settings.entrances, fit.free.effect > 0

    def fitted(other: Histories) -> FittedLog:
        """The log of a test's own people, with the rate of this fit."""
        log = prepare_log(other, entrances)
        near = met_near(other, entrances, WINDOW)
        return FittedLog(log.treated, design_of(log), fit.rate, near, free)

    near = met_near(histories, entrances, WINDOW)
    return meet_lift_tests(
        FittedLog(fit.treated, fit.design, fit.rate, near, free),
        histories.channels,
        settings.lift_tests,
        rng,
        n_draws=max(settings.n_draws, _FEWEST_DRAWS),
        brought=fit.brought if fit.brought.any() else None,
        fit_of=fitted,
    )


def _with_open(
    draws: Draws, found: Findings | None, channels: tuple[str, ...], rng: np.random.Generator
) -> tuple[Draws, str]:
    """The draws with what no log can tell, and what they hold, in words."""
    holds = [_ALL]
    if found is None:
        return draws, _ALL
    if (found.closed > 0).any():
        draws = with_closing(draws, found.closed, rng)
        holds.append(f"whether {_named(channels, found.closed > 0)} closes sales")
    if found.looks.any():
        draws = with_entrances(draws, found.looks, rng)
        holds.append(f"whether {_named(channels, found.looks)} is an entrance")
    if found.steady.any():
        draws = with_unknown(draws, found.steady, found.before, rng)
        holds.append(f"any effect of {_named(channels, found.steady)}")
    return draws, ", and ".join(holds)


def _notes(
    found: Findings | None, settings: Settings, channels: tuple[str, ...]
) -> tuple[str, ...]:
    """Entrances that the log shows to have an effect of their own, as a sentence."""
    if found is None:
        return ()
    own = settings.entrances & (found.own_effect >= OWN_EFFECT)
    if not own.any():
        return ()
    return (
        f"Earlier visits through {_named(channels, own)} come before purchases more often than the "
        "way to a purchase explains, so that it has credit. If it is bought or pushed and no "
        "entrance, say so by bought=.",
    )


def _named(channels: tuple[str, ...], chosen: Mask) -> str:
    return " or ".join(channels[code] for code in np.flatnonzero(chosen))


def _volume(histories: Histories) -> Floats:
    met = np.bincount(histories.codes, minlength=histories.n_channels)
    volume: Floats = met / max(met.sum(), 1)
    return volume


def _readings(
    histories: Histories, entrances: Mask, credit: Floats, baseline: float
) -> tuple[Reading, ...]:
    """The answer, and what it would be if entrances caused the purchases they were met before."""
    first = Reading(
        "entrances accompany",
        "entrances are met on the way to purchases that were decided before",
        credit,
        baseline,
    )
    if not entrances.any():
        return (first,)
    near = met_near(histories, entrances, WINDOW)
    each = near / np.maximum(near.sum(axis=1), 1)[:, None]
    closed = histories.event_weight @ each
    # Credit of other channels stays, so that entrances share what is left.
    given = closed * min(1.0, baseline / max(float(closed.sum()), 1e-300))
    return (
        first,
        Reading(
            ENTRANCES_CAUSE,
            "purchases that no other channel caused are caused by the entrances met within 12 "
            "hours before them",
            credit + given,
            baseline - float(given.sum()),
        ),
    )


def _between_users(histories: Histories, settings: Settings, rng: np.random.Generator) -> Estimate:
    """The answer where no day after a conversion was observed: users compared with each other."""
    if settings.lift_tests:
        raise JourneyError(
            "lift tests need users who were observed after a conversion, who are compared with "
            "themselves; in these journeys observation ends with the conversion. Read the log with "
            "`observed` bounds, or give the tests to BayesianHazard"
        )
    treated = treat(histories, settings.entrances)
    total, k = treated.total, treated.n_channels
    with collected_warnings() as notices:
        model = Hazard().fit_histories(treated)
    credit, baseline = model._account_of(treated, treated.event_weight, "conversions")
    draws = Draws(np.zeros((settings.n_draws, k)), np.full(settings.n_draws, total))
    half_lives = dict(zip(treated.channels, model.half_life_.tolist(), strict=True))
    # Weights are drawn in an order that does not depend on that of users.
    met = np.bincount(treated.owner, treated.time, treated.n_users)
    users = np.lexsort((met, treated.end, treated.start, treated.first_event))
    picked = np.empty(treated.n_users)
    for i in range(settings.n_draws):
        picked[users] = rng.standard_exponential(treated.n_users)
        drawn = replace(
            treated,
            weight=treated.weight * picked,
            event_weight=treated.event_weight * picked[treated.event_user],
            known=treated.derived,
        )
        again = Hazard(half_life=half_lives).fit_histories(drawn)
        one, base = again._account_of(drawn, drawn.event_weight, "conversions")
        draws.credit[i] = one * (total / drawn.total)
        draws.baseline[i] = base * (total / drawn.total)
    found = findings_of(histories, settings, None)
    wide = widened(draws, _volume(histories), total, rng)
    wide, holds = _with_open(wide, found, histories.channels, rng)
    return Estimate(
        credit=credit,
        baseline=baseline,
        removal=model.removal_,
        draws=wide.credit,
        baseline_draws=wide.baseline,
        holds=holds,
        parts=model._parts(treated),
        half_life=model.half_life_,
        readings=_readings(histories, settings.entrances, credit, baseline),
        notes=(
            "No day after a conversion was observed, so users are compared with each other and "
            "not with themselves: users who would buy anyway and see more ads bias the credit.",
            *(each.message for each in notices),
        ),
        sampling_draws=draws.credit,
        sampling_baseline_draws=draws.baseline,
        found=found,
    )
