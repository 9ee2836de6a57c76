"""The module that M1 compiles a program into: it samples, examines and selects whenever it is called."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch, Grader
from lbt_dspy.exam.options import SittingOptions
from lbt_dspy.exam.render import current_adapter
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.own import OwnLedger
from lbt_dspy.ledger.plan import CallPlan
from lbt_dspy.lms.redaction import without_secrets
from lbt_dspy.teleprompters.rerank.lessons import NoLesson, SampledLesson, lesson_predictor
from lbt_dspy.teleprompters.rerank.options import RerankOptions
from lbt_dspy.teleprompters.rerank.plan import plan_of
from lbt_dspy.teleprompters.rerank.records import ADDED_FIELDS, Reranking
from lbt_dspy.teleprompters.rerank.steps import check_lm, exam_of, own_inputs, rerank, sample
from lbt_dspy.types import ExamProblem

AT_COMPILE = ("exam_students", "lm_config", "predictor", "answer_field", "ledger", "budget")


class RerankedProgram(dspy.Module):  # type: ignore[misc]
    """A program that answers as `LbTRerank` says; called like the program that it holds.

    Its `dspy.Prediction` has the fields of the program's, and beside them:

    * `lbt_score`: of the chosen lesson, in [0, 1]; `None` when it was not examined (all lessons agreed);
    * `votes`: answer to number of lessons, most first;
    * `lessons`: all lessons, as `LessonRecord`;
    * `exam`: how the exam went, as `ExamRecord`.

    An exam that a schedule stopped early has marks for the lessons that were in doubt: enough for the choice, but no
    LbT scores to compare lessons by; use `schedule="full"` for those. The same question has the same lessons, unless
    its LM has another `rollout_id`, as `dspy.BestOfN` and other optimisers set it to try again.

    Attributes:
        program: The program. Other optimisers compile its predictors; DSPy saves them.
        exam_students: The exam students, saved by name.
    """

    def __init__(self, program: dspy.Module, options: RerankOptions) -> None:
        super().__init__()
        self.program = program
        self.exam_students = ExamStudents(options.exam_students, options.lm_config)
        self._options = Options(options)
        self._till = OwnLedger(options.ledger, options.budget)
        grader = options.grader
        known = options.answer_field or (None if grader is None else getattr(grader, "field", None))
        self._predictor, self._answer = lesson_predictor(
            program, options.predictor, known, getattr(options.exam, "labels", ())
        )
        taken = {name for p in program.predictors() for name in p.signature.output_fields} & set(ADDED_FIELDS)
        if taken:
            raise UserError(f"the program has an output field {min(taken)!r}, a name that the reranked program adds")

    @property
    def options(self) -> RerankOptions:
        """What `LbTRerank` was asked for."""
        return self._options.value

    @property
    def ledger(self) -> Ledger:
        """What pays for its calls."""
        return self._till.ledger

    @property
    def grader(self) -> Grader:
        """What marks the students' answers, and tells which answers are the same."""
        return ExactMatch(self._answer) if self.options.grader is None else self.options.grader

    @property
    def answer_field(self) -> str:
        """The output field with the answer."""
        return self._answer

    @property
    def lesson_predictor_name(self) -> str:
        """The name of the predictor whose text is the lesson."""
        return self._predictor

    @property
    def lesson_predictor(self) -> dspy.Predict:
        """The predictor whose text is the lesson."""
        return dict(self.program.named_predictors())[self._predictor]

    def inputs_of(self, example: dspy.Example) -> dict[str, Any]:
        """Return what to call this program with: an example's inputs, and what exam maker and screen ask for."""
        return {**example.inputs(), **{name: example[name] for name in self.options.about if name in example}}

    def exam_problems(self, inputs: Mapping[str, Any]) -> Sequence[ExamProblem]:
        """Return the exam of a question.

        Raises:
            UserError: It cannot be made.
        """
        return exam_of(self.program, inputs, self.options)[1]

    def plan(self, questions: Sequence[dspy.Example]) -> CallPlan:
        """Return the most calls that answering these questions can make, and what they cost; make none.

        Args:
            questions: With their inputs, and what exam maker and screen ask for.

        Raises:
            UserError: An exam cannot be made, or a predictor has no LM.
        """
        check_lm(self.program)
        if not questions:
            return CallPlan([])
        exams = [self.exam_problems(self.inputs_of(question)) for question in questions]
        return plan_of(
            self.program, questions, exams, options=self.options,
            students=self.exam_students.lms() if any(exams) else [], taught=self.lesson_predictor,
            answer=self.answer_field,
        )  # fmt: skip

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Check, before any call, that the exam of a question can be held.

        Raises:
            UserError: It cannot be made, an exam problem does not fit, or the name of a student is unknown.
        """
        problems = self.exam_problems(inputs)
        self._examiner(self.options).check(problems, self.exam_students.lms() if problems else [])

    def with_demonstrations(self, demonstrations: Sequence[dspy.Example]) -> RerankedProgram:
        """Return a copy whose teacher reads these demonstrations: the fair baseline gives it the exam's problems."""
        copy: RerankedProgram = self.deepcopy()
        copy.lesson_predictor.demos = list(demonstrations)
        return copy

    def forward(self, *positional: Any, **inputs: Any) -> dspy.Prediction:
        """Answer one question; what exam maker and screen ask for (such as `unique_id`) may stand beside the inputs."""
        if positional:
            raise UserError("the program was called without names; give its inputs by name, e.g. program(question=...)")
        found = self.rerank(inputs)
        trace = dspy.settings.trace
        if trace is not None:
            predictors = dict(self.program.named_predictors())
            trace.extend((predictors[name], asked, given) for name, asked, given in found.trace if name in predictors)
        return found.prediction

    async def aforward(self, *positional: Any, **inputs: Any) -> dspy.Prediction:
        """As `forward`, in a thread of its own."""
        return await asyncio.to_thread(self.forward, *positional, **inputs)

    def __getstate__(self) -> dict[str, Any]:
        """Leave keys, ledger and budget out of pickles."""
        return {**super().__getstate__(), "program": without_secrets(self.program)}

    def __deepcopy__(self, memo: dict[int, Any]) -> RerankedProgram:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(super().__getstate__(), memo))
        return copied

    def sample(
        self, inputs: Mapping[str, Any], *, account: Account | None = None, **changes: Any
    ) -> list[SampledLesson | NoLesson]:
        """Sample the lessons of one question, for `rerank` to judge in several ways.

        Args:
            inputs: As `forward` takes them.
            account: Where the calls are counted.
            changes: As in `rerank`.

        Raises:
            BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.
        """
        options = self._changed(changes)
        asked = own_inputs(self.program, inputs, options)
        return sample(
            self.program, asked, options=options, examiner=self._examiner(options),
            adapter=current_adapter(options.adapter), account=Account() if account is None else account,
        )  # fmt: skip

    def rerank(
        self,
        inputs: Mapping[str, Any],
        *,
        account: Account | None = None,
        sampled: Sequence[SampledLesson | NoLesson] | None = None,
        **changes: Any,
    ) -> Reranking:
        """Answer one question, with the record of how.

        Args:
            inputs: As `forward` takes them.
            account: Where the calls are counted.
            sampled: Its lessons, from `sample`; `None`: sample them.
            changes: Options of `LbTRerank` for this call alone, e.g. `selection="max"`.

        Raises:
            BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.
            UserError: An input is missing, or the exam cannot be made.
            NoAnswerError: No sample came to an answer.
        """
        options = self._changed(changes)
        return rerank(
            self.program, inputs, options=options, examiner=self._examiner(options), students=self.exam_students,
            answer=self._answer, adapter=current_adapter(options.adapter),
            account=Account() if account is None else account, sampled=sampled,
        )  # fmt: skip

    def _changed(self, changes: Mapping[str, Any]) -> RerankOptions:
        for name in AT_COMPILE:
            if name in changes:
                raise UserError(f"{name} cannot be changed for one call; compile another program with it")
        return dataclasses.replace(self.options, **changes)

    def _examiner(self, options: RerankOptions) -> Examiner:
        shared = {f.name: getattr(options, f.name) for f in dataclasses.fields(SittingOptions)}
        return Examiner(
            self.program, predictor=self._predictor, grader=self.grader, ledger=self.ledger, adapter=options.adapter,
            seed=options.seed, **shared,
        )  # fmt: skip


class Options:
    """Holds the options of a program, which copies share and pickles keep without LMs, ledger and budget."""

    def __init__(self, value: RerankOptions) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict[int, Any]) -> Options:
        return self

    def __getstate__(self) -> dict[str, Any]:
        names = ExamStudents(self.value.exam_students, self.value.lm_config).names
        return {"value": dataclasses.replace(self.value, exam_students=tuple(names), ledger=None, budget=None)}
