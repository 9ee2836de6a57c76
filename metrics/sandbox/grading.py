"""Programs that a model has written, graded: by tests that call them, or by what they print."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.metrics.sandbox.cells import SandboxFault
from lbt_dspy.metrics.sandbox.inside import border
from lbt_dspy.metrics.sandbox.isolation import ISOLATIONS
from lbt_dspy.metrics.sandbox.pool import Bench, ExaminerProcess, Pool
from lbt_dspy.metrics.sandbox.printed import same_output
from lbt_dspy.metrics.sandbox.records import MIB, Limits, Outcome, Verdict, case_of, check_limits

STDERR_KEPT = 2000
ENDING_SECONDS = 0.2
"""A program that ends lets go of the border first; how it ended is known a little later."""
_pools: dict[str, Pool] = {}
_broken: dict[str, str] = {}
_lock = threading.RLock()


def _unlock() -> None:
    """Make a new lock: another thread may have held the old one at the moment of a fork."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_unlock)


def strongest(*, allow_weak: bool = False) -> str:
    """Return the name of the strongest isolation that works here, after a trial: "bubblewrap", else "weak".

    Args:
        allow_weak: Whether the weak one will do. It does not keep a program from reading your files (see
            `docs/sandbox.md`): ask for it only where that does no harm.

    Raises:
        UserError: None works, or only the weak one, which is not allowed; the message says what would help.
    """
    why = _trial("bubblewrap")
    if why is None:
        return "bubblewrap"
    if allow_weak:
        _pool("weak")
        return "weak"
    raise UserError(
        f"bubblewrap does not work here ({why}), and the weak sandbox must be asked for: "
        f"{ISOLATIONS['bubblewrap'].way_out}; or allow the weak one (isolation='weak', --allow-weak-sandbox) where a "
        "program may read what you can read"
    )


def run_program(
    program: str,
    tests: Sequence[str],
    *,
    preamble: str = "",
    names: Sequence[str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    isolation: str = "auto",
) -> Verdict:
    """Load a program in the sandbox, and run tests against it.

    The tests run in another process than the program. Its functions are called over a border that only data can
    cross: None, booleans, numbers, strings, bytes, lists, tuples, dicts, sets, and records of the preamble's classes.
    Arguments that it changes come back, and so do its exceptions, as the nearest of Python's own. Objects of its own
    classes stay with it: a test can call their methods, but two of them are equal only if they are one.
    See `docs/sandbox.md` for what it promises and what it does not.

    Args:
        program: Python source, never trusted.
        tests: Python snippets, each of which raises when it fails; each starts with fresh variables, while the program
            keeps its state. All are run, the first that fails does not stop the others.
        preamble: Trusted source that both sides run first: imports, and helpers and classes that tests use. What a
            test takes from here instead of from the program cannot be faked.
        names: What the tests take from the program; by default every name that they use and that neither Python nor
            the preamble has. Needed where a program is to define a function that is named like one of Python's.
        limits: What the grade may use.
        isolation: "auto" (bubblewrap, else an error), "bubblewrap" or "weak".

    Returns:
        One outcome per test. A sandbox that breaks down gives a verdict with a `fault`, not one that failed.

    Raises:
        UserError: There is no test, a test or the preamble is not Python, or the isolation does not work here.
    """
    _check_text("program", program)
    if isinstance(tests, str) or not tests:
        raise UserError(f"tests must be a sequence of at least 1 snippet but got {tests!r}")
    check_limits(limits)
    job = {"program": program, "tests": list(tests), "preamble": preamble, "names": names and list(names)}
    pool = _pool(isolation)

    def examine(bench: Bench, until: float) -> list[Outcome]:
        return _examined(bench, job, len(tests), until)

    return _graded(pool, limits, [examine], script=False)


def run_script(
    program: str,
    cases: Sequence[tuple[str, str] | Mapping[str, str]],
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    isolation: str = "auto",
) -> Verdict:
    """Run a program once per case, as a script, and compare what it prints.

    Args:
        program: Python source, never trusted.
        cases: Pairs of standard input and the standard output that is expected, or mappings with `stdin` and `stdout`.
            They are compared as `same_output` says: tokens of lines, numbers with a fraction nearly. The exit code
            must be 0.
        limits: What the grade may use: the wall seconds are those of all cases, the others of each.
        isolation: "auto" (bubblewrap, else an error), "bubblewrap" or "weak".

    Returns:
        One outcome per case.

    Raises:
        UserError: There is no case, an input is longer than `file_mib`, or the isolation does not work here.
    """
    _check_text("program", program)
    if not cases:
        raise UserError(f"cases must be a sequence of at least 1 pair but got {cases!r}")
    check_limits(limits)
    pairs = [case_of(case) for case in cases]
    longest = max(len(stdin) for stdin, _ in pairs)
    if longest > limits.file_mib * MIB // 4:
        raise UserError(f"a standard input of {longest} characters needs file_mib of {4 * longest // MIB + 1} or more")
    pool = _pool(isolation)

    def case(stdin: str, expected: str) -> Callable[[Bench, float], list[Outcome]]:
        job = {"program": program, "stdin": stdin}
        return lambda bench, until: [_printed(bench, job, expected, until)]

    return _graded(pool, limits, [case(*pair) for pair in pairs], script=True)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise UserError(f"{name} must be a text but got one of type {type(value).__name__}; decode bytes first")


def _graded(
    pool: Pool, limits: Limits, parts: Sequence[Callable[[Bench, float], list[Outcome]]], *, script: bool
) -> Verdict:
    """Run the parts of a grade, each on a bench of its own, until the wall limit is spent."""
    spent, peak = 0.0, 0.0
    outcomes: list[Outcome] = []
    fault = None
    try:
        for part in parts:
            if spent >= limits.wall_seconds:
                outcomes.append(_out_of_time(limits))
                continue
            with pool.bench(limits, script=script) as bench:
                start = time.monotonic()
                found = part(bench, start + limits.wall_seconds - spent)
                if any(outcome.error and outcome.error.endswith(_ENDED) for outcome in found):
                    bench.program.ends_within(ENDING_SECONDS)
                used = bench.end()
                spent += time.monotonic() - start
            if not used:
                raise SandboxFault("the sandbox ended during the grade")
            outcomes += [_explained(outcome, used, limits) for outcome in found]
            peak = max(peak, used["memory_mib"])
    except SandboxFault as error:
        outcomes, fault = [], str(error)
    return Verdict(
        outcomes=tuple(outcomes), isolation=pool.in_force, seconds=spent, memory_mib=peak or None, fault=fault
    )


def _examined(bench: Bench, job: dict[str, Any], tests: int, until: float) -> list[Outcome]:
    """Have the examiner run the tests, and return what it tells; what it does not tell has failed."""
    outcomes: list[Outcome] = []
    examiner = cast(ExaminerProcess, bench.examiner)
    left = Outcome(passed=False, error="the process of the tests has ended")
    try:
        examiner.desk.settimeout(max(0.01, until - time.monotonic()))
        examiner.begin(json.dumps(job).encode(), bench.link)
        while len(outcomes) < tests:
            examiner.desk.settimeout(max(0.001, until - time.monotonic()))
            outcomes.append(_outcome(json.loads(border.receive(examiner.desk, 1 << 24))))
        examiner.busy = False
    except TimeoutError:
        left = _out_of_time(bench.limits)
    except (OSError, EOFError):
        pass
    return outcomes + [left] * (tests - len(outcomes))


def _outcome(told: dict[str, str | None]) -> Outcome:
    if "mistake" in told:
        raise UserError(str(told["mistake"]))
    if "fault" in told:
        raise SandboxFault(str(told["fault"]))
    error = told["error"]
    return Outcome(passed=error is None, error=None if error is None else _printable(error))


def _printed(bench: Bench, job: dict[str, Any], expected: str, until: float) -> Outcome:
    """Have a script run, and compare its output."""
    with contextlib.suppress(OSError):
        bench.link.settimeout(max(0.01, until - time.monotonic()))
        border.send(bench.link, json.dumps(job).encode())
    printed, complaint = bytearray(), bytearray()
    control, most = bench.program.control, bench.limits.output_mib * MIB
    with selectors.DefaultSelector() as selector:
        for watched in filter(None, (control, bench.output, bench.link)):
            selector.register(watched, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select(max(0.0, until - time.monotonic()))}
            for source, kept in ((bench.output, printed), (bench.link, complaint)):
                if source in ready and not _moved(source, kept):
                    selector.unregister(source)
            del complaint[:-STDERR_KEPT]
            if len(printed) > most:
                return Outcome(passed=False, error=f"more output than the {most // MIB} MiB of output_mib")
            if ready == {control}:
                break  # it has ended, with all that it started, and nothing is left to be read
            if time.monotonic() >= until:
                return _out_of_time(bench.limits)
    used = bench.end()
    text = complaint.decode(errors="replace").strip().splitlines()
    if used and used["code"]:
        return Outcome(passed=False, error=_printable(text[-1] if text else f"{_ENDED} with code {used['code']}"))
    got = printed.decode(errors="replace")
    if same_output(got, expected, job["stdin"]):
        return Outcome(passed=True)
    return Outcome(passed=False, error=_printable(f"printed {got[:200]!r} where {expected[:200]!r} was expected"))


_ENDED = "the program has ended"


def _moved(source: socket.socket, kept: bytearray) -> bool:
    """Append what there is; return whether there may be more."""
    try:
        part = source.recv(1 << 16)
    except OSError:
        return False
    kept += part
    return bool(part)


def _out_of_time(limits: Limits) -> Outcome:
    return Outcome(passed=False, error=f"the {limits.wall_seconds:g} s of wall_seconds were spent")


def _explained(outcome: Outcome, used: dict[str, Any], limits: Limits) -> Outcome:
    """Add how the program ended, where that is why a test failed."""
    if outcome.error is None or not outcome.error.endswith(_ENDED):
        return outcome
    if used["code"] in (None, -signal.SIGKILL) and used["cpu_seconds"] > limits.cpu_seconds / 2:  # its clock ticks
        how = f": it spent its {limits.cpu_seconds} s of cpu_seconds"
    else:
        how = " with code {code}".format(**used) if used["code"] is not None else ", or has closed the border"
    return Outcome(passed=False, error=outcome.error + how)


def _printable(text: str) -> str:
    """Return a text that can be written anywhere as UTF-8."""
    return text[:1000].encode(errors="replace").decode()


def _trial(name: str) -> str | None:
    """Grade a right and a wrong program, once per process; return why that does not work, `None` when it does."""
    with _lock:
        if name not in _pools and name not in _broken:
            pool = Pool(name)
            try:
                with pool.bench(Limits()) as bench:
                    job = {"program": _TRIAL, "tests": ["assert f(2)", "assert f(3)"], "preamble": "", "names": None}
                    found = _examined(bench, job, 2, time.monotonic() + Limits().wall_seconds)
                if [outcome.passed for outcome in found] != [True, False]:
                    raise SandboxFault(f"a trial went wrong: {found[0].error}")
                _pools[name] = pool
            except SandboxFault as fault:
                pool.end()
                _broken[name] = str(fault)
        return _broken.get(name)


_TRIAL = """
import threading

def f(x):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return x % 2 == 0
"""


def _pool(isolation: str) -> Pool:
    check_choice("isolation", isolation, ("auto", *ISOLATIONS))
    name = strongest() if isolation == "auto" else isolation
    why = _trial(name)
    if why is not None:
        raise UserError(f"the isolation {name!r} does not work here ({why}); {ISOLATIONS[name].way_out}")
    return _pools[name]
