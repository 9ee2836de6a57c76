"""The marks of one teaching problem: which sittings are open, and between what bounds every answer's score lies."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.exam.selection import CandidateLesson, Score, SelectionRule, rule_of, select

LARGEST_DENOMINATOR = 10_000
ADDED_UP = ("sum", "max", "avg")
"""Rules by which scores in any unit can be compared, so that bounds stay whole numbers."""
Array = np.ndarray[Any, np.dtype[np.float64]]


class Cell(NamedTuple):
    """One sitting to ask."""

    lesson: int
    """Index among the distinct lessons."""
    student: int
    problem: int
    """Index of the exam problem."""
    sitting: int


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A distinct lesson."""

    answer: int
    """Its group of equivalent answers; groups are numbered in the order in which they first appear."""
    copies: int = 1
    """How many lessons have this very text: they share sittings, and count so often in votes, sums and means."""


class Tallies(NamedTuple):
    """What is known of each answer, each an array of shape (answers, students); for estimates, hence floats."""

    measured: Array
    """Number of marks."""
    total: Array
    """Sum of the marks."""
    open: Array
    """Number of open cells."""
    low: Array
    """Part of the answer's score if all open cells were marked 0; scores of the students add up to the answer's."""
    high: Array
    """The same if all were marked 1."""
    squares: Array
    """Sum of the squared weights of the open cells; `high - low` is the sum of the weights."""


@dataclass
class _Sheet:
    """The exam of one student on one lesson."""

    open: dict[Cell, None]
    """An ordered set."""
    marks: dict[Cell, float | None] = field(default_factory=dict)
    total: Score = 0
    measured: int = 0

    @property
    def counted(self) -> int:
        """The cells whose marks make the mean if no more of them fail."""
        return self.measured + len(self.open)


class ExamTable:
    """The marks of one teaching problem; all cells of lessons x students x problems x sittings begin open.

    An exact record: marks become fractions with a denominator of at most 10,000, so 0.1 + 0.2 ties with 0.3. Not
    thread-safe.

    Args:
        candidates: The distinct lessons, at least one, in the order in which they were sampled.
        students: Number of exam students, at least 1.
        problems: Number of exam problems, at least 1.
        sittings: Attempts of each student at each problem after each lesson, at least 1.
        selection: The rule that chooses the answer: `maj`, `sum`, `max`, `avg`, or a function; see `selection.select`.

    Raises:
        UserError: An argument is out of bounds.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        students: int,
        problems: int,
        sittings: int,
        selection: str | SelectionRule,
    ) -> None:
        check_at_least("students", students, 1, "an exam needs someone to sit it")
        check_at_least("problems", problems, 1, "an exam needs a problem")
        check_at_least("sittings", sittings, 1, "1 is one attempt at each problem")
        self.candidates, self.selection = tuple(candidates), selection
        self._worth = rule_of(selection)
        self.answers = _lessons_by_answer(self.candidates)
        """The indices of each answer's lessons."""
        self.sizes = [sum(self.candidates[i].copies for i in lessons) for lessons in self.answers]
        """Number of lessons of each answer, copies counted."""
        ascending = sorted(range(len(self.answers)), key=lambda answer: (self.sizes[answer], -answer))
        self.ranks = [ascending.index(answer) for answer in range(len(self.answers))]
        """Which answer wins a tie: the one with the larger rank, having more lessons or else been seen first."""
        self.students = students
        self.open = len(self.candidates) * students * problems * sittings
        """Cells without a result."""
        self.marked = 0
        """Cells with a mark."""
        self.failed = 0
        """Cells that could not be measured."""
        places = [(problem, sitting) for sitting in range(sittings) for problem in range(problems)]
        self._sheets = {
            (i, s): _Sheet({Cell(i, s, *place): None for place in places})
            for i in range(len(self.candidates))
            for s in range(students)
        }
        self._unit = math.lcm(*range(1, problems * sittings + 1)) * math.lcm(*range(1, students + 1))
        self._lesson_bounds: list[tuple[Score, Score]] = [(0, 0)] * len(self.candidates)
        self._answer_bounds: list[tuple[Score, Score]] = [(0, 0)] * len(self.answers)
        self._tallies = np.zeros((len(Tallies._fields), len(self.candidates), students))
        self._by_problem: dict[tuple[int, int], tuple[Score, int]] = {
            (s, p): (0, 0) for s in range(students) for p in range(problems)
        }
        self._by_answer = list(itertools.chain(*self.answers))
        self._starts = [0, *itertools.accumulate(map(len, self.answers[:-1]))]
        self._stale = set(range(len(self.candidates)))

    @property
    def asked(self) -> int:
        """Number of cells with a result."""
        return self.marked + self.failed

    def record(self, cell: Cell, mark: float | None) -> None:
        """Enter the mark of an open cell.

        Args:
            cell: Which sitting.
            mark: In [0, 1]; `None`: it failed and leaves the mean.

        Raises:
            UserError: The mark is out of bounds, or the cell is not open.
        """
        if mark is not None and not 0 <= mark <= 1:
            raise UserError(f"a mark must be in [0, 1] but got {mark!r}; give None for a sitting that failed")
        sheet = self._sheets.get((cell.lesson, cell.student))
        if sheet is None or cell not in sheet.open:
            raise UserError(f"{cell} must be open but is recorded or not of this exam; record every sitting once")
        del sheet.open[cell]
        sheet.marks[cell] = mark
        self.open -= 1
        if mark is None:
            self.failed += 1
        else:
            self.marked += 1
            sheet.measured += 1
            exact = _exact(mark)
            sheet.total += exact
            total, measured = self._by_problem[cell.student, cell.problem]
            self._by_problem[cell.student, cell.problem] = total + exact, measured + 1
        self._stale.add(cell.lesson)

    def marks(self, lesson: int, student: int) -> Mapping[Cell, float | None]:
        """Return the recorded marks of one student on one lesson, in the order in which they came."""
        return dict(self._sheets[lesson, student].marks)

    def score(self, lesson: int) -> Fraction | None:
        """Return the mean over students of each one's mean measured mark; `None` when nothing is measured."""
        means = [Fraction(sheet.total) / sheet.measured for sheet in self._sheets_of(lesson) if sheet.measured]
        return sum(means, Fraction()) / len(means) if means else None

    def choice(self) -> int:
        """Return the answer that selection gives now, lessons without a mark counted 0.

        On a complete table, or once `lossless` has stopped, it is the full exam's answer. After `confident` ask the
        schedule instead: its choice also weighs what is still open.
        """
        lessons = [
            CandidateLesson(answer=candidate.answer, score=self.score(i))
            for i, candidate in enumerate(self.candidates)
            for _ in range(candidate.copies)
        ]
        return select(self.selection, lessons)

    def contenders(self) -> list[int]:
        """Return the answers that some marks of the open cells would make the full exam's, the likeliest first.

        An answer is out when even with all its open cells marked 1 it comes after the answer with the best lower
        bound, in the order (score, number of lessons, first seen). This is exact: with a single contender no outcome
        changes the answer, with more some outcome does. Cells that fail only shrink the bounds.
        """
        self._refresh()
        lows = [(low, rank) for (low, _), rank in zip(self._answer_bounds, self.ranks, strict=True)]
        highs = [(high, rank) for (_, high), rank in zip(self._answer_bounds, self.ranks, strict=True)]
        leader = max(range(len(lows)), key=lows.__getitem__)
        return [leader, *(b for b, high in enumerate(highs) if b != leader and high > lows[leader])]

    def bounds(self, answer: int) -> tuple[Fraction, Fraction]:
        """Return the scores of an answer if all its open cells were marked 0, and 1."""
        self._refresh()
        low, high = self._answer_bounds[answer]
        scale = self._unit if self.selection in ADDED_UP else 1
        return Fraction(low) / scale, Fraction(high) / scale

    def highest_lessons(self, answers: Sequence[int]) -> list[int]:
        """Return the lessons with open cells that have the largest upper bound, first those whose answer wins ties."""
        self._refresh()
        lessons = [i for answer in answers for i in self.answers[answer] if any(self.open_cells(i))]
        highest = max((self._lesson_bounds[i][1] for i in lessons), default=0)
        ties = [i for i in lessons if self._lesson_bounds[i][1] == highest]
        return sorted(ties, key=lambda i: self.ranks[self.candidates[i].answer], reverse=True)

    def open_cells(self, lesson: int, students: Sequence[int] | None = None) -> Iterator[Cell]:
        """Return the open cells of a lesson, student by student, each exam problem once before any comes twice."""
        chosen = range(self.students) if students is None else students
        return itertools.chain.from_iterable(self._sheets[lesson, student].open for student in chosen)

    def problem_rate(self, student: int, problem: int) -> float:
        """Return the estimated mean mark of a student at an exam problem, over all lessons."""
        total, measured = self._by_problem[student, problem]
        return float((total + 1) / (measured + 2))

    def rates(self) -> Array:
        """Return the estimated mean mark of each answer by student: drawn to that of all answers by two marks."""
        tallies = self.tallies()
        overall = (tallies.total.sum(axis=0) + 1) / (tallies.measured.sum(axis=0) + 2)
        return np.asarray((tallies.total + 2 * overall) / (tallies.measured + 2))

    def tallies(self) -> Tallies:
        """Return what is known of each answer by student."""
        self._refresh()
        return Tallies(*np.add.reduceat(self._tallies[:, self._by_answer], self._starts, axis=1))

    def _refresh(self) -> None:
        """Bring bounds and tallies up to date with the marks recorded since they were last asked for."""
        for i in self._stale:
            self._lesson_bounds[i] = self._bounds_of(i)
            self._tallies[:, i] = np.array(self._tallies_of(i)).T
        for answer in {self.candidates[i].answer for i in self._stale}:
            bounds = [self._lesson_bounds[i] for i in self.answers[answer] for _ in range(self.candidates[i].copies)]
            if self.selection not in ADDED_UP:
                bounds = [(Fraction(low) / self._unit, Fraction(high) / self._unit) for low, high in bounds]
            low, high = (self._worth(scores) for scores in zip(*bounds, strict=True))
            self._answer_bounds[answer] = low, high
        self._stale.clear()

    def _sheets_of(self, lesson: int) -> list[_Sheet]:
        return [self._sheets[lesson, student] for student in range(self.students)]

    def _bounds_of(self, lesson: int) -> tuple[Score, Score]:
        """Return a lesson's bounds in units of 1 / `_unit`: whole numbers while all marks are 0 or 1."""
        live = [sheet for sheet in self._sheets_of(lesson) if sheet.counted]
        low: Score = 0
        high: Score = 0
        for sheet in live:
            weight = self._unit // (len(live) * sheet.counted)
            low += weight * sheet.total
            high += weight * (sheet.total + len(sheet.open))
        return low, high

    def _tallies_of(self, lesson: int) -> list[tuple[float, ...]]:
        """Return the fields of `Tallies` of one lesson for every student."""
        candidate, sheets = self.candidates[lesson], self._sheets_of(lesson)
        share = candidate.copies / (self.sizes[candidate.answer] if self.selection == "avg" else 1)
        live = sum(1 for sheet in sheets if sheet.counted)
        rows: list[tuple[float, ...]] = []
        for sheet in sheets:
            weight = share / (live * sheet.counted) if sheet.counted else 0.0
            total, left = float(sheet.total), len(sheet.open)
            rows.append((sheet.measured, total, left, weight * total, weight * (total + left), weight**2 * left))
        return rows


def _lessons_by_answer(candidates: Sequence[Candidate]) -> list[list[int]]:
    if not candidates:
        raise UserError("candidates must be at least 1 lesson but got 0; sample more lessons")
    answers: list[list[int]] = []
    for i, candidate in enumerate(candidates):
        check_at_least("copies", candidate.copies, 1, "leave the lesson out")
        if not 0 <= candidate.answer <= len(answers):
            raise UserError(
                f"answers must be numbered in the order in which they first appear but lesson {i} has "
                f"{candidate.answer} after {len(answers)} answers; number them 0, 1, ..."
            )
        if candidate.answer == len(answers):
            answers.append([])
        answers[candidate.answer].append(i)
    return answers


@functools.lru_cache(maxsize=LARGEST_DENOMINATOR)
def _exact(mark: float) -> Score:
    exact = Fraction(mark).limit_denominator(LARGEST_DENOMINATOR)
    return exact.numerator if exact.denominator == 1 else exact
