"""Work that costs about as much for many as for one, shared by the threads that want it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Together(Generic[Item, Result]):
    """Calls a function on the items of all threads that wait; one thread at a time works, for itself and for them.

    Args:
        work: Returns one result per item, in order; a result must not depend on the other items.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._work = work
        self._working, self._arriving = threading.Lock(), threading.Lock()
        self.waiting: list[tuple[Sequence[Item], Future[list[Result]]]] = []
        """What the next thread to work takes on."""

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return one result per item, in order; raises what `work` raises."""
        mine: Future[list[Result]] = Future()
        with self._arriving:
            self.waiting.append((items, mine))
        with self._working:
            if not mine.done():
                self._work_for_all()
        return mine.result()

    def _work_for_all(self) -> None:
        with self._arriving:
            waiting, self.waiting = self.waiting, []
        try:
            results = iter(self._work([item for items, _ in waiting for item in items]))
            for items, wanted in waiting:
                wanted.set_result([next(results) for _ in items])
        except BaseException as error:
            for _, wanted in waiting:
                wanted.set_exception(error)
            raise
