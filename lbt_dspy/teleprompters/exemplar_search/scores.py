"""Score exemplar sets: the metric of the teacher (or of the students) on the selection examples.

Balanced draws measure a rare label as well as a common one, but F1 depends on the labels' shares: on balanced examples
a set that makes its reader say "yes" to everything looks good. So each label's answers are counted as often as it takes
to restore the shares of the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dspy
import numpy as np

from lbt_dspy.errors import UserError
from lbt_dspy.exam.likelihood import FLOOR
from lbt_dspy.teleprompters.exemplar_search.classroom import Classroom
from lbt_dspy.teleprompters.exemplar_search.moves import exams_for
from lbt_dspy.teleprompters.exemplar_search.options import Metric
from lbt_dspy.teleprompters.exemplar_search.records import ExemplarSet, ScoredSet
from lbt_dspy.types import ExamReport

LARGEST_SCALE = 10
CLOSE_ENOUGH = 0.03


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The examples on which all sets of a search are scored."""

    examples: Sequence[dspy.Example]
    shares: Mapping[str, float]
    """Share of each label in the data that the examples were drawn from."""


def label_shares(room: Classroom, examples: Sequence[dspy.Example]) -> dict[str, float]:
    """Return the share of each label."""
    counts = Counter(room.label_of(example) for example in examples)
    return {label: count / len(examples) for label, count in counts.items()}


def score_sets(
    room: Classroom,
    sets: Sequence[ExemplarSet],
    selection: Selection,
    metric: Metric,
    *,
    by_students: bool = False,
    likelihood: bool = False,
) -> list[ScoredSet]:
    """Score sets on the selection examples, each without those that it gives away itself.

    Raises:
        UserError: Likelihoods are asked for, and the replies have no log-probabilities.
    """
    exams = exams_for(room, sets, selection.examples)
    readers = list(room.students) if by_students else [room.teacher]
    role = "students" if by_students else "teacher"
    reports = room.examiner.examine(exams, readers, role=role, account=room.account)
    scored = []
    for exemplar_set, exam, by_reader in zip(sets, exams, reports, strict=True):
        golds = [problem.example for problem in exam.problems]
        variance = None
        if likelihood:
            means = [mean_likelihood(room, golds, r, selection.shares) for r in by_reader if r.marks]
            values, variance = [mean for mean, _ in means], sum(v for _, v in means) / max(1, len(means)) ** 2
        else:
            values = [metric(*weighted(room, *measured(golds, r), selection.shares)) for r in by_reader if r.marks]
        scored.append(
            ScoredSet(
                exemplar_set=exemplar_set,
                score=sum(values) / len(values) if len(values) == len(by_reader) else None,
                coverage=sum(report.coverage for report in by_reader) / len(by_reader),
                measured=sum(len(report.marks) for report in by_reader) // len(by_reader),
                examples=len(selection.examples),
                variance=variance,
            )
        )
    return scored


def mean_likelihood(
    room: Classroom, golds: Sequence[dspy.Example], report: ExamReport, shares: Mapping[str, float]
) -> tuple[float, float]:
    """Return the mean log-likelihood of the right label, weighted to the labels' shares, and the mean's variance.

    An unreadable answer counts as the least likely one.
    """
    rows = [(gold, row[0]) for gold, row in zip(golds, report.sittings, strict=True) if row[0].mark.value is not None]
    rows = [(gold, sitting) for gold, sitting in rows if sitting.likelihood is not None or sitting.fields is None]
    if all(sitting.fields is None for _, sitting in rows):
        raise UserError(f"the replies of {report.student} have no log-probabilities; use scoring='metric'")
    counts = Counter(room.label_of(gold) for gold, _ in rows)
    total = sum(shares[label] for label in counts)
    weights = np.array([shares[room.label_of(gold)] / counts[room.label_of(gold)] / total for gold, _ in rows])
    values = np.array([FLOOR if sitting.likelihood is None else sitting.likelihood for _, sitting in rows])
    mean = float(weights @ values)
    return mean, float((weights**2) @ (values - mean) ** 2)


def measured(
    golds: Sequence[dspy.Example], report: ExamReport
) -> tuple[list[dspy.Example], list[dspy.Prediction | None]]:
    """Return the golds and predictions of the measured sittings; an unreadable answer is `None`, a lost one is out."""
    pairs = [
        (gold, None if row[0].fields is None else dspy.Prediction(**row[0].fields))
        for gold, row in zip(golds, report.sittings, strict=True)
        if row[0].mark.value is not None
    ]
    return [gold for gold, _ in pairs], [prediction for _, prediction in pairs]


def weighted(
    room: Classroom,
    golds: list[dspy.Example],
    predictions: list[dspy.Prediction | None],
    shares: Mapping[str, float],
) -> tuple[list[dspy.Example], list[dspy.Prediction | None]]:
    """Repeat the answers of each label so that the labels have the given shares, to within 3% where ten times do."""
    counts = Counter(room.label_of(gold) for gold in golds)
    repeats = repetitions(counts, shares)
    order = [i for i, gold in enumerate(golds) for _ in range(repeats[room.label_of(gold)])]
    return [golds[i] for i in order], [predictions[i] for i in order]


def repetitions(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, int]:
    """Return how often to count each label, as small whole numbers: counts * repetitions is proportional to shares."""
    wanted = {label: shares[label] / count for label, count in counts.items()}
    least = min(wanted.values())
    best: dict[str, int] = {}
    best_error = float("inf")
    for scale in range(1, LARGEST_SCALE + 1):
        trial = {label: max(1, round(scale * weight / least)) for label, weight in wanted.items()}
        error = max(abs(trial[label] * least / (scale * weight) - 1) for label, weight in wanted.items())
        if error < best_error:
            best, best_error = trial, error
        if error <= CLOSE_ENOUGH:
            break
    return best
