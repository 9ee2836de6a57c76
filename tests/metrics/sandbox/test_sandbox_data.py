"""Real data: every reference passes, and no wrong program made from one does."""

import concurrent.futures
import json
import subprocess
import sys
from functools import partial

import pytest
from mutations import KINDS, mutants

from lbt_dspy.metrics.sandbox import Limits, run_program

SLOW_IN_PLAIN_PYTHON = {33, 59, 64, 80, 81, 82, 83}
"""LeetCode references that do not pass in plain Python within 20 s and 2 GiB."""

STEPS = {"bubblewrap": 2, "weak": 6}
"""One of so many is graded; the weak isolation differs in what it keeps apart, not in how it grades."""


def rows(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def humaneval(data_dir):
    return [
        (row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})", row["entry_point"])
        for row in rows(data_dir / "humaneval" / "HumanEval.jsonl")
    ]


def all_at_once(work, items):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, items))


@pytest.mark.slow
def test_every_humaneval_reference_passes(data_dir, isolation):
    def grade(item):
        return run_program(item[0], [item[1]], isolation=isolation)

    verdicts = all_at_once(grade, humaneval(data_dir))
    assert len(verdicts) == 164
    assert [verdict.error for verdict in verdicts if not verdict.passed] == []


@pytest.mark.slow
def test_every_leetcode_reference_passes_that_does_in_plain_python(data_dir, isolation):
    limits = Limits(wall_seconds=60, cpu_seconds=60, memory_mib=2048)

    def grade(row):
        test = f"{row['test']}\ncheck({row['entry_point']})"
        program = f"{row['prompt']}\n{row['completion']}"
        return run_program(program, [test], preamble=row["prompt"], limits=limits, isolation=isolation)

    found = rows(data_dir / "leetcode_newfacade" / "v0.3.1-test.jsonl")
    quick = [row for number, row in enumerate(found) if number not in SLOW_IN_PLAIN_PYTHON]
    assert len(quick) == 221
    verdicts = all_at_once(grade, quick[:: STEPS[isolation]])
    assert [verdict.error for verdict in verdicts if not verdict.passed] == []


def fails_in_plain_python(program, test):
    """Whether it fails in an interpreter of its own; the mutants are our own, so no sandbox is needed."""
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", f"{program}\n{test}"], capture_output=True, timeout=5)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


@pytest.mark.slow
def test_no_mutant_passes_that_fails_in_plain_python(data_dir, isolation):
    made = [(kind, m, test) for program, test, name in humaneval(data_dir) for kind, m in mutants(program, name)]
    made = made[:: STEPS[isolation]]
    failing = all_at_once(lambda item: fails_in_plain_python(*item[1:]), made)
    wrong = [item for item, fails in zip(made, failing, strict=True) if fails]
    assert len(wrong) >= 500 // STEPS[isolation]
    assert {kind for kind, _, _ in wrong} == set(KINDS)
    grade = partial(run_program, limits=Limits(wall_seconds=3), isolation=isolation)
    verdicts = all_at_once(lambda item: grade(item[1], [item[2]]), wrong)
    assert all(verdict.measured for verdict in verdicts)
    assert [item for item, verdict in zip(wrong, verdicts, strict=True) if verdict.passed] == []
