"""Posteriors by Hamiltonian Monte Carlo: build a PyMC model, sample it, judge the chains.

PyMC's versions differ in what they return around the draws, so only the draws are read; the
measures of convergence are worked out here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.errors import ConvergenceWarning, MissingExtraError, warn

# Vehtari et al. (2021) ask for R̂ < 1.01 of four long chains; two short ones reach that by luck.
_MOST_R_HAT = 1.03
# Of effective draws over all chains, for an interval's ends.
_LEAST_ESS = 100.0
_MOST_DIVERGENCES = 0.01


@dataclass(frozen=True)
class Diagnostics:
    """Whether the chains of a posterior can be believed.

    Attributes:
        r_hat: the largest split R̂ of any number drawn; 1 when chains agree.
        ess: the smallest effective number of draws of any.
        divergences: draws in which the integrator failed, of `n_draws`.
        n_draws: over all chains.
        worst: the name of what has the largest R̂.
    """

    r_hat: float
    ess: float
    divergences: int
    n_draws: int
    worst: str

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        found = []
        if not self.r_hat <= _MOST_R_HAT:
            found.append(f"the chains disagree about {self.worst} (R̂ {self.r_hat:.3f})")
        if not self.ess >= _LEAST_ESS:
            found.append(f"the draws are worth only {self.ess:.0f} independent ones")
        if self.divergences > _MOST_DIVERGENCES * self.n_draws:
            found.append(f"{self.divergences} of {self.n_draws} draws diverged")
        return " and ".join(found)


@dataclass(frozen=True)
class Sampler:
    """How to sample.

    Attributes:
        n_draws: kept, over all chains.
        n_chains: run side by side.
        seed: of all chains.
    """

    n_draws: int
    n_chains: int
    seed: int

    def sample(
        self, build: Callable[[], Any], names: tuple[str, ...]
    ) -> tuple[dict[str, Floats], Diagnostics]:
        """Draws of the posterior of a model, and how far they can be trusted.

        Args:
            build: makes the PyMC model.
            names: what to keep.

        Returns:
            By name the draws, shape `(n_draws, ...)`, chain after chain; and the diagnostics.

        Raises:
            MissingExtraError: PyMC is not installed.
        """
        chains = self._run(build)
        kept = {name: np.asarray(chains.posterior[name].values, np.float64) for name in names}
        found = diagnose(kept, int(np.asarray(chains.sample_stats["diverging"].values).sum()))
        if found.problem:
            warn(
                f"the posterior was not explored as it must be: {found.problem}. Use more draws, "
                "or look whether two channels always go together; see `diagnostics_`",
                ConvergenceWarning,
            )
        return {name: each.reshape(-1, *each.shape[2:]) for name, each in kept.items()}, found

    def _run(self, build: Callable[[], Any]) -> Any:
        """PyMC's result, with `posterior` and `sample_stats`."""
        try:
            import pymc as pm  # type: ignore[import-untyped]  # no stubs
        except ImportError as error:
            raise MissingExtraError.from_extra("sampling a posterior", "PyMC", "bayes") from error
        draws = -(-self.n_draws // self.n_chains)
        with warnings.catch_warnings():
            # Those of the sampler's own dependencies; what matters of the result is judged here.
            warnings.simplefilter("ignore")
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


def diagnose(chains: dict[str, Floats], divergences: int) -> Diagnostics:
    """Measures of convergence of draws by name, each of shape `(n_chains, n_draws, ...)`."""
    worst, r_hat, ess, n = "", 1.0, np.inf, 0
    for name, each in chains.items():
        n = each.shape[0] * each.shape[1]
        for place, one in enumerate(np.moveaxis(each.reshape(*each.shape[:2], -1), 2, 0)):
            if np.ptp(one) == 0:
                continue  # a constant, such as a half-life given
            there, worth = split_r_hat(one), effective_size(one)
            ess = min(ess, worth)
            if not there <= r_hat:
                worst, r_hat = f"{name}[{place}]" if each.ndim > 2 else name, there
    return Diagnostics(float(r_hat), float(min(ess, n)), divergences, n, worst)


def split_r_hat(chains: Floats) -> float:
    """Gelman and Rubin's R̂ of chains halved, shape `(n_chains, n_draws)`.

    Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2):667–718,
    equations 1–4, without ranks.
    """
    half = chains.shape[1] // 2
    split = np.concatenate([chains[:, :half], chains[:, -half:]])
    within = split.var(axis=1, ddof=1).mean()
    between = split.mean(axis=1).var(ddof=1)
    return float(np.sqrt((half - 1) / half + between / within)) if within > 0 else np.inf


def effective_size(chains: Floats) -> float:
    """Independent draws that chains, shape `(n_chains, n_draws)`, are worth for a mean.

    Autocorrelations of all chains together, summed in pairs for as long as a pair is positive,
    each no larger than the one before (Geyer 1992, Statistical Science 7(4):473–483).

    Source: Vehtari et al. (2021), as `split_r_hat`, equations 10–12.
    """
    half = chains.shape[1] // 2
    split = np.concatenate([chains[:, :half], chains[:, -half:]])
    m, n = split.shape
    centred = split - split.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    covariance = np.fft.irfft(power)[:, :n].mean(axis=0) / n
    within = covariance[0] * n / (n - 1)
    if not within > 0:
        return float(m * n)
    total = within * (n - 1) / n + split.mean(axis=1).var(ddof=1)
    correlation = 1 - (within - covariance * n / (n - 1)) / total
    correlation[0] = 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    falls = np.flatnonzero(pairs <= 0)
    kept = np.minimum.accumulate(pairs[: falls[0] if len(falls) else len(pairs)])
    return float(m * n / max(2 * kept.sum() - 1, 1 / np.log10(m * n)))
