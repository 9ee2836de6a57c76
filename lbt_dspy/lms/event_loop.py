"""One event loop in a daemon thread for all requests of the process, and threads for engines that block."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
MOST_THREADS = 1024


class EventLoop:
    """The loop; it begins with the first call and ends with the process."""

    _loop: asyncio.AbstractEventLoop | None = None
    _lock = threading.Lock()

    @classmethod
    def forget(cls) -> None:
        """Begin anew in a forked process: threads stay behind."""
        cls._loop, cls._lock = None, threading.Lock()
        _threads.cache_clear()

    @classmethod
    def get(cls) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        with cls._lock:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="lbt-http", daemon=True).start()
            return cls._loop

    @classmethod
    def submit(cls, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, cls.get())

    @classmethod
    def run(cls, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result in this thread."""
        return cls.submit(coroutine).result()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="lbt")


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Do blocking work in a thread, in this context; as many at once as are asked for (asyncio's own pool is small)."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads(), context.run, work, *args)


os.register_at_fork(after_in_child=EventLoop.forget)
