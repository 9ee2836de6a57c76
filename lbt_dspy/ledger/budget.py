"""Calls and dollars as gates: the worst case is reserved before a call and settled after it."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from lbt_dspy.errors import BudgetSpentError, UserError, check_at_least


class Budget:
    """A limit that no call can overshoot.

    A call reserves itself and its worst possible cost before it is sent. While the reservations of calls in flight
    leave no room, a caller waits for them to settle; when none is in flight, `BudgetSpentError` is raised.

    Args:
        max_calls: Most HTTP requests (retries and fallbacks included); `None`: no limit.
        max_cost: Most US dollars; `None`: no limit. Every model's price must then be known.

    Raises:
        UserError: A limit is negative.
    """

    def __init__(self, max_calls: int | None = None, max_cost: float | None = None) -> None:
        if max_calls is not None:
            check_at_least("max_calls", max_calls, 0, "leave it out for no limit")
        if max_cost is not None and not max_cost >= 0:
            raise UserError(f"max_cost must be at least 0 US dollars but got {max_cost!r}; leave it out for no limit")
        self.max_calls = max_calls
        self.max_cost = max_cost
        self.calls = 0
        self.cost = 0.0
        self._reserved_cost = 0.0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._settled: Future[None] | None = None

    def start_from(self, calls: int, cost: float) -> None:
        """Count what earlier runs of a journal have sent and spent, where this budget has not: it may be shared."""
        with self._lock:
            self.calls, self.cost = max(self.calls, calls), max(self.cost, cost)

    def reserve(self, worst_cost: float | None) -> None:
        """Take room for one call that costs at most `worst_cost` dollars, waiting for calls in flight if need be.

        Raises:
            BudgetSpentError: There is no room and none can come free.
        """
        while (settled := self.try_reserve(worst_cost)) is not None:
            settled.result()

    def try_reserve(self, worst_cost: float | None) -> Future[None] | None:
        """Take room for one call if there is some; else return a future that is done when a call in flight settles.

        Raises:
            BudgetSpentError: There is no room and none can come free.
        """
        with self._lock:
            problem = self._no_room(worst_cost)
            if problem is not None and self._in_flight == 0:
                raise BudgetSpentError(problem)
            if problem is not None:
                self._settled = self._settled or Future()
                return self._settled
            self.calls += 1
            self._reserved_cost += worst_cost or 0.0
            self._in_flight += 1
            return None

    def settle(self, worst_cost: float | None, cost: float, *, sent: bool = True) -> float:
        """Give back a reservation: the call cost `cost` dollars, or was never sent.

        Returns:
            What is counted of it: all, unless a server counts more than could be asked of it, and more than there is.
        """
        with self._lock:
            self._in_flight -= 1
            self._reserved_cost -= worst_cost or 0.0
            if self.max_cost is not None and cost > (worst_cost or 0.0):
                cost = min(cost, max(worst_cost or 0.0, self.max_cost - self.cost - self._reserved_cost))
            self.cost += cost
            if not sent:
                self.calls -= 1
            settled, self._settled = self._settled, None
        if settled is not None:
            settled.set_result(None)
        return cost

    def _no_room(self, worst_cost: float | None) -> str | None:
        if self.max_calls is not None and self.calls + 1 > self.max_calls:
            return f"the budget of {self.max_calls} calls is spent"
        if self.max_cost is None:
            return None
        if worst_cost is None:
            return "a model without a known price cannot be called under max_cost"
        if self.cost + self._reserved_cost + worst_cost > self.max_cost + 1e-12:
            return (
                f"the budget of ${self.max_cost:g} has no room for the next call: ${self.cost:.4f} are spent and it "
                f"could cost ${worst_cost:.4f}"
            )
        return None
