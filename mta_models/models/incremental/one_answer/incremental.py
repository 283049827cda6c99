"""`Incremental`: one answer to how many conversions would be gone without each channel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mta_models.core.checks import check_seed, items_of, shown
from mta_models.core.ragged import Floats, Mask
from mta_models.data.histories import Histories
from mta_models.data.journeys import Journeys
from mta_models.data.kernels import HalfLifeKernel
from mta_models.data.lift_tests import LiftTest
from mta_models.errors import (
    IdentifiabilityWarning,
    JourneyError,
    ParameterError,
    UnknownChannelError,
    warn,
)
from mta_models.models.base import AttributionModel, Refitter
from mta_models.models.incremental.accounts import (
    placed_in_journeys,
    shared_over_touchpoints,
    split_by_age,
    worths_of,
)
from mta_models.models.incremental.bayesian.lift_likelihood import (
    check_lift_tests,
    check_tested_channels,
)
from mta_models.models.incremental.horizon_games import scaled_to
from mta_models.models.incremental.one_answer.breakdown import (
    Breakdown,
    divided,
    periods_of,
    segments_of,
)
from mta_models.models.incremental.one_answer.entrances import guessed_entrances, treat
from mta_models.models.incremental.one_answer.estimate import estimate_credit
from mta_models.models.incremental.one_answer.results import (
    IS_ENTRANCE,
    Estimate,
    Reading,
    Settings,
)
from mta_models.models.incremental.one_answer.verdict import ChannelVerdict, verdict_of
from mta_models.models.parameters import generator

# Conversions below which there is no answer.
FEWEST = 30


class Incremental(AttributionModel):
    """How many conversions would be gone without each channel: one answer, with its interval.

    Each buyer is compared with themselves on other days, so that stable intent cancels, as in
    `SelfControlled`. Before that, channels are divided into two kinds. *Entrances* are channels
    through which people come who have decided already: Direct, brand search, organic search,
    coupons, affiliates. All other channels are pushed or bought. A touchpoint of an entrance within
    12 hours before a conversion is the way to a purchase and not its cause, so it does not count;
    elsewhere an entrance's touchpoint counts from 12 hours after it was met.

    Four things that would look like effects are measured in the log and kept out of credit. Visits
    *on the way* to a purchase that was decided days before, and *needs*, which raise visits, ads
    and purchases together, are part of the baseline; beside them an entrance has an effect of its
    own only if the likelihood calls for it. What a purchase changes of *later* touchpoints (ads
    that stop, messages that it triggers) is undone before the fit. Purchases of one user keep a
    *distance*. And of the credit of touchpoints that another channel brought about, such as
    retargeting after a click, half is passed on to that channel.

    Which channels are entrances is guessed from their names, and `checks` of the result say what
    was guessed. No log can show whether a coupon closed a sale or was fetched for one, so
    `readings_` also has the answer if entrances cause what they look like causing.

    The result has an interval without `bootstrap`; `interval_holds` says what it covers.

    Estimand: `"incremental:horizon"`: the Shapley value of the game of conversions over the whole
    observation with the touchpoints of some channels only. The baseline is the number of
    conversions without any touchpoint.

    Assumptions:
        - Whoever comes through an entrance within 12 hours before a conversion had decided.
        - Effects add to a user's base rate, are not negative, and fade by half-lives.
        - Intent is stable (of any size), or shows in touchpoints before and after a day equally.
        - What users who never convert do around their visits and around touchpoints, buyers do too.
        - Observation does not end with the conversion. Where no day after any conversion was
          observed, users are compared with each other, and a note says so.

    It answers for the journeys it was fitted on. It needs times and at least 30 conversions, and
    with few conversions its intervals are wide. Where accounts go through long stages, as in sales
    between companies, it gives too much to the baseline.

    Source: the within-user likelihood is that of `SelfControlled`, times factors for the distance
    of purchases (Cox 1972, in Stochastic Point Processes, ed. Lewis, 55–66). The rest is ours;
    docs/incremental.md derives it.

    Tuned on: draws 0 and 1, seed 1, of the worlds of visits, seed 1 of the worlds of one thing at a
    time, and another simulator with 16 scenarios that is not part of this package, two draws of
    each, seed 0; the width of intervals also on 32 further logs of that simulator.

    Args:
        lift_tests: `LiftTest`s of channels, or None. A test meets what buyers would have lost
            without the channel, among the people and in the span that it tested. What the log shows
            of a channel beyond that is a bias, which belongs to the baseline. Biases found say how
            large those of channels not tested may be; entrances have one in common. The test of an
            entrance also says whether it closes purchases. A channel of which nearly nothing is
            left is taken as an entrance. All fields of a test are used.
        entrances: names of the channels that are entrances, or `"auto"`: guessed from names.
        bought: names of channels that are pushed or bought and so are no entrances, whatever their
            names; or None.
        random_state: of the draws; None, a whole number or a numpy `Generator`.

    Attributes:
        entrances_: names of the channels taken as entrances.
        readings_: the answers under other readings of what the log cannot tell; the first is the
            answer itself.
        verdict_: for each channel whether the log identifies its effect, the assumption that
            carries the number, and the number under the other reading.
        removal_: shape `(n_channels,)`, conversions lost without each channel alone. They do not
            add up.

    Example:
        >>> import mta_models as mta
        >>> journeys = mta.worlds.make("visits_entrances", n_users=3_000).simulate().journeys
        >>> model = mta.Incremental()
        >>> result = model.fit_attribute(journeys)
        >>> model.entrances_
        ('Brand Search', 'Coupon Site', 'Direct', 'Organic Search', 'Referral')
        >>> result.interval(0.9).shape == (len(result.channels), 2)
        True
    """

    needs_times = True
    entrances_: tuple[str, ...]
    readings_: tuple[Reading, ...]
    verdict_: tuple[ChannelVerdict, ...]
    removal_: Floats
    _estimate: Estimate
    _fitted_on: str

    def __init__(
        self,
        lift_tests: Iterable[LiftTest] | None = None,
        entrances: str | Sequence[str] = "auto",
        bought: Sequence[str] | None = None,
        random_state: int | np.random.Generator | None = 0,
    ) -> None:
        self.lift_tests = lift_tests
        self.entrances = entrances
        self.bought = bought
        self.random_state = random_state

    @property
    def estimand(self) -> str:
        """`"incremental:horizon"`."""
        return "incremental:horizon"

    def by_period(
        self, journeys: Journeys, *, every: str = "1mo", of: str = "conversions"
    ) -> Breakdown:
        """Credit by calendar period, from the one fit: periods add up to the result.

        A channel's credit is divided between periods by its part in the conversions of each. It
        counts where the conversion falls, not where the touchpoint was. Effects are taken to be the
        same in all periods. Days are those of the log's times; of UTC, if these name a time zone.

        Args:
            journeys: those that the model was fitted on.
            every: length of a period: `"1mo"`, `"1w"`, `"1q"`, `"1y"`, `"7d"` … In a log whose
                times are plain numbers only days and weeks.
            of: `"conversions"` or `"value"`.

        Raises:
            NotFittedError: `fit` was not called.
            JourneyError: the journeys are others, or have no timeline.
            ParameterError: `every` is no length of time.
        """
        journeys = self._ready(journeys)
        labels, group = periods_of(journeys, every)
        return divided(
            self.attribute(journeys, of=of), self._parts_of(journeys, of), labels, group, "period"
        )

    def by_segment(
        self, journeys: Journeys, segments: Mapping[Any, Any] | Any, *, of: str = "conversions"
    ) -> Breakdown:
        """Credit by segment of users, from the one fit: segments add up to the result.

        A channel's credit is divided between segments by its part in the conversions of each.
        Effects of a touchpoint are taken to be the same in all segments, in proportion to the
        base rates of their users.

        Args:
            journeys: those that the model was fitted on.
            segments: a mapping of users to segments, or a pandas or polars frame with the column
                `user` and one more. Every user who converted must have one.
            of: `"conversions"` or `"value"`.

        Raises:
            NotFittedError: `fit` was not called.
            JourneyError: the journeys are others or have no timeline, or a user has no segment.
            ParameterError: `segments` is neither a mapping nor such a frame.
        """
        journeys = self._ready(journeys)
        labels, group = segments_of(journeys, segments)
        return divided(
            self.attribute(journeys, of=of), self._parts_of(journeys, of), labels, group, "segment"
        )

    # Parameters.

    def _check_parameters(self) -> None:
        check_lift_tests(self.lift_tests)
        check_seed(self.random_state)
        if not (isinstance(self.entrances, str) and self.entrances == "auto"):
            _names(self.entrances, "entrances", 'a list of channel names, or "auto"')
        if self.bought is not None:
            _names(self.bought, "bought", "a list of channel names, or None")

    def _settings(self, channels: tuple[str, ...], n_draws: int) -> Settings:
        bought = _mask(() if self.bought is None else self.bought, channels, "bought")
        guessed = isinstance(self.entrances, str)
        if guessed:
            entrances = guessed_entrances(channels) & ~bought
        else:
            entrances = _mask(self.entrances, channels, "entrances")
            both = np.flatnonzero(entrances & bought)
            if len(both):
                raise ParameterError(
                    "a channel must not be both in `entrances` and in `bought`; "
                    f"{channels[both[0]]!r} is. Leave it out of one of them"
                )
        tests = check_lift_tests(self.lift_tests)
        return Settings(entrances, guessed, bought, tests, n_draws)

    # Fitting.

    def _fit(self, journeys: Journeys) -> None:
        histories = journeys.histories
        if histories.total < FEWEST:
            raise JourneyError(
                f"there must be at least {FEWEST} conversions to estimate what channels cause; got "
                f"{histories.total:g}. Read a longer log, or count with a rule such as Linear"
            )
        settings = self._settings(journeys.channels, _DRAWS)
        met = np.bincount(histories.codes, minlength=histories.n_channels) > 0
        check_tested_channels(settings.lift_tests, journeys.channels, np.flatnonzero(met))
        found = _with_reading(
            estimate_credit(histories, settings, generator(self.random_state, 0)),
            histories,
            settings,
        )
        names = np.array(journeys.channels, dtype=object)
        self.entrances_ = tuple(names[settings.entrances])
        self.readings_, self.removal_ = found.readings, found.removal
        self.verdict_ = verdict_of(journeys.channels, met, found, settings)
        self._estimate, self._fitted_on = found, _fingerprint(histories)
        self._warn_of(found, journeys.channels)

    def _warn_of(self, found: Estimate, channels: tuple[str, ...]) -> None:
        if found.found is None:
            return
        if found.found.looks.any():
            looks = ", ".join(channels[code] for code in np.flatnonzero(found.found.looks))
            warn(
                "channels through which people come who have decided must be in `entrances`; "
                f"{looks} is not, and is met within the hour before purchases and hardly on the "
                "days before them, as entrances are. `readings_` has the answer if it is one. Name "
                "it in entrances=, or in bought= if people do not come through it by themselves",
                IdentifiabilityWarning,
            )
        if not found.found.steady.any():
            return
        steady = ", ".join(channels[code] for code in np.flatnonzero(found.found.steady))
        warn(
            f"touchpoints of a channel must come at various times of observation; all of {steady} "
            "come at one time since its start, as in a trial read as a log. The log does not "
            "identify the effect: its interval holds anything up to all conversions that it was "
            "met before. Compare users who met it with users who did not, or read when each user "
            "was really first observed",
            IdentifiabilityWarning,
        )

    def prepare(self, journeys: Journeys, of: str) -> Refitter:
        """See `AttributionModel.prepare`: histories are built once, and draws draw nothing."""
        histories, settings = journeys.histories, self._settings(journeys.channels, 0)

        def refit(weighted: Journeys) -> tuple[Floats, float]:
            drawn = histories.reweighted(weighted)
            if not drawn.total:
                return np.zeros(drawn.n_channels), float(weighted.outcome(of).sum())
            found = estimate_credit(drawn, settings, np.random.default_rng(0))
            credit, baseline, _, _ = _in_outcome(found, drawn, weighted.outcome(of), of)
            return credit, baseline

        return refit

    # The result.

    def _ready(self, journeys: Journeys) -> Journeys:
        journeys = super()._ready(journeys)
        if _fingerprint(journeys.histories) != self._fitted_on:
            raise JourneyError(
                "Incremental answers for the journeys it was fitted on, and these are others. Use "
                "fit_attribute on them; by_period and by_segment divide the answer"
            )
        return journeys

    def _result(
        self, journeys: Journeys, of: str
    ) -> tuple[Floats, float, tuple[Floats, Floats] | None]:
        outcome = journeys.outcome(of)
        credit, baseline, rate, total = _in_outcome(self._estimate, journeys.histories, outcome, of)
        drawn = _drawn(self._estimate.draws, self._estimate.baseline_draws, rate, total, of)
        return credit, baseline, drawn

    def _sampling_draws(self, journeys: Journeys, of: str) -> tuple[Floats, Floats] | None:
        found = self._estimate
        if found.sampling_draws is None or found.sampling_baseline_draws is None:
            return None
        *_, rate, total = _in_outcome(found, journeys.histories, journeys.outcome(of), of)
        return _drawn(found.sampling_draws, found.sampling_baseline_draws, rate, total, of)

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        return self._result(journeys, of)[0]

    def _interval_holds(self) -> str:
        return self._estimate.holds

    def _checks(self) -> tuple[str, ...]:
        return (self._entrances_sentence(), *self._estimate.notes)

    def _entrances_sentence(self) -> str:
        names = ", ".join(self.entrances_)
        if not self.entrances_:
            return (
                "No channel is taken as an entrance. If people come through one to buy what they "
                "have decided on, as through Direct or Brand Search, name it by entrances=."
            )
        how = "guessed from names" if isinstance(self.entrances, str) else "as declared"
        return (
            f"Entrances, {how}: {names}. Their touchpoints within 12 hours before a conversion are "
            "taken as the way to it and not as its cause. Correct this by entrances= or bought=."
        )

    def _parts_of(self, journeys: Journeys, of: str) -> Floats:
        """Parts of each conversion's outcome, `(n_events, n_channels + 1)`; the outcome is last."""
        histories = journeys.histories
        amounts = journeys.outcome(of)[histories.event_row]
        return np.column_stack([self._estimate.parts * amounts[:, None], amounts])

    def _touchpoint_credit(self, journeys: Journeys, of: str) -> Floats:
        """Parts of conversions divided among earlier touchpoints by age.

        Scaled per channel to its credit. Touchpoints of entrances shortly before conversions get
        none.
        """
        histories, found = journeys.histories, self._estimate
        settings = self._settings(journeys.channels, 0)
        treated, kernel = treat(histories, settings.entrances), HalfLifeKernel(found.half_life)
        amounts = journeys.outcome(of)[histories.event_row]
        n = journeys.n_touchpoints
        return shared_over_touchpoints(
            self._credit(journeys, of),
            placed_in_journeys(split_by_age(found.parts, amounts, treated, kernel), treated, n),
            lambda: placed_in_journeys(histories.exposure(kernel), histories, n),
            journeys,
        )


_DRAWS = 200


def _with_reading(found: Estimate, histories: Histories, settings: Settings) -> Estimate:
    """The estimate with the reading in which channels that look like entrances are."""
    if found.found is None or not found.found.looks.any():
        return found
    looks = found.found.looks
    as_entrances = replace(settings, entrances=settings.entrances | looks, n_draws=0)
    other = estimate_credit(histories, as_entrances, np.random.default_rng(0))
    names = ", ".join(histories.channels[code] for code in np.flatnonzero(looks))
    reading = Reading(
        IS_ENTRANCE,
        f"{names} is met on the way to purchases that were decided before",
        other.credit,
        other.baseline,
    )
    return replace(found, readings=(*found.readings, reading))


def _names(given: object, parameter: str, words: str) -> tuple[str, ...]:
    """The names in a list.

    Raises:
        ParameterError: names the parameter.
    """
    names = items_of(given)
    if names is None or not all(isinstance(name, str) for name in names):
        raise ParameterError(f"`{parameter}` must be {words}; got {shown(given)}")
    return tuple(str(name) for name in names)


def _mask(given: object, channels: tuple[str, ...], parameter: str) -> Mask:
    """The channels named, shape `(n_channels,)`.

    Raises:
        UnknownChannelError: a name is none of the journeys' channels.
    """
    names = _names(given, parameter, "a list of channel names")
    unknown = next((name for name in names if name not in channels), None)
    if unknown is not None:
        raise UnknownChannelError(
            f"`{parameter}` must name channels of the journeys, which are {', '.join(channels)}; "
            f"got {unknown!r}. Correct it"
        )
    return np.isin(np.array(channels, dtype=object), names)


def _in_outcome(
    found: Estimate, histories: Histories, outcome: Floats, of: str
) -> tuple[Floats, float, Floats, float]:
    """The estimate in the outcome asked for.

    Returns:
        Credit, the baseline, the outcome of one conversion of each channel, `(n_channels,)`, and
        the total outcome.
    """
    if of == "conversions":
        return found.credit, found.baseline, np.ones(len(found.credit)), histories.total
    value = outcome[histories.event_row]
    worths, rest = worths_of(found.parts, histories, value)
    total = float(value.sum())
    raw = found.credit * worths
    credit, baseline = scaled_to(total, raw, found.baseline * rest)
    whole = float(raw.sum()) + found.baseline * rest
    return credit, baseline, worths * (total / whole if total else 0.0), total


def _drawn(
    draws: Floats, baseline_draws: Floats, rate: Floats, total: float, of: str
) -> tuple[Floats, Floats]:
    """Draws in conversions as draws of the outcome, each of which adds up to its total."""
    if of == "conversions":
        return draws, baseline_draws
    valued: Floats = draws * rate
    return valued, total - valued.sum(axis=1)


def _fingerprint(histories: Histories) -> str:
    """A digest of touchpoints, conversions and bounds, equal for the same users and outcomes."""
    digest = hashlib.blake2b(repr(histories.channels).encode())
    arrays: tuple[Any, ...] = (
        histories.offsets.astype(np.int64),
        histories.time,
        histories.codes.astype(np.int64),
        *(histories.start, histories.end, histories.weight),
        histories.event_user.astype(np.int64),
        *(histories.event_time, histories.event_weight),
    )
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
