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
FLAT = 1e-6
"""Prior precision of the mean score: next to nothing."""


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


class Values:
    """The posterior of the mean score and of the exemplars' values: normal.

    Args:
        mean: Shape (1 + exemplars,): of the score of a set of average exemplars, and of each value.
        factor: Cholesky factor of the precision.
    """

    def __init__(self, mean: Array, factor: Array) -> None:
        self.base = float(mean[0])
        self.mean = mean[1:]
        self._all = mean
        self._factor = factor

    def expected(self, members: Sequence[int]) -> float:
        """Return the score that a set of these exemplars is expected to have."""
        return self.base + float(self.mean[list(members)].sum())

    def sample(self, rng: np.random.Generator, width: float) -> Array:
        """Draw values for Thompson sampling; `width` scales the spread around the mean, 1 is the posterior's own."""
        with one_thread():
            noise = np.linalg.solve(self._factor.T, rng.standard_normal(len(self._all)))
        return np.asarray(self._all + width * noise)[1:]

    @property
    def deviation(self) -> Array:
        """Posterior standard deviation of each value."""
        with one_thread():
            inverse = np.linalg.inv(self._factor)
        return np.asarray(np.sqrt((inverse**2).sum(axis=0)))[1:]


class Credit:
    """Scores of sets, pooled into what each exemplar is worth. Exemplars are numbered from 0."""

    def __init__(self) -> None:
        self.scored = 0
        """How many scores it holds."""
        self.exams = np.zeros(0, int)
        """Shape (exemplars,): in how many scored sets each was."""
        self._precision = np.zeros((1, 1))  # of the mean score and the values, for noise 1 per problem
        self._target = np.zeros(1)
        self._variances: list[tuple[float, int]] = []
        self._spreads: list[float] = []
        self._size = 1

    def add(self, exam: Sequence[Observation], *, random: bool) -> None:
        """Take the scores of the sets that sat one exam; how easy it was is integrated out.

        Args:
            exam: The sets.
            random: Whether the sets were drawn at random: the spread of such scores gives the prior.
        """
        if not exam:
            return
        self._grow(1 + max(number for seen in exam for number in seen.members))
        rows = np.zeros((len(exam), len(self._target)))
        rows[:, 0] = 1
        for row, seen in enumerate(exam):
            rows[row, [1 + number for number in seen.members]] = 1
        scores, weight = np.array([seen.score for seen in exam]), np.array([float(seen.measured) for seen in exam])
        weighted = rows * weight[:, None]
        shared = weighted.sum(axis=0)
        ease = EASE_SHARE / (1 - EASE_SHARE) / float(weight.mean())
        shrink = 1 / (1 / ease + float(weight.sum()))
        with one_thread():
            self._precision += weighted.T @ rows - shrink * np.outer(shared, shared)
            self._target += weighted.T @ scores - shrink * shared * float(weight @ scores)
        self.exams += rows[:, 1:].sum(axis=0).astype(int)
        self.scored += len(exam)
        self._variances += [(seen.variance, seen.measured) for seen in exam]
        self._size = max(self._size, *(len(seen.members) for seen in exam))
        if random and len(exam) > 1:
            self._spreads.append(float(scores.var(ddof=1)))

    def values(self, exemplars: int) -> Values:
        """Return the posterior of the values of so many exemplars.

        Noise is the mean variance of the scores, but for what sets of one exam have in common. The prior variance is
        that of the scores of random sets within exams, less noise, over the size of a set.
        """
        self._grow(exemplars)
        variance, measured = np.array(self._variances or [(1.0, 1)]).T
        noise = (1 - EASE_SHARE) * variance
        per_problem = max(float(np.mean(noise * measured)), LEAST)
        spread = float(np.mean(self._spreads)) if self._spreads else float(variance.mean())
        prior = max(spread - float(noise.mean()), LEAST_SIGNAL * spread, LEAST) / self._size
        priors = np.array([FLAT, *[1 / prior] * exemplars])
        with one_thread():
            factor = np.linalg.cholesky(self._precision / per_problem + np.diag(priors))
            mean = np.linalg.solve(factor.T, np.linalg.solve(factor, self._target / per_problem))
        return Values(mean=mean, factor=factor)

    def _grow(self, exemplars: int) -> None:
        more = max(0, 1 + exemplars - len(self._target))
        self._precision, self._target = np.pad(self._precision, (0, more)), np.pad(self._target, (0, more))
        self.exams = np.pad(self.exams, (0, more))
