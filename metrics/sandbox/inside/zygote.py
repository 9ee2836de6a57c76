"""An interpreter that has all its imports behind it, and forks a fresh process for each grade; run by path.

It takes orders on descriptor 0: JSON, with three open descriptors (control, link, extra; see `cell.py`). It runs no
program and holds none, and it ends with whoever gives the orders.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import site
import socket
import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import border
import cell
import examiner
import folders
import guest
import users
import walls

sys.path.pop()

USUAL = "bisect collections copy datetime functools heapq itertools math operator random re string time typing"
"""Modules that programs import; those that are loaded here cost a grade nothing."""

WARMING = """
from typing import List
def f(items: List[int], x) -> int:
    items.append(sum(items))
    return items[-1], 'a'
"""


def main(kind: str, number: int, packages: list[str]) -> None:
    """Fork a cell for each order, until there are no more.

    Args:
        kind: Of walls: "namespaces" or "users".
        number: Of the process that orders; no two have the same at a time.
        packages: Folders of packages that programs find beside the standard library.
    """
    orders = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    walls.set_process(walls.PDEATHSIG, signal.SIGKILL)
    own_user = kind == "namespaces" or users.can_be_others()
    if kind == "users":
        folders.delete_forgotten()
    network = kind == "users" and not walls.without_network()
    sys.set_int_max_str_digits(0)  # the limits of a grade bound the time of long numbers too
    _import(packages)
    site.setquit()  # `exit` and `quit`, which scripts use
    _warm_up()
    if kind == "namespaces" and users.can_be_others():
        walls.become(users.FIRST_USER + number)
    walls.set_process(walls.DUMPABLE, int(kind == "namespaces"))  # else programs of the same user could look into it
    gc.collect()
    gc.freeze()
    for descriptor in (1, 2):
        os.dup2(0, descriptor)
    orders.send(json.dumps({"network": network, "user": own_user}).encode())
    _serve(orders, kind)


def _serve(orders: socket.socket, kind: str) -> None:
    """Take orders until there are no more."""
    keeper = cell.Keeper()
    keeper.poll.register(orders, select.POLLIN)
    while True:
        keeper.wait()
        if not select.select([orders], [], [], 0)[0]:
            continue
        message, descriptors, _, _ = socket.recv_fds(orders, 1 << 16, 3)
        if not message:
            return
        order = json.loads(message)
        if kind == "users" and order["role"] != "examiner":
            keeper.reap_later(cell.in_process_of_its_own(order, kind, descriptors))
        else:
            keeper.keep(cell.Cell(order, kind, descriptors))


def _import(packages: list[str]) -> None:
    for name in USUAL.split():
        __import__(name)
    for package in map(Path, packages):
        sys.path.append(str(package.parent))
        __import__(package.name)
        sys.path.pop()


def _warm_up() -> None:
    """Grade once, in this process, so that no child has to be the first to come by that code."""
    pairs = [socket.socketpair() for _ in range(2)]
    (link, other), (desk, theirs) = pairs
    limits = {"output_mib": 1}
    threads = [
        threading.Thread(target=guest.main, args=(link, link, limits)),
        threading.Thread(target=examiner.main, args=(theirs, theirs, limits)),
    ]
    job = {
        "program": WARMING,
        "tests": ["assert f([1, 2], x={}) == (3, 'a')", "f(1)"] * 10,  # 20 replies
        "preamble": "",
        "names": None,
    }
    for thread in threads:
        thread.start()
    socket.send_fds(desk, [b"j"], [other.fileno()])
    border.send(desk, json.dumps(job).encode())
    for _ in range(20):
        border.receive(desk, sys.maxsize)
    for end in (other, desk):
        end.close()  # the examiner ends, and with it the guest
    for thread in threads:
        thread.join()
    for end in (link, theirs):
        end.close()
    del sys.modules[guest.NAME]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
