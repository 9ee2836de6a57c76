"""Cells that are ready before they are needed: each holds one grade, and is ended with it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import Any

from lbt_dspy.metrics.sandbox.isolation import ISOLATIONS, Isolation
from lbt_dspy.metrics.sandbox.records import Limits

PARALLEL = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
START_SECONDS = 30.0
MESSAGE = 1 << 16


class SandboxFault(Exception):  # noqa: N818 - no error of the caller's
    """The sandbox cannot start, or has broken down: nothing is known of the program."""


class Zygote:
    """The interpreter inside the isolation that forks a cell for each order.

    Args:
        isolation: What holds it.

    Raises:
        SandboxFault: It does not start; the reason is given as the isolation gave it.
    """

    def __init__(self, isolation: Isolation) -> None:
        self.folder = tempfile.mkdtemp(prefix="lbt-sandbox-")
        os.chmod(self.folder, 0o711)
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.complaint = b""
        started = threading.Event()
        self.keeper = threading.Thread(target=self._keep, args=(isolation, theirs, started), daemon=True)
        self.keeper.start()
        started.wait()
        theirs.close()
        try:
            self.orders.settimeout(START_SECONDS)
            self.facts: dict[str, bool] = json.loads(self.orders.recv(MESSAGE) or b"null")
        except (OSError, ValueError) as error:
            self.facts = {}
            self.complaint = self.complaint or str(error).encode()
        if not self.facts:
            self.end()
            raise SandboxFault(self.complaint.decode(errors="replace").strip()[-500:] or "it ended at once")

    def _keep(self, isolation: Isolation, theirs: socket.socket, started: threading.Event) -> None:
        """Start the process and wait for its end: it lives no longer than the thread that starts it (`man 2 prctl`)."""
        try:
            command, environment = isolation.command(self.folder), isolation.environment(self.folder)
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self.complaint = str(error).encode()
            theirs.shutdown(socket.SHUT_RDWR)
            return
        finally:
            started.set()
        _, complaint = self.process.communicate()
        self.complaint = complaint

    def order(self, role: str, limits: Limits, link: socket.socket, extra: socket.socket) -> Cell:
        """Have a cell made that plays a role; its end of `link`, and `extra`, are its own from here on."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = json.dumps({"role": role, "limits": limits.as_dict()}).encode()
        try:
            with theirs, self.lock:
                socket.send_fds(self.orders, [order], [theirs.fileno(), link.fileno(), extra.fileno()])
        except OSError as error:
            control.close()
            raise SandboxFault(f"the sandbox has ended: {error}") from None
        return Cell(control)

    def end(self) -> None:
        """End the process and all cells with it."""
        self.orders.close()
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)
            self.process.kill()
        self.keeper.join(timeout=5)
        subprocess.run(["/bin/rm", "-rf", self.folder], check=False, stderr=subprocess.DEVNULL)  # deep ones too


class Cell:
    """One process behind walls."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.used: dict[str, Any] | None = None
        control.settimeout(START_SECONDS)

    def ready(self) -> None:
        """Wait until its walls stand.

        Raises:
            SandboxFault: They do not.
        """
        try:
            told = json.loads(self.control.recv(MESSAGE) or b"null")
        except (OSError, ValueError) as error:
            raise SandboxFault(f"a cell does not answer: {error}") from None
        fault = (told or {}).get("fault", "a cell has ended before it was ready")
        if fault:
            raise SandboxFault(fault)
        if select.select([self.control], [], [], 0)[0]:
            raise SandboxFault("a cell has ended before it was used")

    def end(self) -> dict[str, Any]:
        """Kill all that lives in the cell, and return what it used; empty where that is not known."""
        if self.used is None:
            self.used = {}
            with self.control, contextlib.suppress(OSError, ValueError):
                self.control.shutdown(socket.SHUT_WR)
                while "code" not in self.used and (told := self.control.recv(MESSAGE)):
                    self.used |= json.loads(told)
        return self.used if "code" in self.used else {}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The cells of one grade, and what speaks with them."""

    limits: Limits
    program: Cell
    examiner: Cell | None
    desk: socket.socket
    """Speaks with the examiner; of a script, with the program, whose standard error it is afterwards."""
    output: socket.socket | None
    """A script's standard output."""

    def ready(self) -> Bench:
        """Wait until all walls stand, and return the bench.

        Raises:
            SandboxFault: They do not.
        """
        try:
            for cell in (self.program, self.examiner):
                if cell is not None:
                    cell.ready()
        except SandboxFault:
            self.end()
            raise
        return self

    def end(self) -> dict[str, Any]:
        """Kill what is left, and return what the program used."""
        for ended in (self.desk, self.output):
            if ended is not None:
                ended.close()
        if self.examiner is not None:
            self.examiner.control.close()
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
                bench.end()

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
        for _, bench in spare:
            bench.end()
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
            surplus[1].end()

    def _made(self, limits: Limits, script: bool) -> Bench:
        zygote = self._running()
        desk, theirs = socket.socketpair()
        link, other = socket.socketpair()
        with contextlib.ExitStack() as ours, theirs, other:
            ours.enter_context(desk)
            ours.enter_context(link)
            if script:
                program, examiner, output = zygote.order("script", limits, theirs, other), None, link
            else:
                program = zygote.order("guest", limits, link, link)
                ours.enter_context(program.control)
                examiner, output = zygote.order("examiner", limits, other, theirs), None
                link.close()
            ours.pop_all()
        return Bench(limits=limits, program=program, examiner=examiner, desk=desk, output=output)

    def _running(self) -> Zygote:
        with self.lock:
            if self.zygote is None:
                self.zygote = Zygote(self.isolation)
                self.facts = self.zygote.facts
            return self.zygote
