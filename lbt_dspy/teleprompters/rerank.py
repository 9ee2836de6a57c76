"""M1: pick the best of many sampled answers by teaching.

Ning et al., "Can LLMs Learn by Teaching for Better Reasoning? A Preliminary Study", NeurIPS 2024, arXiv 2406.14629,
section on observing the students' feedback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from lbt_dspy.dspy_private import set_compiled
from lbt_dspy.errors import UserError, check_at_least, check_choice
from lbt_dspy.exam.evidence import SCALE, check_mark, check_one_sitting
from lbt_dspy.exam.grading import Grader
from lbt_dspy.exam.makers import ExamMaker
from lbt_dspy.exam.schedule import FULL, make_schedule
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.ledger.budget import Budget
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.ledger.own import OwnLedger
from lbt_dspy.sampling import ROLLOUTS
from lbt_dspy.teleprompters.reranked import RerankedProgram

SITTINGS = 3
"""Of each student on each exam problem, as in the paper."""
SELECTIONS = ("sum", "max", "avg", "maj")


@dataclass(frozen=True, kw_only=True, eq=False)
class LbTRerank(Teleprompter):  # type: ignore[misc]
    """Answers with the best of many sampled answers: the one whose solutions teach students best.

    Use it where the students' exam is like the question: functional variants, near neighbours or problems of the same
    kind, with known answers. With unlike exam problems it may be worse than the majority; compare with
    `selection="maj"`. Costs `rationales` teacher calls a question, and up to `rationales * students * problems *
    sittings` student calls, of which the schedule saves most. See docs/m1.md.

    Args:
        exam_students: LMs, or names as on the command line (`embedded/...`, a LiteLLM model string, a name of the
            `lm_config`). May be empty for `selection="maj"`.
        exam: Makes the exam of a question, e.g. `Variants(bank)`. `None` only for `selection="maj"`.
        grader: Marks the students' answers, and says which answers are the same; `None`: `ExactMatch(answer)`.
        rationales: N, lessons sampled for a question, 1 to 65,536. The paper: 256; 24 is the affordable setting.
        sittings: Sittings of each student on each exam problem after each lesson, at least 1; `None`: 3, but 1 with
            `mark="evidence"`, which takes no other number.
        mark: Of a sitting: `grade`: the student answers, and the grader marks it; `evidence`: how much likelier the
            lesson makes the reference answer (arXiv 2603.09803). The latter needs students that say how likely a given
            text is (vLLM servers, `embedded/classroom-*`) and a program of one predictor; beside the calls above it
            costs one for each student and problem of a question, and exam problems should have their solutions.
        evidence_scale: Of `evidence`, above 0, in nats per token: the gain that has the mark .73. The same for all
            questions; smaller makes marks more like 0 and 1.
        selection: `sum`: the answer with the largest sum of LbT scores; `max`: that of the lesson with the best one;
            `avg`: with the largest mean; `maj`: most lessons, no exam (self-consistency). Ties: more lessons, then
            first seen.
        schedule: `lossless`: stops an exam as soon as nothing can change the answer; `confident`: when the estimated
            risk is at most `delta`; `full`: never (for LbT scores of every lesson).
        delta: Risk of `confident`, in [0, 0.5), 0 is `lossless`: calibrated on average, not a guarantee for a question.
        gate: Stop sampling when the first so many lessons agree (Li et al., ESC, arXiv 2401.10480), at least 2; `None`:
            always sample all.
        in_flight: Sittings asked at a time for one question, at least 1; more is faster and saves a little less.
        choices: Whether the full exam asks all sittings of a student at a problem in one request, as its choices (`n`),
            where the student's server does that: the prompt is then read once. Off, its sittings are the very ones of
            which other schedules ask some, so that they can be compared.
        temperature: Of the lessons, over whatever the program has; `None`: as predictor and LM have it.
        config: Sampling settings of the sittings that a student's LM leaves open; `{"temperature": 0.7}` unless given.
        demonstrations: Fixed demonstrations of the students' own, before every lesson.
        rationale: False: students read the question and the answer of a lesson, not how it was found.
        answer_field: The program's output field with the answer; `None`: the grader's field, else the last output.
        predictor: Whose text is the lesson; `None`: the only predictor, or the only one that gives the answer's field
            (where that is not said: a field that the exam's problems have too).
        adapter: Any DSPy adapter; `None`: the configured one, or `ChatAdapter`.
        lm_config: A LiteLLM YAML for students given by name.
        budget: Limits all calls of the compiled program, over its life; not beside `ledger`.
        ledger: Pays for all calls, with journal, budget and workers; `None`: one in memory.
        seed: Seeds lessons and sittings.

    Raises:
        UserError: An option is out of bounds.
    """

    exam_students: Sequence[dspy.LM | str] = ()
    exam: ExamMaker | None = None
    grader: Grader | None = None
    rationales: int = 24
    sittings: int | None = None
    mark: str = "grade"
    evidence_scale: float = SCALE
    selection: str = "sum"
    schedule: str = "lossless"
    delta: float = 0.05
    gate: int | None = None
    in_flight: int = 16
    choices: bool = False
    temperature: float | None = 0.7
    config: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0.7})
    demonstrations: Sequence[dspy.Example] = ()
    rationale: bool = True
    answer_field: str | None = None
    predictor: str | None = None
    adapter: dspy.Adapter | None = None
    lm_config: str | Path | None = None
    budget: Budget | None = None
    ledger: Ledger | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least("rationales", self.rationales, 1, "it is the number of sampled answers")
        if self.rationales > ROLLOUTS:
            raise UserError(
                f"rationales must be at most {ROLLOUTS} but got {self.rationales}; ask with several seeds for more"
            )
        check_at_least("sittings", self.sittings_held, 1, "it is the number of sittings on each exam problem")
        check_mark(self.mark, self.evidence_scale)
        if self.mark == "evidence":
            check_one_sitting(self.sittings_held)
        check_at_least("in_flight", self.in_flight, 1, "1 asks one sitting after the other")
        if self.choices and self.schedule != FULL:
            raise UserError(f"choices is for the schedule full but got {self.schedule!r}; leave it out")
        check_at_least("seed", self.seed, 0, "seeds are whole numbers")
        if self.gate is not None:
            check_at_least("gate", self.gate, 2, "leave it out to sample all lessons")
        if self.temperature is not None and not (isinstance(self.temperature, float | int) and self.temperature >= 0):
            raise UserError(
                f"temperature must be at least 0 but got {self.temperature!r}; None leaves it as the program has it"
            )
        check_choice("selection", self.selection, SELECTIONS)
        make_schedule(self.schedule, delta=self.delta, seed=self.seed, selection=self.selection)
        OwnLedger(self.ledger, self.budget)
        if self.exam is not None and not callable(getattr(self.exam, "problems", None)):
            raise UserError(
                f"exam must be an exam maker but got {type(self.exam).__name__}; make one of a bank, e.g. Nearest(bank)"
            )
        students = ExamStudents(self.exam_students, self.lm_config)
        if self.selection != "maj" and (self.exam is None or not students.names):
            raise UserError(f"selection {self.selection!r} needs exam= and exam_students=; 'maj' needs none")

    @property
    def sittings_held(self) -> int:
        """Sittings of each student on each exam problem after each lesson, also where `sittings` leaves it open."""
        if self.sittings is None:
            return 1 if self.mark == "evidence" else SITTINGS
        return self.sittings

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example] | None = None,
        valset: Sequence[dspy.Example] | None = None,
    ) -> RerankedProgram:
        """Return the program that samples, examines and selects whenever it is called. Nothing is trained.

        Args:
            student: The program (DSPy's word; in learning by teaching it is the teacher). It is not changed.
            trainset: Not used.
            valset: Not used.

        Raises:
            UserError: The program has no predictor whose text could be the lesson, or several.
        """
        program = student.deepcopy()
        set_compiled(program, False)  # else DSPy takes it for frozen, and would not save it
        return RerankedProgram(program, self)
