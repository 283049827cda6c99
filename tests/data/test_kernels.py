"""A kernel of carry-over is a small class: another one works wherever half-lives do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.integrate import quad
from scipy.special import gamma, gammainc

import mta_models as mta
from mta_models.data.histories import Histories
from mta_models.data.kernels import HalfLifeKernel, Kernel, KernelGrid, as_kernel
from mta_models.models.incremental.hazard.calendar import Calendar
from tests.data.test_histories import half_of, logs, read


@dataclass(frozen=True, eq=False)
class Weibull:
    """w(a) = exp(−(a / scale)^shape): with a shape above 1 it stays before it falls."""

    scale: Any
    shape: Any

    @property
    def half_life(self) -> Any:
        return self.scale * np.log(2) ** (1 / self.shape)

    def weight(self, age: Any, codes: Any) -> Any:
        return np.exp(-((age / self.scale[codes]) ** self.shape[codes]))

    def integral(self, until: Any, codes: Any, since: Any = None) -> Any:
        whole, power = (self.scale * gamma(1 + 1 / self.shape))[codes], self.shape[codes]
        done = [
            gammainc(1 / power, (age / self.scale[codes]) ** power)
            for age in (until, 0 * until if since is None else since)
        ]
        return whole * (done[0] - done[1])

    def per_day(self, effect: Any) -> Any:
        return effect / (self.scale * gamma(1 + 1 / self.shape))


SCALE, SHAPE = np.array([1.0, 3.0, 6.0]), np.array([2.0, 1.0, 0.7])


def kernels_of(histories: Histories) -> list[Kernel]:
    k = histories.n_channels
    return [Weibull(SCALE[:k], SHAPE[:k]), HalfLifeKernel(half_of(histories))]


@settings(max_examples=25, deadline=None)
@given(logs)
def test_sums_with_any_kernel_are_what_loops_find(rows: Any) -> None:
    histories = read(rows).histories
    begin, stop = np.full(5, 2.5), np.full(5, 7.25)
    user, time = np.arange(5), np.array([0.0, 3.0, 6.5, 9.0, 12.0])
    for kernel in kernels_of(histories):

        def weight(k: int, when: float, kernel: Kernel = kernel) -> float:
            age, code = np.array([when - histories.time[k]]), histories.codes[k : k + 1]
            return float(kernel.weight(age, code)[0])

        def carried(first: int, last: int, when: float) -> Any:
            sums = np.zeros(histories.n_channels)
            for k in range(first, last):
                if histories.time[k] <= when:
                    sums[histories.codes[k]] += weight(k, when)
            return sums

        starts = histories.offsets[:-1]
        expected = [
            carried(starts[u], last, when)
            for u, last, when in zip(
                histories.event_user, histories.event_stop, histories.event_time, strict=True
            )
        ]
        np.testing.assert_allclose(histories.adstock(kernel), expected, atol=1e-12)
        expected = [carried(starts[u], histories.offsets[u + 1], time[u]) for u in user]
        found = histories.adstock_at(user, time, kernel)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        for k, each in enumerate(histories.exposure(kernel, stop, begin)):
            low = max(begin[0], histories.time[k])
            area = quad(lambda t, k=k: weight(k, t), low, max(stop[0], low))[0]
            assert each == pytest.approx(area, abs=1e-7)


@pytest.mark.parametrize("place", [0, 1])
def test_per_day_is_the_effect_over_the_whole_integral(place: int) -> None:
    effect = np.array([2.0, 0.5, 1.0])
    kernel = (Weibull(SCALE, SHAPE), HalfLifeKernel(np.array([1.0, 3.0, 9.0])))[place]
    whole = kernel.integral(np.full(3, 1e4), np.arange(3))
    np.testing.assert_allclose(kernel.per_day(effect), effect / whole)


def test_half_lives_are_a_kernel() -> None:
    kernel = HalfLifeKernel(np.array([1.0, 3.0]))
    assert as_kernel(kernel, 2) is kernel
    for given_ in (2.0, np.array([2.0, 2.0])):
        made = as_kernel(given_, 2)
        assert isinstance(made, HalfLifeKernel)
        assert made.half_life.tolist() == [2.0, 2.0]


@dataclass(frozen=True, eq=False)
class Weibulls:
    """One shape, and scales to choose from, shape `(n_grid, n_channels)`."""

    scale: Any
    shape: float

    def __len__(self) -> int:
        return len(self.scale)

    def chosen(self, places: Any) -> Kernel:
        channels = np.arange(len(places))
        return Weibull(self.scale[places, channels], np.full(len(places), self.shape))


class WeibullHazard(mta.Hazard):
    """A hazard whose carry-over is another kernel; the scales are half-lives over ln 2."""

    shape = 2.0

    def _grid(self, channels: tuple[str, ...]) -> KernelGrid:
        grid = super()._grid(channels)
        places = [np.full(len(channels), place) for place in range(len(grid))]
        half_lives = np.array([grid.chosen(each).half_life for each in places])
        return Weibulls(half_lives / np.log(2), self.shape)


def test_the_scales_of_another_kernel_are_chosen_as_half_lives_are() -> None:
    journeys = mta.worlds.make("carry_over", n_users=2000, seed=1).simulate().journeys
    hazard = mta.Hazard().fit(journeys)

    class Exponential(WeibullHazard):
        shape = 1.0  # this one is that of half-lives

    other = Exponential().fit(journeys)
    np.testing.assert_allclose(other.half_life_, hazard.half_life_)
    np.testing.assert_allclose(other.beta_, hazard.beta_, rtol=1e-6, atol=1e-9)
    assert other.log_likelihood_ == pytest.approx(hazard.log_likelihood_)
    falling = WeibullHazard().fit(journeys)
    assert falling.log_likelihood_ != pytest.approx(hazard.log_likelihood_)
    drawn = mta.bootstrap(other, journeys, n_draws=2, random_state=0).draws
    expected = mta.bootstrap(hazard, journeys, n_draws=2, random_state=0).draws
    np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counterfactual", ["horizon", "moment"])
def test_a_model_with_another_kernel_credits_touchpoints_by_it(counterfactual: str) -> None:
    journeys = mta.worlds.make("repeat", n_users=2000, seed=1).simulate().journeys
    plain, other = (
        each(half_life=3.0, counterfactual=counterfactual).fit(journeys)
        for each in (mta.Hazard, WeibullHazard)
    )
    result, credit = other.attribute(journeys), other.touchpoint_credit(journeys)
    by_channel = np.bincount(journeys.codes, credit, journeys.n_channels)
    np.testing.assert_allclose(by_channel, result.credit)
    assert not np.allclose(result.credit, plain.attribute(journeys).credit, rtol=1e-3)
    # The split of one conversion over its touchpoints is that of the kernel's weights.
    histories = journeys.histories
    event, touchpoint, age = histories.pairs
    weights = other._kernel().weight(age, histories.codes[touchpoint])
    per_day = other._kernel().per_day(other.beta_)[histories.codes[touchpoint]]
    rate = np.bincount(event, weights * per_day, histories.n_events)
    rate += other.baseline_hazard_ * Calendar(other.calendar_).at(histories.event_time)
    moment = np.bincount(touchpoint, weights * per_day / rate[event], len(histories.time))
    by_code = np.bincount(histories.codes, moment, journeys.n_channels)
    np.testing.assert_allclose(credit, moment * (result.credit / by_code)[histories.codes])
