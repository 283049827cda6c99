"""The worlds by name."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

from mta_models.errors import ParameterError

if TYPE_CHECKING:
    from mta_models.worlds.base import BaseWorld

# Where each class is; a text, so that listing the names imports no world.
_PLACES = {
    "visits_entrances": "visits.world:VisitWorld",
    "visits_clicks": "visits.catalogue:Clicks",
    "visits_multiply": "visits.catalogue:MultiplyingClicks",
    "visits_intent": "visits.catalogue:StableIntent",
    "visits_needs": "visits.catalogue:Needs",
    "visits_slow": "visits.catalogue:SlowDecisions",
    "visits_stops": "visits.catalogue:StoppedAds",
    "visits_messages": "visits.catalogue:Messages",
    "visits_promotions": "visits.catalogue:Promotions",
    "visits_retargeting": "visits.catalogue:RetargetedVisits",
    "visits_caps": "visits.catalogue:FrequencyCaps",
    "visits_tracking": "visits.catalogue:LostTracks",
    "visits_closing_coupon": "visits.catalogue:ClosingCoupon",
    "visits_working_brand": "visits.catalogue:WorkingBrand",
    "visits_repeat": "visits.catalogue:RepeatPurchases",
    "visits_renewals": "visits.catalogue:Renewals",
    "visits_paid_entrances": "visits.paid_media:PaidEntrances",
    "visits_views": "visits.paid_media:Views",
    "visits_capped_views": "visits.paid_media:CappedViews",
    "visits_auctions": "visits.paid_media:Auctions",
    "visits_bots": "visits.paid_media:Bots",
    "visits_devices": "visits.paid_media:Devices",
    "visits_names": "visits.paid_media:Names",
    "visits_thin": "visits.catalogue:Thin",
    "visits_mixed": "visits.catalogue:Mixed",
    "visits_mixed_repeat": "visits.catalogue:MixedRepeat",
    "visits_mixed_media": "visits.paid_media:MixedMedia",
    "randomised": "world:World",
    "synergy": "mechanisms.effects:Synergy",
    "substitution": "mechanisms.effects:Substitution",
    "intent": "mechanisms.exposure:Intent",
    "bursts": "mechanisms.exposure:Bursts",
    "suppression": "mechanisms.exposure:Suppression",
    "trend": "mechanisms.exposure:Trend",
    "retargeting": "mechanisms.exposure:Retargeting",
    "upstream": "mechanisms.exposure:Upstream",
    "carry_over": "mechanisms.effects:CarryOver",
    "saturation": "mechanisms.effects:Saturation",
    "cookie_loss": "mechanisms.tracking:CookieLoss",
    "walled_garden": "mechanisms.tracking:WalledGarden",
    "season": "mechanisms.exposure:Season",
    "null_channel": "mechanisms.exposure:NullChannel",
    "harmful_channel": "mechanisms.effects:HarmfulChannel",
    "organic": "mechanisms.volume:Organic",
    "rare": "mechanisms.volume:Rare",
    "delay": "mechanisms.effects:Delay",
    "heterogeneous": "mechanisms.effects:Heterogeneous",
    "b2b": "mechanisms.tracking:B2B",
    "everything": "mechanisms.volume:Everything",
    "repeat": "mechanisms.effects:Repeat",
    "shop": "mechanisms.shop:Shop",
    "micro_synergy": "mechanisms.micro:MicroSynergy",
    "micro_intent": "mechanisms.micro:MicroIntent",
    "micro_upstream": "mechanisms.micro:MicroUpstream",
}


def names() -> tuple[str, ...]:
    """The names of all worlds.

    Example:
        >>> from mta_models import worlds
        >>> worlds.names()[0]
        'visits_entrances'
    """
    return tuple(_PLACES)


def make(
    name: str, *, n_users: int = 20_000, strength: float = 0.5, seed: int = 0, draw: int = 0
) -> BaseWorld:
    """The world of that name.

    Args:
        name: one of `names()`; the docstring of each class has its mechanism. Worlds of visits are
            found by `label` too: `"visits_clicks_draw_2"` is draw 2 of `"visits_clicks"`.
        n_users: users of the log; the truth is scaled to them.
        strength: of the world's one mechanism, 0 to 1.
        seed: of the log.
        draw: of the channels, effects and volumes, in worlds of visits; 0 in all others.

    Raises:
        ParameterError: no world has that name, or an argument is not what it may be.

    Example:
        >>> from mta_models import worlds
        >>> worlds.make("micro_synergy", n_users=1_000).truth().total
        47.0
    """
    # The names of worlds are imported by the command line's help, which needs no numpy.
    from mta_models.core.checks import check_whole_number, shown
    from mta_models.worlds.base import LARGEST

    if not isinstance(name, str):
        raise ParameterError(f"`name` must be one of {', '.join(_PLACES)}; got {shown(name)}")
    check_whole_number(draw, "draw", 0, LARGEST)
    labelled = re.fullmatch(r"(visits_\w+)_draw_(\d+)", name)
    if labelled and draw == 0:
        name, draw = labelled[1], int(labelled[2])
    if name not in _PLACES:
        raise ParameterError(f"a world must be one of {', '.join(_PLACES)}; got {name!r}")
    module, _, kind = _PLACES[name].partition(":")
    world: type[BaseWorld] = getattr(import_module(f"mta_models.worlds.{module}"), kind)
    options: dict[str, int] = {"draw": draw} if module.startswith("visits.") else {}
    if not options and draw != 0:
        raise ParameterError(
            f"`draw` must be 0 for {name!r}: only worlds of visits have draws; got {draw!r}"
        )
    return world(n_users=n_users, strength=strength, seed=seed, **options)
