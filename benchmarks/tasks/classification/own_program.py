"""A DSPy program of the user's own, named `module:Name`, in the place of the built-in classifier."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from lbt_dspy.benchmarks.tasks.classification.task import ClassificationTask
from lbt_dspy.benchmarks.tasks.tables import nearest, some
from lbt_dspy.errors import UserError
from lbt_dspy.exam.sitting.whole_program import single_predictor


@dataclass(frozen=True, kw_only=True)
class TrainedProgram:
    """A program and the one of its predictors that learns."""

    program: dspy.Module
    predictor: str

    @property
    def signature(self) -> type[dspy.Signature]:
        """The signature of the predictor that learns."""
        signature: type[dspy.Signature] = single_predictor(self.program, self.predictor)[1].signature
        return signature

    def set_teacher(self, teacher: dspy.LM) -> None:
        """Give the teacher to the predictor that learns, and to each other one that has no LM of its own."""
        for name, predictor in self.program.named_predictors():
            if name == self.predictor or predictor.lm is None:
                predictor.lm = teacher

    def others(self) -> list[dspy.LM]:
        """Return the LMs of the predictors that do not learn; every run of the program asks them too."""
        return [predictor.lm for name, predictor in self.program.named_predictors() if name != self.predictor]


def program_for(task: ClassificationTask, spec: str | None, predictor: str | None) -> TrainedProgram:
    """Return the program of a task: the built-in classifier, or the user's own.

    Args:
        task: Whose text fields must be inputs of the program and whose label field must be an output.
        spec: `module:Name`, a `dspy.Module` class without required arguments or an instance; `None`: built in.
        predictor: Which predictor learns; `None` when there is only one.

    Raises:
        UserError: There is no such program or predictor, or it does not fit the task.
    """
    if spec is None:
        program = task.program()
        return TrainedProgram(program=program, predictor=single_predictor(program, None)[0])
    program = _instance(_named(spec), spec)
    found = TrainedProgram(program=program, predictor=_predictor(program, spec, predictor))
    _check_inputs(found, task, spec)
    if task.output not in found.signature.output_fields:
        known = some(list(found.signature.output_fields))
        raise UserError(
            f"--program {spec}: the predictor {found.predictor} has no output field {task.output!r}, the label's; "
            f"it has: {known}"
        )
    return found


def _named(spec: str) -> Any:
    """Import what a spec names; modules of the current folder are found too."""
    module_name, colon, name = spec.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise UserError(f"--program must be MODULE:NAME, e.g. desk:Desk, but got {spec!r}")
    sys.path.insert(0, "")
    importlib.invalidate_caches()  # a file that was written a moment ago is there too
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's own may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"--program {spec}: {module_name} cannot be imported ({reason}); mend or rename it") from None
    finally:
        sys.path.remove("")
    if not hasattr(module, name):
        known = [other for other, value in vars(module).items() if _is_program(value)]
        raise UserError(
            f"--program {spec}: {module_name} has no {name!r}; {nearest(name, known)}its programs: "
            f"{some(known) or '(none)'}"
        )
    return getattr(module, name)


def _is_program(value: Any) -> bool:
    return isinstance(value, dspy.Module) or (isinstance(value, type) and issubclass(value, dspy.Module))


def _instance(named: Any, spec: str) -> dspy.Module:
    if not _is_program(named):
        raise UserError(f"--program {spec} is no dspy.Module but of type {type(named).__name__}; name a class or one")
    if isinstance(named, dspy.Module):
        return named.deepcopy()
    try:
        return named()
    except Exception as error:  # a class of the user's own may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"--program {spec} cannot be made without arguments ({reason}); name an instance") from None


def _predictor(program: dspy.Module, spec: str, wish: str | None) -> str:
    known = [name for name, _ in program.named_predictors()]
    if not known:
        raise UserError(f"--program {spec} has no predictor that could learn; give it a dspy.Predict")
    if wish is not None and wish not in known:
        raise UserError(f"--predictor {wish} is none of {spec}; {nearest(wish, known)}it has: {some(known)}")
    if wish is None and len(known) > 1:
        raise UserError(f"--program {spec} has {len(known)} predictors: {some(known)}; say which with --predictor")
    return known[0] if wish is None else wish


def _check_inputs(found: TrainedProgram, task: ClassificationTask, spec: str) -> None:
    """Raise `UserError` unless the program can be called with the text fields alone, and its predictor sees one."""
    if not hasattr(type(found.program), "forward"):
        raise UserError(f"--program {spec} has no forward method; give it one that takes the text fields")
    takes, needs = _parameters(found)
    missing = [] if takes is None else [name for name in task.inputs if name not in takes]
    if missing:
        raise UserError(f"--program {spec} takes no input {missing[0]!r}, a text field; it takes: {some(takes or ())}")
    open_inputs = [name for name in needs if name not in task.inputs]
    if open_inputs:
        raise UserError(
            f"--program {spec} needs the input {open_inputs[0]!r} too; name its column with --text-field, or give it a "
            "default"
        )
    reads = list(found.signature.input_fields)
    if not set(reads) & set(task.inputs):
        raise UserError(
            f"--program {spec}: the predictor {found.predictor} reads none of the text fields {some(task.inputs)}; "
            f"it reads: {some(reads)}"
        )


def _parameters(found: TrainedProgram) -> tuple[Sequence[str] | None, Sequence[str]]:
    """Return the inputs that a program takes (`None`: any) and those that it needs."""
    if isinstance(found.program, dspy.Predict | dspy.ChainOfThought):
        names = list(found.signature.input_fields)
        return names, names
    _, *parameters = inspect.signature(type(found.program).forward).parameters.values()  # all but self
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needs = [p.name for p in named if p.default is p.empty]
    return None if any(p.kind == p.VAR_KEYWORD for p in parameters) else [p.name for p in named], needs
