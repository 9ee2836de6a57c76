"""Which sitting next, and when to stop: the protocol of schedules, the full exam, and the one that loses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.table import Cell, ExamTable

SCHEDULES = ("full", "lossless", "confident")


class Schedule(Protocol):
    """Decides which sittings of a teaching problem are asked. Stateless: all it goes by is the table."""

    name: str

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return open cells to ask together, at most `in_flight` (at least 1); none: the answer is settled.

        The marks of all of them are recorded before it is asked again.
        """

    def choice(self, table: ExamTable) -> int:
        """Return the chosen answer; before `next` came back empty, the best guess."""


class Full:
    """Every sitting: the exam of the paper. The only marks that are LbT scores; `maj` needs none."""

    name = "full"

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return the first open cells, lesson by lesson."""
        if table.selection == "maj":
            return []
        return list(itertools.islice(_open_cells(table, range(len(table.answers))), in_flight))

    def choice(self, table: ExamTable) -> int:
        """Return the answer that selection gives."""
        return table.choice()


class Lossless:
    """Stops as soon as no outcome of the open sittings can change the answer, which is always the full exam's."""

    name = "lossless"

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return cells of answers that may still win."""
        contenders = table.contenders()
        if len(contenders) == 1:
            return []
        return list(itertools.islice(_open_cells(table, contenders), in_flight))

    def choice(self, table: ExamTable) -> int:
        """Return the answer that selection gives: a settled one is ahead in the marks, too."""
        return table.choice()


def make_schedule(name: str, *, delta: float = 0.05, seed: int = 0, selection: str) -> Schedule:
    """Return a schedule by name.

    Args:
        name: `full`, `lossless` or `confident`.
        delta: Of `confident`: the estimated risk of another answer than the full exam's at which it stops, in
            [0, 0.5); 0 is `lossless`.
        seed: Of `confident`: draws which sittings of an answer come first.
        selection: The rule that will choose the answer.

    Raises:
        UserError: There is no such schedule, `delta` is out of bounds, or `confident` is asked for with `max`.
    """
    check_choice("schedule", name, SCHEDULES)
    if not 0 <= delta < 0.5:
        raise UserError(f"delta must be at least 0 and less than 0.5 but got {delta!r}; 0 is the schedule lossless")
    if name == "confident" and selection == "max":
        raise UserError("schedule confident is for selection sum or avg but got 'max'; take lossless")
    if name == "full":
        return Full()
    return Lossless()


def _open_cells(table: ExamTable, answers: Sequence[int]) -> itertools.chain[Cell]:
    return itertools.chain.from_iterable(
        table.open_cells(lesson, student)
        for answer in answers
        for lesson in table.answers[answer]
        for student in range(table.students)
    )
