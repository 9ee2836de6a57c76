"""One pool of kept connections for all requests of the process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os

import aiohttp

KEPT_SECONDS = 4.0
"""An idle connection is closed after this: servers close theirs after 5 seconds or more."""
_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
_parents_sessions: list[object] = []


def http_session() -> aiohttp.ClientSession:
    """Return the one session of the running event loop."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS)
        session = _sessions[loop] = aiohttp.ClientSession(connector=connector)
    return session


@atexit.register
def _close_sessions() -> None:
    for loop, session in _sessions.items():
        if loop.is_running():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(session.close(), loop).result(1)


def _leave_sessions() -> None:
    """Forget, in a forked process, its parent's sessions; but keep them: to close them would close the parent's."""
    _parents_sessions.append(dict(_sessions))
    _sessions.clear()


os.register_at_fork(after_in_child=_leave_sessions)
