"""Several models on the same journeys: the credit of each, and its estimand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import BASELINE, Attribution, meanings
from mta_models.core.checks import check_flag
from mta_models.core.ragged import Floats
from mta_models.core.tables import Block, Printed, Table, TopRows, amounts, percent
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.errors import JourneyError, ParameterError
from mta_models.models.base import AttributionModel
from mta_models.models.names import distinct_models, label_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from mta_models.analysis.forward_validation import ForwardValidation

USUAL_MODELS = (
    "FirstTouch",
    "LastTouch",
    "Linear",
    "PositionBased",
    "TimeDecay",
    "Markov",
    "Shapley",
)


def default_model(journeys: Journeys) -> str:
    """The name of the model to ask first: one that estimates effects, where there are times.

    Example:
        >>> from mta_models import Journeys
        >>> default_model(Journeys.from_paths([["Search"]], conversions=[1]))
        'Markov'
    """
    timed = journeys.timeline is not None or (
        journeys.age is not None and journeys.at_risk is not None
    )
    return "Incremental" if timed else "Markov"


def usual_models(journeys: Journeys) -> tuple[str, ...]:
    """The names of the models that `compare` fits by default: the default model, then the others.

    Example:
        >>> from mta_models import Journeys
        >>> usual_models(Journeys.from_paths([["Search"]], conversions=[1]))[:2]
        ('Markov', 'FirstTouch')
    """
    first = default_model(journeys)
    return (first, *(name for name in USUAL_MODELS if name != first))


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Printed):
    """The credit of several models on the same journeys.

    Credits with different estimands answer different questions, so a difference between models is
    not by itself an error. `estimands` has the estimand of each model.

    Attributes:
        attributions: by label, in the order the models were given. The label is the model's repr
            without empty brackets: `"LastTouch"`, `"Markov(order=2)"`.
        refusals: by label, why a model has no column; see `skip_refused` of `compare`.
        validation: how well the incremental models predicted the last third of the log, if
            `compare` was called with `validate`; see `validate_forward`.

    Example:
        >>> from mta_models import Journeys, compare
        >>> journeys = Journeys.from_paths([["Search", "Email"], []], conversions=[4, 1])
        >>> compare(["FirstTouch", "Linear"], journeys).to_frame()
                    FirstTouch  Linear
        channel
        Email              0.0     2.0
        Search             4.0     2.0
        (baseline)         1.0     1.0
    """

    attributions: Mapping[str, Attribution]
    refusals: Mapping[str, str] = field(default_factory=dict)
    validation: ForwardValidation | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, in the journeys' order."""
        return self._first.channels

    @property
    def of(self) -> str:
        """The outcome credited: `"conversions"` or `"value"`."""
        return self._first.of

    @property
    def total(self) -> float:
        """All conversions or value to be credited, the same for every model."""
        return self._first.total

    @property
    def estimands(self) -> dict[str, str]:
        """The estimand of each model, by label."""
        return {label: each.estimand for label, each in self.attributions.items()}

    @property
    def credit(self) -> Floats:
        """Shape `(n_channels, n_models)`."""
        return np.column_stack([each.credit for each in self.attributions.values()])

    @property
    def share(self) -> Floats:
        """Each channel's share of the model's credit, shape `(n_channels, n_models)`."""
        return np.column_stack([each.share for each in self.attributions.values()])

    def to_frame(self) -> pd.DataFrame:
        """Credit, channel × model, with the baseline as last row: each column sums to `total`."""
        import pandas as pd

        return pd.DataFrame(self._credits()).set_index("channel")

    def to_polars(self) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.DataFrame(self._credits())

    def shares(self) -> pd.DataFrame:
        """Share of credit, channel × model, without the baseline: each column sums to 1."""
        import pandas as pd

        return pd.DataFrame(self.share, index=self._index(), columns=list(self.attributions))

    def long(self) -> pl.DataFrame:
        """One row per model and channel, and one for its baseline: the table that `--out` writes.

        Columns: `model`, `estimand`, `of`, `channel`, `credit`, `share` (missing for the
        baseline), and where a model has draws `lower` and `upper`, the bounds of the 95% interval,
        and `interval_holds`, the uncertainty that it covers.
        """
        import polars as pl

        tables = [
            each.to_polars().select(
                pl.lit(label).alias("model"),
                pl.lit(each.estimand).alias("estimand"),
                pl.lit(each.of).alias("of"),
                pl.all(),
                *(
                    []
                    if each.draws is None
                    else [pl.lit(each.covered_by()).alias("interval_holds")]
                ),
            )
            for label, each in self.attributions.items()
        ]
        return pl.concat(tables, how="diagonal")

    def blocks(self, *, top: int = 25) -> list[Block]:
        """The blocks that `print` shows: credit, shares, intervals, validation, checks, notes.

        Args:
            top: number of channels with a row of their own: the largest by mean share of credit.
        """
        notes = [f"Note: {label} left out: {why}" for label, why in self.refusals.items()]
        return [*self.tables(top=top), *meanings(self.estimands.values()), *notes]

    def tables(self, *, top: int = 25) -> list[Block]:
        """`blocks` without the sentences on estimands and refused models."""
        rows = TopRows(self.channels, np.nan_to_num(self.share).mean(axis=1), top)
        amount = amounts(self.total)
        credits, shares = {}, {}
        for label, each in self.attributions.items():
            credit = np.append(rows.sums(each.credit), (each.baseline, each.total))
            credits[as_heading(label)] = [amount(x) for x in credit]
            shares[as_heading(label)] = [percent(x) for x in rows.sums(each.share)]
        names = [*rows.names, BASELINE, "total"]
        return [
            Table(f"Credit in {self.of}", names, credits, n_last=2),
            Table("Share of credit, the baseline left out", rows.names, shares),
            *self._intervals(rows),
            *(self.validation.blocks() if self.validation else ()),
            *(f"{k}: {check}" for k, each in self.attributions.items() for check in each.checks),
        ]

    def _intervals(self, rows: TopRows) -> list[Block]:
        """The table of intervals of the models that have some, and what they cover."""
        drawn = {k: each for k, each in self.attributions.items() if each.draws is not None}
        if not drawn:
            return []
        amount = amounts(self.total)
        columns = {}
        for label, each in drawn.items():
            bounds = np.vstack([each.interval()[rows.shown], each.baseline_interval()])
            cells = [f"{amount(lower)} to {amount(upper)}" for lower, upper in bounds]
            cells[-1:-1] = [""] * rows.has_others  # the bounds of a sum are not the sum of bounds
            columns[as_heading(label)] = cells
        return [
            Table("95% interval of credit", [*rows.names, BASELINE], columns, n_last=1),
            *(f"Intervals of {label}: {each.covered_by()}." for label, each in drawn.items()),
        ]

    def __repr__(self) -> str:
        return (
            f"Comparison({', '.join(self.attributions)}; {len(self.channels)} channels, "
            f"of={self.of!r})"
        )

    @property
    def _first(self) -> Attribution:
        return next(iter(self.attributions.values()))

    def _index(self) -> pd.Index[str]:
        import pandas as pd

        return pd.Index(self.channels, name="channel")

    def _credits(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"channel": [*self.channels, BASELINE]}
        for label, each in self.attributions.items():
            columns[label] = np.append(each.credit, each.baseline)
        return columns


def as_heading(label: str) -> str:
    """The label in words, so that it may be broken over lines: `Last Touch`."""
    name, bracket, parameters = label.partition("(")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) + (bracket and f" ({parameters}")


def compare(
    models: Iterable[AttributionModel | type[AttributionModel] | str] | None = None,
    journeys: Journeys | None = None,
    *,
    of: str = "conversions",
    skip_refused: bool = False,
    validate: bool = False,
) -> Comparison:
    """Fit several models on the same journeys and compare their credit.

    Each model has its own estimand and assumptions; `Comparison.estimands` names the estimands.

    Args:
        models: models, their classes, or their names (`"Markov"`, `"Markov(order=2)"`); the
            models themselves stay unfitted. None: the usual ones that the data allow, with
            `Incremental` first if the journeys have times, else `Markov`.
        journeys: journeys with at least one conversion. `compare(journeys=journeys)` compares the
            usual models.
        of: `"conversions"`, or `"value"` for revenue.
        skip_refused: what to do with a model that cannot be fitted to these journeys (for example
            one that needs times). False: raise its error. True: keep the reason in `refusals`, and
            compare the others.
        validate: whether to fit the incremental models again on the first two thirds of the log
            and score their predictions of the rest, as `validation`. Good predictions do not show
            that the effects are causal: read `validate_forward` first.

    Returns:
        A `Comparison`: the attribution of each model by label, in the order given; `print` shows
        credit and shares side by side, `to_frame` has one column per model.

    Raises:
        ParameterError: no model, two that are equal, an unknown name, or `validate` without an
            incremental model.
        JourneyError: the journeys lack what a model needs or, with `skip_refused`, what every
            model needs.

    Example:
        >>> from mta_models import Journeys, Markov, compare
        >>> paths = [["Search", "Email"], ["Email"], ["Search"]]
        >>> journeys = Journeys.from_paths(paths, conversions=[4, 2, 0], nulls=[6, 8, 10])
        >>> comparison = compare(["LastTouch", Markov()], journeys)
        >>> comparison.to_frame()
                    LastTouch  Markov
        channel
        Email             6.0     4.0
        Search            0.0     2.0
        (baseline)        0.0     0.0
        >>> comparison.estimands
        {'LastTouch': 'rule', 'Markov': 'removal_effect'}
    """
    check_flag(skip_refused, "skip_refused")
    check_flag(validate, "validate")
    given = None if models is None else distinct_models(models)
    require_journeys(journeys, "compare")
    assert journeys is not None  # as the line above has checked
    if given is None:
        given, skip_refused = distinct_models(usual_models(journeys)), True
    asked = {label_of(model): model for model in given}
    journeys.outcome(of)  # missing values are an error of the call, not a refusal of a model
    attributions: dict[str, Attribution] = {}
    refusals: dict[str, JourneyError] = {}
    for label, model in asked.items():
        try:
            attributions[label] = model.fit_attribute(journeys, of=of)
        except JourneyError as refusal:
            if not skip_refused:
                raise
            refusals[label] = refusal
    if not attributions:
        raise next(iter(refusals.values()))
    reasons = {label: str(why) for label, why in refusals.items()}
    validation = None
    if validate:
        validation = _validated([asked[label] for label in attributions], journeys, skip_refused)
    return Comparison(attributions, reasons, validation)


def _validated(
    models: list[AttributionModel], journeys: Journeys, skip_refused: bool
) -> ForwardValidation:
    from mta_models.analysis.forward_validation import validate_forward
    from mta_models.models.incremental.base import TimedModel

    timed = [model for model in models if isinstance(model, TimedModel)]
    if not timed:
        raise ParameterError(
            "to validate, there must be a model that predicts conversions in time, such as Hazard; "
            f"got {', '.join(map(label_of, models))}. Add one, or leave `validate` out"
        )
    return validate_forward(timed, journeys, skip_refused=skip_refused)
