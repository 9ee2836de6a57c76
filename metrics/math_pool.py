"""A few processes that work expressions out, for threads and forks of one program (see `math_worker.py`)."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

SCRIPT = Path(__file__).with_name("math_worker.py")
WORKERS = max(1, min(4, os.cpu_count() or 1))
WALL_SECONDS = 20.0
LATE = "took too long: "
KEPT_KEYS = 1 << 16
LONGEST_EXPRESSION = 300

_ABSURD = re.compile(
    r"\^[^+\-*/=,]*\^[^+\-*/=,]*\^|\^\s*\{?\s*\(?\d{5,}|\^[\s{(]*\d{2,}\s*\^|\^[\s{(]*\d+\s*\^[\s{(]*\d{2,}"
    r"|\d{4,}\s*\)?\s*!|!\s*\)?\s*!|\d{400,}|binom\s*\{\s*\d{4,}"
)
_UNWORKED = re.compile(r"\\(?:sum|int|prod|lim|Gamma|zeta|dots|ldots|cdots)(?![a-z])|\.\.\.")


class Worker:
    """One process, started with its first question."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, question: str) -> dict[str, Any]:
        """Return the reply.

        Raises:
            OSError: The process ended, or gave no reply in time.
            ValueError: It replied something else.
        """
        if self.process is None:
            # -P: the folder of the script is not searched for modules, since some there are named as those of Python.
            command = [sys.executable, "-P", str(SCRIPT)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        there, back = cast(IO[bytes], self.process.stdin), cast(IO[bytes], self.process.stdout)
        there.write(json.dumps(question).encode() + b"\n")
        there.flush()
        poll = select.poll()
        poll.register(back, select.POLLIN)
        if not poll.poll(WALL_SECONDS * 1000):
            raise OSError("no reply in time")
        return cast(dict[str, Any], json.loads(back.readline()))

    def end(self) -> None:
        """Kill the process; the next question starts another."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


class Workers:
    """Idle workers, of which each thread borrows one for a question."""

    def __init__(self, number: int = WORKERS) -> None:
        self.number = number
        self.all: list[Worker] = []
        self.reset()
        atexit.register(self.end)
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget the processes, which belong to the parent after a fork."""
        self.idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self.all = [Worker() for _ in range(self.number)]
        for worker in self.all:
            self.idle.put(worker)

    def ask(self, question: str) -> dict[str, Any]:
        """Return the reply of a worker, which is replaced when it fails; `{"late": True}` when two fail."""
        worker = self.idle.get()
        try:
            for _ in range(2):
                try:
                    return worker.ask(question)
                except (OSError, ValueError):
                    worker.end()
            return {"late": True}
        except BaseException:
            worker.end()
            raise
        finally:
            self.idle.put(worker)

    def end(self) -> None:
        """End all processes."""
        for worker in self.all:
            worker.end()


workers = Workers()


@lru_cache(maxsize=KEPT_KEYS)
def fingerprint(latex: str) -> str:
    """Return the key of an expression, worked out by Math-Verify and SymPy in another process."""
    raw = re.sub(r"\s+", "", latex)
    if len(latex) > LONGEST_EXPRESSION or _ABSURD.search(latex):
        return LATE + raw
    if _UNWORKED.search(latex):
        return f'"{raw}"'
    reply = workers.ask(_as_latex(latex))
    return LATE + raw if reply.get("late") else reply["key"] or f'"{raw}"'


def _as_latex(text: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<![\\a-zA-Z])sqrt\s*(?:\(([^()]*)\)|(\d+))", r"\\sqrt{\1\2}", text)
    return re.sub(r"(?<![\\a-zA-Z])(pi|sqrt|sin|cos|tan|log|ln)(?![a-zA-Z])", r"\\\1 ", text)
