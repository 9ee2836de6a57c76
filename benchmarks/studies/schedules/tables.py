"""Simulated mark tables, calibrated to four rows of the paper's Table 1 (MATH, 181 problems; arXiv 2406.14629).

No model is called. A teaching problem has a difficulty, which decides how often a lesson is right; wrong lessons
spread over few or many wrong answers; a mark is a coin whose log-odds add up what the student knows of the exam
problem, what a right or wrong lesson changes, and noise per lesson and per (lesson, exam problem). The constants of a
row make self-consistency, MAX and SUM at N = 24 and 256 come within 1.1 points of the paper's on the problems fitted.
The exam is the paper's: one student, 3 exam problems, 3 sittings of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lbt_dspy.exam.schedules.table import Candidate, Cell, ExamTable
from lbt_dspy.sampling import stream

PROBLEMS, SITTINGS = 3, 3
SITTINGS_A_LESSON = PROBLEMS * SITTINGS


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """A teacher and a student of the paper, as numbers; log-odds but for `theta`."""

    name: str
    right: tuple[float, float]
    """Mean and standard deviation, over teaching problems, of a lesson being right."""
    theta: float
    """Concentration of the wrong answers: the larger, the more different ones."""
    knows: float
    """Mean of a student solving an exam problem."""
    gain: tuple[float, float]
    """Mean and standard deviation of what a right lesson helps more than a wrong one."""
    wrong_spread: float
    """Standard deviation over wrong answers of what they help."""


ROWS = (
    PaperRow(name="GPT-4o -> 4o-mini", right=(3.500, 3.326), theta=2.237, knows=1.229,
        gain=(2.198, 1.078), wrong_spread=1.010),
    PaperRow(name="L3-70B -> 8B", right=(1.230, 2.588), theta=2.812, knows=0.566,
        gain=(1.285, 0.410), wrong_spread=0.493),
    PaperRow(name="GPT-3.5 -> 8B", right=(0.379, 1.838), theta=2.386, knows=-0.150,
        gain=(1.260, 1.002), wrong_spread=0.699),
    PaperRow(name="L3-8B -> 8B", right=(-0.698, 1.574), theta=5.178, knows=-1.476,
        gain=(1.575, 0.397), wrong_spread=0.767),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A teaching problem with its lessons and all marks that their exams would give."""

    candidates: tuple[Candidate, ...]
    right: int | None
    """The right answer; `None` when no lesson has it."""
    marks: np.ndarray[Any, np.dtype[np.bool_]]
    """Shape (lessons, exam problems, sittings)."""

    def table(self, selection: str) -> ExamTable:
        """Return the table with all cells open."""
        return ExamTable(self.candidates, students=1, problems=PROBLEMS, sittings=SITTINGS, selection=selection)

    def first(self, lessons: int) -> Problem:
        """Return the same problem with its first lessons only."""
        candidates = self.candidates[:lessons]
        right = self.right if any(candidate.answer == self.right for candidate in candidates) else None
        return Problem(candidates=candidates, right=right, marks=self.marks[:lessons])

    def mark(self, cell: Cell) -> float:
        """Return what a sitting gives."""
        return float(self.marks[cell.lesson, cell.problem, cell.sitting])


def problem_of(row: PaperRow, lessons: int, seed: int, number: int) -> Problem:
    """Draw a teaching problem; with another number of lessons it is another one."""
    rng = stream(seed, "simulated table", row.name, lessons, number)
    difficulty, knowing = rng.normal(size=2)
    kinds = np.where(
        rng.random(lessons) < _chance(row.right[0] + row.right[1] * difficulty), 0, _wrong(row, lessons, rng)
    )
    base = row.knows + 0.4 * row.right[1] * difficulty + 1.5 * knowing
    gain = rng.normal(*row.gain)
    by_kind = -gain / 2 + rng.normal(0, row.wrong_spread, size=kinds.max() + 1)
    by_kind[0] = gain / 2
    lesson = by_kind[kinds] + rng.normal(0, 0.6, size=lessons)
    discrimination = np.exp(0.3 * rng.normal(size=PROBLEMS))
    odds = base + rng.normal(0, 0.5, size=PROBLEMS) + discrimination * lesson[:, None]
    chances = _chance(odds + rng.normal(0, 0.5, size=(lessons, PROBLEMS)))
    marks = rng.random((lessons, PROBLEMS, SITTINGS)) < chances[:, :, None]
    numbers: dict[int, int] = {}
    candidates = tuple(Candidate(answer=numbers.setdefault(kind, len(numbers))) for kind in kinds.tolist())
    return Problem(candidates=candidates, right=numbers.get(0), marks=marks)


def _wrong(row: PaperRow, lessons: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return a wrong answer, 1 or more, for each lesson; their shares are those of stick-breaking."""
    kinds = np.empty(lessons, dtype=int)
    for i in range(lessons):
        new = rng.random() * (row.theta + i) < row.theta
        kinds[i] = kinds[:i].max(initial=0) + 1 if new else kinds[rng.integers(i)]
    return kinds


def _chance(odds: Any) -> Any:
    return 1 / (1 + np.exp(-odds))
