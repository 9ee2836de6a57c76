"""A program that reads standard input and writes standard output."""

from __future__ import annotations

import atexit
import json
import os
import socket
import sys
import threading
import traceback
import types

from border import receive


def main(link: socket.socket, extra: socket.socket, limits: dict[str, float]) -> int:
    """Run the program as a script, with `extra` as its standard output and `link` as its standard error."""
    job = json.loads(receive(link, sys.maxsize))
    stdin = os.memfd_create("stdin")
    with open(stdin, "wb", closefd=False) as file:
        file.write(job["stdin"].encode(errors="surrogatepass"))
    os.lseek(stdin, 0, os.SEEK_SET)
    for here, descriptor in enumerate((stdin, extra.fileno(), link.fileno())):
        os.dup2(descriptor, here)
    os.closerange(link.fileno(), stdin + 1)
    sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in enumerate("rww"))
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    return _run(job["program"], module)


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
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code & 0xFF
