"""Schedules: which sitting comes next, and when an exam may stop."""

from lbt_dspy.exam.schedules.confident import Confident
from lbt_dspy.exam.schedules.full import Full
from lbt_dspy.exam.schedules.lossless import Lossless
from lbt_dspy.exam.schedules.schedule import Schedule, make_schedule
from lbt_dspy.exam.schedules.table import Candidate, Cell, ExamTable, Tallies

__all__ = [
    "Candidate",
    "Cell",
    "Confident",
    "ExamTable",
    "Full",
    "Lossless",
    "Schedule",
    "Tallies",
    "make_schedule",
]
