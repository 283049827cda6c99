"""Carry-over kernels: how the effect of a touchpoint changes with its age.

A model on timelines needs three things of a kernel: its value at an age (for the adstock at a
conversion and the credit of a touchpoint), its integral over a span of ages (for the exposure while
the user was at risk and the amounts of horizon games), and the factor from an effect per touchpoint
to the hazard that it adds. A new kernel is a class with these three methods and its half-life, and
a `KernelGrid` of those that a fit may choose from; nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Protocol, runtime_checkable

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers

_LN2 = log(2)


@runtime_checkable
class Kernel(Protocol):
    """The weight of a touchpoint of each channel at each age.

    `codes` are channel codes, in the shape of the ages; ages are in days and >= 0.
    """

    @property
    def half_life(self) -> Floats:
        """The age at which the weight is half of w(0), in days, shape `(n_channels,)`."""
        ...

    def weight(self, age: Floats, codes: Numbers) -> Floats:
        """w(age), in the shape of `age`."""
        ...

    def integral(self, until: Floats, codes: Numbers, since: Floats | None = None) -> Floats:
        """∫ w from the age `since` (None: 0) to the age `until`, in days; `since <= until`."""
        ...

    def per_day(self, effect: Floats) -> Floats:
        """The hazard per day that a touchpoint adds at weight 1, shape `(n_channels,)`.

        It is `effect`, the conversions that the touchpoint brings in total, divided by ∫₀^∞ w.
        """
        ...


@dataclass(frozen=True, eq=False)
class HalfLifeKernel:
    """w(a) = 2^(−a / h): 1 at age 0, halved after each half-life h.

    Attributes:
        half_life: shape `(n_channels,)`, days, > 0.

    Example:
        >>> kernel = HalfLifeKernel(np.array([1.0, 2.0]))
        >>> kernel.weight(np.array([2.0, 2.0]), np.array([0, 1]))
        array([0.25, 0.5 ])
        >>> kernel.integral(np.array([1.0]), np.array([0])).round(3)  # half of 1 / ln 2
        array([0.721])
    """

    half_life: Floats

    @cached_property
    def _rate(self) -> Floats:
        """Minus the halvings per day: a negative rate saves a pass over the ages for the sign."""
        rate: Floats = -(1 / np.asarray(self.half_life, dtype=np.float64))
        return rate

    def weight(self, age: Floats, codes: Numbers) -> Floats:
        """2^(−age / h)."""
        faded: Floats = np.exp2(age * self._rate[codes])
        return faded

    def integral(self, until: Floats, codes: Numbers, since: Floats | None = None) -> Floats:
        """(2^(−since / h) − 2^(−until / h)) h / ln 2."""
        rate = self._rate[codes]
        faded = 1 - np.exp2(until * rate)
        if since is not None:
            late = np.flatnonzero(since)
            faded[late] -= 1 - np.exp2(since[late] * rate[late])
        lasting: Floats = faded * self.half_life[codes] / _LN2
        return lasting

    def per_day(self, effect: Floats) -> Floats:
        """`effect` times ln 2 / h."""
        fresh: Floats = effect * _LN2 / self.half_life
        return fresh


class KernelGrid(Protocol):
    """Kernels of one family to choose from, for each channel its own."""

    def __len__(self) -> int:
        """How many there are for each channel."""
        ...

    def chosen(self, places: Ints) -> Kernel:
        """The kernel that has for each channel the one at its place, shape `(n_channels,)`."""
        ...


@dataclass(frozen=True, eq=False)
class HalfLifeGrid:
    """Half-lives to choose from.

    Attributes:
        half_life: shape `(n_grid, n_channels)`, days, > 0.
    """

    half_life: Floats

    def __len__(self) -> int:
        """Half-lives of each channel."""
        return len(self.half_life)

    def chosen(self, places: Ints) -> HalfLifeKernel:
        """The half-lives at the places, shape `(n_channels,)`."""
        return HalfLifeKernel(self.half_life[places, np.arange(len(places))])


def as_kernel(kernel: Kernel | Floats | float, n_channels: int) -> Kernel:
    """A kernel as it is; half-lives in days (one, or one per channel) as `HalfLifeKernel`."""
    if isinstance(kernel, Kernel):
        return kernel
    return HalfLifeKernel(np.broadcast_to(np.asarray(kernel, dtype=np.float64), n_channels))
