"""The conditional likelihood of when a user converted, and its maximum.

For conversion i, with x the exposure at the conversion, S the sum of the same over the case and all
control days, and o and n the parts of the rate that do not depend on b,

    log L = Σ_i w_i [ log(o_i + x_i·b) − log(n_i + S_i·b) ],    b ≥ 0.

A user's frailty is a factor of both rates and cancels. The first term is concave in b and the
second convex, so the sum is neither. It is maximised by Newton steps, on the coordinates that are
not at the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mta_models.core.ragged import Floats, Ints

_STEPS = 60
_TOLERANCE = 1e-9  # on the log-likelihood, per unit of weight


@dataclass(frozen=True, eq=False)
class Terms:
    """The data of the conditional likelihood, one row per conversion.

    Attributes:
        carried: x, shape `(n_rows, k)`.
        exposure: S, shape `(n_rows, k)`.
        case: o, shape `(n_rows,)`, > 0.
        control: n, shape `(n_rows,)`, > 0.
        weight: w, shape `(n_rows,)`, >= 0.
    """

    carried: Floats
    exposure: Floats
    case: Floats
    control: Floats
    weight: Floats

    def value(self, b: Floats) -> float:
        """Log L."""
        return float(self.weight @ self.values(b))

    def values(self, b: Floats) -> Floats:
        """Each row's own log L, shape `(n_rows,)`, unweighted."""
        case, control = self.case + self.carried @ b, self.control + self.exposure @ b
        each: Floats = np.log(case) - np.log(control)
        return each

    def scores(self, b: Floats) -> Floats:
        """The gradient of each row's own log L, shape `(n_rows, k)`, unweighted."""
        case, control = self.case + self.carried @ b, self.control + self.exposure @ b
        return self.carried / case[:, None] - self.exposure / control[:, None]

    def slopes(self, b: Floats) -> tuple[Floats, Floats]:
        """Gradient, shape `(k,)`, and Hessian, `(k, k)`, of log L."""
        x = self.carried / (self.case + self.carried @ b)[:, None]
        s = self.exposure / (self.control + self.exposure @ b)[:, None]
        gradient = self.weight @ (x - s)
        hessian = (s * self.weight[:, None]).T @ s - (x * self.weight[:, None]).T @ x
        return gradient, hessian

    def columns(self, chosen: Ints) -> Terms:
        """The same rows with some of the columns."""
        return replace(self, carried=self.carried[:, chosen], exposure=self.exposure[:, chosen])

    def rows(self, chosen: slice | Ints) -> Terms:
        """Some of the rows."""
        return Terms(
            self.carried[chosen],
            self.exposure[chosen],
            self.case[chosen],
            self.control[chosen],
            self.weight[chosen],
        )


def maximise_conditional(terms: Terms, start: Floats | None = None) -> tuple[Floats, float]:
    """The b ≥ 0 of maximum log L, and the maximum.

    Args:
        terms: columns without any exposure get b = 0.
        start: shape `(k,)`; None: the same small effect for every column.
    """
    scale = (terms.weight / terms.control) @ terms.exposure / max(terms.weight.sum(), 1e-300)
    used = scale > 0
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=used)
    scaled = Terms(
        terms.carried * inverse, terms.exposure * inverse, terms.case, terms.control, terms.weight
    )
    b = np.where(used, 0.1, 0.0) if start is None else np.where(used, start * scale, 0.0)
    value = scaled.value(b)
    tolerance = _TOLERANCE * float(terms.weight.sum())
    for _ in range(_STEPS):
        gradient, hessian = scaled.slopes(b)
        free = used & ((b > 0) | (gradient > 0))
        if not free.any():
            break
        step = np.zeros_like(b)
        step[free] = _uphill(gradient[free], -hessian[np.ix_(free, free)])
        before = value
        b, value = _line_search(scaled, b, step, before)
        if value - before <= tolerance:
            break
    return b * inverse, value


def _uphill(gradient: Floats, curvature: Floats) -> Floats:
    """The Newton step, with the absolute values of negative curvatures in their place."""
    values, vectors = np.linalg.eigh(curvature)
    smallest = max(1e-8 * float(np.abs(values).max()), 1e-12)
    positive = np.maximum(np.abs(values), smallest)
    step: Floats = vectors @ ((vectors.T @ gradient) / positive)
    return step


def _line_search(terms: Terms, b: Floats, step: Floats, value: float) -> tuple[Floats, float]:
    """The longest of halved steps, kept at b ≥ 0, that does not lose; b itself if none is."""
    length = 1.0
    for _ in range(30):
        new = np.maximum(b + length * step, 0)
        reached = terms.value(new)
        if reached >= value:
            return new, reached
        length /= 2
    return b, value
