"""The classroom as a task of M1: a synthetic world with tiny language models of its own, offline and without a key.

The world is described in WORLD.md, its problems in problems.py. Those of a run are of the digits
that no training and no tuning used, and each seed has its own.
"""

from __future__ import annotations

import dspy

from lbt_dspy.benchmarks.tasks.answering import AnswerTask, answers_only, few_shot
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.world import NAMES, SPLITS
from lbt_dspy.benchmarks.tasks.names import CLASSROOM
from lbt_dspy.errors import UserError
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.lms.embedded.classroom import ClassroomAdapter

QUESTIONS = 216
"""Of each seed: 24 of every p and difficulty."""
MOST_VARIANTS = SPLITS["test"] // -(-QUESTIONS // len(NAMES)) - 1
SOURCE = "synthetic world"


def classroom_task(seed: int, variants: int, limit: int | None = None) -> AnswerTask:
    """Return the classroom with the problems of one seed.

    Args:
        seed: Draws the problems.
        variants: Exam problems of each teaching problem, at least 1.
        limit: Only so many teaching problems, the first of them.

    Raises:
        UserError: The world has fewer variants.
    """
    if variants > MOST_VARIANTS:
        raise UserError(f"--exam-problems must be at most {MOST_VARIANTS} with --task {CLASSROOM} but got {variants}")
    problems = classroom_problems(QUESTIONS, seed=seed, variants=variants)
    return AnswerTask(
        name=CLASSROOM,
        program=dspy.ChainOfThought("question -> answer"),
        grader=ExactMatch("answer"),
        answer="answer",
        teaching=[classroom_example(row) for row in problems.teaching_examples[:limit]],
        bank=[classroom_example(row) for row in problems.bank],
        source=SOURCE,
        dropped={},
        adapter=ClassroomAdapter(),
        shots={"few-shot": answers_only, "few-shot-sc": answers_only, "few-shot-worked": few_shot},
        strata="p",
    )


def classroom_example(row: dspy.Example) -> dspy.Example:
    """Name a problem's fields as those of mathematical problems are."""
    named = row.without("reasoning")
    return dspy.Example(**named, solution=row.reasoning, subject=row.skill).with_inputs("question")
