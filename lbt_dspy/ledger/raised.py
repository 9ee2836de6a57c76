"""What it means that a program raised: an answer that could not be used, a call that was lost, or a mistake in it.

A model answered, and the program could do nothing with the answer: that is a wrong answer, as one that cannot be read
is. What the network, a server, a limit of time or memory, or this library raised says nothing about the answer. What
was raised before any model answered, and what no answer can cause, is a mistake in the program, and ends the run.
"""

from __future__ import annotations

import concurrent.futures
import functools
import linecache
import logging
import os
import subprocess
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import dspy
from dspy.utils.exceptions import LMError

from lbt_dspy.errors import LbTError, UserError
from lbt_dspy.lms.redaction import scrub

logger = logging.getLogger(__name__)
LONGEST = 200
OUTSIDE = (
    LbTError, LMError, OSError, MemoryError, subprocess.TimeoutExpired, concurrent.futures.CancelledError,
)  # fmt: skip
PATHS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""An answer may name a file."""
CLIENTS = frozenset(
    {"aiohttp", "anthropic", "botocore", "google", "grpc", "http", "httpcore", "httpx", "litellm", "openai", "requests",
     "urllib3", "websockets"}
)  # fmt: skip
"""Packages whose errors are those of a server, or of the way to it."""


def from_outside(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, came from the network, a server, a limit, or this library."""
    return any(
        (isinstance(cause, OUTSIDE) and not isinstance(cause, PATHS))
        or any(kind.__module__.partition(".")[0] in CLIENTS for kind in type(cause).__mro__)
        for cause in _causes(error)
    )  # fmt: skip


def is_mistake(error: BaseException) -> bool:
    """Return whether no answer can have caused an error: an unknown name or module, or attribute of the program."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, NameError | ImportError) and not isinstance(error, UnboundLocalError):
        return bool(frames) and _has_source(frames[-1])  # else it is in code that the model wrote
    if not (isinstance(error, AttributeError) and isinstance(error.obj, dspy.Module)):
        return False
    return any(error.name in frame.f_code.co_names for frame in frames)  # else the name may come from the model


def mistake(error: BaseException, inputs: Mapping[str, Any], *, answered: bool) -> UserError:
    """Return what a user is told of a mistake in the program."""
    start = str(next(iter(inputs.values()), ""))[:60]
    why = (
        "which no answer of a model can cause; mend the program"
        if answered
        else "before any model answered; mend the program, or leave out examples that it does not take"
    )
    return UserError(f"the program raised {described(error)} in {place_of(error)} on {start!r}, {why}")


def described(error: BaseException) -> str:
    """Return kind and message in one line, scrubbed of anything secret."""
    return f"{type(error).__name__}: {scrub(str(error))[:LONGEST]}"


def place_of(error: BaseException) -> str:
    """Return file and line where an error was raised: the last that is not in a package."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if "site-packages" not in frame[0]] or frames or [("?", 0)]
    return f"{os.path.basename(own[-1][0])}:{own[-1][1]}"


def tell_if_all_alike(ends: Sequence[str | None]) -> None:
    """Warn, once, where all of several runs of a program ended in the same error.

    Args:
        ends: Of each run: kind and place of the error after which its answer could not be used; `None`: it had none.
    """
    if len(ends) > 1 and len(set(ends)) == 1 and ends[0] is not None:
        _tell(ends[0])


@functools.cache
def _tell(end: str) -> None:
    logger.warning(
        "all runs of the program ended in %s, after a model had answered: all have mark 0; mend the program if the "
        "mistake is in it",
        end,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error, those that led to it, and those that it groups."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        left.append(cause.__cause__)
        left.append(None if cause.__suppress_context__ else cause.__context__)
        if isinstance(cause, BaseExceptionGroup):
            left.extend(cause.exceptions)


def _has_source(frame: FrameType) -> bool:
    return bool(linecache.getline(frame.f_code.co_filename, frame.f_lineno))
