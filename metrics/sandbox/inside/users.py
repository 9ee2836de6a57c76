"""Whether a process can be another user; the grader asks this too."""

from __future__ import annotations

import os

FIRST_USER = 1_900_000_000
"""No system gives out users from here on; to it the number of a process is added."""
PROCESSES = 1 << 22
"""No process has a higher number (`man 5 proc`)."""


def can_be_others() -> bool:
    """Return whether this is root, and not one of a user namespace (a rootless container) that lacks those users."""
    if os.getuid():
        return False
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= FIRST_USER and FIRST_USER + PROCESSES <= first + count for first, _, count in ranges)
