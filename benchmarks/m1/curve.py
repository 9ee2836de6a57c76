"""Accuracy against the number of lessons, from lessons and full exams that are already paid for."""

from __future__ import annotations

from fractions import Fraction

import dspy

from lbt_dspy.benchmarks.m1.rows import EXAMINED, RerankRow
from lbt_dspy.benchmarks.m1.runs import RerankRunner
from lbt_dspy.exam.selection import CandidateLesson, select
from lbt_dspy.teleprompters.rerank.records import LessonRecord

LARGEST_DENOMINATOR = 1_000_000
VISIBLE = "visible"


def accuracy_by_lessons(runner: RerankRunner, row: RerankRow, rule: str) -> list[float]:
    """Return the share of right answers with the first 1, 2, ... N lessons, over all seeds.

    Args:
        runner: Of the run.
        row: Has the lessons and, for the rules of `EXAMINED`, the LbT scores of full exams.
        rule: One of `EXAMINED`, `sc` (votes) or `visible`.
    """
    right: list[list[bool]] = [[] for _ in range(runner.settings.rationales)]
    for _, problem, answer in runner.answered(row):
        if answer.right is not None:
            found = answer.found
            marks = [False] if found is None else _right_by_lessons(runner, rule, problem, found.lessons)
            for most in range(runner.settings.rationales):
                right[most].append(marks[min(most, len(marks) - 1)])
    return [round(sum(column) / len(column), 6) for column in right if column]


def _right_by_lessons(
    runner: RerankRunner, rule: str, problem: dspy.Example, lessons: tuple[LessonRecord, ...]
) -> list[bool]:
    task = runner.task
    if rule == VISIBLE:
        shares = [task.own_share(problem, {task.answer: lesson.answer}) for lesson in lessons]
        best = [shares.index(max(shares[:most])) for most in range(1, len(shares) + 1)]
        right = {i: bool(task.right(problem, {task.answer: lessons[i].answer})) for i in set(best)}
        return [right[i] for i in best]
    first = {lesson.group: lesson.answer for lesson in reversed(lessons)}
    verdicts = {group: bool(task.right(problem, {task.answer: text})) for group, text in first.items()}
    scored = [CandidateLesson(answer=lesson.group, score=_exact(lesson.score)) for lesson in lessons]
    chosen = rule if rule in EXAMINED else "maj"
    return [verdicts[select(chosen, scored[:most])] for most in range(1, len(scored) + 1)]


def _exact(score: float | None) -> Fraction | None:
    return None if score is None else Fraction(score).limit_denominator(LARGEST_DENOMINATOR)
