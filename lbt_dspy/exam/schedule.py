"""Which sitting next, and when to stop: the protocol of schedules, and the full exam."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

from lbt_dspy.errors import UserError, check_choice
from lbt_dspy.exam.confident import Confident
from lbt_dspy.exam.lossless import Lossless
from lbt_dspy.exam.selection import RULES
from lbt_dspy.exam.table import Cell, ExamTable

FULL = "full"
SCHEDULES = (FULL, "lossless", "confident")


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

    name = FULL

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return the first open cells, lesson by lesson."""
        if table.selection == "maj":
            return []
        lessons = range(len(table.candidates))
        return list(itertools.islice(itertools.chain.from_iterable(map(table.open_cells, lessons)), in_flight))

    def choice(self, table: ExamTable) -> int:
        """Return the answer that selection gives."""
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
    check_choice("selection", selection, tuple(RULES))
    if not 0 <= delta < 0.5:
        raise UserError(f"delta must be at least 0 and less than 0.5 but got {delta!r}; 0 is the schedule lossless")
    if name == "confident" and selection == "max":
        raise UserError("schedule confident is for selection sum or avg but got 'max'; take lossless")
    if name == FULL:
        return Full()
    return Confident(delta=delta, seed=seed) if name == "confident" and delta else Lossless()
