"""The process that works expressions out, shared by the threads of a program (see `worker.py`)."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

SCRIPT = Path(__file__).with_name("worker.py")
PARALLEL = max(1, min(4, os.cpu_count() or 1))
WALL_SECONDS = 20.0
LATE = "took too long: "
KEPT_KEYS = 1 << 16
LONGEST_EXPRESSION = 300

_ABSURD = re.compile(
    r"\^[^+\-*/=,]*\^[^+\-*/=,]*\^|\^\s*\{?\s*\(?\d{5,}|\^[\s{(]*\d{2,}\s*\^|\^[\s{(]*\d+\s*\^[\s{(]*\d{2,}"
    r"|\d{4,}\s*\)?\s*!|!\s*\)?\s*!|\d{400,}|binom\s*\{\s*\d{4,}"
)
_UNWORKED = re.compile(r"\\(?:sum|int|prod|lim|Gamma|zeta|dots|ldots|cdots)(?![a-z])|\.\.\.")


class Server:
    """The process, with a thread that hands its replies to those who wait for them."""

    def __init__(self) -> None:
        # -P: the folder of the script is not searched for modules, since some there are named as those of Python.
        # -W: a warning that the environment makes an error must not change a mark.
        command = [sys.executable, "-P", "-W", "ignore", str(SCRIPT)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.waiting: dict[int, Future[dict[str, Any]]] | None = {}
        threading.Thread(target=self._hand_out, daemon=True, name="math-worker").start()

    def ask(self, question: str) -> dict[str, Any]:
        """Return the reply.

        Raises:
            OSError: The process ended, or gave no reply in time.
        """
        future: Future[dict[str, Any]] = Future()
        number = next(self.numbers)
        with self.lock:
            if self.waiting is None:
                raise OSError("the process has ended")
            self.waiting[number] = future
            there = cast(IO[bytes], self.process.stdin)
            there.write(json.dumps([number, question]).encode() + b"\n")
            there.flush()
        return future.result(timeout=WALL_SECONDS)

    def end(self) -> None:
        """Kill the process; whoever waits for a reply gets an `OSError`."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            cast(IO[bytes], self.process.stdin).close()

    def _hand_out(self) -> None:
        with contextlib.suppress(ValueError), cast(IO[bytes], self.process.stdout) as replies:
            for line in replies:
                number, reply = json.loads(line)
                if self.waiting and number in self.waiting:
                    self.waiting.pop(number).set_result(reply)
        with self.lock:
            waiting, self.waiting = self.waiting or {}, None
        for future in waiting.values():
            future.set_exception(OSError("the process has ended"))


class Workers:
    """The server, started with the first question and replaced when it fails.

    Args:
        parallel: Questions that are worked on at once, each in a process of its own.
    """

    def __init__(self, parallel: int = PARALLEL) -> None:
        self.parallel = parallel
        self.reset()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget the server, which belongs to the parent after a fork."""
        self.lock = threading.Lock()
        self.turns = threading.BoundedSemaphore(self.parallel)
        self.server: Server | None = None

    def ask(self, question: str) -> dict[str, Any]:
        """Return the reply; `{"late": True}` when two servers gave none."""
        with self.turns:
            for _ in range(2):
                server = self._running()
                try:
                    return server.ask(question)
                except OSError:
                    self._replace(server)
        return {"late": True}

    def end(self) -> None:
        """End the server, if there is one."""
        if self.server is not None:
            self._replace(self.server)

    def _running(self) -> Server:
        with self.lock:
            self.server = self.server or Server()
            return self.server

    def _replace(self, server: Server) -> None:
        with self.lock:
            server.end()
            if self.server is server:
                self.server = None


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
