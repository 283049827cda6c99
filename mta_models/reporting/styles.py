"""Colours and markers: the same for a model, and for a channel, in every picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

# Distinguishable with any colour vision: six of Okabe & Ito (2008), "Color universal design", whose
# yellow is too pale on white and whose black is kept for conversions, then six of Paul Tol's.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#44AA99", "#661100", "#AA4499"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
# Models that are often compared; a model's place here is that of its colour.
_MODELS = (
    *("LastTouch", "Linear", "Markov", "Shapley", "SimpleProbabilistic", "Hazard"),
    *("SelfControlled", "FirstTouch", "Logistic", "DoublyRobust", "BayesianMarkov"),
    "BayesianHazard",
)


def model_styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Marker and colour of each model, which depend on its label, not on its place among others.

    If two models would have the same colour, one gets another colour, in alphabetical order, as
    long as there are free colours.

    Args:
        labels: as `label_of` writes them, or any other texts.

    Example:
        >>> styles = model_styles(["Markov", "Hazard", "Markov(order=3)"])
        >>> styles["Markov"] == model_styles(["Markov"])["Markov"]
        True
        >>> styles["Markov"]["color"] == styles["Markov(order=3)"]["color"]
        False
    """
    labels = list(labels)
    given = [label.removesuffix("()") for label in labels]
    known = {label: _MODELS.index(label) for label in given if label in _MODELS}
    # A variant prefers the colour of its class, if the class itself is not in the picture.
    preferred = {
        label: _MODELS.index(name) if (name := label.partition("(")[0]) in _MODELS else _hash(label)
        for label in given
        if label not in known
    }
    places = _separated(preferred, known)
    return {label: _style(places[label.removesuffix("()")]) for label in labels}


def channel_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Marker and colour of each channel, which depend on its name, not on its place among others.

    If two channels would have the same colour, one gets another colour, in alphabetical order, as
    long as there are free colours.

    Example:
        >>> first, again = channel_styles(["Search", "Email"]), channel_styles(["Email", "Search"])
        >>> first == again
        True
    """
    places = _separated({name: _hash(name) for name in names}, {})
    return {name: _style(places[name]) for name in names}


def _separated(preferred: Mapping[str, int], taken: Mapping[str, int]) -> dict[str, int]:
    """The taken places, and for each other name the first free place at or after its preference."""
    places, n = dict(taken), len(COLOURS)
    for name in sorted(preferred):
        steps = (preferred[name] + i for i in range(n))
        used = {place % n for place in places.values()}
        # With more names than colours, a colour is used again, with another marker.
        again = preferred[name] + n * (len(places) // n)
        places[name] = next((step for step in steps if step % n not in used), again)
    return places


def _hash(name: str) -> int:
    return crc32(name.encode()) % len(COLOURS)


def _style(place: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[place % len(MARKERS)],
        "color": COLOURS[place % len(COLOURS)],
        "zorder": 2,
    }
