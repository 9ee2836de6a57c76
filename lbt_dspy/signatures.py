"""Every prompt of the library."""

from __future__ import annotations

from typing import Any, Literal

import dspy

REFLECT_OUTPUT = "reflection"
REVISE_OUTPUT = "revised_exemplars"


class Reflect(dspy.Signature):  # type: ignore[misc]
    """Exemplars were shown to students as worked examples of a task, and the students then failed on some cases.

    Give one reason why reading exactly these exemplars could have led to these mistakes: what do the exemplars teach
    wrongly, leave out or overstress? Speak of the exemplars, not of the students.
    """

    task: str = dspy.InputField(desc="the instruction that the students followed")
    exemplars: list[dict[str, str]] = dspy.InputField(desc="what the students read")
    failure_cases: list[dict[str, dict[str, str]]] = dspy.InputField(
        desc="inputs, the right answer, and what students answered instead"
    )
    reflection: str = dspy.OutputField(desc="the reason, in one to three sentences")


class Revise(dspy.Signature):  # type: ignore[misc]
    """Exemplars are shown to students as worked examples of a task. Write a better list of exemplars.

    Use the reflection on why the present exemplars led to failures. Write the asked number of exemplars, each with
    exactly the fields of the present ones and a right answer; keep good ones, replace or rewrite others, and keep the
    answers balanced.
    """

    task: str = dspy.InputField(desc="the instruction that the students follow")
    exemplars: list[dict[str, str]] = dspy.InputField(desc="the present exemplars")
    failure_cases: list[dict[str, dict[str, str]]] = dspy.InputField(
        desc="inputs, the right answer, and what students answered instead"
    )
    reflection: str = dspy.InputField(desc="why the present exemplars could have led to these failures")
    number: int = dspy.InputField(desc="how many exemplars to write")
    revised_exemplars: list[dict[str, str]] = dspy.OutputField(desc="the new list")


def classification(
    question: str, labels: tuple[str, ...], *, text_field: str = "text", label_field: str = "label"
) -> type[dspy.Signature]:
    """Return the signature of a classification task.

    Args:
        question: The task's question; it becomes the instruction.
        labels: The allowed answers, two or more.
        text_field: Name of the input field.
        label_field: Name of the output field.
    """
    fields: dict[str, Any] = {
        text_field: (str, dspy.InputField()),
        label_field: (Literal[labels], dspy.OutputField()),
    }
    return dspy.Signature(fields, question)  # type: ignore[no-any-return]
