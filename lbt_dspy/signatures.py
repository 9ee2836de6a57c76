"""Every prompt of the library."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
from collections.abc import Sequence
from typing import Any, Literal

import dspy

REFLECT_OUTPUT = "reflection"
REVISE_OUTPUT = "revised_exemplars"
LIST_OUTPUT = "written_exemplars"
UNREADABLE = "(unreadable)"
"""Stands for a student's answer that could not be read."""
MISTAKES = ("missed cue", "false cue", "label confusion", "off-topic")
TAKEN = {"completed", "config", "demos", "lm", "new_signature", "prediction", "self"}
"""Names that DSPy's adapters and modules use themselves, beside the attributes of its classes."""


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


class SolveProblem(dspy.Signature):  # type: ignore[misc]
    """Solve the mathematical problem.

    The reasoning is a worked solution from which someone else could learn to solve such problems. The answer is the
    final result alone, as simple as it can be, in LaTeX where it needs that.
    """

    question: str = dspy.InputField()
    answer: str = dspy.OutputField(desc="the final result alone")


class WriteProgram(dspy.Signature):  # type: ignore[misc]
    """Solve the programming problem in Python.

    The reasoning is a plan from which someone else could learn to solve such problems: the idea, why it is right, and
    what it costs. The program is complete: with its imports, and with the names that the problem asks for.
    """

    question: str = dspy.InputField(desc="the problem, with the code to start from where there is some")
    program: str = dspy.OutputField(desc="the Python program alone, without tests or explanations")


REPAIR = """A program that was written for this task has failed a test. Find its mistake, and write it anew.

The reasoning is the corrected plan, as if it were the first one. The program is complete, not only what has changed.
The task was:

"""


def repairing(signature: type[dspy.Signature]) -> type[dspy.Signature]:
    """Return the signature that mends what another one's program did wrong: its fields, and three more inputs.

    Args:
        signature: Writes a program.
    """
    more = {
        "failed_program": "the program that was written",
        "failed_test": "the test that it failed",
        "error": "what came of that test",
    }
    for name, desc in more.items():
        signature = signature.append(name, dspy.InputField(desc=desc), str)
    return signature.with_instructions(REPAIR + signature.instructions)  # type: ignore[no-any-return]


def classification(
    question: str, labels: tuple[str, ...], *, text_field: str | Sequence[str] = "text", label_field: str = "label"
) -> type[dspy.Signature]:
    """Return the signature of a classification task.

    Args:
        question: The task's question; it becomes the instruction.
        labels: The allowed answers, two or more.
        text_field: Name of the input field, or names of several.
        label_field: Name of the output field.

    A name that cannot be one of a signature's, such as `Review Text`, is changed as `field_names` says.
    """
    texts = (text_field,) if isinstance(text_field, str) else tuple(text_field)
    names = field_names((*texts, label_field))
    fields: dict[str, Any] = {names[text]: (str, dspy.InputField()) for text in texts}
    fields[names[label_field]] = (Literal[labels], dspy.OutputField())
    return dspy.Signature(fields, question)  # type: ignore[no-any-return]


def declared_type(signature: type[dspy.Signature], field: str) -> Any:
    """Return the type of an output field; `str` where the signature has no such field."""
    return signature.output_fields[field].annotation if field in signature.output_fields else str


def field_names(columns: Sequence[str]) -> dict[str, str]:
    """Return the name of each column's field in a signature: its own where it may be one, else one made from it.

    Args:
        columns: Different names of any kind, e.g. `("Review Text", "label")`.

    Returns:
        Column to field, all fields different, e.g. `{"Review Text": "review_text", "label": "label"}`.
    """
    names = {column: column for column in columns if _may_be_field(column)}
    for column in columns:
        if column not in names:
            plain = re.sub(r"\W+", "_", column).strip("_").lower() or "field"
            tries = (plain, f"{plain}_field", f"field_{plain}", *(f"field_{i}" for i in range(len(columns) + 1)))
            names[column] = next(name for name in tries if _may_be_field(name) and name not in names.values())
    return names


@functools.cache
def _may_be_field(name: str) -> bool:
    of_dspy = hasattr(dspy.Signature, name) or hasattr(dspy.Example, name)
    arguments = inspect.signature(dspy.Example.__init__).parameters
    usable = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    return usable and not of_dspy and name not in TAKEN and name not in arguments
