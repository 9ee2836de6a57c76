"""Programs as answers of M1: what is written, how it is graded, and its rows.

Lessons are plans with programs, exams the visible tests of other problems of the same tag (Ning et al., NeurIPS 2024,
arXiv 2406.14629, the part on code). What is reported are the hidden tests of the teaching problems.
"""

from __future__ import annotations

from collections.abc import Sequence

import dspy

from lbt_dspy.benchmarks.tasks.answering import AnswerTask
from lbt_dspy.benchmarks.tasks.code.task import CodeData
from lbt_dspy.benchmarks.tasks.names import CODE
from lbt_dspy.errors import UserError
from lbt_dspy.metrics import Limits, ProgramTests, run_program
from lbt_dspy.programs.code import SelfDebug, code_program
from lbt_dspy.types import ExamProblem

HIDDEN_LIMITS = Limits(wall_seconds=60, cpu_seconds=60, memory_mib=2048)
"""Of the tests that decide: references of LeetCode take up to 20 s for theirs. Visible tests have the usual limits."""
ROWS = ("greedy", "sample", "visible", "max", "sum", "avg", "visible-max")
BASELINES = ("greedy", "visible")
DEBUG_INPUTS = ("visible", "entry_point", "preamble", "starter")
"""What self-debug must know of a problem, beside what is asked."""


def code_task(data: CodeData, *, rounds: int, limit: int | None, isolation: str | None) -> AnswerTask:
    """Return the task of a data set.

    Args:
        data: Of `load_code`.
        rounds: Of self-debug, at least 0.
        limit: Only so many teaching problems, the first of them.
        isolation: Of the sandbox; `None`: no program will run.

    Raises:
        UserError: A preamble of a problem does not run.
    """
    if isolation is not None:
        check_preambles([*data.teaching, *data.bank], isolation)
    within = isolation or "auto"
    grader = ProgramTests(isolation=within)
    inputs = ("question", *(DEBUG_INPUTS if rounds else ()))
    shots = {name: solved for name in ("few-shot", "few-shot-visible") if all(p.program for p in data.bank)}
    return AnswerTask(
        name=CODE,
        program=SelfDebug(check=grader.first_failure, rounds=rounds) if rounds else code_program(),
        grader=grader,
        answer=grader.field,
        teaching=[problem.with_inputs(*inputs) for problem in data.teaching[:limit]],
        bank=[problem.with_inputs(*inputs) for problem in data.bank],
        source=data.source,
        dropped=data.dropped,
        shots=shots,
        rows=ROWS,
        baselines=BASELINES,
        predictor="solver.predict" if rounds else None,
        calls=1 + rounds,
        final=ProgramTests(tests="hidden", limits=HIDDEN_LIMITS, isolation=within),
        own_tests=grader.reference,
        right_from=1.0,
        sandbox=None if isolation is None else run_program("", ["pass"], isolation=isolation).isolation,
        strata="difficulty" if len({problem.difficulty for problem in data.teaching}) > 1 else None,
    )


def check_preambles(problems: Sequence[dspy.Example], isolation: str) -> None:
    """Raise `UserError` for a problem whose preamble fails in the sandbox, before anything is paid for."""
    first = {problem.preamble: problem for problem in reversed(problems) if problem.preamble}
    for preamble, problem in first.items():
        try:
            run_program("", ["pass"], preamble=preamble, isolation=isolation)
        except UserError as error:
            raise UserError(
                f"the problem {problem.unique_id!r}: {error}; the sandbox has Python's own modules and sortedcontainers"
            ) from None


def solved(problems: Sequence[ExamProblem], answer: str) -> list[dspy.Example]:
    """Return exam problems as demonstrations with their reference programs."""
    return [dspy.Example(question=p.example.question, **{answer: p.example[answer]}) for p in problems]
