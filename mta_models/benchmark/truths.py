"""Truths cached on disk: a truth takes seconds to compute, and many suites need the same one."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mta_models.benchmark.suite import Log
from mta_models.core import files
from mta_models.worlds.truth import Truth

_WORLDS = "mta_models.worlds."


def cached_truth(log: Log, folder: Path | None) -> Truth:
    """The truth of a log's world: read from `folder`, or computed and written there.

    Only truths of the catalogue's worlds are cached. The file name has the world, its draw and
    strength, and a hash of the code of all worlds, so that the truth of a mechanism that was
    changed since is never read. Comments and docstrings are not hashed.
    """
    world = log.world
    if folder is None or not type(world).__module__.startswith(_WORLDS):
        return world.truth(users=log.truth_users)
    file = folder / f"{world.label}-{world.strength!r}-{log.truth_users}-{_sources()}.json"
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        truth = world.truth(users=log.truth_users)
        document = truth.to_document() | {"n_units": world.n_units}
        folder.mkdir(parents=True, exist_ok=True)
        files.write_text(file, json.dumps(document))  # other processes may read it at any moment
        return truth
    return _read(kept, world.n_units)


def _read(kept: dict[str, Any], n_units: int) -> Truth:
    factor = n_units / kept.pop("n_units")
    errors = {
        name: np.array(each) if isinstance(each, list) else each
        for name, each in kept.pop("standard_error").items()
    }
    channels = tuple(kept.pop("channels"))
    values: dict[str, Any] = {
        name: np.array(each) if isinstance(each, list) else each for name, each in kept.items()
    }
    truth = Truth(channels, **values, standard_error=errors)
    return truth if factor == 1 else truth.scaled(factor)


@cache
def _sources() -> str:
    from mta_models import worlds

    sources = sorted(Path(worlds.__path__[0]).rglob("*.py"))
    code = "".join(_code(file.read_text(encoding="utf-8")) for file in sources)
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def _code(source: str) -> str:
    """The program of a file as one text, without its docstrings, comments and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
    return ast.dump(tree)
