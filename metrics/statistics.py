"""Paired bootstrap intervals of label metrics; see `lbt_dspy.intervals`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lbt_dspy.intervals import RESAMPLES, Estimate, paired_means, paired_sums
from lbt_dspy.metrics.labels import LabelMetric

__all__ = ["RESAMPLES", "Estimate", "LabelledRuns", "paired_bootstrap", "paired_means"]


@dataclass(frozen=True, kw_only=True)
class LabelledRuns:
    """The answers of one method on the test examples in each of its runs."""

    answers: Sequence[Sequence[str | None]]
    """`answers[run][example]`; `None`: unreadable."""
    measured: Sequence[Sequence[bool]]
    """`measured[run][example]`; an example that was not measured counts for nothing in that run."""


def paired_bootstrap(
    golds: Sequence[str],
    methods: Mapping[str, LabelledRuns],
    metric: LabelMetric,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[dict[str, Estimate], dict[tuple[str, str], Estimate]]:
    """Return every method's metric, and every difference (first minus second) of two methods.

    Args:
        golds: Reference labels of the test examples, at least 1.
        methods: The runs of each method on those examples.
        metric: What is measured.
        seed: Seeds the resampling.
        resamples: Number of resamples.

    Raises:
        UserError: There are no test examples.
    """
    hot = {
        name: np.stack(
            [
                metric.one_hot(list(zip(golds, answers, strict=True))) * np.asarray(measured, float)[:, None, None]
                for answers, measured in zip(runs.answers, runs.measured, strict=True)
            ]
        )
        for name, runs in methods.items()
    }
    return paired_sums(hot, metric.of_confusion, len(golds), seed, resamples)
