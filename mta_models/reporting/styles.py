"""Colours and markers: the same for a model, and for a channel, in every picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

# Distinguishable with any colour vision: six of Okabe & Ito (2008), "Color universal design", whose
# yellow is too pale on white and whose black is kept for conversions, then six of Paul Tol's.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#44AA99", "#661100", "#AA4499"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
# Models that are often compared stand first, so that no two of them share a colour.
_MODELS = (
    *("LastTouch", "Linear", "Markov", "Shapley", "SimpleProbabilistic", "Hazard"),
    *("SelfControlled", "FirstTouch", "Logistic", "DoublyRobust", "BayesianMarkov"),
    *("BayesianHazard", "BayesianLogistic", "PositionBased", "TimeDecay", "LastNonDirect"),
)


def model_styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Marker and colour of each model, whatever their order and number.

    The colour is that of the model's class. Models of one class in the same picture, such as
    `Markov` and `Markov(order=3)`, have markers of their own.

    Args:
        labels: as `label_of` writes them, or any other texts.

    Example:
        >>> styles = model_styles(["Markov", "Hazard", "Markov(order=3)"])
        >>> styles["Markov"] == model_styles(["Markov"])["Markov"]
        True
        >>> styles["Markov"]["color"] == styles["Markov(order=3)"]["color"]
        True
    """
    order = list(labels)
    by_class: dict[str, list[str]] = {}
    for label in sorted(order):  # the one without parameters comes first
        by_class.setdefault(label.partition("(")[0], []).append(label)
    places = {
        label: (_place(name), _place(name) + rank)
        for name, variants in by_class.items()
        for rank, label in enumerate(variants)
    }
    return {label: _style(*places[label]) for label in order}


def channel_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Marker and colour of each channel: by its name, not by its place among the others.

    Two channels whose names lead to the same colour are separated in alphabetical order, as long
    as there are colours.

    Example:
        >>> first, again = channel_styles(["Search", "Email"]), channel_styles(["Email", "Search"])
        >>> first == again
        True
    """
    taken: set[int] = set()
    places: dict[str, tuple[int, int]] = {}
    for name in sorted(names):
        preferred = crc32(name.encode()) % len(COLOURS)
        steps = ((preferred + i) % len(COLOURS) for i in range(len(COLOURS)))
        place = next((step for step in steps if step not in taken), preferred)
        taken.add(place)
        places[name] = (place, len(places) if len(names) > len(COLOURS) else place)
    return {name: _style(*places[name]) for name in names}


def _place(model: str) -> int:
    return _MODELS.index(model) if model in _MODELS else crc32(model.encode()) % len(COLOURS)


def _style(colour: int, marker: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[marker % len(MARKERS)],
        "color": COLOURS[colour % len(COLOURS)],
        "zorder": 2,
    }
