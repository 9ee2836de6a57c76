"""A server that fails is left alone for a while; one that is dead ever longer, until it answers again."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_REST, LONGEST_REST = 1.0, 60.0
FAILURES_TO_DOUBT = 3
"""Failures in a row after which each rest is twice the last, and one request at a time tries whether it is back."""


class Rest:
    """How one server has answered of late.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = float("-inf")

    def failed(self) -> None:
        """Note a failure."""
        self._failures += 1
        rest = FIRST_REST * 2.0 ** min(max(self._failures - FAILURES_TO_DOUBT, 0), 16)
        self._until = self._clock() + min(rest, LONGEST_REST)

    def answered(self) -> None:
        """Note an answer: it is as good as new."""
        self._failures, self._until = 0, float("-inf")

    def awake(self, in_flight: int = 0) -> bool:
        """Return whether it may be asked, beside so many requests that it has not answered yet."""
        doubted = self._failures >= FAILURES_TO_DOUBT and in_flight > 0
        return not doubted and self._until <= self._clock()
