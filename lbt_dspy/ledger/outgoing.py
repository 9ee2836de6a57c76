"""Calls to models outside of this process, on their way: how many are begun, who waits for which, how they end.

Calls of one batch are choices of one request. A call in flight is shared by all that ask for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from lbt_dspy.errors import StoppedError
from lbt_dspy.ledger.in_process import Call
from lbt_dspy.ledger.payment import Payments, Unit
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.types import Reply

ENOUGH = 4
"""Requests that are begun, for each that may be in flight, before the caller waits."""
OPEN_PER_WORKER = 4
"""Calls begun for each that may be in flight: the others pause before a retry."""


class Outgoing:
    """Begins calls and hands their replies back.

    Args:
        payments: Pays for them.
        workers: Most requests in flight.
        failed: Told of an error that ends the run; it is to stop this.
    """

    def __init__(self, payments: Payments, *, workers: int, failed: Callable[[BaseException], None]) -> None:
        self._payments = payments
        self._workers = workers
        self._failed = failed
        self._begun = False
        self._room = asyncio.Semaphore(workers * OPEN_PER_WORKER)
        self._left = 0
        """Requests that were begun and have not ended."""
        self._lock = threading.Lock()
        self._less = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._outcomes: set[asyncio.Future[None]] = set()
        self._in_flight: dict[bytes, asyncio.Future[dict[bytes, Reply]]] = {}

    def begin(self, calls: Sequence[Call], role: str) -> Future[dict[bytes, Reply]]:
        """Begin calls; the future gives the reply of each key.

        It fails where a call met an error that ends the run; calls in flight still come back into the journal.
        """
        self._begun = True
        units = units_of(calls)
        self._count(len(units))
        return EventLoop.submit(self._ask_all(units, role))

    def stop(self) -> None:
        """Send nothing more: calls that wait for their turn or their retry end with `StoppedError`."""
        self._payments.stop()
        if self._begun:
            EventLoop.get().call_soon_threadsafe(self._payments.wake)

    def abandon(self) -> None:
        """Give up the requests in flight."""
        if self._begun:
            EventLoop.get().call_soon_threadsafe(self._payments.abandon)

    def finish(self) -> None:
        """Wait for all open calls."""
        if self._begun:
            EventLoop.run(self._ended())

    async def _ended(self) -> None:
        while self._open:
            await asyncio.wait(self._open)

    def _count(self, more: int) -> None:
        with self._lock:
            self._left += more

    @property
    def full(self) -> bool:
        """Whether enough calls are begun to keep all workers busy for a while."""
        return self._left >= self._workers * ENOUGH

    def wait(self, begun: Future[Any]) -> None:
        """Wait until something that was begun is done, or more can be begun."""
        wait([begun, EventLoop.submit(self._until_room())], return_when=FIRST_COMPLETED)

    async def _until_room(self) -> None:
        while self.full:
            self._less.clear()
            await self._less.wait()

    async def _ask_all(self, units: Sequence[Unit], role: str) -> dict[bytes, Reply]:
        """Begin the units as there is room, in order; return at the first error."""
        replies: dict[bytes, Reply] = {}
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcomes.add(outcome)
        left = len(units)

        def ended(task: asyncio.Task[None]) -> None:
            nonlocal left
            left -= 1
            self._count(-1)
            self._less.set()
            self._open.discard(task)
            self._room.release()
            error = StoppedError("given up") if task.cancelled() else task.exception()
            if error is not None:
                self._fail(error)
            elif not left and not outcome.done():
                outcome.set_result(None)

        begun = 0
        try:
            for unit in units:
                await self._room.acquire()
                if outcome.done():
                    self._room.release()
                    break
                task = asyncio.create_task(self._once(unit, role, replies))
                self._open.add(task)
                task.add_done_callback(ended)
                begun += 1
            await outcome
        finally:
            self._count(begun - len(units))
            self._outcomes.discard(outcome)
        return replies

    def _fail(self, error: BaseException) -> None:
        """End all that is waited for with an error; calls in flight go on."""
        self._failed(error)
        for outcome in self._outcomes:
            if not outcome.done():
                outcome.set_exception(error)

    async def _once(self, unit: Unit, role: str, replies: dict[bytes, Reply]) -> None:
        """Pay for calls unless the same ones are in flight: then wait for those."""
        theirs = {call.key: self._in_flight[call.key] for call in unit if call.key in self._in_flight}
        mine = [call for call in unit if call.key not in theirs]
        if mine:
            paid: asyncio.Future[dict[bytes, Reply]] = asyncio.get_running_loop().create_future()
            self._in_flight.update((call.key, paid) for call in mine)
            try:
                new = await self._payments.pay(mine, role)
            except BaseException as error:
                paid.set_exception(StoppedError("given up") if isinstance(error, asyncio.CancelledError) else error)
                paid.exception()  # nobody need have waited for it
                raise
            else:
                paid.set_result(new)
            finally:
                for call in mine:
                    del self._in_flight[call.key]
            replies.update(new)
        for key, other in theirs.items():
            replies[key] = (await other)[key]


def units_of(calls: Sequence[Call]) -> list[Unit]:
    """Return the calls, those of one batch together, in the order of each one's first."""
    units: dict[bytes, list[Call]] = {}
    for call in calls:
        units.setdefault(call.batch or call.key, []).append(call)
    return list(units.values())
