"""Diagnosis: which effects journeys can and cannot identify, before anyone uses a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from mta_models.analysis.resampling import MAX_DRAWS
from mta_models.core.checks import as_list, check_seed, check_whole_number
from mta_models.core.threads import one_blas_thread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.diagnosis.findings import SEVERITIES, Diagnosis, Finding
from mta_models.diagnosis.identification import verdict, worth_of_tests
from mta_models.diagnosis.model_checks import (
    ModelContext,
    drawn_shares,
    hazard_shares,
    lead_test,
    models_disagree,
    order_matters,
    placebo,
)
from mta_models.diagnosis.path_checks import CHECKS, PathContext
from mta_models.diagnosis.time_checks import TIME_CHECKS, TimeContext
from mta_models.errors import MTAError
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
    """Check journeys for problems that make results impossible, fragile or easy to misread.

    Checks of any journeys, by name:

    - `no_conversions`, `no_nulls`, `no_times`.
    - `never_varies`: a channel is in every journey, or in none.
    - `always_together`: two channels are met by exactly the same users.
    - `collinear`: condition number and variance inflation of the channels that users met.
    - `unseen_coalitions`: sets of channels that no user met by themselves.
    - `untouched`: conversions without a touchpoint. `thin_channels`: few conversions.
    - `order_matters`: Markov credit of order 1 differs from that of order 3.
    - `models_disagree`: intervals of different models do not overlap.

    Checks of event logs. They read whole timelines: a case-base sample of at most 20,000
    conversions and of 50,000 times at risk, drawn evenly at the hours at which people convert.
    Calendar weeks are adjusted for.

    - `rising_exposure`: a channel is met more often on the last day before conversions than in the
      week before that day.
    - `raised_around`: a channel is met more often in the week after conversions than by the same
      users two to four weeks away; a sign of intent that moves.
    - `negative_control`: touchpoints of the week after predict conversions, given the past; they
      cannot have caused them (Lipsitch, Tchetgen Tchetgen and Cohen 2010, Epidemiology
      21:383–388, on negative controls). `exposure_stops`: there are fewer of them than expected.
    - `collinear_in_time`: as `collinear`, for the adstock of users at a time.
    - `no_support`: few conversions with, or few without, the channel within the week before.
    - `on_and_off`: whole weeks without the channel.
    - `unmeasured_confounding`: the rate ratio of times within a week after meeting the channel to
      other times, and the E-values of the ratio and of its bound; see `e_values.e_value`.
    - `placebo`: an additive hazard is fitted, and again with a channel's touchpoints moved to other
      times of the same users, 19 times for each of the eight channels with most credit. It is a
      finding if half the credit stays, or if the credit is not above all 19 (p = 0.05).
    - `lead_test`: the test of `SelfControlled`, before and after its correction for moving intent,
      at the p-value below which the model itself warns (0.01).

    A diagnosis without findings does not prove that effects are identified: a confounder that
    leaves no trace in the log, such as a channel that is not logged, escapes every check.

    Args:
        journeys: any journeys, even without conversions.
        models: the models to compare by bootstrap in `models_disagree`. None: four usual models
            and, if there are times, an additive hazard with intervals from its information matrix.
            `()` skips that check.
        n_draws: bootstrap draws per model.
        random_state: seed of the bootstrap.

    Returns:
        A `Diagnosis`: the findings, most severe first; the checks that found nothing or could not
        be made; a `verdict`, which names the channels whose effects no check found biased and the
        lift test with the highest expected value; and the expected values of all as `experiments`.

    Raises:
        JourneyError: `journeys` is not a `Journeys`.
        ParameterError: a model is unknown.

    Example:
        >>> from mta_models import Journeys, diagnose
        >>> journeys = Journeys.from_paths([["TV", "Search"], ["Search"]], conversions=[70, 40])
        >>> diagnosis = diagnose(journeys, models=())
        >>> diagnosis.names
        ('no_nulls', 'never_varies', 'unseen_coalitions', 'untouched', 'no_times')
        >>> print(diagnosis.findings[0].found)
        all 110 users convert: there is no journey without a conversion
    """
    require_journeys(journeys, "diagnose")
    check_whole_number(n_draws, "n_draws", 1, MAX_DRAWS)
    check_seed(random_state)
    asked = DISAGREEING if models is None else as_list(models, "models", "models")
    paths, times = PathContext(journeys), TimeContext(journeys)
    fits = ModelContext(journeys)
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        **{check.__name__: partial(check, paths) for check in (*CHECKS, order_matters)},
        **{check.__name__: partial(check, times) for check in TIME_CHECKS},
        "placebo": partial(placebo, fits),
        "lead_test": partial(lead_test, fits),
    }
    if asked:
        compared = [as_model(model) for model in asked]
        hazard = fits if models is None and journeys.timeline is not None else None
        checks["models_disagree"] = partial(
            _disagreement, journeys, compared, hazard, n_draws, random_state
        )
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
        with suppress(MTAError):  # `skipped` has the reason
            worth = worth_of_tests(times, fits, findings)
    return Diagnosis(
        tuple(findings), tuple(silent), skipped, verdict(journeys, findings, worth), worth
    )


def _disagreement(
    journeys: Journeys,
    models: Sequence[AttributionModel],
    hazard: ModelContext | None,
    n_draws: int,
    random_state: int | np.random.Generator | None,
) -> Iterator[Finding]:
    shares = [drawn_shares(model, journeys, n_draws, random_state) for model in models]
    if hazard is not None:
        shares.append(hazard_shares(hazard, n_draws))
    return models_disagree(shares, journeys.channels)
