"""What is installed by which line, and what is said where an extra is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

import mta_models as mta

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNTIME = EXTRAS.keys() - {"all", "test", "docs"}


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower() for each in requirements}


def included(extra: str) -> set[str]:
    """The extras of this package that an extra includes."""
    lists = re.findall(r"mta_models\[([\w,]+)\]", " ".join(EXTRAS[extra]))
    return {each for one in lists for each in one.split(",")}


def test_the_base_has_no_sampler_no_database_and_no_shap():
    base = named(PROJECT["dependencies"])
    assert base >= {"scikit-learn", "networkx", "matplotlib", "jinja2", "scipy", "polars"}
    assert not base & {"pymc", "nutpie", "arviz", "shap", "ibis-framework", "duckdb"}


def test_each_extra_brings_what_it_is_for():
    assert named(EXTRAS["bayes"]) == {"pymc", "nutpie"}
    assert named(EXTRAS["explain"]) == {"shap"}
    assert named(EXTRAS["ibis"]) == {"ibis-framework"}
    assert EXTRAS["plot"] == []


def test_all_is_every_runtime_extra_and_the_tests_have_all():
    assert included("all") == RUNTIME
    assert len(EXTRAS["all"]) == 1
    assert included("test") == {"all"}


def test_the_readme_installs_what_its_lines_need_and_lists_the_extras():
    lines = re.findall(r"^python3 -m venv.*$", README, re.MULTILINE)
    assert ["'.[all]'" in lines[0], "'.[test]'" in lines[1]] == [True, True]
    assert len(lines) == 2
    listed = re.findall(r"^\| `(\w+)` \| .*\((.*)\) \|$", README, re.MULTILINE)
    assert {extra for extra, _ in listed} == RUNTIME - {"plot"}


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    world = mta.worlds.make("micro_synergy", n_users=1_500, seed=1)
    return world.simulate().journeys


@pytest.mark.parametrize("model", [mta.BayesianHazard(), mta.BayesianLogistic()], ids=repr)
def test_a_posterior_without_pymc_names_the_line_that_installs_it(model, journeys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymc", None)
    with pytest.raises(mta.MissingExtraError, match=r'pip install "mta_models\[bayes\]"'):
        model.fit(journeys)


@pytest.mark.parametrize("learner", [None, "trees"])
def test_an_explanation_without_shap_names_the_line_that_installs_it(
    learner, journeys, monkeypatch
):
    from sklearn.ensemble import HistGradientBoostingClassifier

    monkeypatch.setitem(sys.modules, "shap", None)
    model = mta.Logistic(3, learner=learner and HistGradientBoostingClassifier(max_iter=5))
    with pytest.raises(mta.MissingExtraError, match=r'pip install "mta_models\[explain\]"'):
        model.fit(journeys).explain(journeys)


def test_an_ibis_table_without_ibis_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ibis", None)
    table = type("Table", (), {"__module__": "ibis.expr.types"})()
    with pytest.raises(mta.MissingExtraError, match=r'pip install "mta_models\[ibis\]"'):
        mta.read_events(table, user="u", time="t", channel="c", conversion="k")
