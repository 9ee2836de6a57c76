"""M1 beside its baselines: every row answers the same questions, seed by seed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import dspy

from lbt_dspy.benchmarks.m1.rows import (
    EVIDENCE,
    EXAMINED,
    ONE_SITTING,
    REPLAYS,
    SAMPLE,
    WAYS,
    Answered,
    RerankRow,
    order_of,
    way_of,
)
from lbt_dspy.benchmarks.m1.settings import ALL, RerankSettings
from lbt_dspy.benchmarks.shared.words import words_of
from lbt_dspy.benchmarks.tasks.answering import AnswerTask, worked
from lbt_dspy.benchmarks.tasks.classroom.task import classroom_task
from lbt_dspy.benchmarks.tasks.code.answering import code_task
from lbt_dspy.benchmarks.tasks.code.task import load_code
from lbt_dspy.benchmarks.tasks.math.task import check_variants, load_math
from lbt_dspy.benchmarks.tasks.names import CLASSROOM, CODE
from lbt_dspy.errors import NoAnswerError, UserError
from lbt_dspy.exam.makers import ExamMaker, Fixed, Nearest, SameKind, Variants
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.programs import in_threads
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.metrics.math.answer import MathAnswer
from lbt_dspy.programs.math import math_program
from lbt_dspy.teleprompters.rerank.lessons import NoLesson, SampledLesson
from lbt_dspy.teleprompters.rerank.optimizer import LbTRerank
from lbt_dspy.teleprompters.rerank.options import RerankOptions
from lbt_dspy.teleprompters.rerank.program import RerankedProgram
from lbt_dspy.teleprompters.rerank.records import Reranking
from lbt_dspy.teleprompters.rerank.screening import fields_of, passing

T = TypeVar("T")
Lessons = Sequence[SampledLesson | NoLesson]
QUESTIONS_AT_ONCE = 32
MADE_OF_NAMES = ("exam", "config")
"""Options that are named otherwise on the command line than they are given to the optimiser."""
SHARED = tuple(
    f.name
    for f in dataclasses.fields(RerankOptions)
    if f.name in words_of(RerankSettings) and f.name not in MADE_OF_NAMES
)
"""Options that go to the optimiser as they are."""


@dataclass(frozen=True, kw_only=True)
class RerankRunner:
    """Runs the rows of one task."""

    settings: RerankSettings
    tasks: Sequence[AnswerTask]
    """One per seed: of some tasks each seed has problems of its own."""
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    ledger: Ledger
    tell: Callable[[str], None]

    @property
    def task(self) -> AnswerTask:
        """The first one, for what all of them share."""
        return self.tasks[0]

    def run(self, rows: dict[str, RerankRow]) -> None:
        """Fill the rows."""
        for seed, task in zip(self.settings.seeds, self.tasks, strict=True):
            program, sampling, lessons = self.reranked(seed, task), Account(), list[Lessons]()
            for new in self.new_rows():
                row = rows.setdefault(new.key, new)
                self.tell(f"seed {seed}: {row.key}")
                if row.name in task.rows and WAYS[row.name].sampled:
                    if not lessons:
                        lessons = self._each(functools.partial(self._lessons, program, sampling), task.teaching)
                    row.account.join(sampling)
                row.answers += self._answers(program, task, row, lessons)

    def _answers(
        self, program: RerankedProgram, task: AnswerTask, row: RerankRow, lessons: Sequence[Lessons]
    ) -> list[list[Answered]]:
        """Return the answers of a row, run by run."""
        if row.name == SAMPLE:
            each = self._each(functools.partial(self._one_by_one, task), task.teaching, lessons)
            return [list(run) for run in zip(*each, strict=True)]
        shared = lessons if row.name in task.rows and WAYS[row.name].sampled else [None] * len(task.teaching)
        return [self._each(functools.partial(self._answer, program, task, row), task.teaching, shared)]

    def _one_by_one(self, task: AnswerTask, problem: dspy.Example, lessons: Lessons) -> list[Answered]:
        """Return every lesson as an answer, again from the first where a gate stopped the sampling."""
        return [_alone(task, problem, lessons[i % len(lessons)]) for i in range(self.settings.rationales)]

    def new_rows(self) -> list[RerankRow]:
        """Return all rows, without answers, in their order."""
        s = self.settings
        rows = [RerankRow(name, self.schedule_of(name), s.mark, s.sittings) for name in order_of(self.task)]
        for row in rows:
            row.samples = s.rationales if row.name == SAMPLE else 1
        if s.schedule == ALL:
            rows += [
                RerankRow(name, schedule, s.mark, s.sittings, schedule)
                for name, schedule in REPLAYS
                if name in self.task.rows
            ]
            rows += [
                RerankRow(name, "full", mark, 1, variant) for name in EXAMINED for mark, variant in self.other_marks()
            ]
        return rows

    def other_marks(self) -> list[tuple[str, str]]:
        """Return the marks that are compared at about equal calls, each with its name, where the students give them."""
        able = self.task.own_tests is None and all(engine_of(lm).scores_texts for lm in self.students)
        if self.settings.mark != "grade" or not able:
            return []
        return [("grade", ONE_SITTING), ("evidence", EVIDENCE)]

    def answered(self, row: RerankRow) -> Iterator[tuple[int, dspy.Example, Answered]]:
        """Give each seed and question with its answer in a row."""
        seeds = [pair for pair in zip(self.settings.seeds, self.tasks, strict=True) for _ in range(row.samples)]
        for (seed, task), run in zip(seeds, row.answers, strict=False):
            for problem, answer in zip(task.teaching, run, strict=True):
                yield seed, problem, answer

    @functools.cached_property
    def exam_sizes(self) -> tuple[tuple[int, ...], ...]:
        """The number of exam problems that each question has, seed by seed."""
        distinct = {id(task): task for task in self.tasks}
        sizes = {key: self._exam_sizes(task) for key, task in distinct.items()}
        return tuple(sizes[id(task)] for task in self.tasks)

    def _exam_sizes(self, task: AnswerTask) -> tuple[int, ...]:
        program = self.reranked(self.settings.seeds[0], task)
        return tuple(len(program.exam_problems(program.inputs_of(problem))) for problem in task.teaching)

    def reranked(self, seed: int, task: AnswerTask) -> RerankedProgram:
        """Return the program of M1."""
        s = self.settings
        program = task.program.deepcopy()
        program.set_lm(self.teacher)
        shared = {name: getattr(s, name) for name in SHARED} | {"schedule": self.schedule_of(s.selection)}
        return LbTRerank(
            exam_students=self.students, exam=maker_of(s, task), grader=task.grader, predictor=task.predictor,
            config={"temperature": s.temperature}, adapter=task.adapter, ledger=self.ledger, seed=seed, **shared,
        ).compile(program)  # fmt: skip

    def schedule_of(self, name: str) -> str:
        """Return the schedule of a row: there is no confident one for `max`."""
        rule = way_of(name, self.task).rule
        if rule not in EXAMINED:
            return "none"
        if self.settings.schedule == ALL:
            return "full"
        return "lossless" if rule == "max" and self.settings.schedule == "confident" else self.settings.schedule

    def _each(self, work: Callable[..., T], *columns: Sequence[Any]) -> list[T]:
        pieces = [functools.partial(work, *row) for row in zip(*columns, strict=True)]
        return in_threads(self.ledger, pieces, most=QUESTIONS_AT_ONCE)

    def _lessons(self, program: RerankedProgram, account: Account, problem: dspy.Example) -> Lessons:
        return program.sample(problem.inputs(), account=account)

    def _answer(
        self, program: RerankedProgram, task: AnswerTask, row: RerankRow, problem: dspy.Example, lessons: Lessons | None
    ) -> Answered:
        try:
            found = self._found(program, task, row, problem, lessons)
        except NoAnswerError as error:
            return Answered(right=False if error.measured else None, found=None)
        given = dict(found.prediction.items())
        return Answered(right=task.right(problem, given), found=found, prediction=given)

    def _found(
        self, program: RerankedProgram, task: AnswerTask, row: RerankRow, problem: dspy.Example, lessons: Lessons | None
    ) -> Reranking:
        inputs, way = program.inputs_of(problem), way_of(row.name, task)
        changes = dict[str, Any](selection=way.rule)
        if way.rule in EXAMINED:
            changes |= {"schedule": row.schedule, "mark": row.mark, "sittings": row.sittings}
        if row.name in task.shots:
            program = program.with_demonstrations(task.shots[row.name](program.exam_problems(inputs), task.answer))
        if not way.sampled:
            changes |= {"rationales": 1, "gate": None, "temperature": 0.0}
        elif way.first:
            sampled = program.sample(inputs, account=row.account) if lessons is None else lessons
            read = [lesson for lesson in sampled if isinstance(lesson, SampledLesson)]
            lessons = passing(read, problem, task.grader, only_first=True) or sampled
        elif way.passing:
            inputs |= {name: problem[name] for name in fields_of(task.grader) if name in problem}
            changes["screen"] = task.grader
        return program.rerank(inputs, account=row.account, sampled=lessons, **changes)


def _alone(task: AnswerTask, problem: dspy.Example, lesson: SampledLesson | NoLesson) -> Answered:
    if isinstance(lesson, NoLesson):
        return Answered(right=False if lesson.measured else None, found=None)
    given = dict(lesson.prediction.items())
    return Answered(right=task.right(problem, given), found=None, prediction=given)


def tasks_of(settings: RerankSettings, isolation: str | None = "auto") -> tuple[AnswerTask, ...]:
    """Load the task's data and program, for each seed.

    Args:
        settings: Of the run.
        isolation: Of the sandbox, for programs; `None`: none will run.

    Raises:
        UserError: The data is missing or unfit, or has no variants where the exam is to be made of them.
    """
    if settings.task == CLASSROOM:
        return tuple(classroom_task(seed, settings.exam_problems, settings.limit) for seed in settings.seeds)
    task = _code(settings, isolation) if settings.task == CODE else _math(settings)
    return (task,) * len(settings.seeds)


def _code(settings: RerankSettings, isolation: str | None) -> AnswerTask:
    data = load_code(settings.data)
    if settings.exam == "same-kind" and not any(problem.tags for problem in data.teaching):
        raise UserError(f"problems of {data.source} have no tags, by which --exam same-kind chooses; take nearest")
    return code_task(data, rounds=settings.debug_rounds, limit=settings.limit, isolation=isolation)


def _math(settings: RerankSettings) -> AnswerTask:
    data = load_math(settings.data)
    if settings.exam == "variants":
        check_variants(data)
    return AnswerTask(
        name=settings.task, program=math_program(), grader=MathAnswer("answer"), answer="answer",
        teaching=data.teaching[: settings.limit], bank=data.bank, source=data.source, dropped=data.dropped,
    )  # fmt: skip


def maker_of(settings: RerankSettings, task: AnswerTask) -> ExamMaker:
    """Return the exam maker that was asked for."""
    bank, most = worked(task.bank), settings.exam_problems
    if settings.exam == "variants":
        return Variants(bank, problems=most)
    if settings.exam == "nearest":
        return Nearest(bank, most)
    if settings.exam == "same-kind" and settings.task == CODE:
        return SameKind(bank, ("tags",), None, problems=most, order="random")
    if settings.exam == "same-kind":
        return SameKind(bank, problems=most, order="random")
    return Fixed(bank, problems=most)
