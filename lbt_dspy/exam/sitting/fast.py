"""The fast way to sit an exam: a program of one predictor, whose prompt is rendered once for each material."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.exam.marking import Marker
from lbt_dspy.exam.render import Renderer, Rendering
from lbt_dspy.exam.shapes import complete_inputs
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import LazyCall, Prefix, Question, Terms, as_choices
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.settings import sampling_of
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Reply, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material

CACHED_PROBLEMS = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class OnePredictor:
    """Holds exams with a `dspy.Predict` or `dspy.ChainOfThought`."""

    renderer: Renderer
    marker: Marker
    ledger: Ledger
    shown: Callable[[Material], Material]
    """What a student reads of a material."""
    sampling: Callable[[dspy.LM, int], dict[str, Any]]
    """Settings of a student's sitting number."""
    choices: bool
    """Whether several sittings at one question may be choices of one request."""
    _inputs: dict[int, tuple[ExamProblem, Mapping[str, Any]]] = field(default_factory=dict)
    _terms: dict[tuple[int, int], tuple[dspy.LM, Terms]] = field(default_factory=dict)

    def stream(
        self, exams: Iterable[Exam], students: Sequence[dspy.LM], *, sittings: int, role: str, account: Account | None
    ) -> Iterator[list[ExamReport]]:
        """As `Examiner.stream`."""
        asked, reported = itertools.tee(exams)
        calls = (call for exam in asked for call in self._calls(exam, students, sittings))
        replies = self.ledger.stream(calls, role=role, account=account)
        return ([self._report(exam, student, replies, sittings) for student in students] for exam in reported)

    def sit(self, seats: Sequence[Seat], *, role: str, account: Account | None, choices: bool) -> list[Sitting]:
        """As `Examiner.sit`."""
        renderings: dict[int, Rendering] = {}
        questions: dict[tuple[int, int], Question] = {}
        prefixes: dict[tuple[int, int, int], Prefix] = {}
        units: dict[tuple[int, ...], list[int]] = {}
        calls: list[LazyCall] = []
        for i, (material, student, problem, sitting) in enumerate(seats):
            place = (id(material), id(student), sitting)
            if id(material) not in renderings:
                renderings[id(material)] = self.renderer.rendering(self.shown(material))
            if place not in prefixes:
                prefixes[place] = renderings[id(material)].prefix(self._terms_of(student, sitting))
            asked_of = (id(material), id(problem))
            if asked_of not in questions:
                questions[asked_of] = renderings[id(material)].question(self._inputs_of(problem))
            calls.append(prefixes[place].asking(questions[asked_of]))
            units.setdefault((id(material), id(student), id(problem)) if choices else (i,), []).append(i)
        order = [i for unit in units.values() for i in unit]
        asked = [
            call
            for unit in units.values()
            for call in self._as_choices([calls[i] for i in unit], seats[unit[0]].student)
        ]
        replies = dict(zip(order, self.ledger.ask(asked, role=role, account=account), strict=True))
        return [self.marker.sitting(seat.problem, replies[i]) for i, seat in enumerate(seats)]

    def _terms_of(self, student: dspy.LM, sitting: int) -> Terms:
        """Return what all exams of a student's sitting number share; made once."""
        found = self._terms.get((id(student), sitting))
        if found is None:
            engine = engine_of(student)
            terms = Terms(engine, sampling_of(student, self.sampling(student, sitting)), sitting)
            found = self._terms[id(student), sitting] = (student, terms)  # the student keeps its id
        return found[1]

    def _calls(self, exam: Exam, students: Sequence[dspy.LM], sittings: int) -> Iterator[LazyCall]:
        """Give the calls of one exam, all sittings at a problem together."""
        rendering = self.renderer.rendering(self.shown(exam.material))
        for student in students:
            prefixes = [rendering.prefix(self._terms_of(student, sitting)) for sitting in range(sittings)]
            for problem in exam.problems:
                question = rendering.question(self._inputs_of(problem))
                yield from self._as_choices([prefix.asking(question) for prefix in prefixes], student)

    def _inputs_of(self, problem: ExamProblem) -> Mapping[str, Any]:
        """Return the inputs of a problem, which many lessons share."""
        example = problem.example
        found = self._inputs.get(id(example))
        if found is None:
            if len(self._inputs) >= CACHED_PROBLEMS:
                self._inputs.clear()
            inputs = complete_inputs(self.renderer.signature, dict(example.inputs()))
            found = self._inputs[id(example)] = (example, inputs)  # the example keeps its id
        return found[1]

    def _as_choices(self, calls: list[LazyCall], student: dspy.LM) -> list[LazyCall]:
        """Return the sittings of one question as choices of one request where that is possible and more than one."""
        able = len(calls) > 1 and self.choices and calls[0].engine.gives_choices
        return as_choices(calls) if able and not self._terms_of(student, 0).greedy else calls

    def _report(self, exam: Exam, student: dspy.LM, replies: Iterator[Reply], sittings: int) -> ExamReport:
        rows = tuple(tuple(self.marker.sitting(p, next(replies)) for _ in range(sittings)) for p in exam.problems)
        return ExamReport(student=engine_of(student).name, sittings=rows)
