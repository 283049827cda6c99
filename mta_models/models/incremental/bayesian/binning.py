"""Rows that are nearly alike, taken together: fewer, weighted rows for what is done many times."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Ints, Numbers


def bins(features: Numbers, most: int) -> Ints:
    """Groups of rows near each other, at most `most` of them and of nearly equal size.

    All groups are halved at once, each at the median of the feature in which it is widest, as in
    a k-d tree, for as long as there are no more than `most`. Rows that are equal may part.

    Args:
        features: shape `(n_rows, n_features)`, on a scale on which distances matter alike.
        most: groups, at least 1.

    Returns:
        The group of each row, shape `(n_rows,)`, from 0; every row its own where they are few.

    Example:
        >>> bins(np.array([[0.0], [9.0], [0.1], [9.1]]), 2)
        array([0, 1, 0, 1])
    """
    n = len(features)
    if n <= most:
        return np.arange(n)
    group = np.zeros(n, dtype=np.int64)
    if features.shape[1] == 0:
        return group
    # Rows in order of their group, so that a group is a run.
    order, cuts = np.arange(n), np.array([0, n])
    while 2 * (len(cuts) - 1) <= most:
        sizes = np.diff(cuts)
        widest = _widest(features, order, cuts)
        key = features[order, np.repeat(widest, sizes)]
        order = order[np.lexsort((key, group[order]))]
        middle = (cuts[:-1] + cuts[1:]) // 2
        cuts = np.unique(np.concatenate([cuts, middle]))
        group[order] = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
    return group


def means(group: Ints, weight: Floats, rows: Floats) -> Floats:
    """The weighted mean of rows, shape `(n_rows, ...)`, in each group, shape `(n_groups, ...)`.

    A group without weight has the mean 0.
    """
    n_groups = int(group.max(initial=-1)) + 1
    mass = np.bincount(group, weight, n_groups)
    flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    sums = np.empty((n_groups, flat.shape[1]))
    for place, column in enumerate(flat.T):
        sums[:, place] = np.bincount(group, weight * column, n_groups)
    found = np.divide(sums, mass[:, None], out=np.zeros_like(sums), where=mass[:, None] > 0)
    return found.reshape(n_groups, *rows.shape[1:])


def _widest(features: Numbers, order: Ints, cuts: Ints) -> Ints:
    """For each run of rows the feature that varies most in it, shape `(n_runs,)`."""
    starts, sizes = cuts[:-1], np.diff(cuts)
    spread = np.empty((features.shape[1], len(starts)))
    for place, column in enumerate(features.T):
        run = column[order].astype(np.float64)
        mean = np.add.reduceat(run, starts) / sizes
        spread[place] = np.add.reduceat((run - np.repeat(mean, sizes)) ** 2, starts)
    widest: Ints = np.argmax(spread, axis=0)
    return widest
