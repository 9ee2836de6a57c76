"""Exam makers: which problems make the exam of a teaching problem."""

from lbt_dspy.exam.makers.banks import BankMaker
from lbt_dspy.exam.makers.maker import ExamMaker, check_maker
from lbt_dspy.exam.makers.nearest import Nearest
from lbt_dspy.exam.makers.same_kind import SameKind
from lbt_dspy.exam.makers.variants import Fixed, Variants

__all__ = ["BankMaker", "ExamMaker", "Fixed", "Nearest", "SameKind", "Variants", "check_maker"]
