"""What a log may be used for: to develop a model, or to report how good it is.

Every default that was tuned was tuned on development logs. A claim about a model rests on other
logs: reporting seeds, and in worlds whose channels and effects are drawn also reporting draws, so
that neither chance in a log nor a world's numbers were seen before. Both are fixed here, and a
suite or results with the purpose `"report"` refuse any other log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

from mta_models.core.checks import shown
from mta_models.errors import ParameterError

Purpose = Literal["development", "report"]
# Seeds and draws from these on are for reporting, those below for development.
REPORTING_SEEDS = 100
REPORTING_DRAWS = 2
_DRAWN = "visits_"  # how the names of worlds begin that have draws


def purpose_of(label: str, seed: int) -> Purpose:
    """What a log is for, by its world's `label` and its seed.

    Example:
        >>> from mta_models.benchmark.purpose import purpose_of
        >>> purpose_of("intent", 3), purpose_of("intent", 100), purpose_of("visits_clicks", 100)
        ('development', 'report', 'development')
        >>> purpose_of("visits_clicks_draw_2", 100)
        'report'
    """
    draw = _draw_of(label)
    new_world = draw is None or draw >= REPORTING_DRAWS
    return "report" if seed >= REPORTING_SEEDS and new_world else "development"


def check_purpose(purpose: str, logs: Iterable[tuple[str, int]]) -> None:
    """Refuse a purpose that is none, and logs that are not for reporting where it is `"report"`.

    Args:
        purpose: as in `Suite`.
        logs: the label of the world and the seed of each log.

    Raises:
        ParameterError: the purpose is not one, or a log must not be reported on.
    """
    if purpose not in get_args(Purpose):
        raise ParameterError(
            f"`purpose` must be one of {', '.join(map(repr, get_args(Purpose)))}; "
            f"got {shown(purpose)}"
        )
    if purpose == "development":
        return
    for label, seed in logs:
        if purpose_of(label, seed) != "report":
            raise ParameterError(
                f"a report must be of seeds from {REPORTING_SEEDS} on, and in worlds of visits of "
                f"draws from {REPORTING_DRAWS} on: models may have been tuned on all others; got "
                f"{label!r} with seed {seed}. Run seeds and draws for reporting, as in "
                f'Suite(["intent", "visits_clicks_draw_{REPORTING_DRAWS}"], purpose="report"), or '
                'make the table with purpose="development", which it then says'
            )


def for_reporting(names: Iterable[str]) -> tuple[str, ...]:
    """The worlds of these names; of worlds that have draws the first one for reporting."""
    return tuple(
        f"{name}_draw_{REPORTING_DRAWS}" if _draw_of(name) == 0 else name for name in names
    )


def _draw_of(label: str) -> int | None:
    """The draw of a world's numbers; None for a world that has no draws."""
    found = re.search(r"_draw_(\d+)$", label)
    if found:
        return int(found[1])
    return 0 if label.startswith(_DRAWN) else None
