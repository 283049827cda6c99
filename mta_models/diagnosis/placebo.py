"""Placebo touchpoints: those of a channel, moved to other times of the same users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mta_models.core.ragged import Floats, segment_sum
from mta_models.data.histories import Histories
from mta_models.models.incremental.hazard.calendar import Calendar
from mta_models.models.incremental.hazard.hazard import Hazard
from mta_models.models.incremental.hazard.likelihood import Rates, maximise_additive


def shifted(histories: Histories, rng: np.random.Generator) -> Histories:
    """The same users; the touchpoints of each user are rotated by a random time.

    t becomes start + (t − start + δ) mod (end − start), with δ uniform over the user's observation.
    The channels that a user met, their number and the distances between touchpoints (also across
    the ends) stay; the times change.
    """
    begin, length = histories.start, np.maximum(histories.end - histories.start, 0)
    move = rng.random(histories.n_users) * length
    user = histories.owner
    day = histories.time - begin[user] + move[user]
    around = np.where(length[user] > 0, length[user], 1.0)
    time = np.where(length[user] > 0, begin[user] + np.mod(day, around), histories.time)
    order = np.lexsort((time, user))
    codes = histories.codes[order]
    moved = replace(histories, time=time[order], codes=codes, touchpoint=None, met=None)
    return replace(moved, event_stop=moved.seen_by(moved.event_user, moved.event_time))


def only(histories: Histories, channel: int) -> Histories:
    """The same users and conversions with the touchpoints of one channel only."""
    chosen = histories.codes == channel
    offsets = np.concatenate(([0], np.cumsum(segment_sum(chosen, histories.offsets))))
    alone = replace(
        histories,
        channels=(histories.channels[channel],),
        offsets=offsets,
        time=histories.time[chosen],
        codes=np.zeros(int(chosen.sum()), dtype=np.int64),
        touchpoint=None,
        met=None if histories.met is None else histories.met[chosen],
    )
    return replace(alone, event_stop=alone.seen_by(alone.event_user, alone.event_time))


def thinned(
    histories: Histories, rng: np.random.Generator, n_converting: int, n_others: int
) -> Histories:
    """A weighted sample: at most `n_converting` users who convert, `n_others` who do not."""
    converts = np.isfinite(histories.first_event)
    kept = np.zeros(histories.n_users, dtype=bool)
    scale = np.ones(histories.n_users)
    for kind, most in ((converts, n_converting), (~converts, n_others)):
        users = np.flatnonzero(kind)
        if len(users) > most:
            scale[users] = len(users) / most
            users = rng.choice(users, most, replace=False)
        kept[users] = True
    if kept.all():
        return histories
    some = histories.take(np.flatnonzero(kept))
    scale = scale[kept]
    return replace(
        some, weight=some.weight * scale, event_weight=some.event_weight * scale[some.event_user]
    )


class PlaceboTest:
    """A channel's credit by a fitted hazard, and its credit with its touchpoints moved in time.

    Half-lives, the calendar and the touchpoints of other channels stay as in the fit; effects and
    baseline are fitted again. Credit is that of `counterfactual="moment"`, in conversions. If a
    channel has an effect, moving its touchpoints in time reduces its credit. Credit that stays
    comes from which users met the channel, not from when.

    Args:
        model: a hazard fitted on these histories.
        histories: histories of an event log.
    """

    def __init__(self, model: Hazard, histories: Histories) -> None:
        self.histories = histories
        self.half_life = model.half_life_
        self.stop = histories.risk_end(model.repeat_)
        calendar = Calendar(model.calendar_)
        rate = np.vstack(
            [histories.adstock(self.half_life).T, calendar.at(histories.event_time)[None]]
        )
        days = histories.weight @ calendar.between(histories.start, self.stop)
        cost = np.append(histories.totals(self.half_life, self.stop), days)
        self.rates = Rates(rate, histories.event_weight, cost)
        self.theta = np.append(model.beta_ * np.log(2) / self.half_life, model.baseline_hazard_)

    @property
    def credit(self) -> Floats:
        """Credit with the original times, in conversions, shape `(n_channels,)`."""
        return (self.theta * self.rates.cost)[:-1]

    def moved(self, channel: int, n: int, rng: np.random.Generator) -> Floats:
        """The channel's credit in n fits, each with its touchpoints moved again, shape `(n,)`."""
        alone, half_life = only(self.histories, channel), self.half_life[[channel]]
        credit = np.zeros(n)
        for i in range(n):
            placebo = shifted(alone, rng)
            rate, cost = self.rates.rate.copy(), self.rates.cost.copy()
            rate[channel] = placebo.adstock(half_life)[:, 0]
            cost[channel] = placebo.totals(half_life, self.stop)[0]
            best = maximise_additive(Rates(rate, self.rates.weight, cost), self.theta, gap=1e-3)
            credit[i] = best.theta[channel] * cost[channel]
        return credit
