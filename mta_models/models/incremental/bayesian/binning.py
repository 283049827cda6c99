"""Binning of similar rows into fewer, weighted ones, for what is computed many times."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers


def bin_rows(features: Numbers, max_bins: int) -> Ints:
    """Bins of rows near each other, at most `max_bins` of them and of nearly equal size.

    All bins are halved at once, each at the median of the feature with the largest variance in
    it, as in a k-d tree, as long as `max_bins` allows. Equal rows may end in different bins.

    Args:
        features: shape `(n_rows, n_features)`, on scales on which distances are comparable.
        max_bins: at least 1.

    Returns:
        The bin of each row, shape `(n_rows,)`, from 0; with at most `max_bins` rows each has its
        own.

    Example:
        >>> bin_rows(np.array([[0.0], [9.0], [0.1], [9.1]]), 2)
        array([0, 1, 0, 1])
    """
    n = len(features)
    if n <= max_bins:
        return np.arange(n)
    group = np.zeros(n, dtype=np.int64)
    if features.shape[1] == 0:
        return group
    # Rows in order of their bin, so that a bin is a run.
    order, cuts = np.arange(n), np.array([0, n])
    while 2 * (len(cuts) - 1) <= max_bins:
        sizes = np.diff(cuts)
        widest = _widest(features, order, cuts)
        key = features[order, np.repeat(widest, sizes)]
        order = order[np.lexsort((key, group[order]))]
        middle = (cuts[:-1] + cuts[1:]) // 2
        cuts = np.unique(np.concatenate([cuts, middle]))
        group[order] = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    return group


def bin_means(group: Ints, weight: Floats, rows: Floats) -> Floats:
    """The weighted mean of rows, shape `(n_rows, ...)`, in each bin, shape `(n_bins, ...)`.

    A bin without weight has the mean 0.
    """
    n_groups = int(group.max(initial=-1)) + 1
    mass = np.bincount(group, weight, n_groups)
    flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    sums = np.empty((n_groups, flat.shape[1]))
    for place, column in enumerate(flat.T):
        sums[:, place] = np.bincount(group, weight * column, n_groups)
    averages = np.divide(sums, mass[:, None], out=np.zeros_like(sums), where=mass[:, None] > 0)
    return averages.reshape(n_groups, *rows.shape[1:])


def _widest(features: Numbers, order: Ints, cuts: Ints) -> Ints:
    """The feature with the largest variance in each run of rows, shape `(n_runs,)`."""
    starts, sizes = cuts[:-1], np.diff(cuts)
    spread = np.empty((features.shape[1], len(starts)))
    for place, column in enumerate(features.T):
        run = column[order].astype(np.float64)
        mean = np.add.reduceat(run, starts) / sizes
        spread[place] = np.add.reduceat((run - np.repeat(mean, sizes)) ** 2, starts)
    widest: Ints = np.argmax(spread, axis=0)
    return widest
