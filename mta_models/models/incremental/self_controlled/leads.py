"""The lead test: touchpoints that came after a moment cannot have caused a conversion at it.

If they nonetheless tell when users convert, something else moves both: intent that comes and goes
(more of them ahead of a conversion), or ads that stop once it happened (fewer). A negative control
exposure in the sense of Lipsitch, Tchetgen Tchetgen & Cohen 2010 (Epidemiology 21(3):383–388).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
    intent_terms,
)


@dataclass(frozen=True, eq=False)
class LeadTest:
    """What touchpoints of the days after a moment say of it, given the fit.

    Attributes:
        z: shape `(n_channels,)`; above 0 where more of them follow conversions than other days.
            0 for channels without any.
        z_together: the same of all channels' touchpoints together.
        chi_square: of all channels together.
        p_value: of `chi_square`, with one degree of freedom per channel that has any.
        days: how far ahead was looked.
        before: the same before anything was corrected for, or None.
    """

    z: Floats
    z_together: float
    chi_square: float
    p_value: float
    days: int
    before: LeadTest | None = None


def lead_test(design: Design, rate: RelativeRate, days: int = 7) -> LeadTest:
    """A score test of touchpoints ahead, F_c = those in (t, t + days], added to the fitted rate.

        U_c = Σ_i w_i [ F_ic(T) / r_i(T) − Σ_s W F_ic(s) / Σ_s W r_i(s) ],    r = m + β·a

    projected off the scores of what was fitted (effects, moving intent, weeks), so that what these
    could explain is not blamed on the future; variance by outer products.

    Args:
        design: the conversions.
        rate: fitted to them.
        days: how far ahead to look.
    """
    from scipy.special import chdtrc  # scipy.stats takes seconds to import

    case, control = _rates(design, rate)

    def scores(at_case: Floats, over_days: Floats) -> Floats:
        return at_case / case[:, None] - over_days / control[:, None]

    ahead = scores(
        design.per_row(lambda block: block.soon(days)),
        design.per_row(lambda b: b.exposure_soon(rate.weights(design, b), days)),
    )
    terms = channel_terms(design, rate)
    fitted = [scores(terms.carried, terms.exposure), _weeks(design, rate)]
    if rate.moves:
        fitted.append(scores(*intent_terms(design, rate)))
    root = np.sqrt(design.weight)[:, None]
    explained = np.hstack(fitted) * root
    left = ahead * root
    left = left - explained @ _solved(explained, left)
    total, variance = (root * left).sum(axis=0), left.T @ left
    spread = np.sqrt(np.diag(variance))
    met = spread > 1e-9
    z = np.divide(total, spread, out=np.zeros_like(total), where=met)
    together = float(total.sum() / max(np.sqrt(variance.sum()), 1e-9))
    square = float(total @ np.linalg.pinv(variance, rcond=1e-10, hermitian=True) @ total)
    return LeadTest(
        z, together, square, float(chdtrc(max(int(met.sum()), 1), max(square, 0.0))), days
    )


def _solved(explained: Floats, left: Floats) -> Floats:
    """Least-squares coefficients through the (small) normal matrix, rank-deficient or not."""
    normal = explained.T @ explained
    found: Floats = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ (explained.T @ left)
    return found


def _rates(design: Design, rate: RelativeRate) -> tuple[Floats, Floats]:
    """R at the case and Σ W r over its control days, each of shape `(n_rows,)`."""
    found = []
    for block in design.blocks:
        each = rate.rate(block)
        found.append((each[block.at_case], (each * rate.weights(design, block)).sum(axis=0)))
    case, control = (np.concatenate(each) for each in zip(*found, strict=True))
    return case, control


def _weeks(design: Design, rate: RelativeRate) -> Floats:
    """Scores of the log of each week's f, shape `(n_rows, n_weeks)`."""
    n = len(rate.calendar)

    def of_block(block: ControlDays) -> Floats:
        chance = rate.rate(block) * rate.weights(design, block)
        chance /= chance.sum(axis=0)
        week = np.minimum(block.week, n - 1)
        cell = np.arange(block.n_rows) * n + week
        size = block.n_rows * n
        left = -np.bincount(cell.ravel(), chance.ravel(), size).astype(np.float64, copy=False)
        left[np.arange(block.n_rows) * n + week[block.at_case]] += 1
        return left.reshape(-1, n)

    return design.per_row(of_block)
