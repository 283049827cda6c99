"""The example of docs/incremental.md runs, and answers what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[4] / "docs/incremental.md"


def test_the_example_of_the_page_runs():
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 1
    names: dict[str, Any] = {}
    exec(code[0], names)
    answer, model, journeys = names["answer"], names["model"], names["journeys"]
    months = model.by_period(journeys, every="1mo").attributions.values()
    assert len(months) == 3
    assert sum(each.credit.sum() for each in months) == pytest.approx(answer.credit.sum())
    halves = model.by_segment(journeys, names["half"]).attributions
    assert list(halves) == ["even", "odd"]
    narrow, wide = (answer.interval(0.9, holds=holds) for holds in ("sampling", "all"))
    assert (narrow[:, 1] - narrow[:, 0]).sum() < (wide[:, 1] - wide[:, 0]).sum()
