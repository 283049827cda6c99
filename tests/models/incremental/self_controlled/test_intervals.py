"""Draws of SelfControlled: decisions that a log leaves open, and channels without effect."""

from __future__ import annotations

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.incremental.self_controlled.moving_intent import MOVING


@pytest.mark.parametrize(("seed", "kept"), [(3, False), (4, True)])
def test_a_close_decision_about_moving_intent_is_made_again_in_every_draw(
    seed: int, kept: bool
) -> None:
    journeys = mta.worlds.make("bursts", n_users=6_000, seed=seed).simulate().journeys
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    assert model.moving_intent_.kept == kept
    prepared = model._prepared(journeys.histories)
    assert prepared.other is not None
    rival, gains, required = prepared.other
    assert gains.sum() == pytest.approx(model.moving_intent_.gain, rel=1e-6)
    assert rival.rate.moves != prepared.rate.moves
    # Only conversions that speak for moving intent, then only those that speak against it.
    for chosen in (gains > 0, gains < 0):
        weight = chosen.astype(np.float64)
        _, rate = prepared.refit(weight)
        assert rate.moves == (weight @ gains > required)
    drawn = mta.bootstrap(model, journeys, n_draws=40, random_state=1).draws
    assert drawn is not None
    model._gate = None
    fixed = mta.bootstrap(model, journeys, n_draws=40, random_state=1).draws
    assert fixed is not None
    assert drawn.sum(axis=1).std() > 0.9 * fixed.sum(axis=1).std()


def test_a_clear_decision_stays() -> None:
    journeys = mta.worlds.make("randomised", n_users=6_000, seed=1).simulate().journeys
    model = mta.SelfControlled(half_life="4d").fit(journeys)
    assert model._prepared(journeys.histories).other is None
    assert model.moving_intent_.effect.shape == (len(MOVING), 6)


@pytest.mark.slow
def test_intervals_hold_the_zero_of_a_channel_without_effect() -> None:
    """40 logs; that 90% intervals held fewer than 31 by chance has a probability of .5%."""
    world = mta.worlds.make("randomised", n_users=5_000)
    held = 0
    for seed in range(40):
        journeys = mta.worlds.make("randomised", n_users=5_000, seed=seed).simulate().journeys
        result = mta.bootstrap(mta.SelfControlled(), journeys, n_draws=60, random_state=seed)
        low, high = result.interval(0.9)[result.channels.index("Affiliate")]
        held += bool(low <= 0 <= high)
    assert world.truth().shapley[world.channels.index("Affiliate")] == pytest.approx(0)
    assert held >= 31
