"""What a log shows of each channel that limits what can be said of its effect."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Floats, Mask
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
# Part of purchases that must follow a touchpoint within an hour: else the log's times are too
# coarse, or leave the last hours out.
_HOUR, _AT_ONCE = 1 / 24, 0.02
# z of touchpoints after purchases where there are hardly any before to compare with.
_MORE_Z = 6.0


def findings_of(histories: Histories, settings: Settings, fit: WithinFit | None) -> Findings:
    """What limits the answer.

    Args:
        histories: before entrances were treated.
        settings: which channels are entrances.
        fit: of users compared with themselves; None: they were compared with each other.
    """
    k = histories.n_channels
    met = np.bincount(histories.codes, minlength=k).astype(np.float64)
    before, near, usual = _met_before(histories)
    closes = np.fromiter(map(may_close_sales, histories.channels), dtype=bool, count=k)
    excess = np.maximum(near - usual, 0.0) * (closes & settings.entrances)
    zeros = np.zeros(k)
    return Findings(
        met=met,
        before=before,
        near=near,
        closed=excess,
        steady=_steady(histories) & (met > 0),
        slow=zeros > 0 if fit is None else _slow(histories, fit, settings.entrances),
        own_effect=zeros if fit is None else fit.own_effect,
        more=zeros > 0 if fit is None else _more(fit),
        fewer=zeros > 0 if fit is None else fit.changes.fewer,
        ratio=zeros + 1 if fit is None else fit.changes.ratio,
        brought=zeros if fit is None else 1 - np.prod(1 - fit.brought, axis=0),
        harm=zeros if fit is None else _harm(fit),
        intent=fit is not None and fit.intent_kept,
        needs=fit is not None and _needs(fit),
        between=fit is None,
    )


def _met_before(histories: Histories) -> tuple[Floats, Floats, Floats]:
    """Conversions before which each channel was met, shape `(n_channels,)` each.

    At any time; at most half a day before; and by chance in half a day, from the week before it.
    """
    k = histories.n_channels
    event, touchpoint, age = histories.pairs
    cell, weight = event * k + histories.codes[touchpoint], histories.event_weight

    def counted(chosen: Mask) -> Floats:
        at = np.unique(cell[chosen])
        return np.bincount(at % k, weight[at // k], k).astype(np.float64)

    week = (age > WINDOW) & (age <= WINDOW + _USUAL)
    each = np.bincount(cell[week] % k, weight[event[week]], k).astype(np.float64)
    return counted(age >= 0), counted(age <= WINDOW), each * (WINDOW / _USUAL)


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


def _slow(histories: Histories, fit: WithinFit, entrances: Mask) -> Mask:
    """Channels met as often one to four days before purchases as on the last day, `(n_channels,)`.

    An effect that begins at once and fades is largest on the last day.
    """
    k = histories.n_channels
    event, touchpoint, age = histories.pairs
    code, weight = histories.codes[touchpoint], histories.event_weight[event]

    def a_day(span: tuple[float, float]) -> Floats:
        inside = (age > span[0]) & (age <= span[1])
        return np.bincount(code[inside], weight[inside], k) / (span[1] - span[0])

    if weight[age <= _HOUR].sum() < _AT_ONCE * histories.total:
        return np.zeros(k, dtype=bool)
    last, three, long = a_day(_LAST), a_day(_THREE), a_day(_LONG)
    works = ~entrances & (fit.rate.effect > 0)
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
