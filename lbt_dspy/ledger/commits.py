"""Commits for an event loop: what is written in one turn of the loop is one transaction."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from lbt_dspy.ledger.journal import Journal
from lbt_dspy.types import Reply

Source = tuple[str, str]
"""Role and model."""


class Commits:
    """Writes to a journal from an event loop. What is awaited is on disk.

    Args:
        journal: Into which replies and counts are written.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._requests: Counter[Source] = Counter()
        self._charges: dict[Source, float] = {}
        self._rows: dict[Source, list[tuple[bytes, Reply]]] = {}
        self._next: asyncio.Future[None] | None = None

    def count(self, source: Source, requests: int, charge: float) -> asyncio.Future[None]:
        """Count requests and charge for them, as `Journal.count_sent` does."""
        self._requests[source] += requests
        self._charges[source] = self._charges.get(source, 0.0) + charge
        return self._committed()

    def record(self, source: Source, rows: Sequence[tuple[bytes, Reply]]) -> asyncio.Future[None]:
        """Record replies."""
        self._rows.setdefault(source, []).extend(rows)
        return self._committed()

    def _committed(self) -> asyncio.Future[None]:
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            loop.call_soon(self._commit)
        return self._next

    def _commit(self) -> None:
        done, self._next = self._next, None
        counts = [(source, requests, self._charges[source]) for source, requests in self._requests.items()]
        rows, self._rows = self._rows, {}
        self._requests, self._charges = Counter(), {}
        try:
            with self._journal.together():
                for source, requests, charge in counts:
                    if requests or charge:
                        self._journal.count_sent(*source, requests, charge)
                for source, replies in rows.items():
                    self._journal.record(*source, replies)
        except Exception as error:
            done.set_exception(error)  # type: ignore[union-attr]
        else:
            done.set_result(None)  # type: ignore[union-attr]
