"""Who is told of replies: the account of one method, and whoever shows progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lbt_dspy.ledger.key_set import KeySet
from lbt_dspy.types import Reply


class Watcher(Protocol):
    """Is told of every reply; must be thread-safe and quick."""

    def replied(self, role: str, replies: Sequence[Reply], *, from_journal: int) -> None:
        """Take note of replies."""


@dataclass
class Account:
    """What one method needs, counted as if it ran alone: calls that another method paid for count here too."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (role, LM name)."""
    cost: float | None = 0.0
    """US dollars; `None` when a price is unknown."""
    failed: int = 0
    """Calls without a usable reply."""
    _seen: KeySet = field(default_factory=KeySet, repr=False)

    def add(self, role: str, lm: str, replies: Iterable[tuple[bytes, Reply]]) -> None:
        """Count replies that this account has not seen yet."""
        by_key = dict(replies)
        new = self._seen.add(list(by_key))
        for reply in (reply for key, reply in by_key.items() if key in new):
            self.calls[role, lm] += reply.attempts
            self.cost = None if self.cost is None or reply.cost is None else self.cost + reply.cost
            self.failed += reply.text is None

    def join(self, other: Account) -> None:
        """Count what another account counted, none of which this one has seen."""
        self.calls += other.calls
        self.cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        self.failed += other.failed
        self._seen.join(other._seen)
