"""Sittings with a larger program: it runs as it is, and all of its calls go through the ledger."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.errors import LbTError, UserError
from lbt_dspy.exam.grading import Grader, graded
from lbt_dspy.exam.shapes import check_program
from lbt_dspy.ledger.programs import PaidProgram, in_threads
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Mark, Seat, Sitting
from lbt_dspy.warned import warnings_shown

if TYPE_CHECKING:
    from lbt_dspy.types import Material


def single_predictor(program: dspy.Module, name: str | None) -> tuple[str, dspy.Predict, bool]:
    """Return the predictor that is examined: its name, itself, and whether it is the whole program.

    Raises:
        UserError: It is no program, there is no predictor of that name, or no name and not exactly one predictor.
    """
    check_program(program)
    predictors = dict(program.named_predictors())
    if name is None and len(predictors) != 1:
        known = ", ".join(predictors) or "(none)"
        raise UserError(f"the program has {len(predictors)} predictors ({known}); name one with predictor=")
    chosen = next(iter(predictors)) if name is None else predictor_named(predictors, name)
    alone = type(program) in (dspy.Predict, dspy.ChainOfThought)
    return chosen, predictors[chosen], alone


def predictor_named(predictors: Mapping[str, dspy.Predict], name: str) -> str:
    """Return a predictor's name; that of a module that holds a single one, such as `dspy.ChainOfThought`, will do.

    Raises:
        UserError: There is no such predictor, or several.
    """
    inside = [known for known in predictors if known.startswith(f"{name}.")]
    found = [name] if name in predictors else inside
    if len(found) != 1:
        raise UserError(f"the program has no predictor named {name!r}; known: {', '.join(predictors) or '(none)'}")
    return found[0]


@dataclass(frozen=True, kw_only=True)
class WholeProgram:
    """Examines students in a program of any shape, in as many threads as the ledger has workers."""

    paid: PaidProgram
    predictor: str
    """Name of the predictor that reads the material and asks the student."""
    shown: Callable[[Material], Material]
    """What a student reads of a material."""
    grader: Grader
    sampling: Callable[[dspy.LM, int], dict[str, Any]]
    """Settings of a student's sitting number."""
    role: str

    def examine(self, exams: Sequence[Exam], students: Sequence[dspy.LM], sittings: int) -> list[list[ExamReport]]:
        """Run a copy of the program per (material, student, sitting) on each problem.

        Raises:
            LbTError: No run of the program at all came to an answer.
        """
        seats = [
            Seat(exam.material, student, problem, sitting)
            for exam in exams
            for student in students
            for sitting in range(sittings)
            for problem in exam.problems
        ]
        done = self.sit(seats)
        _check_some_measured(done)
        rest = iter(done)
        return [[self._report(exam, student, sittings, rest) for student in students] for exam in exams]

    def sit(self, seats: Sequence[Seat]) -> list[Sitting]:
        """Run the program once per seat; seats of one (material, student, sitting) share a copy."""
        copies: dict[tuple[int, int, int], tuple[dspy.Module, dspy.LM | None]] = {}
        for material, student, _, sitting in seats:
            place = (id(material), id(student), sitting)
            if place not in copies:
                copies[place] = self._copy(material, student, sitting)
        done = in_threads(
            self.paid.ledger,
            [functools.partial(self._sit, *copies[id(s.material), id(s.student), s.sitting], s.problem) for s in seats],
        )
        self.paid.tell_if_all_alike()
        return done

    def _report(self, exam: Exam, student: dspy.LM, sittings: int, done: Iterator[Sitting]) -> ExamReport:
        by_sitting = [[next(done) for _ in exam.problems] for _ in range(sittings)]
        return ExamReport(student=engine_of(student).name, sittings=tuple(zip(*by_sitting, strict=True)))

    def _copy(self, material: Material, student: dspy.LM, sitting: int) -> tuple[dspy.Module, dspy.LM | None]:
        """Return a copy with the student in its place, and the LM of its other parts."""

        def lm_for(name: str, own: dspy.LM | None) -> dspy.LM | None:
            if name == self.predictor:
                return self.paid.paid(student, self.role, sitting, self.sampling(student, sitting))
            return None if own is None else self.paid.paid(own, "teacher", sitting, {})

        copy, names, default = self.paid.copy(lm_for)
        for predictor in copy.predictors():
            if names[id(predictor)] == self.predictor:
                predictor.demos = list(self.shown(material))
        return copy, default

    def _sit(self, program: dspy.Module, default: dspy.LM | None, problem: ExamProblem) -> Sitting:
        """Run the program once; an unreadable answer is wrong, a run with a failed call is not measured."""
        run = self.paid.run(program, default, problem.example.inputs())
        if run.prediction is None:
            return Sitting(fields=None, mark=Mark(value=0.0 if run.measured else None, reason=run.reason))
        fields = dict(run.prediction.items())
        with warnings_shown():
            return Sitting(fields=fields, mark=graded(self.grader, problem.example, fields))


def _check_some_measured(sittings: list[Sitting]) -> None:
    if sittings and all(s.mark.value is None for s in sittings):
        reason = sittings[0].mark.reason
        raise LbTError(f"the program came to no answer on any of {len(sittings)} runs; the first: {reason}")
