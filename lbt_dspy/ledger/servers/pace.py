"""A server that answers every request with "too many" is left alone by all calls, ever longer, until it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS_TO_SLOW = 3
"""Rounds of refusals without an answer, after which all calls wait; one refusal alone is its own call's affair."""


@dataclass
class _Street:
    """How one address has answered of late."""

    rounds: int = 0
    since: float = float("-inf")
    """When the last round of refusals was met: what was sent before belongs to it."""
    until: float = float("-inf")


class Pace:
    """By address, until when nothing is sent.

    Args:
        first: The first wait, in seconds; each further round doubles it.
        longest: The longest one.
        clock: Seconds that never go back.
    """

    def __init__(self, *, first: float, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._longest, self.clock = first, longest, clock
        self._streets: dict[str, _Street] = {}

    def wait(self, address: str) -> float:
        """Return for how many seconds nothing is to be sent to an address; 0: it may be asked."""
        street = self._streets.get(address)
        return 0.0 if street is None else max(street.until - self.clock(), 0.0)

    def answered(self, address: str) -> None:
        """Note a reply: whoever answers some requests is asked as before."""
        self._streets.pop(address, None)

    def refused(self, address: str, sent_at: float, asked: float | None = None) -> None:
        """Note a refusal for there being too many requests.

        Args:
            address: Whose it is.
            sent_at: When that request was sent, by this clock.
            asked: Seconds that the server asks to wait.
        """
        street = self._streets.setdefault(address, _Street())
        if sent_at < street.since:
            return
        street.rounds, street.since = street.rounds + 1, self.clock()
        if street.rounds >= ROUNDS_TO_SLOW:
            wait = self._first * 2.0 ** (street.rounds - ROUNDS_TO_SLOW)
            street.until = street.since + min(max(wait, asked or 0.0), self._longest)
