"""Programs that people write: what they use works, and what they return arrives."""

from pathlib import Path

import pytest

from lbt_dspy.metrics.sandbox import Limits, run_program, run_script

TEXT = Path(__file__).with_name("sandbox_programs.txt").read_text(encoding="utf-8")
BLOCKS = [block.strip() for block in TEXT.split("===\n")[1:]]
PROGRAMS = [block.split("--- test\n") for block in BLOCKS if "--- test\n" in block]
SCRIPTS = [block.split("--- input\n") for block in BLOCKS if "--- input\n" in block]


@pytest.mark.parametrize(("program", "test"), PROGRAMS)
def test_what_programs_use_works(isolation, program, test):
    verdict = run_program(program, [test], isolation=isolation)
    assert verdict.passed, verdict.error


@pytest.mark.parametrize(("program", "case"), SCRIPTS)
def test_what_scripts_use_works(isolation, program, case):
    stdin, stdout = case.split("--- output\n")
    verdict = run_script(program, [(stdin, stdout)], isolation=isolation)
    assert verdict.passed, verdict.error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "test", "most"),
    [
        ("def f(x): return sorted(x)", "x = list(range(10**5, 0, -1))\nassert f(x) == sorted(x)", 1),
        ("def f(x): x.reverse()", "x = list(range(10**5))\nf(x)\nassert x[0] == 10**5 - 1", 1),
        ("def f(x): return sum(map(sum, x))", "x = [[1] * 300 for _ in range(300)]\nassert f(x) == 90_000", 1),
        ("def f(x): return x[::-1]", "x = 'ab' * 10**6\nassert f(x) == x[::-1]", 1),
        ("def f(x): return {v: k for k, v in x.items()}", "assert f({n: str(n) for n in range(10**5)})['5'] == 5", 2),
        ("def f(x): return sorted(x)", "x = [[n, n] for n in range(10**5)]\nassert f(x) == x", 4),
    ],
)
def test_large_values_cross_in_time(held, program, test, most):
    """LeetCode has tests of 1e5 numbers."""
    limits = Limits(wall_seconds=60)
    seconds = min(run_program(program, [test], limits=limits, isolation=held).seconds for _ in range(3))
    assert seconds < 4 * most  # it was minutes before; a busy machine takes its time
