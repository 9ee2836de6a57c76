"""Learning by teaching for DSPy.

A teacher writes material (a lesson, or a set of exemplars), exam students read it and sit an exam, and how well they
do says how good the material is. Names are imported when they are first used, so that `import lbt_dspy` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Account": "lbt_dspy.ledger.account",
    "Budget": "lbt_dspy.ledger.budget",
    "BudgetSpentError": "lbt_dspy.errors",
    "Exam": "lbt_dspy.types",
    "ExamProblem": "lbt_dspy.types",
    "ExamMaker": "lbt_dspy.exam.makers",
    "ExamReport": "lbt_dspy.types",
    "Examiner": "lbt_dspy.exam.examiner",
    "ExactMatch": "lbt_dspy.exam.grading",
    "Fixed": "lbt_dspy.exam.makers",
    "Grader": "lbt_dspy.exam.grading",
    "Journal": "lbt_dspy.ledger.journal",
    "LMRoles": "lbt_dspy.lms.roles",
    "LbTDPO": "lbt_dspy.teleprompters.dpo",
    "LbTError": "lbt_dspy.errors",
    "LbTExemplars": "lbt_dspy.teleprompters.exemplars",
    "LbTRerank": "lbt_dspy.teleprompters.rerank",
    "Ledger": "lbt_dspy.ledger.ledger",
    "Mark": "lbt_dspy.types",
    "Nearest": "lbt_dspy.exam.makers",
    "SameKind": "lbt_dspy.exam.makers",
    "UserError": "lbt_dspy.errors",
    "Variants": "lbt_dspy.exam.makers",
    "classification": "lbt_dspy.signatures",
    "teaching_plans": "lbt_dspy.exam.plans",
}
__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from lbt_dspy.errors import BudgetSpentError, LbTError, UserError
    from lbt_dspy.exam.examiner import Examiner
    from lbt_dspy.exam.grading import ExactMatch, Grader
    from lbt_dspy.exam.makers import ExamMaker, Fixed, Nearest, SameKind, Variants
    from lbt_dspy.exam.plans import teaching_plans
    from lbt_dspy.ledger.account import Account
    from lbt_dspy.ledger.budget import Budget
    from lbt_dspy.ledger.journal import Journal
    from lbt_dspy.ledger.ledger import Ledger
    from lbt_dspy.lms.roles import LMRoles
    from lbt_dspy.signatures import classification
    from lbt_dspy.teleprompters.dpo import LbTDPO
    from lbt_dspy.teleprompters.exemplars import LbTExemplars
    from lbt_dspy.teleprompters.rerank import LbTRerank
    from lbt_dspy.types import Exam, ExamProblem, ExamReport, Mark


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lbt_dspy' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
