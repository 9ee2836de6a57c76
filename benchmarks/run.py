"""The command line: `python benchmarks/run.py --task fallacy`, installed as `lbt`."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lbt_dspy.benchmarks.compare import Runner
    from lbt_dspy.benchmarks.settings import Settings
    from lbt_dspy.progress import Progress

COMMANDS = {"predict": "lbt_dspy.benchmarks.predict", "compare": "lbt_dspy.benchmarks.compare_runs"}
RETRIES = 4
DEFAULT_WORKERS = 8
STUDY_FILE = "study.log"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from lbt_dspy.benchmarks.settings import parser
    from lbt_dspy.errors import LbTError

    words = sys.argv[1:] if argv is None else argv
    command = importlib.import_module(COMMANDS[words[0]]) if words and words[0] in COMMANDS else None
    args = parser().parse_args(words) if command is None else command.parser().parse_args(words[1:])
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        return execute(args) if command is None else int(command.execute(args))
    except LbTError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def execute(args: argparse.Namespace) -> int:
    """Check everything before any call, then make the run."""
    from lbt_dspy.benchmarks.settings import settings_of

    settings = settings_of(args)
    from lbt_dspy.benchmarks.compare import Runner
    from lbt_dspy.benchmarks.labelled_data import load_data
    from lbt_dspy.benchmarks.output import check_json_path, print_plan
    from lbt_dspy.benchmarks.own_data import load_own_data
    from lbt_dspy.benchmarks.own_program import program_for
    from lbt_dspy.benchmarks.plan import largest_plan
    from lbt_dspy.budget import Budget
    from lbt_dspy.errors import check_at_least
    from lbt_dspy.journal import Journal
    from lbt_dspy.lms.ledger import Ledger
    from lbt_dspy.lms.roles import LMRoles
    from lbt_dspy.progress import Progress
    from lbt_dspy.teleprompters.exemplar_search.study import check_storage

    workers = DEFAULT_WORKERS if args.workers is None else args.workers
    check_at_least("--workers", workers, 1, "1 asks one call after the other")
    budget = Budget(args.max_calls, args.max_cost)
    check_json_path(args.json)
    if args.storage is not None:
        check_storage(args.storage)
    own = settings.train is not None
    data = load_own_data(settings) if own else load_data(settings.task, settings.data, settings.filter)
    check_sizes(settings, data.train)
    trained = program_for(data.task, settings.program, settings.predictor)
    check_teacher(settings)
    teacher, *students = LMRoles(settings.config).lms([settings.teacher, *settings.students])
    trained.set_teacher(teacher)
    if args.max_cost is not None:
        check_prices([teacher, *students, *trained.others()])
    if args.dry_run:
        ledger = Ledger(workers=1)
        print_plan(Runner(settings, data, trained, teacher, students, ledger, str), RETRIES)
        ledger.close()
        return 0
    folder = run_folder(settings, args)
    with alone_in(folder), Progress(quiet=args.quiet) as progress:
        journal = Journal(folder / "journal.sqlite")
        ledger = Ledger(journal, budget, workers=workers, retries=RETRIES, watcher=progress)
        storage = str(folder / STUDY_FILE) if settings.storage is None else args.storage
        runner = Runner(settings, data, trained, teacher, students, ledger, progress.tell, storage)
        progress.total = sum(largest_plan(runner).values())
        return make_run(runner, folder, args.json, progress)


def make_run(runner: Runner, folder: Path, json_path: str | None, progress: Progress) -> int:
    """Make the run and write its folder; however it ends, what was paid for is kept."""
    from lbt_dspy.benchmarks.compare import Comparison
    from lbt_dspy.benchmarks.outcome import results_of
    from lbt_dspy.benchmarks.output import console, partial_table, write_run
    from lbt_dspy.errors import BudgetSpentError, ModelUnreachableError

    comparison, start, ledger = Comparison(), time.monotonic(), runner.ledger
    again = f"lbt --resume {shlex.quote(str(folder))}"
    try:
        runner.run(comparison)
        progress.stop()
        seconds = ledger.journal.seconds() + time.monotonic() - start
        write_run(folder, json_path, results_of(runner, comparison, seconds), runner, comparison)
        return 0
    except BudgetSpentError:
        ledger.finish()
        progress.stop()
        partial_table(runner, comparison, errors=json_path == "-")
        console(errors=json_path == "-").print(
            f"Stopped by the budget. Go on with: {again} and a larger --max-calls or --max-cost (they count all that "
            "was spent in this folder; without them there is no limit)."
        )
        raise
    except ModelUnreachableError as error:
        raise ModelUnreachableError(f"{error}: {again}") from None
    except KeyboardInterrupt:
        print(f"stopped; what was answered is kept. Go on with: {again}", file=sys.stderr)
        ledger.abandon()
        return 1
    finally:
        ledger.finish()
        ledger.journal.add_session(time.monotonic() - start)
        ledger.close()


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a run folder, which ends with this process at the latest.

    Raises:
        UserError: Another process is at work in it: both would pay for the same calls.
    """
    import filelock

    from lbt_dspy.errors import UserError

    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{folder} is in use by another process; wait for its end, or name another folder") from None
    try:
        yield
    finally:
        lock.release()


def check_teacher(settings: Settings) -> None:
    """Raise `UserError` for an embedded model that cannot be a teacher, or not the one that is asked for."""
    from lbt_dspy.errors import UserError
    from lbt_dspy.lms.embedded import STUDENTS, TEACHER

    name = settings.teacher
    if name in STUDENTS:
        raise UserError(f"--teacher {name} cannot write exemplars, it can only be a student; use {TEACHER}")
    if name == TEACHER and (settings.init == "generate" or settings.paraphrases):
        option = "--init generate" if settings.init == "generate" else f"--paraphrases {settings.paraphrases}"
        raise UserError(f"{option} needs a language model as --teacher: {name} is statistical and writes no texts")


def check_sizes(settings: Settings, train: tuple[object, ...]) -> None:
    """Raise `UserError` when there are fewer training examples than exemplars."""
    from lbt_dspy.errors import UserError

    if settings.exemplars > len(train):
        raise UserError(
            f"--exemplars must be at most the {len(train)} training examples but got {settings.exemplars}; "
            "ask for fewer or give more data"
        )


def check_prices(lms: list[object]) -> None:
    """Raise `UserError` when `--max-cost` cannot be kept because a price is unknown."""
    from lbt_dspy.errors import UserError
    from lbt_dspy.lms.user_lm import engine_of

    for lm in lms:
        engine = engine_of(lm)
        if not engine.priced:
            raise UserError(
                f"--max-cost needs the price of {engine.name}, which is unknown; give input_cost_per_token and "
                "output_cost_per_token under its model_info in the --config YAML (0 for a model of your own)"
            )


def run_folder(settings: Settings, args: argparse.Namespace) -> Path:
    """Return the folder of this run: a new one with its settings in it, or the resumed one."""
    from lbt_dspy.errors import UserError

    if args.resume is not None:
        return Path(args.resume)
    default = Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.task}"
    folder = default if args.out is None else Path(args.out)
    if args.out is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--out {folder} is not empty; name a new folder, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings.save(folder)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error.strerror}); name another folder") from None
    return folder


if __name__ == "__main__":
    sys.exit(main())
