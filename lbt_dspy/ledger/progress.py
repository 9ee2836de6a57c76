"""What a run is doing, on a terminal: calls done, calls per second, spend, time left. Quiet everywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from lbt_dspy.types import Reply


class Progress:
    """A line that a `Ledger` keeps up to date.

    Args:
        total: Expected number of calls if nothing fails; 0 when unknown.
        quiet: Show nothing even on a terminal.
    """

    def __init__(self, total: int = 0, *, quiet: bool = False) -> None:
        self.total = total
        self.label = ""
        self._lock = threading.Lock()
        self._made = self._reused = self._failed = 0
        self._cost = 0.0
        self._start = time.monotonic()
        self._live = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self.line, console=Console(stderr=True), refresh_per_second=4, transient=True
            )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def tell(self, what: str) -> None:
        """Say what is being done."""
        self.label = what

    def stop(self) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def replied(self, role: str, replies: Sequence[Reply], *, from_journal: int) -> None:
        """Take note of replies."""
        with self._lock:
            self._reused += from_journal
            if not from_journal:
                self._made += len(replies)
                self._failed += sum(reply.text is None for reply in replies)
                self._cost += sum(reply.cost or 0.0 for reply in replies)

    def line(self) -> str:
        """Return the line as it stands."""
        with self._lock:
            made, reused, failed, cost = self._made, self._reused, self._failed, self._cost
        seconds = max(time.monotonic() - self._start, 1e-9)
        parts = [self.label, f"{made:,} calls", f"{made / seconds:,.0f}/s"]
        if reused:
            parts.append(f"{reused:,} already paid for")
        if failed:
            parts.append(f"{failed:,} failed")
        if cost:
            parts.append(f"${cost:.4f}")
        if self.total > 0 and made:
            left = max(self.total - made - reused, 0) * seconds / made
            parts.append(f"about {int(left // 60)}:{int(left % 60):02d} left at most")
        return " | ".join(part for part in parts if part)
