"""What M1 records of an answer: its lessons, and how their exam went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import dspy

ADDED_FIELDS = ("lbt_score", "votes", "lessons", "exam")


class LessonRecord(NamedTuple):
    """One lesson and how it did; a tuple, so that predictions can be saved as JSON."""

    rollout: int
    answer: str
    group: int
    """Equal for equivalent answers; numbered in the order in which they were first seen."""
    score: float | None
    """Mean mark over students, in [0, 1], of the sittings that were held; `None`: none was."""
    lesson: dict[str, Any]
    """What students read: inputs and outputs of the lesson's predictor."""
    gain: float | None = None
    """Mean evidence gain of the sittings that were held, in nats per token; `None`: none was, or marks are grades."""


class ExamRecord(NamedTuple):
    """How the exam of one question went."""

    selection: str
    schedule: str
    students: tuple[str, ...]
    problems: int
    """Exam problems; 0: there was no exam."""
    sittings: int
    """Sittings of the full exam, of distinct lessons."""
    asked: int
    measured: int
    """Sittings with a mark; asked ones without are failed calls."""
    lost: int
    """Samples that gave no lesson: failed calls, unreadable answers."""
    overturned: bool
    """Whether another answer had more votes (or as many, and was seen first)."""
    screened: int = 0
    """Lessons that failed the screen, where others passed it; they are not among the records."""

    @property
    def coverage(self) -> float:
        """Measured share of the asked sittings, in [0, 1]; 1 when none was asked."""
        return self.measured / self.asked if self.asked else 1.0


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """An answer, and how it was found."""

    prediction: dspy.Prediction
    trace: tuple[tuple[str, dict[str, Any], dspy.Prediction], ...]
    """(predictor's name, inputs, outputs) of the chosen lesson's run."""
    lessons: tuple[LessonRecord, ...]
    exam: ExamRecord
