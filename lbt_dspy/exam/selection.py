"""Which answer wins: MAJ, MAX, SUM and AVG over groups of equivalent answers (arXiv 2406.14629, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

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


class SelectionRule(Protocol):
    """What an answer is worth, from the LbT scores of its lessons: a function of one's own in the place of a name.

    It must not fall when a score rises: by that, schedules know when nothing can change the answer any more.
    """

    __name__: str

    def __call__(self, scores: Sequence[Score], /) -> Score:
        """Return the worth, an exact number.

        Args:
            scores: At least one, each in [0, 1]; a lesson without a measured mark has 0.
        """


def _mean(scores: Sequence[Score]) -> Score:
    return Fraction(sum(scores)) / len(scores)


RULES: Mapping[str, SelectionRule] = {"sum": sum, "max": max, "avg": _mean, "maj": len}
"""The rules that have names."""


def rule_of(selection: str | SelectionRule) -> SelectionRule:
    """Return the rule of a name, or the given one.

    Raises:
        UserError: There is no such rule.
    """
    if callable(selection):
        return selection
    check_choice("selection", selection, tuple(RULES))
    return RULES[selection]


def select(rule: str | SelectionRule, lessons: Sequence[CandidateLesson]) -> int:
    """Return the answer with the largest worth; ties go to the one with more lessons, then to the first seen.

    Args:
        rule: `maj`: number of lessons (self-consistency); `sum`: sum of the lessons' scores; `max`: best score;
            `avg`: mean score; or a function of the scores.
        lessons: All lessons of one teaching problem, at least one, in the order in which they were sampled.

    Raises:
        UserError: There is no such rule, or no lesson.
    """
    worth = rule_of(rule)
    if not lessons:
        raise UserError("selection needs at least 1 lesson but got 0; sample more lessons")
    groups: dict[int, list[Score]] = {}
    for lesson in lessons:
        groups.setdefault(lesson.answer, []).append(lesson.score or 0)
    return max(groups, key=lambda answer: (worth(groups[answer]), len(groups[answer])))
