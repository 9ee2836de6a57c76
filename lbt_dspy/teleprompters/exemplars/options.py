"""The numbers and choices of an exemplar search."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.grading import Grader, check_grader
from lbt_dspy.exam.students import check_students
from lbt_dspy.ledger.own import PaidBy
from lbt_dspy.teleprompters.exemplars.choices import (
    EvaluatorName,
    InitName,
    ReaderName,
    ScoringName,
    SearchName,
    check_options,
)
from lbt_dspy.teleprompters.exemplars.metrics import AnyMetric
from lbt_dspy.teleprompters.exemplars.searches.evaluators import Evaluator

if TYPE_CHECKING:
    from lbt_dspy.teleprompters.exemplars.records import Found
    from lbt_dspy.teleprompters.exemplars.task import Task

    Search = Callable[[Task], Found]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExemplarOptions(PaidBy):
    """What `LbTExemplars` is told; its docstring says what each means."""

    metric: AnyMetric
    exam_students: Sequence[dspy.LM | str]
    exemplars: int = 8
    rounds: int = 5
    search: SearchName | Search = "utility"
    init: InitName = "train"
    evaluations: int | None = None
    selection_examples: int = 400
    minibatch: int = 64
    reflections: int = 4
    cases_per_reflection: int = 4
    reflection_mix: int = 1
    typed_feedback: bool = False
    beam: int = 4
    max_new_sets: int = 8
    evaluator: EvaluatorName | Evaluator = "full"
    paraphrases: int = 0
    pool: int = 120
    draw: int | None = None
    storage: Any = None
    selection: ReaderName = "teacher"
    scoring: ScoringName = "auto"
    balance: bool = True
    label_field: str | None = None
    predictor: str | None = None
    grader: Grader | None = None
    adapter: dspy.Adapter | None = None
    config: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.0})
    writing: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 1.0})
    seed: int = 0

    def __post_init__(self) -> None:
        PaidBy.__post_init__(self)
        if not callable(self.metric):
            raise UserError(f"metric must be callable as metric(golds, predictions) but got {self.metric!r}")
        check_grader(self.grader)
        check_students(self.exam_students)
        if not self.exam_students:
            raise UserError("exam_students is empty; give at least one dspy.LM, for instance the teacher itself")
        defaults = {f.name: f.default for f in dataclasses.fields(ExemplarOptions)}
        values = {name: getattr(self, name) for name in defaults}
        check_options(values, defaults, hint="see the docstring of LbTExemplars for its default")
