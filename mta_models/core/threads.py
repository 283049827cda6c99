"""One thread for linear algebra, around what fits, credits and diagnoses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from threading import RLock, get_ident
from typing import Any

# Packages that bring a BLAS of their own: libraries are looked for again when one is new.
_WITH_BLAS = ("numpy", "scipy.linalg")


@contextmanager
def one_blas_thread(*packages: str) -> Iterator[None]:
    """One BLAS thread inside, in the whole process; the limits of before after it.

    The matrices here are small: with more threads a fit waits for the slowest of them at each
    product, and on a busy machine it took 2 to 12 times the CPU time. Calls may be nested. Of
    several Python threads the first inside limits all, until it leaves.

    Args:
        packages: imported first, so that a BLAS that they bring is limited too.

    Example:
        >>> import threadpoolctl
        >>> with one_blas_thread("scipy.linalg"):
        ...     libraries = threadpoolctl.threadpool_info()
        >>> {each["num_threads"] for each in libraries if each["user_api"] == "blas"}
        {1}
    """
    new = [package for package in packages if package not in sys.modules]
    for package in new:
        import_module(package)
    with _LIMITS.taken(look_again=bool(new)):
        yield


class _Limits:
    """The limits set, and the thread that set them: it alone can restore them."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._owner: int | None = None
        self._depth = 0
        self._set = ExitStack()
        self._loaded: tuple[str, ...] = ()
        self._controller: Any = None

    @contextmanager
    def taken(self, look_again: bool) -> Iterator[None]:
        with self._lock:
            mine = self._owner in (None, get_ident())
            if mine:
                if self._owner is None or look_again:
                    self._set.enter_context(self._libraries().limit(limits=1, user_api="blas"))
                self._owner = get_ident()
                self._depth += 1
        try:
            yield
        finally:
            if mine:
                with self._lock:
                    self._depth -= 1
                    if not self._depth:
                        self._set.close()
                        self._owner = None

    def _libraries(self) -> Any:
        """Those loaded so far; looking for them takes longer than limiting them."""
        loaded = tuple(name for name in _WITH_BLAS if name in sys.modules)
        if self._loaded != loaded:
            # Imported when it is needed, to keep the import of the package short.
            from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

            self._loaded, self._controller = loaded, ThreadpoolController()
        return self._controller


_LIMITS = _Limits()
