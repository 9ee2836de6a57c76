"""What is one exemplar worth? A Bayesian linear model of the exam scores of the sets that it was in.

A set's score = how easy its exam is + the sum of its exemplars' values + noise. Values have a normal prior around 0
(ridge): an exemplar's value is what it adds beside an average one of the pool, in units of the score. Noise and prior
are estimated from the scores (empirical Bayes), so any metric will do. The idea is that of in-context influences
(Nguyen and Wong, arXiv 2302.11042).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lbt_dspy.threads import one_thread

Array = np.ndarray[Any, Any]
EASE_SHARE = 1 / 3
"""Share of a score's variance that sets which sit the same exam have in common: some exams are easier."""
LEAST_SIGNAL = 0.25
"""At least this share of the variance of scores within exams is put down to the exemplars."""
LEAST = 1e-9


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A set's score on one exam."""

    members: tuple[int, ...]
    """Numbers of its exemplars, each once."""
    score: float
    variance: float
    """Of the score, over draws of exam problems; estimated, so only the mean over many is used."""
    measured: int
    """How many problems were measured, at least 1."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """The posterior of the exemplars' values: normal."""

    mean: Array
    """Shape (exemplars,)."""
    factor: Array
    """Shape (exemplars, exemplars): Cholesky factor of the precision."""

    def sample(self, rng: np.random.Generator, width: float) -> Array:
        """Draw values for Thompson sampling; `width` scales the spread around the mean, 1 is the posterior's own."""
        with one_thread():
            noise = np.linalg.solve(self.factor.T, rng.standard_normal(len(self.mean)))
        return np.asarray(self.mean + width * noise)

    @property
    def deviation(self) -> Array:
        """Posterior standard deviation of each value."""
        with one_thread():
            inverse = np.linalg.inv(self.factor)
        return np.asarray(np.sqrt((inverse**2).sum(axis=0)))


class Credit:
    """Scores of sets, pooled into what each exemplar is worth. Exemplars are numbered from 0."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.exams = np.zeros(0, int)
        """Shape (exemplars,): in how many scored sets each was."""
        self._precision = np.zeros((0, 0))  # of the values, for noise 1 per problem
        self._target = np.zeros(0)
        self._unit = np.zeros(0)  # what the target would be if every score were 1
        self._variances: list[tuple[float, int]] = []
        self._spreads: list[float] = []
        self._size = 1

    def add(self, exam: Sequence[Observation]) -> None:
        """Take the scores of the sets that sat one exam; how easy it was is integrated out."""
        if not exam:
            return
        self._grow(1 + max(number for seen in exam for number in seen.members))
        members = np.zeros((len(exam), len(self._target)))
        for row, seen in enumerate(exam):
            members[row, list(seen.members)] = 1
        scores, weight = np.array([seen.score for seen in exam]), np.array([float(seen.measured) for seen in exam])
        weighted = members * weight[:, None]
        shared = weighted.sum(axis=0)
        ease = EASE_SHARE / (1 - EASE_SHARE) / float(weight.mean())
        shrink = 1 / (1 / ease + float(weight.sum()))
        self._precision += weighted.T @ members - shrink * np.outer(shared, shared)
        self._target += weighted.T @ scores - shrink * shared * float(weight @ scores)
        self._unit += shared - shrink * shared * float(weight.sum())
        self.exams += members.sum(axis=0).astype(int)
        self.scores += scores.tolist()
        self._variances += [(seen.variance, seen.measured) for seen in exam]
        self._size = max(self._size, *(len(seen.members) for seen in exam))
        if len(exam) > 1:
            self._spreads.append(float(scores.var(ddof=1)))

    def values(self, exemplars: int) -> Values:
        """Return the posterior of the values of so many exemplars.

        Noise is the mean variance of the scores, but for what sets of one exam have in common. The prior variance is
        that of the scores within exams, less noise, over the size of a set.
        """
        self._grow(exemplars)
        variance, measured = np.array(self._variances or [(0.0, 1)]).T
        noise = (1 - EASE_SHARE) * variance
        per_problem = max(float(np.mean(noise * measured)), LEAST)
        spread = float(np.mean(self._spreads)) if self._spreads else float(np.var(self.scores or [0.0]))
        prior = max(spread - float(noise.mean()), LEAST_SIGNAL * spread, LEAST) / self._size
        target = (self._target - self.mean * self._unit) / per_problem
        with one_thread():
            factor = np.linalg.cholesky(self._precision / per_problem + np.eye(len(self._target)) / prior)
            return Values(mean=np.linalg.solve(factor.T, np.linalg.solve(factor, target)), factor=factor)

    @property
    def mean(self) -> float:
        """Mean score; 0 before the first."""
        return float(np.mean(self.scores)) if self.scores else 0.0

    def _grow(self, exemplars: int) -> None:
        more = max(0, exemplars - len(self._target))
        self._precision = np.pad(self._precision, (0, more))
        self._target, self._unit, self.exams = (np.pad(a, (0, more)) for a in (self._target, self._unit, self.exams))
