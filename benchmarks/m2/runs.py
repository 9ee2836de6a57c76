"""M2 in the classroom: the teacher before, and after DPO on pairs by correctness, by LbT score, and by both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dspy

from lbt_dspy.benchmarks.m2.settings import TuningSettings
from lbt_dspy.benchmarks.tasks.answering import worked
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.task import classroom_example
from lbt_dspy.exam.grading import ExactMatch
from lbt_dspy.exam.makers import Variants
from lbt_dspy.ledger.account import Account
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.embedded.classroom import ClassroomAdapter
from lbt_dspy.teleprompters.dpo.optimizer import LbTDPO
from lbt_dspy.teleprompters.dpo.steps import Round

BEFORE = "before"
WEIGHTS = {"dpo-correct": 1.0, "dpo-lbt": 0.0}
BOTH = "dpo-both"
TRAIN_SPLIT, HELD_OUT_SPLIT = "train", "test"


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What came of one row in one seed."""

    rounds: tuple[Round, ...]
    marks: tuple[float | None, ...]
    """Of the held-out problems, of the teacher after the first round, whether it is kept or not."""
    account: Account
    seconds: float


@dataclass
class TuningRow:
    """What one kind of pairs gave, seed by seed."""

    name: str
    weight: float
    results: list[SeedResult] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TuningRunner:
    """Runs the rows."""

    settings: TuningSettings
    teacher: dspy.LM
    students: Sequence[dspy.LM]
    ledger: Ledger
    folder: Path
    tell: Callable[[str], None]

    def run(self, rows: dict[str, TuningRow]) -> None:
        """Fill the rows, seed by seed."""
        for seed in self.settings.seeds:
            for name, weight in self.weights().items():
                self.tell(f"seed {seed}: {name}")
                start, account = time.monotonic(), Account()
                found = self.optimizer(name, weight, seed).optimize(
                    self.program(), trainset=self.training(seed), valset=self.held_out(seed), account=account
                )
                first = found.rounds[0].compared
                result = SeedResult(
                    rounds=found.rounds, marks=() if first is None else first.marks[1], account=account,
                    seconds=time.monotonic() - start,
                )  # fmt: skip
                rows.setdefault(name, TuningRow(name, weight)).results.append(result)

    def weights(self) -> dict[str, float]:
        """Return the rows, each with the weight of correctness in its pairs; an export makes one kind."""
        own = {"pairs" if self.settings.export_only else BOTH: self.settings.weight}
        return own if self.settings.export_only else {**WEIGHTS, **own}

    def optimizer(self, name: str, weight: float, seed: int) -> LbTDPO:
        """Return what tunes the teacher."""
        s = self.settings
        problems = classroom_problems(s.problems, seed=seed, split=TRAIN_SPLIT, variants=s.exam_problems)
        return LbTDPO(
            exam_students=self.students,
            exam=Variants(worked([classroom_example(row) for row in problems.bank]), problems=s.exam_problems),
            grader=ExactMatch("answer"), folder=self.folder / f"seed-{seed}" / name, rationales=s.rationales,
            sittings=s.sittings, weight=weight, gap=s.gap, per_problem=s.per_problem, beta=s.beta,
            nll_weight=s.nll_weight, learning_rate=s.learning_rate, epochs=s.epochs, batch_size=s.batch_size,
            rounds=s.rounds, export_only=s.export_only, temperature=s.temperature,
            config={"temperature": s.temperature}, adapter=ClassroomAdapter(), ledger=self.ledger, seed=seed,
        )  # fmt: skip

    def program(self) -> dspy.Module:
        """Return the teacher's program."""
        program = dspy.ChainOfThought("question -> answer")
        program.set_lm(self.teacher)
        return program

    def training(self, seed: int) -> list[dspy.Example]:
        """Return the training problems of a seed; their reference answers make `dpo-correct`, and are else unused."""
        s = self.settings
        problems = classroom_problems(s.problems, seed=seed, split=TRAIN_SPLIT, variants=s.exam_problems)
        return [classroom_example(row) for row in problems.teaching_examples]

    def held_out(self, seed: int) -> list[dspy.Example]:
        """Return the problems of a seed on which the teacher is measured: of digits that nothing was trained on."""
        problems = classroom_problems(self.settings.held_out, seed=seed, split=HELD_OUT_SPLIT, variants=1)
        return [classroom_example(row) for row in problems.teaching_examples]

    def most_calls(self) -> tuple[int, int]:
        """Return the most calls of teacher and students, if every call succeeds at once."""
        s = self.settings
        rows, seeds = len(self.weights()), len(s.seeds)
        first = s.problems * s.rationales
        later = rows * (s.rounds - 1) * first
        answered = 0 if s.export_only else s.held_out * (1 + rows * s.rounds)
        teacher = seeds * (first + later + answered)
        return teacher, seeds * (first + later) * s.exam_problems * s.sittings * len(self.students)
