"""LbT score as a DSPy metric: a prediction is worth what students learn from it.

Ning et al., "Can LLMs Learn by Teaching for Better Reasoning? A Preliminary Study", NeurIPS 2024, arXiv 2406.14629.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any

import dspy

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.exam.examiner import Examiner
from lbt_dspy.exam.grading import ExactMatch, Grader, check_grader, graded
from lbt_dspy.exam.makers import ExamMaker, check_maker
from lbt_dspy.exam.options import SittingOptions
from lbt_dspy.exam.shapes import check_question
from lbt_dspy.exam.sitting.whole_program import single_predictor
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.own import OwnLedger, PaidBy
from lbt_dspy.lms.redaction import without_secrets
from lbt_dspy.metrics.feedback import NO_ANSWER, NO_EXAM, ProblemResult, exam_feedback, marks_of
from lbt_dspy.types import ExamProblem, Seat

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LessonScore:
    """How well one prediction teaches."""

    score: float | None
    """In [0, 1]: the weighted mean of the next two, where one is not known the other; `None`: neither is."""
    lbt_score: float | None
    """In [0, 1]: mean measured mark of the exam; `None`: no mark was measured, or there was no exam problem."""
    correctness: float | None
    """In [0, 1]: the grader's mark of the prediction; `None`: not wanted, no label, or not measured."""
    coverage: float
    """Measured sittings / all sittings, in [0, 1]; 1 for an empty exam."""
    feedback: str
    """Which exam problems the students failed, and how."""


@dataclass(frozen=True, eq=False)
class LbTScore(SittingOptions, PaidBy):
    """A metric: how well do students do on an exam after reading a prediction as a worked example?

    Needs no label of the question itself, only exam problems like it. Give it to any DSPy optimiser or to
    `dspy.Evaluate` as `metric`; to `dspy.BestOfN` and `dspy.Refine` give its `reward`. What comes back depends on who
    asks: a float; for GEPA a `dspy.Prediction(score, feedback)`; for bootstrapping, where a threshold is set, a bool.

    The lesson is the example's inputs with the prediction's output fields, as far as the exam program's predictor takes
    and gives them. Exams are always held in full. The same prediction is examined once: its replies are journalled.

    A score that could not be measured (no exam problem fits, or no call to a student came back) is 0.0 to the
    optimiser, since they all take numbers only: the feedback says why, the first is warned of, `unmeasured` counts
    them, and `examine` gives `None`. What stops a run (the budget is spent, a model refuses every call, a wrong
    option) raises: optimisers then give up, after as many errors as they allow.

    Args:
        program: What students sit exams with: a `dspy.Predict`, a `dspy.ChainOfThought`, or any larger program.
        exam_students: LMs, or names as on the command line (`embedded/...`, a LiteLLM model string, a name of the
            `lm_config`); at least 1.
        exam: Makes the exam of a question, e.g. `Nearest(bank)`.
        grader: Marks the students' answers; `None`: `ExactMatch` of the predictor's last output field.
        sittings: Sittings of each student on each exam problem, at least 1; more costs more and scatters less.
        mark: Of a sitting: `grade`, or `evidence` (how much likelier the prediction makes the reference answer), which
            needs students that say how likely a given text is.
        evidence_scale: Of `evidence`, above 0, in nats per token; see `SittingOptions`.
        choices: Whether the sittings of a student at a problem are asked in one request, where its server does that.
        threshold: Least score, in (0, 1], with which a bootstrapped demonstration is kept; `None`: leave it to the
            optimiser, e.g. its `metric_threshold`. (Without either, any score above 0 is enough.)
        weight: Of the prediction's own correctness by the grader, in [0, 1], where the example has a label; the LbT
            score has the rest. 0: no label is looked at; the paper trains with 0.5.
        predictor: Which of the program's predictors reads the lesson; `None` when there is only one.
        demonstrations: Fixed demonstrations of the students' own, before every lesson.
        rationale: False: students read the question and the answer of a lesson, not how it was found.
        config: Sampling settings of the sittings that a student's LM leaves open; `{"temperature": 0.7}` unless given.
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        ledger: Pays for all calls, with journal, budget and workers; `None`: one in memory.
        budget: Limits all calls of the metric, over its life; not beside `ledger`.
        lm_config: A LiteLLM YAML for students given by name.
        seed: Seeds the sittings.

    Raises:
        UserError: An option is out of bounds.

    Example:
        >>> import dspy
        >>> from lbt_dspy import Fixed
        >>> from lbt_dspy.metrics import LbTScore
        >>> from lbt_dspy.testing import scripted_lm
        >>> def learn(inputs, lessons, seed):  # does as the lesson does
        ...     return {"reasoning": "as shown", "answer": "42" if lessons[-1]["reasoning"] == "carried" else "32"}
        >>> bank = [dspy.Example(question="15 + 27", answer="42").with_inputs("question")]
        >>> program = dspy.ChainOfThought("question -> answer")
        >>> metric = LbTScore(program, exam_students=[scripted_lm(learn)], exam=Fixed(bank))
        >>> question = dspy.Example(question="13 + 18").with_inputs("question")  # nobody knows its answer
        >>> [metric(question, dspy.Prediction(reasoning=r, answer=a)) for r, a in (("carried", "31"), ("added", "21"))]
        [1.0, 0.0]
    """

    program: dspy.Module
    _: KW_ONLY
    exam_students: Sequence[dspy.LM | str]
    exam: ExamMaker
    grader: Grader | None = None
    sittings: int | None = 1
    threshold: float | None = None
    weight: float = 0.0
    predictor: str | None = None
    adapter: dspy.Adapter | None = None
    choices: bool = True
    seed: int = 0
    _students: ExamStudents = field(init=False, repr=False)
    _till: OwnLedger = field(init=False, repr=False)
    _unmeasured: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        SittingOptions.__post_init__(self)
        PaidBy.__post_init__(self)
        check_at_least("seed", self.seed, 0, "seeds are whole numbers")
        if not 0 <= self.weight <= 1:
            raise UserError(f"weight must lie in [0, 1] but got {self.weight!r}; 0 leaves correctness out")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise UserError(f"threshold must lie in (0, 1] but got {self.threshold!r}; leave it out for none")
        check_grader(self.grader)
        check_maker(self.exam)
        single_predictor(self.program, self.predictor)
        students = ExamStudents(self.exam_students, self.lm_config)
        if not students.names:
            raise UserError("exam_students must be at least 1 LM or name but there is none")
        object.__setattr__(self, "_students", students)
        object.__setattr__(self, "_till", OwnLedger(self.ledger, self.budget))

    def __call__(
        self,
        gold: dspy.Example,
        pred: dspy.Prediction | None,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
        program_trace: Any = None,
    ) -> float | bool | dspy.Prediction:
        """Return the score in [0, 1], in the form that the caller takes.

        Args:
            gold: The question, and its label where there is one; `with_inputs(...)` must have been called.
            pred: What the program answered; `None` (a program that failed) scores 0.
            trace: Given by bootstrapping optimisers: with a threshold, they get a bool.
            pred_name: Given by GEPA: it gets a `dspy.Prediction` with `score` and `feedback`.
            pred_trace: Not used.
            program_trace: Not used.

        Raises:
            BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.
            UserError: The prediction has not the fields of a lesson, or the exam cannot be made.
        """
        found = self.examine(gold, pred)
        if found.score is None:
            self._note_unmeasured(found.feedback)
        score = found.score or 0.0
        if pred_name is not None:
            return dspy.Prediction(score=score, feedback=found.feedback)
        if trace is not None and self.threshold is not None:
            return score >= self.threshold
        return score

    def reward(self, args: Mapping[str, Any], prediction: dspy.Prediction) -> float:
        """Return the score in [0, 1]: the `reward_fn` of `dspy.BestOfN` and `dspy.Refine`.

        There is no label then, so `weight` has no effect; the exam maker knows the inputs alone, so give one that
        chooses by other fields its `teaching=` problems.
        """
        return float(self(dspy.Example(**args).with_inputs(*args), prediction))

    @property
    def unmeasured(self) -> int:
        """How often an optimiser was given 0.0 for a score that could not be measured."""
        return len(self._unmeasured)

    def examine(
        self, gold: dspy.Example, pred: dspy.Prediction | None, *, account: Account | None = None
    ) -> LessonScore:
        """Hold the exam of one prediction, with the record of how it went.

        Args:
            gold: As for a call.
            pred: As for a call.
            account: Where the calls are counted.

        Raises:
            BudgetSpentError: The next call could exceed the budget; what was answered stays in the journal.
            UserError: The prediction has not the fields of a lesson, or the exam cannot be made.
        """
        check_question(gold, pred)
        signature = single_predictor(self.program, self.predictor)[1].signature
        answer = list(signature.output_fields)[-1]
        grader = ExactMatch(answer) if self.grader is None else self.grader
        if pred is None or pred.get(answer, "") is None:
            return LessonScore(score=0.0, lbt_score=0.0, correctness=None, coverage=1.0, feedback=NO_ANSWER)
        lesson = lesson_of(signature, gold, pred)
        with dspy.context(trace=[]):  # nothing of an exam belongs to the trace of the program that is scored
            results = self._hold(lesson, self.exam.problems(gold), grader, account)
            correctness = self._correctness(gold, pred, grader)
        marks = [mark for result in results for mark in marks_of(result)]
        lbt_score = sum(marks) / len(marks) if marks else None
        sittings = sum(len(result.sittings) for result in results)
        return LessonScore(
            score=weighted([(self.weight, correctness), (1 - self.weight, lbt_score)]),
            lbt_score=lbt_score,
            correctness=correctness,
            coverage=len(marks) / sittings if sittings else 1.0,
            feedback=exam_feedback(results, getattr(grader, "field", answer)) if results else NO_EXAM,
        )

    def _hold(
        self, lesson: dspy.Example, problems: Sequence[ExamProblem], grader: Grader, account: Account | None
    ) -> list[ProblemResult]:
        shared = {f.name: getattr(self, f.name) for f in fields(SittingOptions)}
        examiner = Examiner(
            self.program, predictor=self.predictor, grader=grader, ledger=self._till.ledger, adapter=self.adapter,
            seed=self.seed, **shared,
        )  # fmt: skip
        students = self._students.lms() if problems else []
        examiner.check(problems, students)
        material = (lesson,)
        takers = [(lm, sitting) for lm in students for sitting in range(self.sittings_held)]
        seats = [Seat(material, lm, problem, sitting) for problem in problems for lm, sitting in takers]
        held = iter(examiner.sit(seats, account=account, choices=self.choices))
        return [ProblemResult(problem=problem, sittings=tuple(next(held) for _ in takers)) for problem in problems]

    def _correctness(self, gold: dspy.Example, pred: dspy.Prediction, grader: Grader) -> float | None:
        if not self.weight or not set(gold.labels().keys()) - set(self.exam.about):
            return None
        return graded(grader, gold, dict(pred.items())).value

    def _note_unmeasured(self, reason: str) -> None:
        if not self._unmeasured:
            logger.warning("a score could not be measured and counts as 0.0 (said once; see `unmeasured`): %s", reason)
        self._unmeasured.append(reason)

    def __deepcopy__(self, memo: dict[int, Any]) -> LbTScore:
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave keys, ledger and budget out of pickles; students are known by name."""
        program, names = without_secrets(self.program), tuple(self._students.names)
        return {**self.__dict__, "program": program, "exam_students": names, "ledger": None, "budget": None}


def lesson_of(signature: type[dspy.Signature], gold: dspy.Example, pred: dspy.Prediction) -> dspy.Example:
    """Return a prediction as the demonstration that students read.

    Args:
        signature: Of the predictor that reads it: its inputs are taken from the example's inputs, else from the
            prediction; its outputs from the prediction.
        gold: The question.
        pred: The program's answer to it.

    Raises:
        UserError: An input or the answer, the last output field, is missing.
    """
    given, outputs = dict(gold.inputs().items()), list(signature.output_fields)
    known = {**dict(pred.items()), **given}
    missing = [name for name in signature.input_fields if name not in known] + [
        name for name in outputs[-1:] if name not in pred
    ]
    if missing:
        raise UserError(
            f"a lesson needs the field {missing[0]!r}, but the example's inputs are {', '.join(given)} and the "
            f"prediction has {', '.join(pred.keys()) or 'nothing'}; return it from the program too, or name another "
            "predictor="
        )
    fields = {name: known[name] for name in signature.input_fields}
    fields |= {name: pred[name] for name in outputs if name in pred}
    return dspy.Example(fields).with_inputs(*signature.input_fields)


def weighted(parts: Sequence[tuple[float, float | None]]) -> float | None:
    """Return the mean of the (weight, value) pairs whose value is known; `None` when none with a weight is."""
    known = [(weight, value) for weight, value in parts if weight and value is not None]
    return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known) if known else None
