"""Preference pairs of the lessons of M1, for training elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import dspy

from lbt_dspy.benchmarks.m1.job import Job as RerankJob
from lbt_dspy.benchmarks.m1.plan import largest_plan
from lbt_dspy.benchmarks.m2.job import print_cards
from lbt_dspy.benchmarks.m2.settings import TuningSettings, rerank_settings_of
from lbt_dspy.benchmarks.shared.console import console, sent_line
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.teleprompters.dpo.preferences import PreferenceData, ScoredLesson
from lbt_dspy.teleprompters.dpo.scored_lessons import scored_lessons


class Job:
    """An export of pairs; see `console.Job`. Its lessons, exams and models are those of a run of M1."""

    def __init__(self, settings: TuningSettings, options: RunOptions) -> None:
        self._settings = settings
        self._m1 = RerankJob(rerank_settings_of(settings), options)
        self._lessons: list[ScoredLesson] = []
        self.journal = None if settings.source is None else Path(settings.source) / "journal.sqlite"
        """Of the run whose lessons these are; what was paid for there is not asked again."""

    @property
    def lms(self) -> Sequence[dspy.LM]:
        """All models that may be called."""
        return self._m1.lms

    def print_plan(self, retries: int) -> None:
        """Print the largest number of calls."""
        self._m1.print_plan(retries)

    def begin(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> int:
        """Set the run up; return the most calls it can make."""
        self._m1.begin(ledger, tell, folder)
        self._tell = tell
        return sum(largest_plan(self._m1.runner).values())

    def run(self) -> None:
        """Sample the lessons, and hold their whole exams."""
        runner = self._m1.runner
        for seed, task in zip(runner.settings.seeds, runner.tasks, strict=True):
            self._tell(f"seed {seed}: lessons")
            self._lessons += scored_lessons(runner.reranked(seed, task), task.teaching).lessons

    def write(self, folder: Path, json_path: str | None, seconds: float) -> None:
        """Write the pairs, and print their card.

        Raises:
            UserError: No pair comes of the lessons.
        """
        s = self._settings
        data = PreferenceData.of(self._lessons, weight=s.weight, gap=s.gap, per_problem=s.per_problem, seed=s.seeds[0])
        data.save(folder)
        print_cards({s.task: data.card()}, [str(folder)], json_path)

    def print_part(self, *, errors: bool) -> None:
        """Print what is known when the run stops early."""
        out = console(errors=errors)
        out.print(f"{len(self._lessons):,} lessons have their whole exams; the pairs are made at the end.")
        out.print(f"  {sent_line(self._m1.runner.ledger.journal)}")
