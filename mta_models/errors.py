"""What the toolkit raises and warns. A message says what must hold, what was got and what to do."""

from __future__ import annotations


class MTAError(Exception):
    """Everything the toolkit raises on purpose. Catch this to catch them all."""


class JourneyError(MTAError, ValueError):
    """The data are not journeys, or lack what was asked of them. Names the row where it can."""


class ParameterError(MTAError, ValueError):
    """A parameter of a model or function is outside what it may be."""


class UnknownChannelError(MTAError, KeyError):
    """A channel was met that the model was not fitted on."""

    def __str__(self) -> str:
        # KeyError shows repr(args[0]), which would put quotes round a whole sentence.
        return str(self.args[0]) if self.args else ""


class MissingExtraError(MTAError, ImportError):
    """An optional dependency is needed and not installed. Names the extra that brings it."""

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
    """`attribute` was asked of a model before `fit`.

    Kin to scikit-learn's exception of the same name by its bases, not by import: importing
    `sklearn` costs seconds, and this module is imported by everything.
    """


class InvariantError(MTAError, AssertionError):
    """A result broke its own arithmetic: a bug of ours, never of the data. Please report it."""


class MTAWarning(UserWarning):
    """Everything the toolkit warns of."""


class IdentifiabilityWarning(MTAWarning):
    """The data cannot answer the question that was asked of them, or only with an assumption."""


class ConvergenceWarning(MTAWarning):
    """An iteration or a sampler stopped before it had settled."""
