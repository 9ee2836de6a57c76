"""The comparison of methods on one task: every row on the same held-out examples, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from lbt_dspy.benchmarks.m3.settings import SEARCH, SearchSettings
from lbt_dspy.benchmarks.tasks.classification.data import LabelledData
from lbt_dspy.benchmarks.tasks.classification.own_program import TrainedProgram
from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.metrics.labels import default_metric
from lbt_dspy.metrics.statistics import LabelledRuns
from lbt_dspy.teleprompters.exemplars.moves import random_set
from lbt_dspy.teleprompters.exemplars.optimizer import LbTExemplars
from lbt_dspy.teleprompters.exemplars.records import ExemplarSearch, ExemplarSet, ScoredSet, churn, led_by
from lbt_dspy.teleprompters.exemplars.searches.study import study_record
from lbt_dspy.types import Exam, ExamProblem, ExamReport
from lbt_dspy.values import plain_label

RANDOM_DRAWS = 20


@dataclass
class SearchRow:
    """What one method did, in all of its runs."""

    name: str
    account: Account = field(default_factory=Account)
    reports: list[ExamReport] = field(default_factory=list)
    """Held-out exams: one per run (seed; for `random` also per draw)."""
    seeds: list[int] = field(default_factory=list)
    """The seed of each report."""

    def add(self, seed: int, report: ExamReport) -> None:
        """Take a held-out exam."""
        self.seeds.append(seed)
        self.reports.append(report)


@dataclass
class Comparison:
    """All rows of a run, filled seed by seed; what is there after a stop is complete per seed and row."""

    rows: dict[str, SearchRow] = field(default_factory=dict)
    searches: list[dict[str, Any]] = field(default_factory=list)
    """The record of every search, round by round, with the held-out F1 of the best set of each round."""
    by_round: dict[tuple[str, int], SearchRow] = field(default_factory=dict)
    """By M3 row and round: the best set of that round on the held-out examples."""
    best: tuple[ExemplarSearch, str] | None = None
    """The search of the last M3 row with the best selection score over seeds, and from where it is."""

    def row(self, name: str) -> SearchRow:
        """Return the row of a name, new if need be."""
        return self.rows.setdefault(name, SearchRow(name))


class Runner:
    """Runs the rows of one task.

    Args:
        settings: What was asked.
        data: The examples.
        trained: The program, with its LMs.
        teacher: Is optimised and evaluated.
        students: Sit the exams.
        ledger: Pays.
        tell: Is told what is being done.
        storage: Where `tpe` keeps its studies.
    """

    def __init__(
        self,
        settings: SearchSettings,
        data: LabelledData,
        trained: TrainedProgram,
        teacher: dspy.LM,
        students: Sequence[dspy.LM],
        ledger: Ledger,
        tell: Callable[[str], None],
        storage: str | None = None,
    ) -> None:
        self.settings = settings
        self.data = data
        self.teacher = teacher
        self.students = tuple(students)
        self.ledger = ledger
        self.tell = tell
        self.storage = storage
        self.metric = default_metric(data.task.labels, data.task.positive, data.task.output)
        self.trained = trained
        self.program = trained.program
        self.problems = [ExamProblem(example=example) for example in data.test]

    def run(self, comparison: Comparison) -> None:
        """Fill the comparison."""
        for seed in self.settings.seeds:
            self._zero(comparison, seed)
            self._random(comparison, seed)
            searches = [self._search(comparison, seed, name, lms) for name, lms in self.groups()]
            self._random_search(comparison, seed, searches[-1])

    def groups(self) -> list[tuple[str, tuple[dspy.LM, ...]]]:
        """Return the M3 rows with their exam students."""
        groups: list[tuple[str, tuple[dspy.LM, ...]]] = [("m3-self", (self.teacher,))]
        if self.students:
            groups.append(("m3-one", self.students[:1]))
        if len(self.students) > 1:
            groups.append(("m3-several", self.students))
        return groups

    def _zero(self, comparison: Comparison, seed: int) -> None:
        self.tell(f"seed {seed}: zero")
        row = comparison.row("zero")
        row.add(seed, self._held_out([()], seed, row.account)[0])

    def _random(self, comparison: Comparison, seed: int) -> None:
        self.tell(f"seed {seed}: random")
        row = comparison.row("random")
        draws = [drawn.exemplars for drawn in self._random_sets(seed, RANDOM_DRAWS)]
        for report in self._held_out(draws, seed, row.account):
            row.add(seed, report)

    def _search(self, comparison: Comparison, seed: int, name: str, students: tuple[dspy.LM, ...]) -> ExemplarSearch:
        self.tell(f"seed {seed}: {name}")
        optimizer = self.optimizer(seed, students)
        found = optimizer.optimize(self.program, trainset=self.data.train)
        row = comparison.row(name)
        for (role, lm), calls in found.calls.items():
            row.account.calls[role, lm] += calls
        row.account.cost = None if row.account.cost is None or found.cost is None else row.account.cost + found.cost
        row.add(seed, self._held_out([found.best.exemplar_set.exemplars], seed, row.account)[0])
        bests = [r.beam[0].exemplar_set.exemplars for r in found.rounds]
        if name == "m3-self":
            start = comparison.row("round-0")
            start.add(seed, self._held_out(bests[:1], seed, start.account)[0])
        values = self._by_round(comparison, seed, name, found, bests)
        changed = churn(found.rounds)
        comparison.searches.append(
            {
                "name": name,
                "seed": seed,
                "rounds": [
                    {**r.as_dict(), "churn": changed[i], "held_out_f1": values[i]} for i, r in enumerate(found.rounds)
                ],
                "led_by": led_by(found.rounds),
                "exemplars": [e.toDict() for e in found.best.exemplar_set.exemplars],
                "values": [value.as_dict() for value in found.values],
                "study": study_record(found.study),
            }
        )
        if name == self.groups()[-1][0] and (comparison.best is None or found.best.rank > comparison.best[0].best.rank):
            comparison.best = (found, f"{name}, seed {seed}")
        return found

    def _by_round(
        self,
        comparison: Comparison,
        seed: int,
        name: str,
        found: ExemplarSearch,
        bests: Sequence[tuple[dspy.Example, ...]],
    ) -> list[float | None]:
        """Measure the best set of each round on the held-out examples; these calls belong to no row of the table."""
        reports = self._held_out(bests, seed, Account())
        for r, report in zip(found.rounds, reports, strict=True):
            comparison.by_round.setdefault((name, r.number), SearchRow(name)).add(seed, report)
        return [self._f1(report) for report in reports]

    def _random_search(self, comparison: Comparison, seed: int, search: ExemplarSearch) -> None:
        """Score random sets on the same selection examples with as many calls as the last M3 search took in all."""
        self.tell(f"seed {seed}: random-search")
        row = comparison.row("random-search")
        optimizer = self.optimizer(seed, (self.teacher,))
        each = min(self.settings.selection_examples, len(self.data.train))
        calls = sum(search.calls.values()) if search.shared_calls is None else search.shared_calls
        sets = self._random_sets(seed, max(1, calls // each))
        scored = optimizer.score_sets(self.program, sets, trainset=self.data.train, account=row.account)
        best: ScoredSet = max(scored, key=lambda s: s.rank)
        row.add(seed, self._held_out([best.exemplar_set.exemplars], seed, row.account)[0])

    def optimizer(self, seed: int, students: tuple[dspy.LM, ...]) -> LbTExemplars:
        """Return the optimiser of one row and seed."""
        return LbTExemplars(
            metric=self.metric, exam_students=students, label_field=self.data.task.output,
            predictor=self.trained.predictor, ledger=self.ledger, seed=seed,
            storage=self.storage if self.settings.search == "tpe" else None,
            **{name: getattr(self.settings, name) for name in SEARCH},
        )  # fmt: skip

    def _random_sets(self, seed: int, count: int) -> list[ExemplarSet]:
        label = self.data.task.output
        return [
            random_set(self.data.train, self.settings.exemplars, lambda e: str(e[label]), seed, i) for i in range(count)
        ]

    def _held_out(self, materials: Sequence[tuple[dspy.Example, ...]], seed: int, account: Account) -> list[ExamReport]:
        examiner = Examiner(
            self.program, predictor=self.trained.predictor, grader=ExactMatch(self.data.task.output),
            ledger=self.ledger, config={"temperature": 0.0}, seed=seed,
        )  # fmt: skip
        exams = [Exam(material=material, problems=self.problems) for material in materials]
        return [r[0] for r in examiner.examine(exams, [self.teacher], role="teacher", account=account)]

    def _f1(self, report: ExamReport) -> float | None:
        golds, answers, measured = labels_of(report, self.data)
        kept = [(gold, answer) for gold, answer, m in zip(golds, answers, measured, strict=True) if m]
        return float(self.metric.of_confusion(self.metric.one_hot(kept).sum(axis=0))) if kept else None


def labels_of(report: ExamReport, data: LabelledData) -> tuple[list[str], list[str | None], list[bool]]:
    """Return references, answers (`None`: unreadable, or none of the labels) and whether each was measured."""
    golds = [str(example[data.task.output]) for example in data.test]
    return golds, answers_of(report, data.task), [row[0].mark.value is not None for row in report.sittings]


def row_runs(row: SearchRow, data: LabelledData) -> LabelledRuns:
    """Return the answers of a row's runs, for the statistics."""
    read = [labels_of(report, data) for report in row.reports]
    return LabelledRuns(answers=[answers for _, answers, _ in read], measured=[measured for _, _, measured in read])


def answers_of(report: ExamReport, task: ClassificationTask) -> list[str | None]:
    """Return the label that each answer of an exam means; `None`: unreadable, or none of the labels."""
    return [meant_label(row[0].fields, task) for row in report.sittings]


def meant_label(fields: Mapping[str, object] | None, task: ClassificationTask) -> str | None:
    """Return the label that an answer means; `None`: unreadable, or none of the labels."""
    meant = {plain_label(label): label for label in task.labels}
    return None if fields is None else meant.get(plain_label(str(fields[task.output])))
