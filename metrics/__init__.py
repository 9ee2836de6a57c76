"""Installed as `lbt_dspy.metrics`: the LbT score, metrics of labels, a grader of mathematics, and statistics."""

from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.lbt_score import LbTScore, LessonScore
from lbt_dspy.metrics.math_answer import MathAnswer, math_answer
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap

__all__ = [
    "Accuracy",
    "BinaryF1",
    "Estimate",
    "LabelMetric",
    "LabelledRuns",
    "LbTScore",
    "LessonScore",
    "MacroF1",
    "MathAnswer",
    "default_metric",
    "math_answer",
    "paired_bootstrap",
]
