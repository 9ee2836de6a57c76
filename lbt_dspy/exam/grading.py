"""What a student's answer is worth: the protocol of graders, and the default one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.types import Mark


class Grader(Protocol):
    """Grades answers. Thread-safe; never raises for a bad answer."""

    field: str
    """The output field that is graded: the answer, where a program is not told which it is."""
    reference: str
    """The field of `expected` with what answers are compared with; often the same. Exam problems must have it."""

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Return the mark, in [0, 1], of the output fields of one sitting; `expected` holds the reference."""

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return a key such that equal keys are the same answer; `None` is the same as no other answer."""


class ExactMatch:
    """Mark 1 when one output field equals the reference, case and surrounding space aside; else 0.

    Args:
        field: Name of the output field, in answers and references alike.
    """

    def __init__(self, field: str) -> None:
        self.field = self.reference = field

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Compare the field with the reference."""
        return Mark(value=float(self.key(output) == self.key(expected) is not None))

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return the field's plain text, `None` when it is empty.

        Raises:
            UserError: The program gives no such field.
        """
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        return str(output[self.field]).strip().casefold() or None


def reference_of(grader: object) -> str | None:
    """Return the field of a grader's references; `None`: it does not say, or compares with none."""
    found = getattr(grader, "reference", None) or getattr(grader, "field", None)
    return str(found) if found else None
