"""Exams: material x problems x exam students x sittings -> reports; and what an exam can be told to do otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face

if TYPE_CHECKING:
    from lbt_dspy.exam.options import SittingOptions
    from lbt_dspy.exam.selection import CandidateLesson, SelectionRule, select
    from lbt_dspy.exam.sitting.evidence import Evidence
    from lbt_dspy.exam.sitting.mark import MarkedExam, SittingMark
    from lbt_dspy.types import Seat

_HOMES = {
    "CandidateLesson": "lbt_dspy.exam.selection",
    "Evidence": "lbt_dspy.exam.sitting.evidence",
    "MarkedExam": "lbt_dspy.exam.sitting.mark",
    "Seat": "lbt_dspy.types",
    "SelectionRule": "lbt_dspy.exam.selection",
    "SittingMark": "lbt_dspy.exam.sitting.mark",
    "SittingOptions": "lbt_dspy.exam.options",
    "select": "lbt_dspy.exam.selection",
}
__all__ = [
    "CandidateLesson",
    "Evidence",
    "MarkedExam",
    "Seat",
    "SelectionRule",
    "SittingMark",
    "SittingOptions",
    "select",
]
__getattr__, __dir__ = face(__name__, _HOMES)
