"""A cell: one process behind walls, which plays one role and is ended with all that it has started.

Who ordered it holds the other end of `control`: it hears there that the cell is ready, and has the cell ended by
closing it for writing. The process in the cell gets `link` and `extra`, and nothing else of this one.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

import examiner
import guest
import script
import walls

WALLS: dict[tuple[str, str], Callable[[], Any]] = {
    ("namespaces", "guest"): walls.Namespaces,
    ("namespaces", "script"): walls.Namespaces,
    ("namespaces", "examiner"): walls.Outside,
    ("users", "guest"): walls.Users,
    ("users", "script"): walls.Users,
    ("users", "examiner"): walls.Outside,
}
ROLES: dict[str, Callable[[socket.socket, socket.socket, dict[str, float]], int | None]] = {
    "guest": guest.main,
    "examiner": examiner.main,
    "script": script.main,
}
LINK, EXTRA, CONTROL, FREE = 3, 4, 5, 10


class Cell:
    """One process, as the one that has forked it sees it.

    Args:
        order: `{"role", "limits"}`.
        kind: Of walls: "namespaces" or "users".
        descriptors: Control, link and extra; they are closed here.
        until: Others, each of which ends the cell when it can be read.
    """

    def __init__(self, order: dict[str, Any], kind: str, descriptors: Sequence[int], until: Sequence[int] = ()) -> None:
        self.control = socket.socket(fileno=descriptors[0])
        self.walls = WALLS[kind, order["role"]]()
        self.child = 0
        try:
            self.child = self.walls.fork()
        except OSError as error:
            _tell(self.control, {"fault": str(error)})
        else:
            if not self.child:
                _enter(self.walls, order, descriptors)
            self.ended = os.pidfd_open(self.child)
            self.ends = (self.control.fileno(), self.ended, *until)
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def end(self) -> None:
        """Kill all that lives in the cell, tell what it used, and clean up."""
        by_itself = os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        os.close(self.ended)
        _, status, used = self.walls.end(self.child)
        report = {
            "code": os.waitstatus_to_exitcode(status) if by_itself else None,
            "memory_mib": used.ru_maxrss / 1024,
            "cpu_seconds": used.ru_utime + used.ru_stime,
        }
        _tell(self.control, report)
        self.control.close()
        self.walls.sweep()


class Keeper:
    """Keeps cells, and ends each that has ended by itself or that is to end."""

    def __init__(self) -> None:
        self.poll = select.poll()
        self.cells: dict[int, Cell] = {}
        self.keepers: dict[int, int] = {}

    def reap_later(self, keeper: int) -> None:
        """Take note of another keeper, whose end is to be seen."""
        ended = os.pidfd_open(keeper)
        self.poll.register(ended, select.POLLIN)
        self.keepers[ended] = keeper

    def keep(self, cell: Cell) -> None:
        """Take in a cell."""
        if not cell.child:
            cell.control.close()
            return
        for descriptor in cell.ends:
            self.poll.register(descriptor, select.POLLIN)
            self.cells[descriptor] = cell

    def wait(self) -> None:
        """Wait for something to happen; end the cells that it concerns."""
        for descriptor, _ in self.poll.poll():
            if (cell := self.cells.get(descriptor)) is not None:
                for gone in cell.ends:
                    self.poll.unregister(gone)
                    del self.cells[gone]
                cell.end()
            elif descriptor in self.keepers:
                self.poll.unregister(descriptor)
                os.close(descriptor)
                os.waitpid(self.keepers.pop(descriptor), 0)


def in_process_of_its_own(order: dict[str, Any], kind: str, descriptors: Sequence[int]) -> int:
    """Return the number of a process that keeps one cell, and ends with it: it will be given the cell's orphans.

    The cell also ends when this process does: nobody may be left who could have it ended.
    """
    own = os.pidfd_open(os.getpid())
    if not (forked := os.fork()):
        bounds = [2, *sorted((*descriptors, own)), os.sysconf("SC_OPEN_MAX")]
        for low, high in itertools.pairwise(bounds):
            os.closerange(low + 1, high)  # other cells' ends are not to be held open here
        keeper = Keeper()
        keeper.keep(Cell(order, kind, descriptors, [own]))
        while keeper.cells:
            keeper.wait()
        os._exit(0)
    for descriptor in (*descriptors, own):
        os.close(descriptor)
    return forked


def _tell(control: socket.socket, said: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # whoever ordered the cell may have gone
        control.send(json.dumps(said).encode())


def _enter(around: Any, order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Keep only what the role needs, close the door, and play the role; ends this process."""
    code = 1
    try:
        walls.set_process(walls.NAME, f"lbt-{order['role']}".encode())
        control, link, extra = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, FREE) for descriptor in descriptors)
        for number, descriptor in ((LINK, link), (EXTRA, extra), (CONTROL, control)):
            os.dup2(descriptor, number)
        os.closerange(CONTROL + 1, os.sysconf("SC_OPEN_MAX"))
        told = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=CONTROL)
        try:
            around.enter(order["limits"])
        except OSError as error:
            _tell(told, {"fault": str(error)})
            return
        _tell(told, {"fault": ""})
        told.close()
        ours, other = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=n) for n in (LINK, EXTRA))
        code = ROLES[order["role"]](ours, other, order["limits"]) or 0
    except BaseException:  # a role that fails has failed; nothing of it may go up to the zygote
        code = 1
    finally:
        os._exit(code)
