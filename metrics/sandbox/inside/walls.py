"""What a cell is closed with: Linux namespaces, another user, limits, no capabilities. Calls the kernel directly."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folders
import syscalls
from users import FIRST_USER, can_be_others

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NOSUID_NODEV, READONLY, BIND = 2 | 4, 1, 4096
PDEATHSIG, DUMPABLE, NAME, SUBREAPER, NO_NEW_PRIVS = 1, 4, 15, 36, 38
NOBODY = 65534
OPEN_FILES = 64
STACK = 64 << 20
"""Recursion through C, as that of functions with a cache, takes half a KiB and more at each level."""
FILES = 1000
FELLOWS = 64
"""Processes that the examiner's user may have beside its own: the zygote, and other examiners."""
_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.PyDLL(None, use_errno=True)
_python.syscall.restype = ctypes.c_long


def _call(name: str, *args: Any) -> None:
    if getattr(_libc, name)(*args):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def set_process(option: int, value: int | bytes) -> None:
    """Set an attribute of this process (`man 2 prctl`)."""
    _call("prctl", option, value, 0, 0, 0)


def become(user: int) -> None:
    """Give up this user, and all its groups, for another."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    set_process(DUMPABLE, 1)  # else /proc/self belongs to root


def _name_user(name: int, user: int, group: int) -> None:
    """Let this process's user be called `name` in the user namespace that it has just entered."""
    _tell_kernel("/proc/self/setgroups", "deny")
    _tell_kernel("/proc/self/uid_map", f"{name} {user} 1")
    _tell_kernel("/proc/self/gid_map", f"{name} {group} 1")


def _tell_kernel(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY)
    os.write(file, text.encode())
    os.close(file)


def without_network() -> bool:
    """Leave the network, where the kernel lets this user; return whether it did."""
    with contextlib.suppress(OSError):
        user, group = os.getuid(), os.getgid()
        _call("unshare", NEWNET | (NEWUSER if user else 0))
        if user:
            _name_user(user, user, group)
        return True
    return False


def drop_rights() -> None:
    """Give up every capability and the stranger calls of the kernel, for this process and all that it will start."""
    set_process(NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())
    syscalls.refuse()


def limit(limits: dict[str, float], processes: int) -> None:
    """Set the limits of this process and of all that it will start."""
    mib = 1 << 20
    bounds = {
        resource.RLIMIT_CPU: int(limits["cpu_seconds"]),
        resource.RLIMIT_AS: int(limits["memory_mib"] * mib),
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_FSIZE: int(limits["file_mib"] * mib),
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_STACK: STACK,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for which, bound in bounds.items():
        both = (bound, resource.getrlimit(which)[1])  # what is already lower cannot be raised
        lower = min((each for each in both if each != resource.RLIM_INFINITY), default=resource.RLIM_INFINITY)
        resource.setrlimit(which, (lower, lower))


def offer_to_the_kernel() -> None:
    """Have this process, and all that it will start, killed before others where memory runs out."""
    with contextlib.suppress(OSError):  # it may be no other user's to say
        _tell_kernel("/proc/self/oom_score_adj", "1000")


def fork_into(namespaces: int) -> int:
    """Fork, as `os.fork` does, but let the child be the first process of new namespaces.

    `unshare` cannot do that without a process in between, whose fork would cost as much again.
    """
    number = ctypes.c_long(syscalls.clone_number())
    _python.PyOS_BeforeFork()
    child = int(_python.syscall(number, ctypes.c_long(NEWUSER | namespaces | signal.SIGCHLD), *[ctypes.c_long(0)] * 4))
    if child:
        _python.PyOS_AfterFork_Parent()
    else:
        _python.PyOS_AfterFork_Child()
    if child < 0:
        raise OSError(ctypes.get_errno(), f"clone: {os.strerror(ctypes.get_errno())}")
    return child


class Outside:
    """No cell of its own, for the tests: they are trusted, what they get is not, so that they have limits too."""

    def fork(self) -> int:
        """Return the child's number, or 0 in the child."""
        return os.fork()

    def enter(self, limits: dict[str, float]) -> None:
        """Give up what rights there are."""
        os.setsid()
        if can_be_others():
            _become_other(FIRST_USER + os.getpid())
        set_process(PDEATHSIG, signal.SIGKILL)  # a new user starts without
        unbounded = {"cpu_seconds": resource.RLIM_INFINITY}  # over many jobs; each has its wall limit
        limit({**limits, **unbounded}, int(limits["processes"]) + FELLOWS)
        drop_rights()

    def end(self, child: int) -> Any:
        """Kill the process, and with it all that its namespace holds; return what it used."""
        os.kill(child, signal.SIGKILL)
        return os.wait4(child, 0)

    def sweep(self) -> None:
        """Delete nothing: what there was has gone with the process."""


class Namespaces(Outside):
    """A cell in namespaces of its own, inside of bubblewrap: no other process, no file but a private /tmp."""

    def fork(self) -> int:
        """Return the child's number, or 0 in the child, which is the first process of the cell."""
        self.user, self.group = os.getuid(), os.getgid()
        return fork_into(NEWNS | NEWIPC | NEWPID | NEWNET)

    def enter(self, limits: dict[str, float]) -> None:
        """Furnish the cell, and close its door from within."""
        _name_user(NOBODY, self.user, self.group)
        offer_to_the_kernel()
        _tell_kernel("/proc/sys/user/max_user_namespaces", "0")
        size = f"size={int(limits['file_mib'])}m,nr_inodes={FILES},mode=1777"
        _call("mount", b"tmpfs", b"/tmp", b"tmpfs", NOSUID_NODEV, size.encode())
        _call("mount", b"/tmp", b"/dev/shm", None, BIND, None)  # for the locks of multiprocessing
        _call("mount", b"tmpfs", b"/proc", b"tmpfs", NOSUID_NODEV | READONLY, b"size=4k,mode=555")
        os.setsid()
        os.chdir("/tmp")
        limit(limits, int(limits["processes"]))
        drop_rights()


class Users:
    """A cell held by limits alone and, where the grader is root, by a user of its own."""

    def fork(self) -> int:
        """Return the child's number, or 0 in the child; what the child will leave behind becomes this process's."""
        set_process(SUBREAPER, 1)
        self.user = FIRST_USER + os.getpid() if can_be_others() else 0
        self.folder, self.mark = folders.make()
        if self.user:
            os.chown(self.folder, self.user, self.user)
        return os.fork()

    def enter(self, limits: dict[str, float]) -> None:
        """Become the other user, and set the limits."""
        os.setsid()
        offer_to_the_kernel()
        os.chdir(self.folder)
        os.environ["HOME"] = os.environ["TMPDIR"] = tempfile.tempdir = self.folder
        if self.user:
            _become_other(self.user)
        others = 0 if self.user else _tasks_of(os.getuid())
        limit(limits, others + int(limits["processes"]))
        drop_rights()

    def end(self, child: int) -> Any:
        """Kill the program and what it has left behind; return what it used."""
        if self.user:
            self._kill_all_of_user()
        else:
            _stop_descendants()
        os.kill(child, signal.SIGKILL)
        used = os.wait4(child, 0)
        while left := set() if self.user else _descendants():
            _signal(left, signal.SIGKILL)
            _reap(os.WNOHANG)
        _reap(0)
        return used

    def sweep(self) -> None:
        """Delete the folder."""
        folders.delete(self.folder)
        os.close(self.mark)

    def _kill_all_of_user(self) -> None:
        """Kill them at one stroke, so that none can fork away."""
        killer = os.fork()
        if not killer:
            become(self.user)
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        os.waitpid(killer, 0)


def _become_other(user: int) -> None:
    """Become a user who may be unable to walk to Python's library: let imports go through folders opened before."""
    doors = {path: f"/proc/self/fd/{os.open(path, os.O_RDONLY)}" for path in sys.path if os.path.isdir(path)}
    sys.path[:] = doors.values()
    for package in [module for module in sys.modules.values() if hasattr(module, "__path__")]:
        paths = map(Path, package.__path__)
        package.__path__ = [f"{doors.get(str(path.parent), path.parent)}/{path.name}" for path in paths]
    become(user)


def _signal(processes: set[int], number: int) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stop_descendants() -> None:
    """Stop all of them: one that is stopped cannot fork, and takes up its place among those that may live."""
    stopped: set[int] = set()
    while fresh := _descendants() - stopped:
        _signal(fresh, signal.SIGSTOP)
        stopped |= fresh


def _descendants() -> set[int]:
    """Return the numbers of this process's children, of theirs, and so on."""
    children: dict[int, list[int]] = {}
    for pid, parent, _ in _processes():
        children.setdefault(parent, []).append(pid)
    found: list[int] = [*children.get(os.getpid(), ())]
    for pid in found:  # grows while it is worked through
        found += children.get(pid, ())
    return set(found)


def _reap(options: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield number, parent and tasks of every process that can be seen."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb", buffering=0) as file:
            fields = file.read(1 << 12).rpartition(b")")[2].split()
            yield int(name), int(fields[1]), int(fields[17])


def _tasks_of(user: int) -> int:
    """Return how many processes and threads a user has."""
    found = 0
    for pid, _, tasks in _processes():
        with contextlib.suppress(OSError):
            found += tasks * (os.stat(f"/proc/{pid}").st_uid == user)
    return found
