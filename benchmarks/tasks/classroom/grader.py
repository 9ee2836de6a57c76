"""Grades the classroom's answers: the answer and each step of the reasoning, with the first fault as the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import dspy
import numpy as np

from lbt_dspy.benchmarks.tasks.classroom.world import Procedure, calculate
from lbt_dspy.types import Mark

STEP = re.compile(r"([xyz]?)([-+*])([xyz]):(\d)([-+*])(\d)=(\d)")
"""Start (of the first step), operation, quantity: value, operation, digit = result."""


class StepsGrader:
    """Mark 1 when the answer is the reference's and each step leads to it soundly; else 0 with the first fault.

    A step is sound when it is calculated rightly from the question's digits and the step before. Where the reference
    has a reasoning, the procedure must be the reference's too, or one that is equal to it for all digits (`y+x` for
    `x+y`). For the answer alone there is `lbt_dspy.exam.grading.ExactMatch("answer")`.
    """

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Grade the fields `reasoning` and `answer` by the reference's `question`, `answer` and `reasoning`."""
        fault = self._fault(expected, output)
        return Mark(value=float(fault is None), reason=fault)

    def key(self, output: Mapping[str, Any]) -> str | None:
        """Return the answer's digit, `None` when it is none."""
        answer = str(output.get("answer", "")).strip()
        return answer if re.fullmatch("[0-9]", answer) else None

    def _fault(self, expected: dspy.Example, output: Mapping[str, Any]) -> str | None:
        answer = self.key(output)
        if answer is None:
            return f"the answer {output.get('answer')!r} is not a digit"
        fault = step_fault(str(expected.question), str(output.get("reasoning", "")), answer)
        if fault is None and "reasoning" in expected and not _same(str(expected.reasoning), str(output["reasoning"])):
            fault = "the procedure is not the skill's"
        if fault is None and answer != self.key(expected):
            fault = f"the answer is {answer}, not {expected.answer}"
        return fault


def step_fault(question: str, reasoning: str, answer: str) -> str | None:
    """Return the first thing that is wrong in a solution by itself, `None` when it is sound.

    Example:
        >>> step_fault("ba x3 y5 z2", "x+y:3+5=8;*z:8*2=5", "5")
        'step 2: 8*2 is 6, not 5'
    """
    digits = {name: int(digit) for name, digit in re.findall(r"([xyz])\s*(\d)", question)}
    value: int | None = None
    for number, step in enumerate(_plain(reasoning).split(";"), 1):
        match = STEP.fullmatch(step)
        if match is None or (match[1] == "") == (number == 1):
            return f"step {number}: {step!r} cannot be read"
        start, named, quantity, left, operation, right, result = match.groups()
        before = digits[start] if value is None else value
        if (int(left), operation, int(right)) != (before, named, digits[quantity]):
            return f"step {number}: {before}{named}{digits[quantity]} became {left}{operation}{right}"
        value = calculate(before, named, digits[quantity])
        if value != int(result):
            return f"step {number}: {left}{operation}{right} is {value}, not {result}"
    return None if str(value) == answer else f"the last step gives {value}, not {answer}"


def procedure_of(reasoning: str) -> Procedure:
    """Return the procedure of a reasoning whose steps can all be read."""
    steps = [STEP.fullmatch(step) for step in _plain(reasoning).split(";")]
    read = [match.groups() for match in steps if match is not None]
    return Procedure(start=read[0][0], steps=tuple((operation, quantity) for _, operation, quantity, *_ in read))


def _same(reasoning: str, other: str) -> bool:
    return bool(np.array_equal(procedure_of(reasoning).answers(), procedure_of(other).answers()))


def _plain(reasoning: str) -> str:
    return re.sub(r"\s+", "", reasoning)
