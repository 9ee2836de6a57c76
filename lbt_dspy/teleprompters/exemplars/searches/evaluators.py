"""Which of many exemplar sets are the best, when not each can be scored on every selection example?

An evaluator sees sets as numbers. It asks for scores on the first n selection examples, n growing where it pays, and
ends with the sets best first. The examples have one random order for all sets, so scores at equal n are paired.

Successive halving: Karnin et al., ICML 2013. Successive rejects: Audibert and Bubeck, COLT 2010. UCB: Auer et al. 2002,
as a bandit over prompts in Pryzant et al., arXiv 2305.03495. All three stop when the best `keep` are left, not one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Score = Callable[[Mapping[int, int]], Mapping[int, float]]
"""`score({set: n})` returns each set's score on the first n examples; what was not measured is `-inf`."""

UCB_STEPS = 8
UCB_WIDTH = 0.25


class Evaluator(Protocol):
    """Ranks sets within a number of evaluations."""

    def __call__(self, score: Score, done: Sequence[int], *, keep: int, examples: int, evaluations: int) -> list[int]:
        """Return the sets that were scored, best first; the first `keep` of them are the choice.

        Args:
            score: Scores sets.
            done: On how many examples each set was scored before, for which nothing is paid again.
            keep: How many sets are wanted, at least 1.
            examples: How many examples there are, at least 1.
            evaluations: Most further evaluations (one set on one example), never exceeded.
        """


def full(score: Score, done: Sequence[int], *, keep: int, examples: int, evaluations: int) -> list[int]:
    """Score sets on all examples, in order, until the evaluations are spent."""
    asked: dict[int, int] = {}
    for i, n in enumerate(done):
        evaluations -= examples - n
        if evaluations < 0:
            break
        asked[i] = examples
    return _ranked(score(asked))


def halving(score: Score, done: Sequence[int], *, keep: int, examples: int, evaluations: int) -> list[int]:
    """Drop the worse half again and again; each phase spends an equal share of the evaluations."""
    counts, alive, dropped = list(done), list(range(len(done))), list[int]()
    phases = max(1, math.ceil(math.log2(max(1, len(done) / keep))))
    for phase in range(phases):
        level = _level([counts[i] for i in alive], examples, evaluations // (phases - phase))
        evaluations -= _raise(counts, alive, level)
        order = _ranked(score({i: counts[i] for i in alive if counts[i]}))
        size = max(keep, math.ceil(len(order) / 2)) if phase + 1 < phases else keep
        alive, dropped = order[:size], order[size:] + dropped
    return alive + dropped


def rejects(score: Score, done: Sequence[int], *, keep: int, examples: int, evaluations: int) -> list[int]:
    """Drop the worst set again and again; the fewer are left, the more evaluations each gets."""
    counts, alive, dropped = list(done), list(range(len(done))), list[int]()
    phases = max(1, len(done) - keep)
    levels = _reject_levels(done, phases, examples, evaluations)
    for level in levels:
        _raise(counts, alive, level)
        order = _ranked(score({i: counts[i] for i in alive if counts[i]}))
        size = max(keep, len(order) - 1)
        alive, dropped = order[:size], order[size:] + dropped
    return alive + dropped


def ucb(score: Score, done: Sequence[int], *, keep: int, examples: int, evaluations: int) -> list[int]:
    """Give the next examples to the `keep` sets whose scores could be the highest; rank by what they are at least."""
    counts, sets = list(done), list(range(len(done)))
    step = max(1, min(examples, evaluations // max(1, len(sets))) // 2)
    left = evaluations - _raise(counts, sets, _level(counts, min(examples, step), evaluations))
    scores = dict(score({i: counts[i] for i in sets if counts[i]}))
    step = max(1, examples // UCB_STEPS)
    while True:
        width = {i: UCB_WIDTH * math.sqrt(math.log(sum(counts)) / counts[i]) for i in scores}
        unsettled = [i for i in scores if counts[i] < examples]
        chosen = sorted(unsettled, key=lambda i: -(scores[i] + width[i]))[:keep]
        level = {i: min(examples, counts[i] + step) for i in chosen}
        cost = sum(level[i] - counts[i] for i in chosen)
        if not chosen or cost > left:
            return sorted(scores, key=lambda i: -(scores[i] - width[i] * (counts[i] < examples)))
        left -= cost
        for i in chosen:
            counts[i] = level[i]
        scores.update(score(level))


EVALUATORS: Mapping[str, Evaluator] = {"full": full, "halving": halving, "rejects": rejects, "ucb": ucb}


def _ranked(scores: Mapping[int, float]) -> list[int]:
    return sorted(scores, key=lambda i: -scores[i])


def _raise(counts: list[int], sets: Sequence[int], level: int) -> int:
    """Raise the counts of sets to a level, and return how many evaluations that takes."""
    cost = 0
    for i in sets:
        cost += max(0, level - counts[i])
        counts[i] = max(counts[i], level)
    return cost


def _level(counts: Sequence[int], examples: int, evaluations: int) -> int:
    """Return the largest level, at most `examples`, to which all counts can be raised."""
    low, high = 0, examples
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(0, middle - n) for n in counts) <= evaluations:
            low = middle
        else:
            high = middle - 1
    return low


def _reject_levels(done: Sequence[int], phases: int, examples: int, evaluations: int) -> list[int]:
    """Return the level of each phase, c / (sets left), for the largest c that the evaluations allow."""
    sets = len(done)

    def levels(c: int) -> list[int]:
        return [min(examples, c // (sets - phase)) for phase in range(phases)]

    def cost(c: int) -> int:
        """The most it can take: the sets with the fewest examples so far stay the longest."""
        each = levels(c)
        stay = [*each[:-1], *[each[-1]] * (sets - phases + 1)]
        return sum(max(0, n - had) for n, had in zip(stay, sorted(done, reverse=True), strict=True))

    low, high = 0, sets * examples
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= evaluations else (low, middle - 1)
    return levels(low)
