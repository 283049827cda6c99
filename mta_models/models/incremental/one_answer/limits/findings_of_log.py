"""What a log shows of each channel that limits what can be said of its effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask
from mta_models.data.histories import Histories
from mta_models.models.incremental.one_answer.entrances import WINDOW, may_close_sales
from mta_models.models.incremental.one_answer.results import Findings, Settings
from mta_models.models.incremental.one_answer.within_fit import WithinFit
from mta_models.models.incremental.one_answer.within_rate import Free, joint_columns, parameters_of

# Days before a purchase that show how often a channel is met by chance in half a day.
_USUAL = 7.0
# Touchpoints of a channel that does not vary lie within a day of each other, all but this part.
_DAY, _APART = 1.0, 0.05
# Days before purchases whose touchpoints are compared for slow decisions: the last day, the three
# before it, and a fortnight long before; z from which a channel is slow, and that of all together.
_LAST, _THREE, _LONG = (0.0, 1.0), (1.0, 4.0), (14.0, 28.0)
_SLOW_Z, _ALL_SLOW_Z = -1.0, -3.0
# Part of the usual number of touchpoints that there must be in the last hour: else the log's times
# are too coarse, or leave the last hours out.
_HOUR, _AT_ONCE = 1 / 24, 0.5
# A channel looks like an entrance if its touchpoints in the last hour, beyond those by chance, are
# this part of all purchases, those of the week before that at most this part of these, and those of
# the half day too. No channel that is not an entrance does so in 93 logs for development.
_MANY, _HARDLY, _FEWER = 0.03, 0.1, 0.5
# z of touchpoints after purchases where there are hardly any before to compare with.
_MORE_Z = 6.0


@dataclass(frozen=True, eq=False)
class _Earlier:
    """Touchpoints before conversions.

    Attributes:
        event: shape `(n_pairs,)`, each pair's conversion.
        code: its channel.
        age: days from the touchpoint to the conversion, >= 0.
        weight: of the conversion.
        n_channels: number of channels.
    """

    event: Ints
    code: Ints
    age: Floats
    weight: Floats
    n_channels: int

    @classmethod
    def of(cls, histories: Histories) -> _Earlier:
        """All of a log."""
        event, touchpoint, age = histories.pairs
        code = histories.codes[touchpoint].astype(np.int64)
        weight = histories.event_weight[event]
        return cls(event, code, age, weight, histories.n_channels)

    def touchpoints(self, low: float, high: float) -> Floats:
        """Those of each channel in (low, high] days before, shape `(n_channels,)`."""
        inside = (self.age > low) & (self.age <= high)
        counted = np.bincount(self.code[inside], self.weight[inside], self.n_channels)
        return counted.astype(np.float64)

    def conversions(self, high: float) -> Floats:
        """Conversions with one at most `high` days before, shape `(n_channels,)`."""
        at = np.flatnonzero(self.age <= high)
        _, first = np.unique(self.event[at] * self.n_channels + self.code[at], return_index=True)
        at = at[first]
        counted = np.bincount(self.code[at], self.weight[at], self.n_channels)
        return counted.astype(np.float64)


def findings_of(histories: Histories, settings: Settings, fit: WithinFit | None) -> Findings:
    """What limits the answer.

    Args:
        histories: before entrances were treated.
        settings: which channels are entrances.
        fit: of users compared with themselves; None: they were compared with each other.
    """
    k = histories.n_channels
    met = np.bincount(histories.codes, minlength=k).astype(np.float64)
    earlier = _Earlier.of(histories)
    near = earlier.conversions(WINDOW)
    usual = earlier.touchpoints(WINDOW, WINDOW + _USUAL) * (WINDOW / _USUAL)
    closes = np.fromiter(map(may_close_sales, histories.channels), dtype=bool, count=k)
    zeros = np.zeros(k)
    return Findings(
        met=met,
        before=earlier.conversions(np.inf),
        near=near,
        closed=np.maximum(near - usual, 0.0) * (closes & settings.entrances),
        looks=_looks(earlier, histories.total) & ~settings.entrances & ~settings.bought,
        steady=_steady(histories) & (met > 0),
        slow=zeros > 0 if fit is None else _slow(earlier, fit, settings),
        own_effect=zeros if fit is None else fit.own_effect,
        more=zeros > 0 if fit is None else _more(fit),
        fewer=zeros > 0 if fit is None else fit.changes.fewer,
        brought=zeros if fit is None else 1 - np.prod(1 - fit.brought, axis=0),
        harm=zeros if fit is None else _harm(fit),
        intent=fit is not None and fit.intent_kept,
        needs=fit is not None and _needs(fit),
        between=fit is None,
    )


def _looks(earlier: _Earlier, total: float) -> Mask:
    """Channels met within the hour before purchases and hardly days before, `(n_channels,)`.

    An ad that makes people buy at once makes some of them buy on the next days too.
    """
    usual = earlier.touchpoints(*_LONG) / (_LONG[1] - _LONG[0])
    hour = earlier.touchpoints(0.0, _HOUR) - usual * _HOUR
    half_day = earlier.touchpoints(_HOUR, WINDOW) - usual * (WINDOW - _HOUR)
    week = earlier.touchpoints(WINDOW, _USUAL) - usual * (_USUAL - WINDOW)
    looks: Mask = (hour > _MANY * total) & (week < _HARDLY * hour) & (half_day < _FEWER * hour)
    return looks


def _steady(histories: Histories) -> Mask:
    """Channels met at one time since the start of observation, shape `(n_channels,)`."""
    since = histories.time - histories.start[histories.owner]
    order = np.lexsort((since, histories.codes))
    cuts = np.searchsorted(histories.codes[order], np.arange(histories.n_channels + 1))
    first, n = cuts[:-1], np.diff(cuts)
    last = max(len(since) - 1, 0)

    def quantile(part: float) -> Floats:
        at = first + np.floor(part * np.maximum(n - 1, 0)).astype(np.int64)
        return since[order][np.minimum(at, last)] if len(since) else np.zeros(len(n))

    steady: Mask = quantile(1 - _APART / 2) - quantile(_APART / 2) < _DAY
    return steady


def _slow(earlier: _Earlier, fit: WithinFit, settings: Settings) -> Mask:
    """Channels met as often one to four days before purchases as on the last day, `(n_channels,)`.

    An effect that begins at once and fades is largest on the last day.
    """

    def a_day(span: tuple[float, float]) -> Floats:
        return earlier.touchpoints(*span) / (span[1] - span[0])

    last, three, long = a_day(_LAST), a_day(_THREE), a_day(_LONG)
    if (earlier.touchpoints(0.0, _HOUR) - _AT_ONCE * _HOUR * long)[~settings.entrances].sum() < 0:
        return np.zeros(earlier.n_channels, dtype=bool)
    works = ~settings.entrances & (fit.rate.effect > 0)
    z = (three - last) / np.sqrt(three / 3 + last + 1)
    more_last, more_three = (np.maximum(each - long, 0)[works].sum() for each in (last, three))
    spread = np.sqrt(more_three / 3 + more_last + 4 / 3 * long.sum() + 1)
    slow: Mask = works & (z > _SLOW_Z) & ((more_three - more_last) / spread > _ALL_SLOW_Z)
    return slow


def _more(fit: WithinFit) -> Mask:
    """Channels of which a purchase brings about touchpoints, shape `(n_channels,)`."""
    uncompared = fit.changes.ratio == 1
    more: Mask = fit.changes.more | (uncompared & (fit.changes.z > _MORE_Z))
    return more


def _harm(fit: WithinFit) -> Floats:
    """How clearly each effect is below 0, shape `(n_channels,)`: z of the slope at 0."""
    k = fit.design.n_channels
    terms = joint_columns(fit.design, fit.rate, Free(np.ones(k), fit.free.intent))
    values = parameters_of(fit.rate)
    scores = terms.scores(values)[:, :k]
    slope = terms.weight @ scores
    spread = np.sqrt(terms.weight @ scores**2)
    z = np.divide(slope, spread, out=np.zeros(k), where=spread > 0)
    return np.where((fit.rate.effect > 0) | (fit.free.effect == 0), 0.0, z)


def _needs(fit: WithinFit) -> bool:
    """Whether touchpoints come in needs that the fit kept."""
    both = zip(fit.rate.columns, fit.rate.amount, strict=True)
    return any(amount > 0 and column.need for column, amount in both)
