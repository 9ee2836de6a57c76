"""Being told to stop: `kill`, `timeout` and a closed terminal end a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

STOPS = ("SIGTERM", "SIGHUP")


@contextlib.contextmanager
def stops_as_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at these signals; those that are ignored (`nohup`) or handled stay as they are."""
    if threading.current_thread() is not threading.main_thread():  # others may not set handlers
        yield
        return
    found = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]
    ours = [number for number in found if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
