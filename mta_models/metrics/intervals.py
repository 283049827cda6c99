"""Whether intervals hold the truth, of which channels, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mta_models.attribution import Attribution
from mta_models.core.ragged import Mask
from mta_models.errors import ParameterError
from mta_models.metrics.alignment import ROUNDING, Against, aligned, bounds, is_null

if TYPE_CHECKING:
    from mta_models.worlds.truth import Truth

PROBABILITIES = (0.5, 0.8, 0.9, 0.95)
# Which intervals: of all channels and the baseline, of the channels alone, of the channels that
# have an effect, of those whose truth is 0, or of the baseline alone.
Among = Literal["all", "channels", "effect", "null", "baseline"]


def covered(
    attribution: Attribution, truth: Truth, prob: float = 0.95, *, against: Against = "shapley"
) -> Mask:
    """Whether the central interval holds the truth: per channel and, last, for the baseline.

    Shape `(n_channels + 1,)`, in the truth's order. A channel that the log lacks has the interval
    [0, 0].

    Raises:
        MTAError: the attribution has no draws.
    """
    lower, upper, true = bounds(attribution, truth, prob, against)
    slack = ROUNDING * truth.total
    return (lower - slack <= true) & (true <= upper + slack)


def coverage(
    attribution: Attribution,
    truth: Truth,
    prob: float = 0.95,
    *,
    against: Against = "shapley",
    among: Among = "all",
) -> float:
    """The part of the channels and the baseline whose central interval holds the truth.

    From 0 to 1; averaged over seeds, `prob` is best. Below `prob` intervals are too narrow (or the
    model is biased), above it too wide. An interval that ignores confounding gets narrower with
    more data, and covers less.

    Raises:
        MTAError: the attribution has no draws.

    Example:
        Draws of a rule include chance in who was observed, not the rule's bias.

        >>> import mta_models as mta
        >>> simulation = mta.worlds.make("micro_intent", n_users=5_000).simulate()
        >>> drawn = mta.bootstrap(mta.LastTouch(), simulation.journeys, random_state=0)
        >>> mta.metrics.coverage(drawn, simulation.truth)
        0.0
    """
    held = covered(attribution, truth, prob, against=against)
    held = held[_members(attribution, truth, among, against)]
    return float(held.mean()) if len(held) else float("nan")


def width(
    attribution: Attribution, truth: Truth, prob: float = 0.95, *, among: Among = "all"
) -> float:
    """Mean width of the central intervals of channels and baseline, per true conversion.

    From 0. Narrower is better among models that cover equally. `among` is as in `coverage`.

    Raises:
        MTAError: the attribution has no draws.
        ParameterError: `among` is none of those.
    """
    lower, upper, _ = bounds(attribution, truth, prob, "shapley")
    wide = (upper - lower)[_members(attribution, truth, among, "shapley")]
    return float(wide.mean() / truth.total) if len(wide) else float("nan")


def winkler_score(
    attribution: Attribution, truth: Truth, prob: float = 0.95, *, against: Against = "shapley"
) -> float:
    """Width plus 2 / (1 − prob) times the distance by which the truth is missed.

    Mean over channels and baseline, per true conversion. From 0; lower is better. The score is
    proper: the true quantiles have the best expected score.

    Source: Winkler, 1972, A decision-theoretic approach to interval estimation, JASA 67(337);
    Gneiting and Raftery, 2007, Strictly proper scoring rules, prediction, and estimation,
    JASA 102(477), equation 43.

    Raises:
        MTAError: the attribution has no draws.
    """
    lower, upper, true = bounds(attribution, truth, prob, against)
    missed = np.maximum(lower - true, 0) + np.maximum(true - upper, 0)
    return float((upper - lower + 2 / (1 - prob) * missed).mean() / truth.total)


def interval_columns(attribution: Attribution, truth: Truth, against: Against) -> dict[str, float]:
    """The metrics of intervals as columns of a table, NaN for an attribution without draws."""
    has_draws = attribution.draws is not None
    row: dict[str, float] = {}
    for prob in PROBABILITIES:
        scores = (float("nan"),) * 3
        if has_draws:
            scores = (
                coverage(attribution, truth, prob, against=against),
                width(attribution, truth, prob),
                winkler_score(attribution, truth, prob, against=against),
            )
        names = (f"{name}_{100 * prob:.0f}" for name in ("coverage", "width", "winkler"))
        row |= dict(zip(names, scores, strict=True))
    parts: tuple[Among, ...] = ("effect", "null", "baseline")
    names_apart = (*(f"coverage_90_{part}" for part in parts), "width_90_channels")
    apart = dict.fromkeys(names_apart, float("nan"))
    if has_draws:
        for part in parts:
            held = coverage(attribution, truth, 0.9, against=against, among=part)
            apart[f"coverage_90_{part}"] = held
        apart["width_90_channels"] = width(attribution, truth, 0.9, among="channels")
    return row | apart


def _members(attribution: Attribution, truth: Truth, among: Among, against: Against) -> Mask:
    """Which of the channels and, last, the baseline are meant, shape `(n_channels + 1,)`."""
    if among not in get_args(Among):
        raise ParameterError(f"`among` must be one of {get_args(Among)}; got {among!r}")
    null = is_null(aligned(attribution, truth, against)[1], truth)
    every = np.ones(len(null), dtype=bool)
    channels = {"effect": ~null, "null": null, "baseline": ~every}.get(among, every)
    return np.append(channels, among in ("all", "baseline"))
