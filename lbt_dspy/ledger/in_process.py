"""Calls to models in this process: asked in batches in the caller's thread, each at most once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from dspy.lm15 import Request

from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.journal import Journal
from lbt_dspy.lms.engine import Answer, ModelEngine
from lbt_dspy.lms.faults import NoReply, fault_of
from lbt_dspy.lms.redaction import writable
from lbt_dspy.types import Reply
from lbt_dspy.warned import warnings_shown

COMMIT = 2000
"""Most calls whose replies are committed at once."""
CUT = "output cut at the token limit; raise max_tokens for this model"


class Call(Protocol):
    """One request to one model under the key of its sitting."""

    @property
    def key(self) -> bytes:
        """The key of its reply in the journal."""

    @property
    def engine(self) -> ModelEngine:
        """Who is asked."""

    @property
    def request(self) -> Request:
        """What is sent; built only when it is."""

    @property
    def batch(self) -> bytes | None:
        """Calls with the same batch are choices of one request; `None`: it has a request of its own."""


class Answered(NamedTuple):
    """Replies by key."""

    known: Mapping[bytes, Reply]
    """They needed no call."""
    new: Mapping[bytes, Reply]
    """Made here."""
    waited_for: Mapping[bytes, Reply]
    """Made by another thread meanwhile."""


class InProcess:
    """Answers calls to models in this process.

    Args:
        journal: Where replies are kept.
        budget: The gate before every request.
        known: Gives the replies that need no call.
    """

    def __init__(
        self, journal: Journal, budget: Budget, known: Callable[[Sequence[Call]], Mapping[bytes, Reply]]
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._known = known
        self._lock = threading.Lock()
        self._batches: dict[bytes, Future[dict[bytes, Reply]]] = {}

    def ask(self, calls: Sequence[Call], role: str) -> Answered:
        """Answer in this thread, but wait for what another thread is answering: no call is made twice."""
        batch: Future[dict[bytes, Reply]] = Future()
        with self._lock:
            theirs = {call.key: self._batches[call.key] for call in calls if call.key in self._batches}
            mine = {call.key: call for call in calls if call.key not in theirs}
            self._batches.update(dict.fromkeys(mine, batch))
        try:
            known = self._known(list(mine.values()))
            new = self._answer([call for key, call in mine.items() if key not in known], role)
        except BaseException as error:
            batch.set_exception(error)
            raise
        else:
            batch.set_result({**known, **new})
        finally:
            with self._lock:
                for key in mine:
                    del self._batches[key]
        return Answered(known, new, {key: other.result()[key] for key, other in theirs.items()})

    def _answer(self, calls: Sequence[Call], role: str) -> dict[bytes, Reply]:
        """Answer in this thread and commit once; what is answered before an error is committed too."""
        replies: dict[bytes, Reply] = {}
        by_engine: dict[ModelEngine, list[Call]] = {}
        for call in calls:
            by_engine.setdefault(call.engine, []).append(call)
        try:
            with warnings_shown():
                for engine, asked in by_engine.items():
                    answers = engine.answer_many([call.request for call in asked])
                    for call in asked:
                        self._budget.reserve(0.0)
                        self._budget.settle(0.0, 0.0)
                        replies[call.key] = _reply(next(answers))
        finally:
            for engine, asked in by_engine.items():
                rows = [(call.key, replies[call.key]) for call in asked if call.key in replies]
                if rows:
                    self._journal.record(role, engine.name, rows, sent=len(rows))
        return replies


def _reply(outcome: Answer | NoReply) -> Reply:
    if isinstance(outcome, NoReply):
        return Reply(None, fault_of(outcome).reason)
    if outcome.finish == "length":
        return Reply(None, CUT)
    return Reply(writable(outcome.text), logprobs=outcome.logprobs)
