"""The interpreter inside an isolation, and the cells that it forks, as the grader sees them."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import threading
from typing import Any

from lbt_dspy.metrics.sandbox.isolation import Isolation
from lbt_dspy.metrics.sandbox.records import Limits

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
            command, environment = isolation.command(), isolation.environment()
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
        """End the process and all cells with it; a process that was forked meanwhile may hold the same socket open."""
        with self.orders, contextlib.suppress(OSError):
            self.orders.shutdown(socket.SHUT_RDWR)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)
            self.process.kill()
        self.keeper.join(timeout=5)


class Cell:
    """One process behind walls."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.used: dict[str, Any] | None = None
        self.closed_in = False
        control.settimeout(START_SECONDS)

    def ends_within(self, seconds: float) -> bool:
        """Wait for it to end by itself; return whether it does, or has been ended."""
        if self.used is not None:
            return True
        poll = select.poll()  # where `select` ends at 1024 open files
        poll.register(self.control, select.POLLIN)
        return bool(poll.poll(1000 * seconds))

    def ready(self) -> None:
        """Wait until its walls stand.

        Raises:
            SandboxFault: They do not.
        """
        if not self.closed_in:
            self._hear()
        if self.ends_within(0):
            raise SandboxFault("a cell has ended before it was used")

    def _hear(self) -> None:
        try:
            told = json.loads(self.control.recv(MESSAGE) or b"null")
        except (OSError, ValueError) as error:
            raise SandboxFault(f"a cell does not answer: {error}") from None
        fault = (told or {}).get("fault", "a cell has ended before it was ready")
        if fault:
            raise SandboxFault(fault)
        self.closed_in = True

    def end(self) -> dict[str, Any]:
        """Kill all that lives in the cell, and return what it used; empty where that is not known."""
        if self.used is None:
            self.used = {}
            with self.control, contextlib.suppress(OSError, ValueError):
                self.control.shutdown(socket.SHUT_WR)
                while "code" not in self.used and (told := self.control.recv(MESSAGE)):
                    self.used |= json.loads(told)
        return self.used if "code" in self.used else {}
