"""Paired bootstrap intervals: every claim of "better" is made on the same test examples.

The unit that is resampled is the test example, jointly over runs (seeds, draws) and methods; the metric is recomputed
on each resample and averaged over the runs (Efron and Tibshirani 1993, percentile interval).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lbt_dspy.errors import UserError
from lbt_dspy.metrics.labels import LabelMetric
from lbt_dspy.sampling import stream

RESAMPLES = 2000
BLOCK = 200
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class LabelledRuns:
    """The answers of one method on the test examples in each of its runs."""

    answers: Sequence[Sequence[str | None]]
    """`answers[run][example]`; `None`: unreadable."""
    measured: Sequence[Sequence[bool]]
    """`measured[run][example]`; an example that was not measured counts for nothing in that run."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95% percentile interval."""

    value: float
    low: float
    high: float
    by_run: tuple[float, ...] = ()


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
    if not golds:
        raise UserError("an interval needs at least one test example")
    draws = stream(seed, "bootstrap").multinomial(len(golds), np.full(len(golds), 1 / len(golds)), size=resamples)
    points: dict[str, Array] = {}
    curves: dict[str, Array] = {}
    for name, runs in methods.items():
        hot = np.stack(
            [
                metric.one_hot(list(zip(golds, answers, strict=True))) * np.asarray(measured, float)[:, None, None]
                for answers, measured in zip(runs.answers, runs.measured, strict=True)
            ]
        )
        points[name] = metric.of_confusion(hot.sum(axis=1))
        flat = hot.transpose(1, 0, 2, 3).reshape(len(golds), -1)
        curves[name] = np.concatenate(
            [
                metric.of_confusion((draws[i : i + BLOCK] @ flat).reshape(-1, *hot[:, 0].shape)).mean(axis=-1)
                for i in range(0, resamples, BLOCK)
            ]
        )
    values = {name: _estimate(points[name], curves[name]) for name in methods}
    differences = {
        (a, b): _estimate(np.array([points[a].mean() - points[b].mean()]), curves[a] - curves[b])
        for a in methods
        for b in methods
        if a != b
    }
    return values, differences


def _estimate(by_run: Array, curve: Array) -> Estimate:
    low, high = np.percentile(curve, [2.5, 97.5])
    return Estimate(value=float(by_run.mean()), low=float(low), high=float(high), by_run=tuple(map(float, by_run)))
