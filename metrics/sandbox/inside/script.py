"""A program that reads standard input and writes standard output."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import socket
import sys
import tempfile
import threading
import traceback
import types

from border import receive

FILE = "program.py"


def main(link: socket.socket, extra: socket.socket, limits: dict[str, float]) -> int:
    """Run the program as a script, with `extra` as its standard output and `link` as its standard error."""
    job = json.loads(receive(link, sys.maxsize))
    with tempfile.TemporaryFile() as file:
        file.write(job["stdin"].encode(errors="surrogatepass"))
        file.seek(0)
        for here, descriptor in enumerate((file.fileno(), extra.fileno(), link.fileno())):
            os.dup2(descriptor, here)
        highest = file.fileno()
    os.closerange(link.fileno(), highest + 1)
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in enumerate("rww"))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc, assignment]
    module = types.ModuleType("__main__")
    module.__file__ = _kept(job["program"])
    sys.modules["__main__"] = module
    sys.argv = [FILE]
    code = _run(job["program"], module)
    _finish(module)
    return code


def _kept(program: str) -> str:
    """Write the program to the file that it may look for itself in; return where that is."""
    with contextlib.suppress(OSError), open(FILE, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(program)
    return os.path.abspath(FILE)


def _run(program: str, module: types.ModuleType) -> int:
    """Run the program and what it has left to be done at its end; return its exit code."""
    code = 0
    try:
        exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        traceback.print_exception(error, limit=-3)
        code = 1
    return code & 0xFF


def _finish(module: types.ModuleType) -> None:
    """Do what Python does at its end: wait for threads, and have all that is still in buffers written."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    _flush()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    module.__dict__.clear()
    gc.collect()  # closes the program's own files
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
