"""Paying for calls to models outside of this process: reserve, count, send, settle, retry, journal.

All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from lbt_dspy.errors import LbTError, StoppedError
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.commits import Commits
from lbt_dspy.ledger.in_process import CUT, Call
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.servers.health import Health
from lbt_dspy.ledger.servers.overruns import Overruns
from lbt_dspy.ledger.servers.pace import Pace
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import EMPTY, Fault, fault_of
from lbt_dspy.lms.redaction import writable
from lbt_dspy.lms.replies.finish import ERROR, FILTERED, LENGTH
from lbt_dspy.sampling import digest_int
from lbt_dspy.types import Reply
from lbt_dspy.warned import warnings_shown

FIRST_WAIT, LONGEST_WAIT = 0.25, 20.0
MOST_WAITS = 60

FAULTS = {
    LENGTH: Fault(reason=CUT),
    FILTERED: Fault(reason="content filter", kind="content"),
    ERROR: Fault(reason="server error"),
}
"""What is wrong with an answer that ended so."""

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


class Payments:
    """Pays for calls.

    Args:
        journal: Where replies are kept.
        budget: The gate before every request.
        workers: Most requests in flight.
        retries: Most further requests after one that failed.
        tell: Told of new replies, by role.
    """

    def __init__(
        self,
        journal: Journal,
        budget: Budget,
        *,
        workers: int,
        retries: int,
        tell: Callable[[str, Sequence[Reply]], None],
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._retries = retries
        self._tell = tell
        self._commits = Commits(journal)
        self._health = Health()
        self._slots = asyncio.Semaphore(workers)
        self._stopped = False
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._overruns = Overruns()
        self._pace = Pace(first=FIRST_WAIT, longest=LONGEST_WAIT)
        self._one_choice: set[ModelEngine] = set()
        """Engines whose servers refuse to give several choices."""
        self.failed_now: set[bytes] = set()
        """Calls that failed for good since this was made: they are not asked again."""

    def stop(self) -> None:
        """Send nothing more: calls that wait for their turn or their retry end with `StoppedError`. From any thread."""
        self._stopped = True

    def wake(self) -> None:
        """Let calls that wait for their retry see that this has stopped."""
        self._wake.set()

    def abandon(self) -> None:
        """Give up the requests in flight."""
        for task in self._sending:
            task.cancel()

    async def pay(self, unit: Unit, role: str) -> dict[bytes, Reply]:
        """Ask until every call has a usable reply or no retry is left; journal the outcome.

        Args:
            unit: Calls of one engine.
            role: Under which they are counted.

        Raises:
            BudgetSpentError: The next request could exceed the budget.
            ModelRejectedError: Every call to the model is refused.
            ModelUnreachableError: No call to the model succeeds.
            StoppedError: This was stopped.
        """
        self._check_going()
        earlier = self._journal.replies([call.key for call in unit])
        replies = {k: r for k, r in earlier.items() if r.usable or k in self.failed_now}
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
                self.failed_now.update(lost)
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
        async with self._slot(engine, open_calls[0].key):
            self._check_going()
            calls = open_calls[:1] if engine in self._one_choice else open_calls
            request = calls[0].request
            if self._budget.max_cost is not None:
                request = engine.limited(request)
            worst = self._overruns.expected(engine, engine.worst_cost(request, len(calls)))
            while (settled := self._budget.try_reserve(worst)) is not None:
                await asyncio.shield(asyncio.wrap_future(settled))
                self._check_going()
            await self._commits.count(source, 1, worst or 0.0)
            task = asyncio.current_task()
            self._sending.add(task)  # type: ignore[arg-type]
            began = self._pace.clock()
            try:
                with warnings_shown():
                    answers = await engine.ask(request, faults, len(calls))
            except asyncio.CancelledError:
                self._budget.settle(worst, worst or 0.0)
                raise StoppedError("given up while in flight") from None
            except LbTError:  # no fault of the network: asking others, or again, would not help
                self._budget.settle(worst, 0.0, sent=False)
                self._commits.count(source, -1, -(worst or 0.0))
                raise
            except Exception as error:
                fault = fault_of(error, engine.secrets)
                self._note(engine, began, fault)
                price = worst if fault.billed else 0.0
                self._budget.settle(worst, price or 0.0, sent=fault.sent)
                self._commits.count(source, 0 if fault.sent else -1, (price or 0.0) - (worst or 0.0))
                return calls, fault, price
            finally:
                self._sending.discard(task)
            self._note(engine, began, None)
            costs = [answer.cost for answer in answers]
            cost: float | None = None if None in costs else sum(costs)  # type: ignore[arg-type]
            charge = self._budget.settle(worst, (worst or 0.0) if cost is None else cost)
            if cost is not None and self._budget.max_cost is not None:
                self._overruns.note(engine, worst, cost)
            if charge != (worst or 0.0):
                self._commits.count(source, 0, charge - (worst or 0.0))
            return calls, answers, cost

    @contextlib.asynccontextmanager
    async def _slot(self, engine: ModelEngine, key: bytes) -> AsyncIterator[None]:
        """Wait for room among the requests in flight, and while a model's server has too many of them."""
        while True:
            while (wait := self._pace.wait(_street(engine))) > 0:
                await self._sleep(wait * (1 + digest_int(key, "turn") / 2**65))  # not all at once
            async with self._slots:
                if not self._pace.wait(_street(engine)):
                    yield
                    return

    def _note(self, engine: ModelEngine, sent_at: float, fault: Fault | None) -> None:
        if fault is None:
            self._pace.answered(_street(engine))
        elif fault.limited and len(engine.addresses) < 2:  # with several, the engine itself asks another one
            self._pace.refused(_street(engine), sent_at, fault.wait)

    async def _pause(self, key: bytes, attempt: int, fault: Fault) -> None:
        await self._sleep(pause_of(key, attempt, fault))

    async def _sleep(self, seconds: float) -> None:
        """Wait, unless this is stopped.

        Raises:
            StoppedError: It was.
        """
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._check_going()

    def _check_going(self) -> None:
        if self._stopped:
            raise StoppedError("stopped before the call was answered")


def _street(engine: ModelEngine) -> str:
    return engine.addresses[0] if len(engine.addresses) == 1 else engine.identity


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
        if answer.finish in FAULTS:
            fault = replace(FAULTS[answer.finish], reason=answer.reason or FAULTS[answer.finish].reason)
        else:
            text = writable(answer.text)
            why = None if text.strip() or answer.logprobs else answer.reason or EMPTY
            usable[call.key] = Reply(text, why, 0, answer.input_tokens, answer.output_tokens, 0.0, answer.logprobs)
    return usable, fault


def _charged(reply: Reply, earlier: Reply | None, bill: _Bill) -> Reply:
    """Return a reply that bears the requests so far, and those of earlier runs that failed."""
    attempts, cost = bill.passed_on()
    if earlier is not None:
        attempts += earlier.attempts
        cost = None if cost is None or earlier.cost is None else cost + earlier.cost
    return reply._replace(attempts=attempts, cost=cost)
