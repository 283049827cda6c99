"""Diagnosis: what these journeys can and cannot identify, said before anyone believes a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from mta_models.data.journeys import Journeys
from mta_models.diagnosis.findings import SEVERITIES, Diagnosis, Finding
from mta_models.diagnosis.identification import verdict, worth_of_tests
from mta_models.diagnosis.model_checks import (
    SeenByHazard,
    drawn_shares,
    hazard_shares,
    lead_test,
    models_disagree,
    order_matters,
    placebo,
)
from mta_models.diagnosis.path_checks import CHECKS, Seen
from mta_models.diagnosis.time_checks import TIME_CHECKS, SeenInTime
from mta_models.errors import JourneyError, MTAError
from mta_models.models.base import AttributionModel
from mta_models.models.names import as_model

DISAGREEING = ("FirstTouch", "LastTouch", "Linear", "Markov")


def diagnose(
    journeys: Journeys,
    *,
    models: Sequence[AttributionModel | type[AttributionModel] | str] | None = None,
    n_draws: int = 100,
    random_state: int | np.random.Generator | None = 0,
) -> Diagnosis:
    """Look for what makes results on these journeys impossible, fragile or easy to misread.

    Checks of any journeys, by name:

    - `no_conversions`, `no_nulls`, `no_times`.
    - `never_varies`: a channel in every journey, or in none. `always_together`.
    - `collinear`: condition number and variance inflation of who met what.
    - `unseen_coalitions`, `untouched` (conversions without a touchpoint), `thin_channels`.
    - `order_matters`: Markov of order 1 against 3.
    - `models_disagree`: beyond their intervals.

    Checks of event logs, which read whole timelines. They look at conversions beside 50,000 moments
    at risk drawn evenly from all time (at most 20,000 conversions), calendar weeks adjusted for:

    - `rising_exposure`: met more often on the last day before conversions than in the week before.
    - `raised_around`: met more often in the week after conversions too than by the same users two
      to four weeks away; intent that moves.
    - `negative_control`: conversions foretold, given the past, by touchpoints of the week after,
      which cannot have caused them (Lipsitch, Tchetgen Tchetgen and Cohen 2010, Epidemiology
      21:383–388, on negative controls). `exposure_stops`: the same the other way round.
    - `collinear_in_time`: as `collinear`, of what users carry at a moment. `no_support`: few
      conversions with a channel met within a week, or without. `on_and_off`: whole weeks without.
    - `unmeasured_confounding`: the rate ratio of moments within a week of meeting the channel to
      others, and the E-values of it and of its bound; see `e_values.e_value`.
    - `placebo`: an additive hazard is fitted, and again with a channel's touchpoints moved to other
      times of the same users, 19 times for each of the eight channels credited most. Found where
      half the credit stays, or where it is not above all 19 (p = 0.05).
    - `lead_test`: that of `SelfControlled`, before and after its correction for moving intent.

    A check that finds nothing in a world made for it is no proof: what nothing in the log follows,
    as a channel that is not logged, no check sees.

    Args:
        journeys: any, without conversions too.
        models: whose credits are compared, by the bootstrap; None: four usual ones and, where
            there are times, an additive hazard with intervals by its information; `()` skips that
            check.
        n_draws: draws per model.
        random_state: of the bootstrap.

    Returns:
        The findings, gravest first, with the checks that found nothing or could not be made; and a
        `verdict`: which channels' effects the journeys can tell, and which lift test would help
        most, with what each is worth as `experiments`.

    Example:
        >>> from mta_models import Journeys, diagnose
        >>> journeys = Journeys.from_paths([["TV", "Search"], ["Search"]], conversions=[70, 40])
        >>> diagnosis = diagnose(journeys, models=())
        >>> diagnosis.names
        ('no_nulls', 'never_varies', 'unseen_coalitions', 'untouched', 'no_times')
        >>> print(diagnosis.findings[0].found)
        all 110 users convert: there is no journey without a conversion
    """
    if not isinstance(journeys, Journeys):
        raise JourneyError(
            f"diagnose must be given Journeys; got {type(journeys).__name__}. "
            "Make them with read_paths, read_events or Journeys.from_paths"
        )
    seen, by_time, by_hazard = Seen(journeys), SeenInTime(journeys), SeenByHazard(journeys)
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        **{check.__name__: partial(check, seen) for check in (*CHECKS, order_matters)},
        **{check.__name__: partial(check, by_time) for check in TIME_CHECKS},
        "placebo": partial(placebo, by_hazard),
        "lead_test": partial(lead_test, by_hazard),
    }
    if models is None or len(models):
        compared = [as_model(model) for model in (DISAGREEING if models is None else models)]
        hazard = by_hazard if models is None and journeys.timeline is not None else None
        checks["models_disagree"] = partial(
            _disagreement, journeys, compared, hazard, n_draws, random_state
        )
    findings: list[Finding] = []
    silent, skipped = [], {}
    for name, check in checks.items():
        try:
            found = list(check())
        except MTAError as refusal:
            skipped[name] = str(refusal)
            continue
        findings += found
        if not found:
            silent.append(name)
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    worth: Mapping[str, float] = {}
    with suppress(MTAError):  # said already, by the checks that could not be made
        worth = worth_of_tests(by_time, by_hazard, findings)
    said = verdict(journeys, findings, worth)
    return Diagnosis(tuple(findings), tuple(silent), skipped, said, worth)


def _disagreement(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    hazard: SeenByHazard | None,
    n_draws: int,
    random_state: int | np.random.Generator | None,
) -> Iterator[Finding]:
    shares = [drawn_shares(model, journeys, n_draws, random_state) for model in models]
    if hazard is not None:
        shares.append(hazard_shares(hazard, n_draws))
    return models_disagree(shares, journeys.channels)
