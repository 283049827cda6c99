"""Rules as products define them, by name and with their sources.

Products use the same word for different rules: "U-shaped" is 40/20/40 over the first and last
touchpoint in one, over the first touchpoint and lead creation in another, and half and half in a
third.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mta_models.core.checks import shown
from mta_models.core.durations import as_days
from mta_models.errors import ParameterError
from mta_models.models.rules.base import Rule
from mta_models.models.rules.by_position import (
    FirstTouch,
    InverseJShaped,
    JShaped,
    LastNonDirect,
    LastTouch,
    Linear,
    PositionBased,
    TimeDecay,
)
from mta_models.models.rules.milestones import FullPath, MilestoneBased

if TYPE_CHECKING:
    import pandas as pd

_W = {"first": 0.3, "lead": 0.3, "opportunity": 0.3, "rest": 0.1}


def preset(name: str, **parameters: Any) -> Rule:
    """The rule that a product has under a name; `presets()` lists them.

    Args:
        name: `"<product>_<rule>"`, such as `"hubspot_u_shaped"`.
        parameters: what users of the product can choose: `half_life` (`adobe_time_decay`),
            `lookback` (`posthog_time_decay`), `direct` (`amplitude_last_non_direct`), `first`,
            `middle` and `last` (`adobe_custom`).

    Returns:
        A model of this package with the product's parameters.

    Raises:
        ParameterError: the preset does not exist, or does not have these parameters.

    Example:
        >>> from mta_models import preset
        >>> preset("google_ads_position_based")
        PositionBased()
        >>> preset("posthog_time_decay", lookback="30d")
        TimeDecay(half_life=7.5)
    """
    known = _PRESETS.get(name) if isinstance(name, str) else None
    if known is None:
        near = difflib.get_close_matches(str(name), _PRESETS, 3, 0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ParameterError(f"there is no preset {shown(name)}. {hint}presets() lists all of them")
    try:
        inspect.signature(known.make).bind(**parameters)
    except TypeError as error:
        takes = ", ".join(inspect.signature(known.make).parameters) or "no parameters"
        given = ", ".join(parameters) or "none"
        raise ParameterError(f"the preset {name!r} takes {takes}; got {given}") from error
    rule = known.make(**parameters)
    rule._check_parameters()
    return rule


def presets() -> pd.DataFrame:
    """All presets: `preset` (the name), `rule` (the model) and `source`.

    Where users of a product can choose parameters, `rule` has the product's defaults.

    Example:
        >>> from mta_models import presets
        >>> presets().set_index("preset").loc["hubspot_u_shaped", "rule"]
        "MilestoneBased(weights={'first': 0.4, 'lead': 0.4, 'rest': 0.2})"
    """
    import pandas as pd

    rows = [(name, repr(each.shown()), each.source) for name, each in _PRESETS.items()]
    return pd.DataFrame(rows, columns=["preset", "rule", "source"])


@dataclass(frozen=True)
class _Preset:
    source: str
    make: Callable[..., Rule]
    # For parameters without a default: the values with which `presets` shows the rule.
    example: tuple[Any, ...] = ()

    def shown(self) -> Rule:
        return self.make(*self.example)


def _adobe_custom(first: float, middle: float, last: float) -> PositionBased:
    """Adobe scales the three weights to 100%, and ignores the middle for two touchpoints."""
    parts = {"first": first, "middle": middle, "last": last}
    for part, value in parts.items():
        if not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ParameterError(f"`{part}` must be a weight >= 0; got {value!r}")
    total = sum(parts.values())
    if total == 0:
        raise ParameterError("one of `first`, `middle` and `last` must be above 0; got only zeros")
    return PositionBased(first / total, last / total)


def _posthog_time_decay(lookback: str | timedelta | float) -> TimeDecay:
    """PostHog's half-life is a quarter of the attribution window, and at least a day."""
    return TimeDecay(max(as_days(lookback, "lookback") / 4, 1.0))


_GOOGLE = (
    "Google Ads API reference, AttributionModelEnum. Google Ads withdrew first click, linear, time "
    'decay and position-based in 2023 ("First click, linear, time decay, and position-based '
    'attribution models are going away")'
)
_ADOBE = 'Adobe Analytics guide, "Attribution models, containers and lookback windows"'
_MARKETO = 'Adobe Marketo Measure guide, "Marketo Measure Attribution Models"'
_HUBSPOT = 'HubSpot knowledge base, "Understand attribution reporting" (deal and revenue reports)'
_AMPLITUDE = 'Amplitude docs, "Attribute credit to multiple acquisition touch points"'
_AMPLITUDE_NEW = 'Amplitude changelog, "Last Non-Direct Attribution in Data Tables"'
_POSTHOG = "PostHog source, products/marketing_analytics, attribution_weights.py"
_SNOWPLOW = 'Snowplow docs, "Snowplow Attribution dbt package"'

_PRESETS: dict[str, _Preset] = {
    "google_ads_first_click": _Preset(_GOOGLE, FirstTouch),
    "google_ads_last_click": _Preset(_GOOGLE, LastTouch),
    "google_ads_linear": _Preset(_GOOGLE, lambda: Linear()),
    "google_ads_position_based": _Preset(_GOOGLE, lambda: PositionBased(0.4, 0.4)),
    "google_ads_time_decay": _Preset(_GOOGLE, lambda: TimeDecay("7d")),
    "adobe_first_touch": _Preset(_ADOBE, FirstTouch),
    "adobe_last_touch": _Preset(_ADOBE, LastTouch),
    "adobe_linear": _Preset(_ADOBE, lambda: Linear()),
    "adobe_u_shaped": _Preset(_ADOBE, lambda: PositionBased(0.4, 0.4)),
    "adobe_j_shaped": _Preset(_ADOBE, JShaped),
    "adobe_inverse_j": _Preset(_ADOBE, InverseJShaped),
    "adobe_time_decay": _Preset(_ADOBE, lambda half_life="7d": TimeDecay(half_life)),
    "adobe_custom": _Preset(_ADOBE, _adobe_custom, (30, 40, 30)),
    # Marketo's U-shaped rule credits only its two milestones; its W-shaped rule credits no
    # touchpoint after the last milestone.
    "marketo_measure_first_touch": _Preset(_MARKETO, FirstTouch),
    "marketo_measure_u_shaped": _Preset(
        _MARKETO, lambda: MilestoneBased({"first": 0.5, "lead": 0.5})
    ),
    "marketo_measure_w_shaped": _Preset(_MARKETO, lambda: MilestoneBased(_W, rest="between")),
    "marketo_measure_full_path": _Preset(_MARKETO, lambda: FullPath()),
    "hubspot_first_interaction": _Preset(_HUBSPOT, FirstTouch),
    "hubspot_last_interaction": _Preset(_HUBSPOT, LastTouch),
    "hubspot_linear": _Preset(_HUBSPOT, lambda: Linear()),
    "hubspot_u_shaped": _Preset(
        _HUBSPOT, lambda: MilestoneBased({"first": 0.4, "lead": 0.4, "rest": 0.2})
    ),
    "hubspot_w_shaped": _Preset(_HUBSPOT, lambda: MilestoneBased(_W)),
    "hubspot_full_path": _Preset(_HUBSPOT, lambda: FullPath()),
    "hubspot_j_shaped": _Preset(_HUBSPOT, JShaped),
    "amplitude_first_touch": _Preset(_AMPLITUDE, FirstTouch),
    "amplitude_last_touch": _Preset(_AMPLITUDE, LastTouch),
    "amplitude_last_non_direct": _Preset(
        _AMPLITUDE_NEW, lambda direct=("Direct",): LastNonDirect(direct)
    ),
    "amplitude_linear": _Preset(_AMPLITUDE, lambda: Linear()),
    "amplitude_u_shaped": _Preset(_AMPLITUDE, lambda: PositionBased(0.4, 0.4)),
    # For two touchpoints Amplitude gives 30/70 and Adobe 25/75. A sentence on Amplitude's page
    # gives four touchpoints 10/10/20/60; its table and definition give the first 20, the last 60.
    "amplitude_j_shaped": _Preset(_AMPLITUDE, lambda: PositionBased(0.2, 0.6, "equal")),
    "amplitude_inverse_j_shaped": _Preset(_AMPLITUDE, lambda: PositionBased(0.6, 0.2, "equal")),
    "posthog_first_touch": _Preset(_POSTHOG, FirstTouch),
    "posthog_last_touch": _Preset(_POSTHOG, LastTouch),
    "posthog_linear": _Preset(_POSTHOG, lambda: Linear()),
    "posthog_position_based": _Preset(_POSTHOG, lambda: PositionBased(0.4, 0.4)),
    "posthog_time_decay": _Preset(_POSTHOG, _posthog_time_decay, ("30d",)),
    "snowplow_first_touch": _Preset(_SNOWPLOW, FirstTouch),
    "snowplow_last_touch": _Preset(_SNOWPLOW, LastTouch),
    "snowplow_linear": _Preset(_SNOWPLOW, lambda: Linear()),
    "snowplow_position_based": _Preset(_SNOWPLOW, lambda: PositionBased(0.4, 0.4)),
}
