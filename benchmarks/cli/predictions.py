"""The answers of a compiled program on the rows of a file, and how good they are where the rows have labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dspy

from lbt_dspy.benchmarks.m3.runs import meant_label
from lbt_dspy.benchmarks.shared.format import METRIC_NAMES, dollars, interval
from lbt_dspy.benchmarks.shared.program_record import ProgramRecord
from lbt_dspy.benchmarks.tasks.classification.own_data import class_key, texts_of
from lbt_dspy.benchmarks.tasks.classification.own_program import TrainedProgram, program_for
from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask, plain_texts
from lbt_dspy.benchmarks.tasks.tables import Row, cell_text
from lbt_dspy.errors import UserError
from lbt_dspy.exam.predictors import Predicted, Predictor
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.metrics.labels import Accuracy, default_metric
from lbt_dspy.metrics.statistics import LabelledRuns, paired_bootstrap


class Answer(NamedTuple):
    """What the program said of one row."""

    label: str | None = None
    """`None`: unreadable, not measured, or no text."""
    measured: bool = False


NO_TEXT = Answer()


def compiled_program(record: ProgramRecord, state: Mapping[str, Any], path: str, spec: str | None) -> TrainedProgram:
    """Return the program of a saved state, without the teacher.

    Raises:
        UserError: The state is of a program of the user's own that is not given, or of another one.
    """
    if spec is None and record.program is not None:
        raise UserError(f"{path} was compiled from a program of your own; give it with --program {record.program}")
    trained = program_for(record.task, spec, record.predictor)
    own = {name: predictor.lm for name, predictor in trained.program.named_predictors()}
    try:
        trained.program.load_state(dict(state))
    except Exception as error:  # DSPy raises many kinds
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        raise UserError(f"{path} does not fit the program {spec or 'that it names'} ({reason})") from None
    for name, predictor in trained.program.named_predictors():
        predictor.lm = own[name]
    return trained


class RowPredictor:
    """Asks a program about the texts of a file's rows; a row without text is not asked.

    Args:
        trained: The program, with its LMs.
        task: Its task.
        teacher: The LM of the predictor that has learned.
        rows: The rows.
        name: Of that file, for messages.

    Raises:
        UserError: A text field of a row holds no text.
    """

    def __init__(
        self, trained: TrainedProgram, task: ClassificationTask, teacher: dspy.LM, rows: Sequence[Row], name: str
    ) -> None:
        self._trained, self._task, self._teacher = trained, task, teacher
        self._texts = [texts_of(row, task.text_fields, f"row {i} of {name}") for i, row in enumerate(rows, 1)]
        self._asked = [task.example(texts, "") for texts in self._texts if any(plain_texts(texts))]

    @property
    def calls(self) -> int:
        """How many calls are made if none fails and none was made before."""
        return self._predictor(None).calls(self._asked)

    def ask(self, ledger: Ledger) -> list[Answer]:
        """Return one answer per row.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
        """
        return self._by_row(self._predictor(ledger).predict(self._asked))

    def known(self, ledger: Ledger) -> list[Answer]:
        """Return what was already answered when `ask` was stopped; no call is made."""
        return self._by_row(self._predictor(ledger).known(self._asked))

    def _predictor(self, ledger: Ledger | None) -> Predictor:
        return Predictor(self._trained.program, self._teacher, predictor=self._trained.predictor, ledger=ledger)

    def _by_row(self, found: Sequence[Predicted]) -> list[Answer]:
        answers = iter(found)
        return [self._answer(next(answers)) if any(plain_texts(texts)) else NO_TEXT for texts in self._texts]

    def _answer(self, found: Predicted) -> Answer:
        return Answer(meant_label(found.fields, self._task), found.measured)


class Report:
    """What is said of a prediction when it is done."""

    def __init__(
        self, task: ClassificationTask, rows: Sequence[Row], answers: Sequence[Answer], ledger: Ledger
    ) -> None:
        self._task, self._rows, self._answers, self._ledger = task, rows, answers, ledger

    def text(self) -> str:
        """Return counts, and where rows have labels F1 and accuracy with intervals."""
        return "\n".join([self._counts(), *self._scores()])

    def _counts(self) -> str:
        predicted = sum(a.label is not None for a in self._answers)
        unreadable = sum(a.measured and a.label is None for a in self._answers)
        empty = sum(not any(plain_texts(texts_of(row, self._task.text_fields, ""))) for row in self._rows)
        lost = len(self._answers) - predicted - unreadable - empty
        journal = self._ledger.journal
        cost = dollars(None if journal.unpriced() else journal.spent())
        counts = f"{predicted} predicted, {unreadable} unreadable, {lost} not measured, {empty} without text"
        return f"{len(self._rows)} rows: {counts}; {journal.sent():,} calls, cost {cost}"

    def _scores(self) -> list[str]:
        golds = [cell_text(row.get(self._task.label_field)) or "" for row in self._rows]
        if not any(golds):
            return []
        meant = {class_key(label): label for label in self._task.labels}
        pairs = [
            (meant[class_key(gold)], answer)
            for gold, answer in zip(golds, self._answers, strict=True)
            if class_key(gold) in meant
        ]
        left_out = sum(bool(gold.strip()) for gold in golds) - len(pairs)
        notes = [f"{left_out} rows have a label that is none of the program's: in no score"] if left_out else []
        if not any(answer.measured for _, answer in pairs):
            return notes
        runs = LabelledRuns(answers=[[a.label for _, a in pairs]], measured=[[a.measured for _, a in pairs]])
        task, values = self._task, []
        for metric in (default_metric(task.labels, task.positive, task.output), Accuracy(task.labels)):
            found = paired_bootstrap([gold for gold, _ in pairs], {"": runs}, metric)[0][""]
            name = METRIC_NAMES.get(metric.name, metric.name)
            name += f" (of {task.positive!r})" if metric.name == "f1" else ""
            values.append(f"{name} {interval(found.value, (found.low, found.high))}")
        measured = sum(answer.measured for _, answer in pairs)
        return [f"{', '.join(values)} in %, on {measured} rows with a label", *notes]
