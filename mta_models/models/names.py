"""Models from their names, as the command line, a run's TOML and `compare` accept them."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mta_models.core.checks import as_list
from mta_models.errors import ParameterError
from mta_models.models.base import AttributionModel

# Matched against a name without its brackets, so that no input takes more than linear time.
_NAME = re.compile(r"[A-Za-z][\w -]*")


def model_from_name(text: str) -> AttributionModel:
    """The model with this name, written as in its repr: `"Markov"` or `"Markov(order=2)"`.

    So the text in `Attribution.model` makes the same model again. In the name, case, hyphens,
    spaces and underscores do not matter: `last-touch` is `LastTouch`. Parameters are Python
    literals, models, a `Prior` or `LiftTest`s; no code is run.

    Args:
        text: a name in `ALL_MODELS`, with parameters in brackets where they are not the defaults.

    Raises:
        ParameterError: the model or parameter does not exist, or a parameter is not a literal.

    Example:
        >>> model_from_name("markov(order=2)")
        Markov(order=2)
    """
    name, bracket, rest = text.strip().partition("(")
    name = name.rstrip()
    if not _NAME.fullmatch(name) or (bracket and not rest.endswith(")")):
        raise _unreadable(text)
    try:
        tree = ast.parse(f"model({rest}" if bracket else "model()", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(text) from error
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):  # Markov()()
        raise _unreadable(text)
    return _make(_known(name), tree, text)


def _make(model: type[AttributionModel], call: ast.Call, text: str) -> AttributionModel:
    positional, named = _arguments(call, text)
    try:
        return model(*positional, **named)
    except TypeError as error:
        known = ", ".join(model._parameter_defaults()) or "(none)"
        raise ParameterError(
            f"{model.__name__} has the parameters {known}; got {text!r}. Use those"
        ) from error


def _arguments(call: ast.Call, text: str) -> tuple[list[Any], dict[str, Any]]:
    positional = [_value(each, text) for each in call.args]
    named: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in named:
            raise _unreadable(text)
        named[keyword.arg] = _value(keyword.value, text)
    return positional, named


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.List):
        return [_value(each, text) for each in node.elts]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        made = _made(node.func.id, node, text)
        return _make(_known(node.func.id), node, text) if made is None else made
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise _unreadable(text) from error


def _made(name: str, call: ast.Call, text: str) -> object:
    """The `Prior` or `LiftTest` that a call in a parameter makes; None if it calls neither."""
    from mta_models.data.lift_tests import LiftTest
    from mta_models.models.incremental.bayesian.priors import Prior

    kind = {"LiftTest": LiftTest, "Prior": Prior}.get(name)
    if kind is None:
        return None
    positional, named = _arguments(call, text)
    try:
        return kind(*positional, **named)
    except TypeError as error:
        fields = ", ".join(inspect.signature(kind).parameters)
        raise ParameterError(f"{name} has the fields {fields}; got {text!r}. Use those") from error


def _known(name: str) -> type[AttributionModel]:
    models = _by_plain_name()
    model = models.get(_plain(name))
    if model is None:
        near = difflib.get_close_matches(_plain(name), models, 1, 0.5)
        hint = f"Did you mean {models[near[0]].__name__}? " if near else ""
        from mta_models.models.registry import FOR_COMPARISON

        known = ", ".join(each.__name__ for each in models.values() if each not in FOR_COMPARISON)
        raise ParameterError(f"there is no model {name!r}. {hint}There are {known}")
    return model


def _by_plain_name() -> Mapping[str, type[AttributionModel]]:
    from mta_models.models.registry import ALL_MODELS

    return {_plain(model.__name__): model for model in ALL_MODELS}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _unreadable(text: str) -> ParameterError:
    return ParameterError(
        'a model must be written as its name, or as "Markov(order=2)" with literal parameters; '
        f"got {text!r}"
    )


def label_of(model: AttributionModel) -> str:
    """The model's repr without empty brackets."""
    return repr(model).removesuffix("()")


def as_model(model: AttributionModel | type[AttributionModel] | str) -> AttributionModel:
    """An unfitted model from a model, its class or its name.

    Raises:
        ParameterError: `model` is something else, or a class that needs arguments.
    """
    if isinstance(model, str):
        return model_from_name(model)
    if isinstance(model, type) and issubclass(model, AttributionModel):
        try:
            return model()
        except TypeError as error:
            raise ParameterError(
                f"a model's class may be given only if it needs no arguments; {model.__name__} "
                f"cannot be made without arguments ({error}). Give the model itself"
            ) from error
    if isinstance(model, AttributionModel):
        return model.__sklearn_clone__()
    raise ParameterError(
        f"a model must be a model, its class or its name; got {type(model).__name__}. "
        'For example Markov(order=2), Markov or "Markov"'
    )


def distinct_models(
    models: Iterable[AttributionModel | type[AttributionModel] | str],
) -> list[AttributionModel]:
    """Unfitted models, no two of them equal.

    Raises:
        ParameterError: the list is empty, two are equal, or one is not a model.
    """
    if isinstance(models, str | AttributionModel | type):
        raise ParameterError(
            f"`models` must be a list of models; got {models!r}. Write [{models!r}]"
        )
    made = [as_model(model) for model in as_list(models, "models", "models")]
    if not made:
        raise ParameterError('there must be a model to compare; got none. For example ["Markov"]')
    labels = [label_of(model) for model in made]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ParameterError(f"models compared must differ; {twice} is there twice. Drop one")
    return made
