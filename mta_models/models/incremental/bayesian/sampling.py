"""Posteriors by Hamiltonian Monte Carlo: build a PyMC model, sample it, check the chains.

PyMC's versions differ in what they return around the draws, so only the draws are read. ArviZ,
which PyMC brings, computes the measures of convergence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.errors import ConvergenceWarning, MissingExtraError, warn

# Vehtari et al. (2021) ask for R̂ < 1.01 of four long chains; two short ones rarely reach that.
_MAX_R_HAT = 1.03
# Effective draws over all chains, for the ends of an interval.
_MIN_ESS = 100.0
# As a fraction of all draws.
_MAX_DIVERGENCES = 0.01


@dataclass(frozen=True)
class Diagnostics:
    """Whether the chains of a posterior can be relied on.

    Attributes:
        r_hat: the largest rank-normalised split R̂ of any variable; 1 when chains agree.
        ess: the smallest bulk effective sample size of any variable.
        divergences: draws, of `n_draws`, in which the integrator failed.
        n_draws: over all chains.
        worst: the name of the variable with the largest R̂.
    """

    r_hat: float
    ess: float
    divergences: int
    n_draws: int
    worst: str

    @property
    def problem(self) -> str:
        """A sentence about what is wrong with the chains; empty if nothing is."""
        problems = []
        if not self.r_hat <= _MAX_R_HAT:
            problems.append(f"the chains disagree about {self.worst} (R̂ {self.r_hat:.3f})")
        if not self.ess >= _MIN_ESS:
            problems.append(f"the effective sample size is only {self.ess:.0f}")
        if self.divergences > _MAX_DIVERGENCES * self.n_draws:
            problems.append(f"{self.divergences} of {self.n_draws} draws diverged")
        return " and ".join(problems)


@dataclass(frozen=True)
class Sampler:
    """How to sample.

    Attributes:
        n_draws: kept, over all chains.
        n_chains: run in parallel.
        seed: of all chains.
    """

    n_draws: int
    n_chains: int
    seed: int

    def sample(
        self, build: Callable[[], Any], names: tuple[str, ...]
    ) -> tuple[dict[str, Floats], Diagnostics]:
        """Draws of the posterior of a model, and diagnostics of the chains.

        Args:
            build: makes the PyMC model.
            names: variables to keep.

        Returns:
            By name the draws, shape `(n_draws, ...)`, chain after chain; and the diagnostics.

        Raises:
            MissingExtraError: PyMC is not installed.
        """
        chains = self._run(build)
        kept = {name: np.asarray(chains.posterior[name].values, np.float64) for name in names}
        divergences = int(np.asarray(chains.sample_stats["diverging"].values).sum())
        diagnostics = diagnose(kept, divergences)
        if diagnostics.problem:
            warn(
                f"the chains must explore the posterior before its draws can be relied on; "
                f"{diagnostics.problem}. Use more draws, or check whether two channels always "
                "occur together; see `diagnostics_`",
                ConvergenceWarning,
            )
        flat = {name: each.reshape(-1, *each.shape[2:]) for name, each in kept.items()}
        return flat, diagnostics

    def _run(self, build: Callable[[], Any]) -> Any:
        """PyMC's result, with `posterior` and `sample_stats`."""
        draws = -(-self.n_draws // self.n_chains)
        with warnings.catch_warnings():
            # These come from the sampler's own dependencies; `diagnose` judges the result.
            warnings.simplefilter("ignore")
            pm = _pymc()
            try:
                import nutpie  # type: ignore[import-untyped]  # no stubs
            except ImportError:
                with build():
                    return pm.sample(
                        draws,
                        tune=draws,
                        chains=self.n_chains,
                        cores=self.n_chains,
                        random_seed=self.seed,
                        progressbar=False,
                        compute_convergence_checks=False,
                    )
            return nutpie.sample(
                nutpie.compile_pymc_model(build()),
                draws=draws,
                tune=draws,
                chains=self.n_chains,
                cores=self.n_chains,
                seed=self.seed,
                progress_bar=False,
            )


def require_pymc() -> None:
    """Raise an error where PyMC is not installed, without importing it, which takes seconds.

    Raises:
        MissingExtraError: with the line that installs it.
    """
    if find_spec("pymc") is None:
        raise _missing()


def _pymc() -> Any:
    try:
        import pymc  # type: ignore[import-untyped]  # no stubs
    except ImportError as error:
        raise _missing() from error
    return pymc


def _missing() -> MissingExtraError:
    return MissingExtraError.from_extra("a Bayesian incremental model", "PyMC", "bayes")


def sample_rate(
    total: float, n_draws: int, rng: np.random.Generator
) -> tuple[dict[str, Floats], Diagnostics]:
    """Draws where no channel has data: of the mean rate alone, whose posterior is Gamma."""
    none = np.zeros((n_draws, 0))
    rate = np.log(rng.gamma(total, size=n_draws) / total)
    draws = {"baseline": rate, "effect": none, "bias": none, "half_life_position": none}
    return draws, Diagnostics(1.0, float(n_draws), 0, n_draws, "")


def diagnose(chains: dict[str, Floats], divergences: int) -> Diagnostics:
    """Measures of convergence of draws by name, each of shape `(n_chains, n_draws, ...)`."""
    arviz: Any = import_module("arviz")  # some of its versions have annotations, some not

    worst, r_hat, ess, n = "", 1.0, np.inf, 0
    for name, each in chains.items():
        n = each.shape[0] * each.shape[1]
        for place, one in enumerate(np.moveaxis(each.reshape(*each.shape[:2], -1), 2, 0)):
            if np.ptp(one) == 0:
                continue  # a constant, such as a half-life given
            with np.errstate(divide="ignore", invalid="ignore"):  # one chain that never moved
                own_r_hat, own_ess = float(arviz.rhat(one)), float(arviz.ess(one))
            own_r_hat = own_r_hat if np.isfinite(own_r_hat) else np.inf
            ess = min(ess, own_ess if np.isfinite(own_ess) else 0.0)
            if own_r_hat > r_hat:
                worst, r_hat = f"{name}[{place}]" if each.ndim > 2 else name, own_r_hat
    return Diagnostics(float(r_hat), float(min(ess, n)), divergences, n, worst)
