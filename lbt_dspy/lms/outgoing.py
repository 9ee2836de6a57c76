"""Calls to models outside of this process: counted, sent, retried, journalled, all on one event loop.

Calls of one batch are choices of one request. A call in flight is shared by all that ask for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from lbt_dspy.budget import Budget
from lbt_dspy.errors import StoppedError
from lbt_dspy.journal import Journal, writable
from lbt_dspy.lms.commits import Commits
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.event_loop import EventLoop
from lbt_dspy.lms.faults import Fault, fault_of
from lbt_dspy.lms.health import Health
from lbt_dspy.lms.in_process import CUT, Call
from lbt_dspy.sampling import digest_int
from lbt_dspy.types import Reply

FIRST_WAIT, LONGEST_WAIT = 0.25, 20.0
MOST_WAITS = 60
OPEN_PER_WORKER = 4
"""Calls begun for each that may be in flight: the others pause before a retry."""

Unit = Sequence[Call]
"""Calls of one engine that one request can answer, as its choices; mostly one."""


@dataclass
class _Bill:
    """What a unit's requests cost that no recorded reply bears yet."""

    attempts: int = 0
    cost: float | None = 0.0
    faults: list[Fault] = field(default_factory=list)

    def add(self, attempts: int, cost: float | None) -> None:
        self.attempts += attempts
        self.cost = None if self.cost is None or cost is None else self.cost + cost

    def passed_on(self) -> tuple[int, float | None]:
        """Return attempts and cost, and forget them."""
        attempts, cost = self.attempts, self.cost
        self.attempts, self.cost = 0, 0.0
        return attempts, cost


class Outgoing:
    """Answers calls to models outside of this process.

    Args:
        journal: Where replies are kept.
        budget: The gate before every request.
        workers: Most requests in flight.
        retries: Most further requests after one that failed.
        tell: Told of new replies, by role.
        failed: Told of an error that ends the run; it is to stop this.
    """

    def __init__(
        self,
        journal: Journal,
        budget: Budget,
        *,
        workers: int,
        retries: int,
        tell: Callable[[str, Sequence[Reply]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._retries = retries
        self._tell = tell
        self._failed = failed
        self._commits = Commits(journal)
        self._health = Health()
        self._slots = asyncio.Semaphore(workers)
        self._room = asyncio.Semaphore(workers * OPEN_PER_WORKER)
        self._begun = self._stopped = False
        self._wake = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._in_flight: dict[bytes, asyncio.Future[dict[bytes, Reply]]] = {}
        self._failed_now: set[bytes] = set()
        self._one_choice: set[ModelEngine] = set()
        """Engines whose servers refuse to give several choices."""

    def begin(self, calls: Sequence[Call], role: str) -> Future[dict[bytes, Reply]]:
        """Begin calls; the future gives the reply of each key.

        It fails where a call met an error that ends the run; calls in flight still come back into the journal.
        """
        self._begun = True
        return EventLoop.submit(self._ask_all(units_of(calls), role))

    def failed_now(self, key: bytes) -> bool:
        """Return whether this call has failed for good since this object was made: it is not asked again."""
        return key in self._failed_now

    def stop(self) -> None:
        """Send nothing more: calls that wait for their turn or their retry end with `StoppedError`."""
        self._stopped = True
        if self._begun:
            EventLoop.get().call_soon_threadsafe(self._wake.set)

    def abandon(self) -> None:
        """Give up the requests in flight."""
        if self._begun:
            EventLoop.get().call_soon_threadsafe(lambda: [task.cancel() for task in self._sending])

    def finish(self) -> None:
        """Wait for all open calls."""
        if self._begun:
            EventLoop.run(self._ended())

    async def _ended(self) -> None:
        while self._open:
            await asyncio.wait(self._open)

    async def _ask_all(self, units: Sequence[Unit], role: str) -> dict[bytes, Reply]:
        """Begin the units as there is room, in order; return at the first error."""
        replies: dict[bytes, Reply] = {}
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(units)

        def ended(task: asyncio.Task[None]) -> None:
            nonlocal left
            left -= 1
            self._open.discard(task)
            self._room.release()
            error = StoppedError("given up") if task.cancelled() else task.exception()
            if error is not None:
                self._failed(error)
            if not outcome.done():
                if error is not None:
                    outcome.set_exception(error)
                elif not left:
                    outcome.set_result(None)

        for unit in units:
            await self._room.acquire()
            if outcome.done():
                self._room.release()
                break
            task = asyncio.create_task(self._once(unit, role, replies))
            self._open.add(task)
            task.add_done_callback(ended)
        if units:
            await outcome
        return replies

    async def _once(self, unit: Unit, role: str, replies: dict[bytes, Reply]) -> None:
        """Pay for calls unless the same ones are in flight: then wait for those."""
        theirs = {call.key: self._in_flight[call.key] for call in unit if call.key in self._in_flight}
        mine = [call for call in unit if call.key not in theirs]
        if mine:
            paid: asyncio.Future[dict[bytes, Reply]] = asyncio.get_running_loop().create_future()
            self._in_flight.update((call.key, paid) for call in mine)
            try:
                new = await self._pay(mine, role)
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

    async def _pay(self, unit: Unit, role: str) -> dict[bytes, Reply]:
        """Ask until every call has a usable reply or no retry is left; journal the outcome."""
        earlier = self._journal.replies([call.key for call in unit])
        replies = {k: r for k, r in earlier.items() if r.text is not None or k in self._failed_now}
        engine, bill = unit[0].engine, _Bill()
        source = (role, engine.name)
        while open_calls := [call for call in unit if call.key not in replies]:
            asked, outcome, cost = await self._attempt(engine, open_calls, source, bill.faults)
            bill.add(not isinstance(outcome, Fault) or outcome.sent, cost)
            usable: dict[bytes, Reply] = {}
            fault: Fault | None
            if isinstance(outcome, Fault):
                if len(asked) > 1 and outcome.rejected:
                    self._one_choice.add(engine)
                    continue
                fault = outcome
            else:
                usable, fault = _sorted(asked, outcome)
            if usable:
                self._health.answered(engine.name)
                new = {key: _charged(reply, earlier.get(key), bill) for key, reply in usable.items()}
                await self._settle(source, new, role)
                replies.update(new)
            if fault is None:
                continue
            bill.faults.append(fault)
            if not self._again(engine, bill.faults):
                lost = [call.key for call in unit if call.key not in replies]
                new = {key: _charged(Reply(None, fault.reason), earlier.get(key), bill) for key in lost}
                self._failed_now.update(lost)
                await self._settle(source, new, role)
                replies.update(new)
                self._health.failed(engine.name, fault)
            else:
                await self._pause(unit[0].key, len(bill.faults), fault)
        return replies

    def _again(self, engine: ModelEngine, faults: Sequence[Fault]) -> bool:
        sent = sum(fault.sent for fault in faults)
        return sent <= self._retries and len(faults) < MOST_WAITS and engine.may_retry(faults)

    async def _settle(self, source: tuple[str, str], new: dict[bytes, Reply], role: str) -> None:
        await self._commits.record(source, list(new.items()))
        self._tell(role, list(new.values()))

    async def _attempt(
        self, engine: ModelEngine, open_calls: Unit, source: tuple[str, str], faults: Sequence[Fault]
    ) -> tuple[Unit, list[Answer] | Fault, float | None]:
        """Reserve, count, send once, settle.

        Returns:
            The calls that were asked, what came back, and what it cost (`None`: unknown price).
        """
        async with self._slots:
            self._check_going()
            calls = open_calls[:1] if engine in self._one_choice else open_calls
            request = calls[0].request
            worst = engine.worst_cost(request, len(calls))
            while (settled := self._budget.try_reserve(worst)) is not None:
                await asyncio.shield(asyncio.wrap_future(settled))
                self._check_going()
            await self._commits.count(source, 1, worst or 0.0)
            task = asyncio.current_task()
            self._sending.add(task)  # type: ignore[arg-type]
            try:
                answers = await engine.ask(request, faults, len(calls))
            except asyncio.CancelledError:
                self._budget.settle(worst, worst or 0.0)
                raise StoppedError("given up while in flight") from None
            except Exception as error:
                fault = fault_of(error, engine.secrets)
                price = worst if fault.billed else 0.0
                self._budget.settle(worst, price or 0.0, sent=fault.sent)
                self._commits.count(source, 0 if fault.sent else -1, (price or 0.0) - (worst or 0.0))
                return calls, fault, price
            finally:
                self._sending.discard(task)
            costs = [answer.cost for answer in answers]
            cost = None if None in costs else sum(costs)  # type: ignore[arg-type]
            charge = (worst or 0.0) if cost is None else cost
            self._budget.settle(worst, charge)
            if charge != (worst or 0.0):
                self._commits.count(source, 0, charge - (worst or 0.0))
            return calls, answers, cost

    async def _pause(self, key: bytes, attempt: int, fault: Fault) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), pause_of(key, attempt, fault))
        except TimeoutError:
            return
        self._check_going()

    def _check_going(self) -> None:
        if self._stopped:
            raise StoppedError("stopped before the call was answered")


def units_of(calls: Sequence[Call]) -> list[Unit]:
    """Return the calls, those of one batch together, in the order of each one's first."""
    units: dict[bytes, list[Call]] = {}
    for call in calls:
        units.setdefault(call.batch or call.key, []).append(call)
    return list(units.values())


def pause_of(key: bytes, attempt: int, fault: Fault) -> float:
    """Return how long to wait before another attempt, in seconds: as asked, or ever longer."""
    if fault.wait is not None:
        return min(fault.wait, LONGEST_WAIT * 3)
    jitter = 0.5 + digest_int(key, attempt) / 2**63
    return float(min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT) * jitter)


def _sorted(calls: Unit, answers: Sequence[Answer]) -> tuple[dict[bytes, Reply], Fault | None]:
    """Return the usable replies by key, and what was wrong with others."""
    usable, fault = {}, None
    for call, answer in zip(calls, answers, strict=False):
        if answer.finish == "length":
            fault = Fault(reason=CUT)
        elif answer.finish == "content_filter":
            fault = Fault(reason="content filter", kind="content")
        else:
            usable[call.key] = Reply(
                writable(answer.text), None, 0, answer.input_tokens, answer.output_tokens, 0.0, answer.logprobs
            )
    return usable, fault


def _charged(reply: Reply, earlier: Reply | None, bill: _Bill) -> Reply:
    """Return a reply that bears the requests so far, and those of earlier runs that failed."""
    attempts, cost = bill.passed_on()
    if earlier is not None:
        attempts += earlier.attempts
        cost = None if cost is None or earlier.cost is None else cost + earlier.cost
    return reply._replace(attempts=attempts, cost=cost)
