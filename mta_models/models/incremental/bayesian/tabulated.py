"""The protocol of a Bayesian model's likelihood, as the shared code of these models uses it."""

from __future__ import annotations

from typing import Protocol

from mta_models.core.ragged import Floats, Ints
from mta_models.models.incremental.bayesian.half_life_interpolation import HalfLifeBasis


class TabulatedLikelihood(Protocol):
    """A likelihood of grouped observations, tabulated at the nodes of a half-life basis.

    Priors, biases and lift tests are the same for every such likelihood. Priors are in the
    likelihood's unit of an effect; biases and lifts are in conversions, around a point fit.
    """

    @property
    def basis(self) -> HalfLifeBasis:
        """The half-lives at which the likelihood is tabulated."""

    @property
    def half_life(self) -> Floats:
        """Half-lives of the point fit, shape `(n_channels,)`, days."""

    @property
    def total(self) -> float:
        """Conversions."""

    @property
    def active(self) -> Ints:
        """Codes of the channels that the data inform about, shape `(n_active,)`."""

    @property
    def point_effect(self) -> Floats:
        """Effects of the point fit, shape `(n_channels,)`."""

    @property
    def effect_unit(self) -> float:
        """The unit of an effect in which priors are given."""

    @property
    def conversions_per_effect(self) -> Floats:
        """Conversions credited to an effect of 1 where effects are small, `(n_channels,)`."""

    def credit(self, effect: Floats, half_life: Floats) -> Floats:
        """Conversions caused by effects, for the likelihood of lift tests, `(n_channels,)`."""

    @property
    def binning_error(self) -> float:
        """The error from binning similar rows, in the likelihood's own measure."""
