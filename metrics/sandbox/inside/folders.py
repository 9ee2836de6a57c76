"""The folders of cells that have no file system of their own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from pathlib import Path

PREFIX = "lbt-cell-"
FRESH_SECONDS = 60.0


def make() -> tuple[str, int]:
    """Return a new folder, and a descriptor that marks it as in use while it is open."""
    folder = tempfile.mkdtemp(prefix=PREFIX)
    mark = os.open(folder, os.O_RDONLY)
    fcntl.flock(mark, fcntl.LOCK_EX)
    return folder, mark


def delete(folder: str) -> None:
    """Delete a folder, however deep and locked what is in it may be."""
    if not os.access(folder, os.R_OK) or os.listdir(folder):
        if os.getuid():  # root needs no permission
            subprocess.run(["/bin/chmod", "-R", "u+rwx", folder], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["/bin/rm", "-rf", folder], check=False, stderr=subprocess.DEVNULL)
    else:
        os.rmdir(folder)


def delete_forgotten() -> None:
    """Delete those that nobody uses any more: who would have deleted them was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, or another user's
            mark = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(mark).st_mtime > FRESH_SECONDS:  # else it may be about to be marked
                    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    delete(str(path))
            finally:
                os.close(mark)
