"""Is what was given of the right shape? Asked before any call is paid for, and answered in one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import dspy

from lbt_dspy.dspy_private import default_inputs, input_names
from lbt_dspy.errors import UserError
from lbt_dspy.types import Exam, ExamProblem

SHOWN = 60


def check_program(program: object) -> None:
    """Raise `UserError` unless it is a DSPy program."""
    if isinstance(program, type):
        raise UserError(f"the program is the class {program.__name__}; make one, e.g. {program.__name__}()")
    if not isinstance(program, dspy.Module):
        raise UserError(
            f"the program must be a dspy.Module but is {shown(program)}; e.g. dspy.Predict('text -> label')"
        )


def check_lms(students: object) -> None:
    """Raise `UserError` unless they are LMs."""
    for student in _listed("students", students):
        if not isinstance(student, dspy.LM):
            raise UserError(
                f"students must be dspy.LM objects but one is {shown(student)}; LMRoles().lms([...]) takes names"
            )


def check_exams(exams: object) -> None:
    """Raise `UserError` unless they are exams, each with problems."""
    for exam in _listed("exams", exams):
        if not isinstance(exam, Exam):
            raise UserError(
                f"exams must be Exam objects but one is {shown(exam)}; e.g. Exam(material=(), problems=[...])"
            )
        _listed("the problems of an exam", exam.problems)


def check_examples(name: str, examples: object) -> None:
    """Raise `UserError` unless they are examples that say which of their fields are inputs.

    Args:
        name: Of what was given.
        examples: What was given.
    """
    for example in _listed(name, examples):
        if not isinstance(example, dspy.Example):
            raise UserError(
                f"{name} must hold dspy.Example objects but one is {shown(example)}; make it one, e.g. "
                "dspy.Example(text=..., label=...).with_inputs('text')"
            )
        if not input_names(example):
            raise UserError(f"an example of {name} does not say which fields are inputs; call .with_inputs(...) on it")


def check_problem(problem: object, program: dspy.Module, asked: dspy.Predict | None, answer: str | None) -> None:
    """Raise `UserError` unless an exam problem has what the program is called with, and the answer.

    Args:
        problem: What was given.
        program: What it is asked of.
        asked: The predictor, where it is the whole program.
        answer: The field of the reference answer; `None`: not known.
    """
    if not isinstance(problem, ExamProblem) or not isinstance(problem.example, dspy.Example):
        raise UserError(f"an exam problem must be an ExamProblem(example=dspy.Example(...)) but is {shown(problem)}")
    example = problem.example
    given = {name for name in input_names(example) or () if name in example}
    if asked is not None:
        lacking = next((name for name in _needed(asked.signature) if name not in given), None)
        if lacking is not None:
            raise UserError(
                f"the exam problem {_start(example)!r} has no input {lacking!r}; give it this field and name it in "
                "with_inputs(...)"
            )
    else:
        _check_call(program, {name: example[name] for name in given}, _start(example))
    if answer is not None and answer not in example:
        raise UserError(f"the exam problem {_start(example)!r} has no answer {answer!r}; give it this field")


def check_question(gold: object, pred: object) -> None:
    """Raise `UserError` unless a metric was called with a question and what a program answered to it."""
    if not isinstance(gold, dspy.Example) or not input_names(gold):
        raise UserError(
            f"a metric is called with a dspy.Example that says which fields are inputs but got {str(gold)[:60]!r}; "
            "call .with_inputs(...) on it"
        )
    if not isinstance(pred, dspy.Example | None):
        raise UserError(
            f"a metric is called with a dspy.Prediction, or None, but got {str(pred)[:60]!r}, a {type(pred).__name__}; "
            "let the program's forward return a dspy.Prediction"
        )


def complete_inputs(signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs with the defaults of those that are not given, as DSPy fills them in."""
    return {**{k: v for k, v in default_inputs(signature).items() if k not in inputs}, **inputs}


def shown(value: object) -> str:
    """Return a value and its kind, for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    return f"{str(value)[:SHOWN]!r} ({type(value).__name__})"


def _needed(signature: type[dspy.Signature]) -> list[str]:
    """Return the inputs that must be given: those without a default that may not be `None`."""
    defaults = default_inputs(signature)
    return [
        name
        for name, field in signature.input_fields.items()
        if name not in defaults and type(None) not in get_args(field.annotation)
    ]


def _check_call(program: dspy.Module, inputs: Mapping[str, Any], start: str) -> None:
    forward = _forward(program)
    if not callable(forward) or inspect.iscoroutinefunction(forward):
        raise UserError(f"{type(program).__name__} has no forward that can be called; define def forward(self, ...)")
    try:
        inspect.signature(forward).bind(**inputs)
    except ValueError:  # some callables do not say what they take
        return
    except TypeError as error:
        raise UserError(
            f"the exam problem {start!r} does not fit {type(program).__name__}.forward: {error}; it is called with the "
            f"fields that with_inputs(...) names, here {', '.join(sorted(inputs)) or 'none'}"
        ) from None


def _forward(program: dspy.Module) -> Any:
    """Return a program's forward; DSPy warns of programs whose `forward` is looked at."""
    own = vars(program).get("forward")
    of_class = inspect.getattr_static(type(program), "forward", None)
    return own if own is not None or of_class is None else of_class.__get__(program)


def _listed(name: str, values: object) -> Sequence[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise UserError(f"{name} must be a list but got {shown(values)}; put it into one")
    return values


def _start(example: dspy.Example) -> str:
    values = dict(example.inputs().items()) if input_names(example) else dict(example.items())
    return str(next(iter(values.values()), ""))[:SHOWN]
