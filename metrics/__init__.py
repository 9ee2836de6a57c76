"""Installed as `lbt_dspy.metrics`: LbT score as a metric, set-level metrics of labels, statistics of comparisons."""

from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.lbt_score import LbTScore, LessonScore
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
    "default_metric",
    "paired_bootstrap",
]
