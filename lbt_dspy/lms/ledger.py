"""The one door through which every call of a run goes: journal, budget, retries, counts.

`Ledger.ask` takes calls and gives one reply for each, in order. A call whose key is in the journal is not made. Calls
to models in this process run in the caller's thread; others run in the ledger's own pool of workers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any

from dspy.lm15 import Request

from lbt_dspy.budget import Budget
from lbt_dspy.errors import StoppedError, check_at_least
from lbt_dspy.journal import Journal
from lbt_dspy.lms.account import Account, Watcher
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import Fault, fault_of
from lbt_dspy.lms.health import Health
from lbt_dspy.lms.in_process import COMMIT, CUT, Call, InProcess
from lbt_dspy.sampling import digest_int
from lbt_dspy.types import Reply

FIRST_WAIT, LONGEST_WAIT = 0.25, 20.0
MOST_WAITS = 60


class Ledger:
    """Pays for calls at most once, never beyond the budget.

    Args:
        journal: Where replies are kept; `None`: in memory.
        budget: The gate before every request; `None`: no limit. What the journal says was spent counts.
        workers: Most requests in flight, at least 1. Results do not depend on it.
        retries: Most further attempts after a failed one, at least 0. Timeouts are retried once at most.
        watcher: Told of every reply (progress).

    Raises:
        UserError: An option is out of bounds.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        budget: Budget | None = None,
        *,
        workers: int = 8,
        retries: int = 4,
        watcher: Watcher | None = None,
    ) -> None:
        check_at_least("workers", workers, 1, "1 asks one call after the other")
        check_at_least("retries", retries, 0, "0 never asks again")
        self.journal = Journal() if journal is None else journal
        self.budget = Budget() if budget is None else budget
        self.workers = workers
        self.retries = retries
        self.watcher = watcher
        self.budget.start_from(self.journal.sent(), self.journal.charged())
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="lbt")
        self._seats = threading.BoundedSemaphore(workers)
        self._stopped = threading.Event()
        self._cause: BaseException | None = None
        self._lock = threading.Lock()
        self._in_flight: dict[bytes, Future[Reply]] = {}
        self._failed_now: dict[bytes, Reply] = {}
        self._in_process = InProcess(self.journal, self.budget, self._known)
        self._health = Health()
        self._engines: set[ModelEngine] = set()

    def ask(self, calls: Sequence[Call], *, role: str, account: Account) -> list[Reply]:
        """Return one reply per call, in order; `reply.text` is None where a call failed for good.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            ModelRejectedError: Every call to a model is refused (wrong key, unknown model, unknown parameter).
            ModelUnreachableError: No call to a model succeeds.
        """
        known = self._known(calls)
        todo = {call.key: call for call in calls if call.key not in known}
        self._tell(role, list(known.values()), from_journal=len(known))
        inside = [call for call in todo.values() if call.engine.in_process]
        for start in range(0, len(inside), COMMIT):
            known.update(self._ask_in_process(inside[start : start + COMMIT], role))
        known.update(self._ask_outside([call for call in todo.values() if not call.engine.in_process], role))
        with self._lock:
            for name in {call.engine.name for call in calls}:
                account.add(role, name, ((c.key, known[c.key]) for c in calls if c.engine.name == name))
        return [known[call.key] for call in calls]

    def ask_here(self, call: Call, *, role: str, account: Account) -> Reply:
        """As `ask` for one call, in the caller's thread: for programs that already run in a worker."""
        reply = self._known([call]).get(call.key)
        if reply is None:
            if call.engine.in_process:
                reply = self._ask_in_process([call], role)[call.key]
            else:
                reply = self._once(call, role)
        with self._lock:
            account.add(role, call.engine.name, [(call.key, reply)])
        return reply

    def map(self, work: Sequence[Future[Any]]) -> None:
        """Wait for futures; on the first error, or Ctrl-C, stop all calls and raise it.

        Where another thread's error stopped the calls, that one is raised: it says more than that they were stopped.
        """
        try:
            done, _ = wait(work, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except StoppedError:
            self.stop()
            if self._cause is not None:
                raise self._cause from None
            raise
        except BaseException as error:
            if self._cause is None:
                self._cause = error
            self.stop()
            raise

    @property
    def stopped(self) -> bool:
        """Whether this ledger asks no more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Send nothing more; calls that wait for their turn or their retry are given up.

        Those that wait for their turn still get it, to end at once with an error: `Future.cancel` by a pool that shuts
        down would leave the threads that wait for them waiting.
        """
        self._stopped.set()
        self._pool.shutdown(wait=False)

    def abandon(self) -> None:
        """Stop, and give up the calls in flight as well: their replies are lost."""
        self.stop()
        for engine in list(self._engines):
            engine.cancel_in_flight()

    def finish(self) -> None:
        """Stop, and wait for the calls in flight: they are paid for, so their replies are journalled."""
        self._stopped.set()
        self._pool.shutdown(wait=True)

    def close(self) -> None:
        """Finish, and close the journal."""
        self.finish()
        self.journal.close()

    def _tell(self, role: str, replies: Sequence[Reply], *, from_journal: int = 0) -> None:
        if self.watcher is not None:
            self.watcher.replied(role, replies, from_journal=from_journal)

    def _known(self, calls: Sequence[Call]) -> dict[bytes, Reply]:
        """Return the replies that need no call: journalled ones, and this run's failures.

        A model in this process that gave no reply would give none again.
        """
        engines = {call.key: call.engine for call in calls}
        replies = self.journal.replies(list(engines)).items()
        found = {key: reply for key, reply in replies if reply.text is not None or engines[key].in_process}
        if self._failed_now:
            found.update((key, self._failed_now[key]) for key in engines if key in self._failed_now)
        return found

    def _ask_in_process(self, calls: Sequence[Call], role: str) -> dict[bytes, Reply]:
        replies, new = self._in_process.ask(calls, role)
        self._tell(role, new)
        return replies

    def _ask_outside(self, calls: Sequence[Call], role: str) -> dict[bytes, Reply]:
        futures = {call.key: self._submit(call, role) for call in calls}
        self.map(list(futures.values()))
        return {key: future.result() for key, future in futures.items()}

    def _submit(self, call: Call, role: str) -> Future[Reply]:
        try:
            return self._pool.submit(self._once, call, role)
        except RuntimeError:  # the pool was shut down
            raise StoppedError("this ledger was stopped; make a new one on the same journal to go on") from None

    def _once(self, call: Call, role: str) -> Reply:
        """Pay for a call unless the same one is in flight: then wait for that one."""
        with self._lock:
            running = self._in_flight.get(call.key)
            mine: Future[Reply] = Future()
            if running is None:
                self._in_flight[call.key] = mine
        if running is not None:
            return running.result()
        try:
            reply = self._pay(call, role)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(reply)
        finally:
            with self._lock:
                del self._in_flight[call.key]
        self._tell(role, [reply])
        return reply

    def _pay(self, call: Call, role: str) -> Reply:
        """Ask until there is a usable reply or no retry is left; journal the outcome."""
        if self._stopped.is_set():
            raise StoppedError("stopped before the call was sent")
        earlier = self.journal.replies([call.key]).get(call.key)
        if earlier is not None and earlier.text is not None:
            return earlier  # another thread's call came back since this one looked
        attempts, cost, first = (0, 0.0, 0) if earlier is None else (earlier.attempts, earlier.cost, earlier.attempts)
        faults: list[Fault] = []
        request = call.request
        while attempts - first <= self.retries and len(faults) < MOST_WAITS:
            outcome, price = self._attempt(call.engine, request, role, faults)
            attempts += not isinstance(outcome, Fault) or outcome.sent
            cost = None if cost is None or price is None else cost + price
            if isinstance(outcome, Answer):
                self._health.answered(call.engine.name)
                reply = Reply(
                    outcome.text, None, attempts, outcome.input_tokens, outcome.output_tokens, cost, outcome.logprobs
                )
                self.journal.record(role, call.engine.name, [(call.key, reply)])
                return reply
            faults.append(outcome)
            if not call.engine.may_retry(faults):
                break
            if self._stopped.wait(self._pause(call.key, len(faults), outcome)):
                raise StoppedError("stopped before the call was answered")
        reply = Reply(None, faults[-1].reason, attempts, 0, 0, cost)
        self.journal.record(role, call.engine.name, [(call.key, reply)])
        self._failed_now[call.key] = reply
        self._health.failed(call.engine.name, faults[-1])
        return reply

    def _attempt(
        self, engine: ModelEngine, request: Request, role: str, faults: Sequence[Fault]
    ) -> tuple[Answer | Fault, float | None]:
        """Reserve, count, send once, settle; return what came back and what it cost (`None`: unknown price)."""
        with self._seats:
            return self._send(engine, request, role, faults)

    def _send(
        self, engine: ModelEngine, request: Request, role: str, faults: Sequence[Fault]
    ) -> tuple[Answer | Fault, float | None]:
        if self._stopped.is_set():
            raise StoppedError("stopped before the call was sent")
        self._engines.add(engine)
        worst = engine.worst_cost(request)
        self.budget.reserve(worst)
        self.journal.count_sent(role, engine.name, charge=worst or 0.0)
        try:
            answer = engine.answer(request, faults)
        except CancelledError:
            self.budget.settle(worst, worst or 0.0)
            raise StoppedError("given up while in flight") from None
        except Exception as error:
            fault = fault_of(error, engine.secrets)
            price = worst if fault.billed else 0.0
            self.budget.settle(worst, price or 0.0, sent=fault.sent)
            self.journal.count_sent(role, engine.name, 0 if fault.sent else -1, (price or 0.0) - (worst or 0.0))
            return fault, price
        charge = answer.cost if answer.cost is not None else (worst or 0.0)
        self.budget.settle(worst, charge)
        self.journal.count_sent(role, engine.name, 0, charge - (worst or 0.0))
        if answer.finish == "length":
            return Fault(reason=CUT), answer.cost
        if answer.finish == "content_filter":
            return Fault(reason="content filter", kind="content"), answer.cost
        return answer, answer.cost

    def _pause(self, key: bytes, attempt: int, fault: Fault) -> float:
        jitter = 0.5 + digest_int(key, attempt) / 2**63
        pause = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT) * jitter
        return min(fault.wait, LONGEST_WAIT * 3) if fault.wait is not None else pause
