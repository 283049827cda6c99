"""Metrics against slow obvious versions, their bounds and symmetries, and published numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mta_models as mta
from mta_models import metrics
from mta_models.money.budget import reallocate
from mta_models.worlds import Simulation, Truth, make

NAMES = ("A", "B", "C", "D", "E", "F")
AGAINST = ("shapley", "removal", "marginal", "direct")


def truth_of(
    *effects: float,
    baseline: float = 20.0,
    names: tuple[str, ...] = NAMES,
    error: float = 0.0,
    **others: Any,
) -> Truth:
    """A truth whose effects are all the same unless given; its total is what they add up to."""
    shapley = np.array(effects, dtype=float)
    return Truth(
        channels=names[: len(effects)],
        total=float(shapley.sum() + baseline),
        baseline=baseline,
        **{name: others.get(name, shapley) for name in AGAINST},
        standard_error={name: np.full(len(effects), error) for name in AGAINST},
    )


def credited(
    credit: Any, baseline: float = 0.0, names: tuple[str, ...] = NAMES, **changes: Any
) -> mta.Attribution:
    credit = np.asarray(credit, dtype=float)
    return mta.Attribution(
        channels=names[: len(credit)],
        credit=credit,
        baseline=baseline,
        total=float(credit.sum() + baseline),
        estimand="incremental",
        model="test",
        **changes,
    )


def oracle(truth: Truth) -> mta.Attribution:
    return credited(truth.shapley, truth.baseline, truth.channels)


def shuffled(attribution: mta.Attribution, order: list[int]) -> mta.Attribution:
    draws = None if attribution.draws is None else attribution.draws[:, order]
    names = tuple(attribution.channels[i] for i in order)
    return replace(attribution, channels=names, credit=attribution.credit[order], draws=draws)


# Tenths, so that ties and zeros happen and rounding does not decide an order.
amounts = st.integers(-50, 300).map(lambda tenths: tenths / 10)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[mta.Attribution, Truth]:
    n = draw(st.integers(1, 6))
    effects = draw(st.lists(amounts, min_size=n, max_size=n))
    credit = draw(st.lists(amounts, min_size=n, max_size=n))
    baseline = draw(st.integers(1, 50)) + max(-sum(effects), 0)
    return credited(credit, draw(st.integers(0, 50))), truth_of(*effects, baseline=baseline)


@st.composite
def drawn_pairs(draw: st.DrawFn) -> tuple[mta.Attribution, Truth]:
    attribution, truth = draw(pairs())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_draws = draw(st.integers(1, 30))
    draws = attribution.credit + rng.normal(0, 3, (n_draws, len(attribution.channels)))
    return replace(attribution, draws=draws, baseline_draws=rng.normal(20, 3, n_draws)), truth


def slow_shares(credit: Any) -> list[float]:
    """Parts of positive credit, or all of it on a cell "nobody", as the docstring says."""
    positive = [amount if amount > 0 else 0.0 for amount in credit]
    if sum(positive) == 0:
        return [*positive, 1.0]
    return [amount / sum(positive) for amount in positive] + [0.0]


# ------------------------------------------------------------------------------------ shares


@given(pairs())
def test_total_variation_is_the_largest_difference_over_sets_of_channels(pair: Any) -> None:
    attribution, truth = pair
    given_, true = slow_shares(attribution.credit), slow_shares(truth.shapley)
    cells = range(len(true))
    # The other definition: the most by which any set of channels is over-credited.
    most = max(
        sum(given_[i] - true[i] for i in chosen)
        for size in range(len(true) + 1)
        for chosen in itertools.combinations(cells, size)
    )
    assert metrics.total_variation(attribution, truth) == pytest.approx(most, abs=1e-12)


@given(pairs())
def test_share_mae_and_jensen_shannon_against_loops(pair: Any) -> None:
    attribution, truth = pair
    given_, true = slow_shares(attribution.credit), slow_shares(truth.shapley)
    errors = [abs(p - q) for p, q in zip(given_[:-1], true[:-1], strict=True)]
    assert metrics.share_mae(attribution, truth) == pytest.approx(sum(errors) / len(errors))

    def entropy(shares: list[float]) -> float:
        return -sum(p * math.log2(p) for p in shares if p > 0)

    # Lin's (1991) other form: entropy of the mean less the mean of the entropies.
    middle = [(p + q) / 2 for p, q in zip(given_, true, strict=True)]
    slow = entropy(middle) - (entropy(given_) + entropy(true)) / 2
    assert metrics.jensen_shannon(attribution, truth) == pytest.approx(slow, abs=1e-9)


@given(pairs())
def test_jensen_shannon_and_kendall_agree_with_scipy(pair: Any) -> None:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import kendalltau

    attribution, truth = pair
    distance = jensenshannon(slow_shares(attribution.credit), slow_shares(truth.shapley), base=2)
    # Its square root loses half the digits, and of −1e-17 it is NaN.
    assert metrics.jensen_shannon(attribution, truth) == pytest.approx(
        np.nan_to_num(distance) ** 2, abs=1e-7
    )
    ties = len(set(attribution.credit)) == 1 or len(set(truth.shapley)) == 1
    found = metrics.kendall_tau_b(attribution, truth)
    if ties:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(kendalltau(attribution.credit, truth.shapley).statistic)


@given(pairs())
def test_kendall_against_a_loop_over_pairs(pair: Any) -> None:
    attribution, truth = pair
    concordant = discordant = tied_credit = tied_truth = 0
    for i, j in itertools.combinations(range(len(truth.channels)), 2):
        up, true_up = (x[i] - x[j] for x in (attribution.credit, truth.shapley))
        concordant += up * true_up > 0
        discordant += up * true_up < 0
        tied_credit += up == 0 and true_up != 0
        tied_truth += true_up == 0 and up != 0
    decided = concordant + discordant
    assume((decided + tied_credit) * (decided + tied_truth) > 0)
    slow = (concordant - discordant) / math.sqrt((decided + tied_credit) * (decided + tied_truth))
    assert metrics.kendall_tau_b(attribution, truth) == pytest.approx(slow)


def test_kendall_of_a_published_example() -> None:
    # The example in the documentation of scipy.stats.kendalltau, to the digits printed there.
    first, second = [12, 2, 1, 12, 2], [1, 4, 7, 1, 0]
    assert metrics.kendall_tau_b(credited(first), truth_of(*second)) == pytest.approx(
        -0.47140452079103173
    )


def test_kendall_sees_ties_through_rounding() -> None:
    thirds = [0.1 + 0.2, 0.3, 5.0]
    assert metrics.kendall_tau_b(credited(thirds), truth_of(1, 1, 2)) == pytest.approx(1)
    assert math.isnan(metrics.kendall_tau_b(credited([0.3, 0.1 + 0.2]), truth_of(1, 2)))
    assert math.isnan(metrics.kendall_tau_b(credited([3.0]), truth_of(1)))


def test_shares_by_hand() -> None:
    # The synergy micro-world of A (19) and B (8) with last touch's 15 and 26.
    truth, last = truth_of(19, 8), credited([15, 26], 6)
    assert metrics.total_variation(last, truth) == pytest.approx(19 / 27 - 15 / 41)
    assert metrics.share_mae(last, truth) == pytest.approx(19 / 27 - 15 / 41)
    # One channel has all of the credit and the other all of the truth: one bit, the most.
    assert metrics.jensen_shannon(credited([1, 0]), truth_of(0, 1)) == 1
    # H(3/4, 1/4) − H(1/2, 1/2) / 2 = (2 − 0.75·log2(3)) − 1/2.
    halves = metrics.jensen_shannon(credited([1, 1]), truth_of(1, 0))
    assert halves == pytest.approx(1.5 - 0.75 * math.log2(3))


def test_no_credit_at_all_is_wholly_wrong_where_a_channel_works_and_right_where_none_does() -> None:
    for metric in (metrics.total_variation, metrics.jensen_shannon):
        assert metric(credited([0, 0], 9), truth_of(1, 3)) == 1
        assert metric(credited([1, 3]), truth_of(0, 0)) == 1
        assert metric(credited([0, -1], 9), truth_of(0, 0)) == 0


def test_negative_credit_has_no_share() -> None:
    # −5 counts as 0: the shares are (1, 0) and the truth's too, and only the amounts see it.
    attribution, truth = credited([10, -5]), truth_of(10, -20, baseline=30)
    assert metrics.total_variation(attribution, truth) == 0
    assert metrics.absolute_error(attribution, truth) == 15 / 20


@given(pairs())
def test_distances_of_shares_are_bounded_and_symmetric(pair: Any) -> None:
    attribution, truth = pair
    swapped = credited(truth.shapley), truth_of(*attribution.credit, baseline=1e3)
    n = len(truth.channels)
    for metric, most in (
        (metrics.total_variation, 1),
        (metrics.share_mae, 2 / n),
        (metrics.jensen_shannon, 1),
    ):
        found = metric(attribution, truth)
        assert 0 <= found <= most + 1e-12
        assert metric(*swapped) == pytest.approx(found, abs=1e-12)
    # Lin (1991) bounds the divergence in bits by half the sum of differences.
    assert (
        metrics.jensen_shannon(attribution, truth)
        <= metrics.total_variation(attribution, truth) + 1e-12
    )


# ----------------------------------------------------------------------------------- amounts


@given(pairs())
def test_amounts_against_loops(pair: Any) -> None:
    attribution, truth = pair
    credit, true = list(attribution.credit), list(truth.shapley)
    both = list(zip(credit, true, strict=True))
    assert metrics.absolute_error(attribution, truth) == pytest.approx(
        sum(abs(c - t) for c, t in both) / truth.total
    )
    for found, (c, t) in zip(metrics.relative_error(attribution, truth), both, strict=True):
        assert math.isnan(found) if t == 0 else found == pytest.approx((c - t) / abs(t))
    opposite = sum((c > 0 > t) or (c < 0 < t) for c, t in both)
    assert metrics.sign_errors(attribution, truth) == opposite
    nulls = [abs(c) for c, t in both if t == 0]
    found = metrics.credit_to_null_channels(attribution, truth)
    assert found == pytest.approx(sum(nulls) / truth.total) if nulls else math.isnan(found)
    caused = sum(true)
    if abs(caused) > 1e-6:
        assert metrics.over_credit(attribution, truth) == pytest.approx(sum(credit) / caused)
    assert metrics.baseline_error(attribution, truth) == pytest.approx(
        (attribution.baseline - truth.baseline) / truth.total
    )


def test_over_credit_where_no_channel_causes_anything() -> None:
    truth = truth_of(0.1 + 0.2, -0.3, baseline=40.0)
    assert metrics.over_credit(credited([10, 5], 25), truth) == math.inf
    assert math.isnan(metrics.over_credit(credited([0, 0], 40), truth))


def test_a_truth_within_two_standard_errors_of_0_has_no_sign() -> None:
    wrong = credited([-1, 1])
    assert metrics.sign_errors(wrong, truth_of(5, -5)) == 2
    assert metrics.sign_errors(wrong, truth_of(5, -5, error=2.4)) == 2
    assert metrics.sign_errors(wrong, truth_of(5, -5, error=2.6)) == 0


def test_rounding_makes_no_channel_effective() -> None:
    truth = truth_of(80, 1e-14)
    assert math.isnan(metrics.relative_error(credited([80, 5]), truth)[1])
    assert metrics.credit_to_null_channels(credited([80, -5]), truth) == pytest.approx(0.05)


# --------------------------------------------------------------------------------- intervals


@given(drawn_pairs(), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_intervals_against_loops(pair: Any, prob: float) -> None:
    attribution, truth = pair
    inside, wide, score = [], [], []
    columns = [*attribution.draws.T, attribution.baseline_draws]
    for drawn, true in zip(columns, [*truth.shapley, truth.baseline], strict=True):
        lower, upper = np.quantile(drawn, [(1 - prob) / 2, (1 + prob) / 2])
        inside.append(lower <= true <= upper)
        wide.append(upper - lower)
        penalty = 0.0
        if true < lower:
            penalty = 2 / (1 - prob) * (lower - true)
        elif true > upper:
            penalty = 2 / (1 - prob) * (true - upper)
        score.append(wide[-1] + penalty)
    scale = len(columns) * truth.total
    assert metrics.covered(attribution, truth, prob).tolist() == inside
    assert metrics.coverage(attribution, truth, prob) == sum(inside) / len(columns)
    assert metrics.width(attribution, truth, prob) == pytest.approx(sum(wide) / scale)
    assert metrics.winkler_score(attribution, truth, prob) == pytest.approx(sum(score) / scale)


def test_intervals_by_hand() -> None:
    # 101 even steps: the 80% interval of A is [10, 90], of B [110, 190], of the baseline [1, 9].
    steps = np.arange(101.0)
    attribution = credited(
        [50, 150], 5, draws=np.column_stack([steps, 100 + steps]), baseline_draws=steps / 10
    )
    truth = truth_of(60, 100, baseline=9.0)
    assert metrics.covered(attribution, truth, 0.8).tolist() == [True, False, True]
    assert metrics.coverage(attribution, truth, 0.8) == pytest.approx(2 / 3)
    assert metrics.width(attribution, truth, 0.8) == pytest.approx((80 + 80 + 8) / 3 / 169)
    # B is missed by 10: 2 / 0.2 times 10 is a penalty of 100.
    assert metrics.winkler_score(attribution, truth, 0.8) == pytest.approx(268 / 3 / 169)


def test_channels_with_effect_without_and_the_baseline_are_held_apart() -> None:
    # Intervals [10, 90] of every channel and [1, 9] of the baseline, at 80%.
    steps = np.arange(101.0)
    draws = np.column_stack([steps, steps, steps, steps])
    drawn = credited([50, 50, 50, 50], 5, draws=draws, baseline_draws=steps / 10)
    truth = truth_of(60, 95, 20, 0, baseline=5.0)
    parts = {"effect": 2 / 3, "null": 0.0, "baseline": 1.0, "channels": 1 / 2, "all": 3 / 5}
    for among, expected in parts.items():
        assert metrics.coverage(drawn, truth, 0.8, among=among) == pytest.approx(expected)
    assert metrics.width(drawn, truth, 0.8, among="channels") == pytest.approx(80 / 180)
    assert metrics.width(drawn, truth, 0.8, among="baseline") == pytest.approx(8 / 180)
    every = truth_of(60, 95, 20, 5, baseline=5.0)
    assert math.isnan(metrics.coverage(drawn, every, 0.8, among="null"))
    with pytest.raises(mta.ParameterError, match="`among` must be one of"):
        metrics.width(drawn, truth, 0.8, among="some")  # type: ignore[arg-type]  # refused


def test_credit_of_null_channels_together_and_the_baseline_relative_to_itself() -> None:
    truth = truth_of(60, 0, 20, 0, baseline=20.0)
    found = credited([30, 20, 40, -10], 20.0)
    assert metrics.null_share(found, truth) == pytest.approx(30 / 100)
    assert metrics.relative_baseline_error(found, truth) == 0
    assert metrics.relative_baseline_error(credited([1, 1, 1, 1], 15.0), truth) == -0.25
    assert metrics.null_share(credited([0, 0, 0, 0], 100.0), truth) == 0
    assert math.isnan(metrics.null_share(credited([1, 2]), truth_of(1, 2)))
    assert math.isnan(metrics.relative_baseline_error(credited([1, 2]), truth_of(1, 2, baseline=0)))


def test_the_honest_interval_has_the_best_winkler_score() -> None:
    # Proper: over truths drawn from the same law as the draws, no scaling of the interval pays.
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (4000, 1))
    scores = {}
    for scale in (0.5, 1.0, 2.0):
        drawn = 50 + scale * noise
        attribution = credited([50], draws=drawn, baseline_draws=np.full(4000, 20.0))
        scores[scale] = np.mean(
            [
                metrics.winkler_score(attribution, truth_of(50 + shift), 0.8)
                for shift in rng.normal(0, 1, 400)
            ]
        )
    assert min(scores, key=lambda scale: scores[scale]) == 1


def test_no_interval_without_draws() -> None:
    for metric in (metrics.covered, metrics.coverage, metrics.width, metrics.winkler_score):
        with pytest.raises(mta.MTAError, match="bootstrap"):
            metric(credited([1, 2]), truth_of(1, 2))  # type: ignore[operator]


# --------------------------------------------------------------------------------- stability


@given(st.lists(st.lists(amounts, min_size=3, max_size=3), min_size=2, max_size=7))
def test_stability_is_the_mean_over_pairs(credits: list[list[float]]) -> None:
    every = [credited(credit) for credit in credits]
    apart = [
        sum(abs(p - q) for p, q in zip(slow_shares(a), slow_shares(b), strict=True)) / 2
        for a, b in itertools.combinations(credits, 2)
    ]
    assert metrics.stability(every) == pytest.approx(sum(apart) / len(apart), abs=1e-12)


def test_stability_of_two_is_their_total_variation_and_names_are_aligned() -> None:
    first = credited([6, 2])
    second = credited([3, 1], names=("C", "B"))
    truth = truth_of(0, 1, 3)
    assert metrics.stability([first, second]) == metrics.total_variation(first, truth) == 0.75
    assert metrics.stability(iter([first, first, first])) == 0
    with pytest.raises(mta.ParameterError, match="two attributions or more; got 1"):
        metrics.stability([first])


# --------------------------------------------------------------------------- what all share


@given(pairs())
def test_the_oracle_is_perfect(pair: Any) -> None:
    _, truth = pair
    assume(abs(truth.incremental) > 1)
    row = metrics.table(oracle(truth), truth)
    for name in ("total_variation", "share_mae", "jensen_shannon", "absolute_error"):
        assert row[name] == pytest.approx(0, abs=1e-12)
    assert row["sign_errors"] == row["baseline_error"] == 0
    assert row["over_credit"] == pytest.approx(1)
    for name, best in (
        ("kendall_tau_b", 1),
        ("relative_error", 0),
        ("credit_to_null_channels", 0),
    ):
        assert math.isnan(row[name]) or row[name] == pytest.approx(best, abs=1e-12)


@given(drawn_pairs(), st.randoms(use_true_random=False), st.sampled_from(AGAINST))
def test_the_order_of_channels_is_of_no_account(pair: Any, random: Any, against: Any) -> None:
    attribution, truth = pair
    order = list(range(len(truth.channels)))
    random.shuffle(order)
    moved = shuffled(attribution, order)
    row = metrics.table(attribution, truth, against=against)
    again = metrics.table(moved, truth, against=against)
    assert again == pytest.approx(row, abs=1e-9, nan_ok=True)
    np.testing.assert_array_equal(
        metrics.relative_error(attribution, truth), metrics.relative_error(moved, truth)
    )


@given(drawn_pairs(), st.sampled_from([0.01, 7.0, 1e5]))
def test_the_size_of_the_world_is_of_no_account(pair: Any, size: float) -> None:
    attribution, truth = pair
    big = replace(
        attribution,
        **{
            name: getattr(attribution, name) * size
            for name in ("credit", "baseline", "total", "draws", "baseline_draws")
        },
    )
    known = truth.scaled(size)
    row = metrics.table(attribution, truth)
    assert metrics.table(big, known) == pytest.approx(row, abs=1e-9, nan_ok=True)


def test_against_chooses_the_truth() -> None:
    others = {name: np.array([k + 1.0, 9.0]) for k, name in enumerate(AGAINST[1:])}
    truth = truth_of(50, 9, **others)
    for name, effects in {"shapley": truth.shapley, **others}.items():
        row = metrics.table(credited(effects, 20), truth, against=name)  # type: ignore[arg-type]
        assert row["total_variation"] == row["absolute_error"] == 0, name
    with pytest.raises(mta.ParameterError, match=r"against must be one of .*; got 'last'"):
        metrics.total_variation(oracle(truth), truth, against="last")  # type: ignore[arg-type]


def test_a_channel_that_the_log_lacks_is_credited_0() -> None:
    truth = truth_of(30, 10, 40)  # 100 in all
    walled = credited([30, 40], 30, names=("A", "C"))
    full = credited([30, 0, 40], 30)
    assert metrics.table(walled, truth) == pytest.approx(metrics.table(full, truth), nan_ok=True)
    drawn = replace(walled, draws=np.zeros((2, 2)), baseline_draws=np.zeros(2))
    assert metrics.winkler_score(drawn, truth, 0.5) == pytest.approx(4 * (30 + 10 + 40 + 20) / 400)


def test_a_channel_that_the_truth_lacks_is_an_error() -> None:
    with pytest.raises(mta.UnknownChannelError, match=r"channels are A, B; .* has 'C'"):
        metrics.table(credited([1, 2, 0]), truth_of(1, 2))
    with pytest.raises(mta.UnknownChannelError, match="truth of its own world"):
        metrics.over_credit(credited([1, 2, 0]), truth_of(1, 2))


def test_a_truth_is_in_conversions() -> None:
    with pytest.raises(mta.ParameterError, match='Attribute with of="conversions"'):
        metrics.total_variation(credited([1, 2], of="value"), truth_of(1, 2))


def test_a_table_has_the_same_columns_with_and_without_draws() -> None:
    plain, truth = credited([1, 2]), truth_of(1, 2)
    drawn = replace(plain, draws=np.ones((5, 2)), baseline_draws=np.ones(5))
    without, with_draws = metrics.table(plain, truth), metrics.table(drawn, truth)
    assert list(without) == list(with_draws)
    names = ("coverage", "width", "winkler")
    intervals = [f"{name}_{prob}" for prob in (50, 80, 90, 95) for name in names]
    apart = ["coverage_90_effect", "coverage_90_null", "coverage_90_baseline", "width_90_channels"]
    assert list(without)[-16:] == intervals + apart
    assert all(math.isnan(without[name]) for name in intervals)
    assert not any(math.isnan(with_draws[name]) for name in intervals)
    # Both channels have an effect here.
    assert [name for name in apart if math.isnan(with_draws[name])] == ["coverage_90_null"]
    assert with_draws["winkler_80"] == metrics.winkler_score(drawn, truth, 0.8)
    assert all(type(value) is float for value in with_draws.values())


# ------------------------------------------------------------------------------------ regret


# A world of arithmetic: A .5, B .4, P = .02 + .03 A + .01 B + .04 A B.
def synergy(**spend: float) -> Simulation:
    world = make("micro_synergy", n_users=1000)
    empty = world.simulate()
    return replace(empty, costs=spend)


def test_regret_by_hand() -> None:
    # Equal spend: the preferred channel gets half as much again, the other half. With A preferred
    # P(A) = .75 and P(B) = .2 give 20 + 22.5 + 2 + 6 = 50.5 conversions per 1,000 users, with B
    # P(A) = .25 and P(B) = .6 give 20 + 7.5 + 6 + 6 = 39.5; now there are 47.
    simulation = synergy(A=100.0, B=100.0)
    last_touch = credited([15, 26], 6)
    assert metrics.budget_regret(last_touch, simulation) == pytest.approx(11 / 47)
    assert metrics.budget_regret(oracle(simulation.truth), simulation) == 0
    stays = credited([20, 20], 7)
    assert metrics.budget_regret(stays, simulation) == pytest.approx(3.5 / 47)
    every = metrics.budget_regrets([last_touch, stays, last_touch], simulation)
    assert every == pytest.approx([11 / 47, 3.5 / 47, 11 / 47])
    # A channel that the log lacks has no credit: here all the rest goes to B.
    assert metrics.budget_regret(credited([41], 6, ("B",)), simulation) == pytest.approx(11 / 47)


def test_regret_depends_on_spend_and_on_the_effect_asked_for() -> None:
    # B at a tenth of A's price has the better return, and all agree.
    cheap = synergy(A=100.0, B=10.0)
    assert metrics.budget_regret(credited([15, 26], 6), cheap) == 0
    # Only A is bought: there is nothing to move it to.
    assert metrics.budget_regret(credited([15, 26], 6), synergy(A=100.0, B=0.0)) == 0
    # In the upstream world A does nothing directly, but causes B: an oracle that goes by direct
    # effects moves the budget as last touch does.
    upstream = replace(make("micro_upstream", n_users=1000).simulate(), costs={"A": 9.0, "B": 2.0})
    b_first = credited([0, 40], 10)
    assert metrics.budget_regret(b_first, upstream, against="direct") == 0


@pytest.mark.parametrize("name", ["randomised", "intent"])
def test_regret_in_a_world_against_one_run_for_each_move(name: str) -> None:
    simulation = make(name, n_users=2000, seed=3).simulate()
    world, truth, n = simulation.world, simulation.truth, 3000
    channels = world.channels
    spend = np.array([simulation.costs[channel] for channel in channels])
    backwards = credited(truth.shapley[::-1], truth.baseline, channels)

    def after(credit: Any) -> float:
        return float(world.expected([reallocate(np.asarray(credit), spend)], users=n)[0])

    now = float(world.expected([np.ones(len(channels))], users=n)[0])
    slow = (after(truth.marginal) - after(backwards.credit)) / now
    assert metrics.budget_regret(backwards, simulation, users=n) == pytest.approx(slow)
    right = credited(truth.removal, 0.0, channels)
    found = metrics.budget_regrets([right, backwards], simulation, users=n)
    assert found[0] == pytest.approx(0, abs=0.003)
    assert found[1] > 0.02


def test_regret_refuses_a_channel_of_another_world() -> None:
    with pytest.raises(mta.UnknownChannelError, match="has 'Z'"):
        metrics.budget_regret(credited([1], names=("Z",)), synergy(A=1.0, B=1.0))
