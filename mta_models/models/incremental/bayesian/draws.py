"""Draws of channels' effects, biases and half-lives as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.bayesian.half_life_interpolation import half_life_at
from mta_models.models.incremental.bayesian.tabulated import TabulatedLikelihood


@dataclass(frozen=True, eq=False)
class ChannelDraws:
    """Draws from the posterior, or from the prior; a subclass adds those of its baseline.

    Attributes:
        effect: effects of channels, shape `(n_draws, n_channels)`, in the model's unit.
        bias: associations with touchpoints that these do not cause, same shape and unit.
        half_life: days, shape `(n_draws, n_channels)`.
    """

    effect: Floats
    bias: Floats
    half_life: Floats

    def __len__(self) -> int:
        return len(self.effect)

    def thinned(self, max_draws: int) -> Self:
        """At most `max_draws` of them, evenly spaced."""
        n = len(self)
        kept = np.unique(np.linspace(0, n - 1, min(max_draws, n)).round().astype(int))
        return replace(self, **{name: each[kept] for name, each in vars(self).items()})

    @property
    def mean(self) -> Self:
        """One draw: the means, geometric for half-lives."""
        means = {name: each.mean(axis=0, keepdims=True) for name, each in vars(self).items()}
        means["half_life"] = np.exp(np.log(self.half_life).mean(axis=0, keepdims=True))
        return replace(self, **means)


def all_channels(
    sampled: dict[str, Floats], likelihood: TabulatedLikelihood
) -> tuple[Floats, Floats, Floats]:
    """Effects, biases and half-lives of all channels, each `(n_draws, n_channels)`.

    Channels that the data do not inform about have effect and bias 0 and the point fit's half-life.

    Args:
        sampled: PyMC's draws by name, of active channels and in units of an effect.
        likelihood: of the model.
    """
    active, n = likelihood.active, len(sampled["baseline"])
    half_life = np.tile(likelihood.half_life, (n, 1))
    effect, bias = np.zeros_like(half_life), np.zeros_like(half_life)
    effect[:, active] = sampled["effect"] * likelihood.effect_unit
    bias[:, active] = sampled["bias"] * likelihood.effect_unit
    if not likelihood.basis.is_given:
        half_life[:, active] = half_life_at(sampled["half_life_position"])
    return effect, bias, half_life
