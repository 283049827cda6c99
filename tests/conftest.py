"""What several test files share."""

from __future__ import annotations

import gzip
import importlib.util
import os
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

# Workers share the cores: with threads of their own they would only wait for each other. NumPy is
# not imported yet, and what tests start inherits it.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# A busy machine must not fail a test: no deadline for one example.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def missing(reason: str) -> NoReturn:
    """Skip where something installable is missing, or fail where MTA_REQUIRE_ALL is set."""
    if os.environ.get("MTA_REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of reference data; its licences and sources stand in its own README."""
    folder = os.environ.get("MTA_TEST_DATA")
    if not folder:
        pytest.skip("MTA_TEST_DATA names no folder of reference data")
    return Path(folder)


@pytest.fixture(scope="session")
def ten_thousand_paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of the package `mta` (MIT): 10,000 paths, columns path, total_conversions,
    total_conversion_value, total_null. Found without importing the package."""
    spec = importlib.util.find_spec("mta")
    if spec is None or not spec.submodule_search_locations:
        missing("the package mta, whose example data this reads, is not installed")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "data.csv.gz"
    plain = tmp_path_factory.mktemp("mta") / "data.csv"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    return plain
