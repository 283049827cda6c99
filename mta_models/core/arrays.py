"""Small helpers of arrays and names."""

from __future__ import annotations

from typing import Any

from mta_models.core.ragged import Numbers


def read_only(array: Numbers) -> Any:
    """A view of `array` that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def is_name(name: object) -> bool:
    """Whether it is valid as the name of a channel: a text that is not blank."""
    return isinstance(name, str) and bool(name.strip())
