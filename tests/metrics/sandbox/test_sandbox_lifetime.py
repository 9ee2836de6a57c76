"""Nothing is left behind, whatever becomes of the grader; and it may have threads, forks and many files."""

import asyncio
import fcntl
import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from conftest import PROCESSES, why_not

from lbt_dspy.metrics.sandbox import Limits, run_program, run_script

HOSTILE = [
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "def f(x):\n    while True: print('x' * 10**6)",
    "import os\nos._exit(0)",
    "def f(x):\n    kept = []\n    while True: kept.append(bytearray(1 << 24))",
    "import os\nfor n in range(3, 64):\n    try: os.write(n, b'x' * 1000)\n    except OSError: pass",
    "import os\nos.closerange(0, 64)",
]


def right(number, isolation):
    """Whether one of several grades, hostile and honest ones, comes out as it should."""
    limits = Limits(wall_seconds=30 + number % 3, memory_mib=256)
    if number % 2:
        short = Limits(wall_seconds=0.5 + number % 3 / 4, memory_mib=256)
        verdict = run_program(
            HOSTILE[number // 2 % len(HOSTILE)], ["assert f(2) == 4"], limits=short, isolation=isolation
        )
        return verdict.measured and not verdict.passed
    if number % 4:
        cases = [("1", f"{number + 1}"), ("2", "x")]
        return run_script(f"print(int(input()) + {number})", cases, limits=limits, isolation=isolation).share == 0.5
    tests = [f"assert f(1) == {number + 1}", "assert f(1) == -1"]
    return run_program(f"def f(x): return x + {number}", tests, limits=limits, isolation=isolation).share == 0.5


def all_right(isolation):
    return [right(number, isolation) for number in range(4)] == [True] * 4


@pytest.mark.slow
def test_hostile_and_honest_programs_in_threads_and_forks_at_once(isolation):
    with ThreadPoolExecutor(16) as threads:
        found = [threads.submit(right, number, isolation) for number in range(64)]
        with multiprocessing.get_context("fork").Pool(2) as forks:
            assert forks.map(all_right, [isolation] * 2) == [True] * 2
        assert [future.result() for future in found] == [True] * 64


def test_coroutines_grade(held):
    async def grades():
        return await asyncio.gather(*(asyncio.to_thread(right, 4 * number, held) for number in range(4)))

    async def grade():
        return right(0, held)

    assert asyncio.run(grades()) == [True] * 4
    assert asyncio.run(grade())


def test_a_process_with_many_open_files_grades(held):
    code = f"""
import os, resource
from lbt_dspy.metrics.sandbox import run_program
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
print(run_program("def f(): return 1", ["assert f() == 1"], isolation={held!r}).passed)
"""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2000:
        pytest.skip("this user may not open that many files")
    limit = 2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
    )
    assert done.stdout == "True\n", done.stderr


GRADER = """
import json, signal, sys
from lbt_dspy.metrics.sandbox import Limits, run_program
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job would ignore
isolation, program, test = json.loads(sys.argv[1])
run_program("", ["pass"], isolation=isolation)
print("ready", flush=True)
run_program(program, [test], limits=Limits(wall_seconds=300, cpu_seconds=300), isolation=isolation)
"""
DAEMON = """
import os
open('x', 'w')
if not os.fork():
    os.setsid()
    while True: pass
def f():
    while True: pass
"""
UNENDING = [
    (DAEMON, "f()"),
    pytest.param("def f(): return 1", "while True: f()", marks=pytest.mark.slow),
    pytest.param("", "while True: pass", marks=pytest.mark.slow),
]
"""In the program, in between, in the test."""


def busy(process):
    """Whether it had done more than to start."""
    return process.info["cpu_times"].user > 0.2


def processes_of(grader):
    """The sandboxes of a process, with what was seen of them: any of them may be gone by now."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cpu_times", "name"])
        if str(grader) in (command := process.info["cmdline"] or []) and any("zygote.py" in part for part in command)
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("program", "test"), UNENDING)
def test_a_grader_that_is_killed_leaves_nothing(isolation, tmp_path, program, test, number):
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", GRADER, json.dumps([isolation, program, test])]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as grader:
        assert grader.stdout.readline() == b"ready\n"
        until = time.monotonic() + 10
        while not any(busy(process) for process in processes_of(grader.pid)):
            assert time.monotonic() < until
            time.sleep(0.02)
        grader.send_signal(number)
    until = time.monotonic() + 10
    while (processes_of(grader.pid) or any(tmp_path.iterdir())) and time.monotonic() < until:
        time.sleep(0.02)
    assert (processes_of(grader.pid), list(tmp_path.iterdir())) == ([], [])


def test_an_examiner_ends_though_a_fork_holds_its_sockets(held):
    """A fork in the midst of a grade gets copies of all sockets: closing ours alone would tell nobody."""
    gate, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as thread:
        limits = Limits(wall_seconds=1)
        grade = thread.submit(run_program, "", ["while True: pass"], limits=limits, isolation=held)
        time.sleep(0.3)
        child = os.fork()
        if not child:
            gate.close()
            theirs.recv(1)
            os._exit(0)
        assert not grade.result().passed
    until = time.monotonic() + 5
    while (left := busy_examiners()) and time.monotonic() < until:
        time.sleep(0.02)
    gate.close()
    theirs.close()
    os.waitpid(child, 0)
    assert not left


def busy_examiners():
    return [p for p in processes_of(os.getpid()) if busy(p) and p.info["name"] == "lbt-examiner"]


def test_a_forgotten_folder_is_deleted(tmp_path):
    """One that is in use, or may be about to be, is not."""
    if why := why_not("weak"):
        pytest.skip(why)
    forgotten, used, fresh = (tmp_path / f"lbt-cell-{name}" for name in ("forgotten", "used", "fresh"))
    for folder in (forgotten, used, fresh):
        (folder / "locked" / "deep").mkdir(parents=True)
        (folder / "locked").chmod(0)
        os.utime(folder, (0, 0) if folder != fresh else None)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    code = "from lbt_dspy.metrics.sandbox import run_program\nrun_program('', ['pass'], isolation='weak')"
    mark = os.open(used, os.O_RDONLY)
    fcntl.flock(mark, fcntl.LOCK_EX)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    os.close(mark)
    left = set(tmp_path.glob("lbt-cell-*"))
    for folder in left:
        (folder / "locked").chmod(0o755)
    assert left == {used, fresh}


def test_grades_leave_no_folder(isolation, tmp_path):
    before = set(Path(tempfile.gettempdir()).glob("lbt-cell-*"))
    for number in range(8):
        right(number, isolation)
    after = set(Path(tempfile.gettempdir()).glob("lbt-cell-*"))
    assert len(after - before) <= 2 * PROCESSES * len(os.sched_getaffinity(0))  # those of cells that are ready
