"""Rival packages as models, so that the benchmark runs them on the same journeys as ours."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import peers
from mta_models import AttributionModel, Journeys, MTAError
from mta_models.core.ragged import Floats
from mta_models.models.names import model_from_name


class Rival(AttributionModel):
    """One model of a rival package, run in its own environment in a process of its own.

    The package reads the journeys as a table of paths. Its credits are not changed; the baseline is
    the total less the credits, and so includes journeys without a touchpoint. The estimand is that
    of the definition that the model is compared with. Seconds and memory are those of its process.

    Args:
        package: one of `peers.PEERS`.
        model: one of its models in `benchmarks.peers.catalogue`.
    """

    def __init__(self, package: str, model: str) -> None:
        self.package, self.model = package, model

    @property
    def estimand(self) -> str:
        """The estimand of our model of the same definition; `"rule"` if there is none."""
        every = {model.name: model for model in peers.PEERS[self.package].models}
        definition = every[self.model].definition
        return model_from_name(definition).estimand if definition else "rule"

    def _fit(self, journeys: Journeys) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "paths.csv"
            table = journeys.compress().to_polars().select("path", "conversions", "nulls")
            table.filter(table["path"] != "").write_csv(file)
            (found,) = peers.run(self.package, file, models=[self.model])
        if found.error:
            raise MTAError(found.error)
        self.credit_ = found.credit
        self.seconds_, self.peak_mb_ = found.seconds, found.peak_mb

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return np.array([self.credit_.get(name, 0.0) for name in journeys.channels])

    def _baseline(self, journeys: Journeys, of: str) -> float:
        return float(journeys.outcome(of).sum() - self._credit(journeys, of).sum())

    def __repr__(self) -> str:
        return f"{self.package}: {self.model}"


# Without the rules, which are the same in all packages: see the table of exactness.
RIVALS = tuple(
    Rival(package, model)
    for package, model in (
        ("ChannelAttribution", "Markov, order 1"),
        ("ChannelAttribution", "Markov, order 3"),
        ("marketing-attribution-models", "Markov, order 1"),
        ("marketing-attribution-models", "Markov, order 1, removal effects"),
        ("marketing-attribution-models", "Shapley, rate"),
        ("mta", "Markov, order 1"),
        ("mta", "Shapley, conversions"),
        ("mta", "Shao and Li"),
        ("do-attribution", "Markov, fail"),
        ("do-attribution", "Shapley, conversions"),
        ("shapley-attribution", "Shapley, ordered"),
        ("shapley-attribution", "Shapley, Monte Carlo"),
        ("pychattr", "Markov, order 1"),
    )
)
