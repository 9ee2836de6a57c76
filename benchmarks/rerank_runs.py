"""M1 beside its baselines: every row answers the same questions, seed by seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import dspy

from lbt_dspy.benchmarks.classroom_task import classroom_task
from lbt_dspy.benchmarks.math_task import check_variants, load_math
from lbt_dspy.benchmarks.rerank_settings import ALL, CLASSROOM, RerankSettings
from lbt_dspy.errors import NoAnswerError
from lbt_dspy.exam.makers import ExamMaker, Fixed, Nearest, SameKind, Variants
from lbt_dspy.exam.paid_program import in_threads
from lbt_dspy.lms.account import Account
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.metrics.math_answer import MathAnswer
from lbt_dspy.metrics.statistics import LabelledRuns
from lbt_dspy.programs.answering import AnswerTask, worked
from lbt_dspy.programs.math import math_program
from lbt_dspy.teleprompters.lessons import NoLesson, SampledLesson
from lbt_dspy.teleprompters.rerank import LbTRerank
from lbt_dspy.teleprompters.rerank_steps import Reranking
from lbt_dspy.teleprompters.reranked import RerankedProgram

T = TypeVar("T")
Lessons = Sequence[SampledLesson | NoLesson]
RIGHT, WRONG = "right", "wrong"
EXAMINED = ("max", "sum", "avg")
SAMPLED = ("sc", *EXAMINED)
"""Rows of the same lessons."""
REPLAYS = (("max", "lossless"), ("sum", "lossless"), ("sum", "confident"), ("avg", "lossless"), ("avg", "confident"))
"""Rows and schedules that `--schedule all` replays after the full exam."""
ONE_SITTING, EVIDENCE = "1 sitting", "evidence"
"""Variants of the examined rows: graded in one sitting at each exam problem, and marked by evidence."""
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
    mark: str = "grade"
    sittings: int = 3
    variant: str = ""
    """What sets it apart from the row of the same name: it asks the same exams in another way."""
    account: Account = field(default_factory=Account)
    answers: list[list[Answered]] = field(default_factory=list)
    """`answers[seed][question]`."""

    @property
    def key(self) -> str:
        """Its name among the rows of a run."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

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

    def run(self, rows: dict[str, Row]) -> None:
        """Fill the rows."""
        for seed, task in zip(self.settings.seeds, self.tasks, strict=True):
            program, sampling, lessons = self.reranked(seed, task), Account(), [None] * len(task.teaching)
            for new in self.new_rows():
                row = rows.setdefault(new.key, new)
                self.tell(f"seed {seed}: {row.key}")
                if row.name == SAMPLED[0]:
                    lessons = self._each(functools.partial(self._lessons, program, sampling), task.teaching)
                if row.name in SAMPLED:
                    row.account.join(sampling)
                row.answers.append(
                    self._each(functools.partial(self._answer, program, task, row), task.teaching, lessons)
                )

    def new_rows(self) -> list[Row]:
        """Return all rows, without answers, in their order."""
        s = self.settings
        rows = [Row(name, self.schedule_of(name), s.mark, s.sittings) for name in order_of(self.task)]
        if s.schedule == ALL:
            rows += [Row(name, schedule, s.mark, s.sittings, schedule) for name, schedule in REPLAYS]
            rows += [Row(name, "full", mark, 1, variant) for name in EXAMINED for mark, variant in self.other_marks()]
        return rows

    def other_marks(self) -> list[tuple[str, str]]:
        """Return the marks that are compared at about equal calls, each with its name, where the students give them."""
        if self.settings.mark != "grade" or not all(engine_of(lm).scores_texts for lm in self.students):
            return []
        return [("grade", ONE_SITTING), ("evidence", EVIDENCE)]

    def answered(self, row: Row) -> Iterator[tuple[dspy.Example, Answered]]:
        """Give each question of each seed with its answer in a row."""
        for task, run in zip(self.tasks, row.answers, strict=False):
            yield from zip(task.teaching, run, strict=True)

    @functools.cached_property
    def exam_sizes(self) -> tuple[tuple[int, ...], ...]:
        """The number of exam problems that each question has, seed by seed."""
        distinct = {id(task): task for task in self.tasks}
        sizes = {key: self._exam_sizes(task) for key, task in distinct.items()}
        return tuple(sizes[id(task)] for task in self.tasks)

    def _exam_sizes(self, task: AnswerTask) -> tuple[int, ...]:
        program = self.reranked(self.settings.seeds[0], task)
        return tuple(len(program.exam_problems(asked_of(program, problem))) for problem in task.teaching)

    def reranked(self, seed: int, task: AnswerTask) -> RerankedProgram:
        """Return the program of M1."""
        s = self.settings
        program = task.program.deepcopy()
        program.set_lm(self.teacher)
        return LbTRerank(
            exam_students=self.students, exam=maker_of(s, task), grader=task.grader, rationales=s.rationales,
            sittings=s.sittings, mark=s.mark, selection=s.selection, schedule=self.schedule_of(s.selection),
            delta=s.delta, gate=s.gate, in_flight=s.in_flight, choices=s.choices, temperature=s.temperature,
            config={"temperature": s.temperature}, adapter=task.adapter, ledger=self.ledger, seed=seed,
        ).compile(program)  # fmt: skip

    def schedule_of(self, name: str) -> str:
        """Return the schedule of a row: there is no confident one for `max`."""
        if name not in EXAMINED:
            return "none"
        if self.settings.schedule == ALL:
            return "full"
        return "lossless" if name == "max" and self.settings.schedule == "confident" else self.settings.schedule

    def _each(self, work: Callable[..., T], *columns: Sequence[Any]) -> list[T]:
        pieces = [functools.partial(work, *row) for row in zip(*columns, strict=True)]
        return in_threads(self.ledger, pieces, most=QUESTIONS_AT_ONCE)

    def _lessons(self, program: RerankedProgram, account: Account, problem: dspy.Example) -> Lessons:
        return program.sample(problem.inputs(), account=account)

    def _answer(
        self, program: RerankedProgram, task: AnswerTask, row: Row, problem: dspy.Example, lessons: Lessons | None
    ) -> Answered:
        try:
            found = self._found(program, task, row, asked_of(program, problem), lessons)
        except NoAnswerError as error:
            return Answered(right=False if error.measured else None, found=None)
        return Answered(right=task.right(problem, found.prediction), found=found)

    def _found(
        self, program: RerankedProgram, task: AnswerTask, row: Row, inputs: Mapping[str, Any], lessons: Lessons | None
    ) -> Reranking:
        name, changes = row.name, dict[str, Any](selection="maj")
        if name in EXAMINED:
            changes = {"selection": name, "schedule": row.schedule, "mark": row.mark, "sittings": row.sittings}
        if name in SAMPLED:
            return program.rerank(inputs, account=row.account, sampled=lessons, **changes)
        if name in task.shots:
            program = program.with_demonstrations(task.shots[name](program.exam_problems(inputs), task.answer))
        if not voted(name):
            changes |= {"rationales": 1, "gate": None, "temperature": 0.0}
        return program.rerank(inputs, account=row.account, **changes)


def order_of(task: AnswerTask) -> tuple[str, ...]:
    """Return the names of a task's rows."""
    return ("greedy", *SAMPLED, *task.shots)


def voted(name: str) -> bool:
    """Return whether a row without an exam takes the majority of its samples, not one greedy answer."""
    return name.endswith("sc")


def asked_of(program: RerankedProgram, problem: dspy.Example) -> dict[str, Any]:
    """Return what the program is called with: a question's inputs, and the fields that its exam maker asks for."""
    exam = program.options.exam
    about = () if exam is None else exam.about
    return {**problem.inputs(), **{name: problem[name] for name in about if name in problem}}


def tasks_of(settings: RerankSettings) -> tuple[AnswerTask, ...]:
    """Load the task's data and program, for each seed.

    Raises:
        UserError: The data is missing or unfit, or has no variants where the exam is to be made of them.
    """
    if settings.task == CLASSROOM:
        return tuple(classroom_task(seed, settings.exam_problems, settings.limit) for seed in settings.seeds)
    data = load_math(settings.data)
    if settings.exam == "variants":
        check_variants(data)
    task = AnswerTask(
        name=settings.task, program=math_program(), grader=MathAnswer("answer"), answer="answer",
        teaching=data.teaching[: settings.limit], bank=data.bank, source=data.source, dropped=data.dropped,
    )  # fmt: skip
    return (task,) * len(settings.seeds)


def maker_of(settings: RerankSettings, task: AnswerTask) -> ExamMaker:
    """Return the exam maker that was asked for."""
    bank, most = worked(task.bank), settings.exam_problems
    if settings.exam == "variants":
        return Variants(bank, problems=most)
    if settings.exam == "nearest":
        return Nearest(bank, most)
    if settings.exam == "same-kind":
        return SameKind(bank, problems=most, order="random")
    return Fixed(bank, problems=most)
