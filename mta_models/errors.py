"""Exceptions and warnings. A message says what must hold, what was got and what to do."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


class MTAError(Exception):
    """Base of all errors that the toolkit raises."""


class JourneyError(MTAError, ValueError):
    """The data are not valid journeys, or lack what is needed. Names the row where possible."""


class ParameterError(MTAError, ValueError):
    """A parameter of a model or function has a wrong type or is out of range."""


class UnknownChannelError(MTAError, KeyError):
    """The journeys have a channel that the model was not fitted on."""

    def __str__(self) -> str:
        # KeyError shows repr(args[0]), with quotes around the sentence.
        return str(self.args[0]) if self.args else ""


class MissingExtraError(MTAError, ImportError):
    """An optional dependency is needed and not installed. Names the extra that installs it."""

    @classmethod
    def from_extra(cls, user: str, package: str, extra: str) -> MissingExtraError:
        """The error for `user`, which needs `package`, which `extra` installs.

        Example:
            >>> print(MissingExtraError.from_extra("an Ibis table", "Ibis", "ibis"))
            an Ibis table needs Ibis, which is not installed: pip install "mta_models[ibis]"
        """
        return cls(
            f'{user} needs {package}, which is not installed: pip install "mta_models[{extra}]"'
        )


class NotFittedError(MTAError, ValueError, AttributeError):
    """A model was used before `fit`.

    It has the same bases as scikit-learn's exception of this name but does not derive from it:
    importing `sklearn` takes seconds, and everything imports this module.
    """


class InvariantError(MTAError, AssertionError):
    """A result contradicts itself: a bug of the toolkit, not of the data. Please report it."""


class MTAWarning(UserWarning):
    """Base of all warnings of the toolkit."""


class IdentifiabilityWarning(MTAWarning):
    """The data cannot answer the question, or can answer it only with an assumption."""


class ConvergenceWarning(MTAWarning):
    """An iteration or a sampler stopped before it had converged."""


# How the toolkit warns.

# Start of the file names of the package, with the separator.
_PACKAGE = str(Path(__file__).parent / "_").removesuffix("_")
# Each thread or task has its own values; warning filters belong to the whole process.
_model: ContextVar[str | None] = ContextVar("model whose warnings these are", default=None)
_collected: ContextVar[list[Notice] | None] = ContextVar("warnings being collected", default=None)


@dataclass(frozen=True)
class Notice:
    """A warning that was collected instead of issued: `warn(message, category)` issues it."""

    message: str
    category: type[MTAWarning]


def warn(message: str, category: type[MTAWarning]) -> None:
    """Warn, pointing to the line that called the toolkit and naming the model at work.

    Every warning of the toolkit is issued here. A model that warns calls this too: its class is
    put before the message, so the message need not name it.

    Args:
        message: what must hold, what was got and what to do.
        category: an `MTAWarning`.
    """
    name, notices = _model.get(), _collected.get()
    if notices is not None:
        notices.append(Notice(message, category))
        return
    text = message if name is None else f"{name}: {message}"
    warnings.warn(text, category, stacklevel=_caller())


def _caller() -> int:
    """The stack level, for `warn`, of the frame that called the toolkit.

    The outermost such frame: a model that the caller wrote may stand between it and the warning.
    """
    frame, level, caller = sys._getframe(1), 1, 1
    while frame.f_back is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            caller = level + 1
        frame, level = frame.f_back, level + 1
    return caller


@contextmanager
def warnings_of(model: str) -> Iterator[None]:
    """Put the name of a model before all warnings inside.

    The outermost name stays: a model that fits another one warns in its own name, which is the
    one the caller knows.
    """
    if _model.get() is not None:
        yield
        return
    token = _model.set(model)
    try:
        yield
    finally:
        _model.reset(token)


@contextmanager
def collected_warnings() -> Iterator[list[Notice]]:
    """Keep the toolkit's warnings inside in a list, in their order, instead of issuing them.

    A message in the list does not name the model; `warn` adds the name when it issues it.

    Unlike `warnings.catch_warnings` it leaves the process's filters alone, and so it works in
    threads. Warnings of other libraries are not collected.
    """
    notices: list[Notice] = []
    token = _collected.set(notices)
    try:
        yield notices
    finally:
        _collected.reset(token)
