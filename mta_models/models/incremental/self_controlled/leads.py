"""The lead test: touchpoints that came after a day cannot have caused a conversion on it.

If they nonetheless predict on which day users convert, there is a common cause: intent that changes
over time (more touchpoints after a conversion than after other days), or ads that stop after a
conversion (fewer). Future touchpoints are a negative control exposure in the sense of Lipsitch,
Tchetgen Tchetgen & Cohen 2010 (Epidemiology 21(3):383–388).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Mask
from mta_models.models.incremental.self_controlled.control_sampling import ControlDays
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    RelativeRate,
    channel_terms,
    intent_terms,
)

# p-value below which the lead test rejects; and |z| above which a channel is then named.
REJECTION_LEVEL, NAMED_Z = 0.01, 3.0


@dataclass(frozen=True, eq=False)
class LeadTest:
    """Whether touchpoints of the days after a conversion predict it, given the fit.

    The test cannot see causes that raise intent and later exposure but not earlier exposure. A
    large p-value does not prove that there is no bias: there may be too few conversions to reject.

    Attributes:
        z: shape `(n_channels,)`; above 0 where more of a channel's touchpoints follow conversions
            than follow other days. 0 for channels without any.
        z_together: z of all channels' touchpoints together.
        chi_square: of all channels jointly.
        p_value: of `chi_square`, with one degree of freedom per channel that has any touchpoint.
        days: how many days ahead touchpoints were counted.
        before: the test before any correction was made, or None.
    """

    z: Floats
    z_together: float
    chi_square: float
    p_value: float
    days: int
    before: LeadTest | None = None

    @property
    def rejects(self) -> bool:
        """Whether the p-value is below .01."""
        return self.p_value < REJECTION_LEVEL

    def sentence(self) -> str:
        """The outcome in a sentence, for readers of the credit."""
        ahead = f"touchpoints of the {self.days} days after a day"
        if self.rejects:
            return (
                f"Lead test failed (p = {self.p_value:.2g}): {ahead} still predict conversions on "
                "it, which they cannot cause. The credit is biased."
            )
        return (
            f"Lead test passed (p = {self.p_value:.2g}): {ahead} do not visibly predict "
            "conversions on it. The test cannot see causes that raise intent and later exposure "
            "only."
        )

    @property
    def high(self) -> Mask:
        """Channels with |z| above 3, shape `(n_channels,)`."""
        high: Mask = np.abs(self.z) > NAMED_Z
        return high


def run_lead_test(design: Design, rate: RelativeRate, days: int = 7) -> LeadTest:
    """A score test of touchpoints ahead, F_c = those in (t, t + days], added to the fitted rate.

        U_c = Σ_i w_i [ F_ic(T) / r_i(T) − Σ_s W F_ic(s) / Σ_s W r_i(s) ],    r = m + β·a

    Touchpoints are counted when they were met, also where their effects begin later (`lag`). The
    score is projected off the scores of what was fitted (effects, moving intent, weeks), so that
    what these could explain does not count; variance by outer products.

    Args:
        design: the conversions.
        rate: fitted to them.
        days: how many days ahead to count touchpoints.
    """
    from scipy.special import chdtrc  # scipy.stats takes seconds to import

    case, control = _rates(design, rate)

    def scores(at_case: Floats, over_days: Floats) -> Floats:
        each = at_case / case[:, None] - over_days / control[:, None]
        return design.by_conversion(each)

    ahead = scores(
        design.per_row(lambda block: block.as_met.soon(days)),
        design.per_row(lambda b: b.as_met.exposure_soon(rate.weights(design, b), days)),
    )
    terms = channel_terms(design, rate)
    fitted = [scores(terms.carried, terms.exposure), _weeks(design, rate)]
    if rate.moves:
        fitted.append(scores(*intent_terms(design, rate)))
    if any(block.apart is not None for block in design.blocks):
        fitted.append(scores(*_waiting(design, rate)))
    root = np.sqrt(design.by_conversion(design.weight) * design.copies)[:, None]
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
    """Least-squares coefficients by the (small) normal matrix, whether or not of full rank."""
    normal = explained.T @ explained
    solved: Floats = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ (explained.T @ left)
    return solved


def _waiting(design: Design, rate: RelativeRate) -> tuple[Floats, Floats]:
    """Touchpoints met whose effect has not begun: at the case, and summed over control days.

    Both of shape `(n_rows, n_channels)`. The fit has no effect of them, so whatever they have to do
    with conversions would look like a lack or an excess of touchpoints after other days.
    """
    ever = np.full(design.n_channels, np.inf)

    def of_block(block: ControlDays) -> Floats:
        weights, met = rate.weights(design, block), block.as_met
        carried = met.carried(ever) - block.carried(ever)
        return np.hstack([carried, met.exposure(weights, ever) - block.exposure(weights, ever)])

    columns = design.per_row(of_block)
    return columns[:, : design.n_channels], columns[:, design.n_channels :]


def _rates(design: Design, rate: RelativeRate) -> tuple[Floats, Floats]:
    """R at the case and Σ W r over its control days, each of shape `(n_rows,)`."""
    pairs = []
    for block in design.blocks:
        each = rate.rate(block)
        pairs.append((each[block.at_case], (each * rate.weights(design, block)).sum(axis=0)))
    case, control = (np.concatenate(each) for each in zip(*pairs, strict=True))
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

    return design.by_conversion(design.per_row(of_block))
