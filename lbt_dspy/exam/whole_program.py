"""Sittings with a larger program: it runs as it is, and all of its calls go through the ledger."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import AdapterParseError

from lbt_dspy.errors import CallFailedError, LbTError, UserError
from lbt_dspy.exam.render import call_of
from lbt_dspy.lms.engine import AsyncEngine, as_response
from lbt_dspy.lms.ledger import Account, Ledger
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.types import ExamProblem, ExamReport, Mark, Sitting

if TYPE_CHECKING:
    from lbt_dspy.exam.examiner import Exam, Examiner


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
        reply = self.ledger.ask_here(call, role=self.role, account=self.account)
        if reply.text is None:
            raise CallFailedError(reply.reason)
        return as_response(request.model, reply.text, reply.input_tokens, reply.output_tokens)

    def __deepcopy__(self, memo: dict[int, Any]) -> PaidEngine:
        return self


def run_programs(
    examiner: Examiner,
    exams: Sequence[Exam],
    students: Sequence[dspy.LM],
    *,
    role: str,
    account: Account,
    sittings: int,
) -> list[list[ExamReport]]:
    """Run a copy of the program per (material, student, sitting) on each problem.

    Raises:
        LbTError: No run of the program at all came to an answer.
    """
    papers = [
        (program_for(examiner, exam, student, sitting, role, account), problem)
        for exam in exams
        for student in students
        for sitting in range(sittings)
        for problem in exam.problems
    ]
    ledger = examiner.ledger
    with ThreadPoolExecutor(ledger.workers, thread_name_prefix="lbt-program") as pool:
        runs = [functools.partial(sit, examiner, program, problem) for program, problem in papers]
        futures = [pool.submit(contextvars.copy_context().run, run) for run in runs]
        try:
            ledger.map(futures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done = iter(future.result() for future in futures)
    reports = []
    for exam in exams:
        row = []
        for student in students:
            by_sitting = [[next(done) for _ in exam.problems] for _ in range(sittings)]
            row.append(ExamReport(student=engine_of(student).name, sittings=tuple(zip(*by_sitting, strict=True))))
        reports.append(row)
    _check_some_measured(reports)
    return reports


def program_for(
    examiner: Examiner, exam: Exam, student: dspy.LM, sitting: int, role: str, account: Account
) -> tuple[dspy.Module, dspy.LM | None]:
    """Return a copy of the program whose named predictor reads the material and asks the student."""

    def paid(lm: dspy.LM, of: str, config: dict[str, Any]) -> dspy.LM:
        engine = PaidEngine(lm=lm, ledger=examiner.ledger, role=of, account=account, sitting=sitting)
        kept = {k: v for k, v in {**lm.kwargs, **config}.items() if v is not None and k != "rollout_id"}
        kept = {k: v for k, v in kept.items() if k not in ("api_key", "api_base", "base_url", "timeout")}
        return dspy.LM(lm.model, engine=engine, async_engine=AsyncEngine(engine), cache=False, num_retries=0, **kept)

    copy = examiner.program.deepcopy()
    default = dspy.settings.lm
    for name, predictor in copy.named_predictors():
        if name == examiner.name:
            predictor.demos = list(exam.material)
            predictor.lm = paid(student, role, examiner.sampling(student, sitting))
        elif predictor.lm is not None:
            predictor.lm = paid(predictor.lm, "teacher", {})
    return copy, None if default is None else paid(default, "teacher", {})


def sit(examiner: Examiner, paper: tuple[dspy.Module, dspy.LM | None], problem: ExamProblem) -> Sitting:
    """Run the program once; a failed call is not measured, an unreadable answer is wrong."""
    program, default = paper
    try:
        with dspy.context(lm=default, adapter=examiner.adapter, trace=[], disable_history=True):
            prediction = program(**problem.example.inputs())
    except AdapterParseError:
        return Sitting(fields=None, mark=Mark(value=0.0, reason="unreadable answer"))
    except Exception as error:
        for cause in _causes(error):
            if isinstance(cause, LbTError) and not isinstance(cause, CallFailedError):
                raise cause from None
        failed = next((c for c in _causes(error) if isinstance(c, CallFailedError)), error)
        return Sitting(fields=None, mark=Mark(value=None, reason=f"{type(failed).__name__}: {failed}"))
    fields = dict(prediction.items())
    return Sitting(fields=fields, mark=examiner.grader.grade(problem.example, fields))


def _causes(error: BaseException | None) -> list[BaseException]:
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _check_some_measured(reports: list[list[ExamReport]]) -> None:
    sittings = [s for row in reports for report in row for problem in report.sittings for s in problem]
    if sittings and all(s.mark.value is None for s in sittings):
        reason = sittings[0].mark.reason
        raise LbTError(f"the program came to no answer on any of {len(sittings)} runs; the first: {reason}")
