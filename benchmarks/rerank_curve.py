"""Accuracy against the number of lessons, from lessons and full exams that are already paid for."""

from __future__ import annotations

from fractions import Fraction

from lbt_dspy.benchmarks.rerank_runs import EXAMINED, RerankRunner, Row
from lbt_dspy.exam.selection import ScoredLesson, select
from lbt_dspy.teleprompters.rerank_steps import LessonRecord

LARGEST_DENOMINATOR = 1_000_000


def accuracy_by_lessons(runner: RerankRunner, row: Row) -> list[float]:
    """Return the share of right answers with the first 1, 2, ... N lessons, over all seeds."""
    rule = row.name if row.name in EXAMINED else "maj"
    right: list[list[bool]] = [[] for _ in range(runner.settings.rationales)]
    for problem, answer in runner.answered(row):
        if answer.right is not None:
            found = answer.found
            marks = [False] if found is None else _right_by_lessons(runner, rule, problem, found.lessons)
            for most in range(runner.settings.rationales):
                right[most].append(marks[min(most, len(marks) - 1)])
    return [round(sum(column) / len(column), 6) for column in right if column]


def _right_by_lessons(
    runner: RerankRunner, rule: str, problem: object, lessons: tuple[LessonRecord, ...]
) -> list[bool]:
    first = {lesson.group: lesson.answer for lesson in reversed(lessons)}
    verdicts = {group: runner.task.right(problem, {runner.task.answer: text}) for group, text in first.items()}
    scored = [ScoredLesson(answer=lesson.group, score=_exact(lesson.score)) for lesson in lessons]
    return [verdicts[select(rule, scored[:most])] for most in range(1, len(scored) + 1)]


def _exact(score: float | None) -> Fraction | None:
    return None if score is None else Fraction(score).limit_denominator(LARGEST_DENOMINATOR)
