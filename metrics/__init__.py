"""Installed as `lbt_dspy.metrics`: set-level metrics of labels, and statistics of comparisons."""

from lbt_dspy.metrics.labels import Accuracy, BinaryF1, LabelMetric, MacroF1, default_metric
from lbt_dspy.metrics.statistics import Estimate, LabelledRuns, paired_bootstrap

__all__ = [
    "Accuracy",
    "BinaryF1",
    "Estimate",
    "LabelMetric",
    "LabelledRuns",
    "MacroF1",
    "default_metric",
    "paired_bootstrap",
]
