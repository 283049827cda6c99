"""Times that integrals over spans of time are evaluated at."""

from __future__ import annotations

import numpy as np

from mta_models.core.quadrature import points_within


def test_pieces_cover_their_spans() -> None:
    start, end = np.array([0.0, 5.0, 3.0]), np.array([10.0, 6.0, 3.0])
    middles, days = points_within(start, end, 4)
    np.testing.assert_allclose(middles[0], [1.25, 3.75, 6.25, 8.75])
    np.testing.assert_allclose(days, [2.5, 0.25, 0])
    drawn, _ = points_within(start, end, 4, np.random.default_rng(0))
    assert (np.abs(drawn - middles) <= days[:, None] / 2).all()
