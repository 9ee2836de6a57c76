"""The numbers and choices of an exemplar search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.exam.grading import Grader
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.teleprompters.exemplar_search.evaluators import EVALUATORS

Metric = Callable[[Sequence[dspy.Example], Sequence[dspy.Prediction | None]], float]
"""Set-level: `metric(golds, predictions)`, higher is better; `None` in predictions is an unreadable answer."""

SEARCHES = ("beam", "utility", "tpe")
INITS = ("train", "generate")
BOUNDS = {
    "exemplars": 1, "rounds": 0, "beam": 1, "minibatch": 1, "selection_examples": 1, "reflections": 1,
    "cases_per_reflection": 1, "max_new_sets": 1, "reflection_mix": 1, "paraphrases": 0, "pool": 2, "draw": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class ExemplarOptions:
    """What `LbTExemplars` is told; its docstring says what each means."""

    metric: Metric
    exam_students: Sequence[dspy.LM]
    exemplars: int = 8
    rounds: int = 5
    search: str = "utility"
    init: str = "train"
    evaluations: int | None = None
    selection_examples: int = 400
    minibatch: int = 64
    reflections: int = 4
    cases_per_reflection: int = 4
    reflection_mix: int = 1
    typed_feedback: bool = False
    beam: int = 4
    max_new_sets: int = 8
    evaluator: str = "full"
    paraphrases: int = 0
    pool: int = 240
    draw: int = 50
    storage: Any = None
    selection: str = "teacher"
    balance: bool = True
    label_field: str | None = None
    predictor: str | None = None
    grader: Grader | None = None
    adapter: dspy.Adapter | None = None
    config: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.0})
    writing: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 1.0})
    ledger: Ledger | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.metric):
            raise UserError(f"metric must be callable as metric(golds, predictions) but got {self.metric!r}")
        if not self.exam_students:
            raise UserError("exam_students is empty; give at least one dspy.LM, for instance the teacher itself")
        check_choice("search", self.search, SEARCHES)
        check_choice("init", self.init, INITS)
        check_choice("evaluator", self.evaluator, tuple(EVALUATORS))
        check_choice("selection", self.selection, ("teacher", "students"))
        for name, least in BOUNDS.items():
            check_at_least(name, getattr(self, name), least, "see the docstring of LbTExemplars for its default")
        if self.evaluations is not None:
            check_at_least("evaluations", self.evaluations, 1, "leave it out for the default")
        self._check_together()

    def _check_together(self) -> None:
        """Refuse options that the chosen search would silently ignore."""
        for name, default, search in (
            ("evaluator", "full", "beam"), ("paraphrases", 0, "beam"), ("storage", None, "tpe"),
        ):  # fmt: skip
            if self.search != search and getattr(self, name) != default:
                raise UserError(f"{name} needs search={search!r} but got search={self.search!r}; leave one of them out")
        if self.search == "utility" and self.exemplars > self.pool:
            raise UserError(
                f"pool must be at least the {self.exemplars} exemplars of a set but got {self.pool}; give more"
            )
