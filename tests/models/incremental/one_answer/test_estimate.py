"""The estimator as a whole: what must not change the answer, what must, and known truths."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.core.ragged import Floats
from mta_models.models.incremental.one_answer import within_draws, within_rate
from mta_models.models.incremental.one_answer.estimate import estimate_credit
from mta_models.models.incremental.one_answer.results import Settings
from tests.contract.test_edge_cases import events
from tests.contract.test_models_on_timelines import CHANNELS, log, read

Met = list[tuple[int, float, str]]
Bought = list[tuple[int, float, float]]


def made(
    n: int, names: Sequence[str] = ("A", "B", "C"), seed: int = 0, per_user: int = 4
) -> tuple[Met, Bought]:
    """Touchpoints of users over 40 days, and purchases of a third of them, some after the first."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(names), (n, per_user))
    days = rng.uniform(0, 38, (n, per_user))
    met = [
        (u, float(d), names[c]) for u in range(n) for c, d in zip(codes[u], days[u], strict=True)
    ]
    bought = []
    for u in range(0, n, 3):
        first = days[u][codes[u] == 0]
        after = len(first) and rng.random() < 0.4
        day = first[0] + rng.exponential(2.0) if after else rng.uniform(0, 39)
        bought.append((u, min(float(day), 39.5), 1.0))
    return met, bought


def answer(met: Met, bought: Bought, n: int, days: float = 40.0) -> mta.Attribution:
    return mta.Incremental().fit_attribute(events(met, bought, n, days))


def same(actual: mta.Attribution, expected: mta.Attribution) -> None:
    """The same credit, baseline and draws, up to rounding, whatever the order of channels."""
    order = [actual.channels.index(each) for each in expected.channels]
    scale = expected.total
    np.testing.assert_allclose(actual.credit[order], expected.credit, atol=1e-5 * scale)
    assert actual.draws is not None
    assert expected.draws is not None
    np.testing.assert_allclose(actual.draws[:, order], expected.draws, atol=1e-4 * scale)
    np.testing.assert_allclose(actual.baseline_draws, expected.baseline_draws, atol=1e-4 * scale)


# What must not change the answer.


def test_the_order_of_channels_changes_neither_credit_nor_draws() -> None:
    journeys = read(log()).recode(CHANNELS)
    expected = mta.Incremental().fit_attribute(journeys)
    for order in ([2, 0, 3, 1], [3, 2, 1, 0]):
        permuted = journeys.recode(tuple(CHANNELS[i] for i in order))
        same(mta.Incremental().fit_attribute(permuted), expected)


def test_the_order_of_users_changes_neither_credit_nor_draws() -> None:
    rows = log()
    number = np.random.default_rng(0).permutation(600)
    others = rows.with_columns(user=pl.Series(number)[rows["user"]])
    same(
        mta.Incremental().fit_attribute(read(others).recode(CHANNELS)),
        mta.Incremental().fit_attribute(read(rows).recode(CHANNELS)),
    )


def test_conversions_that_stand_for_many_do_not_depend_on_the_order_of_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a log of millions, where half-lives and draws come from some of the conversions."""
    monkeypatch.setattr(within_rate, "_MAX_SEARCHED", 16 * 90)
    monkeypatch.setattr(within_draws, "_MAX_ROWS", 60)
    test_the_order_of_users_changes_neither_credit_nor_draws()


def test_the_order_of_users_changes_nothing_where_users_are_compared() -> None:
    """Observation ends with the conversion, so that draws are of weights of users."""
    rng = np.random.default_rng(0)
    n = 150
    sizes = rng.integers(0, 4, n)
    ages = [-np.sort(-rng.uniform(0, 20, size)) for size in sizes]
    codes = [rng.integers(0, 2, size) for size in sizes]
    converts = np.arange(n) % 3 == 0
    results = []
    for order in (np.arange(n), rng.permutation(n)):
        journeys = mta.Journeys.from_arrays(
            ["Email", "Social"],
            np.concatenate([codes[i] for i in order]),
            np.concatenate(([0], np.cumsum(sizes[order]))),
            converts[order].astype(float),
            (~converts[order]).astype(float),
            age=np.concatenate([ages[i] for i in order]),
            at_risk=(30.0 + np.arange(n))[order],
        )
        results.append(mta.Incremental().fit_attribute(journeys))
    same(results[1], results[0])


def test_visits_through_an_entrance_on_the_way_change_nothing_of_others() -> None:
    """Half of the buyers come through Direct an hour before the purchase; then all do, twice."""
    met, bought = made(600)
    some = [(u, day - 1 / 24, "Direct") for u, day, _ in bought[::2] if day > 1]
    more = [(u, day - h / 24, "Direct") for u, day, _ in bought for h in (1, 7) if day > 1]
    first, again = answer(met + some, bought, 600), answer(met + more, bought, 600)
    assert first.credit[:3].sum() > 0.05 * first.total
    assert first.credit[3] == again.credit[3] == 0.0
    np.testing.assert_allclose(again.credit, first.credit, atol=1e-6 * first.total)


def test_users_of_weight_zero_change_nothing() -> None:
    """A fifth of the users count for nothing, as in a bootstrap; then they meet other channels."""
    met, bought = made(600)
    other = [(u, d, "B" if u % 5 == 0 else c) for u, d, c in met]
    results = []
    for each in (met, other):
        h = events(each, bought, 600, 40.0).histories
        weight = (np.asarray(h.user_ids) % 5 > 0).astype(float)
        weighted = replace(h, weight=weight, event_weight=weight[h.event_user], known=h.derived)
        none = np.zeros(3, dtype=bool)
        settings = Settings(none, True, none, n_draws=0)
        results.append(estimate_credit(weighted, settings, np.random.default_rng(0)))
    first, second = results
    assert first.credit.sum() + first.baseline == pytest.approx(160)
    np.testing.assert_allclose(second.credit, first.credit, atol=1e-6)


# What must.


def test_every_user_twice_is_every_conversion_twice() -> None:
    met, bought = made(1_200)
    twice = (
        met + [(u + 1_200, day, c) for u, day, c in met],
        bought + [(u + 1_200, day, v) for u, day, v in bought],
    )
    credit, spread = [], []
    for n, log_ in ((1_200, (met, bought)), (2_400, twice)):
        journeys = events(*log_, n, 40.0)
        model = mta.Incremental().fit(journeys)
        sampled = model._sampling_draws(journeys, "conversions")
        assert sampled is not None
        credit.append(model.attribute(journeys).credit)
        spread.append(sampled[0][:, 0].std() / journeys.total)
    # Not exactly: 20 pseudo-conversions that hold factors of time back weigh half as much.
    np.testing.assert_allclose(credit[1], 2 * credit[0], atol=0.03 * 800)
    assert spread[1] / spread[0] == pytest.approx(0.5**0.5, rel=0.2)


def test_a_channel_whose_touchpoints_are_followed_by_purchases_has_the_credit() -> None:
    met, bought = made(3_000)
    result = answer(met, bought, 3_000)
    assert result.credit[0] > 0.1 * result.total
    assert result.credit[0] > 5 * result.credit[1:].max()


# Logs at the edge.


@pytest.mark.parametrize("names", [("A",), ("Direct",), ("Direct", "Brand Search", "Coupon")])
def test_one_channel_or_entrances_only(names: tuple[str, ...]) -> None:
    met, bought = made(600, names)
    result = answer(met, bought, 600)
    assert result.credit.sum() + result.baseline == pytest.approx(200)
    assert np.isfinite(result.interval()).all()


def test_purchases_again_and_again_at_the_same_instants() -> None:
    met, bought = made(600)
    again = [(u, day, 1.0) for u, day, _ in bought for _ in range(3)]
    again += [(u, min(day + 7, 39.9), 1.0) for u, day, _ in bought]
    result = answer(met, again, 600)
    assert result.total == len(again)
    assert np.isfinite(result.interval()).all()


def test_whole_days_may_be_whole_numbers() -> None:
    met, bought = made(600)
    rows = [(u, int(day), c, 0) for u, day, c in met] + [(u, int(d), None, 1) for u, d, _ in bought]
    schema = {"user": pl.Int64, "day": pl.Int32, "channel": pl.String, "bought": pl.Int8}
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("day", maintain_order=True)
    first, second = (
        mta.Incremental().fit_attribute(
            mta.read_events(each, user="user", time="day", channel="channel", conversion="bought")
        )
        for each in (frame, frame.with_columns(pl.col("day").cast(pl.Float64)))
    )
    assert second.credit.sum() > 0
    np.testing.assert_array_equal(second.credit, first.credit)


def test_fifty_channels() -> None:
    names = [f"C{i}" for i in range(50)]
    met, bought = made(900, names, per_user=6)
    result = answer(met, bought, 900)
    assert result.credit.shape == (50,)
    assert result.credit.sum() + result.baseline == pytest.approx(300)


@pytest.mark.parametrize("far", [-19_700.0, 27_000.0])
@pytest.mark.parametrize("bought_then", [False, True])
def test_one_date_decades_away_costs_neither_time_nor_credit(far: float, bought_then: bool) -> None:
    """A clock set to 1970, or to 2099: all users would be observed for decades without an ad."""
    met, bought = made(1_500)
    shift = max(-far, 0.0)
    one = (1, far, None, 1) if bought_then else (1, far, "A", 0)
    rows = [(u, day, c, 0) for u, day, c in met] + [(u, day, None, 1) for u, day, _ in bought]
    frame = pl.DataFrame(
        [*rows, one],
        schema={"user": pl.Int64, "day": pl.Float64, "channel": pl.String, "bought": pl.Int8},
        orient="row",
    ).with_columns(pl.col("day") + shift)
    journeys = mta.read_events(
        frame.sort("day"), user="user", time="day", channel="channel", conversion="bought"
    )
    began = time.perf_counter()
    result = mta.Incremental().fit_attribute(journeys)
    # A second at most by itself; a minute and more with the date taken as it stands.
    assert time.perf_counter() - began < 15
    expected = answer(met, bought, 1_500)
    np.testing.assert_allclose(result.credit, expected.credit, atol=0.03 * expected.total)
    assert any("1 of 6501 touchpoints and conversions have dates" in each for each in result.checks)
    assert not any("have dates" in each for each in expected.checks)


# Known truth.

DEVELOPED = ("visits_entrances", "visits_slow", "visits_messages", "visits_stops", "visits_needs")


def share_errors(name: str, seed: int) -> tuple[Floats, mta.Attribution]:
    """The share error of `Incremental`, and of others, on one world."""
    world = mta.worlds.make(name, n_users=15_000, seed=seed)
    journeys, truth = world.simulate().journeys, world.truth(users=15_000)
    result = mta.Incremental().fit_attribute(journeys)
    others = [each.fit_attribute(journeys) for each in (mta.LastTouch(), mta.Linear())]
    errors = np.array([mta.metrics.total_variation(each, truth) for each in (result, *others)])
    return errors, result


@pytest.mark.slow
def test_it_is_near_the_truth_where_rules_are_far() -> None:
    """Seed 1 of five worlds: a mean share error of 0.08, and of 0.69 and 0.53 for the rules."""
    errors = np.array([share_errors(name, 1)[0] for name in DEVELOPED])
    incremental, last, linear = errors.mean(axis=0)
    assert incremental < 0.12
    assert errors[:, 0].max() < 0.2
    assert last > 4 * incremental
    assert linear > 3 * incremental
    assert (errors[:, 0] < 0.5 * errors[:, 1:].min(axis=1)).all()
