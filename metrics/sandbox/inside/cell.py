"""A cell: one process behind walls, which plays one role and is ended with all that it has started.

Who ordered it holds the other end of `control`: it hears there that the cell is ready, and by a word or by closing it
has the cell ended. The process in the cell gets `link` and `extra`, and nothing else of this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import examiner
import guest
import script
import walls

WALLS = {
    ("namespaces", "guest"): walls.Namespaces,
    ("namespaces", "script"): walls.Namespaces,
    ("namespaces", "examiner"): walls.Outside,
    ("users", "guest"): walls.Users,
    ("users", "script"): walls.Users,
    ("users", "examiner"): walls.Users,
}
ROLES: dict[str, Callable[[socket.socket, socket.socket, dict[str, float]], int | None]] = {
    "guest": guest.main,
    "examiner": examiner.main,
    "script": script.main,
}
LINK, EXTRA, HIGH = 3, 4, 100


def supervise(order: dict[str, Any], kind: str, descriptors: Sequence[int]) -> None:
    """Build the cell, tell that it is ready, wait for its end, and tell what it used; ends this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control = socket.socket(fileno=descriptors[0])
    around = WALLS[kind, order["role"]]()
    child = 0
    try:
        around.build(order["limits"])
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            _enter(around, order, descriptors[1:], tell)
        for descriptor in (tell, *descriptors[1:]):
            os.close(descriptor)
        fault = os.read(told, 1 << 12).decode()
    except OSError as error:
        fault = str(error)
    with contextlib.suppress(OSError):  # whoever ordered this may have gone
        control.send(json.dumps({"fault": fault}).encode())
        if child and not fault:
            _wait(control, child)
    report = _end(around, child) if child else {}
    with contextlib.suppress(OSError):
        control.send(json.dumps(report).encode())
    control.close()
    if child:
        around.sweep()
    os._exit(0)


def _wait(control: socket.socket, child: int) -> None:
    """Wait for the word to end, or for the child's own end."""
    end = os.pidfd_open(child)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(end, select.POLLIN)
    poll.poll()
    os.close(end)


def _end(around: Any, child: int) -> dict[str, float]:
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    _, status, used = around.end(child)
    return {
        "code": os.waitstatus_to_exitcode(status) if ended else None,
        "memory_mib": used.ru_maxrss / 1024,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


def _enter(around: Any, order: dict[str, Any], descriptors: Sequence[int], tell: int) -> None:
    """Keep only what the role needs, close the door, and play the role; ends this process."""
    code = 1
    try:
        for number, descriptor in enumerate((*descriptors, tell)):
            os.dup2(descriptor, HIGH + number)
        os.closerange(LINK, HIGH)
        for number in range(3):
            os.dup2(HIGH + number, LINK + number)
        os.closerange(HIGH, HIGH + 3)
        tell = LINK + 2
        try:
            around.enter(order["limits"])
        except OSError as error:
            os.write(tell, str(error).encode())
            return
        os.close(tell)
        link, extra = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=n) for n in (LINK, EXTRA))
        code = ROLES[order["role"]](link, extra, order["limits"]) or 0
    except BaseException:  # a role that fails has failed; nothing of it may go up to the zygote
        code = 1
    finally:
        os._exit(code)
