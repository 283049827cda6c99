"""How far an attribution is from a truth: pure functions of the two, in four families.

Shares (`total_variation`, `share_mae`, `jensen_shannon`, `kendall_tau_b`), amounts
(`absolute_error`, `relative_error`, `over_credit`, `credit_to_null_channels`, `null_share`,
`sign_errors`, `baseline_error`, `relative_baseline_error`), intervals (`covered`, `coverage`,
`width`, `winkler_score`) and `stability`, which needs no truth. `budget_regret` is the cost of a
decision by the credit. `table` gives one row of all metrics that need no second run of a world.

`against` says which truth: `"shapley"` (the default: the parts that add up with the baseline to
the total), `"removal"`, `"marginal"` or `"direct"`. A model that estimates one of them need
not be right about another: compare each model with its own estimand too.

Channels are matched by name. A channel of the truth that the log lacks has credit 0: a tracker that
misses a channel gives it no credit. A channel that the truth lacks is an error.

A share is a part of positive credit: negative credit, and a negative truth, count as 0 in shares
(`sign_errors` and the amounts use the signs). Where no credit is positive, the whole share goes to
"no channel", a cell of its own. So a model that credits no channel has the largest share error (1)
where some channel has an effect, and no error (0) where no channel has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from mta_models.attribution import Attribution
from mta_models.core.ragged import Floats
from mta_models.errors import ParameterError
from mta_models.metrics.alignment import ROUNDING, Against, aligned, is_null, shares
from mta_models.metrics.intervals import interval_columns
from mta_models.metrics.regret import budget_regret as budget_regret
from mta_models.metrics.regret import budget_regrets as budget_regrets

if TYPE_CHECKING:
    from mta_models.worlds.truth import Truth


def total_variation(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> float:
    """The share error: the part of the credit on the wrong channel, half the sum of differences.

    From 0, every share right, to 1, all credit on wrong channels. Lower is better.
    """
    given, true = _share_pair(attribution, truth, against)
    return float(np.abs(given - true).sum() / 2)


def share_mae(attribution: Attribution, truth: Truth, *, against: Against = "shapley") -> float:
    """Mean over channels of the absolute error of the share.

    From 0, best, to 2 / n_channels; it falls as channels are added, so compare it only within a
    world. `total_variation` does not.
    """
    given, true = _share_pair(attribution, truth, against)
    # The last cell is "no channel", which is not averaged over.
    return float(np.abs(given - true)[:-1].mean())


def jensen_shannon(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> float:
    """Jensen–Shannon divergence of the shares, in bits: 0, best, to 1.

    The mean Kullback–Leibler divergence of credit shares and true shares from their average.
    It penalises credit to a channel that should have none more than `total_variation` does.

    Source: Lin, 1991, Divergence measures based on the Shannon entropy, IEEE Transactions on
    Information Theory 37(1).
    """
    given, true = _share_pair(attribution, truth, against)
    middle = (given + true) / 2
    # Clipped: equal shares may leave −1e-17.
    return float(
        np.clip((_relative_entropy(given, middle) + _relative_entropy(true, middle)) / 2, 0, 1)
    )


def kendall_tau_b(attribution: Attribution, truth: Truth, *, against: Against = "shapley") -> float:
    """Agreement of the order of channels by credit with the true order, ties allowed.

    From 1 (the same order) to −1 (the reverse order); 0 is no agreement. Signs of credit count. NaN
    where credit or truth does not order the channels at all (all equal, or fewer than two).

    Source: Kendall, 1945, The treatment of ties in ranking problems, Biometrika 33(3).
    """
    credit, true = aligned(attribution, truth, against)
    above, below = _order(credit), _order(true)
    pairs = np.sqrt((above**2).sum() * (below**2).sum())
    return float((above * below).sum() / pairs) if pairs else float("nan")


def absolute_error(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> float:
    """Conversions misplaced per true conversion: Σ |credit − truth| / total.

    From 0, best, without bound. Finite in worlds where no channel works, unlike
    `relative_error` and `over_credit`.
    """
    credit, true = aligned(attribution, truth, against)
    return float(np.abs(credit - true).sum() / truth.total)


def relative_error(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> Floats:
    """Each channel's (credit − truth) / |truth|, shape `(n_channels,)` in the truth's order.

    0 is best, 1 is twice the truth, −1 is no credit where some is due. NaN for channels without
    an effect, see `credit_to_null_channels`.
    """
    credit, true = aligned(attribution, truth, against)
    error: Floats = np.full(len(true), np.nan)
    real = ~is_null(true, truth)
    error[real] = (credit[real] - true[real]) / np.abs(true[real])
    return error


def over_credit(attribution: Attribution, truth: Truth) -> float:
    """All channels' credit per conversion that the channels caused: Σ credit / (total − baseline).

    1 is best; at 2 every incremental conversion is claimed twice; below 1 channels get too little.
    Where channels cause no conversion it is infinite if some channel is credited, else NaN.
    """
    credit, _ = aligned(attribution, truth, "shapley")
    caused = truth.incremental
    if abs(caused) <= ROUNDING * truth.total:
        caused = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(credit.sum() / np.float64(caused))


def credit_to_null_channels(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> float:
    """Credit, of either sign, to channels without any effect, per true conversion.

    Σ |credit| over channels whose truth is 0, / total. From 0, best; NaN where every channel has
    an effect.
    """
    credit, true = aligned(attribution, truth, against)
    null = is_null(true, truth)
    return float(np.abs(credit[null]).sum() / truth.total) if null.any() else float("nan")


def null_share(attribution: Attribution, truth: Truth, *, against: Against = "shapley") -> float:
    """The part of all credit that channels without any effect have together.

    Σ |credit| over channels whose truth is 0, / Σ |credit| over all. From 0, best, to 1; 0 where no
    channel is credited, NaN where every channel has an effect.
    """
    credit, true = aligned(attribution, truth, against)
    null, given = is_null(true, truth), np.abs(credit)
    if not null.any():
        return float("nan")
    return float(given[null].sum() / given.sum()) if given.any() else 0.0


def sign_errors(attribution: Attribution, truth: Truth, *, against: Against = "shapley") -> int:
    """The number of channels credited with the opposite of their effect's sign; 0 is best.

    Credit of 0 has no sign, and neither has a truth within two of its standard errors of 0.
    """
    credit, true = aligned(attribution, truth, against)
    known = ~is_null(true, truth) & (np.abs(true) > 2 * np.asarray(truth.standard_error[against]))
    return int((known & (np.sign(credit) * np.sign(true) < 0)).sum())


def baseline_error(attribution: Attribution, truth: Truth) -> float:
    """(baseline − true baseline) / total: 0 is best, below 0 the channels get too much.

    The true baseline is the conversions that would come with every channel off. A rule's baseline
    is only the conversions without a touchpoint.
    """
    aligned(attribution, truth, "shapley")
    return (attribution.baseline - truth.baseline) / truth.total


def relative_baseline_error(attribution: Attribution, truth: Truth) -> float:
    """(baseline − true baseline) / true baseline: 0 is best; NaN where the true baseline is 0."""
    aligned(attribution, truth, "shapley")
    if truth.baseline <= ROUNDING * truth.total:
        return float("nan")
    return (attribution.baseline - truth.baseline) / truth.baseline


def stability(attributions: Iterable[Attribution]) -> float:
    """Mean total variation between every two attributions: of resamples, seeds or settings.

    From 0, the same shares in all attributions, to 1. A lower number is more stable, not more
    right: uniform credit has 0. A channel that an attribution lacks has the share 0 there.

    Raises:
        ParameterError: fewer than two.

    Example:
        >>> from mta_models import FirstTouch, LastTouch, metrics, worlds
        >>> journeys = worlds.make("micro_synergy").expected_journeys()
        >>> each = [model.fit_attribute(journeys) for model in (FirstTouch(), LastTouch())]
        >>> round(metrics.stability(each), 4)  # 35 of 41 go to A, or 15
        0.4878
    """
    every = list(attributions)
    n = len(every)
    if n < 2:
        raise ParameterError(f"stability needs two attributions or more; got {n}")
    place = {name: at for at, name in enumerate({name for each in every for name in each.channels})}
    credit = np.zeros((n, len(place)))
    for row, each in zip(credit, every, strict=True):
        row[[place[name] for name in each.channels]] = each.credit
    parts = np.array([shares(row) for row in credit])
    # Sorted, the i-th of n is the upper of i pairs and the lower of n − 1 − i: no pair is made.
    weights = 2 * np.arange(n) - (n - 1)
    distance = weights @ np.sort(parts, axis=0) / (n * (n - 1) / 2)
    return float(distance.sum() / 2)


def table(
    attribution: Attribution, truth: Truth, *, against: Against = "shapley"
) -> dict[str, float]:
    """Every metric of one attribution that needs no second run, by name; always the same keys.

    `relative_error` is the median over channels of its absolute value; `coverage_50`, `width_80`,
    `winkler_95` and the other metrics of intervals are NaN for attributions without draws.
    `budget_regret` and `stability` need more than one attribution and its truth, and are left out.

    Example:
        Last touch gives A and B 15 and 26 conversions and the baseline 6; in truth they cause 19
        and 8, and 20 come by themselves.

        >>> import mta_models as mta
        >>> world = mta.worlds.make("micro_synergy", n_users=1_000)
        >>> last_touch = mta.LastTouch().fit_attribute(world.expected_journeys())
        >>> row = mta.metrics.table(last_touch, world.truth())
        >>> for name in ("total_variation", "kendall_tau_b", "over_credit", "baseline_error"):
        ...     print(name, round(row[name], 4))
        total_variation 0.3379
        kendall_tau_b -1.0
        over_credit 1.5185
        baseline_error -0.2979
    """
    errors = np.abs(relative_error(attribution, truth, against=against))
    errors = errors[~np.isnan(errors)]
    row: dict[str, float] = {
        "total_variation": total_variation(attribution, truth, against=against),
        "share_mae": share_mae(attribution, truth, against=against),
        "jensen_shannon": jensen_shannon(attribution, truth, against=against),
        "kendall_tau_b": kendall_tau_b(attribution, truth, against=against),
        "absolute_error": absolute_error(attribution, truth, against=against),
        "relative_error": float(np.median(errors)) if len(errors) else float("nan"),
        "over_credit": over_credit(attribution, truth),
        "credit_to_null_channels": credit_to_null_channels(attribution, truth, against=against),
        "null_share": null_share(attribution, truth, against=against),
        "sign_errors": float(sign_errors(attribution, truth, against=against)),
        "baseline_error": baseline_error(attribution, truth),
        "relative_baseline_error": relative_baseline_error(attribution, truth),
    }
    return row | interval_columns(attribution, truth, against)


def _share_pair(attribution: Attribution, truth: Truth, against: Against) -> tuple[Floats, Floats]:
    credit, true = aligned(attribution, truth, against)
    return shares(credit), shares(true)


def _relative_entropy(of: Floats, to: Floats) -> float:
    held = of > 0
    return float((of[held] * np.log2(of[held] / to[held])).sum())


def _order(amounts: Floats) -> Floats:
    """The sign of every difference, `(n, n)`; differences that are only rounding are ties."""
    apart = amounts[:, None] - amounts
    apart[np.abs(apart) <= ROUNDING * np.abs(amounts).max(initial=0)] = 0
    return np.sign(apart)
