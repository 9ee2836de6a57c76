"""Numeric libraries in one thread: else sums, and so results, depend on the number of cores."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any

import threadpoolctl


@functools.cache
def _controller() -> Any:
    return threadpoolctl.ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which numpy and scikit-learn use one thread."""
    return _controller().limit(limits=1)  # type: ignore[no-any-return]
