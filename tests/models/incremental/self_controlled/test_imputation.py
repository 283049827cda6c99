"""Imputed exposure, and fits to several imputations at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mta_models as mta
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.after_purchase import Calendar
from mta_models.models.incremental.self_controlled.credit import conversion_parts, horizon_game
from mta_models.models.incremental.self_controlled.imputed_exposure import (
    Stops,
    find_stops,
    impute_exposure,
)
from mta_models.models.incremental.self_controlled.leads import run_lead_test
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    constant_rate,
    fit_effects,
)
from tests.models.incremental.self_controlled.test_parts import design_of, histories


def stops(h: Histories, days: list[float], near: float = 0.0) -> Stops:
    """Channels that stop for some days, under a constant calendar."""
    k = h.n_channels
    return Stops(np.array(days), np.full(k, np.nan), Calendar(np.ones((20, k))), near)


@pytest.mark.parametrize("lag", [0.0, 0.5])
@pytest.mark.parametrize("repeat", [False, True])
def test_only_what_stopped_is_imputed(lag: float, repeat: bool) -> None:
    h = histories(7, n=200, repeat=repeat)
    h = h.lagged(lag) if lag else h
    full = impute_exposure(h, stops(h, [4.0, 0.0, np.inf]))
    for u in range(h.n_users):
        when = h.event_time[h.event_user == u]
        mine, new = (
            [(c, t) for c, t, o in zip(x.codes, x.met_at, x.owner, strict=True) if o == u]
            for x in (h, full)
        )
        lost = [
            (c, t)
            for c, t in mine
            if (when < t).any() and t - when[when < t].max() <= [4.0, 0.0, np.inf][c]
        ]
        assert set(mine) - set(new) == set(lost)
        for c, t in set(new) - set(mine):
            assert when[0] <= t <= h.end[u]
            assert c == 2 or (c == 0 and t - when[when <= t].max() <= 4)
    np.testing.assert_allclose(full.time - full.met_at, lag, atol=1e-12)
    assert (np.diff(full.time) >= 0)[full.owner[1:] == full.owner[:-1]].all()
    np.testing.assert_array_equal(full.event_stop, full.seen_by(full.event_user, full.event_time))


def test_imputed_exposure_does_not_depend_on_the_order_of_users_and_channels() -> None:
    h = histories(8, n=100, repeat=False)
    order = np.argsort(np.random.default_rng(0).random(h.n_users))
    touched = np.concatenate([np.arange(h.offsets[u], h.offsets[u + 1]) for u in order])
    other = replace(
        h,
        offsets=np.concatenate(([0], np.cumsum(np.diff(h.offsets)[order]))),
        time=h.time[touched],
        codes=(h.codes[touched] + 1) % 3,
        start=h.start[order],
        end=h.end[order],
        event_time=h.event_time[order],
        event_stop=np.zeros(h.n_events, dtype=np.int64),
    )
    other = replace(other, event_stop=other.seen_by(other.event_user, other.event_time))
    one = impute_exposure(h, stops(h, [np.inf, 0.0, 9.0]))
    two = impute_exposure(other, stops(h, [9.0, np.inf, 0.0]))
    back = np.argsort(order)
    assert len(one.time) == len(two.time)
    for u in range(h.n_users):
        a, b = slice(*one.offsets[u : u + 2]), slice(*two.offsets[back[u] : back[u] + 2])
        np.testing.assert_allclose(one.time[a], two.time[b])
        np.testing.assert_array_equal((one.codes[a] + 1) % 3, two.codes[b])
    again = impute_exposure(h, stops(h, [np.inf, 0.0, 9.0]), draw=1)
    assert len(again.time) != len(one.time) or (again.time != one.time).any()


def test_stacked_designs_weigh_their_fraction() -> None:
    """Twice the same: the likelihood and the parts of one."""
    one = design_of(histories(3, n=40), 1)
    two = Design.stacked([one, one])
    rate, value = fit_effects(one, constant_rate(one, 2))
    again, same = fit_effects(two, constant_rate(two, 2))
    assert same == pytest.approx(value)
    np.testing.assert_allclose(again.effect, rate.effect)
    np.testing.assert_allclose(conversion_parts(two, rate), conversion_parts(one, rate))
    np.testing.assert_allclose(
        horizon_game(two, rate, False).shapley, horizon_game(one, rate, False).shapley
    )
    tests = run_lead_test(one, rate), run_lead_test(two, rate)
    np.testing.assert_allclose(tests[0].z, tests[1].z)
    second = two.copy(1, one.weight)
    np.testing.assert_allclose(conversion_parts(second, rate), conversion_parts(one, rate))


def test_imputed_exposure_goes_on_as_before() -> None:
    rng = np.random.default_rng(2)
    n, rate = 3_000, np.array([0.1, 0.4])
    own = rate * rng.gamma(2, 1 / 2, (n, 1))
    when = rng.uniform(5, 55, n)
    count = rng.poisson(own * when[:, None])
    user = np.repeat(np.arange(2 * n) // 2, count.ravel())
    code = np.repeat(np.arange(2 * n) % 2, count.ravel())
    time = when[user] * rng.random(len(user))
    order = np.lexsort((time, user))
    offsets = np.concatenate(([0], np.cumsum(count.sum(axis=1))))
    h = Histories(
        channels=("A", "B"),
        offsets=offsets,
        time=time[order],
        codes=code[order],
        start=np.zeros(n),
        end=np.full(n, 60.0),
        weight=np.ones(n),
        event_user=np.arange(n),
        event_time=when,
        event_weight=np.ones(n),
        event_row=np.arange(n),
        event_stop=offsets[1:],
        user_row=np.arange(n),
    )
    full = impute_exposure(h, stops(h, [np.inf, np.inf]))
    assert (np.diff(full.time) >= 0)[full.owner[1:] == full.owner[:-1]].all()
    for u in range(50):
        before = slice(full.offsets[u], full.event_stop[u])
        np.testing.assert_array_equal(full.time[before], h.time[h.offsets[u] : h.offsets[u + 1]])
        assert (full.time[full.event_stop[u] : full.offsets[u + 1]] >= when[u]).all()
    late = np.arange(len(full.time)) >= full.event_stop[full.owner]
    added = np.bincount(full.owner[late] * 2 + full.codes[late], minlength=2 * n).reshape(n, 2)
    np.testing.assert_allclose(added.sum(axis=0) / (60 - when).sum(), rate, rtol=0.06)
    # Each user's own, shrunk: nearer to its own rate than to everybody's.
    assert np.corrcoef(added[:, 1] / (60 - when), own[:, 1])[0, 1] > 0.6


@pytest.mark.parametrize(("world", "strength"), [("suppression", 0.25), ("randomised", 1.0)])
def test_ads_that_stop_in_part_are_found_and_nowhere_else(world: str, strength: float) -> None:
    journeys = mta.worlds.make(world, strength=strength, n_users=12_000, seed=5).simulate().journeys
    found = find_stops(journeys.histories, lead_test_stops=False)
    assert found.any == (world == "suppression")
    assert (found.days > 0).sum() >= (4 if found.any else 0)


def test_the_lead_test_decides_where_no_buyer_was_observed_for_long() -> None:
    journeys = mta.worlds.make("suppression", n_users=4_000, seed=1).simulate().journeys
    short = journeys.histories
    short = replace(short, start=np.maximum(short.start, short.end - 20))
    assert np.isinf(find_stops(short, lead_test_stops=True).days).all()
    assert not find_stops(short, lead_test_stops=False).any


def test_draws_hold_what_imputation_adds() -> None:
    """Of the same weights the same draw, of other weights often another imputation."""
    journeys = mta.worlds.make("suppression", n_users=4_000, seed=1).simulate().journeys
    model = mta.SelfControlled(half_life="4d")
    with pytest.warns(mta.IdentifiabilityWarning, match="touchpoints stop after conversions: "):
        model.fit(journeys)
    assert model.stops_.any
    assert (model.stops_.ratio[model.stops_.days > 0] < 0.9).all()
    design = model._fitted_design(journeys.histories)
    assert design.copies == 5
    parts = [
        conversion_parts(design.copy(each, np.ones(design.n_rows // 5)), model.rate_).sum(axis=0)
        for each in range(5)
    ]
    assert np.std(parts, axis=0).max() > 0
    np.testing.assert_allclose(
        conversion_parts(design, model.rate_).sum(axis=0), np.mean(parts, axis=0)
    )
