"""The schedule that stops when another answer has become unlikely."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lbt_dspy.exam.schedules.lossless import batch_size
from lbt_dspy.exam.schedules.table import Array, Cell, ExamTable
from lbt_dspy.sampling import stream

TINY = 1e-12


class Confident:
    """Stops when the estimated risk that the full exam would choose another answer is at most `delta`.

    The open marks of an answer are taken to be exchangeable with those seen, which is why its sittings are drawn at
    random: their sum is then beta-binomial, and the risk that a rival passes the leader nearly normal. Calibrated on
    average over problems, not a guarantee for one. For `sum` and `avg`; a maximum is no sum of marks.

    Args:
        delta: The risk at which it stops, in (0, 0.5); smaller asks more.
        seed: Draws which sittings of an answer come first.
    """

    name = "confident"
    waits = True

    def __init__(self, *, delta: float, seed: int) -> None:
        self.delta, self.seed = delta, seed

    def next(self, table: ExamTable, in_flight: int) -> Sequence[Cell]:
        """Return cells of the leader and its riskiest rivals, no more than are expected to settle the answer."""
        contenders = table.contenders()
        if len(contenders) == 1:
            return []
        forecast = _Forecast(table, contenders)
        if forecast.risk() <= self.delta:
            return []
        return list(itertools.islice(self._cells(table, contenders, forecast), batch_size(table, in_flight)))

    def choice(self, table: ExamTable) -> int:
        """Return the answer with the largest expected score of the full exam."""
        contenders = table.contenders()
        return contenders[_Forecast(table, contenders).leader]

    def _cells(self, table: ExamTable, contenders: Sequence[int], forecast: _Forecast) -> Iterator[Cell]:
        """Give cells until the risk is expected to be half of `delta`: all of it would be missed every other time."""
        drawn: dict[tuple[int, int], Iterator[Cell]] = {}
        while forecast.risk() > self.delta / 2 and (pool := forecast.next()) is not None:
            if pool not in drawn:
                drawn[pool] = self._shuffled(table, contenders[pool[0]], pool[1])
            yield next(drawn[pool])

    def _shuffled(self, table: ExamTable, answer: int, student: int) -> Iterator[Cell]:
        cells = [cell for i in table.answers[answer] for cell in table.open_cells(i, [student])]
        order = stream(self.seed, "sittings", answer, student, table.asked).permutation(len(cells))
        return iter([cells[place] for place in order])


class _Forecast:
    """The full exam's scores of the answers that may still win; arrays are by answer and student."""

    def __init__(self, table: ExamTable, contenders: Sequence[int]) -> None:
        seen, total, left, low, high, squares = (field[contenders] for field in table.tallies())
        rate, weight = (total + 1) / (seen + 2), high - low
        self.pools = np.array((rate * (1 - rate), seen, left, weight, squares))
        self.variance, self.next_variance = _variance(*self.pools), _variance(*_one_later(*self.pools))
        expected = (low + rate * weight).sum(axis=1)
        self.leader = int(np.lexsort((np.array(table.ranks)[contenders], expected))[-1])
        step = weight.sum(axis=1) / np.maximum(left.sum(axis=1), 1)
        self.behind = expected[self.leader] - expected + step / 2
        self.behind[self.leader] = np.inf

    def risk(self) -> float:
        """Return the sum over rivals of the chance that their full score is larger than the leader's."""
        return sum(math.erfc(gap / math.sqrt(2)) / 2 for gap in self._gaps().tolist())

    def next(self) -> tuple[int, int] | None:
        """Book a sitting of the leader or of its riskiest rival, whichever is expected to cut the variance more.

        Returns:
            The answer's place among the contenders, and the student; `None` when these two have no open cells.
        """
        pair = [self.leader, int(self._gaps().argmin())]
        cuts = self.variance[pair] - self.next_variance[pair]
        place, student = divmod(int(cuts.argmax()), cuts.shape[1])
        if cuts[place, student] <= 0:
            return None
        booked = pair[place], student
        later = _one_later(*self.pools[:, *booked].tolist())
        self.pools[:, *booked] = later
        self.variance[booked], self.next_variance[booked] = _variance(*later), _variance(*_one_later(*later))
        return booked

    def _gaps(self) -> Array:
        """Return how many standard deviations each answer is behind the leader; the leader itself: infinity."""
        variance = self.variance.sum(axis=1)
        return np.asarray(self.behind / np.sqrt(variance + variance[self.leader] + TINY))


def _variance(noise: Any, seen: Any, left: Any, weight: Any, squares: Any) -> Any:
    """Return the variance of a beta-binomial sum of weighted marks.

    Args:
        noise: q (1 - q), where q is the mean of the beta distribution, its prior uniform.
        seen: Number of marks seen.
        left: Number of marks to come.
        weight: Sum of their weights.
        squares: Sum of the squares of their weights.
    """
    return noise * ((seen + 2) * squares + weight**2) / (seen + 3)


def _one_later(noise: Any, seen: Any, left: Any, weight: Any, squares: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return the same as expected once one more mark is seen."""
    stays = 1 - 1 / np.maximum(left, 1)
    return noise * (seen + 2) / (seen + 3), seen + 1, left - 1, weight * stays, squares * stays
