"""Who and what one search works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.ledger.account import Account
from lbt_dspy.signatures import declared_type
from lbt_dspy.teleprompters.exemplars.metrics import Metric
from lbt_dspy.values import declared_label


@dataclass(frozen=True, kw_only=True)
class SearchContext:
    """Teacher, students, examiner and the task's fields; nothing in it changes."""

    examiner: Examiner
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    label_field: str
    labels: tuple[str, ...]
    input_fields: tuple[str, ...]
    forbidden: frozenset[tuple[str, ...]]
    """Inputs of validation examples, normalised: an exemplar must not be one of them."""
    metric: Metric
    """Of a set of answers."""
    soft: bool
    """Whether sittings say how probable each label was, and the metric can make use of it."""
    account: Account
    writing: Mapping[str, Any]
    """Sampling settings of the teacher's own texts."""
    seed: int

    @property
    def instructions(self) -> str:
        """What students are told to do."""
        return str(self.examiner.examined.signature.instructions)

    def label_of(self, example: dspy.Example) -> str:
        """Return the reference label of an example."""
        return declared_label(example[self.label_field], self.declared)

    @property
    def declared(self) -> Any:
        """Type of the label, as the predictor's signature has it."""
        return declared_type(self.examiner.examined.signature, self.label_field)

    def inputs_of(self, example: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the input texts, normalised for comparison."""
        return tuple(" ".join(str(example[name]).casefold().split()) for name in self.input_fields)
