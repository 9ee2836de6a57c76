"""Lessons of training problems with their scores: what preference pairs are made of."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import dspy

from lbt_dspy.errors import NoAnswerError, UserError
from lbt_dspy.exam.grading import graded, reference_of
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.exam.shapes import check_examples
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.programs import in_threads
from lbt_dspy.teleprompters.dpo.preferences import ScoredLesson
from lbt_dspy.teleprompters.rerank.program import RerankedProgram
from lbt_dspy.teleprompters.rerank.records import LessonRecord

PROBLEMS_AT_ONCE = 32


class Lessons(NamedTuple):
    """The lessons of some problems."""

    lessons: list[ScoredLesson]
    lost: int
    """Samples that gave no lesson: failed calls, unreadable answers."""


def scored_lessons(
    program: RerankedProgram, trainset: Sequence[dspy.Example], *, account: Account | None = None
) -> Lessons:
    """Sample the lessons of each problem and hold their whole exams; what the ledger's journal has is not asked again.

    Exams that a schedule stopped early are brought to their end first: marks that were asked because they could change
    an answer are no fair sample of a lesson's marks.

    Args:
        program: What `LbTRerank` compiled; its LMs, exam, grader and options are used.
        trainset: Problems: inputs, what the exam maker asks for and, where it is known, the reference answer in the
            grader's field.
        account: Where the calls are counted.

    Raises:
        BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.
        UserError: There is no problem, two are the same, or an exam cannot be made.
    """
    check_examples("trainset", trainset)
    if not trainset:
        raise UserError("trainset has no problem; give problems that the teacher is to learn from")
    names = [problem_name(program, example) for example in trainset]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"trainset has the problem {twice[:60]!r} more than once; give each once")
    account = Account() if account is None else account
    work = [
        functools.partial(_of_problem, program, name, example, account)
        for name, example in zip(names, trainset, strict=True)
    ]
    found = in_threads(program.ledger, work, most=PROBLEMS_AT_ONCE)
    return Lessons([lesson for part in found for lesson in part.lessons], sum(part.lost for part in found))


def problem_name(program: RerankedProgram, example: dspy.Example) -> str:
    """Return the text by which a problem is known: what the teacher is asked."""
    inputs = example.inputs()
    asked = sorted(set(inputs.keys()) & set(program.lesson_predictor.signature.input_fields)) or sorted(inputs.keys())
    return " ".join(str(inputs[name]) for name in asked)


def _of_problem(program: RerankedProgram, name: str, example: dspy.Example, account: Account) -> Lessons:
    try:
        found = program.rerank(program.inputs_of(example), account=account, selection="sum", schedule="full", gate=None)
    except NoAnswerError:
        return Lessons([], program.options.rationales)
    lessons = [_scored(program, name, example, record) for record in found.lessons]
    return Lessons(lessons, found.exam.lost)


def _scored(program: RerankedProgram, name: str, example: dspy.Example, record: LessonRecord) -> ScoredLesson:
    """Return a lesson as the teacher's adapter writes it: what is trained is what is asked."""
    predictor = program.lesson_predictor
    renderer = Renderer(predictor.signature, current_adapter(program.options.adapter))
    lesson = dspy.Example(**record.lesson).with_inputs(*predictor.signature.input_fields)
    reference = reference_of(program.grader)
    known = reference is not None and example.get(reference) not in (None, "", (), [])
    answered = {program.answer_field: record.answer}
    return ScoredLesson(
        problem=name,
        prompt=tuple(renderer.messages(predictor.demos, lesson.inputs())),
        text=renderer.answer_text(lesson),
        answer=record.answer,
        rollout=record.rollout,
        lbt_score=record.score,
        correct=graded(program.grader, example, answered).value if known else None,
    )
