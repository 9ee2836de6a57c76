"""What the race does around an optimiser of DSPy: its prompts are written faster, and its output is hushed."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import dspy


class ThriftyAdapter(dspy.ChatAdapter):  # type: ignore[misc]
    """DSPy's default adapter with the same messages, of which it writes those that questions share only once.

    Demonstrations must not be changed in place while it is in use.
    """

    def __init__(self) -> None:
        super().__init__()
        self._systems: dict[type[dspy.Signature], str] = {}
        self._demos: dict[tuple[Any, ...], tuple[list[Any], list[dict[str, Any]]]] = {}

    def format_system_message(self, signature: type[dspy.Signature]) -> str:
        """Describe the task."""
        if signature not in self._systems:
            self._systems[signature] = super().format_system_message(signature)
        return self._systems[signature]

    def format_demos(self, signature: type[dspy.Signature], demos: list[Any]) -> list[dict[str, Any]]:
        """Write the demonstrations."""
        key = (signature, *map(id, demos))
        if key not in self._demos:  # the demonstrations are kept, so that their ids stay theirs
            self._demos[key] = (list(demos), super().format_demos(signature, demos))
        return [dict(message) for message in self._demos[key][1]]


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Let nothing through to stdout, stderr, loggers and warnings, in the whole process; all is restored afterwards."""
    import optuna

    verbosity, disabled = optuna.logging.get_verbosity(), logging.root.manager.disable
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            optuna.logging.set_verbosity(verbosity)
