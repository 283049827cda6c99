"""The additive hazard: its likelihood, its maximum, its credit, and what it recovers."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.histories import Histories
from mta_models.data.kernels import HalfLifeKernel
from mta_models.models.incremental.half_lives import GRID, profile
from mta_models.models.incremental.hazard import hazard as hazard_module
from mta_models.models.incremental.hazard.likelihood import (
    Rates,
    RatesByKernel,
    maximise_additive,
    standard_errors,
)
from mta_models.models.parameters import given_half_lives

LN2 = np.log(2)
DAYS = 30


def simulate(
    n: int, beta: list[float], half: list[float], mu: float, seed: int, repeat: bool = False
) -> pl.DataFrame:
    """Users whose hazard is additive, step by step of a tenth of a day."""
    rng, k, steps = np.random.default_rng(seed), len(beta), DAYS * 10
    fade, fresh = 2 ** (-0.1 / np.array(half)), np.array(beta) * LN2 / np.array(half)
    carried, rows, done = np.zeros((n, k)), [], np.zeros(n, dtype=bool)
    for step in range(steps):
        buys = np.flatnonzero((rng.random(n) < 0.1 * (mu + carried @ fresh)) & ~done)
        rows.append((buys, np.full(len(buys), step / 10 + 0.05), np.full(len(buys), k)))
        done[buys] = not repeat
        met = rng.random((n, k)) < 0.012
        user, code = np.nonzero(met)
        rows.append((user, np.full(len(user), step / 10 + 0.06), code))
        carried = (carried + met) * fade
    user, time, code = (np.concatenate(each) for each in zip(*rows, strict=True))
    names = pl.Series([*"ABCDEFG"[:k], None], dtype=pl.String)
    return pl.DataFrame(
        {
            "user": user,
            "time": time,
            "channel": names.gather(code),
            "conversion": (code == k).astype(np.int8),
            "value": np.where(code == k, 10.0 + code * user % 7, 0.0),
        }
    )


def read(events: pl.DataFrame, n: int, end: object = None) -> mta.Journeys:
    observed = pl.DataFrame(
        {"user": range(n), "start": [0.0] * n, "end": [float(DAYS)] * n if end is None else end}
    )
    columns = {name: name for name in ("user", "time", "channel", "conversion")}
    value = "value" if "value" in events.columns else None
    return mta.read_events(events, **columns, value=value, observed=observed, lookback=None)


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return simulate(3000, [0.06, 0.03, 0.0], [2.0, 5.0, 3.0], 0.003, seed=3)


@pytest.fixture(scope="module")
def journeys(events: pl.DataFrame) -> mta.Journeys:
    return read(events, 3000)


@pytest.fixture(scope="module")
def repeated() -> mta.Journeys:
    return read(simulate(1500, [0.1, 0.05], [2.0, 5.0], 0.004, seed=4, repeat=True), 1500)


# By hand and by loops.


def test_the_published_example_splits_a_conversion() -> None:
    # design/methods.md: μ = 0, β .2/.4, ω .1/.5 per day; A 10 days, B 4 days, A 1 day before.
    one = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0], [0, 3], [1], [0], age=[10.0, 4.0, 1.0], at_risk=[20.0]
    )
    model = mta.Hazard(counterfactual="moment")
    model.channels_, model.repeat_ = one.channels, False
    model.beta_, model.baseline_hazard_ = np.array([0.2, 0.4]), 0.0
    model.calendar_ = np.ones(1)
    model._carry_over = HalfLifeKernel(LN2 / np.array([0.1, 0.5]))
    np.testing.assert_allclose(
        model.touchpoint_credit(one), [0.140087, 0.515353, 0.344560], atol=5e-7
    )
    np.testing.assert_allclose(model.attribute(one).credit, [0.484647, 0.515353], atol=1e-6)


def by_loops(
    histories: Histories, beta: np.ndarray, mu: float, half: np.ndarray, repeat: bool
) -> float:
    """The log-likelihood, one user, one touchpoint and one conversion at a time."""
    total = 0.0
    for user in range(histories.n_users):
        span = slice(*histories.offsets[user : user + 2])
        touchpoints = list(zip(histories.time[span], histories.codes[span], strict=True))
        mine = np.flatnonzero(histories.event_user == user)
        start, end = histories.start[user], histories.end[user]
        if len(mine) and not repeat:
            end = min(end, histories.event_time[mine].min())
        integrated = mu * (end - start)
        for time, code in touchpoints:
            if max(time, start) < end:
                faded = [2 ** (-(at - time) / half[code]) for at in (max(time, start), end)]
                integrated += beta[code] * (faded[0] - faded[1])
        total -= histories.weight[user] * integrated
        for event in mine:
            rate = mu
            for place, (time, code) in enumerate(touchpoints):
                if histories.offsets[user] + place < histories.event_stop[event]:
                    age = histories.event_time[event] - time
                    rate += beta[code] * LN2 / half[code] * 2 ** (-age / half[code])
            total += histories.event_weight[event] * np.log(rate)
    return total


logs = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 40),  # quarter days: ties are common
        st.sampled_from([None, "A", "B"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=30,
).filter(lambda rows: any(row[3] and row[1] for row in rows))


@settings(max_examples=60, deadline=None)
@given(logs)
def test_likelihood_is_that_of_loops_and_nothing_near_is_larger(
    rows: list[tuple[int, int, str | None, int]],
) -> None:
    user, quarter, channel, conversion = zip(*rows, strict=True)
    log = pl.DataFrame(
        {
            "user": user,
            "time": np.array(quarter) / 4,
            "channel": pl.Series(channel, dtype=pl.String),
            "conversion": conversion,
        }
    )
    journeys = read(log, 4)
    half = np.array([1.5, 6.0])[: journeys.n_channels]
    given = dict(zip(journeys.channels, half.tolist(), strict=True)) or 2.0
    model = mta.Hazard(half_life=given, calendar=False)
    histories = journeys.histories
    with warnings.catch_warnings():  # few users: effects cannot be separated
        warnings.simplefilter("ignore", mta.IdentifiabilityWarning)
        model.fit(journeys)

    def likelihood(beta: np.ndarray, mu: float) -> float:
        return by_loops(histories, beta, mu, half, model.repeat_)

    best = likelihood(model.beta_, model.baseline_hazard_)
    np.testing.assert_allclose(model.log_likelihood_, best, rtol=1e-9, atol=1e-9)
    assert (np.diff(model.log_likelihood_path_) >= -1e-9).all()
    rng = np.random.default_rng(0)
    seen = histories.totals(half, histories.risk_end(model.repeat_)) > 0
    for _ in range(5):
        # A channel whose exposure nobody was at risk of is set to 0, and is warned of.
        near = (model.beta_ + rng.random(len(half)) * 0.01) * seen
        assert likelihood(near, model.baseline_hazard_ * rng.uniform(0.9, 1.1)) <= best + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_maximum_is_that_of_scipy(seed: int) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    rate = rng.exponential(size=(6, 300)) * (rng.random((6, 300)) < 0.4)
    rate[-1] = 1.0
    rates = Rates(rate, rng.integers(1, 4, 300).astype(float), rng.uniform(50, 5000, 6))
    best = maximise_additive(rates)
    assert best.converged
    assert (np.diff(best.path) >= -1e-12 * abs(best.path[-1])).all()
    np.testing.assert_allclose(best.path[-1], rates.log_likelihood(best.theta), rtol=1e-12)

    def loss(part: np.ndarray) -> tuple[float, np.ndarray]:
        theta = part * rates.total / rates.cost
        pull = rates.rate @ (rates.weight / (theta @ rates.rate)) - rates.cost
        return -rates.log_likelihood(theta), -pull * rates.total / rates.cost

    fitted = minimize(
        loss,
        np.full(6, 1 / 6),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * 5 + [(1e-9, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )
    assert best.path[-1] >= -fitted.fun - 1e-9
    np.testing.assert_allclose(best.theta * rates.cost / rates.total, fitted.x, atol=1e-5)
    again = maximise_additive(rates, start=best.theta * rng.uniform(0, 2, 6))
    np.testing.assert_allclose(again.theta, best.theta, rtol=1e-9, atol=1e-14)
    rough = maximise_additive(rates, gap=0.01)
    assert best.path[-1] - 0.01 <= rough.path[-1] <= best.path[-1] + 1e-9
    assert len(rough.path) < len(best.path)


def test_standard_errors_are_those_of_a_numeric_hessian(journeys: mta.Journeys) -> None:
    model = mta.Hazard(half_life={"A": 2, "B": 5, "C": 3}, calendar=False).fit(journeys)
    histories = journeys.histories
    table = RatesByKernel(histories, histories.risk_end(), model._grid(histories.channels))
    rates = table.rates(np.zeros(3, dtype=np.int64))
    theta = np.append(model.beta_, model.baseline_hazard_)
    free = np.flatnonzero(theta > 0)
    step = theta * 1e-4

    def shifted(i: int, j: int, a: int, b: int) -> float:
        moved = theta.copy()
        moved[i] += a * step[i]
        moved[j] += b * step[j]
        return rates.log_likelihood(moved)

    hessian = np.array(
        [
            [
                sum(a * b * shifted(i, j, a, b) for a in (1, -1) for b in (1, -1))
                / (4 * step[i] * step[j])
                for j in free
            ]
            for i in free
        ]
    )
    expected = np.full(4, np.nan)
    expected[free] = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    actual = np.append(model.standard_error_, model.baseline_standard_error_)
    np.testing.assert_allclose(actual, expected, rtol=1e-3)
    # Half the truth's errors away or more would be 5 in 10,000 for one of these.
    truth = np.array([0.06, 0.03, 0.0, 0.003])
    assert (np.abs(theta - truth)[free] < 3.5 * actual[free]).all()


def test_a_channel_at_its_bound_has_no_standard_error() -> None:
    # B is met by nobody who converts after it.
    touched = mta.Journeys.from_arrays(
        ["A", "B"], [0, 0, 1], [0, 1, 2, 3, 3], [5, 0, 0, 4], [0, 9, 30, 20],
        age=[1.0, 3.0, 5.0], at_risk=[9.0, 9.0, 9.0, 9.0],
    )  # fmt: skip
    model = mta.Hazard(half_life=2).fit(touched)
    assert model.beta_[1] == 0
    assert np.isnan(model.standard_error_[1])
    assert np.isfinite(model.standard_error_[0])
    assert model.attribute(touched).credit[1] == 0


# Credit.


@pytest.mark.parametrize("counterfactual", ["horizon", "moment"])
@pytest.mark.parametrize("of", ["conversions", "value"])
def test_touchpoints_add_up_to_their_channels(
    journeys: mta.Journeys, counterfactual: str, of: str
) -> None:
    model = mta.Hazard(half_life="3d", counterfactual=counterfactual).fit(journeys)
    whole, each = model.attribute(journeys, of=of), model.touchpoint_credit(journeys, of=of)
    np.testing.assert_allclose(
        np.bincount(journeys.codes, each, 3), whole.credit, rtol=1e-9, atol=1e-9
    )
    if counterfactual == "moment":  # nothing was scaled to get there
        histories = journeys.histories
        amounts = None if of == "conversions" else journeys.outcome(of)[histories.event_row]
        np.testing.assert_allclose(each, model._by_touchpoint(histories, amounts), atol=1e-12)


def test_the_moments_credit_is_what_em_gave(repeated: mta.Journeys) -> None:
    # At the maximum, shares sum to β times exposure: observed and expected agree, part by part.
    model = mta.Hazard(half_life=3, counterfactual="moment").fit(repeated)
    histories = repeated.histories
    result = model.attribute(repeated)
    expected = model.beta_ * histories.totals(3.0) * LN2 / 3
    np.testing.assert_allclose(result.credit, expected, rtol=1e-8)
    np.testing.assert_allclose(result.baseline, model.baseline_hazard_ * histories.days())
    horizon = mta.Hazard(half_life=3).fit_attribute(repeated)
    np.testing.assert_allclose(horizon.credit, result.credit, rtol=1e-8)


def test_horizon_credit_is_that_of_every_user_with_fewer_channels(journeys: mta.Journeys) -> None:
    model = mta.Hazard(half_life=3).fit(journeys)
    result, histories = model.attribute(journeys), journeys.histories
    exposure = histories.exposure(3.0) * LN2 / 3
    added = np.bincount(histories.owner * 3 + histories.codes, exposure, histories.n_users * 3)
    added = added.reshape(-1, 3) * model.beta_

    def value(kept: list[int]) -> float:
        alone = model.baseline_hazard_ * DAYS
        return float(-np.expm1(-alone - added[:, kept].sum(axis=1)).sum())

    scale = histories.total / value([0, 1, 2])
    np.testing.assert_allclose(result.baseline, value([]) * scale)
    removal = [
        scale * (value([0, 1, 2]) - value([c for c in range(3) if c != i])) for i in range(3)
    ]
    np.testing.assert_allclose(model.removal_, removal, atol=1e-9)


def test_expected_conversions_against_loops(journeys: mta.Journeys) -> None:
    model = mta.Hazard(half_life={"A": 2, "B": 5, "C": 3}).fit(journeys)
    since, until = 11.0, 19.5
    actual = model.expected_conversions(journeys, since, until)
    histories = journeys.histories
    for user in range(0, histories.n_users, 100):
        expected = model.baseline_hazard_ * (until - since)
        span = slice(*histories.offsets[user : user + 2])
        for time, code in zip(histories.time[span], histories.codes[span], strict=True):
            h = model.half_life_[code]
            if time < until:
                bounds = (max(time, since), until)
                faded = [2 ** (-(at - time) / h) for at in bounds]
                expected += model.beta_[code] * (faded[0] - faded[1])
        np.testing.assert_allclose(actual[user], expected, rtol=1e-9)
    # Whole observation: what was fitted to, when users stay at risk.
    model = mta.Hazard(half_life=3, repeat=True).fit(journeys)
    total = model.expected_conversions(journeys, -5, 99).sum()
    np.testing.assert_allclose(total, journeys.total, rtol=1e-9)


# The same data in another form.


def test_rows_without_a_timeline_are_the_same_users(
    events: pl.DataFrame, journeys: mta.Journeys
) -> None:
    n = 3000
    first = np.full(n, float(DAYS))
    bought = events.filter(pl.col("conversion") == 1)
    first[bought["user"].to_numpy()] = bought["time"].to_numpy()
    stop = pl.DataFrame({"user": range(n), "stop": first})
    kept = events.join(stop, on="user").filter(pl.col("time") <= pl.col("stop")).drop("stop")
    logged = read(kept, n, end=first.tolist())
    rows = mta.Journeys.from_arrays(
        logged.channels, logged.codes, logged.offsets, logged.conversions, logged.nulls,
        logged.value, age=logged.age, at_risk=first[logged.users],
    )  # fmt: skip
    half = {"A": 2, "B": 5, "C": 3}
    whole = mta.Hazard(half_life=half).fit(journeys)
    for counterfactual in ("horizon", "moment"):
        model = mta.Hazard(half_life=half, counterfactual=counterfactual)
        expected, actual = model.fit_attribute(logged), model.fit_attribute(rows)
        np.testing.assert_allclose(actual.credit, expected.credit, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            model.touchpoint_credit(rows),
            model.fit(logged).touchpoint_credit(logged),
            rtol=1e-9,
            atol=1e-9,
        )
        # What came after a conversion is no part of the likelihood.
        np.testing.assert_allclose(model.beta_, whole.beta_, rtol=1e-9, atol=1e-12)


def test_counts_are_as_many_users(journeys: mta.Journeys) -> None:
    rows = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0, 1], [0, 2, 3, 4, 4], [3, 1, 2, 5], [4, 30, 25, 90],
        age=[6.0, 1.0, 2.0, 9.0], at_risk=[10.0, 10.0, 10.0, 10.0],
    )  # fmt: skip
    order, repeats = np.arange(4), rows.conversions + rows.nulls
    row = np.repeat(order, repeats)
    sizes = rows.lengths[row]
    where = np.concatenate(
        [np.arange(*rows.offsets[i : i + 2]) for i in row] or [np.zeros(0, dtype=int)]
    )
    place = np.concatenate([np.arange(n) for n in repeats])
    each = mta.Journeys.from_arrays(
        ["A", "B"], rows.codes[where], np.concatenate(([0], np.cumsum(sizes))),
        (place < rows.conversions[row]).astype(int), (place >= rows.conversions[row]).astype(int),
        age=rows.age[where], at_risk=np.full(len(row), 10.0),
    )  # fmt: skip
    expected, actual = (mta.Hazard(half_life=2).fit_attribute(one) for one in (rows, each))
    np.testing.assert_allclose(actual.credit, expected.credit, rtol=1e-9, atol=1e-9)
    tripled = rows.reweighted(rows.conversions * 3, rows.nulls * 3)
    more = mta.Hazard(half_life=2).fit_attribute(tripled)
    np.testing.assert_allclose(more.credit, 3 * expected.credit, rtol=1e-9, atol=1e-9)


def test_permuted_channels_permute_all_that_was_fitted(journeys: mta.Journeys) -> None:
    model = mta.Hazard().fit(journeys)
    other = mta.Hazard().fit(journeys.recode(("C", "A", "B")))
    order = [2, 0, 1]
    np.testing.assert_array_equal(other.half_life_, model.half_life_[order])
    np.testing.assert_allclose(other.beta_, model.beta_[order], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(other.standard_error_, model.standard_error_[order], rtol=1e-6)


@pytest.mark.parametrize("half_life", [None, "3d"])
def test_a_bootstrap_draw_is_a_fit_to_its_weights(
    journeys: mta.Journeys, half_life: str | None
) -> None:
    rng = np.random.default_rng(0)
    model = mta.Hazard(half_life=half_life, calendar=False).fit(journeys)
    draw = model.prepare(journeys, "conversions")
    picked = rng.poisson(1.0, journeys.n_journeys)
    weighted = journeys.reweighted(
        journeys.conversions * picked, journeys.nulls * picked, journeys.value * picked
    )
    expected = mta.Hazard(half_life=half_life, calendar=False).fit(weighted).attribute(weighted)
    credit, baseline = draw(weighted)
    np.testing.assert_allclose(credit, expected.credit, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(baseline, expected.baseline, rtol=1e-7)


# Half-lives.


def test_half_lives_are_read() -> None:
    channels = ("A", "B")
    np.testing.assert_array_equal(given_half_lives("12h", channels), [0.5, 0.5])
    np.testing.assert_array_equal(given_half_lives({"B": 1, "A": "2w"}, channels), [14, 1])
    with pytest.raises(mta.ParameterError, match="'B' is missing"):
        given_half_lives({"A": 1}, channels)


def test_half_lives_that_are_given_are_not_searched(
    journeys: mta.Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def no_search(*_: object) -> np.ndarray:
        searched.append(True)
        return np.full(3, 4)

    monkeypatch.setattr(hazard_module, "profile", no_search)
    given = mta.Hazard(half_life="5d").fit(journeys)
    assert not searched
    np.testing.assert_array_equal(given.half_life_, 5.0)
    chosen = mta.Hazard().fit(journeys)
    assert searched
    np.testing.assert_array_equal(chosen.half_life_, GRID[4])


def test_a_channel_leaves_the_common_half_life_for_a_gain_of_two() -> None:
    def score(choice: np.ndarray) -> float:
        # The common best is 2. Channel 0 gains 1.9 by leaving, channel 1 2.1, by leaving for 4.
        gains = np.array([[0, 0, 0, 0, 1.9], [0, 0, 0, 0, 2.1]])
        common = 10.0 if (choice == 2).any() else 0.0
        return common + float(gains[np.arange(2), choice].sum())

    np.testing.assert_array_equal(profile(score, 2, np.arange(2), 5), [2, 4])
    np.testing.assert_array_equal(profile(score, 2, np.arange(1), 5), [2, 2])


def test_chosen_half_lives_are_the_best_of_those_compared(journeys: mta.Journeys) -> None:
    model = mta.Hazard().fit(journeys)
    assert set(model.half_life_) <= set(GRID)
    common = max(mta.Hazard(half_life=h).fit(journeys).log_likelihood_ for h in GRID)
    assert model.log_likelihood_ >= common - 2e-3
    for channel in range(2):
        for other in GRID:
            half = dict(zip("ABC", model.half_life_.tolist(), strict=True))
            half["AB"[channel]] = float(other)
            tried = mta.Hazard(half_life=half).fit(journeys).log_likelihood_
            assert tried <= model.log_likelihood_ + 2 + 2e-3


# What is refused, and what is warned of.


def test_repeat_is_as_the_journeys_show_or_as_told(
    journeys: mta.Journeys, repeated: mta.Journeys
) -> None:
    assert mta.Hazard(half_life=3).fit(journeys).repeat_ is False
    assert mta.Hazard(half_life=3).fit(repeated).repeat_ is True
    always = mta.Hazard(half_life=3, repeat=True).fit(journeys)
    # Longer at risk for the same conversions.
    assert always.baseline_hazard_ < mta.Hazard(half_life=3).fit(journeys).baseline_hazard_
    with pytest.raises(mta.JourneyError, match="convert at most once"):
        mta.Hazard(repeat=False).fit(repeated)


@pytest.mark.parametrize(
    "parameters",
    [{"half_life": 0}, {"half_life": {"A": "soon"}}, {"repeat": 1}, {"counterfactual": "never"}],
)
def test_parameters_outside_what_they_may_be(
    journeys: mta.Journeys, parameters: dict[str, object]
) -> None:
    with pytest.raises(mta.ParameterError, match=next(iter(parameters))):
        mta.Hazard(**parameters).fit(journeys)  # type: ignore[arg-type]


def test_users_never_observed_are_refused() -> None:
    rows = mta.Journeys.from_arrays(["A"], [0], [0, 1], [1], [0], age=[0.0], at_risk=[0.0])
    with pytest.raises(mta.JourneyError, match="0 days"):
        mta.Hazard(half_life=1).fit(rows)


def test_channels_that_cannot_be_told_apart_share_and_are_warned_of() -> None:
    # A and B are always met together.
    rows = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0, 1], [0, 2, 4, 4], [6, 0, 3], [0, 20, 60],
        age=[1.0, 1.0, 5.0, 5.0], at_risk=[9.0, 9.0, 9.0],
    )  # fmt: skip
    with pytest.warns(mta.IdentifiabilityWarning, match="cannot separate the effects of A, B"):
        model = mta.Hazard(half_life=2).fit(rows)
    np.testing.assert_allclose(model.beta_[0], model.beta_[1], rtol=1e-10)
    assert np.isnan(model.standard_error_).all()
    assert np.isfinite(model.baseline_standard_error_)


def test_a_touchpoint_that_nobody_was_at_risk_after_is_warned_of() -> None:
    rows = mta.Journeys.from_arrays(
        ["A", "B"], [0, 1, 0], [0, 1, 2, 3, 3], [2, 1, 0, 3], [0, 0, 9, 60],
        age=[1.0, 0.0, 4.0], at_risk=[9.0, 9.0, 9.0, 9.0],
    )  # fmt: skip
    with pytest.warns(mta.IdentifiabilityWarning, match="after a touchpoint of B, so its effect"):
        model = mta.Hazard(half_life=2).fit(rows)
    assert model.beta_[1] == 0
    assert model.attribute(rows).credit[1] == 0


def test_a_fit_cut_short_warns(journeys: mta.Journeys, monkeypatch: pytest.MonkeyPatch) -> None:
    from mta_models.models.incremental.hazard import likelihood as additive

    monkeypatch.setattr(additive, "_EM_STEPS", 1)
    monkeypatch.setattr(additive, "_NEWTON_STEPS", 0)
    with pytest.warns(mta.ConvergenceWarning, match="stopped before"):
        mta.Hazard(half_life=3).fit(journeys)


def test_equal_pasts_are_one_row(journeys: mta.Journeys) -> None:
    histories = journeys.histories
    grid = mta.Hazard(half_life=3)._grid(journeys.channels)
    table = RatesByKernel(histories, histories.risk_end(), grid)
    touched = journeys.lengths[histories.event_row] > 0
    assert len(table.weight) <= touched.sum() + 1
    assert table.weight.max() >= (~touched).sum() > 1
    assert table.weight.sum() == histories.total


def test_information_of_nothing_free_is_no_error() -> None:
    rates = Rates(np.ones((1, 1)), np.ones(1), np.ones(1))
    errors, tangled = standard_errors(rates, np.ones(1))
    np.testing.assert_allclose(errors, [1.0])  # a Poisson rate of one event in one day
    assert not tangled.any()


# What it recovers.


def test_recovers_what_the_simulation_holds(journeys: mta.Journeys, repeated: mta.Journeys) -> None:
    for each, truth, mu in ((journeys, [0.06, 0.03, 0], 0.003), (repeated, [0.1, 0.05], 0.004)):
        model = mta.Hazard().fit(each)
        error = np.where(model.beta_ > 0, model.standard_error_, 0.01)
        assert (np.abs(model.beta_ - truth) < 3 * error).all()
        assert abs(model.baseline_hazard_ - mu) < 3 * model.baseline_standard_error_


@pytest.mark.slow
def test_recovers_the_randomised_world() -> None:
    rows = []
    for seed in range(3):
        world = mta.worlds.make("randomised", n_users=50_000, strength=0.5, seed=seed).simulate()
        result = mta.Hazard().fit_attribute(world.journeys)
        rows.append(
            [
                mta.metrics.total_variation(result, world.truth),
                abs(mta.metrics.baseline_error(result, world.truth)),
                mta.metrics.credit_to_null_channels(result, world.truth),
            ]
        )
    # The goals; measured .021, .015 and 0.
    assert (np.median(rows, axis=0) <= [0.05, 0.12, 0.03]).all()


@pytest.mark.slow
def test_half_lives_of_its_own_help_where_they_differ() -> None:
    own, common, half = [], [], []
    for seed in range(3):
        world = mta.worlds.make("carry_over", n_users=50_000, strength=0.5, seed=seed).simulate()
        model = mta.Hazard()
        result = model.fit_attribute(world.journeys)
        own.append(mta.metrics.total_variation(result, world.truth))
        known = dict(zip(world.journeys.channels, model.half_life_.tolist(), strict=True))
        half.append([known["Display"], known["Retargeting"]])
        shared = mta.Hazard(half_life=5).fit_attribute(world.journeys)
        common.append(mta.metrics.total_variation(shared, world.truth))
    # Measured .042 against .087. The world's own: Display 16 days, Retargeting 1.7.
    assert np.median(own) <= 0.06 < np.median(common)
    display, retargeting = np.median(half, axis=0)
    assert display >= 8
    assert retargeting <= 3


@pytest.mark.slow
def test_recovers_repeat_conversions() -> None:
    errors = []
    for seed in range(3):
        world = mta.worlds.make("repeat", n_users=50_000, strength=0.5, seed=seed).simulate()
        model = mta.Hazard()
        errors.append(mta.metrics.total_variation(model.fit_attribute(world.journeys), world.truth))
        assert model.repeat_
    assert np.median(errors) <= 0.05  # measured .025
