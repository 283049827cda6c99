"""Confounding on purpose: rows of a trial are dropped so that arms are no longer comparable.

Observational sampling from a randomised trial: Gentzel, Pruthi and Jensen (2021), "How and why to
use experimental data to evaluate methods for observational causal inference", ICML, PMLR 139,
3660–3671. Rows are kept by rejection, as in Keith et al. (2023), "RCT rejection sampling for causal
estimation evaluation", TMLR, so that the people who remain are, arms together, those of the trial.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.experiments.trials import Trial
from mta_models.core.ragged import Floats, Mask

# Log odds of a channel against nothing, per s.d. of the score. Strong: a person two s.d. above the
# mean has 20 times the odds of one at the mean.
STRENGTH = 1.5
_MOST = 2.0  # s.d.; beyond it the odds do not change, or whole arms would have to be dropped
_AT_RANDOM = 0.4  # of rows kept where all have the same chance, about what the others keep


@dataclass(frozen=True)
class Selection:
    """Whom each channel goes to.

    Attributes:
        name: in the tables.
        direction: by channel; 1: to people with a high score, −1: a low one, 0: at random.
    """

    name: str
    direction: tuple[int, ...]


def selections(trial: Trial) -> list[Selection]:
    """At random; to people who are likely to convert; to unlikely ones.

    With two channels the last is "split": the first channel, whose effect is the larger one in the
    trial, goes to unlikely people, and the second one to likely people.
    """
    k = len(trial.channels)
    return [
        Selection("at random", (0,) * k),
        Selection("to likely", (1,) * k),
        Selection("split" if k > 1 else "to unlikely", (-1, *(1,) * (k - 1))),
    ]


def chances(trial: Trial, selection: Selection) -> Floats:
    """Of being in each arm, given the score, shape `(n, n_arms)`."""
    score = np.clip(trial.score, -_MOST, _MOST)
    odds = trial.share * np.exp(STRENGTH * np.outer(score, [0, *selection.direction]))
    return odds / odds.sum(axis=1, keepdims=True)


def kept(trial: Trial, selection: Selection, seed: int) -> Mask:
    """Rows that stay, each with a chance in proportion to `chances` over the arm's share."""
    ratio = chances(trial, selection) / trial.share
    of_arm = ratio[np.arange(len(trial.arm)), trial.arm]
    most = ratio.max() if any(selection.direction) else 1 / _AT_RANDOM
    rng = np.random.default_rng(seed)
    stays: Mask = rng.random(len(of_arm)) * most < of_arm
    return stays


def effects(trial: Trial, selection: Selection) -> tuple[Floats, Floats]:
    """What each channel changes per person it goes to, by the whole trial; and the standard errors.

    The contrast of two arms, both weighted by the chance that a person like this gets the channel
    under the selection: the effect on those who do. Shapes `(n_channels,)`, conversions.
    """
    chance = chances(trial, selection)
    effect, error = np.zeros((2, len(trial.channels)))
    for channel in range(len(trial.channels)):
        weight = chance[:, channel + 1]
        for sign, arm in ((1, channel + 1), (-1, 0)):
            rows = trial.arm == arm
            part = weight[rows] / weight[rows].sum()
            mean = part @ trial.converted[rows]
            effect[channel] += sign * mean
            error[channel] += (part**2) @ (trial.converted[rows] - mean) ** 2
    return effect, np.sqrt(error)
