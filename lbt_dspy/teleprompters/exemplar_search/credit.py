"""What is one exemplar worth? A Bayesian linear model of the exam scores of the sets that it was in.

A set's score = how easy its draw of exam problems is + the sum of its exemplars' values + noise. Values have a normal
prior around 0 (ridge): an exemplar's value is what it adds beside an average one of the pool, in units of the metric.
The idea is that of in-context influences, Nguyen and Wong, arXiv 2302.11042.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DRAW_VARIANCE = 0.05**2
"""Prior variance of the difficulty of a draw of exam problems: 5 points."""
LEAST_SHARE = 0.25
"""At least this share of the variance of scores is put down to the exemplars."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A set's score on one draw of exam problems."""

    members: tuple[int, ...]
    """Numbers of its exemplars, each once."""
    score: float
    draw: int
    """Number of the draw; sets of one draw sat the same exam."""
    noise: float
    """Variance of the score as a measurement."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """The posterior of the exemplars' values: normal."""

    mean: Array
    """Shape (exemplars,)."""
    factor: Array
    """Shape (exemplars, exemplars): Cholesky factor of the precision."""

    def sample(self, rng: np.random.Generator, width: float) -> Array:
        """Draw values for Thompson sampling; `width` scales the spread around the mean, 1 is the posterior's own."""
        noise = np.linalg.solve(self.factor.T, rng.standard_normal(len(self.mean)))
        return np.asarray(self.mean + width * noise)

    @property
    def deviation(self) -> Array:
        """Posterior standard deviation of each value."""
        inverse = np.linalg.inv(self.factor)
        return np.asarray(np.sqrt((inverse**2).sum(axis=0)))


def fit(observations: Sequence[Observation], exemplars: int) -> Values:
    """Return the posterior of the values of `exemplars` numbered exemplars.

    The prior variance is that of the scores within draws, less noise, over the size of a set (empirical Bayes).
    """
    members = np.zeros((len(observations), exemplars))
    for row, seen in enumerate(observations):
        members[row, list(seen.members)] = 1
    members -= members.sum(axis=1, keepdims=True) / exemplars
    scores = np.array([seen.score for seen in observations])
    noise = np.array([seen.noise for seen in observations])
    draws = np.array([seen.draw for seen in observations])
    spread = _spread_within(scores, draws)
    size = max(len(seen.members) for seen in observations)
    prior = max(spread - float(noise.mean()), LEAST_SHARE * spread, 1e-6) / size
    precision, target = np.eye(exemplars) / prior, np.zeros(exemplars)
    centred = scores - scores.mean()
    for draw in np.unique(draws):
        rows = draws == draw
        x, y, weight = members[rows], centred[rows], 1 / noise[rows]
        shared = (x * weight[:, None]).sum(axis=0)
        shrink = 1 / (1 / DRAW_VARIANCE + weight.sum())  # the draw's own difficulty, integrated out
        precision += (x * weight[:, None]).T @ x - shrink * np.outer(shared, shared)
        target += x.T @ (weight * y) - shrink * shared * float(weight @ y)
    factor = np.linalg.cholesky(precision)
    return Values(mean=np.linalg.solve(factor.T, np.linalg.solve(factor, target)), factor=factor)


def _spread_within(scores: Array, draws: Array) -> float:
    """Return the mean variance of scores within draws; over all where no draw has two."""
    groups = [scores[draws == draw] for draw in np.unique(draws)]
    several = [group.var(ddof=1) for group in groups if len(group) > 1]
    if several:
        return float(np.mean(several))
    return float(scores.var()) if len(scores) > 1 else 0.0
