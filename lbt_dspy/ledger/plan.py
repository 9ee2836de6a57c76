"""The calls that something can make at most, by role and model, and what they cost: known before one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PlannedCalls:
    """The calls of one model in one role."""

    role: str
    """`teacher` or `students`."""
    lm: str
    """The model's name."""
    calls: int
    """The most if none fails."""
    likely_cost: float | None
    """About what one costs, in US dollars: a prompt and an answer of median length; `None`: unknown price."""
    worst_cost: float | None
    """The most that one can cost: the longest texts, a token per byte, an answer as long as it may be."""


@dataclass(frozen=True)
class CallPlan:
    """What is planned."""

    rows: Sequence[PlannedCalls]

    @property
    def calls(self) -> int:
        """All calls, if none fails."""
        return sum(row.calls for row in self.rows)

    @property
    def likely_cost(self) -> float | None:
        """About what all of them cost in US dollars; `None`: a price is unknown."""
        return _total([(row.calls, row.likely_cost) for row in self.rows])

    def worst_cost(self, retries: int = 0) -> float | None:
        """Return the most that all of them can cost in US dollars; `None`: a price is unknown.

        Args:
            retries: How often each may be repeated, at least 0.
        """
        return _total([(row.calls * (1 + retries), row.worst_cost) for row in self.rows])


def _total(parts: Sequence[tuple[int, float | None]]) -> float | None:
    costs = [None if cost is None and calls else calls * (cost or 0.0) for calls, cost in parts]
    return None if None in costs else sum(costs)  # type: ignore[arg-type]
