"""Paired bootstrap intervals: every claim of "better" is made on the same test examples.

The unit that is resampled is the test example, jointly over runs (seeds, draws) and methods; the metric is recomputed
on each resample and averaged over the runs (Efron and Tibshirani 1993, percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lbt_dspy.errors import UserError
from lbt_dspy.sampling import stream

RESAMPLES = 2000
BLOCK = 200
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95% percentile interval."""

    value: float
    low: float
    high: float
    by_run: tuple[float, ...] = ()


def paired_means(
    methods: Mapping[str, Sequence[Sequence[float | None]]], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[dict[str, Estimate], dict[tuple[str, str], Estimate]]:
    """Return every method's mean value, and every difference (first minus second) of two methods.

    Args:
        methods: `methods[name][run][example]`, of each method on the same examples; `None` was not measured, and
            counts for nothing in that run.
        seed: Seeds the resampling.
        resamples: Number of resamples.

    Raises:
        UserError: There are no examples.
    """
    sums = {
        name: np.array([[(0.0, 0.0) if v is None else (v, 1.0) for v in run] for run in runs], float)
        for name, runs in methods.items()
    }
    examples = min((array.shape[1] for array in sums.values() if array.ndim == 3), default=0)
    return paired_sums(sums, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1), examples, seed, resamples)


def paired_sums(
    parts: Mapping[str, Array], of_sum: Callable[[Array], Array], examples: int, seed: int, resamples: int
) -> tuple[dict[str, Estimate], dict[tuple[str, str], Estimate]]:
    """Bootstrap a metric that is a function of sums over examples.

    Args:
        parts: Of each method an array of shape (runs, examples, ...), to be summed over the examples.
        of_sum: Gives the metric of sums of shape (..., ...), for each of their leading places.
        examples: How many there are.
        seed: Seeds the resampling.
        resamples: Number of resamples.

    Raises:
        UserError: There are no examples.
    """
    if not examples:
        raise UserError("an interval needs at least one test example")
    draws = stream(seed, "bootstrap").multinomial(examples, np.full(examples, 1 / examples), size=resamples)
    points = {name: of_sum(part.sum(axis=1)) for name, part in parts.items()}
    curves: dict[str, Array] = {}
    for name, part in parts.items():
        flat = part.swapaxes(0, 1).reshape(examples, -1)
        curves[name] = np.concatenate(
            [
                of_sum((draws[i : i + BLOCK] @ flat).reshape(-1, *part[:, 0].shape)).mean(axis=-1)
                for i in range(0, resamples, BLOCK)
            ]
        )
    values = {name: _estimate(points[name], curves[name]) for name in parts}
    differences = {
        (a, b): _estimate(np.array([points[a].mean() - points[b].mean()]), curves[a] - curves[b])
        for a in parts
        for b in parts
        if a != b
    }
    return values, differences


def _estimate(by_run: Array, curve: Array) -> Estimate:
    low, high = np.percentile(curve, [2.5, 97.5])
    return Estimate(value=float(by_run.mean()), low=float(low), high=float(high), by_run=tuple(map(float, by_run)))
