"""An exam of competing lessons, as far as its schedule lets it go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dspy

from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.schedules.schedule import Schedule
from lbt_dspy.exam.schedules.table import Cell, ExamTable
from lbt_dspy.ledger.account import Account
from lbt_dspy.types import ExamProblem, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material


def hold_exam(
    examiner: Examiner,
    table: ExamTable,
    *,
    materials: Sequence[Material],
    problems: Sequence[ExamProblem],
    students: Sequence[dspy.LM],
    schedule: Schedule,
    in_flight: int,
    account: Account,
) -> dict[Cell, Sitting]:
    """Fill the table until the schedule stops; return the sittings that were held.

    Args:
        examiner: Holds the sittings.
        table: Of the lessons, all cells open.
        materials: What is read for each lesson of the table.
        problems: The exam, the same for all lessons; without any the schedule is not asked.
        students: Who sits it.
        schedule: Says which cells are asked next, and when to stop.
        in_flight: Most cells asked at a time, at least 1. The full exam waits for no mark, so it is asked all at once.
        account: Where the calls are counted.

    Raises:
        BudgetSpentError: The next call could exceed the budget.
    """
    held: dict[Cell, Sitting] = {}
    while problems and (cells := schedule.next(table, in_flight if schedule.waits else table.open)):
        seats = [
            Seat(materials[cell.lesson], students[cell.student], problems[cell.problem], cell.sitting) for cell in cells
        ]
        for cell, sitting in zip(cells, examiner.sit(seats, account=account, choices=not schedule.waits), strict=True):
            table.record(cell, sitting.mark.value)
            held[cell] = sitting
    return held
