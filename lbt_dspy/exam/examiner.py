"""The exam engine: material x problems x exam students x sittings -> reports."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.grading import Grader, check_grader, reference_of
from lbt_dspy.exam.likelihood import ASK
from lbt_dspy.exam.marking import Marker
from lbt_dspy.exam.options import SittingOptions
from lbt_dspy.exam.render import Renderer, current_adapter
from lbt_dspy.exam.shapes import check_exams, check_lms, check_problem
from lbt_dspy.exam.sitting.fast import OnePredictor
from lbt_dspy.exam.sitting.mark import MarkedExam, check_one_sitting
from lbt_dspy.exam.sitting.whole_program import WholeProgram, single_predictor
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.calls import open_settings
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.own import OwnLedger, PaidBy
from lbt_dspy.ledger.programs import PaidProgram
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material

PART = 2000
"""Sittings of a larger program that are begun together."""


@dataclass(frozen=True, eq=False)
class Examiner(SittingOptions, PaidBy):
    """Runs sittings through a ledger: each is paid for at most once, and what could not be measured is `None`.

    Args:
        program: What students sit exams with: a `dspy.Predict` or `dspy.ChainOfThought` (fast path: the prompt is
            rendered once per material), or any larger program (run as it is, in the ledger's number of threads).
        predictor: Name of the predictor that gets the material as demonstrations and the student as LM, as in
            `program.named_predictors()`; `None` when there is only one.
        grader: Gives each answer its mark.
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
        UserError: The program or grader is none, the predictor's name is unknown or missing, an option is out of
            bounds, or probabilities or evidence are asked of a larger program.

    Example:
        >>> import dspy
        >>> from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem
        >>> from lbt_dspy.testing import scripted_lm
        >>> student = scripted_lm(lambda inputs, lessons, seed: {"answer": lessons[-1]["answer"] if lessons else "?"})
        >>> lesson = dspy.Example(question="The capital of Peru?", answer="Lima").with_inputs("question")
        >>> problem = dspy.Example(question="And where is its government?", answer="Lima").with_inputs("question")
        >>> exams = [Exam(material=material, problems=[ExamProblem(example=problem)]) for material in ((), (lesson,))]
        >>> examiner = Examiner(dspy.Predict("question -> answer"), grader=ExactMatch("answer"))
        >>> [reports[0].sittings[0][0].mark.value for reports in examiner.examine(exams, [student])]
        [0.0, 1.0]
    """

    program: dspy.Module
    _: KW_ONLY
    grader: Grader
    predictor: str | None = None
    adapter: dspy.Adapter | None = None
    config: Mapping[str, Any] | None = None  # type: ignore[assignment]  # here nothing is left open unless it is given
    seed: int = 0
    probabilities_of: str | None = None
    labels: Sequence[str] = ()
    sittings: int | None = 1
    choices: bool = True
    name: str = field(init=False, repr=False)
    """Of the predictor that is examined."""
    examined: dspy.Predict = field(init=False, repr=False)
    """The predictor of that name."""
    payer: Ledger = field(init=False, repr=False)
    """Pays for the calls."""
    _alone: bool = field(init=False, repr=False)
    layout: dspy.Adapter = field(init=False, repr=False)
    """The adapter that is used."""
    _marked: MarkedExam | None = field(init=False, repr=False)
    _fast: OnePredictor | None = field(init=False, repr=False)
    """How students sit an exam: one of these two or, where both are `None`, with the whole program."""
    _checked: dict[int, dspy.Example] = field(init=False, repr=False, default_factory=dict)
    """Exam problems that fit, by id."""

    def __post_init__(self) -> None:
        SittingOptions.__post_init__(self)
        PaidBy.__post_init__(self)
        check_grader(self.grader)
        name, examined, alone = single_predictor(self.program, self.predictor)
        if self.probabilities_of is not None and not alone:
            raise UserError("label probabilities need a program of one predictor; use scoring='metric'")
        marking = self.marking
        if marking is not None and not (alone and self.probabilities_of is None):
            raise UserError(
                f"mark {marking.name!r} needs a program of one predictor, without label probabilities; take 'grade'"
            )
        layout, payer = current_adapter(self.adapter), OwnLedger(self.ledger, self.budget).ledger
        renderer = Renderer(examined.signature, layout)
        marked = fast = None
        if marking is not None:
            marked = marking.exam(renderer=renderer, shown=self.shown, ledger=payer)
        elif alone:
            marker = Marker(renderer, self.grader, probabilities_of=self.probabilities_of, labels=self.labels)
            fast = OnePredictor(
                renderer=renderer, marker=marker, ledger=payer, shown=self.shown, sampling=self.sampling,
                choices=self.choices,
            )  # fmt: skip
        vars(self).update(
            name=name, examined=examined, payer=payer, layout=layout, ledger=payer, _alone=alone, _marked=marked,
            _fast=fast,
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """Sampling settings of a sitting that an LM leaves open, with what probabilities need."""
        return {**(self.config or {}), **(ASK if self.probabilities_of is not None else {})}

    def examine(
        self,
        exams: Sequence[Exam],
        students: Sequence[dspy.LM],
        *,
        role: str = "students",
        account: Account | None = None,
        sittings: int | None = None,
    ) -> list[list[ExamReport]]:
        """Let every student sit every exam.

        Args:
            exams: Materials with their problems.
            students: The LMs that sit them.
            role: Under which role the calls are counted (`students` or `teacher`).
            account: Where the calls are counted; `None`: nowhere but in the ledger.
            sittings: How often each student sits each exam, at least 1; each sitting has a request seed of its own.
                Marks by evidence need one, and take no other number. `None`: as the examiner says.

        Returns:
            `reports[exam][student]`.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            UserError: A student does not say how likely a text is, where marks are by evidence.
        """
        check_exams(exams)
        for exam in exams:
            self._check_problems(exam.problems)
        return list(self.stream(exams, students, role=role, account=account, sittings=sittings))

    def stream(
        self,
        exams: Iterable[Exam],
        students: Sequence[dspy.LM],
        *,
        role: str = "students",
        account: Account | None = None,
        sittings: int | None = None,
    ) -> Iterator[list[ExamReport]]:
        """As `examine`, but give the reports of each exam, in order, when it and those before it are done.

        Exams are taken as reports are: however many there are, only a bounded number of sittings is held in memory.
        """
        check_lms(students)
        exams = map(self._checked_exam, exams)
        number = self.sittings_held if sittings is None else sittings
        if self._fast is not None:
            return self._fast.stream(exams, students, sittings=number, role=role, account=account)
        if self.marking is not None and self.marking.one_sitting:
            check_one_sitting(self.marking.name, number)
        parts = _parts(exams, max(PART, self.payer.workers), len(students) * number)
        return itertools.chain.from_iterable(
            self._examine_part(part, students, role, account or Account(), number) for part in parts
        )

    def _checked_exam(self, exam: Exam) -> Exam:
        self._check_problems(exam.problems)
        return exam

    def _examine_part(
        self, exams: Sequence[Exam], students: Sequence[dspy.LM], role: str, account: Account, sittings: int
    ) -> list[list[ExamReport]]:
        if self._marked is not None:
            numbers = range(sittings)
            seats = [Seat(e.material, s, p, n) for e in exams for s in students for p in e.problems for n in numbers]
            held = iter(self._marked.sit(seats, role=role, account=account))
            return [[_report(exam, student, held, sittings) for student in students] for exam in exams]
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
        self._check_problems([seat.problem for seat in seats])
        if self._marked is not None:
            return self._marked.sit(seats, role=role, account=account or Account())
        if self._fast is None:
            return self._whole(role, account or Account()).sit(seats)
        return self._fast.sit(seats, role=role, account=account, choices=choices)

    def check(self, problems: Sequence[ExamProblem], students: Sequence[dspy.LM] = ()) -> None:
        """Check, before any call, that students can be asked the problems and their answers marked.

        Raises:
            UserError: A problem lacks an input of the program or the answer, or a student does not say how likely a
                text is, where marks are by evidence.
        """
        check_lms(students)
        self._check_problems(problems)
        if self._marked is not None:
            self._marked.check(students, problems)

    def _check_problems(self, problems: Sequence[ExamProblem]) -> None:
        """Check each problem once: the same ones are asked after many materials."""
        answer, asked = reference_of(self.grader), self.examined if self._alone else None
        for problem in problems:
            example = getattr(problem, "example", problem)
            if id(example) not in self._checked:
                check_problem(problem, self.program, asked, answer)
                self._checked[id(example)] = example  # keeps its id

    def _whole(self, role: str, account: Account) -> WholeProgram:
        paid = PaidProgram(program=self.program, adapter=self.layout, ledger=self.payer, account=account)
        return WholeProgram(
            paid=paid, predictor=self.name, shown=self.shown, grader=self.grader, sampling=self.sampling, role=role
        )

    def shown(self, material: Material) -> Material:
        """Return the demonstrations that a student reads: its own, then the material."""
        if not self.rationale:
            outputs = self.examined.signature.output_fields
            before_answer = [name for name in list(outputs)[:-1] if outputs[name].annotation is str]
            # Empty, not left out: DSPy moves incomplete demonstrations to the front.
            material = tuple(dspy.Example({**demo, **dict.fromkeys(before_answer, "")}) for demo in material)
        return (*self.demonstrations, *material)

    def sampling(self, student: dspy.LM, sitting: int) -> dict[str, Any]:
        """Return the settings of one sitting: the LM's own win over the examiner's, and each sitting has its seed."""
        seed = request_seed(self.seed, "sitting", sitting)
        return open_settings(student, engine_of(student), self.settings, seed)


def _report(exam: Exam, student: dspy.LM, held: Iterator[Sitting], sittings: int) -> ExamReport:
    rows = tuple(tuple(itertools.islice(held, sittings)) for _ in exam.problems)
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
