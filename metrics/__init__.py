"""Installed as `lbt_dspy.metrics`: the LbT score, graders of labels, mathematics and programs, and statistics."""

from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.lbt_score import LbTScore, LessonScore
from lbt_dspy.metrics.math_answer import MathAnswer, math_answer
from lbt_dspy.metrics.sandbox import Limits, Outcome, Verdict, run_program, run_script
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap

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
    "Verdict",
    "default_metric",
    "math_answer",
    "paired_bootstrap",
    "run_program",
    "run_script",
]
