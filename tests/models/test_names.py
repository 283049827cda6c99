"""Models from their names, as results, the command line and TOML write them."""

from __future__ import annotations

from inspect import Parameter

import pytest

import mta_models as mta
from mta_models.models.names import model_from_name


@pytest.mark.parametrize(
    "model",
    [
        mta.Linear(unique=True),
        mta.LastNonDirect(direct=("Direct", "(none)")),
        mta.TimeDecay(half_life="12h"),
        mta.PositionBased(first=0.3, last=0.5),
        mta.Markov(order=3, removal="fail", smoothing=0.5),
        mta.Shapley(characteristic_function="model", model=mta.Markov(order=2), random_state=1),
        *(m() for m in mta.ALL_MODELS if Parameter.empty not in m._parameter_defaults().values()),
    ],
    ids=repr,
)
def test_the_words_of_a_result_make_the_same_model(model: mta.AttributionModel) -> None:
    again = model_from_name(repr(model))
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    assert repr(model_from_name(f"  {repr(model).removesuffix('()')} ")) == repr(model)


@pytest.mark.parametrize("name", ["last-touch", "LAST_TOUCH", "last touch", "LastTouch()"])
def test_case_and_hyphens_of_a_name_do_not_matter(name: str) -> None:
    assert repr(model_from_name(name)) == "LastTouch()"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Markof", "Did you mean Markov"),
        ("", "written as its name"),
        ("Markov(order=2", "written as its name"),
        ("Markov(order=2) + 1", "written as its name"),
        ("Markov(order=2)(3)", "written as its name"),
        ("Markov()()", "written as its name"),
        ("Markov(order=n)", "literal parameters"),
        ("Markov(order=__import__('os').getpid())", "literal parameters"),
        ("Markov(order=open('x'))", "there is no model 'open'"),
        ("Markov(**{'order': 2})", "written as its name"),
        ("Markov(ordre=2)", "Markov has the parameters order, removal"),
        ("FirstTouch(1)", "got 'FirstTouch(1)'"),
        ("Markov(" + "(" * 10_000, "written as its name"),
    ],
)
def test_names_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(mta.ParameterError) as caught:
        model_from_name(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("spaces", [2_000, 200_000])
def test_no_name_takes_more_than_linear_time(spaces: int) -> None:
    # The regular expression that once read names took cubic time on this.
    for text in ("Markov" + " " * spaces + "!", "Markov" + " " * spaces + "(order=2"):
        with pytest.raises(mta.ParameterError, match="written as its name"):
            model_from_name(text)
    assert repr(model_from_name("Markov" + " " * spaces + "(order=2) ")) == "Markov(order=2)"
