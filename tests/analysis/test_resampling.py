"""The bootstrap against a slow one that really repeats its users, and against known coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta_models as mta
from mta_models.analysis.resampling import _drawer, _merge_equal, _plan
from mta_models.core.ragged import Floats, spread
from mta_models.errors import IdentifiabilityWarning, InvariantError, MTAWarning, warn
from mta_models.models.base import AttributionModel

CHANNELS = ("A", "B", "C")


class Equal(AttributionModel):
    """Equal credit to each touchpoint: the least a rule can be."""

    estimand = "rule"

    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        return np.bincount(
            journeys.codes, self._touchpoint_credit(journeys, of), journeys.n_channels
        )

    def _touchpoint_credit(self, journeys: mta.Journeys, of: str) -> Floats:
        return spread(journeys.outcome(of) / np.maximum(journeys.lengths, 1), journeys.offsets)


class EqualByMatrix(Equal):
    resampling = "linear"


class Rate(AttributionModel):
    """Credit in proportion to each channel's conversion rate: not linear in the outcomes."""

    estimand = "rule"

    def _fit(self, journeys: mta.Journeys) -> None:
        good, bad = (
            np.bincount(journeys.codes, spread(each, journeys.offsets), journeys.n_channels)
            for each in (journeys.conversions, journeys.nulls)
        )
        self.rate_ = (good + 1) / (good + bad + 2)

    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        touched = journeys.outcome(of)[journeys.lengths > 0].sum()
        return self.rate_ / self.rate_.sum() * touched


class RateOfPaths(Rate):
    resampling = "paths"


MODELS = (Equal(), EqualByMatrix(), Rate(), RateOfPaths())


@st.composite
def some_journeys(draw: st.DrawFn, *, with_users: bool) -> mta.Journeys:
    n = draw(st.integers(2, 9))
    paths = draw(st.lists(st.lists(st.sampled_from(CHANNELS), max_size=3), min_size=n, max_size=n))
    most = 1 if with_users else 4
    counts = st.lists(st.integers(0, most), min_size=n, max_size=n)
    conversions = np.array(draw(counts))
    conversions[0] = 1
    nulls = 1 - conversions if with_users else np.array(draw(counts))
    amount = np.array(draw(st.lists(st.integers(-3, 9), min_size=n, max_size=n)))
    journeys = mta.Journeys.from_paths(
        paths, conversions, nulls, np.where(conversions > 0, amount, 0), channels=CHANNELS
    )
    if not with_users:
        return journeys
    users = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    return journeys._with(users=users)


def repeated(journeys: mta.Journeys, weight: np.ndarray) -> mta.Journeys:
    """The journeys of a draw, its rows or users really repeated as often as they were picked."""
    if journeys.users is not None:
        of_row = weight[np.searchsorted(np.unique(journeys.users), journeys.users)]
        rows = np.repeat(np.arange(journeys.n_journeys), of_row)
        conversions, nulls, value = (
            each[rows] for each in (journeys.conversions, journeys.nulls, journeys.value)
        )
    else:
        good, bad = journeys.conversions > 0, journeys.nulls > 0
        rows = np.arange(journeys.n_journeys)
        conversions, nulls = np.zeros((2, journeys.n_journeys))
        conversions[good] = weight[: good.sum()]
        nulls[bad] = weight[good.sum() :]
        value = journeys.value / np.maximum(journeys.conversions, 1) * conversions
    paths = [
        [CHANNELS[c] for c in journeys.codes[journeys.offsets[i] : journeys.offsets[i + 1]]]
        for i in rows
    ]
    return mta.Journeys.from_paths(paths, conversions, nulls, value, channels=CHANNELS)


@pytest.mark.parametrize("with_users", [False, True])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_draw_equals_a_fit_on_repeated_users(data: st.DataObject, with_users: bool) -> None:
    journeys = data.draw(some_journeys(with_users=with_users))
    of = data.draw(st.sampled_from(["conversions", "value"]))
    model = data.draw(st.sampled_from(MODELS))
    plan = _plan(mta.models.base.clone(model).fit(journeys), journeys, of)
    n = len(plan.cell)
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    credit, baseline = plan.answer(np.bincount(plan.cell, weight, len(plan.size)).astype(float))
    slow = repeated(journeys, weight)
    if slow.total == 0 or (of == "value" and not slow.value.any()):
        assert not credit.any()
        assert baseline == 0
        return
    expected = mta.models.base.clone(model).fit_attribute(slow, of=of)
    np.testing.assert_allclose(credit, expected.credit, atol=1e-9)
    np.testing.assert_allclose(baseline, expected.baseline, atol=1e-9)


def test_cells_hold_every_user_once() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["A"], ["B"], []], [2, 3, 0, 1], [5, 0, 4, 0])
    plan = _plan(RateOfPaths().fit(journeys), journeys, "conversions")
    # A converts (2 + 3), A does not, B does not, untouched converts.
    assert sorted(plan.size) == [1, 4, 5, 5]
    # A rule sees no difference between users who do not convert: one cell of 5 + 4 for them.
    plan = _plan(EqualByMatrix().fit(journeys), journeys, "conversions")
    assert sorted(plan.size) == [1, 5, 9]


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("of", ["conversions", "value"])
def test_reproducible_shapes_and_sums(model: AttributionModel, of: str) -> None:
    journeys = mta.Journeys.from_paths(
        [["A", "B"], ["C"], ["B"], []], [20, 10, 4, 3], [70, 90, 40, 20], [200, 50, 8, 1]
    )
    first = mta.bootstrap(model, journeys, n_draws=30, random_state=5, of=of)
    again = mta.bootstrap(model, journeys, n_draws=30, random_state=np.random.default_rng(5), of=of)
    other = mta.bootstrap(model, journeys, n_draws=30, random_state=6, of=of)
    plain = mta.models.base.clone(model).fit_attribute(journeys, of=of)
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)
    np.testing.assert_array_equal(first.credit, plain.credit)
    assert (first.baseline, first.total, first.of) == (plain.baseline, plain.total, of)
    assert first.draws.shape == (30, 3)
    assert first.baseline_draws.shape == (30,)
    # Totals of draws vary round the data's: 37 conversions of 257 users, s.d. 5.6.
    totals = first.draws.sum(axis=1) + first.baseline_draws
    assert np.ptp(totals) > 0
    assert not hasattr(model, "channels_")  # the model given is left as it is


def test_draws_have_the_mean_and_covariance_of_a_multinomial() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"], []], [30, 60, 10], [300, 100, 500])
    drawn = mta.bootstrap(EqualByMatrix(), journeys, n_draws=20_000, random_state=1)
    counts, n = np.array([30.0, 60, 10]), 1000
    cloud = np.column_stack([drawn.draws, drawn.baseline_draws])
    np.testing.assert_allclose(cloud.mean(axis=0), counts, rtol=0.02)
    exact = np.diag(counts) - np.outer(counts, counts) / n
    np.testing.assert_allclose(np.cov(cloud.T), exact, atol=2.0)


@pytest.mark.parametrize("size", [[1, 1, 1, 1], [3, 1, 40, 8, 9], [100, 200], [5, 5, 5]])
def test_every_way_of_drawing_is_the_same_multinomial(size: list[int]) -> None:
    size_ = np.array(size)
    draw = _drawer(size_, np.random.default_rng(0))
    draws = np.vstack([draw(1), draw(19_999)])
    n = size_.sum()
    assert (draws.sum(axis=1) == n).all()
    np.testing.assert_allclose(draws.mean(axis=0), size_, rtol=0.05)
    exact = np.diag(size_) - np.outer(size_, size_) / n
    np.testing.assert_allclose(np.cov(draws.T), exact, atol=0.05 * n)


def test_a_users_journeys_are_drawn_together() -> None:
    n = 400
    one = mta.Journeys.from_paths(
        [["A"]] * n, [i % 2 for i in range(n)], [1 - i % 2 for i in range(n)]
    )
    alone = one._with(users=np.arange(n))
    pairs = one._with(users=np.arange(n) // 4)
    wide = mta.bootstrap(EqualByMatrix(), pairs, n_draws=4000, random_state=0).draws.std()
    narrow = mta.bootstrap(EqualByMatrix(), alone, n_draws=4000, random_state=0).draws.std()
    # Four journeys a user, two of which convert: all users are equal, so only their number
    # could vary, and that is fixed. Alone they vary as a binomial of 400 and 1/2.
    assert wide == 0
    assert narrow == pytest.approx(10, rel=0.05)
    copied = mta.Journeys.from_paths(
        [["A"]] * n, [1] * (n // 2) + [0] * (n // 2), [0] * (n // 2) + [1] * (n // 2)
    )
    copied = copied._with(users=np.arange(n) // 2)
    twice = mta.bootstrap(EqualByMatrix(), copied, n_draws=4000, random_state=0).draws.std()
    # 200 users of 2 equal journeys: twice a binomial of 200 and 1/2.
    assert twice == pytest.approx(2 * np.sqrt(50), rel=0.05)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # Users are independent: A converts with .1, B with .05, nobody else with .01. The expected
    # credit of a rule per touchpoint is then known: 2000 × share of users × probability.
    rng = np.random.default_rng(7)
    users, chance = np.array([900, 600, 500]), np.array([0.1, 0.05, 0.01])
    expected, hits, seeds = users * chance, 0, 120
    for seed in range(seeds):
        met = rng.multinomial(2000, users / 2000)
        converted = rng.binomial(met, chance)
        journeys = mta.Journeys.from_paths([["A"], ["B"], []], converted, met - converted)
        result = mta.bootstrap(EqualByMatrix(), journeys, n_draws=200, random_state=seed)
        bounds = np.vstack([result.interval(), result.baseline_interval()])
        hits += int(((bounds[:, 0] <= expected) & (expected <= bounds[:, 1]))[:2].sum())
    # 240 intervals of nominal 95%: 3.5 standard errors either side, with a little for the
    # percentile interval's known shortfall at counts as low as 30.
    assert 0.88 <= hits / (2 * seeds) <= 0.995


def test_a_draw_without_conversion_is_kept_as_zero() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [1, 0], [0, 1])
    for model in MODELS:
        result = mta.bootstrap(model, journeys, n_draws=200, random_state=0)
        totals = result.draws.sum(axis=1) + result.baseline_draws
        # Two users: a quarter of the draws holds the one who does not convert, twice.
        assert set(totals.round(9)) == {0.0, 1.0, 2.0}


def test_fractions_of_a_user_are_refused_unless_users_are_known() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [2, 1.5], [0, 1])
    with pytest.raises(mta.JourneyError, match=r"`conversions` must be whole.*row 1 has 1.5"):
        mta.bootstrap(Equal(), journeys)
    half = mta.Journeys.from_paths([["A"], ["B"]], [2, 1], [0, 0.5])
    with pytest.raises(mta.JourneyError, match=r"`nulls` must be whole.*row 1 has 0.5"):
        mta.bootstrap(Equal(), half)
    known = journeys._with(users=np.array([0, 1]))
    assert mta.bootstrap(Equal(), known, n_draws=3, random_state=0).draws.shape == (3, 2)


@pytest.mark.parametrize("n_draws", [0, -1, 2.5, True, "many"])
def test_a_number_of_draws_must_be_whole_and_positive(n_draws: object) -> None:
    journeys = mta.Journeys.from_paths([["A"]], [1])
    with pytest.raises(mta.ParameterError, match="n_draws"):
        mta.bootstrap(Equal(), journeys, n_draws=n_draws)  # type: ignore[arg-type]


def test_a_model_is_given_by_its_name_or_class_too() -> None:
    journeys = mta.Journeys.from_paths([["A", "B"], ["B"]], [3, 1])
    expected = mta.bootstrap(mta.LastTouch(), journeys, n_draws=5, random_state=0)
    for model in ("LastTouch", mta.LastTouch):
        drawn = mta.bootstrap(model, journeys, n_draws=5, random_state=0)
        assert (drawn.draws == expected.draws).all()
    for wrong in (None, "no model", [mta.LastTouch()]):
        with pytest.raises(mta.ParameterError, match="model"):
            mta.bootstrap(wrong, journeys)  # type: ignore[arg-type]


class Uneasy(Rate):
    def _fit(self, journeys: mta.Journeys) -> None:
        super()._fit(journeys)
        if journeys.conversions[0] == 0:
            warn("the first row is gone", IdentifiabilityWarning)


class Leaky(Rate):
    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        return super()._credit(journeys, of) * (2 if journeys.conversions[0] > 2 else 1)


class Picky(Rate):
    def _fit(self, journeys: mta.Journeys) -> None:
        if journeys.conversions[0] == 0:
            raise mta.JourneyError("the first row must convert")
        super()._fit(journeys)


def test_what_draws_warn_of_is_said_once_with_its_count() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [2, 9], [20, 20])
    with pytest.warns(MTAWarning) as caught:
        mta.bootstrap(Uneasy(), journeys, n_draws=100, random_state=0)
    (only,) = caught
    assert only.category is IdentifiabilityWarning
    assert "of 100 draws: the first row is gone" in str(only.message)


def test_a_draw_that_the_model_refuses_or_breaks_is_named() -> None:
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [2, 9], [20, 20])
    with pytest.raises(mta.JourneyError, match=r"draw \d+ is not: the first row must convert"):
        mta.bootstrap(Picky(), journeys, random_state=0)
    with pytest.raises(InvariantError, match=r"a draw of Leaky\(\) is off by"):
        mta.bootstrap(Leaky(), journeys, random_state=0)


def test_a_game_of_the_callers_own_has_no_draws() -> None:
    # Its worth is fixed while the total of each draw is not; the model says so.
    journeys = mta.Journeys.from_paths([["A"], ["B"]], [2, 9], [20, 20])
    fixed = mta.Shapley(lambda coalition: 11.0 * bool(coalition))
    with pytest.raises(mta.JourneyError, match=r"draw \d+ is not: .* must be the total"):
        mta.bootstrap(fixed, journeys, random_state=0)


def test_the_point_estimates_own_warning_is_passed_on_alone() -> None:
    class Always(Rate):
        def _fit(self, journeys: mta.Journeys) -> None:
            super()._fit(journeys)
            warn("always", IdentifiabilityWarning)

    journeys = mta.Journeys.from_paths([["A"], ["B"]], [2, 9], [20, 20])
    with pytest.warns(IdentifiabilityWarning) as caught:
        mta.bootstrap(Always(), journeys, n_draws=20, random_state=0)
    assert [str(each.message) for each in caught] == ["Always: always"]


def test_equal_rows_are_found_and_a_collision_would_be_noticed() -> None:
    from scipy import sparse

    dense = np.array([[1.0, 0, 2], [0, 0, 0], [1, 0, 2], [0, 3, 0], [0, 0, 0]])
    cell, cells = _merge_equal(sparse.csr_array(dense))
    np.testing.assert_array_equal(cells.toarray()[cell], dense)
    assert len(np.unique(cell)) == cells.shape[0] == 3


def test_draws_of_no_time_hold_their_users_when_value_is_asked() -> None:
    # Two converters of one path with unlike values: conversions see one cell, value two.
    journeys = mta.Journeys.from_paths([["A"], ["A"]], [1, 1], [1, 1], value=[10, 30])
    fitted = RateOfPaths().fit(journeys)
    assert len(_plan(fitted, journeys, "conversions").size) == 2
    assert len(_plan(fitted, journeys, "value").size) == 3
