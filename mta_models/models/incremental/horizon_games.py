"""Conversions within a horizon as a game of channels: exact Shapley values by quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints, lengths, owner, segment_sum, spread
from mta_models.errors import JourneyError

# Cells (user-channel pairs) computed together.
_AT_ONCE = 1 << 18


@dataclass(frozen=True, eq=False)
class HorizonGame:
    """The game of channels whose value is the conversions expected over a horizon, solved.

    Attributes:
        shapley: shape `(n_channels,)`; sums to `everyone - nobody`.
        removal: shape `(n_channels,)`, conversions lost without each channel alone.
        nobody: conversions expected without any touchpoint, v(∅).
        everyone: conversions expected with all touchpoints.
    """

    shapley: Floats
    removal: Floats
    nobody: float
    everyone: float

    def scaled(self, total: float) -> tuple[Floats, float]:
        """Shapley values and v(∅), scaled to add up to `total` conversions."""
        if not self.everyone > 0:
            return np.zeros_like(self.shapley), total
        baseline = self.nobody * (total / self.everyone)
        return self.shapley * (total / self.everyone), baseline


def scaled_to(total: float, credit: Floats, baseline: float) -> tuple[Floats, float]:
    """Credit and baseline in proportion, adding up to `total`; zeros where the total is 0.

    Raises:
        JourneyError: they add up to 0 and the total is not 0, as values of both signs can.
    """
    whole = float(credit.sum()) + baseline
    if total and not whole:
        raise JourneyError(
            f"credit and baseline must not sum to 0 where the total is {total:g}; positive and "
            "negative values cancel here. Attribute positive and negative values separately"
        )
    scale = total / whole if total else 0.0
    return credit * scale, baseline * scale


def first_conversions(
    cells: tuple[Ints, Ints], amounts: Floats, baseline: Floats, weight: Floats, n_channels: int
) -> HorizonGame:
    """Users who convert at least once: v(S) = Σ_u w_u (1 − exp(−μ_u − Σ_{c ∈ S} amount_uc)).

    Integrated hazards add up, so a user's survival is a product over channels. The multilinear
    extension of the game (Owen 1972, Management Science 18(5):64–79) is then a product too, and

        φ_c = e^(−μ) (1 − e^(−x_c)) ∫₀¹ Π_{j≠c} (1 − q + q e^(−x_j)) dq,

    a polynomial of degree d − 1 in q for a user with d channels: Gauss–Legendre nodes, half as
    many as channels, integrate it exactly, without enumerating or sampling coalitions.

    Args:
        cells: offsets by user, shape `(n_users + 1,)`, and channel codes of each user's channels.
        amounts: shape `(n_cells,)`, what each channel adds to its user's integrated hazard; may
            be negative.
        baseline: μ, shape `(n_users,)`, the integrated hazard without any channel.
        weight: shape `(n_users,)`.
        n_channels: of the result.

    Example:
        Two channels, each of which converts a user who has not converted with probability 1/2:

        >>> x = np.log([2.0, 2.0])
        >>> cells = np.array([0, 2]), np.array([0, 1])
        >>> first_conversions(cells, x, np.zeros(1), np.ones(1), 2).shapley
        array([0.375, 0.375])
    """
    offsets, codes = cells
    alive = weight * np.exp(-baseline)
    shapley, removal = np.zeros(n_channels), np.zeros(n_channels)
    everyone = float(weight.sum() - alive.sum())
    nobody = everyone
    counts = lengths(offsets)
    step = max(1, int(_AT_ONCE * len(counts) / max(len(codes), 1)))
    for start in range(0, len(counts), step):
        users = slice(start, start + step)
        cuts = offsets[start : start + step + 1]
        part = slice(int(cuts[0]), int(cuts[-1]))
        here, x, code = cuts - cuts[0], amounts[part], codes[part]
        mass = spread(alive[users], here)
        survives = np.exp(-x)
        # Without channel c the others' survival is e^(c's amount) times that of all.
        kept = np.exp(-spread(segment_sum(x, here), here))
        removal += np.bincount(code, mass * kept * np.expm1(x), n_channels)
        everyone += float(alive[users] @ -np.expm1(-segment_sum(x, here)))
        mean = _mean_of_products(1 - survives, here)
        shapley += np.bincount(code, mass * (1 - survives) * mean, n_channels)
    return HorizonGame(shapley, removal, nobody, everyone)


def repeat_conversions(
    cells: tuple[Ints, Ints], amounts: Floats, baseline: Floats, weight: Floats, n_channels: int
) -> HorizonGame:
    """Conversions of users who convert again: v(S) = Σ_u w_u (μ_u + Σ_{c ∈ S} amount_uc).

    The game is additive, so removal equals Shapley. Arguments are those of `first_conversions`.
    """
    offsets, codes = cells
    each = np.bincount(codes, amounts * spread(weight, offsets), n_channels).astype(np.float64)
    nobody = float(weight @ baseline)
    return HorizonGame(each, each.copy(), nobody, nobody + float(each.sum()))


def _mean_of_products(part: Floats, offsets: Ints) -> Floats:
    """∫₀¹ Π_{j≠c} (1 − q part_j) dq for each item c of each segment, shape `(n_items,)`."""
    largest = int(lengths(offsets).max(initial=1))
    nodes, weights = np.polynomial.legendre.leggauss((largest + 1) // 2)
    means, segment = np.zeros(len(part)), owner(offsets)
    for node, share in zip((nodes + 1) / 2, weights / 2, strict=True):
        # 1 − q part > 0 for every q < 1, so the product over the others is a quotient.
        factor = 1 - node * part
        product = np.ones(len(offsets) - 1)
        filled = np.flatnonzero(np.diff(offsets))
        product[filled] = np.multiply.reduceat(factor, offsets[:-1][filled])
        means += share * product[segment] / factor
    return means
