"""The worlds by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mta_models.errors import ParameterError

if TYPE_CHECKING:
    from mta_models.worlds.world import World

# Where each class is; a text, so that listing the names imports no world.
_PLACES = {
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
        'randomised'
    """
    return tuple(_PLACES)


def make(name: str, *, n_users: int = 20_000, strength: float = 0.5, seed: int = 0) -> World:
    """The world of that name.

    Args:
        name: one of `names()`; the docstring of each class has its mechanism.
        n_users: users of the log; the truth is scaled to them.
        strength: of the world's one mechanism, 0 to 1.
        seed: of the log.

    Raises:
        ParameterError: no world has that name, or an argument is not what it may be.

    Example:
        >>> from mta_models import worlds
        >>> worlds.make("micro_synergy", n_users=1_000).truth().total
        47.0
    """
    if name not in _PLACES:
        raise ParameterError(f"a world must be one of {', '.join(_PLACES)}; got {name!r}")
    module, _, kind = _PLACES[name].partition(":")
    world: type[World] = getattr(import_module(f"mta_models.worlds.{module}"), kind)
    return world(n_users=n_users, strength=strength, seed=seed)
