"""What a student's answer is worth: the protocol of graders, and the default one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.types import Mark
from lbt_dspy.values import plain_value, same_value


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
    """Mark 1 when one output field equals the reference; else 0.

    Texts are equal but for case and surrounding space. Values of other types (`answer: float`, Enums, lists, models of
    pydantic) are compared as such; the reference may be written in another way: 42, "42" and 42.0 are one `float`.

    Args:
        field: Name of the output field, in answers and references alike.
    """

    def __init__(self, field: str) -> None:
        self.field = self.reference = field

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Compare the field with the reference."""
        is_right = self.key(output) is not None and same_value(expected[self.field], output[self.field])
        return Mark(value=float(is_right))

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return a text that is equal for equal values of the field, `None` when that is empty.

        Raises:
            UserError: The program gives no such field.
        """
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        return plain_value(output[self.field]) or None


def reference_of(grader: object) -> str | None:
    """Return the field of a grader's references; `None`: it does not say, or compares with none."""
    found = getattr(grader, "reference", None) or getattr(grader, "field", None)
    return str(found) if found else None
