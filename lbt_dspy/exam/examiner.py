"""The exam engine: material x problems x exam students x sittings -> reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.evidence import SCALE, EvidenceExam, check_mark, check_one_sitting
from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.likelihood import ASK, label_probabilities
from lbt_dspy.exam.paid_program import PaidProgram
from lbt_dspy.exam.render import LazyCall, Prefix, Renderer, UnreadableError, current_adapter, open_settings
from lbt_dspy.exam.whole_program import WholeProgram, single_predictor
from lbt_dspy.lms.account import Account
from lbt_dspy.lms.ledger import Ledger
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import request_seed
from lbt_dspy.types import Exam, ExamProblem, ExamReport, Mark, Reply, Seat, Sitting

if TYPE_CHECKING:
    from lbt_dspy.types import Material


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
            exam problem's reference answer (see `lbt_dspy.exam.evidence`); the students must say how likely a given
            text is, and the program must be one predictor.
        evidence_scale: Of `evidence`, above 0, in nats per token: the gain that has the mark .73. Fixed beforehand, the
            same for all questions; smaller makes marks more like 0 and 1.

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
        self._probabilities_of = probabilities_of
        self._labels = tuple(labels)
        self.demonstrations = tuple(demonstrations)
        self.rationale = rationale
        self.grader = grader
        self.ledger = ledger
        self.adapter = current_adapter(adapter)
        self.config = {**(config or {}), **(ASK if probabilities_of is not None else {})}
        self.seed = seed
        self._renderer = Renderer(self.predictor.signature, self.adapter)
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
        account = Account() if account is None else account
        if self._evidence is not None:
            check_one_sitting(sittings)
            return self._evidence.examine(exams, students, role=role, account=account)
        if not self._alone:
            return self._whole(role, account).examine(exams, students, sittings)
        calls: list[LazyCall] = []
        for exam in exams:
            for student in students:
                calls += self._calls(exam, student, sittings)
        replies = iter(self.ledger.ask(calls, role=role, account=account))
        return [
            [
                ExamReport(
                    student=engine_of(student).name,
                    sittings=self._by_problem([[next(replies) for _ in exam.problems] for _ in range(sittings)], exam),
                )
                for student in students
            ]
            for exam in exams
        ]

    def sit(self, seats: Sequence[Seat], *, role: str = "students", account: Account | None = None) -> list[Sitting]:
        """Hold single sittings, whichever are wanted, all at once; the results are in their order.

        Raises:
            BudgetSpentError: The next call could exceed the budget.
            UserError: A student does not say how likely a text is, where marks are by evidence.
        """
        account = Account() if account is None else account
        if self._evidence is not None:
            return self._evidence.sit(seats, role=role, account=account)
        if not self._alone:
            return self._whole(role, account).sit(seats)
        prefixes: dict[tuple[int, int, int], Prefix] = {}
        calls = []
        for material, student, problem, sitting in seats:
            place = (id(material), id(student), sitting)
            if place not in prefixes:
                prefixes[place] = self._prefix(material, student, sitting)
            calls.append(prefixes[place].call(problem.example.inputs()))
        replies = self.ledger.ask(calls, role=role, account=account)
        return [self._sitting(seat.problem, reply) for seat, reply in zip(seats, replies, strict=True)]

    def check(self, problems: Sequence[ExamProblem], students: Sequence[dspy.LM] = ()) -> None:
        """Check, before any call, that students can be asked the problems and their answers marked.

        Raises:
            UserError: A problem lacks an input of the program or the answer, or a student does not say how likely a
                text is, where marks are by evidence.
        """
        inputs = list(self.predictor.signature.input_fields) if self._alone else []
        answer = getattr(self.grader, "field", None)
        for problem in problems:
            example = problem.example
            given = set(example._input_keys or ())
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

    def _prefix(self, material: Material, student: dspy.LM, sitting: int) -> Prefix:
        demos = self.shown(material)
        return self._renderer.prefix(demos, student, engine_of(student), self.sampling(student, sitting), sitting)

    def sampling(self, student: dspy.LM, sitting: int) -> dict[str, Any]:
        """Return the settings of one sitting: the LM's own win over the examiner's, and each sitting has its seed."""
        seed = request_seed(self.seed, "sitting", sitting)
        return open_settings(student, engine_of(student), self.config, seed)

    def _calls(self, exam: Exam, student: dspy.LM, sittings: int) -> list[LazyCall]:
        calls = []
        for sitting in range(sittings):
            prefix = self._prefix(exam.material, student, sitting)
            calls += [prefix.call(problem.example.inputs()) for problem in exam.problems]
        return calls

    def _by_problem(self, replies: list[list[Reply]], exam: Exam) -> tuple[tuple[Sitting, ...], ...]:
        return tuple(
            tuple(self._sitting(problem, row[i]) for row in replies) for i, problem in enumerate(exam.problems)
        )

    def _sitting(self, problem: ExamProblem, reply: Reply) -> Sitting:
        if reply.text is None:
            return Sitting(fields=None, mark=Mark(value=None, reason=reply.reason))
        try:
            fields = self._renderer.parse(reply.text)
        except UnreadableError as error:
            return Sitting(fields=None, mark=Mark(value=0.0, reason=str(error)))
        return Sitting(
            fields=fields,
            mark=self.grader.grade(problem.example, fields),
            probabilities=self._probabilities(reply, fields),
        )

    def _probabilities(self, reply: Reply, fields: Mapping[str, Any]) -> dict[str, float] | None:
        name = self._probabilities_of
        if name is None or reply.logprobs is None:
            return None
        return label_probabilities(reply.logprobs, str(fields[name]), self._labels)
