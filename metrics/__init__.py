"""Installed as `lbt_dspy.metrics`: metrics of labels, a grader of mathematics, and statistics of comparisons."""

from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.math_answer import MathAnswer, math_answer
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap

__all__ = [
    "Accuracy",
    "BinaryF1",
    "Estimate",
    "LabelMetric",
    "LabelledRuns",
    "MacroF1",
    "MathAnswer",
    "default_metric",
    "math_answer",
    "paired_bootstrap",
]
