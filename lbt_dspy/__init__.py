"""Learning by teaching for DSPy.

A teacher writes material (a lesson, or a set of exemplars), exam students read it and sit an exam, and how well they
do says how good the material is. Names are imported when they are first used, so that `import lbt_dspy` is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbt_dspy.lazy import face
from lbt_dspy.moved import forward

__version__ = "0.1.0"

forward()

_HOME = {
    "Account": "lbt_dspy.ledger.account",
    "Budget": "lbt_dspy.ledger.budget",
    "BudgetSpentError": "lbt_dspy.errors",
    "CallPlan": "lbt_dspy.ledger.plan",
    "ExactMatch": "lbt_dspy.exam.grading",
    "Exam": "lbt_dspy.types",
    "ExamMaker": "lbt_dspy.exam.makers",
    "ExamProblem": "lbt_dspy.types",
    "ExamReport": "lbt_dspy.types",
    "Examiner": "lbt_dspy.exam.examiner",
    "Fixed": "lbt_dspy.exam.makers",
    "Grader": "lbt_dspy.exam.grading",
    "Journal": "lbt_dspy.ledger.journal",
    "LMRoles": "lbt_dspy.lms.roles",
    "LbTDPO": "lbt_dspy.teleprompters.dpo.optimizer",
    "LbTError": "lbt_dspy.errors",
    "LbTExemplars": "lbt_dspy.teleprompters.exemplars.optimizer",
    "LbTRerank": "lbt_dspy.teleprompters.rerank.optimizer",
    "Ledger": "lbt_dspy.ledger.ledger",
    "Mark": "lbt_dspy.types",
    "ModelRejectedError": "lbt_dspy.errors",
    "ModelUnreachableError": "lbt_dspy.errors",
    "Nearest": "lbt_dspy.exam.makers",
    "NoAnswerError": "lbt_dspy.errors",
    "NoCandidateError": "lbt_dspy.errors",
    "PlannedCalls": "lbt_dspy.ledger.plan",
    "Predicted": "lbt_dspy.exam.predictors",
    "Predictor": "lbt_dspy.exam.predictors",
    "Reply": "lbt_dspy.types",
    "SameKind": "lbt_dspy.exam.makers",
    "SearchWithinCalls": "lbt_dspy.teleprompters.within_calls",
    "Sitting": "lbt_dspy.types",
    "StoppedError": "lbt_dspy.errors",
    "UserError": "lbt_dspy.errors",
    "Variants": "lbt_dspy.exam.makers",
    "classification": "lbt_dspy.signatures",
    "teaching_plans": "lbt_dspy.exam.plans",
    "within_calls": "lbt_dspy.teleprompters.within_calls",
}
__all__ = [
    "Account",
    "Budget",
    "BudgetSpentError",
    "CallPlan",
    "ExactMatch",
    "Exam",
    "ExamMaker",
    "ExamProblem",
    "ExamReport",
    "Examiner",
    "Fixed",
    "Grader",
    "Journal",
    "LMRoles",
    "LbTDPO",
    "LbTError",
    "LbTExemplars",
    "LbTRerank",
    "Ledger",
    "Mark",
    "ModelRejectedError",
    "ModelUnreachableError",
    "Nearest",
    "NoAnswerError",
    "NoCandidateError",
    "PlannedCalls",
    "Predicted",
    "Predictor",
    "Reply",
    "SameKind",
    "SearchWithinCalls",
    "Sitting",
    "StoppedError",
    "UserError",
    "Variants",
    "__version__",
    "classification",
    "teaching_plans",
    "within_calls",
]

if TYPE_CHECKING:
    from lbt_dspy.errors import (
        BudgetSpentError,
        LbTError,
        ModelRejectedError,
        ModelUnreachableError,
        NoAnswerError,
        NoCandidateError,
        StoppedError,
        UserError,
    )
    from lbt_dspy.exam.examiner import Examiner
    from lbt_dspy.exam.grading import ExactMatch, Grader
    from lbt_dspy.exam.makers import ExamMaker, Fixed, Nearest, SameKind, Variants
    from lbt_dspy.exam.plans import teaching_plans
    from lbt_dspy.exam.predictors import Predicted, Predictor
    from lbt_dspy.ledger.account import Account
    from lbt_dspy.ledger.budget import Budget
    from lbt_dspy.ledger.journal import Journal
    from lbt_dspy.ledger.ledger import Ledger
    from lbt_dspy.ledger.plan import CallPlan, PlannedCalls
    from lbt_dspy.lms.roles import LMRoles
    from lbt_dspy.signatures import classification
    from lbt_dspy.teleprompters.dpo.optimizer import LbTDPO
    from lbt_dspy.teleprompters.exemplars.optimizer import LbTExemplars
    from lbt_dspy.teleprompters.rerank.optimizer import LbTRerank
    from lbt_dspy.teleprompters.within_calls import SearchWithinCalls, within_calls
    from lbt_dspy.types import Exam, ExamProblem, ExamReport, Mark, Reply, Sitting

__getattr__, _ = face(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
