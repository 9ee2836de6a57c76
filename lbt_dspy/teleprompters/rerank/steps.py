"""The steps of M1: sample, group, examine, select, record."""

from __future__ import annotations

import inspect
import statistics
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import Grader, key_of
from lbt_dspy.exam.schedules.hold import hold_exam
from lbt_dspy.exam.schedules.table import Candidate, ExamTable
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.programs import PaidProgram
from lbt_dspy.teleprompters.rerank.lessons import LessonSampler, NoLesson, SampledLesson, check_some
from lbt_dspy.teleprompters.rerank.options import RerankOptions
from lbt_dspy.teleprompters.rerank.records import ExamRecord, LessonRecord, Reranking
from lbt_dspy.teleprompters.rerank.screening import fields_of, passing
from lbt_dspy.types import ExamProblem
from lbt_dspy.warned import warnings_shown


class ExamResult(NamedTuple):
    """What an exam said."""

    chosen: int
    """Group of the chosen answer."""
    scores: Mapping[int, Fraction | None]
    """LbT score of each lesson; `None`: it has no mark."""
    gains: Mapping[int, float | None]
    """Mean evidence gain of each lesson; `None`: it has none."""
    sittings: int
    asked: int
    measured: int


def rerank(
    program: dspy.Module,
    inputs: Mapping[str, Any],
    *,
    options: RerankOptions,
    examiner: Examiner,
    students: ExamStudents,
    answer: str,
    adapter: dspy.Adapter,
    account: Account,
    sampled: Sequence[SampledLesson | NoLesson] | None = None,
) -> Reranking:
    """Sample lessons (unless they are given), group their answers, examine, select, record; see `LbTRerank`."""
    asked, problems = exam_of(program, inputs, options)
    lms = students.lms() if problems else []
    examiner.check(problems, lms)
    if sampled is None:
        sampled = sample(program, asked, options=options, examiner=examiner, adapter=adapter, account=account)
    all_lessons = check_some(sampled)
    lessons = all_lessons if options.screen is None else passing(all_lessons, dspy.Example(**inputs), options.screen)
    groups = group_answers(lessons, examiner.grader)
    result = examine(lessons, groups, problems, options=options, examiner=examiner, students=lms, account=account)
    best = best_lesson([i for i, group in enumerate(groups) if group == result.chosen], result.scores)
    votes = Counter(groups)
    exam = ExamRecord(
        selection=options.selection_name, schedule=options.schedule_name,
        students=tuple(students.names) if problems else (), problems=len(problems),
        sittings=result.sittings, asked=result.asked, measured=result.measured,
        lost=len(sampled) - len(all_lessons), overturned=result.chosen != max(votes, key=lambda g: (votes[g], -g)),
        screened=len(all_lessons) - len(lessons),
    )  # fmt: skip
    records = tuple(
        LessonRecord(
            lesson.rollout, str(lesson.prediction.get(answer)), groups[i], _float(result.scores[i]),
            dict(lesson.demonstration), result.gains[i],
        )
        for i, lesson in enumerate(lessons)
    )  # fmt: skip
    fields = {
        **dict(lessons[best].prediction.items()),
        "lbt_score": _float(result.scores[best]),
        "votes": count_votes(records),
        "lessons": list(records),
        "exam": exam,
    }
    return Reranking(prediction=dspy.Prediction(**fields), trace=lessons[best].trace, lessons=records, exam=exam)


def sample(
    program: dspy.Module,
    inputs: Mapping[str, Any],
    *,
    options: RerankOptions,
    examiner: Examiner,
    adapter: dspy.Adapter,
    account: Account,
) -> list[SampledLesson | NoLesson]:
    """Sample the lessons of a question, with the reason in the place of each that was lost."""
    check_lm(program)
    paid = PaidProgram(program=program, adapter=adapter, ledger=examiner.payer, account=account)
    sampler = LessonSampler(paid=paid, predictor=examiner.name, temperature=options.temperature, seed=options.seed)
    return sample_lessons(sampler, inputs, options, examiner.grader)


def examine(
    lessons: Sequence[SampledLesson],
    groups: Sequence[int],
    problems: Sequence[ExamProblem],
    *,
    options: RerankOptions,
    examiner: Examiner,
    students: Sequence[dspy.LM],
    account: Account,
) -> ExamResult:
    """Hold the exam of the lessons as far as the schedule lets it go, and choose an answer; votes without problems."""
    rule = options.selection if problems else "maj"
    distinct, candidates = distinct_lessons(lessons, groups)
    table = ExamTable(
        candidates, students=len(students) or 1, problems=len(problems) or 1, sittings=options.sittings_held,
        selection=rule,
    )  # fmt: skip
    sittings = table.open if problems else 0
    schedule = options.schedule_for(rule)
    held = hold_exam(
        examiner, table, materials=[(lessons[members[0]].demonstration,) for members in distinct], problems=problems,
        students=students, schedule=schedule, in_flight=options.in_flight, account=account,
    )  # fmt: skip
    scores = {i: table.score(place) for place, members in enumerate(distinct) for i in members}
    by_place: dict[int, list[float]] = {}
    for cell, sitting in held.items():
        if sitting.mark.gain is not None:
            by_place.setdefault(cell.lesson, []).append(sitting.mark.gain)
    means = {place: statistics.fmean(found) for place, found in by_place.items()}
    gains = {i: means.get(place) for place, members in enumerate(distinct) for i in members}
    return ExamResult(
        chosen=schedule.choice(table), scores=scores, gains=gains, sittings=sittings, asked=table.asked,
        measured=table.marked,
    )  # fmt: skip


def check_lm(program: dspy.Module) -> None:
    """Raise `UserError` when a predictor has no LM."""
    if dspy.settings.lm is None and any(predictor.lm is None for predictor in program.predictors()):
        raise UserError("the program has no LM; set one with dspy.configure(lm=...) or program.set_lm(...)")


def exam_of(
    program: dspy.Module, inputs: Mapping[str, Any], options: RerankOptions
) -> tuple[dict[str, Any], Sequence[ExamProblem]]:
    """Return the program's inputs, without what only exam maker and screen ask for, and the exam.

    Raises:
        UserError: The exam cannot be made.
    """
    own = own_inputs(program, inputs, options)
    if options.exam is None or options.selection == "maj":
        return own, ()
    return own, options.exam.problems(dspy.Example(**inputs).with_inputs(*own))


def sample_lessons(
    sampler: LessonSampler, inputs: Mapping[str, Any], options: RerankOptions, grader: Grader
) -> list[SampledLesson | NoLesson]:
    """Sample all lessons or, with a gate, as many as it asks for when their answers agree."""
    first = min(options.gate or options.rationales, options.rationales)
    sampled = sampler.sample(inputs, range(first))
    lessons = [lesson for lesson in sampled if isinstance(lesson, SampledLesson)]
    if len(lessons) == first and len(set(group_answers(lessons, grader))) == 1:
        return sampled
    return sampled + sampler.sample(inputs, range(first, options.rationales))


def group_answers(lessons: Sequence[SampledLesson], grader: Grader) -> list[int]:
    """Return the group of each lesson's answer: equal for equal keys, one of its own for key `None`."""
    groups: dict[Hashable, int] = {}
    numbers = []
    for i, lesson in enumerate(lessons):
        with warnings_shown():
            key = key_of(grader, dict(lesson.prediction.items()))
        numbers.append(groups.setdefault(("alone", i) if key is None else ("key", key), len(groups)))
    return numbers


def distinct_lessons(
    lessons: Sequence[SampledLesson], groups: Sequence[int]
) -> tuple[list[list[int]], list[Candidate]]:
    """Return the members of each distinct lesson (equal text, so equal sittings), and its entry in the exam."""
    by_text: dict[tuple[int, str], list[int]] = {}
    for i, lesson in enumerate(lessons):
        by_text.setdefault((groups[i], lesson.text), []).append(i)
    distinct = list(by_text.values())
    return distinct, [Candidate(answer=groups[members[0]], copies=len(members)) for members in distinct]


def count_votes(records: Sequence[LessonRecord]) -> dict[str, int]:
    """Return the number of lessons of each answer, most first; answers that are the same bear the first one's name."""
    names = {record.group: record.answer for record in reversed(records)}
    return dict(Counter(names[record.group] for record in records).most_common())


def best_lesson(members: Sequence[int], scores: Mapping[int, Fraction | None]) -> int:
    """Return the lesson with the best LbT score, unmeasured ones last; ties go to the first."""
    return max(members, key=lambda i: (scores[i] is not None, scores[i] or 0))


def own_inputs(program: dspy.Module, inputs: Mapping[str, Any], options: RerankOptions) -> dict[str, Any]:
    """Return the inputs but those that exam maker and screen ask for and the program does not take.

    A program of one's own whose `forward` takes whatever it is given is given what the screen reads.
    """
    taken = inspect.signature(type(program).forward).parameters.values()
    known = {name for predictor in program.predictors() for name in predictor.signature.input_fields}
    known |= {parameter.name for parameter in taken}
    if any(p.kind is p.VAR_KEYWORD for p in taken) and not type(program).__module__.startswith("dspy."):
        known |= set(fields_of(options.screen))
    own = {name: value for name, value in inputs.items() if name not in options.about or name in known}
    if not own:
        raise UserError("the program was called without inputs; give them by name, e.g. program(question=...)")
    return own


def _float(score: Fraction | None) -> float | None:
    return None if score is None else float(score)
