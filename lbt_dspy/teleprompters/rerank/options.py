"""What M1 is told, and what M2 shares with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dspy

from lbt_dspy.errors import UserError, check_at_least
from lbt_dspy.exam.grading import Grader, check_grader
from lbt_dspy.exam.makers import ExamMaker, check_maker
from lbt_dspy.exam.names import ScheduleName, SelectionName
from lbt_dspy.exam.options import SittingOptions
from lbt_dspy.exam.schedules.schedule import Schedule, make_schedule, schedule_of
from lbt_dspy.exam.selection import SelectionRule, rule_of
from lbt_dspy.exam.students import ExamStudents
from lbt_dspy.ledger.own import PaidBy
from lbt_dspy.sampling import ROLLOUTS
from lbt_dspy.teleprompters.rerank.screening import fields_of


@dataclass(frozen=True, kw_only=True, eq=False)
class LessonOptions(SittingOptions, PaidBy):
    """Whose lessons are sampled, and who is examined on what after them.

    Raises:
        UserError: An option is out of bounds.
    """

    exam_students: Sequence[dspy.LM | str] = ()
    """LMs, or names as on the command line."""
    exam: ExamMaker | None = None
    """Makes the exam of a question."""
    grader: Grader | None = None
    """Marks the students' answers, and says which answers are the same; `None`: `ExactMatch(answer)`."""
    rationales: int = 24
    """Lessons sampled for a question, 1 to 65,536."""
    temperature: float | None = 0.7
    """Of the lessons, over whatever the program has; `None`: as predictor and LM have it."""
    answer_field: str | None = None
    """The program's output field with the answer; `None`: the grader's field, else the last output."""
    predictor: str | None = None
    """Whose text is the lesson; `None`: the only predictor, or the only one that gives the answer's field."""
    adapter: dspy.Adapter | None = None
    """Any DSPy adapter; `None`: the configured one, or `ChatAdapter`."""
    seed: int = 0
    """Seeds lessons and sittings."""

    def __post_init__(self) -> None:
        SittingOptions.__post_init__(self)
        PaidBy.__post_init__(self)
        check_at_least("rationales", self.rationales, 1, "it is the number of sampled answers")
        if self.rationales > ROLLOUTS:
            raise UserError(
                f"rationales must be at most {ROLLOUTS} but got {self.rationales}; ask with several seeds for more"
            )
        check_at_least("seed", self.seed, 0, "seeds are whole numbers")
        if self.temperature is not None and not (isinstance(self.temperature, float | int) and self.temperature >= 0):
            raise UserError(
                f"temperature must be at least 0 but got {self.temperature!r}; None leaves it as the program has it"
            )
        check_grader(self.grader)
        if self.exam is not None:
            check_maker(self.exam)
        ExamStudents(self.exam_students, self.lm_config)


@dataclass(frozen=True, kw_only=True, eq=False)
class RerankOptions(LessonOptions):
    """What `LbTRerank` is told; its docstring says what each means.

    Raises:
        UserError: An option is out of bounds.
    """

    selection: SelectionName | SelectionRule = "sum"
    schedule: Schedule | ScheduleName = "lossless"
    delta: float = 0.05
    gate: int | None = None
    screen: Grader | None = None
    in_flight: int = 16

    def __post_init__(self) -> None:
        LessonOptions.__post_init__(self)
        check_at_least("in_flight", self.in_flight, 1, "1 asks one sitting after the other")
        if self.gate is not None:
            check_at_least("gate", self.gate, 2, "leave it out to sample all lessons")
        rule_of(self.selection)
        schedule = self.schedule_for(self.selection)
        if self.choices and schedule.waits:
            raise UserError(f"choices is for the schedule full but got {self.schedule_name!r}; leave it out")
        if self.screen is not None and not callable(getattr(self.screen, "grade", None)):
            raise UserError(
                f"screen must be a grader but got {type(self.screen).__name__}; e.g. ProgramTests() for visible tests"
            )
        if self.selection != "maj" and (self.exam is None or not self.exam_students):
            raise UserError(f"selection {self.selection_name!r} needs exam= and exam_students=; 'maj' needs none")

    @property
    def about(self) -> tuple[str, ...]:
        """The fields of a question that exam maker and screen ask for, beside the program's inputs."""
        made = () if self.exam is None else self.exam.about
        return tuple(dict.fromkeys((*made, *fields_of(self.screen))))

    @property
    def schedule_name(self) -> str:
        """The name of the schedule."""
        return self.schedule if isinstance(self.schedule, str) else self.schedule.name

    @property
    def selection_name(self) -> str:
        """The name of the rule."""
        return self.selection if isinstance(self.selection, str) else self.selection.__name__

    def schedule_for(self, selection: str | SelectionRule) -> Schedule:
        """Return the schedule of an exam by whose marks the answer is selected so."""
        if isinstance(self.schedule, str):
            return make_schedule(self.schedule, delta=self.delta, seed=self.seed, selection=selection)
        return schedule_of(self.schedule)
