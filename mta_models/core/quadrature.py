"""Times at which to evaluate an integrand over spans of time."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats


def points_within(
    start: Floats, end: Floats, n_pieces: int, rng: np.random.Generator | None = None
) -> tuple[Floats, Floats]:
    """One time in each of `n_pieces` equal pieces of each span.

    Args:
        start: shape `(n,)`, days.
        end: shape `(n,)`; a span that ends before it starts is empty.
        n_pieces: pieces of each span.
        rng: draws the times, which makes a sum over them unbiased; None: the middles.

    Returns:
        Times, shape `(n, n_pieces)`, and the days each stands for, shape `(n,)`.

    Example:
        >>> points_within(np.array([0.0]), np.array([4.0]), 2)
        (array([[1., 3.]]), array([2.]))
    """
    days = np.maximum(end - start, 0) / n_pieces
    inside = 0.5 if rng is None else rng.random((len(start), n_pieces))
    return start[:, None] + (np.arange(n_pieces) + inside) * days[:, None], days
