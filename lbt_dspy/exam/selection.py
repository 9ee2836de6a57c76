"""Which answer wins: MAJ, MAX, SUM and AVG over groups of equivalent answers (arXiv 2406.14629, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lbt_dspy.errors import UserError, check_choice

Score = int | Fraction
"""An exact number: sums of floats would break ties at random."""


@dataclass(frozen=True, kw_only=True)
class CandidateLesson:
    """A lesson as selection sees it."""

    answer: int
    """Which group of equivalent answers its answer belongs to."""
    score: Score | None
    """Its LbT score, in [0, 1], averaged over students; `None`: not measured, counts as 0."""


def _mean(scores: Sequence[Score]) -> Score:
    return Fraction(sum(scores)) / len(scores)


RULES: Mapping[str, Callable[[Sequence[Score]], Score]] = {"maj": len, "sum": sum, "max": max, "avg": _mean}
"""What an answer is worth, from the scores of its lessons (at least one)."""


def select(rule: str, lessons: Sequence[CandidateLesson]) -> int:
    """Return the answer with the largest worth; ties go to the one with more lessons, then to the first seen.

    Args:
        rule: `maj`: number of lessons (self-consistency); `sum`: sum of the lessons' scores; `max`: best score;
            `avg`: mean score.
        lessons: All lessons of one teaching problem, at least one, in the order in which they were sampled.

    Raises:
        UserError: There is no such rule, or no lesson.
    """
    check_choice("selection", rule, tuple(RULES))
    if not lessons:
        raise UserError("selection needs at least 1 lesson but got 0; sample more lessons")
    groups: dict[int, list[Score]] = {}
    for lesson in lessons:
        groups.setdefault(lesson.answer, []).append(lesson.score or 0)
    return max(groups, key=lambda answer: (RULES[rule](groups[answer]), len(groups[answer])))
