"""Every default that was tuned says on what, and nothing was tuned on what is for reporting."""

from __future__ import annotations

import inspect
import re

import pytest

from mta_models.benchmark.purpose import REPORTING_DRAWS, REPORTING_SEEDS
from mta_models.models.registry import ALL_MODELS

INCREMENTAL = [model for model in ALL_MODELS if ".incremental." in model.__module__]


@pytest.mark.parametrize("model", INCREMENTAL, ids=lambda model: model.__name__)
def test_a_model_says_what_its_defaults_were_tuned_on(model: type) -> None:
    paragraphs = (inspect.getdoc(model) or "").split("\n\n")
    (tuned,) = (each for each in paragraphs if each.startswith("Tuned on: "))
    words = " ".join(tuned.split())
    if words.startswith("Tuned on: nothing"):
        return
    assert "seed" in words
    limits = {"seeds": REPORTING_SEEDS, "draws": REPORTING_DRAWS}
    for kind, numbers in re.findall(r"(seeds|draws) (?!below)([0-9 to,and]+)", words):
        for number in re.findall(r"\d+", numbers):
            assert int(number) < limits[kind], (kind, number)
    for number in re.findall(r"seeds below (\d+)", words):
        assert int(number) <= REPORTING_SEEDS
