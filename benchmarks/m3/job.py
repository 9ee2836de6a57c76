"""A run of M3: data, models, the comparison of searches, and what is written of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import dspy

from lbt_dspy.benchmarks.m3.output import partial_table, print_plan, write_run
from lbt_dspy.benchmarks.m3.plan import largest_plan
from lbt_dspy.benchmarks.m3.results import results_of
from lbt_dspy.benchmarks.m3.runs import Comparison, Runner
from lbt_dspy.benchmarks.m3.settings import SearchSettings
from lbt_dspy.benchmarks.shared.console import silent
from lbt_dspy.benchmarks.shared.run_options import RunOptions
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.benchmarks.tasks.classification.own_data import load_own_data
from lbt_dspy.benchmarks.tasks.classification.own_program import program_for
from lbt_dspy.errors import UserError
from lbt_dspy.ledger.ledger import Ledger
from lbt_dspy.lms.embedded import STUDENTS, TEACHER
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.teleprompters.exemplars.searches.study import check_storage

STUDY_FILE = "study.log"


class Job:
    """A run of M3; see `console.Job`."""

    def __init__(self, settings: SearchSettings, options: RunOptions) -> None:
        if options.storage is not None:
            check_storage(options.storage)
        self._settings, self._storage = settings, options.storage
        own = settings.train is not None
        self._data = load_own_data(settings) if own else load_data(settings.task, settings.data, settings.filter)
        check_sizes(settings, self._data.train)
        self._trained = program_for(self._data.task, settings.program, settings.predictor)
        check_teacher(settings)
        self._teacher, *self._students = LMRoles(settings.config, client=options.client, dry=options.dry_run).lms(
            [settings.teacher, *settings.students]
        )
        self._trained.set_teacher(self._teacher)
        self._comparison = Comparison()

    @property
    def lms(self) -> Sequence[dspy.LM]:
        """All models that may be called."""
        return [self._teacher, *self._students, *self._trained.others()]

    def print_plan(self, retries: int) -> None:
        """Print the largest number of calls."""
        ledger = Ledger(workers=1)
        print_plan(self._new_runner(ledger, silent, None), retries)
        ledger.close()

    def begin(self, ledger: Ledger, tell: Callable[[str], None], folder: Path) -> int:
        """Set the run up; return the most calls it can make."""
        storage = str(folder / STUDY_FILE) if self._settings.storage is None else self._storage
        self._runner = self._new_runner(ledger, tell, storage)
        return sum(largest_plan(self._runner).values())

    def _new_runner(self, ledger: Ledger, tell: Callable[[str], None], storage: str | None) -> Runner:
        return Runner(self._settings, self._data, self._trained, self._teacher, self._students, ledger, tell, storage)

    def run(self) -> None:
        """Make all calls."""
        self._runner.run(self._comparison)

    def write(self, folder: Path, json_path: str | None, seconds: float) -> None:
        """Write the run folder and print the table."""
        results = results_of(self._runner, self._comparison, seconds)
        write_run(folder, json_path, results, self._runner, self._comparison)

    def print_part(self, *, errors: bool) -> None:
        """Print what is known when the run stops early."""
        partial_table(self._runner, self._comparison, errors=errors)


def check_teacher(settings: SearchSettings) -> None:
    """Raise `UserError` for an embedded model that cannot be a teacher, or not the one that is asked for."""
    name = settings.teacher
    if name in STUDENTS:
        raise UserError(f"--teacher {name} cannot write exemplars, it can only be a student; use {TEACHER}")
    if name == TEACHER and (settings.init == "generate" or settings.paraphrases):
        option = "--init generate" if settings.init == "generate" else f"--paraphrases {settings.paraphrases}"
        raise UserError(f"{option} needs a language model as --teacher: {name} is statistical and writes no texts")


def check_sizes(settings: SearchSettings, train: tuple[object, ...]) -> None:
    """Raise `UserError` when there are fewer training examples than exemplars."""
    if settings.exemplars > len(train):
        raise UserError(
            f"--exemplars must be at most the {len(train)} training examples but got {settings.exemplars}; "
            "ask for fewer or give more data"
        )
