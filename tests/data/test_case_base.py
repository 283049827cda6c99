"""Case-base samples: what they stand for, at which hours, and what is kept of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models.data.case_base import CaseBaseSample


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return mta.worlds.make("randomised", n_users=3_000, seed=1).simulate().journeys


def test_a_sample_stands_for_all_time_at_risk(journeys: mta.Journeys) -> None:
    histories = journeys.histories
    until = histories.risk_end()
    for sample in (
        CaseBaseSample.from_days(histories, np.random.default_rng(0)),
        CaseBaseSample.from_histories(histories, np.random.default_rng(0)),
        CaseBaseSample.from_days(histories, np.random.default_rng(0)).thinned(200, 2, 500),
    ):
        n = sample.n_cases
        assert sample.weight[:n].sum() == pytest.approx(histories.total)
        assert sample.weight[n:].sum() == pytest.approx(histories.days(until))
        user, time = sample.user[n:], sample.time[n:]
        assert (time >= histories.start[user]).all()
        assert (time <= until[user]).all()
        balanced = sample.balanced
        assert balanced.mean() == pytest.approx(1)
    assert (n, len(sample.user)) == (200, 200 + 500)
    np.testing.assert_array_equal(histories.event_user[sample.event], sample.user[:n])


def test_samples_fall_evenly_over_users_and_time() -> None:
    """Half of the users have weight 3: three quarters of the sample are theirs."""
    offsets = np.zeros(4001, dtype=int)
    counts = np.where(np.arange(4000) % 2, 3.0, 1.0)
    journeys = mta.Journeys.from_arrays(
        ["A"], [], offsets, counts * (np.arange(4000) < 2), counts * (np.arange(4000) >= 2),
        age=[], at_risk=np.full(4000, 30.0),
    )  # fmt: skip
    histories = journeys.histories
    sample = CaseBaseSample.from_histories(histories, np.random.default_rng(1))
    user, time = sample.user[2:], sample.time[2:]
    assert len(user) == 20_000
    assert histories.weight[user].mean() == pytest.approx((0.25 * 1 + 0.75 * 3), abs=0.01)
    assert np.histogram(time, 6, (-30, 0))[0] == pytest.approx(np.full(6, 20_000 / 6), rel=0.05)


def test_the_base_falls_at_the_hours_of_conversions() -> None:
    """All conversions at a quarter of a day past midnight: so is all of the base."""
    n, day = 400, np.arange(400) % 20 + 1
    events = pl.DataFrame(
        {
            "user": [*range(n), *range(n)],
            "time": [*(day - 0.5), *(day + 0.25)],
            "channel": ["A"] * n + [None] * n,
            "bought": [0] * n + [1] * n,
        }
    )
    names = {"user": "user", "time": "time", "channel": "channel", "conversion": "bought"}
    histories = mta.read_events(events, **names, observed=(0.0, 30.0)).histories
    rng = np.random.default_rng(0)
    for sample in (
        CaseBaseSample.from_person_time(histories, rng, 2_000),
        CaseBaseSample.from_days(histories, rng),
    ):
        user, time = sample.user[n:], sample.time[n:]
        at_hour = np.isclose(time % 1, 0.75)
        assert at_hour.mean() > 0.8
        # The others were not at risk at that hour of their day.
        start, until = histories.start[user], histories.risk_end()[user]
        there = np.floor(time) + 0.75
        assert ((there < start) | (there >= until))[~at_hour].all()
        assert ((time >= start) & (time <= until)).all()


def test_rows_kept_keep_what_they_are(journeys: mta.Journeys) -> None:
    histories = journeys.histories
    sample = CaseBaseSample.from_person_time(histories, np.random.default_rng(0), 500)
    which = np.arange(len(sample.user)) % 3 == 0
    some = sample.keep(which)
    assert some.n_cases == which[: sample.n_cases].sum() == some.is_case.sum()
    np.testing.assert_array_equal(some.is_case, sample.is_case[which])
    np.testing.assert_array_equal(some.weight, sample.weight[which])
    np.testing.assert_array_equal(some.adstock(3.0), sample.adstock(3.0)[which])
    np.testing.assert_array_equal(some.met(-7.0, 0.0), sample.met(-7.0, 0.0)[which])
    np.testing.assert_array_equal(histories.event_time[some.event], some.time[: some.n_cases])
    week = sample.period(7.0)
    assert week.min() == 0
    np.testing.assert_array_equal(np.diff(week), np.diff(sample.time // 7))
    cases = sample.adstock(3.0)[: sample.n_cases]
    np.testing.assert_array_equal(cases, histories.adstock(3.0))


def test_times_after_touchpoints_stand_for_all_time_at_risk(journeys: mta.Journeys) -> None:
    """Weights add up to the person-days at risk, and to each channel's exposure in them."""
    histories = journeys.histories
    stop = histories.risk_end()
    exposure = []
    for seed in range(20):
        sample = CaseBaseSample.from_exposure(histories, np.random.default_rng(seed))
        base = slice(sample.n_cases, None)
        assert sample.weight[base].sum() == pytest.approx(histories.days(stop))
        exposure.append(sample.weight[base] @ sample.adstock(2.0)[base])
        assert (sample.time[base] <= stop[sample.user[base]]).all()
        assert (sample.weight[base] > 0).all()
    # At the hours of conversions, when adstock differs a little from that at all hours.
    np.testing.assert_allclose(np.mean(exposure, axis=0), histories.totals(2.0, stop), rtol=0.1)


def test_what_fades_within_hours_is_measured_by_times_drawn_after_it() -> None:
    """A channel with few touchpoints: as many times drawn evenly hardly ever follow one."""
    rng = np.random.default_rng(3)
    users, day = np.arange(3_000), rng.uniform(0, 60, 3_000)
    touched = pl.DataFrame({"user": users[:60], "time": day[:60], "channel": "A", "bought": 0})
    bought = pl.DataFrame({"user": users[30:200], "time": day[30:200], "bought": 1})
    journeys = mta.read_events(
        pl.concat([touched, bought], how="diagonal"),
        user="user", time="time", channel="channel", conversion="bought", lookback=None,
        observed=pl.DataFrame({"user": users, "start": 0.0, "end": 60.0}),
    )  # fmt: skip
    spread = []
    for draw in (
        lambda rng: CaseBaseSample.from_person_time(journeys.histories, rng, 30_000),
        lambda rng: CaseBaseSample.from_exposure(journeys.histories, rng),
    ):
        samples = [draw(np.random.default_rng(seed)) for seed in range(20)]
        sums = [one.weight[one.n_cases :] @ one.adstock(0.3)[one.n_cases :, 0] for one in samples]
        spread.append(np.std(sums))
        expected = journeys.histories.totals(0.3, journeys.histories.risk_end())[0]
        assert np.mean(sums) == pytest.approx(expected, abs=3 * spread[-1] / np.sqrt(20))
    assert spread[1] < 0.4 * spread[0]
