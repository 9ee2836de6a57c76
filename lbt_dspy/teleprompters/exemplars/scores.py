"""Score exemplar sets: the metric of the teacher (or of the students) on the selection examples.

Balanced draws measure a rare label as well as a common one, but F1 depends on the labels' shares: on balanced examples
a set that makes its reader say "yes" to everything looks good. So each label's answers are counted as often as it takes
to restore the shares of the data.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.likelihood import log_likelihood
from lbt_dspy.teleprompters.exemplars.context import SearchContext
from lbt_dspy.teleprompters.exemplars.metrics import Metric, score_of
from lbt_dspy.teleprompters.exemplars.moves import exams_for
from lbt_dspy.teleprompters.exemplars.records import ExemplarSet, ScoredSet
from lbt_dspy.types import ExamReport
from lbt_dspy.values import Labels, as_declared, declared_label

LARGEST_SCALE = 10
CLOSE_ENOUGH = 0.03
GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The examples on which all sets of a search are scored."""

    examples: Sequence[dspy.Example]
    shares: Mapping[str, float]
    """Share of each label in the data that the examples were drawn from."""


def label_shares(context: SearchContext, examples: Sequence[dspy.Example]) -> dict[str, float]:
    """Return the share of each label."""
    counts = Counter(context.label_of(example) for example in examples)
    return {label: count / len(examples) for label, count in counts.items()}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One measured sitting."""

    gold: dspy.Example
    label: str
    """The reference label."""
    fields: Mapping[str, Any] | None
    """Of the answer; `None`: unreadable."""
    probabilities: Mapping[str, float] | None
    """Of each label, where they were asked for and could be read."""


Scorer = Callable[[Sequence[Answered]], float]
"""Score of at least one answer."""


def score_sets(
    context: SearchContext, sets: Sequence[ExemplarSet], selection: Selection, score: Scorer, *,
    by_students: bool = False, variance: bool = False,
) -> list[ScoredSet]:  # fmt: skip
    """Score sets on the selection examples, each without those that it gives away itself.

    Args:
        context: Who reads.
        sets: What is scored.
        selection: The examples on which they are scored, and the shares of their labels.
        score: How the answers of one reader make a score.
        by_students: Score by the mean over the students, not by the teacher.
        variance: Estimate each score's variance over draws of examples.
    """
    exams = exams_for(context, sets, selection.examples)
    readers = list(context.students) if by_students else [context.teacher]
    role = "students" if by_students else "teacher"
    reports = context.examiner.examine(exams, readers, role=role, account=context.account)
    scored = []
    for exemplar_set, exam, by_reader in zip(sets, exams, reports, strict=True):
        golds = [problem.example for problem in exam.problems]
        answers = [answered(context, golds, report) for report in by_reader]
        complete = all(answers)
        scored.append(
            ScoredSet(
                exemplar_set=exemplar_set,
                score=sum(map(score, answers)) / len(answers) if complete else None,
                coverage=sum(report.coverage for report in by_reader) / len(by_reader),
                measured=sum(map(len, answers)) // len(answers),
                examples=len(selection.examples),
                variance=sum(jackknife(a, score) for a in answers) / len(answers) ** 2
                if variance and complete
                else None,
            )
        )
    return scored


def scorer(context: SearchContext, metric: Metric, shares: Mapping[str, float], kind: str) -> Scorer:
    """Return how answers are scored; each label counts as its share in the data.

    Args:
        context: Knows the labels.
        metric: Set-level.
        shares: Of the labels in the data.
        kind: `metric`; `expected`: the metric of the answers' label probabilities, a whole one for the answer where
            there are none; or `likelihood`: the mean log-likelihood of the right label.
    """

    def counted(answers: Sequence[Answered]) -> list[Answered]:
        repeats = repetitions(Counter(a.label for a in answers), shares)
        return [a for a in answers for _ in range(repeats[a.label])]

    def by_metric(answers: Sequence[Answered]) -> float:
        every = counted(answers)
        predictions = [None if a.fields is None else dspy.Prediction(**a.fields) for a in every]
        return score_of(metric, [a.gold for a in every], predictions)

    def by_likelihood(answers: Sequence[Answered]) -> float:
        every = counted(answers)
        if all(a.probabilities is None for a in every if a.fields is not None):
            raise UserError("the replies have no log-probabilities; use scoring='metric'")
        values = [log_likelihood(a.probabilities or {}, a.label) for a in every]
        return sum(values) / len(values)

    if kind == "expected":
        return ExpectedScore(context, metric, shares)
    return by_metric if kind == "metric" else by_likelihood


class ExpectedScore:
    """The metric of the answers' label probabilities; each label counts as its share in the data.

    Args:
        context: Knows the labels.
        metric: Has `expected`.
        shares: Of the labels in the data.
    """

    def __init__(self, context: SearchContext, metric: Any, shares: Mapping[str, float]) -> None:
        self._room = context
        self._metric = metric
        find = getattr(metric, "find", lambda label: label)
        found = {label: find(as_declared(label, context.declared)) for label in context.labels}
        self._names = {label: name for label, name in found.items() if name is not None}
        """What the metric calls each label."""
        self._shares = shares

    def __call__(self, answers: Sequence[Answered]) -> float:
        """Return the score of answers."""
        return self.each(answers, [[True] * len(answers)])[0]

    def each(self, answers: Sequence[Answered], kept: Sequence[Sequence[bool]]) -> list[float]:
        """Return the score of each part of answers."""
        golds, likely = [a.gold for a in answers], [self._likely(answer) for answer in answers]
        labels = [a.label for a in answers]
        repeats = []
        for part in kept:
            times = repetitions(Counter(itertools.compress(labels, part)), self._shares)
            repeats.append([times[label] if keep else 0 for label, keep in zip(labels, part, strict=True)])
        if hasattr(self._metric, "expected_each"):
            return list(self._metric.expected_each(golds, likely, repeats))
        return [float(self._metric.expected(golds, likely, counts)) for counts in repeats]

    def _likely(self, answer: Answered) -> Mapping[str, float] | None:
        given = distribution(self._room, answer)
        return given and {name: given[label] for label, name in self._names.items() if label in given}


def distribution(context: SearchContext, answer: Answered) -> Mapping[str, float] | None:
    """Return an answer's label probabilities; where there are none, the answer is certain."""
    if answer.fields is None or answer.probabilities is not None:
        return answer.probabilities
    label = Labels(context.labels).find(declared_label(answer.fields[context.label_field], context.declared))
    return None if label is None else {label: 1.0}


def answered(context: SearchContext, golds: Sequence[dspy.Example], report: ExamReport) -> list[Answered]:
    """Return the measured sittings; a lost one is out."""
    return [
        Answered(
            gold=gold,
            label=context.label_of(gold),
            fields=row[0].fields,
            probabilities=row[0].probabilities,
        )
        for gold, row in zip(golds, report.sittings, strict=True)
        if row[0].mark.value is not None
    ]


def jackknife(answers: Sequence[Answered], score: Scorer) -> float:
    """Return the variance of a score over draws of examples: grouped jackknife (Efron and Tibshirani 1993, chapter 11).

    Groups hold the labels in turn, so that leaving one out leaves all labels in.
    """
    ordered = sorted(answers, key=lambda a: a.label)
    groups = min(GROUPS, len(ordered))
    if groups < 2:
        return 0.0
    kept = [[i % groups != g for i in range(len(ordered))] for g in range(groups)]
    if isinstance(score, ExpectedScore):
        left_out = score.each(ordered, kept)
    else:
        left_out = [score(list(itertools.compress(ordered, part))) for part in kept]
    mean = sum(left_out) / groups
    return (groups - 1) / groups * sum((value - mean) ** 2 for value in left_out)


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
