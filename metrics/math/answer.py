"""Grades answers to mathematics questions, and tells which of them are the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.metrics.math.extract import GAVE_UP, UNDETERMINED, final_answer
from lbt_dspy.metrics.math.key import key_of
from lbt_dspy.metrics.math.pool import KEPT_KEYS, LATE
from lbt_dspy.metrics.math.same import contradict, same, side
from lbt_dspy.types import Mark

RIGHT = Mark(value=1.0)
WRONG = Mark(value=0.0)
UNANSWERED = Mark(value=0.0, reason="no final answer found")
TOO_LONG = Mark(value=0.0, reason="took too long")


class _MathAnswer:
    r"""Grade the final answer that a text states against a reference.

    The answer is taken out of the text (the last `\boxed{}`, "the answer is ...", else the value of the last sentence)
    and read by Math-Verify in processes of its own. The same value in another exact form is right; so is one with
    units, currency, degree or percent signs (50% is 50 and 1/2), "am" or "pm", names (`x = 3, y = 4` is `(3,4)`),
    without the unit or the subscript of a base, or in other brackets, case or decoration. Not right are approximations,
    more or fewer solutions than the reference has, another unit of the same kind (5 m for 5 cm), expressions that are
    left to be worked out, and texts that loop or break off. A sum and a product, `(x+1)^2` and `x^2+2x+1`, are
    different: the problem asks for one of them. Thread-safe; never raises for a bad answer.

    >>> math_answer("2", "So the answer is $\\frac{4}{2}$ dollars.").value
    1.0
    >>> math_answer.key("\\boxed{2.0}")
    '2'
    """

    def __call__(self, expected: object, output: object) -> Mark:
        """Return mark 1 or 0; a 0 has a reason where no answer was found, or where reading it took too long.

        Args:
            expected: The reference answer alone, as data sets write it (LaTeX, text or a number).
            output: The whole text of a model, or an answer alone; `None` is no answer.
        """
        answer, reference = final_answer(_as_text(output)), _as_text(expected)
        if answer is None:
            return UNANSWERED
        return _compare(reference, answer) if reference else WRONG

    def key(self, output: object) -> Hashable | None:
        """Return the key of the final answer: equal keys are one answer, units aside; `None` if there is none."""
        answer = final_answer(_as_text(output))
        return None if answer is None else key_of(answer)


math_answer = _MathAnswer()


class MathAnswer:
    """Grader of exams: `math_answer` of one field.

    Args:
        field: Name of the output field, in answers and references alike.
    """

    def __init__(self, field: str = "answer") -> None:
        self.field = self.reference = field

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Compare the field with the reference.

        Raises:
            UserError: The program, or the reference, gives no such field.
        """
        return math_answer(self._value(expected), self._value(output))

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return the key of the field's answer.

        Raises:
            UserError: The program gives no such field.
        """
        return math_answer.key(self._value(output))

    def _value(self, output: Mapping[str, Any]) -> object:
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        return output[self.field]


@lru_cache(maxsize=KEPT_KEYS)
def _compare(expected: str, answer: str) -> Mark:
    expected = _bare(expected)
    gold, key = key_of(expected), key_of(answer)
    if gold is None or key is None:
        return WRONG if key else UNANSWERED
    reference, given = side(expected, gold), side(answer, key)
    if gold == key:
        return WRONG if contradict(reference, given) else RIGHT
    if key not in (GAVE_UP, UNDETERMINED) and same(reference, given):
        return RIGHT
    return TOO_LONG if key.startswith(LATE) or gold.startswith(LATE) else WRONG


def _bare(expected: str) -> str:
    r"""Return the reference without a \boxed{} around it, and without the solution before "####" (as GSM8K has it)."""
    expected = expected.rpartition("####")[2].strip() or expected
    return final_answer(expected) or expected if "boxed" in expected else expected


def _as_text(value: object) -> str:
    return "" if value is None else str(value)
