"""M1 beside its baselines: every row answers the same questions, seed by seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from lbt_dspy.benchmarks.math_task import check_variants, load_math
from lbt_dspy.benchmarks.rerank_settings import RerankSettings
from lbt_dspy.errors import NoAnswerError
from lbt_dspy.exam.makers import ExamMaker, Fixed, Nearest, SameKind, Variants
from lbt_dspy.exam.paid_program import in_threads
from lbt_dspy.lms.account import Account
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.metrics.math_answer import MathAnswer
from lbt_dspy.metrics.statistics import LabelledRuns
from lbt_dspy.programs.answering import AnswerTask, few_shot
from lbt_dspy.programs.math import math_program
from lbt_dspy.teleprompters.rerank import LbTRerank, RerankedProgram
from lbt_dspy.teleprompters.rerank_steps import Reranking

RIGHT, WRONG = "right", "wrong"
ORDER = ("greedy", "sc", "max", "sum", "avg", "few-shot", "few-shot-sc")
EXAMINED = ("max", "sum", "avg")
QUESTIONS_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One question's answer in one row."""

    right: bool | None
    """`None`: no sample came to an answer since calls were lost. An answer that cannot be read is wrong."""
    found: Reranking | None
    """`None`: no sample came to an answer."""


@dataclass
class Row:
    """What one method answered, seed by seed."""

    name: str
    schedule: str
    account: Account = field(default_factory=Account)
    answers: list[list[Answered]] = field(default_factory=list)
    """`answers[seed][question]`."""

    def runs(self) -> LabelledRuns:
        """Return the answers as labels: right or wrong."""
        return LabelledRuns(
            answers=[[RIGHT if a.right else WRONG for a in run] for run in self.answers],
            measured=[[a.right is not None for a in run] for run in self.answers],
        )

    def exams(self) -> list[Reranking]:
        """Return the records of all questions that were answered."""
        return [a.found for run in self.answers for a in run if a.found is not None]


@dataclass(frozen=True, kw_only=True)
class RerankRunner:
    """Runs the rows of one task."""

    settings: RerankSettings
    task: AnswerTask
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    ledger: Ledger
    tell: Callable[[str], None]

    def run(self, rows: dict[str, Row]) -> None:
        """Fill the rows."""
        for seed in self.settings.seeds:
            program = self.reranked(seed)
            for name in ORDER:
                self.tell(f"seed {seed}: {name}")
                row = rows.setdefault(name, Row(name, self.schedule_of(name)))
                answer = functools.partial(self._answer, program, row)
                work = [functools.partial(answer, problem) for problem in self.task.teaching]
                row.answers.append(in_threads(self.ledger, work, most=QUESTIONS_AT_ONCE))

    @functools.cached_property
    def exam_sizes(self) -> tuple[int, ...]:
        """The number of exam problems that each question has."""
        program = self.reranked(self.settings.seeds[0])
        return tuple(len(program.exam_problems(asked_of(program, problem))) for problem in self.task.teaching)

    def reranked(self, seed: int) -> RerankedProgram:
        """Return the program of M1."""
        s = self.settings
        program = self.task.program.deepcopy()
        program.set_lm(self.teacher)
        return LbTRerank(
            exam_students=self.students, exam=maker_of(s, self.task), grader=self.task.grader, rationales=s.rationales,
            sittings=s.sittings, selection=s.selection, schedule=s.schedule, delta=s.delta, gate=s.gate,
            in_flight=s.in_flight, temperature=s.temperature, config={"temperature": s.temperature},
            ledger=self.ledger, seed=seed,
        ).compile(program)  # fmt: skip

    def schedule_of(self, name: str) -> str:
        """Return the schedule of a row: there is no confident one for `max`."""
        if name not in EXAMINED:
            return "none"
        return "lossless" if name == "max" and self.settings.schedule == "confident" else self.settings.schedule

    def _answer(self, program: RerankedProgram, row: Row, problem: dspy.Example) -> Answered:
        try:
            found = self._found(program, row.name, asked_of(program, problem), row.account)
        except NoAnswerError as error:
            return Answered(right=False if error.measured else None, found=None)
        return Answered(right=self.task.right(problem, found.prediction), found=found)

    def _found(self, program: RerankedProgram, name: str, inputs: Mapping[str, Any], account: Account) -> Reranking:
        changes: dict[str, Any] = {"selection": name, "schedule": self.schedule_of(name)}
        if name not in EXAMINED:
            changes = {"selection": "maj"}
        if name in ("greedy", "few-shot"):
            changes |= {"rationales": 1, "gate": None, "temperature": 0.0}
        if name.startswith("few-shot"):
            shots = few_shot(program.exam_problems(inputs), self.task.answer)
            return program.with_demonstrations(shots).rerank(inputs, account=account, **changes)
        return program.rerank(inputs, account=account, **changes)


def asked_of(program: RerankedProgram, problem: dspy.Example) -> dict[str, Any]:
    """Return what the program is called with: a question's inputs, and the fields that its exam maker asks for."""
    exam = program.options.exam
    about = () if exam is None else exam.about
    return {**problem.inputs(), **{name: problem[name] for name in about if name in problem}}


def task_of(settings: RerankSettings) -> AnswerTask:
    """Load the task's data and program.

    Raises:
        UserError: The data is missing or unfit, or has no variants where the exam is to be made of them.
    """
    data = load_math(settings.data)
    if settings.exam == "variants":
        check_variants(data)
    return AnswerTask(
        name=settings.task, program=math_program(), grader=MathAnswer("answer"), answer="answer",
        teaching=data.teaching[: settings.limit], bank=data.bank, source=data.source, dropped=data.dropped,
    )  # fmt: skip


def maker_of(settings: RerankSettings, task: AnswerTask) -> ExamMaker:
    """Return the exam maker that was asked for."""
    most = settings.exam_problems
    if settings.exam == "variants":
        return Variants(task.bank, problems=most)
    if settings.exam == "nearest":
        return Nearest(task.bank, most)
    if settings.exam == "same-kind":
        return SameKind(task.bank, problems=most, order="random")
    return Fixed(task.bank, problems=most)
