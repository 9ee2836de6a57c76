"""A dependency that warns must not change a result: inside of calls warnings are shown, never raised.

Where a user turns warnings into errors (`python -W error`, `PYTHONWARNINGS`, pytest's `filterwarnings = error`), one
that LiteLLM or an adapter gives in the middle of a paid call would pass for a failure of the call, or for an answer
that cannot be read.
"""

from __future__ import annotations

import contextvars
import threading
import warnings
from typing import Any

_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside of a call", default=False)
_lock = threading.Lock()
_seen = (0, 0, 0)


class warnings_shown:  # noqa: N801 - used as `with warnings_shown():`, and once for each answer, so no generator
    """Show each warning that a filter would raise, in this context (thread or task) alone; other filters hold.

    `warnings.catch_warnings` would change, and then restore, the filters of all threads.
    """

    def __enter__(self) -> None:
        _soften()
        self._token = _inside.set(True)

    def __exit__(self, *_: object) -> None:
        _inside.reset(self._token)


class _Inside:
    """Matches as another pattern of a filter does, but inside of calls alone.

    Args:
        pattern: A compiled pattern, a text, or `None`, which matches anything.
    """

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def match(self, text: str) -> bool:
        """Whether the filter holds for a warning of this text."""
        if not _inside.get() or self._pattern is None:
            return _inside.get()
        return text == self._pattern if isinstance(self._pattern, str) else bool(self._pattern.match(text))


def _soften() -> None:
    """Let each filter that raises be preceded by one that shows, inside of calls."""
    global _seen
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    if _seen == _state(filters):
        return
    with _lock:
        places = [i for i, row in enumerate(filters) if row[0] == "error" and not _softened(filters, i)]
        for i in reversed(places):
            _, message, *others = filters[i]
            filters.insert(i, ("default", _Inside(message), *others))
        _seen = _state(filters)


def _state(filters: list[Any]) -> tuple[int, int, int]:
    """Return what changes whenever filters are added, removed or replaced."""
    return id(filters), len(filters), id(filters[0]) if filters else 0


def _softened(filters: list[Any], place: int) -> bool:
    return place > 0 and isinstance(filters[place - 1][1], _Inside)
