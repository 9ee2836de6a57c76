"""What a student's answer is worth: the protocol of graders, and the default one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import dspy

from lbt_dspy.errors import LbTError, UserError
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


def check_grader(grader: object) -> None:
    """Raise `UserError` unless it is a grader, or `None`."""
    if grader is None:
        return
    if isinstance(grader, type):
        raise UserError(f"grader is the class {grader.__name__}; make one, e.g. ExactMatch('answer')")
    lacking = [name for name in ("grade", "key") if not callable(getattr(grader, name, None))]
    if lacking:
        named = getattr(grader, "__name__", type(grader).__name__)
        raise UserError(
            f"grader must be an object with grade(expected, output) -> Mark and key(output) but {named} has no "
            f"{lacking[0]}; e.g. ExactMatch('answer')"
        )


def graded(grader: Grader, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
    """Return a grader's mark.

    Raises:
        UserError: It raised, or what it gave is no mark: the grader is to be mended.
    """
    mark = _asked(grader.grade, expected, output)
    if not isinstance(mark, Mark):
        raise UserError(
            f"{type(grader).__name__}.grade must return a Mark but returned {str(mark)[:60]!r}; e.g. Mark(value=1.0)"
        )
    if mark.value is not None and not (isinstance(mark.value, int | float) and 0 <= mark.value <= 1):
        raise UserError(f"{type(grader).__name__}.grade must give marks in [0, 1], or None, but gave {mark.value!r}")
    return mark


def key_of(grader: Grader, output: Mapping[str, Any]) -> Hashable | None:
    """Return a grader's key of an answer.

    Raises:
        UserError: It raised, or what it gave cannot be compared.
    """
    key: Hashable | None = _asked(grader.key, output)
    try:
        hash(key)
    except TypeError:
        raise UserError(
            f"{type(grader).__name__}.key must return something hashable, such as a text, but returned {key!r}"
        ) from None
    return key


def _asked(ask: Callable[..., Any], *args: Any) -> Any:
    try:
        return ask(*args)
    except (LbTError, OSError, MemoryError):
        raise
    except Exception as error:  # a grader of the user's may raise anything
        raise UserError(
            f"the grader raised {type(error).__name__}: {str(error)[:100]} on {str(dict(args[-1]))[:100]}; it must not "
            "raise: return Mark(value=0.0, reason=...) for an answer that cannot be used"
        ) from error


def reference_of(grader: object) -> str | None:
    """Return the field of a grader's references; `None`: it does not say, or compares with none."""
    found = getattr(grader, "reference", None) or getattr(grader, "field", None)
    return str(found) if found else None
