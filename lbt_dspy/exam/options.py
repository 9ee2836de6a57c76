"""How a student sits an exam: the options that the optimisers of lessons, the metric and the examiner share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from lbt_dspy.errors import check_at_least
from lbt_dspy.exam.names import MarkName
from lbt_dspy.exam.sitting.evidence import SCALE, sitting_mark
from lbt_dspy.exam.sitting.mark import SittingMark, check_one_sitting

SITTINGS = 3
"""Of each student on each exam problem, as in the paper."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SittingOptions:
    """How a student sits an exam after a lesson.

    Raises:
        UserError: An option is out of bounds.
    """

    sittings: int | None = None
    """Of each student on each exam problem after each lesson, at least 1: more costs more and scatters less. `None`: 3,
    but 1 with `mark="evidence"`, which takes no other number."""
    mark: MarkName | SittingMark = "grade"
    """Of a sitting. `grade`: the student answers, and the grader marks it; `evidence`: how much likelier the lesson
    makes the reference answer (see `lbt_dspy.exam.sitting.evidence`). Or a `SittingMark` of one's own."""
    evidence_scale: float = SCALE
    """Of `evidence`, above 0, in nats per token: the gain that has the mark .73. Fixed beforehand, the same for all
    questions; smaller makes marks more like 0 and 1."""
    demonstrations: Sequence[dspy.Example] = ()
    """Fixed demonstrations of the students' own, before every lesson (the paper's 4-shot students)."""
    rationale: bool = True
    """False: students read the question and the answer of a lesson, not how it was found."""
    config: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.7})
    """Sampling settings of a sitting that the student's LM leaves open."""
    choices: bool = False
    """Whether all sittings of a student at a problem are asked in one request, as its choices (`n`), where the
    student's server does that: the prompt is then read once."""

    def __post_init__(self) -> None:
        check_at_least("sittings", self.sittings_held, 1, "it is the number of sittings on each exam problem")
        if self.marking is not None and self.marking.one_sitting:
            check_one_sitting(self.marking.name, self.sittings_held)

    @property
    def marking(self) -> SittingMark | None:
        """What marks sittings; `None`: the grader."""
        return sitting_mark(self.mark, self.evidence_scale)

    @property
    def sittings_held(self) -> int:
        """Sittings of each student on each exam problem after each lesson, also where `sittings` leaves it open."""
        if self.sittings is None:
            return 1 if self.marking is not None and self.marking.one_sitting else SITTINGS
        return self.sittings
