"""Installed as `lbt_dspy.metrics`: the LbT score, graders of labels, mathematics and programs, and statistics."""

import sys

from lbt_dspy.metrics.comparison import ProgramComparison, compare_programs
from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.lbt_score import LbTScore, LessonScore
from lbt_dspy.metrics.math.answer import MathAnswer, math_answer
from lbt_dspy.metrics.programs.tests import ProgramTests
from lbt_dspy.metrics.programs.text import extract_program
from lbt_dspy.metrics.sandbox import Limits, Outcome, Verdict, run_program, run_script
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap, paired_means

__all__ = [
    "Accuracy",
    "BinaryF1",
    "Estimate",
    "LabelMetric",
    "LabelledRuns",
    "LbTScore",
    "LessonScore",
    "Limits",
    "MacroF1",
    "MathAnswer",
    "Outcome",
    "ProgramComparison",
    "ProgramTests",
    "Verdict",
    "compare_programs",
    "default_metric",
    "extract_program",
    "math_answer",
    "paired_bootstrap",
    "paired_means",
    "run_program",
    "run_script",
]

# Where MathAnswer was (see lbt_dspy.moved); were it imported from there, the function of that name would be hidden.
sys.modules.setdefault(f"{__name__}.math_answer", sys.modules[MathAnswer.__module__])
