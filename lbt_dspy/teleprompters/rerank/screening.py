"""Which lessons may be chosen at all: those whose own answer passes a check that needs no label of the question.

The rows of "V = 1" in the part on code of Ning et al., NeurIPS 2024, arXiv 2406.14629: a program that fails the tests
which the problem shows is not worth an exam.
"""

from __future__ import annotations

from collections.abc import Sequence

import dspy

from lbt_dspy.exam.grading import Grader, reference_of
from lbt_dspy.teleprompters.rerank.lessons import SampledLesson
from lbt_dspy.warned import warnings_shown


def fields_of(screen: Grader | None) -> tuple[str, ...]:
    """Return the fields of a question that a screen reads: its `about`, else its reference."""
    if screen is None:
        return ()
    reference = reference_of(screen)
    return tuple(getattr(screen, "about", ())) or (() if reference is None else (reference,))


def passing(
    lessons: Sequence[SampledLesson], question: dspy.Example, screen: Grader, *, only_first: bool = False
) -> list[SampledLesson]:
    """Return the lessons whose answers have mark 1; all of them, where none has.

    Args:
        lessons: Of one question, in the order in which they were sampled.
        question: With the fields that the screen reads, such as visible tests; where it lacks them, all lessons pass.
        screen: Marks each lesson's answer; what it cannot mark has 0.
        only_first: Whether the first of them is wanted alone; where none passes, the first with the best mark.
    """
    marks = [_mark(lesson, question, screen) for lesson in lessons]
    best = max(marks, default=0.0)
    if best < 1 and not only_first:
        return list(lessons)
    chosen = [lesson for lesson, mark in zip(lessons, marks, strict=True) if mark == best]
    return chosen[:1] if only_first else chosen


def _mark(lesson: SampledLesson, question: dspy.Example, screen: Grader) -> float:
    reference = reference_of(screen)
    if reference is not None and not question.get(reference):
        return 1.0
    with warnings_shown():
        return screen.grade(question, dict(lesson.prediction.items())).value or 0.0
