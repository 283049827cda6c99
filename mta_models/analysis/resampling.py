"""Bootstrap: the sampling error of any model's credit, by resampling users.

Journeys are not rebuilt for a draw. Users with the same journeys and outcomes form a cell. A draw
is the number of picks from each cell, and the model is refitted to the outcomes of these picks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mta_models.attribution import SAMPLING_ONLY, Attribution, check_adds_up
from mta_models.core.checks import check_seed, check_whole_number
from mta_models.core.ragged import Floats, Ints, Numbers, first_occurrence, group_equal, keep, owner
from mta_models.core.threads import one_blas_thread
from mta_models.data.journeys import Journeys
from mta_models.errors import (
    InvariantError,
    JourneyError,
    MTAWarning,
    ParameterError,
    collected_warnings,
    warn,
    warnings_of,
)
from mta_models.models.base import AttributionModel, clone
from mta_models.models.names import as_model

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Finish = Callable[[Floats], tuple[Floats, float]]

# Picks held at once while drawing, 16 MB.
_AT_ONCE = 1 << 21
# A cell with more users is large: a multinomial count costs as much as about this number of picks.
_LARGE = 8
_TOLERANCE = 1e-8
MAX_DRAWS = 1_000_000


def bootstrap(
    model: AttributionModel | type[AttributionModel] | str,
    journeys: Journeys,
    *,
    n_draws: int = 200,
    random_state: int | np.random.Generator | None = None,
    of: str = "conversions",
) -> Attribution:
    """The attribution of `model`, with draws of credit and baseline from resampled users.

    Each draw picks as many users as the journeys have, with replacement, and fits the model again.
    If the journeys have `users` (event logs), a user's journeys are picked together; else every row
    stands for `conversions + nulls` users, who are picked one by one. A draw without a conversion
    has credits and baseline of 0. It is kept, because leaving it out would narrow the interval.

    Intervals cover sampling error only: how much the result depends on which users were observed.
    They do not cover bias: if the assumptions of a model fail, its intervals miss the truth even
    with many users. Estimand and assumptions are those of the model; users are taken to be
    independent of each other.

    Source: Efron 1979, Annals of Statistics 7(1):1–26; drawing whole users is the cluster
    bootstrap of Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.

    Args:
        model: any model, its class or its name; fitted or not, it is not changed.
        journeys: the journeys of the users to resample. Without `users`, counts must be whole.
        n_draws: number of draws, >= 1; 200 or more for a 95% interval.
        random_state: seed or `numpy.random.Generator`.
        of: `"conversions"`, or `"value"` for revenue.

    Returns:
        The point estimate on the journeys themselves, with `draws` of shape
        `(n_draws, n_channels)` and `baseline_draws` of shape `(n_draws,)`; a draw sums to its own
        total. A model's own posterior draws are replaced.

    Raises:
        ParameterError: `model` is none, `n_draws` is not a whole number from 1 to 1,000,000, or
            `random_state` is no seed.
        JourneyError: a count is not whole and the journeys have no users; or as `model.fit`.

    Example:
        >>> from mta_models import Journeys, LastTouch, bootstrap
        >>> paths = [["Search", "Email"], ["Search"], []]
        >>> journeys = Journeys.from_paths(paths, conversions=[40, 20, 5], nulls=[100, 300, 900])
        >>> bootstrap(LastTouch(), journeys, random_state=0).to_frame().round(1)
              channel  credit  share  lower  upper
        0       Email    40.0    0.7   27.0   52.0
        1      Search    20.0    0.3   11.0   28.0
        2  (baseline)     5.0    NaN    1.0   10.0
    """
    check_whole_number(n_draws, "n_draws", 1, MAX_DRAWS)
    check_seed(random_state)
    fitted = clone(as_model(model))
    with warnings_of(type(fitted).__name__), one_blas_thread("scipy.linalg"):
        with collected_warnings() as notices:
            point = fitted.fit_attribute(journeys, of=of)
        for each in notices:
            warn(each.message, each.category)
        seen = {each.category for each in notices}
        plan = _plan(fitted, journeys, of)
        rng = np.random.default_rng(random_state)
        draws, baselines = _draws(plan, _drawer(plan.size, rng), int(n_draws), seen)
    return replace(
        point,
        draws=draws,
        baseline_draws=baselines,
        interval_holds=SAMPLING_ONLY,
        sampling_draws=None,
        sampling_baseline_draws=None,
    )


def _draws(
    plan: _Plan, draw: Callable[[int], Floats], n_draws: int, seen: set[type[MTAWarning]]
) -> tuple[Floats, Floats]:
    """All draws. A category of warning that the point estimate did not have is issued once."""
    credits_, baselines = [], np.empty(n_draws)
    first: dict[type[MTAWarning], str] = {}
    count: Counter[type[MTAWarning]] = Counter()
    step = max(1, _AT_ONCE // max(len(plan.size), 1))
    for i in range(n_draws):
        if i % step == 0:
            picked = draw(min(step, n_draws - i))
        try:
            with collected_warnings() as notices:
                credit, baselines[i] = plan.answer(picked[i % step])
        except (JourneyError, ParameterError) as error:
            raise JourneyError(
                f"every draw must be one the model can be fitted on; draw {i} is not: {error}. "
                "There may be too few users for a bootstrap of this model"
            ) from error
        credits_.append(credit)
        count.update({each.category for each in notices} - seen)
        first = {each.category: each.message for each in reversed(notices)} | first
    for category, n in count.items():
        warn(f"in {n} of {n_draws} draws: {first[category]}", category)
    return np.array(credits_), baselines


# Users, cells and draws.


@dataclass(frozen=True)
class _Plan:
    """The cells that users are drawn from, and the computation from a draw to its credit.

    Attributes:
        size: shape `(n_cells,)`, users of each cell.
        cell: shape `(n_units,)`, the cell of each unit. A unit is a user, or without users the
            conversions or the nulls of a row; units without any are left out.
        to_amounts: shape `(n_amounts, n_cells)`, what one pick from a cell adds to the amounts that
            `finish` takes.
        finish: computes credit and baseline from a draw's amounts, shape `(n_amounts,)`.
    """

    size: Ints
    cell: Ints
    to_amounts: csr_array[Any]
    finish: Finish

    def answer(self, picked: Floats) -> tuple[Floats, float]:
        """Credit and baseline, given how often each cell was picked, shape `(n_cells,)`."""
        return self.finish(self.to_amounts @ picked)


def _plan(model: AttributionModel, journeys: Journeys, of: str) -> _Plan:
    """The plan for a fitted model."""
    if model.resampling == "linear":
        return _split_plan(model, journeys, of)
    group, paths = np.arange(journeys.n_journeys), journeys
    if model.resampling in ("paths", "sets"):
        paths = _as_sets(journeys) if model.resampling == "sets" else journeys
        group, leader = group_equal(paths.codes, paths.offsets)
        paths = paths.merge(group, leader)
    units, size = _units(journeys, of, group, paths.n_journeys)
    cell, units = _merge_equal(units)
    refit, name = model.prepare(paths, of), f"a draw of {model!r}"

    def finish(amounts: Floats) -> tuple[Floats, float]:
        conversions, nulls, value = amounts.reshape(3, -1)
        outcome = value if of == "value" else conversions
        if not outcome.any():
            return np.zeros(paths.n_channels), 0.0
        given = value if of == "value" else None
        credit, baseline = refit(paths.reweighted(conversions, nulls, given))
        check_adds_up(credit, baseline, float(outcome.sum()), name)
        return credit, baseline

    return _Plan(np.bincount(cell, size).astype(np.int64), cell, units.T.tocsr(), finish)


def _split_plan(model: AttributionModel, journeys: Journeys, of: str) -> _Plan:
    """The plan for a model that splits each row by itself, so credit is linear in the picks."""
    from scipy import sparse

    n, k = journeys.n_journeys, journeys.n_channels
    one = np.ones(n)
    split = model._touchpoint_credit(journeys.reweighted(one, np.zeros(n), one), of)
    by_channel = sparse.csr_array((split, journeys.codes, journeys.offsets), shape=(n, k))
    rest = 1 - by_channel.sum(axis=1)
    # A smaller rest is rounding, not a baseline.
    rest[np.abs(rest) < _TOLERANCE] = 0
    parts = sparse.hstack([by_channel, sparse.csr_array(rest[:, None])], format="csr")
    units, size = _units(journeys, of, np.arange(n), n)
    start = 2 * n if of == "value" else 0
    cell, per_cell = _merge_equal(units[:, start : start + n] @ parts)
    # The amounts of a draw are its credits, with the baseline last.
    return _Plan(
        np.bincount(cell, size).astype(np.int64),
        cell,
        per_cell.T.tocsr(),
        lambda credits_: (credits_[:-1], float(credits_[-1])),
    )


def _units(journeys: Journeys, of: str, group: Ints, n_groups: int) -> tuple[csr_array[Any], Ints]:
    """The amounts that a pick of each unit adds: conversions, nulls and value, by group of rows.

    Returns a matrix of shape `(n_units, 3 n_groups)` and the number of users that each unit stands
    for, shape `(n_units,)`. The value columns stay empty for `of="conversions"`, where they are not
    used.
    """
    from scipy import sparse

    conversions, nulls = (
        each.astype(np.float64) for each in (journeys.conversions, journeys.nulls)
    )
    value = journeys.outcome(of) if of == "value" else np.zeros(journeys.n_journeys)
    rows = [np.flatnonzero(each) for each in (conversions, nulls, value)]
    if journeys.users is not None:
        _, user = np.unique(journeys.users, return_inverse=True)
        unit = [user[each] for each in rows]
        amount = [conversions[rows[0]], nulls[rows[1]], value[rows[2]]]
        size = np.ones(int(user.max(initial=-1)) + 1, dtype=np.int64)
    else:
        _check_whole(conversions, "conversions")
        _check_whole(nulls, "nulls")
        of_row = np.full(journeys.n_journeys, -1)
        of_row[rows[0]] = np.arange(len(rows[0]))
        unit = [of_row[rows[0]], len(rows[0]) + np.arange(len(rows[1])), of_row[rows[2]]]
        amount = [*(np.ones(len(each)) for each in rows[:2]), value[rows[2]]]
        amount[2] = amount[2] / conversions[rows[2]]
        size = np.concatenate([conversions[rows[0]], nulls[rows[1]]]).astype(np.int64)
    column = np.concatenate([i * n_groups + group[each] for i, each in enumerate(rows)])
    entries = (np.concatenate(amount), (np.concatenate(unit), column))
    return sparse.csr_array(entries, shape=(len(size), 3 * n_groups)), size


def _as_sets(journeys: Journeys) -> Journeys:
    """The same rows with each channel once, in the channels' order, and their outcomes only."""
    k = journeys.n_channels
    once = first_occurrence(journeys.codes, journeys.offsets, k)
    cells = np.sort(owner(journeys.offsets)[once] * k + journeys.codes[once])
    return Journeys(
        channels=journeys.channels,
        codes=cells % max(k, 1),
        offsets=keep(once, journeys.offsets),
        conversions=journeys.conversions,
        nulls=journeys.nulls,
        value=journeys.value,
    )


def _check_whole(counts: Floats, name: str) -> None:
    wrong = np.flatnonzero(counts != np.floor(counts))
    if len(wrong):
        raise JourneyError(
            f"a bootstrap draws whole users, so `{name}` must be whole numbers where journeys have "
            f"no users; row {wrong[0]} has {counts[wrong[0]]:g}. Give counts of users"
        )


def _merge_equal(matrix: csr_array[Any]) -> tuple[Ints, csr_array[Any]]:
    """Merge equal rows: the cell of each row, shape `(n_rows,)`, and the matrix of the cells.

    Rows are hashed by a random linear form, and equal hashes are compared; after a collision they
    are hashed again. Equal rows that differ by rounding are not merged, which costs time only.
    """
    for seed in range(16):
        form = np.random.default_rng(seed).standard_normal(matrix.shape[1])
        _, leader, cell = np.unique(matrix @ form, return_index=True, return_inverse=True)
        cells = matrix[leader]
        if np.abs((matrix - cells[cell]).data).max(initial=0.0) <= _TOLERANCE:
            return cell.reshape(-1), cells
    raise InvariantError("sixteen independent hashes collided: report these journeys to us")


def _drawer(size: Ints, rng: np.random.Generator) -> Callable[[int], Floats]:
    """A function of n that draws `size.sum()` users with replacement n times.

    It returns the number of picks from each cell, shape `(n, n_cells)`. Each large cell has a
    multinomial count. All small cells together have one, and their users are then picked one by
    one. The distribution is that of n draws from all users, at a lower cost.
    """
    total = int(size.sum())
    large, small = np.flatnonzero(size > _LARGE), np.flatnonzero(size <= _LARGE)
    n_small = int(size[small].sum())
    chance = np.append(size[large], n_small) / max(total, 1)
    starts = np.cumsum(size[small]) - size[small]

    def draw(n: int) -> Floats:
        picked: Numbers = np.zeros((n, len(size)))
        counts = rng.multinomial(total, chance, size=n)
        picked[:, large] = counts[:, :-1]
        if not n_small:
            return picked
        for row, rest in zip(picked, counts[:, -1], strict=True):
            each = np.bincount(rng.integers(0, n_small, rest), minlength=n_small)
            row[small] = each if n_small == len(small) else np.add.reduceat(each, starts)
        return picked

    return draw
