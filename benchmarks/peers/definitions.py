"""The exact credits of each definition, computed in a slow and simple way.

Nothing of mta_models is used here: our models are compared with these credits like all others.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np

SEPARATOR = " > "
Row = tuple[tuple[str, ...], float, float]
Credit = dict[str, float]


def read(file: Path) -> list[Row]:
    """The rows of a path table that have a touchpoint: channels, conversions, nulls."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            (tuple(row["path"].split(SEPARATOR)), float(row["conversions"]), float(row["nulls"]))
            for row in csv.DictReader(lines)
            if row["path"]
        ]


def exact(definition: str, rows: list[Row]) -> Credit:
    """The credit of every channel by a definition.

    Args:
        definition: one of `DEFINITIONS`.
        rows: a path table.

    Raises:
        ValueError: the definition gives these journeys no credit; the message says why.
    """
    credit = DEFINITIONS[definition](rows)
    return {channel: float(credit.get(channel, 0.0)) for channel in channels_of(rows)}


def channels_of(rows: Iterable[Row]) -> list[str]:
    """All channels, by name."""
    return sorted({channel for path, _, _ in rows for channel in path})


def total_of(rows: Iterable[Row]) -> float:
    """All conversions."""
    return sum(conversions for _, conversions, _ in rows)


# Rules: the weights of a path's touchpoints.


def _first(path: tuple[str, ...]) -> list[float]:
    return [1.0] + [0.0] * (len(path) - 1)


def _last(path: tuple[str, ...]) -> list[float]:
    return [0.0] * (len(path) - 1) + [1.0]


def _linear(path: tuple[str, ...]) -> list[float]:
    return [1.0 / len(path)] * len(path)


def _unique(path: tuple[str, ...]) -> list[float]:
    return [1.0 / path.count(channel) / len(set(path)) for channel in path]


def _position(path: tuple[str, ...]) -> list[float]:
    n = len(path)
    if n <= 2:
        return [1.0 / n] * n
    return [0.4] + [0.2 / (n - 2)] * (n - 2) + [0.4]


def _rule(weights: Callable[[tuple[str, ...]], list[float]], rows: list[Row]) -> Credit:
    credit: Credit = defaultdict(float)
    for path, conversions, _ in rows:
        for channel, weight in zip(path, weights(path), strict=True):
            credit[channel] += weight * conversions
    return credit


# Markov: a channel's removal effect is the conversions lost when every step into it fails.


def _markov(order: int, rows: list[Row]) -> Credit:
    start: tuple[str, ...] = ()
    states = {start: 0}
    steps: dict[tuple[int, int], float] = defaultdict(float)
    converts: dict[int, float] = defaultdict(float)
    fails: dict[int, float] = defaultdict(float)
    for path, conversions, nulls in rows:
        here = 0
        for end in range(1, len(path) + 1):
            state = path[max(0, end - order) : end]
            there = states.setdefault(state, len(states))
            steps[here, there] += conversions + nulls
            here = there
        converts[here] += conversions
        fails[here] += nulls
    moves = np.zeros((len(states), len(states)))
    for (here, there), users in steps.items():
        moves[here, there] = users
    ends = np.array([converts[i] for i in range(len(states))])
    leaves = np.array([fails[i] for i in range(len(states))])
    users = moves.sum(axis=1) + ends + leaves
    users[users == 0] = 1.0
    moves, ends = moves / users[:, None], ends / users

    def rate(removed: str | None) -> float:
        into = np.array([bool(state) and state[-1] == removed for state in states])
        kept = np.where(into[None, :], 0.0, moves)
        return float(np.linalg.solve(np.eye(len(states)) - kept, ends)[0])

    whole = rate(None)
    if whole == 0:
        raise ValueError("no journey converts")
    return _shared({each: 1 - rate(each) / whole for each in channels_of(rows)}, rows)


def _fail(rows: list[Row]) -> Credit:
    effects = {
        each: sum(conversions for path, conversions, _ in rows if each in path)
        for each in channels_of(rows)
    }
    return _shared(effects, rows)


def _detour(rows: list[Row]) -> Credit:
    """Effects by the conversion rate after deleting a channel, without journeys left empty."""

    def rate(removed: str | None) -> float:
        left = [row for row in rows if set(row[0]) != {removed}]
        users = sum(conversions + nulls for _, conversions, nulls in left)
        return total_of(left) / users if users else 0.0

    whole = rate(None)
    return _shared({each: 1 - rate(each) / whole for each in channels_of(rows)}, rows)


def _shared(effects: Credit, rows: list[Row]) -> Credit:
    together = sum(effects.values())
    if together <= 0:
        raise ValueError(f"removal effects sum to {together:.3g}: shares of them mean nothing")
    return {channel: each / together * total_of(rows) for channel, each in effects.items()}


# Shapley values, coalition by coalition.


def _shapley(worth: Callable[[float, float], float], rows: list[Row]) -> Credit:
    """Average marginal gains of v(S) = worth(conversions, users) of journeys inside S."""
    channels = channels_of(rows)
    n = len(channels)
    bit = {channel: 1 << i for i, channel in enumerate(channels)}
    seen: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for path, conversions, nulls in rows:
        found = seen[sum(bit[channel] for channel in set(path))]
        found[0] += conversions
        found[1] += conversions + nulls
    sets = np.array(list(seen))
    amounts = np.array([seen[int(each)] for each in sets])
    value = np.empty(1 << n)
    for coalition in range(1 << n):
        inside = amounts[(sets & ~coalition) == 0].sum(axis=0)
        value[coalition] = worth(*inside)
    credit = {}
    for channel in channels:
        others = [bit[each] for each in channels if each != channel]
        credit[channel] = sum(
            factorial(size) * factorial(n - size - 1) / factorial(n) * gain
            for size in range(n)
            for gain in _gains(value, bit[channel], others, size)
        )
    return credit


def _gains(value: Any, mine: int, others: list[int], size: int) -> Iterable[float]:
    for chosen in combinations(others, size):
        coalition = sum(chosen)
        yield float(value[coalition | mine] - value[coalition])


def _shapley_conversions(rows: list[Row]) -> Credit:
    return _shapley(lambda conversions, users: conversions, rows)


def _shapley_rate(rows: list[Row]) -> Credit:
    everyone = sum(conversions + nulls for _, conversions, nulls in rows)
    return _shapley(
        lambda conversions, users: conversions / users * everyone if users else 0.0, rows
    )


# Shao & Li (2011), second order.


def _probabilistic(rows: list[Row]) -> Credit:
    seen: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for path, conversions, nulls in rows:
        inside = sorted(set(path))
        for group in [(each,) for each in inside] + list(combinations(inside, 2)):
            seen[group][0] += conversions
            seen[group][1] += conversions + nulls
    rate = {group: won / users if users else 0.0 for group, (won, users) in seen.items()}
    channels = channels_of(rows)
    score = {}
    for i in channels:
        gains = [
            rate[tuple(sorted((i, j)))] - rate[i,] - rate[j,]
            for j in channels
            if j != i and tuple(sorted((i, j))) in rate
        ]
        score[i] = rate[i,] + sum(gains) / (2 * max(1, len(channels) - 1))
    credit: Credit = defaultdict(float)
    for path, conversions, _ in rows:
        weights = {channel: max(score[channel], 0.0) for channel in set(path)}
        together = sum(weights.values())
        for channel, weight in weights.items():
            share = weight / together if together else 1 / len(weights)
            credit[channel] += share * conversions
    return credit


DEFINITIONS: dict[str, Callable[[list[Row]], Credit]] = {
    "FirstTouch()": partial(_rule, _first),
    "LastTouch()": partial(_rule, _last),
    "Linear()": partial(_rule, _linear),
    "Linear(unique=True)": partial(_rule, _unique),
    "PositionBased()": partial(_rule, _position),
    "Markov(order=1)": partial(_markov, 1),
    "Markov(order=2)": partial(_markov, 2),
    "Markov(order=3)": partial(_markov, 3),
    "Markov(removal='fail')": _fail,
    "Markov(removal='detour')": _detour,
    "Shapley('conversions')": _shapley_conversions,
    "Shapley('rate')": _shapley_rate,
    "SimpleProbabilistic()": _probabilistic,
}
