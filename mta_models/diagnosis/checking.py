"""Diagnosis: which effects journeys can and cannot identify, before anyone uses a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

import numpy as np

from mta_models.core.checks import check_seed
from mta_models.core.threads import one_blas_thread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.diagnosis.findings import SEVERITIES, Diagnosis, Finding
from mta_models.diagnosis.identification import verdict, worth_of_tests
from mta_models.diagnosis.model_checks import (
    ModelContext,
    lead_test,
    order_matters,
    placebo,
)
from mta_models.diagnosis.path_checks import CHECKS, PathContext
from mta_models.diagnosis.time_checks import TIME_CHECKS, TimeContext
from mta_models.errors import MTAError


def diagnose(
    journeys: Journeys, *, random_state: int | np.random.Generator | None = 0
) -> Diagnosis:
    """Check journeys for problems that make results impossible, fragile or easy to misread.

    Checks of any journeys, by name:

    - `no_conversions`, `no_nulls`, `no_times`.
    - `never_varies`: a channel is in every journey, or in none.
    - `always_together`: two channels are met by exactly the same users.
    - `collinear`: condition number and variance inflation of the channels that users met.
    - `unseen_coalitions`: sets of channels that no user met by themselves.
    - `untouched`: conversions without a touchpoint. `thin_channels`: few conversions.
    - `order_matters`: Markov credit of order 1 differs from that of order 3.

    Checks of event logs. They read whole timelines: a case-base sample of at most 20,000
    conversions and of 50,000 times at risk, drawn evenly at the hours at which people convert.
    Calendar weeks are adjusted for.

    - `rising_exposure`: a channel is met more often on the last day before conversions than in the
      week before that day.
    - `raised_around`: a channel is met more often in the week after conversions than by the same
      users two to four weeks away; a sign of intent that moves.
    - `negative_control`: touchpoints of the week after predict conversions, given the past; they
      cannot have caused them (Lipsitch, Tchetgen Tchetgen and Cohen 2010, Epidemiology
      21:383–388, on negative controls). `exposure_stops`: there are fewer of them than expected;
      entrances to decided purchases are left out, since visits end with the decision.
    - `collinear_in_time`: as `collinear`, for the adstock of users at a time.
    - `no_support`: few conversions with, or few without, the channel within the week before.
    - `on_and_off`: whole weeks without the channel.
    - `placebo`: an additive hazard is fitted, and again with a channel's touchpoints moved to other
      times of the same users, 19 times for each of the eight channels with most credit. It is a
      finding if half the credit stays, or if the credit is not above all 19 (p = 0.05).
    - `lead_test`: the test of `SelfControlled`, before and after its correction for moving intent,
      at the p-value below which the model itself warns (0.01).

    A diagnosis without findings does not prove that effects are identified: a confounder that
    leaves no trace in the log, such as a channel that is not logged, escapes every check.

    Args:
        journeys: any journeys, even without conversions.
        random_state: seed of the draws of `Incremental`.

    Returns:
        A `Diagnosis`: the findings, most severe first; the checks that found nothing or could not
        be made; a `verdict`, which names the channels whose effects `Incremental` identifies,
        bounds or does not identify (`Incremental.verdict_`), what carries the numbers, and the lift
        test with the highest expected value; and the expected values of all as `experiments`.

    Raises:
        JourneyError: `journeys` is not a `Journeys`.
        ParameterError: `random_state` is no seed.

    Example:
        >>> from mta_models import Journeys, diagnose
        >>> journeys = Journeys.from_paths([["TV", "Search"], ["Search"]], conversions=[70, 40])
        >>> diagnosis = diagnose(journeys)
        >>> diagnosis.names
        ('no_nulls', 'never_varies', 'unseen_coalitions', 'untouched', 'no_times')
        >>> print(diagnosis.findings[0].found)
        all 110 users convert: there is no journey without a conversion
    """
    require_journeys(journeys, "diagnose")
    check_seed(random_state)
    paths, times = PathContext(journeys), TimeContext(journeys)
    fits = ModelContext(journeys, random_state)
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        **{check.__name__: partial(check, paths) for check in (*CHECKS, order_matters)},
        **{check.__name__: partial(check, times) for check in TIME_CHECKS},
        "placebo": partial(placebo, fits),
        "lead_test": partial(lead_test, fits),
    }
    findings: list[Finding] = []
    silent, skipped = [], {}
    with one_blas_thread("scipy.linalg"):
        for name, check in checks.items():
            try:
                results = list(check())
            except MTAError as refusal:
                skipped[name] = str(refusal)
                continue
            findings += results
            if not results:
                silent.append(name)
        findings.sort(key=lambda each: SEVERITIES.index(each.severity))
        worth: Mapping[str, float] = {}
        # The verdict has the reason where there is no answer.
        with suppress(MTAError):
            worth = worth_of_tests(fits)
        words = verdict(journeys, fits, findings, worth)
    return Diagnosis(tuple(findings), tuple(silent), skipped, words, worth)
