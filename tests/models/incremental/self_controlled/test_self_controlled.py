"""SelfControlled as a whole: what it refuses, warns of, finds and certifies."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import mta_models as mta
from mta_models import metrics
from mta_models.data.histories import Histories
from mta_models.models.incremental.self_controlled.control_sampling import control_days
from mta_models.models.incremental.self_controlled.leads import run_lead_test
from mta_models.models.incremental.self_controlled.relative_rate import (
    Design,
    constant_rate,
    fit_effects,
    fit_time_factors,
)


def simulated(name: str, strength: float = 0.5, **more: Any) -> tuple[mta.Journeys, Any]:
    world = mta.worlds.make(name, strength=strength, **more)
    return world.simulate().journeys, world


@pytest.fixture(scope="module")
def randomised() -> mta.Journeys:
    return simulated("randomised", n_users=20_000, seed=5)[0]


@pytest.fixture(scope="module")
def fitted(randomised: mta.Journeys) -> mta.SelfControlled:
    return mta.SelfControlled(half_life="4d").fit(randomised)


# What it refuses and warns of.


def test_refuses_journeys_that_end_with_their_conversion() -> None:
    journeys = mta.Journeys.from_arrays(
        ["Email"], [0], [0, 1, 1], [4, 1], [10, 10], age=[1.0], at_risk=[10.0, 10.0]
    )
    with pytest.raises(mta.JourneyError, match="observation ends with the conversion"):
        mta.SelfControlled().fit(journeys)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"burn_in": -1}, "burn_in"),
        ({"window": "long"}, "window"),
        ({"window": 0}, "window"),
        ({"intent": "maybe"}, "`intent` must be"),
        ({"calendar": 3}, "`calendar` must be"),
        ({"half_life": "0d"}, "half_life"),
    ],
)
def test_refuses_parameters(given: dict[str, Any], match: str, randomised: mta.Journeys) -> None:
    with pytest.raises(mta.ParameterError, match=match):
        mta.SelfControlled(**given).fit(randomised)


def test_says_so_where_conversions_are_few() -> None:
    journeys, _ = simulated("randomised", n_users=1_000, seed=1)
    with pytest.warns(mta.IdentifiabilityWarning, match="below 200 .*; got 125"):
        mta.SelfControlled(half_life="4d").fit(journeys)


def test_says_so_where_a_channel_never_varies_within_a_converter() -> None:
    log = mta.worlds.make("randomised", n_users=8_000, seed=5).simulate()
    converters = log.events.filter(pl.col("conversion") == 1)["user"].unique().implode()
    rare = (pl.col("channel") == "Affiliate") & ~pl.col("user").is_in(converters)
    channel = pl.when(rare).then(pl.lit("Pigeon")).otherwise("channel").alias("channel")
    journeys = mta.read_events(
        log.events.with_columns(channel), observed=log.observed, user="user", time="time",
        channel="channel", conversion="conversion",
    )  # fmt: skip
    with pytest.warns(mta.IdentifiabilityWarning, match="exposure to Pigeon is the same"):
        model = mta.SelfControlled(half_life="4d", intent=False).fit(journeys)
    credit = model.attribute(journeys).credit
    assert credit[journeys.channels.index("Pigeon")] == 0


@pytest.mark.parametrize("half_life", [None, "2d"])
def test_half_lives_are_chosen_where_none_is_given_and_else_left(half_life: str | None) -> None:
    """Effects of the log fade by half in 4 days."""
    journeys, _ = simulated("randomised", n_users=12_000, seed=2)
    model = mta.SelfControlled(half_life=half_life, intent=False).fit(journeys)
    if half_life is not None:
        np.testing.assert_array_equal(model.half_life_, 2.0)
        return
    terms = [
        mta.SelfControlled(half_life=days, intent=False).fit(journeys).log_likelihood_
        for days in (1.0, 21.0)
    ]
    assert model.log_likelihood_ > max(terms) + 2
    strong = model.beta_ > 1
    assert strong.any()
    assert set(model.half_life_[strong].tolist()) <= {2.0, 3.0, 5.0, 8.0}
    assert (model.half_life_ != 3.0).any()  # where every search starts


# What it finds.


def test_recovers_a_world_without_confounding(
    fitted: mta.SelfControlled, randomised: mta.Journeys
) -> None:
    truth = mta.worlds.make("randomised", n_users=20_000).truth()
    result = fitted.attribute(randomised)
    assert metrics.total_variation(result, truth) < 0.12
    assert abs(metrics.baseline_error(result, truth)) < 0.15
    assert result.share[result.channels.index("Affiliate")] < 0.05
    assert not fitted.moving_intent_.kept
    assert not fitted.suppression_
    assert not fitted.baseline_frailty_
    assert fitted.lead_test_.before is not None
    assert fitted.lead_test_.before.p_value > 0.01
    assert fitted.calendar_.mean() == pytest.approx(1)


def test_horizon_counts_fewer_than_the_moment(
    fitted: mta.SelfControlled, randomised: mta.Journeys
) -> None:
    """Some of those whom a touchpoint converted would have converted later by themselves."""
    moment = mta.SelfControlled(half_life="4d", counterfactual="moment").fit(randomised)
    assert moment.attribute(randomised).baseline < fitted.attribute(randomised).baseline
    np.testing.assert_array_equal(moment.beta_, fitted.beta_)


def test_credits_fewer_users_by_the_same_fit(
    fitted: mta.SelfControlled, randomised: mta.Journeys
) -> None:
    """A part of the log, and its channels in another order."""
    order = randomised.channels[::-1]
    np.testing.assert_allclose(
        fitted.attribute(randomised.recode(order)).credit, fitted.attribute(randomised).credit
    )


def test_stable_intent_does_not_mislead() -> None:
    """Frailty spans orders of magnitude and ads follow it; the Affiliate does nothing."""
    journeys, world = simulated("intent", 1.0, n_users=20_000, seed=5)
    result = mta.SelfControlled(half_life="4d").fit_attribute(journeys)
    truth = world.truth()
    assert metrics.total_variation(result, truth) < 0.15
    assert result.share[result.channels.index("Affiliate")] < 0.04
    naive = mta.LastTouch().fit_attribute(journeys)
    assert metrics.total_variation(naive, truth) > 2 * metrics.total_variation(result, truth)


def test_repeat_conversions_are_each_compared(randomised: mta.Journeys) -> None:
    journeys, world = simulated("repeat", n_users=8_000, seed=5)
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    assert journeys.histories.repeats
    assert model.rate_.depletion.size == 1
    result = model.attribute(journeys)
    assert metrics.total_variation(result, world.truth()) < 0.15
    np.testing.assert_allclose(model.removal_, result.credit)


def test_a_calendar_takes_what_grows_by_itself() -> None:
    """Social and Display grow with sales; without weeks of their own they are credited with it."""
    from mta_models.worlds.mechanisms.exposure import Trend

    class Repeating(Trend):  # or else how users thin out would take the trend
        repeatable = True

    world = Repeating(n_users=12_000, strength=1.0, seed=5)
    journeys, grow, shares = world.simulate().journeys, ["Social", "Display"], []
    for calendar in (True, False):
        model = mta.SelfControlled(half_life="4d", calendar=calendar, intent=False).fit(journeys)
        result = model.attribute(journeys)
        shares.append(sum(result.share[result.channels.index(each)] for each in grow))
    assert shares[0] < shares[1] - 0.04


# What the lead test certifies.


@pytest.mark.parametrize("lag", [None, 0.5])
def test_lead_test_rejects_as_often_as_it_says_where_nothing_is_wrong(lag: float | None) -> None:
    """40 logs of 700 converters; at .05 more than 6 rejections would be a chance of .3%.

    With the lag, what touchpoints cause on their own day is missing from the fit.
    """
    p_values = []
    for seed in range(40):
        design = unconfounded(seed, lag)
        rate, _ = fit_effects(design, constant_rate(design, 0))
        rate, _ = fit_effects(design, fit_time_factors(design, rate, calendar=True))
        p_values.append(run_lead_test(design, rate).p_value)
    assert np.mean(np.array(p_values) < 0.05) <= 6 / 40
    assert 0.3 < np.mean(p_values) < 0.7


def unconfounded(seed: int, lag: float | None) -> Design:
    """Converters whose exposure is random and whose rate is 1 + 2 a_1 + a_2."""
    rng = np.random.default_rng(seed)
    n, days = 700, 50
    met = rng.random((n, 3, days)) < 0.06
    adstock = np.zeros((n, 3, days))
    for day in range(days):
        adstock[:, :, day] = met[:, :, day] + (
            0.5 ** (1 / 3) * adstock[:, :, day - 1] if day else 0
        )
    rate = 1 + np.einsum("nct,c->nt", adstock, [2.0, 1.0, 0.0])
    chance = np.cumsum(rate / rate.sum(axis=1, keepdims=True), axis=1)
    when = (rng.random((n, 1)) > chance).sum(axis=1).clip(max=days - 1) + 0.95
    user, code, day = np.nonzero(met)
    time = day + 0.5
    order = np.lexsort((time, user))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=n))))
    before = np.bincount(user[time < when[user]], minlength=n)
    h = Histories(
        channels=("A", "B", "C"),
        offsets=offsets,
        time=time[order],
        codes=code[order],
        start=np.zeros(n),
        end=np.full(n, float(days)),
        weight=np.ones(n),
        event_user=np.arange(n),
        event_time=when,
        event_weight=np.ones(n),
        event_row=np.arange(n),
        event_stop=offsets[:-1] + before,
        user_row=np.arange(n),
    )
    h = h if lag is None else h.lagged(lag)
    return Design(control_days(h), np.zeros(n, dtype=np.int64), h.event_weight)


def test_a_lag_does_not_turn_past_touchpoints_into_future_ones() -> None:
    """A coupon fetched on the way to the purchase: no ads stop, and no intent moves over days."""
    journeys, world = simulated("null_channel", 1.0, n_users=10_000, seed=4)
    model = mta.SelfControlled(half_life="4d", lag="12h").fit(journeys)
    assert model.lead_test_.p_value > 0.05
    assert not model.moving_intent_.kept
    assert abs(metrics.baseline_error(model.attribute(journeys), world.truth())) < 0.3


def test_bursts_are_found_corrected_and_certified() -> None:
    journeys, world = simulated("bursts", 1.0, n_users=15_000, seed=5)
    truth = world.truth()
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    assert model.moving_intent_.kept
    assert model.moving_intent_.gain > 15
    before = model.lead_test_.before
    assert before is not None
    assert before.p_value < 1e-4 < model.lead_test_.p_value
    plain = mta.SelfControlled(half_life="4d", intent=False)
    with pytest.warns(mta.IdentifiabilityWarning, match="high z are probably over-credited: .*"):
        plain.fit(journeys)
    errors = [abs(metrics.baseline_error(m.attribute(journeys), truth)) for m in (model, plain)]
    assert errors[0] < errors[1] / 1.5


def test_ads_that_stop_are_found_and_imputed() -> None:
    journeys, _ = simulated("suppression", 1.0, n_users=12_000, seed=5)
    model = mta.SelfControlled(half_life="4d")
    with pytest.warns(mta.IdentifiabilityWarning, match="touchpoints stop after conversions: "):
        model.fit(journeys)
    assert model.suppression_
    free = simulated("randomised", n_users=12_000, seed=5)[0]
    expected = mta.SelfControlled(half_life="4d").fit_attribute(free)
    result = model.attribute(journeys)
    # The same users by chance in the world whose ads do not stop.
    assert np.abs(result.share - expected.share).sum() / 2 < 0.12
    assert abs(result.baseline - expected.baseline) < 0.2 * expected.total


@pytest.mark.slow
def test_frailty_is_kept_where_intent_raises_the_baseline_alone() -> None:
    """h = z base + effects: users of many touchpoints have a higher baseline."""
    journeys, _ = _additive_intent()
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    assert model.baseline_frailty_
    assert np.isinf(model.rate_.spans).any()


def _additive_intent() -> tuple[mta.Journeys, Any]:
    from mta_models.worlds.mechanisms.exposure import Intent

    class Additive(Intent):
        def hazard(self, now: Any) -> Any:
            return self.base(now) * now.people["intent"] + self.response(now)

    world = Additive(n_users=40_000, strength=0.5, seed=5)
    return world.simulate().journeys, world


# Settings.


def test_windows_and_burn_in_leave_effects_where_they_are(randomised: mta.Journeys) -> None:
    whole = mta.SelfControlled(half_life="4d", intent=False).fit(randomised)
    for given in ({"window": "30d"}, {"burn_in": "12d"}):
        part = mta.SelfControlled(half_life="4d", intent=False, **given).fit(randomised)
        assert part.log_likelihood_ > whole.log_likelihood_  # fewer days to choose among
        assert np.corrcoef(part.beta_, whole.beta_)[0, 1] > 0.9


def test_time_of_day_changes_nothing() -> None:
    """Conversions at any hour, and whole logs moved by some: only days are compared."""
    journeys, _ = simulated("randomised", n_users=8_000, seed=6)
    log = mta.worlds.make("randomised", n_users=8_000, seed=6).simulate()
    later = pl.duration(hours=7)
    moved = mta.read_events(
        log.events.with_columns(pl.col("time") + later),
        observed=log.observed.with_columns(pl.col("start") + later, pl.col("end") + later),
        user="user",
        time="time",
        channel="channel",
        conversion="conversion",
    )
    models = [mta.SelfControlled(half_life="4d").fit(each) for each in (journeys, moved)]
    np.testing.assert_allclose(models[0].beta_, models[1].beta_, rtol=0.05)


def test_draws_of_the_bootstrap_vary_about_the_credit(
    fitted: mta.SelfControlled, randomised: mta.Journeys
) -> None:
    result = mta.bootstrap(
        mta.SelfControlled(half_life="4d"), randomised, n_draws=30, random_state=1
    )
    assert result.draws is not None
    assert result.baseline_draws is not None
    deviation = result.draws.std(axis=0)
    assert (np.abs(result.draws.mean(axis=0) - result.credit) < deviation + 10).all()
    low, high = result.baseline_interval(0.9)
    assert low < result.baseline < high
    np.testing.assert_allclose(result.credit, fitted.attribute(randomised).credit)


# The correction leaves some of the confounding, which large logs show: docs/self_controlled.md.
@pytest.mark.filterwarnings("ignore:.*touchpoints after a conversion should not predict it")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "strength", "limit"),
    [
        ("randomised", 0.5, 0.08),
        ("intent", 1.0, 0.08),
        ("bursts", 1.0, 0.11),
        ("retargeting", 1.0, 0.09),
    ],
)
def test_recovers_large_worlds_fit_half_lives_of_its_own(
    name: str, strength: float, limit: float
) -> None:
    errors = []
    for seed in range(3):
        journeys, world = simulated(name, strength, n_users=50_000, seed=seed)
        result = mta.SelfControlled().fit_attribute(journeys)
        errors.append(metrics.total_variation(result, world.truth()))
    assert np.median(errors) < limit
