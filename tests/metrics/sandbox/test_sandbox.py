"""What a grade means: values and errors cross the border, verdicts tell what happened, breakdowns are no failures."""

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from conftest import PROCESSES, why_not
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy.errors import UserError
from lbt_dspy.metrics import run_program as public_run_program
from lbt_dspy.metrics.sandbox import Limits, run_program, run_script, strongest
from lbt_dspy.metrics.sandbox.inside import border

NODE = "class Node:\n    def __init__(self, val, next=None): self.val, self.next = val, next\n"
STACK = (
    "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x); return self\n"
    "    def __len__(self): return len(self.items)\n    def __getitem__(self, n): return self.items[n]\n"
)
ODD = r"""('\0\ud800é', b'\0\xff', 1j, frozenset({1, (2, 'a')}), {(1, 2): None}, set(), '')"""
HOLDS = [
    ("def f(x): return x + 1", "assert f(1) == 2"),
    ("def f(x, *, y=2): return x * y", "assert f(3) == 6 and f(x=3, y=3) == 9"),
    ("def f(x): x.sort()", "given = [3, 1, 2]\nf(given)\nassert given == [1, 2, 3]"),  # arguments come back
    ("def f(x): x[0][1].append(5)", "given = [(1, [2])]\nf(given)\nassert given == [(1, [2, 5])]"),
    ("def f(x): x['a'] = {1}; x['b'].clear()", "given = {'b': {2}}\nf(given)\nassert given == {'a': {1}, 'b': set()}"),
    ("def f(x): return x", "given = [1]\nassert f(given) is given"),  # so LeetCode's in-place problems can return it
    ("def f(x, y): x.append(1); return y", "given = []\nassert f(given, given) == [1]"),  # shared, as in plain Python
    ("def f(x): return [x, x]", "a, b = f([1])\nassert a is b"),
    ("def f(x): x.append(x)", "given = []\nf(given)\nassert given[0] is given"),
    ("def f(): return True, 1, 1.0, -0.0", "assert repr(f()) == '(True, 1, 1.0, -0.0)'"),
    ("def f(): return float('nan'), float('inf')", "import math\nassert math.isnan(f()[0]) and f()[1] == math.inf"),
    ("def f(n): return 7 ** n, -7 ** n", "assert f(10 ** 4) == (7 ** 10 ** 4, -7 ** 10 ** 4)"),  # beyond 4300 digits
    ("def f(x): return x", f"for x in {ODD}:\n    assert f(x) == x and type(f(x)) is type(x)"),
    ("def f(x): return x", "assert f([[1], (2,)]) != [[1], [2]]"),  # a tuple is no list
    ("import collections\ndef f(x): return collections.Counter(x)", "assert f('aab') == {'a': 2, 'b': 1}"),
    ("import collections\nP = collections.namedtuple('P', 'x y')\ndef f(): return P(1, 2)", "assert f() == (1, 2)"),
    ("import enum\nclass C(enum.IntEnum):\n    A = 3\ndef f(): return C.A", "assert f() == 3"),
    ("def f(x): raise ValueError(x)", "try: f('a')\nexcept ValueError as e: assert str(e) == 'a'\nelse: 1 / 0"),
    ("def f(x): return {}[x]", "try:\n    f('a')\nexcept KeyError as error:\n    assert error.args == ('a',)"),
    ("class Own(ValueError): pass\ndef f(): raise Own('x')", "try:\n    f()\nexcept ValueError:\n    pass"),
    (STACK, "s = Stack()\ns.push(1).push('a')\nassert len(s) == 2 and s[1] == 'a' and s.items == [1, 'a'] and s"),
    (STACK, "a, b = Stack(), Stack()\nassert a != b and a.push(1) == a"),
    ("class Solution:\n    def f(self, n: int) -> int: return n * 2", "assert Solution().f(n=2) == 4"),
    ("def f(n):\n    for x in range(n): yield x * x", "assert list(f(3)) == [0, 1, 4]"),
    ("def f(n): return lambda x: x + n", "assert f(1)(2) == 3"),
    ("def f(n): return map(str, range(n))", "assert ''.join(f(3)) == '012'"),
    ("LIMIT = 5", "assert LIMIT == 5"),
    ("def f(): print('noise'); return input", "assert f"),
    ("if __name__ == '__main__': raise SystemExit('no script')\ndef f(): return 1", "assert f() == 1"),
    ("import dataclasses as d\n@d.dataclass\nclass A:\n    x: int\ndef f(a): return a.x", "assert f(A(3)) == 3"),
    ("def f(a):\n    '''é'''\n    return 'ü' + a", "assert f('ß') == 'üß'"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "test"), HOLDS)
def test_what_plain_python_accepts_passes(isolation, program, test):
    exec(f"{program}\n{test}", {"__name__": "plain"} if "dataclass" not in program else {"__name__": "__main__"})
    verdict = run_program(program, [test], isolation=isolation)
    assert verdict.passed, verdict.error


FAILS = [
    ("def f(x): return x", "assert f(1) == 2", "AssertionError: assert f(1) == 2 (the program gave 1)"),
    ("def f(x): return x / 0", "assert f(1) == 2", "ZeroDivisionError: division by zero"),
    ("class Own(Exception): pass\ndef f(x): raise Own('x')", "f(1)", "Own: x"),
    ("def g(x): return x", "assert f(1) == 2", "NameError: name 'f' is not defined"),
    ("def f(x) return x", "assert f(1)", "the program does not load: SyntaxError: expected ':' (<program>, line 1)"),
    ("1 / 0", "assert f(1)", "the program does not load: ZeroDivisionError: division by zero"),
    ("import os\ndef f(x): os._exit(3)", "f(1)", "the program has ended with code 3"),
    ("import time\ndef f(x): time.sleep(9)", "f(1)", "the 0.3 s of wall_seconds were spent"),
    ("def f(x): return 'x' * x", "f(1 << 21)", "a result of 2 MiB: more than the 1 MiB of output_mib"),
    ("def f(x): raise SystemExit(0)", "f(1)", "SystemExit: 0"),
]


@pytest.mark.parametrize(("program", "test", "error"), FAILS)
def test_a_failure_says_why(held, program, test, error):
    verdict = run_program(program, [test], limits=Limits(wall_seconds=0.3, output_mib=1), isolation=held)
    assert (verdict.measured, verdict.passed, verdict.error) == (True, False, error)


def test_processor_time_is_told_from_wall_time(isolation):
    limits = Limits(wall_seconds=5, cpu_seconds=1)
    verdict = run_program("def f():\n    while True: pass", ["f()"], limits=limits, isolation=isolation)
    assert verdict.error == "the program has ended: it spent its 1 s of cpu_seconds"


def test_all_tests_are_run_and_the_share_that_passed_is_told(isolation):
    program = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)"
    tests = ["assert f(1) == 1", "assert f(1) == 0", "y = f(1)\nassert y == 3", "assert y", "assert f(1) == 4"]
    verdict = run_program(program, tests, isolation=isolation)
    assert [outcome.passed for outcome in verdict.outcomes] == [True, False, True, False, True]
    assert (verdict.failed, verdict.share, verdict.passed) == (1, 0.6, False)
    assert 0 < verdict.seconds < 10
    assert 1 < verdict.memory_mib < 1024
    assert isolation in verdict.isolation


def test_tests_that_are_left_at_the_wall_limit_have_failed(held):
    program = "import time\ndef f(x): time.sleep(x); return x"
    verdict = run_program(program, ["f(0)", "f(9)", "f(0)"], limits=Limits(wall_seconds=0.3), isolation=held)
    assert [outcome.passed for outcome in verdict.outcomes] == [True, False, False]


def test_the_preamble_is_on_both_sides_and_its_classes_cross(isolation):
    preamble = NODE + "def to_list(n): return [n.val] + to_list(n.next) if n else []\n"
    program = NODE + (
        "def reverse(n):\n    last = None\n    while n:\n        n.next, last, n = last, n, n.next\n    return last\n"
        "def to_list(n): return [3, 2, 1]"
    )
    tests = [
        "assert to_list(reverse(Node(1, Node(2, Node(3))))) == [3, 2, 1]",
        "assert to_list(reverse(Node(1))) == [1]",  # the preamble's, not the program's
        "n = Node(1, Node(2))\nassert reverse(n).next is n",
        "n = None\nfor x in range(5000): n = Node(x, n)\nassert reverse(n).val == 0",  # a long list needs no deep stack
    ]
    assert run_program(program, tests, preamble=preamble, isolation=isolation).share == 1


def test_names_of_pythons_own_come_from_the_program_only_on_demand(held):
    program = "def sum(a, b): return a * b"
    assert not run_program(program, ["assert sum(2, 3) == 6"], isolation=held).passed
    assert run_program(program, ["assert sum(2, 3) == 6"], names=["sum"], isolation=held).passed


def test_only_the_names_that_are_listed_come_from_the_program(held):
    verdict = run_program("def f(): return 1\ndef g(): return 1", ["f()", "g()"], names=["f"], isolation=held)
    assert [outcome.passed for outcome in verdict.outcomes] == [True, False]


def test_what_a_test_cannot_give_is_no_failure_of_the_program(held):
    verdict = run_program("def f(g): return g(1)", ["assert f(lambda x: x) == 1"], isolation=held)
    assert (verdict.measured, verdict.passed, verdict.share) == (False, False, None)
    assert "function" in verdict.error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tests": []}, "at least 1 snippet"),
        ({"tests": "assert f()"}, "at least 1 snippet"),
        ({"tests": ["pass", "assert ("]}, "test 1 is not Python"),
        ({"preamble": "1 / 0"}, "the preamble fails"),
        ({"isolation": "none"}, "auto, bubblewrap, weak"),
    ],
)
def test_the_callers_mistakes_are_told(held, options, message):
    with pytest.raises(UserError, match=message):
        run_program("def f(): pass", **{"tests": ["pass"], "isolation": held, **options})


def test_a_program_is_text(held):
    for run, case in ((run_program, "pass"), (run_script, ("", ""))):
        with pytest.raises(UserError, match="program must be a text but got one of type bytes"):
            run(b"", [case], isolation=held)


@pytest.mark.parametrize("name", ["wall_seconds", "cpu_seconds", "memory_mib", "processes", "file_mib", "output_mib"])
def test_limits_are_checked(name):
    with pytest.raises(UserError, match=name):
        Limits(**{name: 0})
    with pytest.raises(UserError, match=name):
        Limits(**{name: "1"})


REFUSES = """
import json, os, sys
from functools import partial
from lbt_dspy.metrics import run_program
from lbt_dspy.metrics.sandbox import strongest
from lbt_dspy.errors import UserError

def check(why):
    grade = partial(run_program, '', ['pass'])
    for refused in (strongest, grade, partial(grade, isolation='bubblewrap')):
        try: refused()
        except UserError as error:
            assert 'install bubblewrap' in str(error) and why in str(error) and error.exit_code == 2, error
        else: raise AssertionError
    assert strongest(allow_weak=True) == 'weak'
    assert run_program('', ['pass'], isolation='weak').isolation.startswith('weak')

for folder, why in json.loads(sys.argv[1]):
    if not os.fork():  # each finds out for itself which sandboxes there are
        os.environ['PATH'] = folder
        check(why)
        sys.exit()
    _, status = os.wait()
    assert status == 0, why
"""
BROKEN = {
    None: "there is no bwrap on the PATH",
    "echo 'bwrap: no permission for a new namespace' >&2; exit 1": "no permission for a new namespace",
    "exit 0": "it ended at once",
}


def test_where_bubblewrap_does_not_work_the_weak_one_must_be_asked_for(tmp_path):
    if not_weak := why_not("weak"):
        pytest.skip(not_weak)
    cases = []
    for number, (bwrap, why) in enumerate(BROKEN.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        if bwrap is not None:
            (folder / "bwrap").write_text(f"#!/bin/sh\n{bwrap}\n")
            (folder / "bwrap").chmod(0o755)
        cases.append((str(folder), why))
    done = subprocess.run([sys.executable, "-c", REFUSES, json.dumps(cases)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_auto_is_the_strongest():
    if not_held := why_not("bubblewrap"):
        pytest.skip(not_held)
    assert strongest() == "bubblewrap"
    assert public_run_program("def f(): return 1", ["assert f() == 1"]).isolation == "bubblewrap"


def zygotes():
    """Our children that are sandboxes."""
    return [
        process
        for process in psutil.process_iter(["ppid", "cmdline"])
        if process.info["ppid"] == os.getpid() and any("zygote.py" in part for part in process.info["cmdline"] or [])
    ]


def sandboxed():
    """Our sandboxes and what runs in them."""
    found = []
    for zygote in zygotes():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [zygote, *zygote.children(recursive=True)]
    return found


def kill_sandboxes():
    killed = sandboxed()
    for end in (psutil.Process.suspend, psutil.Process.kill):  # first none may tell of another's death
        for child in killed:
            with contextlib.suppress(psutil.NoSuchProcess):  # the kernel was faster: it went with its namespace
                end(child)
    psutil.wait_procs(killed, timeout=5)


def kill_the_busy():
    """Kill our sandboxes as soon as a program runs in one."""
    while not any(process.info["cpu_times"].user > 0.2 for process in sandboxed_now()):
        time.sleep(0.02)
    kill_sandboxes()


def sandboxed_now():
    """Our sandboxes and what runs in them, with the processor time of each."""
    ours = {process.pid for process in sandboxed()}
    return [process for process in psutil.process_iter(["cpu_times"]) if process.pid in ours]


def test_a_sandbox_that_dies_between_grades_is_replaced(isolation):
    run_program("", ["pass"], isolation=isolation)
    kill_sandboxes()
    assert run_program("def f(): return 1", ["assert f() == 1"], isolation=isolation).passed


def test_a_sandbox_that_dies_during_a_grade_measures_nothing(isolation):
    run_program("", ["pass"], isolation=isolation)
    killer = threading.Thread(target=kill_the_busy)
    killer.start()
    verdict = run_program("while True: pass", ["pass"], limits=Limits(wall_seconds=60), isolation=isolation)
    killer.join()
    assert (verdict.measured, verdict.share, verdict.failed) == (False, None, None)
    assert run_program("def f(): return 1", ["assert f() == 1"], isolation=isolation).passed


def test_threads_grade_at_once(isolation):
    def grade(n):
        return run_program(
            f"def f(): return {n}", [f"assert f() == {n}", "assert f() == -1"], isolation=isolation
        ).share

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(grade, range(40))) == {0.5}


def test_a_forked_process_has_sandboxes_of_its_own(held):
    child = os.fork()
    if not child:
        os._exit(not run_program("def f(): return 1", ["assert f() == 1"], isolation=held).passed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run_program("def f(): return 1", ["assert f() == 1"], isolation=held).passed


SCRIPTS = [
    ("print(int(input()) * 2)", "2\n", "4", None),
    ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", "1 2\n3\n", "6\n", None),
    ("import sys\nfor line in sys.stdin: sys.stdout.write(line)", "a  \nb\n\n", "a\nb", None),  # space at ends is free
    ("print('é', end='')", "", "é", None),
    ("if __name__ == '__main__':\n    print(1)\n    raise SystemExit", "", "1", None),
    ("import threading, time\nthreading.Thread(target=lambda: (time.sleep(.01), print(1))).start()", "", "1", None),
    ("import os\nprint(len(open(0).read()))", "x" * 500_000, "500000", None),
    ("print('x' * 500_000)", "", "x" * 500_000, None),
    ("print('1')", "", " 1\n1", "printed '1\\n' where ' 1\\n1' was expected"),
    ("print(1)\nprint(2 / 0)", "", "1", "ZeroDivisionError: division by zero"),
    ("print(1)\nraise SystemExit(3)", "", "1", "the program has ended with code 3"),
    ("print(input())", "", "", "EOFError: EOF when reading a line"),
    ("import time\ntime.sleep(5)", "", "", "the 0.5 s of wall_seconds were spent"),
    ("while True: print('x' * 1000)", "", "", "more output than the 1 MiB of output_mib"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "stdin", "stdout", "error"), SCRIPTS)
def test_scripts_are_graded_by_what_they_print(held, program, stdin, stdout, error):
    verdict = run_script(program, [(stdin, stdout)], limits=Limits(wall_seconds=0.5, output_mib=1), isolation=held)
    assert (verdict.measured, verdict.error) == (True, error)


def test_each_case_is_a_run_of_its_own(isolation):
    program = "import os\nassert not os.path.exists('left')\nopen('left', 'w')\nprint(input())"
    verdict = run_script(program, [("1", "1"), ("2", "x"), ("3", "3")], isolation=isolation)
    assert (verdict.share, verdict.failed) == (2 / 3, 1)


def test_an_input_that_cannot_be_given_is_the_callers_mistake(held):
    with pytest.raises(UserError, match="file_mib"):
        run_script("", [("x" * (1 << 20), "")], limits=Limits(file_mib=1), isolation=held)
    with pytest.raises(UserError, match="cases"):
        run_script("", [], isolation=held)


numbers = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
scalars = st.none() | numbers | st.text() | st.binary()
hashable = st.recursive(scalars, lambda few: st.lists(few, max_size=3).map(tuple) | st.frozensets(few, max_size=3))


def containers(inner):
    return st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(hashable, inner) | st.sets(hashable)


values = st.recursive(hashable, containers, max_leaves=10)


@settings(max_examples=50)
@given(values)
def test_what_crosses_the_border_comes_out_the_same(value):
    side = border.Side()
    crossed, _ = border.read(border.Writer(side).write(value), side)
    assert (type(crossed), crossed) == (type(value), value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from([*border.KINDS, "record", "handle", "same", "x"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["root", "nodes", "x"]), inner),
)


@settings(max_examples=50)
@given(st.fixed_dictionaries({"root": json_like, "nodes": st.lists(st.lists(json_like))}) | json_like)
def test_a_malformed_message_is_refused_in_one_way(message):
    known = [[], {}, (1,)]
    try:
        border.read(json.dumps(message).encode(), border.Side(), known)
    except border.BorderError:
        pass
    assert [type(value) for value in known] == [list, dict, tuple]


LEAVES = """
import os
kept = bytearray(1 << 22)
open('left', 'wb').write(kept)
if not os.fork():
    os.setsid()
    while True: pass
def f(x): return x
"""


def held_now():
    """What this process and its sandboxes hold: open files, threads, processes, bytes."""
    gc.collect()
    own = psutil.Process()
    ours = {own.pid, *(process.pid for process in sandboxed())}
    held = [p.info["memory_info"].rss for p in psutil.process_iter(["memory_info"]) if p.pid in ours]
    return own.num_fds(), own.num_threads(), len(held), sum(held)


def settled(bound=0):
    """Wait for the processes that are on their way out; return what is held then."""
    until = time.monotonic() + (10 if bound else 0.5)
    while held_now()[2] > bound and time.monotonic() < until:
        time.sleep(0.05)
    return held_now()


@pytest.mark.slow
def test_hundreds_of_grades_leave_nothing_behind(isolation):
    for _ in range(20):
        assert run_program(LEAVES, ["assert f(1) == 1"], isolation=isolation).passed
    before, folders = settled(), len(list(Path(tempfile.gettempdir()).glob("lbt-cell-*")))
    for _ in range(200):
        run_program(LEAVES, ["assert f(1) == 1"], isolation=isolation)
    after = settled(before[2])
    assert [now <= then for now, then in zip(after[:3], before[:3], strict=True)] == [True] * 3, (before, after)
    assert after[3] - before[3] < 20 << 20
    assert len(list(Path(tempfile.gettempdir()).glob("lbt-cell-*"))) <= folders + 8 * PROCESSES  # those of ready cells
