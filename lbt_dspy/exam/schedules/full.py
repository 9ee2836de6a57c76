"""The full exam: every sitting, as in the paper."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from lbt_dspy.exam.schedules.table import Cell, ExamTable

FULL = "full"


class Full:
    """Every sitting: the exam of the paper. The only marks that are LbT scores; `maj` needs none."""

    name = FULL
    waits = False

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return the first open cells, lesson by lesson."""
        if table.selection == "maj":
            return []
        lessons = range(len(table.candidates))
        return list(itertools.islice(itertools.chain.from_iterable(map(table.open_cells, lessons)), in_flight))

    def choice(self, table: ExamTable) -> int:
        """Return the answer that selection gives."""
        return table.choice()
