"""What an exam says about its lesson, in words that a teacher can learn from."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lbt_dspy.types import ExamProblem, Sitting

NO_ANSWER = "The program gave no answer, so there was nothing that students could learn from."
NO_EXAM = "Not measured: there is no exam problem for this question. This says nothing about the answer."
LONGEST_QUESTION, LONGEST_ANSWER = 200, 80
MOST_FAILED = 6


class ProblemResult(NamedTuple):
    """All sittings on one exam problem after one lesson."""

    problem: ExamProblem
    sittings: tuple[Sitting, ...]


def marks_of(result: ProblemResult) -> list[float]:
    """Return the measured marks."""
    return [s.mark.value for s in result.sittings if s.mark.value is not None]


def exam_feedback(results: Sequence[ProblemResult], answer: str) -> str:
    """Say which exam problems students failed after reading a solution, and how.

    Args:
        results: At least one.
        answer: Name of the output field with the answer.
    """
    marks = [mark for result in results for mark in marks_of(result)]
    lost = [s for result in results for s in result.sittings if s.mark.value is None]
    lines = []
    if marks:
        lines.append(
            f"Students read this solution as a worked example, then sat an exam on {len(results)} similar problems: "
            f"mean mark {sum(marks) / len(marks):.2f} of 1 over {len(marks)} answers."
        )
        well = sum(bool(marks_of(result)) and min(marks_of(result)) == 1 for result in results)
        lines.append(f"Went well: {well} of {len(results)} problems were answered right every time.")
    failed = sorted((r for r in results if min(marks_of(r), default=1) < 1), key=lambda r: sum(marks_of(r)))
    lines += [_failure(result, answer) for result in failed[:MOST_FAILED]]
    if len(failed) > MOST_FAILED:
        lines.append(f"{len(failed) - MOST_FAILED} more problems were failed too.")
    if lost:
        lines.append(f"Not measured: {len(lost)} sittings, which count for nothing ({_short(lost[0].mark.reason)}).")
    return "\n".join(lines)


def _failure(result: ProblemResult, answer: str) -> str:
    example = result.problem.example
    question = " | ".join(str(value) for value in example.inputs().values())
    right = f" The right answer is {_short(example[answer])}." if answer in example else ""
    wrong = Counter(_answer(s, answer) for s in result.sittings if s.mark.value is not None and s.mark.value < 1)
    counts = "; ".join(f"{text} ({count} of {len(result.sittings)} sittings)" for text, count in wrong.most_common())
    return f'Failed: "{_short(question, LONGEST_QUESTION)}"{right} Students answered instead: {counts}.'


def _answer(sitting: Sitting, answer: str) -> str:
    if sitting.fields is None or answer not in sitting.fields:
        return f"nothing usable ({_short(sitting.mark.reason or 'no answer')})"
    reason = f", {_short(sitting.mark.reason)}" if sitting.mark.reason else ""
    return f"{_short(sitting.fields[answer])}{reason}"


def _short(value: object, width: int = LONGEST_ANSWER) -> str:
    return textwrap.shorten(str(value), width, placeholder=" ...") or "(empty)"
