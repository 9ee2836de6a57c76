"""Cells that are ready before they are needed: each holds one program, and is ended with it."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import threading
from dataclasses import dataclass
from typing import Any

from lbt_dspy.metrics.sandbox.cells import Cell, SandboxFault, Zygote
from lbt_dspy.metrics.sandbox.inside import border
from lbt_dspy.metrics.sandbox.isolation import ISOLATIONS
from lbt_dspy.metrics.sandbox.records import Limits

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PARALLEL = min(CORES, 32)
"""More of them would need more open files than a process may have by default."""
JOBS = 100
"""Jobs of one examiner, before it makes room for a fresh one."""


@dataclass(kw_only=True)
class ExaminerProcess:
    """The process of the tests. No program's code runs there, so that one which has ended its job gets another."""

    limits: Limits
    cell: Cell
    desk: socket.socket
    jobs: int = 0
    busy: bool = False

    def begin(self, job: bytes, link: socket.socket) -> None:
        """Give it a job, and its end of the border."""
        self.busy = True
        self.jobs += 1
        socket.send_fds(self.desk, [b"j"], [link.fileno()])
        border.send(self.desk, job)

    @property
    def fit(self) -> bool:
        """Whether it can have another job."""
        return not self.busy and self.jobs < JOBS

    def end(self) -> None:
        """Have it killed; a process that was forked meanwhile may hold the same sockets open."""
        self.desk.close()
        with self.cell.control as control, contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What one grade takes."""

    limits: Limits
    program: Cell
    examiner: ExaminerProcess | None
    """`None` for a script."""
    link: socket.socket
    """The other end of the program's: for the examiner; of a script, its standard error, over which it gets its job."""
    output: socket.socket | None
    """A script's standard output."""

    def ready(self) -> Bench:
        """Wait until all walls stand, and return the bench.

        Raises:
            SandboxFault: They do not.
        """
        try:
            self.program.ready()
            if self.examiner is not None:
                self.examiner.cell.ready()
        except SandboxFault:
            self.end()
            if self.examiner is not None:
                self.examiner.end()
            raise
        return self

    def end(self) -> dict[str, Any]:
        """Kill the program and all that it has started; return what it used."""
        self.link.close()
        if self.output is not None:
            self.output.close()
        return self.program.end()


class Pool:
    """Ready cells of one isolation, shared by the threads of a program.

    A grade takes a bench that was made ready meanwhile and has never been used; it is thrown away after. What breaks
    down is replaced.

    Args:
        isolation: "bubblewrap" or "weak".
        parallel: Grades that run at once; the others wait for their turn, which costs them none of their time.
    """

    def __init__(self, isolation: str, parallel: int = PARALLEL) -> None:
        self.isolation = ISOLATIONS[isolation]
        self.parallel = parallel
        self.reset()
        atexit.register(self.end)
        os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget the processes, which belong to the parent after a fork."""
        self.lock = threading.Lock()
        self.turns = threading.BoundedSemaphore(self.parallel)
        self.zygote: Zygote | None = None
        self.facts: dict[str, bool] = {}
        self.spare: list[tuple[bool, Bench]] = []
        self.idle: list[ExaminerProcess] = []

    @contextlib.contextmanager
    def bench(self, limits: Limits, *, script: bool = False) -> Any:
        """Give a bench of one's own, and end it after.

        Raises:
            SandboxFault: There is none to be had.
        """
        with self.turns:
            bench = self._ready(limits, script)
            with contextlib.suppress(SandboxFault):  # the next grade will find out
                self._put_by(limits, script)
            try:
                yield bench
            finally:
                self._clear(bench)

    @property
    def in_force(self) -> str:
        """The isolation in words, with what of it is in force; its name alone before it has ever started."""
        if self.isolation.name == "bubblewrap" or not self.facts:
            return self.isolation.name
        network = "network" if self.facts["network"] else "no network"
        return f"weak ({network}, {'a user of its own' if self.facts['user'] else 'the same user'})"

    def end(self) -> None:
        """End all processes."""
        with self.lock:
            zygote, self.zygote = self.zygote, None
            spare, self.spare = self.spare, []
            idle, self.idle = self.idle, []
        for _, bench in spare:
            bench.end()
        for examiner in (*idle, *(bench.examiner for _, bench in spare if bench.examiner is not None)):
            examiner.end()
        if zygote is not None:
            zygote.end()

    def _ready(self, limits: Limits, script: bool) -> Bench:
        """Return a bench: one put by, else one made for this, else one of a new sandbox."""
        for trial in (self._taken, self._made, self._made_anew):
            with contextlib.suppress(SandboxFault):
                if (bench := trial(limits, script)) is not None:
                    return bench.ready()
        return self._made_anew(limits, script).ready()

    def _made_anew(self, limits: Limits, script: bool) -> Bench:
        self.end()
        return self._made(limits, script)

    def _taken(self, limits: Limits, script: bool) -> Bench | None:
        with self.lock:
            fitting = next((s for s in self.spare if s[0] == script and s[1].limits == limits), None)
            if fitting is not None:
                self.spare.remove(fitting)
        return fitting[1] if fitting else None

    def _put_by(self, limits: Limits, script: bool) -> None:
        """Have a bench made for the next grade; an old one that nobody asks for makes room for it."""
        bench = self._made(limits, script)
        with self.lock:
            self.spare.append((script, bench))
            surplus = self.spare.pop(0) if len(self.spare) > self.parallel else None
        if surplus is not None:
            self._clear(surplus[1])

    def _clear(self, bench: Bench) -> None:
        """End the program, and let the examiner wait for the next."""
        bench.end()
        if bench.examiner is None:
            return
        retired: list[ExaminerProcess] = []
        with self.lock:
            (self.idle if bench.examiner.fit else retired).append(bench.examiner)
            if len(self.idle) > self.parallel:
                retired.append(self.idle.pop(0))
        for examiner in retired:
            examiner.end()

    def _made(self, limits: Limits, script: bool) -> Bench:
        zygote = self._running()
        link, theirs = socket.socketpair()
        with contextlib.ExitStack() as ours, theirs:
            ours.enter_context(link)
            examiner = output = None
            if script:
                output, printed = socket.socketpair()
                ours.enter_context(output)
                with printed:
                    program = zygote.order("script", limits, theirs, printed)
            else:
                program = zygote.order("guest", limits, theirs, theirs)
                ours.enter_context(program.control)
                examiner = self._examiner(zygote, limits)
            ours.pop_all()
        return Bench(limits=limits, program=program, examiner=examiner, link=link, output=output)

    def _examiner(self, zygote: Zygote, limits: Limits) -> ExaminerProcess:
        with self.lock:
            fitting = next((examiner for examiner in self.idle if examiner.limits == limits), None)
            if fitting is not None:
                self.idle.remove(fitting)
                return fitting
        desk, theirs = socket.socketpair()
        with contextlib.ExitStack() as ours, theirs:
            ours.enter_context(desk)
            cell = zygote.order("examiner", limits, theirs, theirs)
            ours.pop_all()
        return ExaminerProcess(limits=limits, cell=cell, desk=desk)

    def _running(self) -> Zygote:
        with self.lock:
            if self.zygote is None:
                self.zygote = Zygote(self.isolation)
                self.facts = self.zygote.facts
            return self.zygote
