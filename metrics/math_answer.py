"""Grades answers to mathematics questions, and tells which of them are the same."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.metrics.math_extract import GAVE_UP, final_answer
from lbt_dspy.metrics.math_key import key_of
from lbt_dspy.metrics.math_normal import number, plain
from lbt_dspy.metrics.math_pool import KEPT_KEYS, LATE
from lbt_dspy.types import Mark

RIGHT = Mark(value=1.0)
WRONG = Mark(value=0.0)
UNANSWERED = Mark(value=0.0, reason="no final answer found")
TOO_LONG = Mark(value=0.0, reason="took too long")


class _MathAnswer:
    r"""Grade the final answer that a text states against a reference.

    The answer is taken out of the text (the last `\boxed{}`, "the answer is ...", else the value of the last sentence)
    and read by Math-Verify in processes of its own. The same value in another exact form is right; so is one with
    units, currency, degree or percent signs or `x =`, without the unit or the subscript of a base, or in other
    brackets or case. Not right are approximations, more or fewer solutions than the reference has, expressions that are
    left to be worked out, and texts that loop or break off. Thread-safe; never raises for a bad answer.

    >>> math_answer("2", "So the answer is $\\frac{4}{2}$ dollars.").value
    1.0
    >>> math_answer.key("\\boxed{2.0}")
    '2'
    """

    def __call__(self, expected: str, output: str) -> Mark:
        """Return mark 1 or 0; a 0 has a reason where no answer was found, or where reading it took too long.

        Args:
            expected: The reference answer alone, as data sets write it (LaTeX or text).
            output: The whole text of a model, or an answer alone.
        """
        answer = final_answer(output) if output else None
        if answer is None:
            return UNANSWERED
        return _compare(expected, answer) if expected else WRONG

    def key(self, output: str) -> Hashable | None:
        """Return the key of the final answer: equal keys are the same answer; `None` where there is none."""
        answer = final_answer(output) if output else None
        return None if answer is None else key_of(answer)


math_answer = _MathAnswer()


class MathAnswer:
    """Grader of exams: `math_answer` of one field.

    Args:
        field: Name of the output field, in answers and references alike.
    """

    def __init__(self, field: str = "answer") -> None:
        self.field = field

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Compare the field with the reference.

        Raises:
            UserError: The program, or the reference, gives no such field.
        """
        return math_answer(self._text(expected), self._text(output))

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return the key of the field's answer.

        Raises:
            UserError: The program gives no such field.
        """
        return math_answer.key(self._text(output))

    def _text(self, output: Mapping[str, Any]) -> str:
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        value = output[self.field]
        return "" if value is None else str(value)


@lru_cache(maxsize=KEPT_KEYS)
def _compare(expected: str, answer: str) -> Mark:
    gold, key = key_of(_bare(expected)), key_of(answer)
    if gold is None or key is None:
        return WRONG if key else UNANSWERED
    if gold == key or (key != GAVE_UP and any(same(expected, gold, answer, key) for same in _LENIENT)):
        return RIGHT
    return TOO_LONG if key.startswith(LATE) or gold.startswith(LATE) else WRONG


def _bare(expected: str) -> str:
    r"""Return the reference without a \boxed{} around it."""
    return final_answer(expected) or expected if "boxed" in expected else expected


def _without_base(expected: str, gold: str, answer: str, key: str) -> bool:
    return re.fullmatch(r"\w+_\d+", gold) is not None and gold.split("_")[0] == key


def _as_percentage(expected: str, gold: str, answer: str, key: str) -> bool:
    value, reference = number(key), number(gold)
    if value is None or reference is None or "%" not in answer:
        return False
    return value == 100 * reference or 100 * value == reference


def _with_unit(expected: str, gold: str, answer: str, key: str) -> bool:
    """One letter after a number may be a unit or a variable; where the reference is a number it is a unit."""
    unit = re.fullmatch(r"(.*\d)\s*[gmshLltNJWVCFK]", plain(answer))
    return unit is not None and number(gold) is not None and number(unit[1]) == number(gold)


def _same_words(expected: str, gold: str, answer: str, key: str) -> bool:
    """A name or word may stand first or last in a sentence."""
    if not gold.startswith('"') or not key.startswith('"'):
        return False
    word, sentence = re.escape(gold.strip('"')), key.strip('"')
    first = re.match(rf"{word}(?!\w)(?! (?:or|and)\b)", sentence)
    return first is not None or re.search(rf"(?<!\bnot)(?<!\bor)(?<!\bnor)(?<!\band) {word}$", sentence) is not None


def _same_letter(expected: str, gold: str, answer: str, key: str) -> bool:
    return (
        re.fullmatch(r"\([A-H]\)", gold) is not None
        and re.search(rf"(?<!\w){re.escape(gold)}$", plain(answer)) is not None
    )


def _unbracketed(expected: str, gold: str, answer: str, key: str) -> bool:
    """The coordinates of a point may stand without their brackets."""
    return gold.startswith("(") and gold.endswith(")") and "," in answer and key_of(f"({answer})") == gold


_LENIENT = (_without_base, _as_percentage, _with_unit, _same_words, _same_letter, _unbracketed)
