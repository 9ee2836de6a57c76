"""The one door through which every call of a run goes: journal, budget, retries, counts.

`Ledger.ask` takes calls and gives one reply for each, in order. A call whose key is in the journal is not made. Calls
to models in this process run in the caller's thread; others go out on an event loop (see `outgoing`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Any, NamedTuple, NoReturn

from lbt_dspy.errors import StoppedError, check_at_least
from lbt_dspy.ledger.account import Account, Watcher
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.in_process import COMMIT, Call, InProcess
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.ledger.outgoing import Outgoing
from lbt_dspy.ledger.payment import Payments
from lbt_dspy.lms.faults import EMPTY
from lbt_dspy.lms.prompt import asks_for_tag
from lbt_dspy.lms.replies.thoughts import answer_in
from lbt_dspy.types import Reply

CHUNK = 32
"""Calls that are handed over together: rendering more of them at a time would keep the event loop waiting."""
ALL_THOUGHTS = f"{EMPTY}: it never left its thoughts, where all of its text is"
MOST_HELD = 50_000
"""Calls that are held while an earlier one has no reply yet."""


class _Begun(NamedTuple):
    """Calls that were handed over."""

    calls: Sequence[Call]
    known: Mapping[bytes, Reply]
    """Replies that are there."""
    sent: Future[dict[bytes, Reply]]
    """The others."""
    role: str
    account: Account | None

    @property
    def done(self) -> bool:
        """Whether all replies are there, or an error."""
        return self.sent.done()


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
        self._lock = threading.Lock()
        self._stopped = False
        self._cause: BaseException | None = None
        self._in_process = InProcess(self.journal, self.budget, self._known)
        self._payments = Payments(self.journal, self.budget, workers=workers, retries=retries, tell=self._tell)
        self._outgoing = Outgoing(self._payments, workers=workers, failed=self._stop_after)

    def ask(self, calls: Iterable[Call], *, role: str, account: Account | None = None) -> list[Reply]:
        """Return one reply per call, in order; see `stream`."""
        return list(self.stream(calls, role=role, account=account))

    def stream(self, calls: Iterable[Call], *, role: str, account: Account | None = None) -> Iterator[Reply]:
        """Give one reply per call, in order; `reply.text` is None where a call failed for good.

        Calls are taken as replies are: only a bounded number of them is held at a time.

        Args:
            calls: Those of one `batch` follow one another: they are choices of one request.
            role: Under which role they are counted.
            account: Where they are counted as well; `None`: nowhere.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            ModelRejectedError: Every call to a model is refused (wrong key, unknown model, unknown parameter).
            ModelUnreachableError: No call to a model succeeds.
            StoppedError: This ledger was stopped.
        """
        begun: deque[_Begun] = deque()
        held = 0
        for chunk in _chunks(calls):
            try:
                begun.append(self._begin(chunk, role, account))
            except StoppedError:
                if not begun:
                    raise
                break  # what was begun says why
            held += len(chunk)
            while begun and (begun[0].done or self._outgoing.full or held >= MOST_HELD):
                if not begun[0].done and held < MOST_HELD:
                    self._outgoing.wait(begun[0].sent)  # so a call that hangs does not keep others from being sent
                    continue
                held -= len(begun[0].calls)
                yield from self._replies(begun.popleft())
        while begun:
            yield from self._replies(begun.popleft())

    def _begin(self, calls: Sequence[Call], role: str, account: Account | None) -> _Begun:
        """Answer calls to models in this process, and send the others."""
        inside = [call for call in calls if call.engine.in_process]
        outside = [call for call in calls if not call.engine.in_process]
        known = self._known(outside) if outside else {}
        self._tell(role, list(known.values()), from_journal=len(known))
        todo = {call.key: call for call in outside if call.key not in known}
        if todo and self._stopped:
            raise StoppedError("this ledger was stopped; make a new one on the same journal to go on")
        sent = self._outgoing.begin(list(todo.values()), role) if todo else _nothing()
        known.update(self._ask_in_process(inside, role) if inside else {})
        return _Begun(calls, known, sent, role, account)

    def _replies(self, begun: _Begun) -> list[Reply]:
        """Wait for the replies of calls."""
        try:
            replies = {**begun.known, **begun.sent.result()}
        except BaseException as error:
            self._raise(error)
        if begun.account is not None:
            self._count(begun.account, begun.role, begun.calls, replies)
        return [_without_thoughts(replies[call.key], call) for call in begun.calls]

    def _count(self, account: Account, role: str, calls: Sequence[Call], replies: Mapping[bytes, Reply]) -> None:
        by_name: dict[str, list[tuple[bytes, Reply]]] = {}
        for call in calls:
            by_name.setdefault(call.engine.name, []).append((call.key, replies[call.key]))
        with self._lock:
            for name, rows in by_name.items():
                account.add(role, name, rows)

    def map(self, work: Sequence[Future[Any]]) -> None:
        """Wait for futures; on the first error, or Ctrl-C, stop all calls and raise it.

        Where another thread's error stopped the calls, that one is raised: it says more than that they were stopped.
        """
        try:
            done, _ = wait(work, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException as error:
            self._raise(error)

    @property
    def stopped(self) -> bool:
        """Whether this ledger asks no more."""
        return self._stopped

    def stop(self) -> None:
        """Send nothing more; calls that wait for their turn or their retry are given up."""
        self._stopped = True
        self._outgoing.stop()

    def abandon(self) -> None:
        """Stop, and give up the calls in flight as well: their replies are lost."""
        self.stop()
        self._outgoing.abandon()

    def finish(self) -> None:
        """Stop, and wait for the calls in flight: they are paid for, so their replies are journalled."""
        self.stop()
        self._outgoing.finish()

    def close(self) -> None:
        """Finish, and close the journal."""
        self.finish()
        self.journal.close()

    def _stop_after(self, error: BaseException) -> None:
        if not isinstance(error, StoppedError) and self._cause is None:
            self._cause = error
        self.stop()

    def _raise(self, error: BaseException) -> NoReturn:
        """Stop, and raise the error that stopped the calls."""
        self._stop_after(error)
        if isinstance(error, StoppedError) and self._cause is not None:
            raise self._cause from None
        raise error

    def _tell(self, role: str, replies: Sequence[Reply], *, from_journal: int = 0) -> None:
        if self.watcher is not None:
            self.watcher.replied(role, replies, from_journal=from_journal)

    def _known(self, calls: Sequence[Call]) -> dict[bytes, Reply]:
        """Return the replies that need no call: journalled ones, and this run's failures.

        A model in this process that gave no reply would give none again.
        """
        engines = {call.key: call.engine for call in calls}
        replies = self.journal.replies(list(engines)).items()
        found = {
            key: reply
            for key, reply in replies
            if reply.usable or engines[key].in_process or key in self._payments.failed_now
        }
        return found

    def _ask_in_process(self, calls: Sequence[Call], role: str) -> dict[bytes, Reply]:
        answered = self._in_process.ask(calls, role)
        self._tell(role, list(answered.known.values()), from_journal=len(answered.known))
        self._tell(role, list(answered.new.values()))
        return {**answered.known, **answered.new, **answered.waited_for}


def _without_thoughts(reply: Reply, call: Call) -> Reply:
    """Return a reply as it is parsed and graded; the journal keeps what the model thought before."""
    if not reply.text:
        return reply
    answer = answer_in(reply.text, lambda name: asks_for_tag(call.request, name))
    if answer.strip() or not reply.text.strip():
        return reply if answer is reply.text else reply._replace(text=answer)
    return reply._replace(text="", reason=reply.reason or ALL_THOUGHTS)


def _nothing() -> Future[dict[bytes, Reply]]:
    nothing: Future[dict[bytes, Reply]] = Future()
    nothing.set_result({})
    return nothing


def _chunks(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Cut calls into chunks, larger ones for models in this process; a batch stays in one piece."""
    chunk: list[Call] = []
    for call in calls:
        full = len(chunk) >= (COMMIT if chunk and chunk[0].engine.in_process else CHUNK)
        if full and (call.batch is None or call.batch != chunk[-1].batch):
            yield chunk
            chunk = []
        chunk.append(call)
    if chunk:
        yield chunk
