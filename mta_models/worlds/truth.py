"""Truth: what a world's channels cause, by intervening on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import Attribution, check_adds_up
from mta_models.core.arrays import read_only
from mta_models.core.ragged import Floats
from mta_models.errors import UnknownChannelError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


PER_CHANNEL = ("removal", "shapley", "marginal", "direct")


@dataclass(frozen=True, eq=False)
class Truth:
    """What interventions on a world's channels do to its expected conversions.

    `shapley.sum() + baseline == total`, checked when made. All in conversions of the world's
    `n_users` within its days.

    Attributes:
        channels: every channel of the world, in the world's order. A log may lack some (unlogged,
            or never met) and name them in another order: `credit_of` aligns an attribution.
        total: E[Y], expected conversions as the world is.
        baseline: E[Y | do(all channels off)].
        removal: shape `(C,)`: E[Y] − E[Y | do(c off)]. What a removed channel caused, touchpoints
            of other channels too, vanishes with it. Does not sum to `total − baseline`.
        shapley: shape `(C,)`: Shapley value of v(S) = E[Y | do(only S on)].
        marginal: shape `(C,)`: E[Y] − E[Y | do(a tenth of c's exposure off)].
        direct: shape `(C,)`: as `removal`, but the chance of every other channel's touchpoint stays
            as if c were on: what c does by itself.
        standard_error: of each of the above by its name, a number or shape `(C,)`: Monte Carlo
            error of the truth itself. It is no measure of how much one simulated log scatters.

    Example:
        >>> from mta_models import worlds
        >>> truth = worlds.make("micro_upstream", n_users=1_000).truth()
        >>> truth.to_frame()[["channel", "removal", "shapley", "direct"]].round(6)
          channel  removal  shapley  direct
        0       A     20.0     10.0     0.0
        1       B     40.0     30.0    40.0
    """

    channels: tuple[str, ...]
    total: float
    baseline: float
    removal: Floats
    shapley: Floats
    marginal: Floats
    direct: Floats
    standard_error: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_adds_up(self.shapley, self.baseline, self.total, "the truth's Shapley value")
        for name in PER_CHANNEL:
            object.__setattr__(self, name, read_only(getattr(self, name)))
        errors = MappingProxyType(
            {
                name: read_only(error) if isinstance(error, np.ndarray) else float(error)
                for name, error in self.standard_error.items()
            }
        )
        object.__setattr__(self, "standard_error", errors)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and truths travel between processes.
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        return type(self), (*values[:-1], dict(self.standard_error))

    @property
    def incremental(self) -> float:
        """What all channels together cause, total − baseline."""
        return self.total - self.baseline

    @property
    def share(self) -> Floats:
        """Each channel's part of what all of them cause, by `shapley`; NaN if that is nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share: Floats = self.shapley / self.shapley.sum()
            return share

    def credit_of(self, attribution: Attribution) -> Floats:
        """An attribution's credit in the order of `channels`; 0 for one that its log lacks.

        Raises:
            UnknownChannelError: it credits a channel that the world does not have.
        """
        unknown = [name for name in attribution.channels if name not in self.channels]
        if unknown:
            raise UnknownChannelError(
                f"the truth's channels are {', '.join(self.channels)}; the attribution also has "
                f"{unknown[0]!r}. Compare it with the truth of its own world"
            )
        credit = dict(zip(attribution.channels, attribution.credit, strict=True))
        return np.array([credit.get(name, 0.0) for name in self.channels])

    def scaled(self, factor: float) -> Truth:
        """The truth of `factor` times as many users."""
        values = {name: getattr(self, name) * factor for name in ("total", "baseline")}
        arrays = {name: getattr(self, name) * factor for name in PER_CHANNEL}
        errors = {name: error * factor for name, error in self.standard_error.items()}
        return Truth(self.channels, **values, **arrays, standard_error=errors)

    def to_document(self) -> dict[str, Any]:
        """Everything as plain numbers and lists, for JSON."""
        names = ("total", "baseline", *PER_CHANNEL)
        return {
            "channels": list(self.channels),
            **{name: np.asarray(getattr(self, name)).tolist() for name in names},
            "standard_error": {
                name: np.asarray(error).tolist() for name, error in self.standard_error.items()
            },
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per channel: `channel`, `removal`, `shapley`, `marginal`, `direct`."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def to_polars(self) -> pl.DataFrame:
        """As `to_frame`, as a polars table."""
        import polars as pl

        return pl.DataFrame(self._columns())

    def _columns(self) -> dict[str, Any]:
        return {"channel": self.channels} | {name: getattr(self, name) for name in PER_CHANNEL}
