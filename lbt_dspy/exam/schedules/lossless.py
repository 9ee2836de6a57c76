"""The schedule that never gives another answer than the full exam."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from lbt_dspy.exam.schedules.table import Cell, ExamTable

NEARLY = 1e-9
FIRST_BATCH = 8
LIKELY = 0.5
"""The chance of being needed from which a sitting is asked ahead of those before it."""


def batch_size(table: ExamTable, in_flight: int) -> int:
    """Return how many cells to ask together where marks guide the next ones: as many as have been asked."""
    return min(in_flight, max(FIRST_BATCH, table.asked))


class Lossless:
    """Stops as soon as no outcome of the open sittings can change the answer, which is always the full exam's.

    Which cell comes next decides only how soon that is. With `sum` and `avg`: a mark 1 of the likely winner helps
    against every rival, a mark 0 of a rival against that rival only; asked is what should take fewer calls. With
    `max`: the lesson with the largest upper bound.
    """

    name = "lossless"
    waits = True

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return cells of answers that may still win."""
        contenders = table.contenders()
        if len(contenders) == 1:
            return []
        if table.selection == "max":
            return _likely_needed(table, contenders)[: batch_size(table, in_flight)]
        return _Race(table, contenders).batch(in_flight)

    def choice(self, table: ExamTable) -> int:
        """Return the answer that selection gives: a settled one is ahead in the marks, too."""
        return table.choice()


class _Race:
    """The answers that may still win, with the cells of a batch booked at their best outcome.

    A batch ends where that outcome would settle the answer. Floats do here: they decide which cells are asked, and
    never when to stop.
    """

    def __init__(self, table: ExamTable, contenders: Sequence[int]) -> None:
        self.table, self.answers = table, contenders
        tallies = table.tallies()
        rates = table.rates()[contenders]
        _, _, self.left, low, high, _ = (field[contenders] for field in tallies)
        ties = NEARLY * np.array(table.ranks)[contenders]
        self.weights = (high - low) / np.maximum(self.left, 1)
        self.lifts, self.drops = rates * self.weights, (1 - rates) * self.weights
        self.low, self.high = low.sum(axis=1) + ties, high.sum(axis=1) + ties
        self.winner = int(np.argmax((low + rates * (high - low)).sum(axis=1) + ties))
        self.cells: dict[tuple[int, int], Iterator[Cell]] = {}

    def batch(self, in_flight: int) -> list[Cell]:
        """Return at least one cell, at most `in_flight`."""
        rivals = [b for b in range(len(self.answers)) if b != self.winner]
        batch: list[Cell] = []
        while rivals and len(batch) < in_flight:
            batch.append(self._book(*self._next(rivals)))
            rivals = [b for b in rivals if self.high[b] > self.low[self.winner] and self.left[[b, self.winner]].any()]
        return batch

    def _next(self, rivals: Sequence[int]) -> tuple[int, int]:
        """Return the answer and the student whose cell should take the fewest calls to a settled answer."""
        lifts = np.where(self.left[self.winner] > 0, self.lifts[self.winner], 0)
        drops = np.where(self.left[rivals] > 0, self.drops[rivals], 0)
        with np.errstate(divide="ignore"):
            calls = (1 / drops.max(axis=1)).sum()
        if lifts.max() * calls >= 1:
            return self.winner, int(lifts.argmax())
        rival = int(np.where(drops.max(axis=1) > 0, self.high[rivals], -1).argmax())
        return rivals[rival], int(drops[rival].argmax())

    def _book(self, answer: int, student: int) -> Cell:
        """Return an open cell, its mark taken to be the best one for the likely winner."""
        self.left[answer, student] -= 1
        if answer == self.winner:
            self.low[answer] += self.weights[answer, student]
        else:
            self.high[answer] -= self.weights[answer, student]
        lessons = self.table.answers[self.answers[answer]]
        cells = itertools.chain.from_iterable(self.table.open_cells(i, [student]) for i in lessons)
        return next(self.cells.setdefault((answer, student), cells))


def _likely_needed(table: ExamTable, contenders: Sequence[int]) -> list[Cell]:
    """Return open cells of the lessons with the largest upper bound that asking one at a time would likely come to.

    One at a time, such a lesson is asked until a mark is less than 1, then the next; the hardest exam problem first.
    """
    rates = dict(zip(contenders, table.rates()[contenders].mean(axis=1), strict=True))
    batch: list[Cell] = []
    reached = 1.0
    for lesson in table.highest_lessons(contenders):
        cells = sorted(table.open_cells(lesson), key=lambda cell: table.problem_rate(cell.student, cell.problem))
        rate = rates[table.candidates[lesson].answer]
        batch += [cell for place, cell in enumerate(cells) if reached * rate**place >= LIKELY]
        reached *= 1 - rate ** len(cells)
        if reached < LIKELY:
            break
    return batch
