"""The base class of all models: a subclass writes its mathematics, this file does the rest."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from mta_models.attribution import SAMPLING_ONLY, Attribution
from mta_models.core.checks import shown
from mta_models.core.ragged import Floats
from mta_models.core.threads import one_blas_thread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.errors import JourneyError, MTAError, NotFittedError, ParameterError, warnings_of

# What of the journeys a model's credit depends on, and so what a bootstrap may merge:
# "journeys": on times, users, stages or timelines, so that nothing may be merged;
# "paths": on paths and outcomes alone, so that rows of equal paths may be merged;
# "sets": on sets of channels and outcomes alone, not on order or repeats, so that rows with equal
#     sets of channels may be merged;
# "linear": on each row by itself: `_touchpoint_credit` splits a row in parts that do not depend on
#     any outcome and add up to `_credit`, so the credits of all draws are one matrix product.
Resampling = Literal["journeys", "paths", "sets", "linear"]


class Refitter(Protocol):
    """Fits a model to other outcomes of the same journeys; see `AttributionModel.prepare`."""

    def __call__(self, weighted: Journeys) -> tuple[Floats, float]:
        """Credit, shape `(n_channels,)`, and baseline of a fit on `weighted` alone.

        Args:
            weighted: `journeys.reweighted(...)` of the journeys that were prepared: the same
                arrays except `conversions`, `nulls` and `value`, which are float64. There is at
                least one conversion.
        """


class AttributionModel(ABC):
    """Base of all models: journeys in, an `Attribution` out.

    The conventions are scikit-learn's: parameters are stored untouched by `__init__`, `fit`
    returns self, fitted attributes end in an underscore, and `sklearn.base.clone`, `repr` and
    pickle work. `sklearn` itself is not imported, because that costs seconds.

    A subclass sets `estimand` and writes `_fit` (if it learns anything) and `_credit`; where its
    mathematics gives them also `_baseline`, `_draws` and `_touchpoint_credit`. It may refuse
    parameters in `_check_parameters`. Journeys are checked before a subclass gets them; all methods
    but `_fit` get them coded in the order of `channels_`.

    `bootstrap` uses two members of a model: `resampling`, which says what rows of the journeys may
    be merged, and `prepare`, which returns a function that refits. The defaults are right for every
    model but slow; a subclass makes the bootstrap fast by setting `resampling`, or by computing in
    `prepare` what depends on paths alone.

    Attributes:
        channels_: the channels of the journeys fitted, in their order.
    """

    channels_: tuple[str, ...]
    needs_times: ClassVar[bool] = False
    _linear_algebra: ClassVar[tuple[str, ...]] = ()  # packages with a BLAS that it imports

    @property
    @abstractmethod
    def estimand(self) -> str:
        """What the credit estimates; see `Attribution`."""

    def fit(self, journeys: Journeys, y: None = None) -> Self:
        """Learn from journeys.

        Args:
            journeys: at least one conversion among them.
            y: ignored; the outcomes are in the journeys.

        Raises:
            ParameterError: a parameter of the model has a wrong type or is out of range.
            JourneyError: the journeys lack what the model needs (a conversion, times, a timeline).
        """
        self._check_parameters()
        self._check_journeys(journeys)
        if journeys.total == 0:
            raise JourneyError(
                f"there must be a conversion to credit; {journeys!r} has none. Check that the "
                "conversion column is the right one"
            )
        self._check_times(journeys)
        with self._running():
            self._fit(journeys)
        self.channels_ = journeys.channels
        return self

    def attribute(self, journeys: Journeys, *, of: str = "conversions") -> Attribution:
        """Credit the channels for the outcomes of `journeys`.

        Args:
            journeys: all their channels must be among those fitted.
            of: `"conversions"`, or `"value"` for revenue.

        Returns:
            Credit over `channels_`, the baseline, and draws where the model has them.

        Raises:
            NotFittedError: `fit` was not called.
            UnknownChannelError: a journey has a channel the model was not fitted on.
            JourneyError: the journeys lack the outcome, or what the model needs, as in `fit`.
        """
        journeys = self._ready(journeys)
        total = float(journeys.outcome(of).sum())
        with self._running():
            credit, baseline, drawn = self._result(journeys, of)
            sampled = self._sampling_draws(journeys, of)
        draws, baseline_draws = drawn or (None, None)
        sampling_draws, sampling_baseline_draws = sampled or (None, None)
        return Attribution(
            channels=self.channels_,
            credit=credit,
            baseline=baseline,
            total=total,
            estimand=self.estimand,
            model=repr(self),
            of=of,
            draws=draws,
            baseline_draws=baseline_draws,
            interval_holds=self._interval_holds(),
            checks=self._checks(),
            sampling_draws=sampling_draws,
            sampling_baseline_draws=sampling_baseline_draws,
        )

    def fit_attribute(self, journeys: Journeys, *, of: str = "conversions") -> Attribution:
        """`fit` on the journeys and `attribute` the same journeys."""
        return self.fit(journeys).attribute(journeys, of=of)

    def touchpoint_credit(self, journeys: Journeys, *, of: str = "conversions") -> Floats:
        """Credit of each single touchpoint, shape `(n_touchpoints,)`, in the journeys' order.

        Where a row stands for several conversions, a touchpoint has the sum of its credit for all
        of them. `touchpoint_frame` joins the array back to users, times and source rows.

        Raises:
            MTAError: the model does not define credit of single touchpoints.
            NotFittedError, UnknownChannelError, JourneyError: as `attribute`.
        """
        journeys = self._ready(journeys)
        journeys.outcome(of)  # refuses an outcome that is not there, before the model sees it
        with self._running():
            return self._touchpoint_credit(journeys, of)

    # Methods that a subclass writes.

    def _check_parameters(self) -> None:  # noqa: B027 (most models have nothing to refuse)
        """Raise `ParameterError` for a parameter of a wrong type or out of range."""

    def _fit(self, journeys: Journeys) -> None:  # noqa: B027 (a rule has nothing to learn)
        """Learn; a model that learns nothing (a rule) leaves this out."""

    @abstractmethod
    def _credit(self, journeys: Journeys, of: str) -> Floats:
        """Credit per channel, shape `(n_channels,)`."""

    def _baseline(self, journeys: Journeys, of: str) -> float:
        """The outcomes credited to no channel; by default those of untouched journeys."""
        return float(journeys.outcome(of)[journeys.lengths == 0].sum())

    def _account(self, journeys: Journeys, of: str) -> tuple[Floats, float]:
        """Credit and baseline together; for a model that computes both at once."""
        return self._credit(journeys, of), self._baseline(journeys, of)

    def _draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats] | None:
        """Draws of credit and baseline, of a model that has draws of its own; else None."""
        return None

    def _sampling_draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats] | None:
        """As `_draws`, with sampling error only, of a model whose draws cover more; else None."""
        return None

    def _result(
        self, journeys: Journeys, of: str
    ) -> tuple[Floats, float, tuple[Floats, Floats] | None]:
        """Credit, baseline and draws together, for a model that has all from the same draws."""
        return *self._account(journeys, of), self._draws(journeys, of)

    def _interval_holds(self) -> str:
        """The sources of uncertainty that the spread of `_draws` includes, in words."""
        return SAMPLING_ONLY

    def _checks(self) -> tuple[str, ...]:
        """The outcomes of tests of the fit, one sentence each."""
        return ()

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        raise MTAError(
            f"{type(self).__name__} does not split a conversion over single touchpoints. "
            "Use attribute for credit per channel"
        )

    # Members that `bootstrap` uses.

    @property
    def resampling(self) -> Resampling:
        """What of the journeys the credit depends on, and so what `bootstrap` may merge.

        `"journeys"` (nothing may be merged), `"paths"`, `"sets"` or `"linear"`; see `Resampling`.
        """
        return "journeys"

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """A function that refits the model to other outcomes of `journeys`.

        It is called once, on the fitted model, and the function it returns once for each draw.
        Neither changes the model. `bootstrap` calls it for all models but `"linear"` ones.

        Args:
            journeys: coded in the order of `channels_`. Where `resampling` is `"paths"` their equal
                paths are merged; where it is `"sets"` their equal sets of channels, each set in
                the channels' order.
            of: `"conversions"` or `"value"`.

        Example:
            >>> from mta_models import Journeys, Markov
            >>> journeys = Journeys.from_paths([["A"], ["B"]], conversions=[3, 1], nulls=[7, 9])
            >>> refit = Markov().fit(journeys).prepare(journeys, "conversions")
            >>> conversions, nulls = np.array([2.0, 2.0]), np.array([8.0, 8.0])
            >>> credit, baseline = refit(journeys.reweighted(conversions, nulls))
            >>> credit
            array([2., 2.])
        """

        def refit(weighted: Journeys) -> tuple[Floats, float]:
            fitted = clone(self).fit(weighted)
            return fitted._account(weighted, of)

        return refit

    # Shared by every entry.

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Around the model's mathematics: its name before warnings, one thread for BLAS."""
        with warnings_of(type(self).__name__), one_blas_thread(*self._linear_algebra):
            yield

    def _ready(self, journeys: Journeys) -> Journeys:
        """The journeys coded in the order of the fitted channels; an error where they cannot be."""
        self._check_fitted()
        self._check_journeys(journeys)
        self._check_times(journeys)
        return journeys.recode(self.channels_)

    def _check_fitted(self) -> None:
        if not hasattr(self, "channels_"):
            raise NotFittedError(
                f"{type(self).__name__} must be fitted before it can attribute. "
                "Call fit(journeys), or fit_attribute(journeys)"
            )

    def _check_journeys(self, journeys: Journeys) -> None:
        require_journeys(journeys, type(self).__name__)

    def _check_times(self, journeys: Journeys) -> None:
        if self.needs_times and journeys.age is None and journeys.n_touchpoints:
            raise JourneyError(
                f"{type(self).__name__} needs the age of each touchpoint, and these journeys have "
                "no times. Read an event log with read_events, or give age= to from_arrays"
            )

    # scikit-learn's conventions, without its import.

    @classmethod
    def _parameter_defaults(cls) -> dict[str, Any]:
        signature = inspect.signature(cls.__init__)
        return {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if name != "self"
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; with `deep` also those of a model held as a parameter."""
        params = {name: getattr(self, name) for name in self._parameter_defaults()}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, AttributionModel):
                    params |= {f"{name}__{k}": v for k, v in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, a held model's as `model__order`.

        Raises:
            ParameterError: no such parameter.
        """
        for name, value in params.items():
            own, _, nested = name.partition("__")
            if own not in self._parameter_defaults():
                raise ParameterError(
                    f"{type(self).__name__} has the parameters "
                    f"{', '.join(self._parameter_defaults()) or '(none)'}; got {name!r}"
                )
            if nested:
                held = getattr(self, own)
                if not isinstance(held, AttributionModel):
                    raise ParameterError(
                        f"`{own}` must be a model to have parameters of its own; it is "
                        f"{shown(held)}. Set `{own}` itself"
                    )
                held.set_params(**{nested: value})
            else:
                setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(
            **{
                name: value.__sklearn_clone__()
                if isinstance(value, AttributionModel)
                else copy.deepcopy(value)
                for name, value in self.get_params(deep=False).items()
            }
        )

    def __repr__(self) -> str:
        given = {
            name: getattr(self, name)
            for name, default in self._parameter_defaults().items()
            if not _same(getattr(self, name), default)
        }
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def clone(model: AttributionModel) -> AttributionModel:
    """An unfitted model with the same parameters."""
    return model.__sklearn_clone__()


def _same(value: object, default: object) -> bool:
    if default is None or isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return value is default  # `==` of an array or a frame is no bool
    return bool(value == default)
