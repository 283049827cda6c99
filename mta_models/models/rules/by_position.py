"""Rules that split each observed conversion over its journey by the touchpoints' order or age.

Rules as products define them are in `products.py`, rules that need the stages of a sale in
`milestones.py`, and a rule with the user's own weights in `custom.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mta_models.core.checks import check_flag, check_number, check_one_of, items_of, shown
from mta_models.core.durations import as_days
from mta_models.core.ragged import Floats, Ints, first_occurrence, normalised, per_item, spread
from mta_models.data.journeys import Journeys, require_journeys
from mta_models.errors import ParameterError
from mta_models.models.distinct_channels import by_channel, participation_of
from mta_models.models.parameters import HalfLife, check_half_life, given_half_lives
from mta_models.models.rules.base import Rule

if TYPE_CHECKING:
    import pandas as pd


class _SingleTouch(Rule):
    """All credit of a journey to one of its touchpoints."""

    @abstractmethod
    def _chosen(self, journeys: Journeys, filled: Ints) -> Ints:
        """Index of the touchpoint credited in each of the journeys `filled`, none of them empty."""

    def _weights(self, journeys: Journeys) -> Floats:
        weights = np.zeros(journeys.n_touchpoints)
        weights[self._chosen(journeys, np.flatnonzero(journeys.lengths))] = 1.0
        return weights

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        # One entry per journey instead of one weight per touchpoint: less memory.
        filled = np.flatnonzero(journeys.lengths)
        chosen = self._chosen(journeys, filled)
        return by_channel(journeys, journeys.codes[chosen], journeys.outcome(of)[filled])


class FirstTouch(_SingleTouch):
    """All credit to the journey's first touchpoint.

    Estimand: `"rule"`: observed conversions are assigned to channels, whether or not these caused
    them; the baseline is the conversions of journeys without a touchpoint. Sensitive to where
    journeys begin: a longer lookback moves the first touchpoint.

    Example:
        >>> from mta_models import FirstTouch, Journeys
        >>> journeys = Journeys.from_paths([["Search", "Email"], ["Email"]], conversions=[2, 1])
        >>> FirstTouch().fit_attribute(journeys).credit  # Email, Search
        array([1., 2.])
    """

    def _chosen(self, journeys: Journeys, filled: Ints) -> Ints:
        return journeys.offsets[filled]


class LastTouch(_SingleTouch):
    """All credit to the journey's last touchpoint before its end.

    Estimand: `"rule"`: observed conversions are assigned to channels, whether or not these caused
    them; the baseline is the conversions of journeys without a touchpoint.

    Example:
        >>> from mta_models import Journeys, LastTouch
        >>> journeys = Journeys.from_paths([["Search", "Email"], ["Email"]], conversions=[2, 1])
        >>> LastTouch().fit_attribute(journeys).credit  # Email, Search
        array([3., 0.])
    """

    def _chosen(self, journeys: Journeys, filled: Ints) -> Ints:
        return journeys.offsets[filled + 1] - 1


class LastNonDirect(_SingleTouch):
    """All credit to the last touchpoint that is not a direct visit.

    Where all touchpoints are direct visits, the last one gets the credit. Estimand: `"rule"`:
    observed conversions are assigned to channels, whether or not these caused them; the baseline is
    the conversions of journeys without a touchpoint.

    Args:
        direct: the names of the channels that count as direct. Names that do not occur have no
            effect.

    Example:
        >>> from mta_models import Journeys, LastNonDirect
        >>> journeys = Journeys.from_paths([["Search", "Direct"], ["Direct"]], conversions=[2, 1])
        >>> LastNonDirect().fit_attribute(journeys).credit  # Direct, Search
        array([1., 2.])
    """

    def __init__(self, direct: Sequence[str] = ("Direct",)) -> None:
        self.direct = direct

    def _check_parameters(self) -> None:
        names = items_of(self.direct) or ()
        if not names or not all(isinstance(name, str) for name in names):
            raise ParameterError(
                '`direct` must be channel names in a sequence, as ("Direct",); got '
                f"{shown(self.direct)}"
            )

    def _chosen(self, journeys: Journeys, filled: Ints) -> Ints:
        is_direct = np.array([name in self.direct for name in journeys.channels], dtype=bool)
        chosen = journeys.offsets[filled + 1] - 1
        # For journeys that end in a direct visit: the last touchpoint before it that is not direct.
        # Where that touchpoint belongs to an earlier journey, all touchpoints of this journey are
        # direct, and the last one keeps the credit.
        ends_direct = np.flatnonzero(is_direct[journeys.codes[chosen]])
        others = np.flatnonzero(~is_direct[journeys.codes])
        if not len(others):
            return chosen
        before = np.searchsorted(others, chosen[ends_direct]) - 1
        candidate = others[np.maximum(before, 0)]
        inside = (before >= 0) & (candidate >= journeys.offsets[filled[ends_direct]])
        chosen[ends_direct[inside]] = candidate[inside]
        return chosen


class Linear(Rule):
    """Equal credit to every touchpoint of the journey, or to every distinct channel.

    Estimand: `"rule"`: observed conversions are assigned to channels, whether or not these caused
    them; the baseline is the conversions of journeys without a touchpoint. With equal credit per
    touchpoint, a channel gains by sending more touchpoints. Equal credit per distinct channel is
    the Shapley value of the game "conversions of journeys whose channels are all in the coalition"
    (Zhao, Mahboobi, Bagheri 2018, arXiv 1804.05327).

    Args:
        unique: False: 1/n to each of n touchpoints. True: 1/k to each of k distinct channels; the
            channel's first touchpoint in the journey then holds the channel's credit.

    Example:
        >>> from mta_models import Journeys, Linear
        >>> journeys = Journeys.from_paths([["Email", "Search", "Email"]], conversions=[6])
        >>> Linear().fit_attribute(journeys).credit  # Email, Search
        array([4., 2.])
        >>> Linear(unique=True).fit_attribute(journeys).credit
        array([3., 3.])
    """

    def __init__(self, unique: bool = False) -> None:
        self.unique = unique

    def _check_parameters(self) -> None:
        check_flag(self.unique, "unique")

    def _weights(self, journeys: Journeys) -> Floats:
        if not self.unique:
            return spread(per_item(journeys.lengths), journeys.offsets)
        weights = first_occurrence(journeys.codes, journeys.offsets, journeys.n_channels)
        return normalised(weights.astype(np.float64), journeys.offsets)

    def _credit(self, journeys: Journeys, of: str) -> Floats:
        if self.unique:
            return super()._credit(journeys, of)
        # Divided per journey, so that only one array of the length of the touchpoints is made.
        part = journeys.outcome(of) * per_item(journeys.lengths)
        return by_channel(journeys, journeys.codes, spread(part, journeys.offsets))


class _Ends(Rule):
    """Fixed parts to the first and the last touchpoint, the rest shared by those between."""

    @abstractmethod
    def _parts(self) -> tuple[float, float]:
        """The parts of the first and of the last touchpoint; their sum is at most 1."""

    def _pair(self, first: float, last: float) -> tuple[float, float]:
        """The parts in journeys of two touchpoints: in proportion, or half each if both are 0."""
        ends = first + last
        return (first / ends, last / ends) if ends > 0 else (0.5, 0.5)

    def _weights(self, journeys: Journeys) -> Floats:
        first, last = self._parts()
        sizes = journeys.lengths
        between = max(1.0 - first - last, 0.0) * per_item(sizes - 2)
        weights: Floats = spread(between, journeys.offsets)
        pair = self._pair(first, last)
        several = np.flatnonzero(sizes > 1)
        has_middle = sizes[several] > 2
        weights[journeys.offsets[several]] = np.where(has_middle, first, pair[0])
        weights[journeys.offsets[several + 1] - 1] = np.where(has_middle, last, pair[1])
        weights[journeys.offsets[:-1][sizes == 1]] = 1.0
        return weights


class PositionBased(_Ends):
    """Fixed parts to the first and the last touchpoint, the rest shared equally between them.

    A single touchpoint gets all; two get half each by default. Estimand: `"rule"`: observed
    conversions are assigned to channels, whether or not these caused them; the baseline is the
    conversions of journeys without a touchpoint. Also called U-shaped, bathtub, 40/20/40.

    Args:
        first: the part of the first touchpoint, between 0 and 1.
        last: the part of the last touchpoint, between 0 and 1; `first + last` at most 1.
        no_middle: which touchpoint gets the middle's part in journeys of two touchpoints.
            `"proportional"`: both, in proportion to their parts (half each where both parts are
            0), as Adobe does. `"equal"`: both, half of it each, as Amplitude does.

    Example:
        >>> from mta_models import Journeys, PositionBased
        >>> journeys = Journeys.from_paths([["A", "B", "C", "D"]], conversions=[10])
        >>> PositionBased().fit_attribute(journeys).credit.round(9)
        array([4., 1., 1., 4.])
    """

    def __init__(
        self, first: float = 0.4, last: float = 0.4, no_middle: str = "proportional"
    ) -> None:
        self.first = first
        self.last = last
        self.no_middle = no_middle

    def _check_parameters(self) -> None:
        check_one_of(self.no_middle, "no_middle", ("proportional", "equal"))
        check_number(self.first, "first", maximum=1, of="a part")
        check_number(self.last, "last", maximum=1, of="a part")
        # Rounding may bring the sum of two parts slightly above 1.
        if self.first + self.last > 1 + 1e-9:
            raise ParameterError(
                f"`first` and `last` must not sum to more than 1; got {self.first!r} and "
                f"{self.last!r}. Divide both by their sum to give the middle nothing"
            )

    def _parts(self) -> tuple[float, float]:
        scale = max(self.first + self.last, 1.0)
        return float(self.first) / scale, float(self.last) / scale

    def _pair(self, first: float, last: float) -> tuple[float, float]:
        if self.no_middle == "equal":
            return (1 + first - last) / 2, (1 - first + last) / 2
        return super()._pair(first, last)


class JShaped(_Ends):
    """0.6 to the last touchpoint, 0.2 to the first, 0.2 shared by those between.

    A single touchpoint gets all; of two, the first gets 0.25 and the last 0.75. Estimand: `"rule"`:
    observed conversions are assigned to channels, whether or not these caused them; the baseline is
    the conversions of journeys without a touchpoint. Source: Adobe Analytics, "Attribution models,
    containers and lookback windows".

    Example:
        >>> from mta_models import JShaped, Journeys
        >>> journeys = Journeys.from_paths([["A", "B", "C"], ["A", "C"]], conversions=[10, 4])
        >>> JShaped().fit_attribute(journeys).credit.round(9)
        array([3., 2., 9.])
    """

    def _parts(self) -> tuple[float, float]:
        return 0.2, 0.6


class InverseJShaped(_Ends):
    """0.6 to the first touchpoint, 0.2 to the last, 0.2 shared by those between.

    `JShaped` reversed: a single touchpoint gets all; of two, the first gets 0.75, the last 0.25.
    Estimand: `"rule"`: observed conversions are assigned to channels, whether or not these caused
    them; the baseline is the conversions of journeys without a touchpoint. Source: as `JShaped`.

    Example:
        >>> from mta_models import InverseJShaped, Journeys
        >>> journeys = Journeys.from_paths([["A", "B", "C"], ["A", "C"]], conversions=[10, 4])
        >>> InverseJShaped().fit_attribute(journeys).credit.round(9)
        array([9., 2., 3.])
    """

    def _parts(self) -> tuple[float, float]:
        return 0.6, 0.2


class TimeDecay(Rule):
    """Credit halves with every half-life between the touchpoint and the journey's end.

    The weight is 2^(−age / half_life), normalised to sum to 1 within the journey. Ages are taken
    relative to the journey's latest touchpoint, so that weights of very old touchpoints do not all
    round to 0. Estimand: `"rule"`: observed conversions are assigned to channels, whether or not
    these caused them; the baseline is the conversions of journeys without a touchpoint. Needs
    times.

    Args:
        half_life: `"7d"`, `"12h"`, a timedelta, or a number of days, above 0; or a mapping of
            channels to such spans.

    Example:
        >>> from mta_models import Journeys, TimeDecay
        >>> journeys = Journeys.from_arrays(["A", "B"], [0, 1], [0, 2], [3], age=[7.0, 0.0])
        >>> TimeDecay("7d").fit_attribute(journeys).credit.round(9)
        array([1., 2.])
    """

    needs_times: ClassVar[bool] = True

    def __init__(self, half_life: HalfLife = "7d") -> None:
        self.half_life = half_life

    def _check_parameters(self) -> None:
        given: HalfLife | None = self.half_life
        if given is None:  # other models then choose a half-life by likelihood; a rule has none
            raise ParameterError('`half_life` must be a span of time above 0; got None. Try "7d"')
        check_half_life(given)

    def _weights(self, journeys: Journeys) -> Floats:
        age, offsets = journeys.age, journeys.offsets
        if age is None:  # the base class allows this only where there is no touchpoint
            return np.zeros(journeys.n_touchpoints)
        filled = np.flatnonzero(journeys.lengths)
        # The greatest weight of each journey is made 1, so that not all of them can underflow.
        greatest = np.zeros(journeys.n_journeys)
        if isinstance(self.half_life, Mapping):
            days = given_half_lives(self.half_life, journeys.channels)
            log_weight = -age / days[journeys.codes]
            greatest[filled] = np.maximum.reduceat(log_weight, offsets[filled])
            log_weight -= spread(greatest, offsets)
        else:
            # Touchpoints are in time order, so the last is the latest.
            greatest[filled] = age[offsets[filled + 1] - 1]
            log_weight = spread(greatest, offsets) - age
            log_weight /= as_days(self.half_life, "half_life")
        return normalised(np.exp2(log_weight, out=log_weight), offsets)


def participation(journeys: Journeys, *, of: str = "conversions") -> pd.DataFrame:
    """The outcomes of journeys that each channel was part of. A diagnostic, not an attribution.

    Every distinct channel of a journey gets the journey's whole outcome, so where journeys have
    several channels the column sums to more than the total. The result shows how often a channel
    was present, and is not an `Attribution`.
    Products list it as an attribution model (Adobe Analytics, Amplitude: "Participation").

    Args:
        journeys: outcomes may be 0.
        of: `"conversions"`, or `"value"` for revenue.

    Returns:
        One row per channel, in the order of `journeys.channels`: `channel`, `participation` (in
        conversions or value) and `share`, the part of all outcomes, including those of journeys
        without a touchpoint; missing where the outcomes sum to 0.

    Raises:
        ParameterError, JourneyError: as `Journeys.outcome`.

    Example:
        >>> from mta_models import Journeys, participation
        >>> paths = [["Email", "Search", "Email"], ["Search"], []]
        >>> participation(Journeys.from_paths(paths, conversions=[2, 1, 1]))
          channel  participation  share
        0   Email            2.0   0.50
        1  Search            3.0   0.75
    """
    import pandas as pd

    require_journeys(journeys, "participation")
    present = participation_of(journeys, journeys.outcome(of))
    total = journeys.outcome(of).sum()
    share = present / total if total else np.full(journeys.n_channels, np.nan)
    return pd.DataFrame(
        {"channel": list(journeys.channels), "participation": present, "share": share}
    )
