"""One BLAS thread around what fits, credits and diagnoses, and the limits of before after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 (so that its BLAS is loaded before limits are compared)
import threadpoolctl  # type: ignore[import-untyped]  # no types

import mta_models as mta
from mta_models.core.ragged import Floats
from mta_models.core.threads import one_blas_thread


def blas_threads() -> list[int]:
    """Threads of each BLAS that is loaded."""
    return [
        each["num_threads"]
        for each in threadpoolctl.threadpool_info()
        if each["user_api"] == "blas"
    ]


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    """Two threads around each test, whatever the machine has."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("this BLAS has one thread only")
        yield


class Spy(mta.Markov):
    """Notes the threads while it learns and credits."""

    def _fit(self, journeys: mta.Journeys) -> None:
        super()._fit(journeys)
        self.threads_fitting_ = blas_threads()

    def _credit(self, journeys: mta.Journeys, of: str) -> Floats:
        self.threads_crediting_ = blas_threads()
        return super()._credit(journeys, of)


class TimedSpy(mta.Hazard):
    """Notes the threads while it learns from histories."""

    def _learn(self, histories: mta.data.histories.Histories) -> None:
        super()._learn(histories)
        self.threads_fitting_ = blas_threads()


@pytest.fixture(scope="module")
def journeys() -> mta.Journeys:
    return mta.worlds.make("randomised", n_users=1_000).simulate().journeys


def test_fits_and_credits_have_one_thread(journeys: mta.Journeys) -> None:
    model = Spy()
    model.fit_attribute(journeys)
    assert set(model.threads_fitting_) == set(model.threads_crediting_) == {1}
    assert set(blas_threads()) == {2}
    timed = TimedSpy(half_life=3).fit_histories(journeys.histories)
    assert set(timed.threads_fitting_) == {1}
    assert set(blas_threads()) == {2}


def test_draws_and_diagnoses_have_one_thread(
    journeys: mta.Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mta_models.diagnosis import checking

    seen: list[int] = []

    class Drawn(mta.Markov):
        def prepare(self, journeys: mta.Journeys, of: str) -> object:
            refit = super().prepare(journeys, of)

            def noted(weighted: mta.Journeys) -> object:
                seen.extend(blas_threads())
                return refit(weighted)

            return noted

    mta.bootstrap(Drawn(), journeys, n_draws=2, random_state=0)
    assert set(seen) == {1}
    assert len(seen) == 2 * len(blas_threads())
    seen.clear()

    def check(_: object) -> list[object]:
        seen.extend(blas_threads())
        return []

    monkeypatch.setattr(checking, "CHECKS", (check,))
    mta.diagnose(journeys)
    assert set(seen) == {1}
    assert set(blas_threads()) == {2}


def test_limits_return_after_an_error() -> None:
    def fails() -> None:
        with one_blas_thread():
            assert set(blas_threads()) == {1}
            raise mta.JourneyError("must fail; it does. Nothing to do")

    with pytest.raises(mta.JourneyError):
        fails()
    assert set(blas_threads()) == {2}


def test_a_thread_beside_leaves_the_limits_alone() -> None:
    def beside() -> list[int]:
        with one_blas_thread():
            return blas_threads()

    with ThreadPoolExecutor(1) as pool:
        with one_blas_thread():
            assert set(pool.submit(beside).result(timeout=60)) == {1}
            assert set(blas_threads()) == {1}  # still, though the other has left
        assert set(blas_threads()) == {2}
        pool.submit(beside).result(timeout=60)
    assert set(blas_threads()) == {2}


def test_a_blas_that_is_loaded_inside_is_limited_too() -> None:
    code = (
        "import threadpoolctl, numpy\n"
        "from mta_models.core.threads import one_blas_thread\n"
        "def threads():\n"
        "    return [x['num_threads'] for x in threadpoolctl.threadpool_info()"
        " if x['user_api'] == 'blas']\n"
        "import sys\n"
        "with threadpoolctl.threadpool_limits(2, user_api='blas'), one_blas_thread():\n"
        "    assert 'scipy.linalg' not in sys.modules\n"
        "    with one_blas_thread('scipy.linalg'):\n"
        "        assert 'scipy.linalg' in sys.modules\n"
        "        print(threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    inside = eval(done.stdout)
    assert set(inside) == {1}


def test_importing_the_package_imports_no_threadpoolctl() -> None:
    code = "import sys, mta_models; print('threadpoolctl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_same_numbers_with_one_thread(journeys: mta.Journeys) -> None:
    credit = mta.Hazard(half_life=3).fit_attribute(journeys).credit
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        np.testing.assert_array_equal(
            mta.Hazard(half_life=3).fit_attribute(journeys).credit, credit
        )
