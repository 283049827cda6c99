"""Time-forward validation: fit on the first weeks of a log, predict who converts in the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.analysis.forward_scores import (
    ForwardScore,
    Prediction,
    Scorer,
    converting_users,
    observed_days,
    touched_class,
)
from mta_models.core.arrays import read_only
from mta_models.core.checks import check_flag, check_number
from mta_models.core.ragged import Floats, spread
from mta_models.core.tables import Block, Printed, Table
from mta_models.data.as_of import until as cut_at
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.errors import JourneyError, ParameterError
from mta_models.models.base import AttributionModel
from mta_models.models.incremental.base import TimedModel
from mta_models.models.names import distinct_models, label_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

CONSTANT = "(constant rate)"
COUNTED = "(last week's touchpoints)"
_TRAIN = 2 / 3
_PREDICTION_IS_NOT_CAUSE = (
    "Gain is the log-likelihood per conversion over a constant rate. Good predictions do not show "
    "causal effects: crediting channels that follow intent predicts better than correcting for it."
)


@dataclass(frozen=True, eq=False, repr=False)
class ForwardValidation(Printed):
    """Predictions of models fitted on the first days of a log, scored on the days after.

    Attributes:
        since: end of the days fitted and start of those predicted, days since the log's start.
        until: end of the days predicted.
        scores: by label; first the two references, whose labels are in brackets.
        by_day: by label, conversions predicted for each held-out day, shape `(n_days,)`.
        observed: conversions of each held-out day, shape `(n_days,)`.
        refusals: by label, why a model has no score.

    Example:
        See `validate_forward`; `print` shows the table of scores, `to_frame` returns it.
    """

    since: float
    until: float
    scores: Mapping[str, ForwardScore]
    by_day: Mapping[str, Floats]
    observed: Floats
    refusals: Mapping[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """One row per model: its name, and the fields of `ForwardScore`."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def to_polars(self) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.DataFrame(self._columns())

    def days(self) -> pd.DataFrame:
        """One row per held-out day: `day`, `observed`, and each model's prediction."""
        import pandas as pd

        day = self.since + np.arange(len(self.observed))
        return pd.DataFrame({"day": day, "observed": self.observed, **self.by_day})

    def blocks(self) -> list[Block]:
        """The blocks that `print` shows: scores, how to read them, and models without a score."""
        scores = [*self.scores.values()]
        columns = {
            "Gain in nats": [f"{each.gain:.3f}" for each in scores],
            "Standard error": [f"{each.gain_error:.3f}" for each in scores],
            "AUC": [f"{each.auc:.3f}" for each in scores],
            "Predicted": [f"{each.predicted:,.1f}" for each in scores],
            "Observed": [f"{each.observed:,.10g}" for each in scores],
            "Ratio": [f"{each.ratio:.2f}" for each in scores],
            "Ratio touched": [f"{each.ratio_touched:.2f}" for each in scores],
            "Ratio untouched": [f"{each.ratio_untouched:.2f}" for each in scores],
        }
        title = f"Fitted until day {self.since:g}, conversions predicted until day {self.until:.4g}"
        refused = [
            f"Note: {label} predicted nothing: {why}" for label, why in self.refusals.items()
        ]
        return [
            Table(title, list(self.scores), columns, first="model"),
            _PREDICTION_IS_NOT_CAUSE,
            *refused,
        ]

    def __repr__(self) -> str:
        return f"ForwardValidation({', '.join(self.scores)}; days {self.since:g} to {self.until:g})"

    def _columns(self) -> dict[str, list[Any]]:
        names = [each.name for each in fields(ForwardScore)]
        columns: dict[str, list[Any]] = {"model": list(self.scores)}
        for name in names:
            columns[name] = [getattr(score, name) for score in self.scores.values()]
        return columns


def validate_forward(
    models: Iterable[AttributionModel | type[AttributionModel] | str],
    journeys: Journeys,
    *,
    train_days: float | None = None,
    horizon: float | None = None,
    skip_refused: bool = False,
) -> ForwardValidation:
    """Fit incremental models on the first days of a log and score their predictions of the next.

    Models are fitted on the journeys as they were known after `train_days`. Then, day by day, the
    fitted model gives the expected conversions of each user at risk, taking the touchpoints of that
    day and before as known: it predicts who converts given their touchpoints, not the touchpoints.
    If no user converts twice, all users are at risk until the first conversion only, and
    touchpoints after it are dropped. A conversion at the exact time of `train_days` is neither
    fitted nor predicted. The conversions of a user on a day are scored as a Poisson count.

    Two references, fitted on the same days, are scored too: one rate for all users, and one rate
    for each number of touchpoints in the last week (0, 1, 2, 3–4, 5–8, …), which uses neither
    channels nor carry-over.

    **Good predictions do not show that the effects are causal.** A model that credits intent to the
    channels that follow it predicts better than a model that does not, because intent is what
    predicts a conversion. In the world `intent` at strength 1 (20,000 users, seed 0) `Hazard` gains
    1.25 nats and puts 33% of its credit on the wrong channels; `SelfControlled` gains 0.50 and puts
    14% there. Use this to find models that fit badly (a ratio far from 1, a gain below that of a
    reference), never to choose between models that fit well.

    Args:
        models: incremental models, their classes or names; the models themselves stay unfitted.
        journeys: of an event log read without a lookback.
        train_days: days since the log's start to fit on; None: two thirds of the log.
        horizon: days to predict, after the days fitted; None: all that are left.
        skip_refused: keep the error of a model in `refusals`, instead of raising it.

    Returns:
        A `ForwardValidation`: a `ForwardScore` for each reference and model, and the conversions
        that each predicts per day.

    Raises:
        ParameterError: a model is not incremental, or the days are not within the log.
        JourneyError: the journeys cannot be cut in time, no conversion falls in the days to
            predict, or a model refuses the journeys.

    Example:
        >>> from mta_models import Hazard, validate_forward, worlds
        >>> journeys = worlds.make("randomised", n_users=2_000).simulate().journeys
        >>> validation = validate_forward([Hazard(half_life="4d")], journeys, horizon=10)
        >>> validation.to_frame()[["model", "gain", "ratio"]].round(2)
                               model  gain  ratio
        0            (constant rate)  0.00   0.90
        1  (last week's touchpoints)  0.16   0.92
        2     Hazard(half_life='4d')  0.23   0.94
    """
    asked = {label_of(model): model for model in distinct_models(models)}
    for label, model in asked.items():
        if not isinstance(model, TimedModel):
            raise ParameterError(
                "a model to validate must be an incremental one, such as Hazard, that predicts "
                f"conversions in time; got {label}. Leave it out"
            )
    check_flag(skip_refused, "skip_refused")
    require_journeys(journeys, "validate_forward")
    since, until = _days(journeys, train_days, horizon)
    train, test = cut_at(journeys, since), journeys
    if horizon is not None:
        test = cut_at(journeys, until)
    at_risk = train
    if not journeys.histories.repeats:
        at_risk, test = _until_first(train), _until_first(test)
    scorer = Scorer(test.histories, since, until)
    refusals: dict[str, str] = {}
    by_label = dict(_references(at_risk.histories, test.histories, since))
    for label, model in asked.items():
        try:
            by_label[label] = _prediction(model.fit(train), test)
        except JourneyError as refusal:
            if not skip_refused:
                raise
            refusals[label] = str(refusal)
    scored = {
        label: scorer.score(predict, by_label[CONSTANT]) for label, predict in by_label.items()
    }
    return ForwardValidation(
        since,
        until,
        {label: score for label, (score, _) in scored.items()},
        {label: daily for label, (_, daily) in scored.items()},
        scorer.observed,
        refusals,
    )


def _days(
    journeys: Journeys, train_days: float | None, horizon: float | None
) -> tuple[float, float]:
    """The end of the days fitted and the end of the days predicted."""
    if journeys.timeline is None:
        raise JourneyError(
            "to fit on the first weeks and predict the next, journeys must have a timeline; "
            "these have none. Read an event log with read_events"
        )
    for name, days in (("train_days", train_days), ("horizon", horizon)):
        if days is not None:
            check_number(days, name, above=True, of="a number of days")
    last = float(journeys.timeline.end.max(initial=0.0))
    since = float(max(np.floor(_TRAIN * last), 1.0)) if train_days is None else float(train_days)
    if not 0 < since < last:
        raise ParameterError(
            f"`train_days` must lie within the log, above 0 and below {last:g} days; got {since:g}"
        )
    until = last if horizon is None else min(since + float(horizon), last)
    return since, until


def _prediction(model: AttributionModel, test: Journeys) -> Prediction:
    assert isinstance(model, TimedModel)
    return lambda since, until: model.expected_conversions(test, since, until)


def _until_first(journeys: Journeys) -> Journeys:
    """Journeys up to each user's first conversion: a user's first row."""
    users, end, timeline = journeys.users, journeys.end, journeys.timeline
    assert users is not None
    assert end is not None
    assert timeline is not None
    first = np.concatenate(([True], users[1:] != users[:-1]))
    touched = spread(first, journeys.offsets)
    offsets = np.concatenate(([0], np.cumsum(journeys.lengths[first])))
    time, codes = (read_only(each[touched]) for each in (timeline.time, timeline.codes))
    last = end[first]
    return Journeys(
        channels=journeys.channels,
        codes=codes,
        offsets=offsets,
        conversions=journeys.conversions[first],
        nulls=journeys.nulls[first],
        time=time,
        users=users[first],
        end=last,
        timeline=replace(timeline, offsets=offsets, time=time, codes=codes, keys=None, end=last),
    )


# The references.


def _references(
    train: Histories, test: Histories, since: float
) -> Iterator[tuple[str, Prediction]]:
    rate = train.total / train.days()

    def constant(begin: float, stop: float) -> Floats:
        return rate * observed_days(test, begin, stop)

    yield CONSTANT, constant
    begins = np.arange(0.0, since)
    events, days = (np.zeros(64) for _ in range(2))
    for begin in begins:
        stop = min(begin + 1, since)
        kind = touched_class(train, stop)
        days += np.bincount(kind, observed_days(train, begin, stop), 64)
        users = converting_users(train, begin, stop)
        events += np.bincount(kind[users], minlength=64)
    # Each class gets one day at the rate of all users, so that a class without users has a rate.
    rates = (events + rate) / (days + 1)

    def counted(begin: float, stop: float) -> Floats:
        by_user: Floats = rates[touched_class(test, stop)] * observed_days(test, begin, stop)
        return by_user

    yield COUNTED, counted
