"""The two ways to hold a program, and which of them works here."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from lbt_dspy.metrics.sandbox.inside.users import can_be_others

PACKAGES = ("sortedcontainers",)
"""What programs find beside the standard library, where it is installed: LeetCode's own judge has it."""
INSIDE = Path(__file__).with_name("inside")
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
NAMESPACES = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
ENVIRONMENT = {"HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0"}
"""A program that goes through a set does so in the same order each time."""


class Isolation(Protocol):
    """One way to hold a program."""

    name: str
    """As `isolation=` names it."""
    walls: str
    """What the cells within are closed with (see `inside/walls.py`)."""
    way_out: str
    """What would help where it does not work."""

    def command(self) -> list[str]:
        """Return the command that starts the interpreter from which grades are forked.

        Raises:
            OSError: It cannot be had here.
        """
        ...

    def environment(self) -> dict[str, str]:
        """Return the whole environment of that command."""
        ...


class Bubblewrap:
    """Namespaces and a file system of its own: no network, no other process, Python and its libraries read-only."""

    name = "bubblewrap"
    walls = "namespaces"
    way_out = (
        "install bubblewrap (apt-get install bubblewrap) and let users make user namespaces "
        "(sysctl user.max_user_namespaces; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; "
        "in a container, run it with seccomp and AppArmor profiles that allow them)"
    )

    def command(self) -> list[str]:
        """See `Isolation`; root gives up its rights in each cell, any other user in a user namespace right away."""
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise OSError("there is no bwrap on the PATH")
        rights = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if can_be_others() else ["--unshare-user"]
        within = [
            *rights,
            *NAMESPACES,
            "--die-with-parent",
            "--new-session",
            "--hostname",
            "sandbox",
            "--perms",
            "0755",
            "--dir",
            "/dev",
            "--dir",
            "/dev/shm",
        ]
        for device in DEVICES:
            within += ["--dev-bind-try", device, device]
        return [bwrap, *within, "--proc", "/proc", "--dir", "/tmp", *_read_only(), *_python(self.walls)]

    def environment(self) -> dict[str, str]:
        """See `Isolation`."""
        return ENVIRONMENT


class Weak:
    """A process with resource limits, and where the grader is root with a user of its own: the files stay readable."""

    name = "weak"
    walls = "users"
    way_out = "it needs Linux 5.3 or newer"

    def command(self) -> list[str]:
        """See `Isolation`."""
        if not sys.platform.startswith("linux"):
            raise OSError("this is not Linux")
        return _python(self.walls)

    def environment(self) -> dict[str, str]:
        """See `Isolation`."""
        return {**ENVIRONMENT, "TMPDIR": tempfile.gettempdir()}


ISOLATIONS: dict[str, Isolation] = {"bubblewrap": Bubblewrap(), "weak": Weak()}


def _python(walls: str) -> list[str]:
    """Return the command of the interpreter that forks; it takes nothing from the environment."""
    return [_executable(), "-s", "-S", "-P", "-B", str(INSIDE / "zygote.py"), walls, str(os.getpid()), *_packages()]


def _packages() -> list[str]:
    """Return the folders of the packages."""
    specs = [spec for spec in map(find_spec, PACKAGES) if spec is not None]
    return [folder for spec in specs for folder in spec.submodule_search_locations or ()]


def _executable() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _read_only() -> list[str]:
    """Return bubblewrap's flags for all files that there are: Python, and the system's libraries."""
    flags: list[str] = []
    python = {sys.base_prefix, sys.base_exec_prefix, str(Path(_executable()).parent), str(INSIDE), *_packages()}
    for path in (*LIBRARIES, *sorted(python)):
        if os.path.islink(path):
            flags += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            for parent in reversed(Path(path).parents):
                flags += ["--perms", "0755", "--dir", str(parent)] if parent != Path("/") else []
            flags += ["--ro-bind", path, path]
    return [*flags, "--remount-ro", "/"]
