"""Every prompt of the library."""

from __future__ import annotations

from typing import Any, Literal

import dspy

REFLECT_OUTPUT = "reflection"
REVISE_OUTPUT = "revised_exemplars"
LIST_OUTPUT = "written_exemplars"
UNREADABLE = "(unreadable)"
"""Stands for a student's answer that could not be read."""
MISTAKES = ("missed cue", "false cue", "label confusion", "off-topic")


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


class ReflectTyped(Reflect):
    """Exemplars were shown to students as worked examples of a task, and the students then failed on some cases.

    Give one reason why reading exactly these exemplars could have led to these mistakes: what do the exemplars teach
    wrongly, leave out or overstress? Speak of the exemplars, not of the students. Then name the kind of mistake:
    missed cue (a sign of the right answer was not seen), false cue (something else was taken for a sign), label
    confusion (two answers were mixed up), off-topic (the answer is none of the task's).
    """

    kind: Literal[MISTAKES] = dspy.OutputField(desc="the kind of mistake")  # type: ignore[valid-type]


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


class Generate(dspy.Signature):  # type: ignore[misc]
    """Write worked examples from which students can learn a task: varied, clear, and with right answers.

    Write the asked number of exemplars, each with exactly the given fields, with all answers as equally often as the
    number allows. The last field is the answer.
    """

    task: str = dspy.InputField(desc="the instruction that the students will follow")
    names: list[str] = dspy.InputField(desc="the fields of an exemplar")
    answers: list[str] = dspy.InputField(desc="the answers that there are")
    number: int = dspy.InputField(desc="how many exemplars to write")
    written_exemplars: list[dict[str, str]] = dspy.OutputField(desc="the exemplars")


class Paraphrase(dspy.Signature):  # type: ignore[misc]
    """Say each of these worked examples in other words, keeping its meaning, its fields and its answer."""

    task: str = dspy.InputField(desc="the instruction that the students follow")
    exemplars: list[dict[str, str]] = dspy.InputField(desc="the present exemplars")
    written_exemplars: list[dict[str, str]] = dspy.OutputField(desc="the same exemplars in other words")


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
