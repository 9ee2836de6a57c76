"""The folder of a run: made, locked, gone on with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from lbt_dspy.benchmarks.cli.settings import AnySettings
from lbt_dspy.benchmarks.shared.kept import save_record
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.errors import UserError


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a run folder, which ends with this process at the latest.

    Raises:
        UserError: Another process is at work in it: both would pay for the same calls.
    """
    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{folder} is in use by another process; wait for its end, or name another folder") from None
    try:
        yield
    finally:
        lock.release()


def run_folder(settings: AnySettings, options: RunOptions) -> Path:
    """Return the folder of this run: a new one with its settings in it, or the resumed one."""
    if options.resume is not None:
        return Path(options.resume)
    default = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.task}"
    folder = default if options.out is None else Path(options.out)
    if options.out is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--out {folder} is not empty; name a new folder, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_record(settings, folder)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error.strerror}); name another folder") from None
    return folder
