"""The exam engine: material x problems x exam students x sittings -> reports."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.dspy_private import input_names
from lbt_dspy.errors import UserError
from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.likelihood import ASK
from lbt_dspy.exam.marking import Marker
from lbt_dspy.exam.render import Renderer, Rendering, current_adapter
from lbt_dspy.exam.sitting.evidence import SCALE, EvidenceExam, check_mark, check_one_sitting
from lbt_dspy.exam.sitting.whole_program import WholeProgram, single_predictor
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import LazyCall, Prefix, Question, Terms, as_choices, open_settings, sampling_of
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.programs import PaidProgram
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Reply, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material

PART = 2000
"""Sittings of a larger program that are begun together."""
CACHED_PROBLEMS = 4096


class Examiner:
    """Runs sittings through a ledger: each is paid for at most once, and what could not be measured is `None`.

    Args:
        program: What students sit exams with: a `dspy.Predict` or `dspy.ChainOfThought` (fast path: the prompt is
            rendered once per material), or any larger program (run as it is, in the ledger's number of threads).
        predictor: Name of the predictor that gets the material as demonstrations and the student as LM, as in
            `program.named_predictors()`; `None` when there is only one.
        grader: Gives each answer its mark.
        ledger: Pays for the calls.
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        config: Sampling settings of a sitting that the LM itself leaves open, e.g. `{"temperature": 0.0}`.
        seed: Seeds the `seed` parameter of the requests.
        probabilities_of: Name of the label's field, when sittings are to say how probable each label was; the students
            must give log-probabilities, and the program must be one predictor.
        labels: All labels, with `probabilities_of`.
        demonstrations: Fixed demonstrations of the students' own, before every material (the paper's 4-shot students).
        rationale: False: of a material students read the inputs and the predictor's last output field, the answer;
            texts before it are left empty (the paper's ablation).
        mark: `grade`: students answer, and the grader marks it; `evidence`: how much likelier the material makes the
            exam problem's reference answer (see `lbt_dspy.exam.sitting.evidence`); the students must say how likely a
            given text is, and the program must be one predictor.
        evidence_scale: Of `evidence`, above 0, in nats per token: the gain that has the mark .73. Fixed beforehand, the
            same for all questions; smaller makes marks more like 0 and 1.
        choices: Whether several sittings at one question are asked as choices of one request (`n`), so that the prompt
            is read once, of students whose servers do that; what each choice is journalled under then depends on how
            many there are. Students at temperature 0, and larger programs, are always asked one by one.

    Raises:
        UserError: The predictor's name is unknown or missing, an option is out of bounds, or probabilities or evidence
            are asked of a larger program.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        grader: Grader,
        ledger: Ledger,
        predictor: str | None = None,
        adapter: dspy.Adapter | None = None,
        config: Mapping[str, Any] | None = None,
        seed: int = 0,
        probabilities_of: str | None = None,
        labels: Sequence[str] = (),
        demonstrations: Sequence[dspy.Example] = (),
        rationale: bool = True,
        mark: str = "grade",
        evidence_scale: float = SCALE,
        choices: bool = True,
    ) -> None:
        check_mark(mark, evidence_scale)
        self.program = program
        self.name, self.predictor, self._alone = single_predictor(program, predictor)
        if probabilities_of is not None and not self._alone:
            raise UserError("label probabilities need a program of one predictor; use scoring='metric'")
        if mark == "evidence" and not (self._alone and probabilities_of is None):
            raise UserError(
                "mark 'evidence' needs a program of one predictor, without label probabilities; take 'grade'"
            )
        self.demonstrations = tuple(demonstrations)
        self.rationale = rationale
        self.grader = grader
        self.ledger = ledger
        self.adapter = current_adapter(adapter)
        self.config = {**(config or {}), **(ASK if probabilities_of is not None else {})}
        self.seed = seed
        self.choices = choices
        self._inputs: dict[int, tuple[ExamProblem, Mapping[str, Any]]] = {}
        self._terms: dict[tuple[int, int], tuple[dspy.LM, Terms]] = {}
        self._renderer = Renderer(self.predictor.signature, self.adapter)
        self._marker = Marker(self._renderer, grader, probabilities_of=probabilities_of, labels=labels)
        self._evidence = (
            EvidenceExam(renderer=self._renderer, shown=self.shown, ledger=ledger, scale=evidence_scale)
            if mark == "evidence"
            else None
        )

    def examine(
        self,
        exams: Sequence[Exam],
        students: Sequence[dspy.LM],
        *,
        role: str = "students",
        account: Account | None = None,
        sittings: int = 1,
    ) -> list[list[ExamReport]]:
        """Let every student sit every exam.

        Args:
            exams: Materials with their problems.
            students: The LMs that sit them.
            role: Under which role the calls are counted (`students` or `teacher`).
            account: Where the calls are counted; `None`: nowhere but in the ledger.
            sittings: How often each student sits each exam, at least 1; each sitting has a request seed of its own.
                Marks by evidence need one, and take no other number.

        Returns:
            `reports[exam][student]`.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            UserError: A student does not say how likely a text is, where marks are by evidence.
        """
        return list(self.stream(exams, students, role=role, account=account, sittings=sittings))

    def stream(
        self,
        exams: Iterable[Exam],
        students: Sequence[dspy.LM],
        *,
        role: str = "students",
        account: Account | None = None,
        sittings: int = 1,
    ) -> Iterator[list[ExamReport]]:
        """As `examine`, but give the reports of each exam, in order, when it and those before it are done.

        Exams are taken as reports are: however many there are, only a bounded number of sittings is held in memory.
        """
        if self._evidence is not None:
            check_one_sitting(sittings)
        if self._evidence is not None or not self._alone:
            parts = _parts(exams, max(PART, self.ledger.workers), len(students) * sittings)
            return itertools.chain.from_iterable(
                self._examine_part(part, students, role, account or Account(), sittings) for part in parts
            )
        asked, reported = itertools.tee(exams)
        calls = (call for exam in asked for call in self._calls(exam, students, sittings))
        replies = self.ledger.stream(calls, role=role, account=account)
        return ([self._report(exam, student, replies, sittings) for student in students] for exam in reported)

    def _examine_part(
        self, exams: Sequence[Exam], students: Sequence[dspy.LM], role: str, account: Account, sittings: int
    ) -> list[list[ExamReport]]:
        if self._evidence is not None:
            return self._evidence.examine(exams, students, role=role, account=account)
        return self._whole(role, account).examine(exams, students, sittings)

    def sit(
        self,
        seats: Sequence[Seat],
        *,
        role: str = "students",
        account: Account | None = None,
        choices: bool = False,
    ) -> list[Sitting]:
        """Hold single sittings, whichever are wanted, all at once; the results are in their order.

        Args:
            seats: Who is asked what.
            role: As in `examine`.
            account: As in `examine`.
            choices: Whether the sittings of one student at one problem after one material are asked as choices of one
                request, as `examine` does it. Their replies depend on which sittings those are.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            UserError: A student does not say how likely a text is, where marks are by evidence.
        """
        if self._evidence is not None:
            return self._evidence.sit(seats, role=role, account=account or Account())
        if not self._alone:
            return self._whole(role, account or Account()).sit(seats)
        renderings: dict[int, Rendering] = {}
        questions: dict[tuple[int, int], Question] = {}
        prefixes: dict[tuple[int, int, int], Prefix] = {}
        units: dict[tuple[int, ...], list[int]] = {}
        calls: list[LazyCall] = []
        for i, (material, student, problem, sitting) in enumerate(seats):
            place = (id(material), id(student), sitting)
            if id(material) not in renderings:
                renderings[id(material)] = self._renderer.rendering(self.shown(material))
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
        return [self._marker.sitting(seat.problem, replies[i]) for i, seat in enumerate(seats)]

    def check(self, problems: Sequence[ExamProblem], students: Sequence[dspy.LM] = ()) -> None:
        """Check, before any call, that students can be asked the problems and their answers marked.

        Raises:
            UserError: A problem lacks an input of the program or the answer, or a student does not say how likely a
                text is, where marks are by evidence.
        """
        inputs = list(self.predictor.signature.input_fields) if self._alone else []
        answer = getattr(self.grader, "reference", getattr(self.grader, "field", None))
        for problem in problems:
            example = problem.example
            given = input_names(example) or set()
            lacking = next((name for name in inputs if name not in given or name not in example), None)
            if lacking is None and answer is not None and answer not in example:
                lacking = answer
            if lacking is not None:
                start = str(next(iter(example.inputs().values()), ""))[:60]
                what = "answer" if lacking == answer else "input"
                raise UserError(
                    f"the exam problem {start!r} has no {what} {lacking!r}; give it this field"
                    + (" and name it in with_inputs(...)" if what == "input" else "")
                )
        if self._evidence is not None:
            self._evidence.check(students, problems)

    def _whole(self, role: str, account: Account) -> WholeProgram:
        paid = PaidProgram(program=self.program, adapter=self.adapter, ledger=self.ledger, account=account)
        return WholeProgram(
            paid=paid, predictor=self.name, shown=self.shown, grader=self.grader, sampling=self.sampling, role=role
        )

    def shown(self, material: Material) -> Material:
        """Return the demonstrations that a student reads: its own, then the material."""
        if not self.rationale:
            outputs = self.predictor.signature.output_fields
            before_answer = [name for name in list(outputs)[:-1] if outputs[name].annotation is str]
            # Empty, not left out: DSPy moves incomplete demonstrations to the front.
            material = tuple(dspy.Example({**demo, **dict.fromkeys(before_answer, "")}) for demo in material)
        return (*self.demonstrations, *material)

    def _terms_of(self, student: dspy.LM, sitting: int) -> Terms:
        """Return what all exams of a student's sitting number share; made once."""
        found = self._terms.get((id(student), sitting))
        if found is None:
            engine = engine_of(student)
            terms = Terms(engine, sampling_of(student, self.sampling(student, sitting)), sitting)
            found = self._terms[id(student), sitting] = (student, terms)  # the student keeps its id
        return found[1]

    def sampling(self, student: dspy.LM, sitting: int) -> dict[str, Any]:
        """Return the settings of one sitting: the LM's own win over the examiner's, and each sitting has its seed."""
        seed = request_seed(self.seed, "sitting", sitting)
        return open_settings(student, engine_of(student), self.config, seed)

    def _calls(self, exam: Exam, students: Sequence[dspy.LM], sittings: int) -> Iterator[LazyCall]:
        """Give the calls of one exam, all sittings at a problem together."""
        rendering = self._renderer.rendering(self.shown(exam.material))
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
            found = self._inputs[id(example)] = (example, dict(example.inputs()))  # the example keeps its id
        return found[1]

    def _as_choices(self, calls: list[LazyCall], student: dspy.LM) -> list[LazyCall]:
        """Return the sittings of one question as choices of one request where that is possible and more than one."""
        able = len(calls) > 1 and self.choices and calls[0].engine.gives_choices
        return as_choices(calls) if able and not self._terms_of(student, 0).greedy else calls

    def _report(self, exam: Exam, student: dspy.LM, replies: Iterator[Reply], sittings: int) -> ExamReport:
        rows = tuple(tuple(self._marker.sitting(p, next(replies)) for _ in range(sittings)) for p in exam.problems)
        return ExamReport(student=engine_of(student).name, sittings=rows)


def _parts(exams: Iterable[Exam], size: int, seats_per_problem: int) -> Iterator[list[Exam]]:
    """Cut exams into parts of at least `size` sittings."""
    part: list[Exam] = []
    held = 0
    for exam in exams:
        part.append(exam)
        held += len(exam.problems) * seats_per_problem
        if held >= size:
            yield part
            part, held = [], 0
    if part:
        yield part
