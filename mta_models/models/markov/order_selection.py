"""The order of a chain, chosen by the held-out likelihood of the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Ints, last, predecessor, spread
from mta_models.core.tables import Block, Printed, Table
from mta_models.data.journeys import Journeys

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class OrderSelection(Printed):
    """Scores of the orders of a Markov chain on held-out steps, and the best order.

    The result of `Markov.select_order`; `print` shows the table.

    Attributes:
        order: the order with the highest score.
        score: by order, the mean held-out log-likelihood of one step, in nats.
        standard_error: by order, the standard error of the score over folds, in nats.
        n_states: by order, the number of contexts in the data, including the start.

    Example:
        >>> from mta_models import Journeys, Markov
        >>> paths = [["A", "B", "A"], ["B", "A", "B"], ["A"], ["B"]]
        >>> journeys = Journeys.from_paths(paths, [30, 20, 5, 10], [70, 80, 95, 90])
        >>> selection = Markov.select_order(journeys, max_order=2, random_state=0)
        >>> selection.order
        2
        >>> selection.to_frame().round(2)
           order  score  standard_error  n_states  chosen
        0      1  -0.85            0.01         3   False
        1      2  -0.85            0.01         5    True
    """

    order: int
    score: dict[int, float]
    standard_error: dict[int, float]
    n_states: dict[int, int]

    def to_frame(self) -> pd.DataFrame:
        """One row per order: `order`, `score`, `standard_error`, `n_states`, `chosen`."""
        import pandas as pd

        return pd.DataFrame(
            {
                "order": list(self.score),
                "score": list(self.score.values()),
                "standard_error": list(self.standard_error.values()),
                "n_states": list(self.n_states.values()),
                "chosen": [order == self.order for order in self.score],
            }
        )

    def blocks(self) -> list[Block]:
        """The blocks that `print` shows: a row per order, and the best order."""
        columns = {
            "Score": [f"{each:.4f}" for each in self.score.values()],
            "Standard error": [f"{each:.4f}" for each in self.standard_error.values()],
            "States": [f"{each:,}" for each in self.n_states.values()],
        }
        title = "Held-out log-likelihood of one step, in nats, by order of the chain"
        table = Table(title, [str(order) for order in self.score], columns, first="order")
        return [table, f"Order {self.order} has the highest score."]

    def __repr__(self) -> str:
        score = ", ".join(f"{order}: {each:.4g}" for order, each in self.score.items())
        return f"OrderSelection(order={self.order}, score={{{score}}})"


def held_out_scores(
    journeys: Journeys, max_order: int, n_folds: int, smoothing: float, rng: np.random.Generator
) -> OrderSelection:
    """Cross-validated score of the orders 1 to `max_order`; see `Markov.select_order`."""
    conversions, nulls = _folds(journeys, n_folds, rng)
    score, error, n_states = {}, {}, {}
    context = np.zeros(journeys.n_touchpoints, dtype=np.int64)
    longest = int(journeys.lengths.max(initial=1))
    for order in range(1, min(max_order, longest) + 1):
        # Contexts of the last `order` channels are numbered from those of `order` − 1 channels.
        longer = predecessor(context, journeys.offsets) * (journeys.n_channels + 1)
        context = np.unique(longer + journeys.codes + 1, return_inverse=True)[1].reshape(-1) + 1
        steps = _Steps(context, journeys)
        by_fold = np.stack(
            [steps.count(conversions[:, fold], nulls[:, fold]) for fold in range(n_folds)]
        )
        total = by_fold.sum(axis=0)
        mean = np.array([steps.score(total - part, part, smoothing) for part in by_fold])
        users = by_fold.sum(axis=1)
        score[order] = float(mean @ users / users.sum())
        error[order] = float(mean.std(ddof=1) / np.sqrt(n_folds))
        n_states[order] = steps.n_contexts
    best = max(score, key=lambda order: score[order])
    return OrderSelection(best, score, error, n_states)


def _folds(journeys: Journeys, n_folds: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Conversions and nulls of each fold, each of shape `(n_journeys, n_folds)`."""
    outcomes = journeys.conversions.astype(np.float64), journeys.nulls.astype(np.float64)
    if journeys.users is not None:
        fold = rng.integers(n_folds, size=int(journeys.users.max(initial=0)) + 1)[journeys.users]
        mask = fold[:, None] == np.arange(n_folds)
        return outcomes[0][:, None] * mask, outcomes[1][:, None] * mask
    even = np.full(n_folds, 1 / n_folds)

    def split(amount: Floats) -> Floats:
        whole = np.floor(amount)
        dealt = rng.multinomial(whole.astype(np.int64), even).astype(np.float64)
        dealt[np.arange(len(whole)), rng.integers(n_folds, size=len(whole))] += amount - whole
        return dealt

    return split(outcomes[0]), split(outcomes[1])


class _Steps:
    """All steps (context and next state), numbered once and then counted with any weights."""

    def __init__(self, context: Ints, journeys: Journeys) -> None:
        self.n_next = journeys.n_channels + 2
        self.offsets = journeys.offsets
        self.n_contexts = int(context.max(initial=0)) + 1
        before = predecessor(context, journeys.offsets)
        conversion = last(context, journeys.offsets) * self.n_next + journeys.n_channels
        step = np.concatenate([before * self.n_next + journeys.codes, conversion, conversion + 1])
        distinct, self.number = np.unique(step, return_inverse=True)
        self.number = self.number.reshape(-1)
        self.context = distinct // self.n_next

    def count(self, conversions: Floats, nulls: Floats) -> Floats:
        """Users who took each step, shape `(n_steps,)`."""
        users = np.concatenate([spread(conversions + nulls, self.offsets), conversions, nulls])
        return np.bincount(self.number, users, len(self.context)).astype(np.float64, copy=False)

    def score(self, train: Floats, test: Floats, smoothing: float) -> float:
        """Mean log-likelihood of the test steps under smoothed rows of the training steps."""
        row = np.bincount(self.context, train)[self.context]
        log_probability = np.log((train + smoothing) / (row + smoothing * self.n_next))
        return float(test @ log_probability / test.sum()) if test.any() else 0.0
