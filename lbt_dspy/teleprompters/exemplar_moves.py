"""The moves of the M3 loop: draw, examine, group, reflect, revise. Each is one step of the paper's box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
import numpy as np

from lbt_dspy.exam.asking import ask_signature
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.lms.account import Account
from lbt_dspy.sampling import balanced, stream
from lbt_dspy.signatures import REFLECT_OUTPUT, REVISE_OUTPUT, Reflect, Revise
from lbt_dspy.teleprompters.exemplar_records import Case, ExemplarSet, Proposal, ScoredSet
from lbt_dspy.types import Exam, ExamProblem, ExamReport

SHORTEST_REFLECTION = 6
UNREADABLE = "(unreadable)"


@dataclass(frozen=True, kw_only=True)
class Classroom:
    """Who and what one search works with; nothing in it changes."""

    examiner: Examiner
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    label_field: str
    labels: tuple[str, ...]
    input_fields: tuple[str, ...]
    forbidden: frozenset[tuple[str, ...]]
    """Inputs of validation examples, normalised: an exemplar must not be one of them."""
    account: Account
    writing: Mapping[str, Any]
    """Sampling settings of the teacher's reflections and revisions."""
    seed: int

    def label_of(self, example: dspy.Example) -> str:
        """Return the reference label of an example."""
        return str(example[self.label_field])

    def inputs_of(self, example: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the input texts, normalised for comparison."""
        return tuple(" ".join(str(example[name]).casefold().split()) for name in self.input_fields)


def random_set(
    pool: Sequence[dspy.Example], size: int, label_of: Callable[[dspy.Example], str], seed: int, number: int
) -> ExemplarSet:
    """Return random set `number` of a seed: `size` exemplars, as evenly over the labels as the pool allows.

    A search starts from number 0. Who compares it with random sets takes the same ones, so that none is paid for twice.
    """
    drawn = balanced(pool, size, label_of, stream(seed, "random set", number))
    return ExemplarSet(exemplars=tuple(drawn), origin=f"random set {number}")


def problems_for(room: Classroom, exemplar_set: ExemplarSet, examples: Sequence[dspy.Example]) -> list[ExamProblem]:
    """Return the examples as exam problems, without those that the set itself gives away."""
    own = {room.inputs_of(exemplar) for exemplar in exemplar_set.exemplars}
    return [ExamProblem(example=example) for example in examples if room.inputs_of(example) not in own]


def exams_for(room: Classroom, sets: Sequence[ExemplarSet], examples: Sequence[dspy.Example]) -> list[Exam]:
    """Return one exam per set."""
    return [Exam(material=s.exemplars, problems=problems_for(room, s, examples)) for s in sets]


def find_cases(
    room: Classroom, kept: Sequence[ExemplarSet], minibatch: Sequence[dspy.Example]
) -> tuple[list[list[Case]], dict[str, int]]:
    """Let every exam student answer the minibatch after each kept set; pool their errors per set.

    Returns:
        The cases of each set, one entry per wrong answer (so a case that two students failed is there twice and is
        drawn more often), and the number of wrong answers by student. What was not measured is no error.
    """
    exams = exams_for(room, kept, minibatch)
    reports = room.examiner.examine(exams, room.students, account=room.account)
    errors: dict[str, int] = {report.student: 0 for report in reports[0]}
    pooled: list[list[Case]] = []
    for exam, by_student in zip(exams, reports, strict=True):
        cases: list[Case] = []
        for i, problem in enumerate(exam.problems):
            wrong = {r.student: answer_text(r, i, room.label_field) for r in by_student if failed(r, i)}
            for student in wrong:
                errors[student] += 1
            cases += [Case(example=problem.example, wrong_answers=wrong)] * len(wrong)
        pooled.append(cases)
    return pooled, errors


def failed(report: ExamReport, problem: int) -> bool:
    """Return whether a student got a problem wrong (and was measured)."""
    value = report.sittings[problem][0].mark.value
    return value is not None and value < 1


def answer_text(report: ExamReport, problem: int, field: str) -> str:
    """Return what a student answered."""
    fields = report.sittings[problem][0].fields
    return UNREADABLE if fields is None else str(fields[field])


def group_cases(cases: Sequence[Case], groups: int, size: int, rng: np.random.Generator) -> list[tuple[Case, ...]]:
    """Draw up to `groups` groups of at most `size` different cases; cases are used again only when they run out."""
    if not cases:
        return []
    drawn: list[tuple[Case, ...]] = []
    queue: list[Case] = []
    for _ in range(groups):
        group: dict[int, Case] = {}
        left = len({id(case) for case in cases})
        while len(group) < min(size, left):
            queue = queue or [cases[i] for i in rng.permutation(len(cases))]
            case = queue.pop()
            group.setdefault(id(case), case)
        drawn.append(tuple(group.values()))
    return drawn


def as_fields(room: Classroom, example: dspy.Example) -> dict[str, str]:
    """Return an exemplar as the teacher sees it: the predictor's fields as text."""
    return {name: str(example[name]) for name in (*room.input_fields, room.label_field)}


def as_case(room: Classroom, case: Case) -> dict[str, dict[str, str]]:
    """Return a failure case as the teacher sees it. Students stay anonymous: what matters is the exemplars."""
    return {
        "inputs": {name: str(case.example[name]) for name in room.input_fields},
        "answer": {room.label_field: room.label_of(case.example)},
        "students_answered": {f"student {i}": text for i, text in enumerate(sorted(case.wrong_answers.values()), 1)},
    }


def write_revisions(
    room: Classroom, kept: Sequence[ExemplarSet], groups: Sequence[Sequence[tuple[Case, ...]]], number: int
) -> list[Proposal]:
    """Let the teacher reflect on each group of cases and revise the set in the light of it."""
    task = room.examiner.predictor.signature.instructions
    jobs = [(s, parent, g, cases) for s, parent in enumerate(kept) for g, cases in enumerate(groups[s])]
    seeds = [(room.seed, number, s, g) for s, _, g, _ in jobs]
    shown = [
        {
            "task": task,
            "exemplars": [as_fields(room, e) for e in parent.exemplars],
            "failure_cases": [as_case(room, case) for case in cases],
        }
        for _, parent, _, cases in jobs
    ]
    reflections = [
        usable_reflection(output) for output in _ask_teacher(room, Reflect, shown, [("reflect", *s) for s in seeds])
    ]
    going = [i for i, reflection in enumerate(reflections) if reflection is not None]
    wishes = [{**shown[i], "reflection": reflections[i], "number": len(jobs[i][1].exemplars)} for i in going]
    lists = dict(zip(going, _ask_teacher(room, Revise, wishes, [("revise", *seeds[i]) for i in going]), strict=True))
    proposals = []
    for i, (s, parent, g, cases) in enumerate(jobs):
        origin = f"round {number}, set {s + 1}, reflection {g + 1}"
        revised, dropped = accept_list(room, parent, lists.get(i), origin)
        proposals.append(
            Proposal(parent=parent, cases=cases, reflection=reflections[i], revised=revised, dropped=dropped)
        )
    return proposals


def _ask_teacher(
    room: Classroom,
    signature: type[dspy.Signature],
    inputs: Sequence[Mapping[str, Any]],
    seeds: Sequence[Sequence[object]],
) -> list[dict[str, Any] | None]:
    return ask_signature(
        signature,
        inputs,
        lm=room.teacher,
        ledger=room.examiner.ledger,
        adapter=room.examiner.adapter,
        account=room.account,
        config=room.writing,
        seeds=seeds,
    )


def usable_reflection(output: Mapping[str, Any] | None) -> str | None:
    """Return the reflection unless it has five words or fewer."""
    text = "" if output is None else str(output[REFLECT_OUTPUT])
    return text if len(text.split()) >= SHORTEST_REFLECTION else None


def accept_list(
    room: Classroom, parent: ExemplarSet, output: Mapping[str, Any] | None, origin: str
) -> tuple[ExemplarSet | None, int]:
    """Check a teacher-written list; fill the places of refused exemplars from the parent set.

    An exemplar is refused when a field is missing or empty, its label is none of the task's, it repeats another one of
    the list, or it is a copy of a validation text.

    Returns:
        The new set (`None` when nothing usable is in the list) and the number of refused exemplars.
    """
    if output is None:
        return None, 0
    size = len(parent.exemplars)
    written = output[REVISE_OUTPUT]
    accepted: dict[tuple[str, ...], dspy.Example] = {}
    refused = 0
    for fields in written:
        exemplar = checked_exemplar(room, fields)
        if exemplar is None or room.inputs_of(exemplar) in accepted:
            refused += 1
        else:
            accepted[room.inputs_of(exemplar)] = exemplar
    if not accepted:
        return None, refused
    for exemplar in parent.exemplars:
        if len(accepted) < size:
            accepted.setdefault(room.inputs_of(exemplar), exemplar)
    return ExemplarSet(exemplars=tuple(accepted.values())[:size], origin=origin), refused


def checked_exemplar(room: Classroom, fields: Mapping[str, Any]) -> dspy.Example | None:
    """Return a teacher-written exemplar as an example, `None` when it is refused."""
    if not all(str(fields.get(name) or "").strip() for name in (*room.input_fields, room.label_field)):
        return None
    label = {known.casefold(): known for known in room.labels}.get(str(fields[room.label_field]).strip().casefold())
    values = {name: str(fields[name]).strip() for name in room.input_fields}
    if label is None or room.inputs_of(values) in room.forbidden:
        return None
    return dspy.Example(**values, **{room.label_field: label}).with_inputs(*room.input_fields)


def new_sets(
    proposals: Sequence[Proposal], old: Sequence[ExemplarSet], most: int, rng: np.random.Generator
) -> list[ExemplarSet]:
    """Return the revised sets without duplicates, a random `most` of them per parent."""
    seen = {s.content for s in old}
    by_parent: dict[int, list[ExemplarSet]] = {}
    for proposal in proposals:
        revised = proposal.revised
        if revised is not None and revised.content not in seen:
            seen.add(revised.content)
            by_parent.setdefault(id(proposal.parent), []).append(revised)
    fresh: list[ExemplarSet] = []
    for sets in by_parent.values():
        fresh += [sets[i] for i in sorted(rng.permutation(len(sets))[:most])]
    return fresh


def best_first(sets: Sequence[ScoredSet], most: int) -> tuple[ScoredSet, ...]:
    """Return the `most` sets with the best scores; of equal ones the older first."""
    return tuple(sorted(sets, key=lambda s: -s.rank)[:most])
