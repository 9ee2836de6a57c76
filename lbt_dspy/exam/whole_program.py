"""Sittings with a larger program: it runs as it is, and all of its calls go through the ledger."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from lbt_dspy.errors import CallFailedError, LbTError, UserError
from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.render import call_of, sampling_of
from lbt_dspy.lms.account import Account
from lbt_dspy.lms.engine import AsyncEngine, Request, Response, as_response
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Mark, Sitting

_lost: contextvars.ContextVar[list[LbTError]] = contextvars.ContextVar("lost calls of this run of the program")


def single_predictor(program: dspy.Module, name: str | None) -> tuple[str, dspy.Predict, bool]:
    """Return the predictor that is examined: its name, itself, and whether it is the whole program.

    Raises:
        UserError: There is no predictor of that name, or no name and not exactly one predictor.
    """
    predictors = dict(program.named_predictors())
    known = ", ".join(predictors) or "(none)"
    if name is None and len(predictors) != 1:
        raise UserError(f"the program has {len(predictors)} predictors ({known}); name one with predictor=")
    chosen = next(iter(predictors)) if name is None else name
    if chosen not in predictors:
        raise UserError(f"the program has no predictor named {chosen!r}; known: {known}")
    alone = type(program) in (dspy.Predict, dspy.ChainOfThought)
    return chosen, predictors[chosen], alone


@dataclass(frozen=True, kw_only=True)
class PaidEngine:
    """A DSPy engine that sends each request through the ledger, under one role and account."""

    lm: dspy.LM
    ledger: Ledger
    role: str
    account: Account
    sitting: int

    def complete(self, request: Request) -> Response:
        """Pay for one request.

        Raises:
            CallFailedError: It got no usable reply.
        """
        call = call_of(request, engine_of(self.lm), self.sitting)
        try:
            reply = self.ledger.ask_here(call, role=self.role, account=self.account)
            if reply.text is None:
                raise CallFailedError(reply.reason)
        except LbTError as error:
            lost = _lost.get(None)  # None in a thread that the program started without its context
            if lost is not None:
                lost.append(error)
            raise
        return as_response(request.model, reply.text, reply.input_tokens, reply.output_tokens)

    def __deepcopy__(self, memo: dict[int, Any]) -> PaidEngine:
        return self


@dataclass(frozen=True, kw_only=True)
class WholeProgram:
    """Examines students in a program of any shape, in as many threads as the ledger has workers."""

    program: dspy.Module
    predictor: str
    """Name of the predictor that reads the material and asks the student."""
    adapter: dspy.Adapter
    grader: Grader
    ledger: Ledger
    sampling: Callable[[dspy.LM, int], dict[str, Any]]
    """Settings of a student's sitting number."""
    role: str
    account: Account

    def examine(self, exams: Sequence[Exam], students: Sequence[dspy.LM], sittings: int) -> list[list[ExamReport]]:
        """Run a copy of the program per (material, student, sitting) on each problem.

        Raises:
            LbTError: No run of the program at all came to an answer.
        """
        runs = [
            functools.partial(self._sit, *self._copy(exam, student, sitting), problem)
            for exam in exams
            for student in students
            for sitting in range(sittings)
            for problem in exam.problems
        ]
        with ThreadPoolExecutor(self.ledger.workers, thread_name_prefix="lbt-program") as pool:
            futures = [pool.submit(contextvars.copy_context().run, run) for run in runs]
            try:
                self.ledger.map(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        done = iter([future.result() for future in futures])
        reports = [[self._report(exam, student, sittings, done) for student in students] for exam in exams]
        _check_some_measured(reports)
        return reports

    def _report(self, exam: Exam, student: dspy.LM, sittings: int, done: Iterator[Sitting]) -> ExamReport:
        by_sitting = [[next(done) for _ in exam.problems] for _ in range(sittings)]
        return ExamReport(student=engine_of(student).name, sittings=tuple(zip(*by_sitting, strict=True)))

    def _copy(self, exam: Exam, student: dspy.LM, sitting: int) -> tuple[dspy.Module, dspy.LM | None]:
        """Return a copy of the program, all of whose calls go through the ledger, and the LM of its other parts."""
        copy = self.program.deepcopy()
        default = dspy.settings.lm
        for name, predictor in copy.named_predictors():
            if name == self.predictor:
                predictor.demos = list(exam.material)
                predictor.lm = self._paid(student, self.role, sitting, self.sampling(student, sitting))
            elif predictor.lm is not None:
                predictor.lm = self._paid(predictor.lm, "teacher", sitting, {})
        return copy, None if default is None else self._paid(default, "teacher", sitting, {})

    def _paid(self, lm: dspy.LM, role: str, sitting: int, config: dict[str, Any]) -> dspy.LM:
        engine = PaidEngine(lm=lm, ledger=self.ledger, role=role, account=self.account, sitting=sitting)
        kept = sampling_of(lm, config)
        return dspy.LM(lm.model, engine=engine, async_engine=AsyncEngine(engine), cache=False, num_retries=0, **kept)

    def _sit(self, program: dspy.Module, default: dspy.LM | None, problem: ExamProblem) -> Sitting:
        """Run the program once.

        An unreadable answer is wrong. A run with a failed call is not measured, also when the program made do without
        that call; a spent budget ends the exam.
        """
        lost: list[LbTError] = []
        token = _lost.set(lost)
        fields, mark = None, Mark(value=0.0, reason="unreadable answer")
        try:
            with dspy.context(lm=default, adapter=self.adapter, trace=[], disable_history=True):
                fields = dict(program(**problem.example.inputs()).items())
        except AdapterParseError:
            pass
        except Exception as error:
            mark = Mark(value=None, reason=f"{type(error).__name__}: {error}")
        finally:
            _lost.reset(token)
        for loss in lost:
            if not isinstance(loss, CallFailedError):
                raise loss
        if lost:
            return Sitting(fields=None, mark=Mark(value=None, reason=str(lost[0])))
        if fields is not None:
            mark = self.grader.grade(problem.example, fields)
        return Sitting(fields=fields, mark=mark)


def _check_some_measured(reports: list[list[ExamReport]]) -> None:
    sittings = [s for row in reports for report in row for problem in report.sittings for s in problem]
    if sittings and all(s.mark.value is None for s in sittings):
        reason = sittings[0].mark.reason
        raise LbTError(f"the program came to no answer on any of {len(sittings)} runs; the first: {reason}")
